import { PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, test, vi } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import { commandInfo } from '../../src/aws/command.ts';
import type { ControllerOptions } from '../../src/controller/controller.ts';
import { createMetrics } from '../../src/controller/metrics.ts';
import { changeRolePolicy, EAST, SOURCE } from '../sandbox/support.ts';
import { ACCOUNT_SPECS, TAX_SPEC, testEnv } from '../support/env.ts';
import { RESYNC_INTERVAL_MS, testController } from '../support/test-controller.ts';

const MINUTE = 60_000;
const specFiles = (...texts: string[]) => ({
  files: texts.map((text, index) => ({ file: `specs/${index}.yaml`, bytes: Buffer.from(text) })),
  problems: [],
});

/** A controller that reads metrics, and a sandbox with the same clock. It begins at 2026-01-01T00:02:00Z. */
async function startReading(overrides: Partial<ControllerOptions> = {}, spec = TAX_SPEC) {
  let now = () => Date.UTC(2026, 0, 1);
  const env = await testEnv(spec, { clock: () => now() });
  let untilReleased = Promise.resolve();
  /** Delays all reads until the returned function is called. */
  const blockReads = (): (() => void) => {
    let release = () => {};
    untilReleased = new Promise((resolve) => {
      release = resolve;
    });
    return release;
  };
  const aws: AwsClient = {
    ...env.client,
    now: () => now(),
    async send(location, command) {
      if (commandInfo(command).operation === 'GetMetricData') await untilReleased;
      return env.client.send(location, command);
    },
  };
  const metrics = createMetrics({ version: '1.2.3', name: 'replikey', workers: 4 });
  const running = testController(env, {
    metricsIntervalMs: 5 * MINUTE,
    observer: metrics.observer,
    connect: () => ({ aws, close() {} }),
    ...overrides,
  });
  // Within a metric period.
  running.clock.adjustWallTime(2 * MINUTE);
  now = running.clock.now;
  const pair = (name = 'tax') => {
    const status = running.controller.status().pairs.find((candidate) => candidate.name === name);
    if (!status) throw new Error(`no pair ${name}`);
    return status;
  };
  const calls = (operation: string) =>
    env.sandbox.log.entries.filter((entry) => entry.operation === operation).length;
  /** Waits for the read that is due now. */
  const untilRead = () =>
    vi.waitFor(() => expect(pair().replication?.at).toBe(new Date(now()).toISOString()), {
      timeout: 10_000,
      interval: 2,
    });
  /** Advances the clock to the next read. */
  const nextRead = async () => {
    await running.idle();
    await running.clock.advance(5 * MINUTE);
    await untilRead();
  };
  const putObjects = async (...keys: string[]) => {
    for (const Key of keys)
      await env.client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key, Body: 'numbers' }));
    await env.sandbox.waitForReplication();
  };
  const samplesOf = async (metric: string) =>
    (await metrics.render(running.controller)).split('\n').filter((line) => line.startsWith(`${metric}{`));
  return { env, ...running, metrics, pair, calls, untilRead, nextRead, putObjects, samplesOf, blockReads };
}

const breakRole = (client: Parameters<typeof changeRolePolicy>[0]) =>
  changeRolePolicy(client, (statements) => {
    for (const [sid, statement] of Object.entries(statements))
      if (JSON.stringify(statement).includes('s3:ReplicateObject')) delete statements[sid];
  });

