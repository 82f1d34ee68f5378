import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { listJobs } from '../../src/aws/batch-jobs.ts';
import type { Plan } from '../../src/core/resource.ts';
import type { Outcome, PassOptions } from '../../src/reconcile/pass.ts';
import type { VersionState } from '../../src/sandbox/state.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const MINUTE = 60_000;
/** Pause between two objects of the writer, in milliseconds. */
const PACE_MS = 15;
const EAST = { region: 'us-east-1' };
const WEST = { region: 'us-west-2' };
const ALLOWED = { allowedRisks: ['start-reencryption'] };

/** The pair of TAX_SPEC with other keys, which replace those of TAX_SPEC. */
const replaced = (start = 'Confirmed'): string =>
  TAX_SPEC.replace('alias/acme-tax }', '{ alias: alias/acme-tax-2026, replaces: [alias/acme-tax] } }')
    .replace(
      'alias/acme-tax-replica }',
      '{ alias: alias/acme-replica-2026, replaces: [alias/acme-tax-replica] } }',
    )
    .replace('  rules:', `  reencrypt: { start: ${start} }\n  rules:`);

/** A sandbox whose time a test advances, and a writer that puts one object after another into the source. */
async function envWithWriter() {
  let offset = 0;
  const env = await testEnv(TAX_SPEC, { clock: () => Date.now() + offset });
  let isWriting = true;
  let written = 0;
  const write = async () => {
    while (isWriting) {
      const { status } = await callS3(env.sandbox.endpoint, 'PUT', `/acme-tax/Tax/${written}.txt`, {
        body: 'tax',
      });
      expect(status).toBe(200);
      written += 1;
      await setTimeout(PACE_MS);
    }
  };
  let writing = Promise.resolve();
  return {
    env,
    startWriter: () => {
      writing = write();
    },
    stopWriter: async () => {
      isWriting = false;
      await writing;
      return written;
    },
    async [Symbol.asyncDispose]() {
      isWriting = false;
      await writing.catch(() => {});
      await env[Symbol.asyncDispose]();
    },
    skip: (ms: number) => {
      offset += ms;
    },
  };
}

const jobSteps = ({ waves }: Plan): string[] =>
  waves
    .flat()
    .filter(({ kind }) => kind === 's3.reencryption')
    .flatMap(({ id, calls }) => calls.map((call) => `${id} ${call}`))
    .sort();
const notesOf = ({ notes }: Plan) =>
  notes
    .filter(({ id }) => id.startsWith('s3.reencryption'))
    .map(({ message }) => message)
    .sort((a, b) => (bucketIn(a) < bucketIn(b) ? -1 : 1));
const bucketIn = (message: string): string => / of (acme-\S+)/.exec(message)?.[1] ?? '';
const versionsOf = ({ sandbox }: TestEnv, bucket: string): VersionState[] =>
  [...(sandbox.store.bucket(bucket)?.objects.values() ?? [])].flat();
const keysOf = (env: TestEnv, bucket: string): string[] => [
  ...new Set(versionsOf(env, bucket).map(({ encryption }) => encryption.keyArn ?? 'none')),
];
const aliasesOf = (env: TestEnv, arns: readonly string[]): string[] =>
  arns
    .map((arn) => {
      const { aliases } = env.sandbox.store.account('111122223333');
      return [...aliases.values()].find(({ targetKeyId }) => arn.endsWith(targetKeyId))?.name ?? arn;
    })
    .sort();

const keyOf = ({ sandbox }: TestEnv, name: string): string =>
  [...sandbox.store.account('111122223333').aliases.values()].find((alias) => alias.name === name)
    ?.targetKeyId ?? '';

