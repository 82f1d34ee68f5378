import { DeleteBucketReplicationCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { createMetrics } from '../../src/controller/metrics.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { RESYNC_INTERVAL_MS, testController } from '../support/test-controller.ts';

const specFiles = (...texts: string[]) => ({
  files: texts.map((text, index) => ({ file: `specs/${index}.yaml`, bytes: Buffer.from(text) })),
  problems: [],
});
const BOOKS = TAX_SPEC.replaceAll('tax', 'books').replace('Tax/', 'Books/');

/** Creates a controller with metrics. */
function controllerWithMetrics(env: TestEnv) {
  const metrics = createMetrics({ version: '1.2.3', name: 'replikey', workers: 4 });
  const loop = testController(env, { observer: metrics.observer });
  const lines = async () => (await metrics.render(loop.controller)).split('\n');
  const sampleOf = async (sample: string) =>
    Number((await lines()).find((line) => line.startsWith(`${sample} `))?.slice(sample.length + 1));
  const round = async () => {
    await loop.clock.advance(RESYNC_INTERVAL_MS * 1.2);
    await loop.idle();
  };
  return { ...loop, metrics, lines, sampleOf, round };
}

test('metrics: passes are counted by result, under the metric names of controller-runtime', async () => {
  await using env = await testEnv();
  const { controller, idle, sampleOf, round } = controllerWithMetrics(env);
  await controller.update(specFiles(TAX_SPEC, BOOKS));
  await idle();
  await round();
  const total = (result: string) =>
    sampleOf(`controller_runtime_reconcile_total{controller="bucketreplication",result="${result}"}`);
  const before = await total('success');
  expect(before).toBeGreaterThanOrEqual(4);
  expect(await sampleOf('workqueue_adds_total{name="replikey"}')).toBeGreaterThanOrEqual(before);
  expect(await sampleOf('workqueue_work_duration_seconds_count{name="replikey"}')).toBeGreaterThanOrEqual(4);
  expect(await sampleOf('workqueue_longest_running_processor_seconds{name="replikey"}')).toBe(0);
  expect(await sampleOf('controller_runtime_max_concurrent_reconciles{controller="bucketreplication"}')).toBe(
    4,
  );

  env.sandbox.faultSettings.faults = [
    { match: 's3', nth: 1, times: 1_000, what: { status: 403, code: 'AccessDenied', message: 'no' } },
  ];
  await round();
  expect(await total('error')).toBeGreaterThanOrEqual(2);
  expect(await sampleOf('workqueue_retries_total{name="replikey"}')).toBe(await total('error'));
  expect(
    await sampleOf('controller_runtime_terminal_reconcile_errors_total{controller="bucketreplication"}'),
  ).toBe(await total('requeue'));
});

test('metrics: every detected drift is counted, also between two scrapes', async () => {
  await using env = await testEnv();
  const { controller, idle, sampleOf, round } = controllerWithMetrics(env);
  await controller.update(specFiles(TAX_SPEC));
  await idle();
  expect(await sampleOf('replikey_drift_total{pair="tax"}')).toBe(0);
  for (let count = 0; count < 3; count++) {
    await env.client.send(
      { region: 'us-east-1' },
      new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }),
    );
    await round();
  }
  expect(await sampleOf('replikey_drift_total{pair="tax"}')).toBe(3);
  await round();
  expect(await sampleOf('replikey_drift_total{pair="tax"}')).toBe(3);
});

test('metrics: a removed pair has no samples', async () => {
  await using env = await testEnv();
  const { controller, idle, lines, metrics, round } = controllerWithMetrics(env);
  await controller.update(specFiles(TAX_SPEC, BOOKS));
  await idle();
  await env.client.send(
    { region: 'us-east-1' },
    new DeleteBucketReplicationCommand({ Bucket: 'acme-books' }),
  );
  await round();
  metrics.observer.onVerify({ key: 'books', latencyMs: [800], failures: 1 });
  const samplesOf = async (pair: string) => (await lines()).filter((line) => line.includes(`pair="${pair}"`));
  expect((await samplesOf('books')).join('\n')).toMatch(
    /canary_latency[\s\S]*canary_failures[\s\S]*drift_total/,
  );
  await controller.update(specFiles(TAX_SPEC));
  await idle();
  expect(await samplesOf('books')).toEqual([]);
  expect((await samplesOf('tax')).length).toBeGreaterThan(0);
});
