import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DeleteBucketReplicationCommand } from '@aws-sdk/client-s3';
import { expect, test, vi } from 'vitest';
import { createElector } from '../../src/controller/leader-election.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { createMemoryLeaseStore } from '../support/lease-store.ts';
import { testController } from '../support/test-controller.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const BOOKS = TAX_SPEC.replaceAll('tax', 'books').replace('Tax/', 'Books/');
const NAMES = ['tax', 'books'];

test('four simulated weeks of two that share a lease: drift is found and healed within an interval, nothing is missed or written twice, every condition is right, and nothing is kept', async () => {
  await using env = await testEnv();
  const clock = fakeClock();
  const { store } = createMemoryLeaseStore();
  const replicas = [aReplica(env, clock, store), aReplica(env, clock, store)];
  const leaders = () => replicas.filter(({ elector }) => elector.isLeader());
  const idle = () => Promise.all(replicas.map((one) => one.idle()));
  const update = (tax: string) => {
    const files = [tax, BOOKS].map((text, at) => ({ file: `specs/${at}.yaml`, bytes: Buffer.from(text) }));
    for (const { controller } of replicas) controller.update({ files, problems: [] });
  };
  /** Half a day, in which one leads at most. */
  const halfADay = async () => {
    for (let hour = 0; hour < 12; hour++) {
      await clock.advance(HOUR);
      expect(leaders().length).toBeLessThanOrEqual(1);
    }
    await idle();
  };

  update(TAX_SPEC);
  await halfADay();
  await halfADay();
  const logged = replicas.map(({ lines }) => lines.length);
  env.sandbox.log.reset();
  let changes = 0;
  let heap = 0;
  for (let day = 1; day <= 28; day++) {
    // On every third day somebody changes something by hand; on every seventh the spec changes; on the fifth AWS throttles.
    if (day % 3 === 0) {
      await env.door.send(
        { region: 'us-east-1' },
        new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }),
      );
      changes += 2;
    }
    if (day % 7 === 0) {
      update(TAX_SPEC.replace('prefix: Tax/', `prefix: Tax/\n      metrics: ${day % 2 === 0}`));
      // One write does for what comes together.
      if (day % 3 !== 0) changes += 1;
    }
    if (day % 5 === 0)
      env.sandbox.faultSettings.faults = [{ match: '*', nth: 1, times: 3, what: 'throttle' }];
    // On the fourth, who leads cannot reach the lease.
    const [cut] = day % 4 === 0 ? leaders() : [];
    if (cut) cut.isCut = true;
    await halfADay();
    if (cut) {
      expect(leaders(), `day ${day}`).toEqual(replicas.filter((one) => one !== cut));
      cut.isCut = false;
    }
    await halfADay();
    const [leader] = leaders();
    for (const one of replicas)
      for (const name of NAMES)
        expect(one.conditions(name), `day ${day}`).toMatchObject({
          Ready: { status: 'True' },
          Proven: { status: 'True' },
          Drifted: { status: 'False' },
        });
    // What comes together with another spec is told as that.
    if (day % 3 === 0 && day % 7 !== 0)
      expect(leader?.conditions('tax')?.Drifted.reason, `day ${day}`).toBe('Healed');
    // What is due later is a look and a canary for each pair, a renewal, and what is being said; not more with the days.
    expect(clock.pending).toBeLessThanOrEqual(16);
    if (day === 14) heap = await heapAfterGc();
  }
  for (const name of NAMES)
    await vi.waitFor(() => expect(leaders()[0]?.conditions(name)?.Verified.status).toBe('True'));

  const isCanary = ({ operation }: { operation: string }) => /^(Put|Delete)Object$/.test(operation);
  const writes = env.sandbox.log.entries.filter((one) => one.write && !isCanary(one));
  expect(writes.filter(({ status = 0 }) => status < 300).length, 'none missed, none twice').toBe(changes);
  expect(new Set(writes.map(({ operation }) => operation))).toEqual(
    new Set(['DeleteBucketReplication', 'PutBucketReplication']),
  );
  for (const [at, { lines, controller }] of replicas.entries()) {
    expect(lines.length - (logged[at] ?? 0)).toBeLessThan(changes * 4);
    for (const pair of controller.status().pairs) expect(pair.changes.length).toBeLessThanOrEqual(10);
  }
  // The sandbox keeps what it was asked: that is not the controller's.
  env.sandbox.log.reset();
  expect((await heapAfterGc()) / heap).toBeLessThan(1.05);
  for (const one of replicas) await one.stop();
  expect(clock.pending).toBe(0);
}, 240_000);

/** A controller that writes while it leads, as `reconcile specs/` wires them. */
function aReplica(
  env: TestEnv,
  clock: ReturnType<typeof fakeClock>,
  store: ReturnType<typeof createMemoryLeaseStore>['store'],
) {
  const stopping = new AbortController();
  const reached =
    <A extends unknown[], R>(call: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      if (replica.isCut) throw new Error('there is no way to the lease');
      return call(...given);
    };
  const elector = createElector({
    store: {
      name: store.name,
      read: reached(store.read),
      create: reached(store.create),
      update: reached(store.update),
    },
    identity: crypto.randomUUID(),
    clock,
    times: { durationMs: 3 * HOUR, renewDeadlineMs: 2 * HOUR, retryMs: HOUR },
    random: () => 0.5,
    onChange: () => controller.resync(),
  });
  const { controller, ...rest } = testController(env, {
    clock,
    intervalMs: 12 * HOUR,
    verifyIntervalMs: 3 * DAY,
    workers: 2,
    isLeaderFor: () => elector.isLeader(),
  });
  const electing = elector.run(stopping.signal);
  const replica = {
    ...rest,
    controller,
    elector,
    isCut: false,
    conditions: (name: string) => controller.status().pairs.find((one) => one.name === name)?.conditions,
    async stop() {
      await controller.drain();
      stopping.abort();
      await electing;
    },
  };
  return replica;
}

/** Bytes. */
async function heapAfterGc(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  // What is finalised by the first is let go by the second.
  await setImmediate();
  gc();
  return process.memoryUsage().heapUsed;
}