test('key replacement under load: no object fails, none is left under the old keys, and these leave the role', async () => {
  await using load = await envWithWriter();
  const { env, startWriter, stopWriter, skip } = load;
  await env.reconcile();
  startWriter();
  const pass = async (yaml: string, options: Partial<PassOptions> = {}): Promise<Outcome> => {
    const outcome = await env.reconcileWith(yaml, options);
    expect(outcome.refusals).toEqual([]);
    expect(outcome.results.filter(({ result }) => result !== 'applied')).toEqual([]);
    await env.sandbox.waitForJobs();
    return outcome;
  };

  // 1. The new keys become the default, and the old ones stay permitted. Then jobs count the objects under these.
  expect(jobSteps((await pass(replaced())).plan)).toEqual([]);
  const first = await pass(replaced());
  expect(jobSteps(first.plan)).toEqual([
    's3.reencryption/acme-tax-replica/alias/acme-tax-replica s3:CreateJob',
    's3.reencryption/acme-tax/alias/acme-tax s3:CreateJob',
  ]);
  // 2. The jobs wait for an approval.
  const waiting = await pass(replaced());
  expect(jobSteps(waiting.plan)).toEqual([]);
  expect(notesOf(waiting.plan)).toEqual([
    expect.stringMatching(
      /starts the job \S+, which re-encrypts [\d,]+ objects of acme-tax from arn:\S+ to arn:\S+, for about 0.25 USD; approve with --allow start-reencryption=\S+$/,
    ),
    expect.stringMatching(/re-encrypts [\d,]+ objects of acme-tax-replica from/),
  ]);
  expect(jobSteps((await pass(replaced(), ALLOWED)).plan)).toHaveLength(2);
  // 3. The census follows when no upload uses the old key any more.
  const early = await pass(replaced(), ALLOWED);
  expect(jobSteps(early.plan)).toEqual([]);
  expect(notesOf(early.plan)).toEqual([
    expect.stringMatching(/are counted after \S+Z, when no earlier upload uses the key any more$/),
    expect.stringMatching(/are counted after/),
  ]);
  skip(16 * MINUTE);
  for (const _encryption of ['SSE-KMS', 'DSSE-KMS'])
    expect(jobSteps((await pass(replaced(), ALLOWED)).plan)).toEqual([
      's3.reencryption/acme-tax-replica/alias/acme-tax-replica s3:CreateJob',
      's3.reencryption/acme-tax/alias/acme-tax s3:CreateJob',
    ]);
  expect(jobSteps((await pass(replaced())).plan)).toEqual([
    's3.reencryption/acme-tax-replica/alias/acme-tax-replica iam:TagRole',
    's3.reencryption/acme-tax/alias/acme-tax iam:TagRole',
  ]);
  const done = await pass(replaced());
  expect(done.plan.waves).toEqual([]);
  expect(notesOf(done.plan)).toEqual([
    expect.stringMatching(/^no object of acme-tax was encrypted under arn:\S+ on \S+Z; remove the key/),
    expect.stringMatching(/^no object of acme-tax-replica was encrypted under/),
  ]);

  // 4. The old keys leave the role, and after the drain also the policies of these keys.
  const removed = replaced()
    .replaceAll(/, replaces: \[[^\]]+\]/g, '')
    .replace(/ {2}reencrypt: .*\n/, '');
  const removal = await pass(removed);
  expect(removal.plan.waves.flat().flatMap(({ risks }) => risks)).toEqual([]);
  expect(removal.plan.notes.map(({ message }) => message)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(
        /^no object of acme-tax was encrypted under \S+ on \S+Z; an object that a writer/,
      ),
    ]),
  );
  skip(16 * MINUTE);
  await pass(removed);
  expect((await pass(removed)).plan).toMatchObject({ waves: [], housekeeping: [] });
  expect(await stopWriter()).toBeGreaterThan(20);
  await env.sandbox.waitForReplication();
  const failed = versionsOf(env, 'acme-tax').filter(({ replication }) => replication?.status !== 'COMPLETED');
  expect(failed.map(({ key, replication }) => `${key} ${JSON.stringify(replication)}`)).toEqual([]);
  expect(aliasesOf(env, keysOf(env, 'acme-tax'))).toEqual(['alias/acme-tax-2026']);
  expect(aliasesOf(env, keysOf(env, 'acme-tax-replica'))).toEqual(['alias/acme-replica-2026']);
  const oldKeys = ['alias/acme-tax', 'alias/acme-tax-replica'].map((name) => keyOf(env, name));
  expect(JSON.stringify([...env.sandbox.store.account('111122223333').roles.values()])).not.toMatch(
    new RegExp(oldKeys.join('|')),
  );
  for (const location of [EAST, WEST])
    expect((await listJobs(env.client, location)).map(({ Status }) => Status).sort()).toEqual([
      'Complete',
      'Failed',
      'Failed',
    ]);
});

test('key removal: a risk without a census, for a source and for a destination', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const drained: Partial<PassOptions> = { drainMs: 0, allowedRisks: ['lose-in-flight'] };
  const replacing = replaced().replace(/ {2}reencrypt: .*\n/, '');
  expect((await env.reconcileWith(replacing, drained)).refusals).toEqual([]);
  const removed = replacing.replaceAll(/, replaces: \[[^\]]+\]/g, '');
  const { plan, refusals } = await env.reconcileWith(removed, { ...drained, dryRun: true });
  expect(refusals.map(({ id }) => id)).toEqual(['remove-key-in-use', 'remove-key-in-use']);
  const risks = plan.waves.flat().flatMap((step) => step.risks);
  expect(risks.filter(({ id }) => id === 'remove-key-in-use')).toEqual(
    ['acme-tax', 'acme-tax-replica'].map((bucket) => ({
      id: 'remove-key-in-use',
      subject: expect.stringMatching(new RegExp(`^${bucket}/[0-9a-f-]{36}$`)),
      message: expect.stringMatching(
        new RegExp(`objects of ${bucket} under arn:.*their number is not known`),
      ),
    })),
  );
  const allowedRisks = ['lose-in-flight', 'remove-key-in-use'];
  expect((await env.reconcileWith(removed, { drainMs: 0, allowedRisks })).refusals).toEqual([]);
});

test('key replacement: a plan whose job is not due any more, because another caller changed the default key, creates none', async () => {
  let reads = Number.NEGATIVE_INFINITY;
  let oldKey = '';
  await using env = await testEnv(TAX_SPEC, {
    async onCall({ operation, region }, phase) {
      if (operation !== 'GetBucketEncryption' || region !== 'us-east-1' || phase !== 'before') return;
      reads += 1;
      // The first read is that of the plan.
      if (reads !== 2) return;
      const rule = `<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>${oldKey}</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>`;
      await callS3(env.sandbox.endpoint, 'PUT', '/acme-tax?encryption', {
        body: `<ServerSideEncryptionConfiguration>${rule}</ServerSideEncryptionConfiguration>`,
      });
    },
  });
  await env.reconcile();
  const oldSource = replaced().replace(
    '{ alias: alias/acme-replica-2026, replaces: [alias/acme-tax-replica] }',
    'alias/acme-tax-replica',
  );
  await env.reconcileWith(oldSource);
  oldKey = keyOf(env, 'alias/acme-tax');
  reads = 0;
  const { plan, results } = await env.reconcileWith(oldSource);
  expect(jobSteps(plan)).toEqual(['s3.reencryption/acme-tax/alias/acme-tax s3:CreateJob']);
  expect(results).toMatchObject([
    {
      result: 'failed',
      why: 'another caller changed acme-tax or its batch jobs since they were read; no job was created: run again',
    },
  ]);
  expect(await listJobs(env.client, EAST)).toEqual([]);
});
