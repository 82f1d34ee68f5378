import { expect, test } from 'vitest';
import { createMetrics } from '../../src/controller/metrics.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { RESYNC_INTERVAL_MS, testController } from '../support/test-controller.ts';

const MOVED = TAX_SPEC.replace('bucket: acme-tax-replica', 'bucket: acme-tax-moved');
const files = (text: string) => ({
  files: [{ file: 'specs/tax.yaml', bytes: Buffer.from(text) }],
  problems: [],
});
const HOUR = 60 * 60_000;

/** A controller with an interval of a day, and a sandbox with the same clock. */
async function startWithClock(isLeader: () => boolean = () => true) {
  let now = () => Date.UTC(2026, 0, 1);
  const env = await testEnv(TAX_SPEC, { clock: () => now() });
  const running = testController(env, { intervalMs: 24 * HOUR, isLeaderFor: isLeader });
  // Within a minute, so that the expiry does not depend on milliseconds.
  running.clock.adjustWallTime(10_000);
  now = running.clock.now;
  const pair = () => {
    const [status] = running.controller.status().pairs;
    if (!status) throw new Error('no pair');
    return status;
  };
  const rolePolicy = () =>
    env.sandbox.store.account('111122223333').roles.get('replikey-acme-tax')?.inline.get('replikey') ?? '';
  return { env, ...running, pair, rolePolicy };
}

test('controller: wakes at the first expiry, removes the permissions, and reports no drift', async () => {
  const { env, controller, clock, idle, lines, pair, rolePolicy } = await startWithClock();
  await using _ = env;
  await controller.update(files(TAX_SPEC));
  await idle();
  expect(pair().retained).toBeUndefined();
  await controller.update(files(MOVED));
  await idle();
  const { retained, changes, conditions } = pair();
  expect(retained).toEqual({ statements: 3, firstExpiry: '2026-01-01T00:17:00.000Z', expired: 0 });
  expect(conditions.Ready).toMatchObject({
    status: 'True',
    message: expect.stringMatching(
      /are as declared; replaced permissions that stay for objects in flight: 3, the first until 2026-01-01T00:17:00.000Z$/,
    ),
  });
  const lineCount = lines.length;
  await clock.advance(15 * 60_000);
  await idle();
  expect(rolePolicy()).toContain('ReplikeyUntil202601010017');
  await clock.advance(3 * 60_000);
  await idle();
  expect(rolePolicy()).not.toContain('ReplikeyUntil');
  expect(pair().retained).toBeUndefined();
  expect([pair().changes, pair().conditions.Drifted]).toEqual([changes, conditions.Drifted]);
  expect(lines.slice(lineCount)).toEqual([]);
  await controller.drain();
});

test('controller with --plan-only: reports expired permissions and leaves them', async () => {
  let leads = true;
  const { env, controller, clock, idle, pair, rolePolicy } = await startWithClock(() => leads);
  await using _ = env;
  await controller.update(files(TAX_SPEC));
  await idle();
  await controller.update(files(MOVED));
  await idle();
  leads = false;
  await clock.advance(18 * 60_000);
  await idle();
  expect(rolePolicy()).toContain('ReplikeyUntil202601010017');
  expect(pair().retained).toEqual({ statements: 0, expired: 3 });
  expect(pair().conditions.Ready).toMatchObject({
    status: 'True',
    message: expect.stringMatching(/; replaced permissions that have expired: 3$/),
  });
  // It does not try again before the interval.
  const reads = controller.status().calls.reads;
  await clock.advance(HOUR);
  await idle();
  expect(controller.status().calls.reads).toBe(reads);
  await controller.drain();
});

test('metrics: contain the number of retained permissions and the first expiry', async () => {
  const { env, controller, idle } = await startWithClock();
  await using _ = env;
  const metrics = createMetrics({ version: '1', name: 'replikey', workers: 1 });
  const lines = async () =>
    (await metrics.render(controller)).split('\n').filter((line) => line.startsWith('replikey_retained'));
  await controller.update(files(TAX_SPEC));
  await idle();
  expect(await lines()).toEqual(['replikey_retained_statements{pair="tax"} 0']);
  await controller.update(files(MOVED));
  await idle();
  expect(await lines()).toEqual([
    'replikey_retained_statements{pair="tax"} 3',
    `replikey_retained_first_expiry_timestamp_seconds{pair="tax"} ${Date.UTC(2026, 0, 1, 0, 17) / 1000}`,
  ]);
  await controller.drain();
});

test('controller: a pair without retained permissions keeps its interval', async () => {
  await using env = await testEnv();
  const { controller, clock, idle } = testController(env);
  await controller.update(files(TAX_SPEC));
  await idle();
  const { reads } = controller.status().calls;
  await clock.advance(RESYNC_INTERVAL_MS / 2);
  await idle();
  expect(controller.status().calls.reads).toBe(reads);
  await controller.drain();
});
