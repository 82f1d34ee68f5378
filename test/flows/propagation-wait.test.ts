import { DeleteBucketReplicationCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import type { PassOptions } from '../../src/reconcile/pass.ts';
import { createPropagation } from '../../src/reconcile/propagation.ts';
import { versionOf } from '../sandbox/support.ts';
import { AFTER_ALL_OBJECTS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { type FakeClock, fakeClock } from '../support/fake-clock.ts';

const MOVED = TAX_SPEC.replace('bucket: acme-tax-replica', 'bucket: acme-tax-moved');
const WAIT_MS = 45_000;

/** A process with its own record of documents, and a clock that the test advances. */
function startProcess(env: TestEnv, clock: FakeClock = fakeClock()) {
  const propagation = createPropagation({ clock, waitMs: WAIT_MS });
  const run = (yaml: string, options: Partial<PassOptions> = {}) => {
    const waits: number[] = [];
    let reportWait = () => {};
    const isWaiting = new Promise<void>((resolve) => {
      reportWait = resolve;
    });
    const outcome = env.reconcileWith(yaml, {
      propagation,
      onEvent(event) {
        if (event.type !== 'waiting' || event.waitsFor !== 'S3 to use the changed permissions') return;
        waits.push(event.untilMs);
        reportWait();
      },
      ...options,
    });
    return { outcome, waits, isWaiting };
  };
  return { clock, run };
}

const switches = ({ sandbox }: TestEnv): number => sandbox.log.counts()['s3:PutBucketReplication'] ?? 0;

test('propagation wait: rules of a new bucket are enabled without a wait', async () => {
  await using env = await testEnv();
  const { outcome, waits } = startProcess(env).run(TAX_SPEC);
  expect((await outcome).remaining?.waves).toEqual([]);
  expect(waits).toEqual([]);
});

test('propagation wait: a changed rule of an existing bucket waits until its permissions are 45 s old', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const { clock, run } = startProcess(env);
  const { outcome, waits, isWaiting } = run(MOVED);
  await isWaiting;
  await clock.advance(WAIT_MS - 1);
  expect([waits, switches(env)]).toEqual([[WAIT_MS, WAIT_MS - 30_000], 1]);
  await clock.advance(1);
  expect((await outcome).remaining?.waves).toEqual([]);
  expect(switches(env)).toBe(2);
});

test('propagation wait: a second process that only enables the rules of a killed run waits as well', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const region = { region: 'us-east-1' };
  await env.client.send(region, new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
  const { clock, run } = startProcess(env);
  const { outcome, waits, isWaiting } = run(TAX_SPEC);
  await isWaiting;
  await clock.advance(WAIT_MS - 1_000);
  expect([waits, switches(env)]).toEqual([[WAIT_MS, WAIT_MS - 30_000], 1]);
  await clock.advance(1_000);
  expect((await outcome).plan.waves.flat().map(({ id }) => id)).toEqual(['s3.replication/acme-tax']);
  expect(switches(env)).toBe(2);
});

test('propagation wait: a process that has known the permissions for 45 s does not wait', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const { clock, run } = startProcess(env);
  await run(TAX_SPEC).outcome;
  await clock.advance(WAIT_MS - 5_000);
  const cheaper = run(TAX_SPEC.replace('region: us-west-2,', 'region: us-west-2, storageClass: GLACIER_IR,'));
  await cheaper.isWaiting;
  expect(cheaper.waits).toEqual([5_000]);
  await clock.advance(5_000);
  expect((await cheaper.outcome).remaining?.waves).toEqual([]);
  const { outcome, waits } = run(TAX_SPEC);
  expect((await outcome).remaining?.waves).toEqual([]);
  expect([waits, switches(env)]).toEqual([[], 3]);
});

test('propagation wait: a permission that the same process wrote again starts the wait again', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const { clock, run } = startProcess(env);
  await run(TAX_SPEC).outcome;
  await clock.advance(10 * WAIT_MS);
  const { outcome, waits, isWaiting } = run(MOVED);
  await isWaiting;
  expect(waits).toEqual([WAIT_MS]);
  await clock.advance(WAIT_MS);
  expect((await outcome).remaining?.waves).toEqual([]);
});

