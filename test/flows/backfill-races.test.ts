import { expect, test } from 'vitest';
import { listJobs, updateJobStatus } from '../../src/aws/batch-jobs.ts';
import type { Plan } from '../../src/core/resource.ts';
import type { RequestEntry } from '../../src/sandbox/admin-api.ts';
import type { SandboxOptions } from '../../src/sandbox/server.ts';
import { AFTER_ALL_OBJECTS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

/** Other callers, and other runs, beside a pass with a backfill. */

const EAST = { region: 'us-east-1' };
const ID = 's3.backfill/acme-tax/tax';
const START = { allowedRisks: ['start-backfill'] };
const withBackfill = (fields = '', spec = TAX_SPEC) =>
  spec.replace('  rules:', `  backfill: { before: "${AFTER_ALL_OBJECTS}"${fields} }\n  rules:`);
const BACKFILL_SPEC = withBackfill();

const callsOf = ({ waves }: Plan) =>
  waves.flat().flatMap(({ id, calls }) => calls.map((call) => `${id} ${call}`));
const jobsOf = async ({ client }: TestEnv) => (await listJobs(client, EAST)).map(({ Status }) => Status);
type OnCall = (entry: RequestEntry, phase: 'before' | 'after') => Promise<void>;

/** Starts a sandbox with two objects that are older than the rule, and with the rule. */
async function envWithOldObjects(
  { onCall, ...options }: Omit<SandboxOptions, 'onCall'> & { onCall?: (env: TestEnv) => OnCall } = {},
  yaml = BACKFILL_SPEC,
): Promise<TestEnv> {
  let intercept: OnCall | undefined;
  const env = await testEnv(yaml, {
    ...options,
    onCall: async (entry, phase) => intercept?.(entry, phase),
  });
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  for (const key of ['old.pdf', 'older.pdf'])
    await callS3(env.sandbox.endpoint, 'PUT', `/acme-tax/Tax/${key}`, { body: 'old' });
  await env.reconcileWith(TAX_SPEC);
  intercept = onCall?.(env);
  return env;
}

/** Makes a pass, and waits until the job rests. */
async function passAndWait(env: TestEnv, options = {}) {
  const outcome = await env.reconcile(options);
  await env.sandbox.waitForJobs();
  return outcome;
}

/** Runs a function before the first call of an operation. */
function beforeFirst(operation: string, run: () => Promise<unknown>): OnCall {
  let hasRun = false;
  return async (entry, phase) => {
    if (hasRun || phase !== 'before' || entry.operation !== operation) return;
    hasRun = true;
    await run();
  };
}

/** Holds the first two calls of an operation until both have arrived. */
function meetAt(operation: string): OnCall {
  const waiting: (() => void)[] = [];
  return async (entry, phase) => {
    if (phase !== 'before' || entry.operation !== operation || waiting.length === 2) return;
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      if (waiting.length === 2) for (const release of waiting) release();
    });
  };
}

/** Cancels the job as another caller does. */
async function cancelJob(env: TestEnv, reason: string): Promise<void> {
  const [job] = await listJobs(env.client, EAST);
  await updateJobStatus(env.client, EAST, job?.JobId ?? '', 'Cancelled', reason);
  await env.sandbox.waitForJobs();
}

test('backfill: leaves a job of a spec with the same name alone, which another repository declares for another bucket', async () => {
  await using env = await envWithOldObjects();
  const books = BACKFILL_SPEC.replaceAll('acme-tax', 'acme-books');
  for (let pass = 0; pass < 2; pass += 1) {
    await passAndWait(env);
    await env.reconcileWith(books);
    await env.sandbox.waitForJobs();
  }
  // S3 found no object of the other bucket.
  expect((await jobsOf(env)).sort()).toEqual(['Failed', 'Suspended']);
});

test('backfill: a run with one spec of a bucket waits for the job of another one', async () => {
  const third = withBackfill(', objects: [existing]')
    .replace('name: tax', 'name: tax-third')
    .replace(
      'acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica',
      'acme-third, region: us-west-2, key: alias/acme-third',
    )
    .replace('- prefix: Tax/', '- { name: third, priority: 9, prefix: Tax/ }');
  await using env = await envWithOldObjects();
  await passAndWait(env);
  const { plan } = await env.reconcileWith(third, { allowedRisks: ['backfill-foreign-rules'] });
  expect(plan.notes.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/a job follows when the job \S+ of the spec tax has ended$/),
  );
  expect(await jobsOf(env)).toEqual(['Suspended']);
});

test('backfill: a plan that became old while it was applied creates no second job', async () => {
  await using env = await envWithOldObjects({
    // AWS does not document for how long S3 remembers the token of a job.
    faultSettings: { repeatedJobToken: 'newJob' },
    onCall: (other) => beforeFirst('CreateRole', () => other.reconcile()),
  });
  const { results } = await passAndWait(env);
  expect(results.map(({ id, result }) => `${id} ${result}`)).toContain(`${ID} applied`);
  expect(await jobsOf(env)).toEqual(['Suspended']);
});

test('backfill: a plan whose job another run has finished meanwhile creates none, and says so', async () => {
  await using env = await envWithOldObjects({
    onCall: (other) =>
      beforeFirst('CreateRole', async () => {
        await passAndWait(other);
        await passAndWait(other, START);
      }),
  });
  const { results } = await passAndWait(env);
  expect(results.find(({ id }) => id === ID)).toMatchObject({
    result: 'failed',
    why: 'another caller changed the batch jobs of acme-tax since they were read; no job was created: run again',
  });
  expect(await jobsOf(env)).toEqual(['Complete']);
});