test('controller: reports failed operations with count and start until operations succeed again', async () => {
  const { env, controller, clock, idle, lines, pair, calls, untilRead, nextRead, putObjects, samplesOf } =
    await startReading({ isLeaderFor: () => false });
  await using _ = env;
  await env.reconcile();
  await controller.update(specFiles(TAX_SPEC));
  await untilRead();
  expect(pair().conditions.Replicating).toMatchObject({ status: 'Unknown', reason: 'NoData' });
  for (const metric of ['replikey_operations_failed_total', 'replikey_replication_latency_seconds'])
    expect(await samplesOf(metric), 'no data is not 0').toEqual([]);

  await putObjects('Tax/1', 'Tax/2', 'Tax/3');
  await nextRead();
  expect(pair().conditions.Replicating).toMatchObject({ status: 'True', reason: 'Replicated' });
  expect(pair().replication).toMatchObject({ state: 'available', operations: 3, failed: 0 });
  const labels = '{pair="tax",rule="replikey/tax/tax"}';
  expect(await samplesOf('replikey_operations_failed_total')).toEqual([
    `replikey_operations_failed_total${labels} 0`,
  ]);
  expect(await samplesOf('replikey_operations_pending')).toHaveLength(1);
  expect(await samplesOf('replikey_replication_metrics_readable')).toEqual([
    'replikey_replication_metrics_readable{pair="tax"} 1',
  ]);

  // The process may not write, and so it does not restore the policy.
  await breakRole(env.client);
  const failedSince = new Date(Math.floor(clock.now() / MINUTE) * MINUTE).toISOString();
  const callsBefore = calls('GetMetricData');
  await putObjects('Tax/a', 'Other/b', 'Tax/c');
  await nextRead();
  const message = `2 of 5 operations of the last 24 hours failed, since ${failedSince}; S3 does not retry them`;
  expect(pair().replication).toMatchObject({ failed: 2, operations: 5, failedSince });
  expect(pair().conditions.Replicating).toMatchObject({
    status: 'False',
    reason: 'OperationsFailed',
    message,
  });
  expect(lines.map(({ msg }) => msg)).toContain(`not replicating: ${message}`);
  expect(calls('GetMetricData') - callsBefore, 'one more call, for the minute').toBe(3);
  for (let count = 0; count < 3; count++) await nextRead();
  expect(calls('GetMetricData') - callsBefore, 'the minute is known').toBe(9);
  expect(pair().replication).toMatchObject({ failed: 2, failedSince });
  expect(await samplesOf('replikey_operations_failed_total'), 'each failure counts once').toEqual([
    `replikey_operations_failed_total${labels} 2`,
  ]);
  expect(pair().conditions.Replicating.status, 'nothing has succeeded since').toBe('False');

  await env.reconcile();
  await putObjects('Tax/d');
  await nextRead();
  expect(pair().conditions.Replicating.status).toBe('True');
  expect(
    lines.filter(({ msg }) => msg.startsWith('not replicating')),
    'one line',
  ).toHaveLength(1);
  await idle();
  await controller.drain();
  expect(clock.pending).toBe(0);
});

test('controller: a restart counts from 0, although CloudWatch still has the failures', async () => {
  const { env, controller, pair, untilRead, nextRead, putObjects, samplesOf } = await startReading({
    isLeaderFor: () => false,
  });
  await using _ = env;
  await env.reconcile();
  await breakRole(env.client);
  await putObjects('Tax/1', 'Tax/2');
  await controller.update(specFiles(TAX_SPEC));
  await untilRead();
  expect(pair().replication).toMatchObject({ failed: 2 });
  const sample = 'replikey_operations_failed_total{pair="tax",rule="replikey/tax/tax"}';
  expect(await samplesOf('replikey_operations_failed_total')).toEqual([`${sample} 0`]);
  // In the metric period of the failures that are already counted.
  await putObjects('Tax/3');
  await nextRead();
  expect(await samplesOf('replikey_operations_failed_total')).toEqual([`${sample} 1`]);
  await controller.drain();
});