test.each([
  ['disabled', `${TAX_SPEC}      enabled: false\n`],
  ['changed in its metrics', `${TAX_SPEC}      metrics: false\n`],
])('propagation wait: a rule that is %s waits for nothing', async (_, yaml) => {
  await using env = await testEnv();
  await env.reconcile();
  const { outcome, waits } = startProcess(env).run(yaml);
  expect((await outcome).remaining?.waves).toEqual([]);
  expect([waits, switches(env)]).toEqual([[], 2]);
});

test('propagation wait: a signal ends it, and the old rule stays in effect', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const abort = new AbortController();
  const { outcome, isWaiting } = startProcess(env).run(MOVED, { signal: abort.signal });
  await isWaiting;
  abort.abort(new Error('stopped'));
  const { results } = await outcome;
  expect(results.find(({ id }) => id === 's3.replication/acme-tax')).toMatchObject({
    result: 'skipped',
    why: 'interrupted before it started',
  });
  expect(switches(env)).toBe(1);
  expect(env.sandbox.store.bucket('acme-tax')?.replication?.Rules?.[0]?.Destination?.Bucket).toBe(
    'arn:aws:s3:::acme-tax-replica',
  );
});

/** Writes an object, and returns its replication status. */
async function statusOfObject({ client, sandbox }: TestEnv, Key: string): Promise<string | undefined> {
  await client.send({ region: 'us-east-1' }, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'x' }));
  await sandbox.waitForReplication();
  return versionOf(sandbox, 'acme-tax', Key)?.replication?.status;
}

test('propagation wait: no object fails while S3 does not use the changed policy of the role yet', async () => {
  const clock = fakeClock();
  await using env = await testEnv(TAX_SPEC, { clock: clock.now });
  await env.reconcile();
  env.sandbox.faultSettings.policyPropagationMs = 40_000;
  const { outcome, isWaiting } = startProcess(env, clock).run(MOVED);
  await isWaiting;
  expect(await statusOfObject(env, 'Tax/during')).toBe('COMPLETED');
  await clock.advance(WAIT_MS);
  expect((await outcome).remaining?.waves).toEqual([]);
  expect(await statusOfObject(env, 'Tax/after')).toBe('COMPLETED');
  expect(versionOf(env.sandbox, 'acme-tax-moved', 'Tax/after')).toBeDefined();
});

test('propagation wait: without it, S3 fails the first objects of the changed rule', async () => {
  const clock = fakeClock();
  await using env = await testEnv(TAX_SPEC, { clock: clock.now });
  await env.reconcile();
  env.sandbox.faultSettings.policyPropagationMs = 40_000;
  await env.reconcileWith(MOVED);
  expect(await statusOfObject(env, 'Tax/early')).toBe('FAILED');
  await clock.advance(40_000);
  expect(await statusOfObject(env, 'Tax/late')).toBe('COMPLETED');
});

test('propagation wait: a job is created, and later started, only when its permissions are 45 s old', async () => {
  const yaml = TAX_SPEC.replace('  rules:', `  backfill: { before: "${AFTER_ALL_OBJECTS}" }\n  rules:`);
  await using env = await testEnv();
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  await env.client.send(
    { region: 'us-east-1' },
    new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/old.pdf', Body: 'old' }),
  );
  await env.reconcile();
  const { clock, run } = startProcess(env);
  // A job that fails because IAM does not show its role everywhere yet would count as an attempt.
  const creation = run(yaml);
  await creation.isWaiting;
  await clock.advance(WAIT_MS - 1);
  expect(env.sandbox.log.counts()['s3control:CreateJob']).toBeUndefined();
  await clock.advance(1);
  expect((await creation.outcome).results.filter(({ result }) => result !== 'applied')).toEqual([]);
  await env.sandbox.waitForJobs();

  const start = { allowedRisks: ['start-backfill'] };
  const approval = startProcess(env, clock).run(yaml, start);
  await approval.isWaiting;
  expect(env.sandbox.log.counts()['s3control:UpdateJobStatus']).toBeUndefined();
  await clock.advance(WAIT_MS);
  expect((await approval.outcome).results).toMatchObject([{ result: 'applied' }]);
  await env.sandbox.waitForJobs();
  const recording = run(yaml);
  expect((await recording.outcome).results).toMatchObject([{ result: 'applied' }]);
  expect(recording.waits).toEqual([]);
  expect(versionOf(env.sandbox, 'acme-tax-replica', 'Tax/old.pdf')).toBeDefined();
});
