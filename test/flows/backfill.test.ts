import { expect, test } from 'vitest';
import { listJobs } from '../../src/aws/batch-jobs.ts';
import type { Plan } from '../../src/core/resource.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const EAST = { region: 'us-east-1' };
/** An instant after all objects of the tests; a spec may be a few minutes ahead. */
const BEFORE = new Date(Date.now() + 120_000).toISOString().replace(/\.\d+/, '');
const BACKFILL_SPEC = TAX_SPEC.replace(
  '  rules:',
  `  backfill: { before: "${BEFORE}" }
  rules:`,
);
const START = { allowedRisks: ['start-backfill'] };

/** Puts objects that are older than the rules. */
async function putOldObjects(env: TestEnv, count: number): Promise<void> {
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  for (let index = 0; index < count; index++)
    await callS3(env.sandbox.endpoint, 'PUT', `/acme-tax/Tax/${index}.txt`, { body: 'old' });
}

const notesOf = ({ notes }: Plan) => notes.map(({ id, message }) => `${id}: ${message}`);
const callsOf = ({ waves }: Plan) =>
  waves.flat().flatMap(({ id, calls }) => calls.map((call) => `${id} ${call}`));
const jobsOf = async (env: TestEnv) => (await listJobs(env.client, EAST)).map(({ Status }) => Status);

test('backfill: existing objects are replicated after an approval, and recorded once', async () => {
  await using env = await testEnv(BACKFILL_SPEC);
  await putOldObjects(env, 3);
  const first = await env.reconcile();
  expect(callsOf(first.plan)).toContain('s3.backfill/acme-tax/tax s3:CreateJob');
  expect(first.results.filter(({ result }) => result !== 'applied')).toEqual([]);
  expect(first.remaining?.waves).toEqual([]);
  await env.sandbox.waitForJobs();
  expect(await jobsOf(env)).toEqual(['Suspended']);

  const waiting = await env.reconcile();
  expect(callsOf(waiting.plan)).toEqual([]);
  expect(notesOf(waiting.plan)).toEqual([
    expect.stringMatching(
      /starts the job \S+, which replicates 3 objects of acme-tax, for about 0.25 USD, at most 9 bytes, the size of acme-tax on [\d-]+; approve with --allow start-backfill=\S+$/,
    ),
  ]);

  const [id = ''] = notesOf(waiting.plan).flatMap((note) => /start-backfill=(\S+)$/.exec(note)?.[1] ?? []);
  const otherJob = await env.reconcile({
    allowedRisks: ['start-backfill=00000000-0000-0000-0000-000000000000'],
  });
  expect(callsOf(otherJob.plan)).toEqual([]);
  const approved = await env.reconcile({ allowedRisks: [`start-backfill=${id}`] });
  expect(callsOf(approved.plan)).toEqual(['s3.backfill/acme-tax/tax s3:UpdateJobStatus']);
  expect(approved.results).toMatchObject([{ result: 'applied' }]);
  await env.sandbox.waitForJobs();
  expect(await jobsOf(env)).toEqual(['Complete']);

  expect(callsOf((await env.reconcile()).plan)).toEqual(['s3.backfill/acme-tax/tax iam:TagRole']);
  const last = await env.reconcile(START);
  expect(callsOf(last.plan)).toEqual([]);
  expect(notesOf(last.plan)).toEqual([]);
});
