import { PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, test, vi } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import { readServerStatus } from '../../src/cli/status-server.ts';
import { createMetrics } from '../../src/controller/metrics.ts';
import { createStatusReader, type ShownStatus, toStatusRows } from '../../src/controller/read-status.ts';
import { createRoutes } from '../../src/controller/routes.ts';
import { startControllerServer } from '../../src/controller/server.ts';
import { kinds } from '../../src/kinds/index.ts';
import { statusTable } from '../../src/report/status-text.ts';
import { createColors } from '../../src/report/style.ts';
import { changeRolePolicy, EAST, SOURCE } from '../sandbox/support.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { testController } from '../support/test-controller.ts';

const MINUTE = 60_000;

/** Returns the cells of the table by their titles. */
function cellsOf(pairs: readonly ShownStatus[], now: number): Record<string, string | undefined> {
  const { header, lines } = statusTable(toStatusRows(pairs), { wide: true, now, paint: createColors(false) });
  const [titles = [], cells = []] = [header, lines[0]].map((line) => line?.split(/ {3,}/));
  return Object.fromEntries(titles.map((title, index) => [title, cells[index]]));
}

test('status page, /metrics, status --server and status of specs: show the same numbers', async () => {
  let now = () => Date.UTC(2026, 0, 1);
  await using env = await testEnv(TAX_SPEC, { clock: () => now() });
  const aws: AwsClient = { ...env.client, now: () => now() };
  aws.readOnly = () => aws;
  const metrics = createMetrics({ version: '1.2.3', name: 'replikey', workers: 4 });
  let isLeader = true;
  const { controller, clock, idle } = testController(env, {
    metricsIntervalMs: 5 * MINUTE,
    verifyIntervalMs: 10 * MINUTE,
    observer: metrics.observer,
    connect: () => ({ aws, close() {} }),
    isLeaderFor: () => isLeader,
  });
  // Within a metric period.
  clock.adjustWallTime(2 * MINUTE);
  now = clock.now;
  const pair = () => {
    const [status] = controller.status().pairs;
    if (!status) throw new Error('no pair');
    return status;
  };
  const untilRead = () =>
    vi.waitFor(() => expect(pair().replication?.at).toBe(new Date(now()).toISOString()), {
      timeout: 10_000,
      interval: 2,
    });
  await controller.update({
    files: [{ file: 'tax.yaml', bytes: Buffer.from(TAX_SPEC) }],
    problems: [],
  });
  await idle();
  await untilRead();
  await clock.advance(5 * MINUTE);
  await vi.waitFor(() => expect(pair().canary?.result).toBe('replicated'), { timeout: 10_000 });

  // A standby does not revert the change.
  isLeader = false;
  await changeRolePolicy(env.client, (statements) => {
    for (const [sid, statement] of Object.entries(statements))
      if (JSON.stringify(statement).includes('s3:ReplicateObject')) delete statements[sid];
  });
  const failedSince = new Date(Math.floor(now() / MINUTE) * MINUTE).toISOString();
  for (const Key of ['Tax/1', 'Tax/2', 'Tax/3'])
    await env.client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key, Body: 'numbers' }));
  await env.sandbox.waitForReplication();
  await clock.advance(5 * MINUTE);
  await idle();
  await untilRead();
  await vi.waitFor(() => expect(pair().conditions.Drifted.status).toBe('True'));

  const { replication } = pair();
  expect(replication).toMatchObject({ failed: 3, failedSince });
  const routes = createRoutes({
    controller,
    metrics,
    signal: new AbortController().signal,
    settings: { clock, intervalMs: 5 * MINUTE },
  });
  const server = await startControllerServer(routes, { host: '127.0.0.1', port: 0 });
  try {
    const url = new URL(server.url);
    const served = cellsOf((await readServerStatus(url, new AbortController().signal)).pairs, now());
    expect(served).toMatchObject({
      NAME: 'tax',
      READY: 'False',
      // The proof is of the state after the pending changes.
      PROVEN: 'True',
      FAILED: `3 (since ${failedSince.replace(':00.000Z', 'Z')})`,
      PENDING: String(replication?.pendingOperations ?? '-'),
      'PENDING BYTES': String(replication?.pendingBytes ?? '-'),
      CANARY: expect.stringMatching(/^replicated \d+\.\ds \(5m ago\)$/),
      DRIFT: 'True',
    });
    expect(served.LAG).toMatch(/^\d+s$/);

    const page = (await (await fetch(new URL('/?pair=tax', url))).text())
      .replace(/<svg.*?<\/svg>/g, '')
      .replace(/<[^>]+>/g, ' ')
      .replace(/\s+/g, ' ');
    expect(page).toContain(`Failed, 24 h 3 since ${failedSince.slice(0, 19).replace('T', ' ')} UTC`);
    const { pendingOperations } = replication ?? {};
    expect(page).toContain(`Pending ${pendingOperations ?? 'no data'}`);
    expect(page).toMatch(/ Lag \d+ m?s /);
    expect(page).toMatch(/Last canary ✓ \d+ m?s 5 min ago/);

    // The same read without the controller: it knows neither canaries nor the state before the change.
    const reader = createStatusReader({ specs: env.specs, kinds, aws, clock });
    const { CANARY, DRIFT, MESSAGE, ...readValues } = cellsOf(await reader.read(), now());
    expect([CANARY, DRIFT]).toEqual(['-', '-']);
    expect(served).toMatchObject(readValues);
    expect(MESSAGE).toBe(served.MESSAGE);

    const lines = (await (await fetch(new URL('/metrics', url))).text()).split('\n');
    const sampleOf = (metric: string) =>
      lines
        .find((line) => line.startsWith(metric))
        ?.split(' ')
        .at(-1);
    expect(sampleOf('replikey_failed_operations{pair="tax"}')).toBe('3');
    expect(sampleOf('replikey_failed_operations_since_timestamp_seconds{pair="tax"}')).toBe(
      String(Date.parse(failedSince) / 1000),
    );
    expect(sampleOf('replikey_operations_pending{pair="tax",rule="replikey/tax/tax"}') ?? '-').toBe(
      served.PENDING,
    );
    expect(sampleOf('replikey_bytes_pending{pair="tax",rule="replikey/tax/tax"}') ?? '-').toBe(
      served['PENDING BYTES'],
    );
    expect(sampleOf('replikey_condition{pair="tax",type="Drifted"}')).toBe('1');
  } finally {
    await server.close();
    await controller.drain();
  }
});