test('controller: one call for each account, Region and 100 rules, however many pairs there are', async () => {
  const pairSpec = (name: string, account: string, from: string, to: string) => `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: ${name} }
spec:
  source: { bucket: acme-${name}, account: ${account}, region: ${from}, key: alias/acme-${name} }
  destination: { bucket: acme-${name}-2, account: ${account}, region: ${to}, key: alias/acme-${name}-2 }
  rules: [{ prefix: ${name}/ }]
`;
  const pairs = [
    pairSpec('tax', 'main', 'us-east-1', 'us-west-2'),
    pairSpec('books', 'main', 'us-east-1', 'us-west-2'),
    pairSpec('mail', 'main', 'us-west-2', 'us-east-1'),
    pairSpec('logs', 'backup', 'us-east-1', 'us-east-1'),
  ];
  const specs = [...pairs, ACCOUNT_SPECS];
  const { env, controller, idle, calls, untilRead, nextRead } = await startReading(
    {},
    ACCOUNT_SPECS + pairs.join('---\n'),
  );
  await using _ = env;
  await env.reconcile();
  await controller.update(specFiles(...specs));
  await untilRead();
  await idle();
  // us-east-1 and us-west-2 of main, us-east-1 of backup.
  expect(calls('GetMetricData')).toBe(3);
  env.sandbox.log.reset();
  await nextRead();
  await idle();
  expect(calls('GetMetricData')).toBe(3);
  await controller.drain();
});

test('controller: rules without metrics are not read', async () => {
  const spec = TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false');
  const { env, controller, idle, pair, calls, untilRead, nextRead } = await startReading({}, spec);
  await using _ = env;
  await controller.update(specFiles(spec));
  await untilRead();
  await idle();
  await nextRead();
  expect(calls('GetMetricData')).toBe(0);
  expect(pair().conditions.Replicating).toMatchObject({ status: 'Unknown', reason: 'NotEnabled' });
  expect(pair().conditions.Ready.status).toBe('True');
  await controller.drain();
});

test('controller: a denied read makes the condition Unknown, with one warning, and delays no pass', async () => {
  const { env, controller, clock, idle, lines, pair, calls, nextRead, putObjects, samplesOf } =
    await startReading();
  await using _ = env;
  await controller.update(specFiles(TAX_SPEC));
  await idle();
  await putObjects('Tax/1');
  await nextRead();
  expect(pair().conditions.Replicating.status).toBe('True');
  env.sandbox.faultSettings.faults = [
    {
      match: 'GetMetricData',
      nth: 1,
      times: 1_000,
      what: { status: 403, code: 'AccessDenied', message: 'no' },
    },
  ];
  const passes = calls('GetBucketReplication');
  for (let count = 0; count < 3; count++) await nextRead();
  await idle();
  expect(pair().conditions.Replicating).toMatchObject({
    status: 'Unknown',
    reason: 'Unreadable',
    message: expect.stringContaining('these credentials lack the permission cloudwatch:GetMetricData'),
  });
  expect(pair().replication?.failed).toBeUndefined();
  expect(pair().conditions.Ready.status).toBe('True');
  expect(calls('GetBucketReplication'), 'the passes continue').toBeGreaterThan(passes);
  expect(await samplesOf('replikey_replication_metrics_readable')).toEqual([
    'replikey_replication_metrics_readable{pair="tax"} 0',
  ]);
  expect(await samplesOf('replikey_operations_pending')).toEqual([]);
  await clock.advance(MINUTE);
  expect(lines.filter(({ msg }) => msg.includes('cannot read the metrics'))).toHaveLength(1);
  await controller.drain();
});

test('controller: passes do not wait for a read that takes long', async () => {
  const { env, controller, clock, idle, pair, calls, untilRead, blockReads } = await startReading();
  await using _ = env;
  await controller.update(specFiles(TAX_SPEC));
  await untilRead();
  await idle();
  const release = blockReads();
  const [passes, { replication }] = [calls('GetBucketReplication'), pair()];
  for (let count = 0; count < 3; count++) {
    await clock.advance(RESYNC_INTERVAL_MS * 1.2);
    await idle();
  }
  expect(calls('GetBucketReplication')).toBeGreaterThanOrEqual(passes + 3);
  expect(pair().replication, 'the read is not complete').toBe(replication);
  release();
  await untilRead();
  await controller.drain();
  expect(clock.pending).toBe(0);
});