test('backfill: two runs that create the job with other settings at the same time create one', async () => {
  await using env = await envWithOldObjects({ onCall: () => meetAt('CreateJob') });
  // IdempotencyException: the token of another request (API reference, CreateJob).
  const outcomes = await Promise.all([env.reconcile(), env.reconcileWith(withBackfill(', priority: 3'))]);
  expect(outcomes.flatMap(({ results }) => results.filter(({ result }) => result !== 'applied'))).toEqual([]);
  expect(await jobsOf(env)).toHaveLength(1);
});

test('backfill: two runs that approve the job at the same time both succeed', async () => {
  await using env = await envWithOldObjects({ onCall: () => meetAt('UpdateJobStatus') });
  await passAndWait(env);
  const outcomes = await Promise.all([env.reconcile(START), env.reconcile(START)]);
  expect(outcomes.flatMap(({ results }) => results).map(({ result }) => result)).toEqual([
    'applied',
    'applied',
  ]);
  await env.sandbox.waitForJobs();
  expect(await jobsOf(env)).toEqual(['Complete']);
});

test('backfill: the approval of a job that another caller cancels meanwhile fails with the reason', async () => {
  await using env = await envWithOldObjects({
    // JobStatusException (API reference, UpdateJobStatus).
    onCall: (other) => beforeFirst('UpdateJobStatus', () => cancelJob(other, 'too expensive')),
  });
  await passAndWait(env);
  const { results } = await env.reconcile(START);
  expect(results).toMatchObject([
    {
      result: 'failed',
      why: expect.stringMatching(
        /^the job \S+ cannot be approved any more \(Cancelled: too expensive\); run again$/,
      ),
    },
  ]);
});

test('backfill: a job with too many objects that ends before replikey cancels it is recorded', async () => {
  await using env = await envWithOldObjects(
    {
      onCall: (other) =>
        beforeFirst('UpdateJobStatus', async () => {
          const [job] = await listJobs(other.client, EAST);
          await updateJobStatus(other.client, EAST, job?.JobId ?? '', 'Ready', 'approved in the console');
          await other.sandbox.waitForJobs();
        }),
    },
    withBackfill(', maxObjects: 1'),
  );
  await passAndWait(env);
  expect((await env.reconcile()).results).toMatchObject([
    {
      result: 'failed',
      why: expect.stringMatching(/^the job \S+ cannot be cancelled any more \(Complete: /),
    },
  ]);
  expect(callsOf((await env.reconcile()).plan)).toEqual([`${ID} iam:TagRole`]);
});

test('backfill: the approval waits until S3 finds a new job', async () => {
  let now = Date.now();
  await using env = await envWithOldObjects({
    clock: () => now,
    // Troubleshooting S3 Batch Operations: NoSuchJobException right after CreateJob.
    faultSettings: { jobPropagationMs: 60_000 },
  });
  const created = await passAndWait(env);
  expect(created.results.filter(({ result }) => result !== 'applied')).toEqual([]);
  const { results } = await env.reconcile({
    ...START,
    onEvent: ({ type }) => {
      if (type === 'waiting') now += 60_000;
    },
  });
  expect(results).toMatchObject([{ result: 'applied' }]);
  await env.sandbox.waitForJobs();
  expect(await jobsOf(env)).toEqual(['Complete']);
});

test('backfill: a job is created when S3 can assume its new role, and when it accepts requests again', async () => {
  const fault = (nth: number, status: number, code: string, message: string) => ({
    match: 'CreateJob',
    nth,
    what: { status, code, message },
  });
  await using env = await envWithOldObjects();
  env.sandbox.faultSettings.faults = [
    // The errors of CreateJob (API reference). AWS does not document the message.
    fault(1, 400, 'BadRequestException', 'Invalid role: it cannot be assumed'),
    fault(2, 400, 'TooManyRequestsException', 'Slow down'),
  ];
  expect((await passAndWait(env)).results.filter(({ result }) => result !== 'applied')).toEqual([]);
  expect(env.sandbox.log.counts()['s3control:CreateJob']).toBe(3);
  expect(await jobsOf(env)).toEqual(['Suspended']);
});

test('backfill: three approved jobs that failed are enough, and the reason is shown', async () => {
  await using env = await envWithOldObjects(
    {
      // Without the role, no task succeeds, and S3 writes no report, so the job fails.
      onCall:
        ({ sandbox }) =>
        async ({ operation }) => {
          const role = sandbox.store.account('111122223333').roles.get('replikey-batch-acme-tax');
          if (role && operation === 'UpdateJobStatus') role.trust = JSON.stringify({ Statement: [] });
        },
    },
    withBackfill(', report: { bucket: acme-reports }'),
  );
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-reports');
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    await passAndWait(env);
    expect((await passAndWait(env, START)).results).toMatchObject([{ id: ID, result: 'applied' }]);
  }
  expect(await jobsOf(env)).toEqual(['Failed', 'Failed', 'Failed']);
  const { plan } = await env.reconcile(START);
  expect(plan.blocked.map(({ why }) => why)).toEqual([
    // S3 User Guide, "Troubleshooting Batch Operations", delivery of the report.
    expect.stringMatching(/^3 jobs ended before .* with: The job report could not be written/),
  ]);
});
