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

test('controller: four simulated weeks with two replicas: reverts drift within an interval, misses and duplicates no write, and leaks no memory', async () => {
  await using env = await testEnv();
  const clock = fakeClock();
  const { store } = createMemoryLeaseStore();
  const replicas = [createReplica(env, clock, store), createReplica(env, clock, store)];
  const leaders = () => replicas.filter(({ elector }) => elector.isLeader());
  const idle = () => Promise.all(replicas.map((replica) => replica.idle()));
  const update = async (tax: string) => {
    const files = [tax, BOOKS].map((text, at) => ({ file: `specs/${at}.yaml`, bytes: Buffer.from(text) }));
    for (const { controller } of replicas) await controller.update({ files, problems: [] });
  };
  /** Advances the clock by half a day, and checks every hour that at most one replica leads. */
  const advanceHalfDay = async () => {
    for (let hour = 0; hour < 12; hour++) {
      await clock.advance(HOUR);
      expect(leaders().length).toBeLessThanOrEqual(1);
    }
    await idle();
  };

  await update(TAX_SPEC);
  await advanceHalfDay();
  await advanceHalfDay();
  const initialLineCounts = replicas.map(({ lines }) => lines.length);
  env.sandbox.log.reset();
  let changes = 0;
  let heap = 0;
  for (let day = 1; day <= 28; day++) {
    // Every third day another caller changes a setting, every seventh day the spec changes, every fifth day AWS throttles.
    if (day % 3 === 0) {
      await env.client.send(
        { region: 'us-east-1' },
        new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }),
      );
      changes += 2;
    }
    if (day % 7 === 0) {
      await update(TAX_SPEC.replace('prefix: Tax/', `prefix: Tax/\n      metrics: ${day % 2 === 0}`));
      // A spec change and drift on the same day need only one write.
      if (day % 3 !== 0) changes += 1;
    }
    if (day % 5 === 0)
      env.sandbox.faultSettings.faults = [{ match: '*', nth: 1, times: 3, what: 'throttle' }];
    // Every fourth day the leader cannot reach the lease.
    const [cut] = day % 4 === 0 ? leaders() : [];
    if (cut) cut.isCut = true;
    await advanceHalfDay();
    if (cut) {
      expect(leaders(), `day ${day}`).toEqual(replicas.filter((replica) => replica !== cut));
      cut.isCut = false;
    }
    await advanceHalfDay();
    const [leader] = leaders();
    for (const replica of replicas)
      for (const name of NAMES)
        expect(replica.conditions(name), `day ${day}`).toMatchObject({
          Ready: { status: 'True' },
          Proven: { status: 'True' },
          Drifted: { status: 'False' },
        });
    // Drift on the day of a spec change is reported as a spec change.
    if (day % 3 === 0 && day % 7 !== 0)
      expect(leader?.conditions('tax')?.Drifted.reason, `day ${day}`).toBe('Healed');
    // Timers: a pass and a canary for each pair, a renewal and buffered warnings. Their number does not grow over time.
    expect(clock.pending).toBeLessThanOrEqual(16);
    if (day === 14) heap = await heapAfterGc();
  }
  for (const name of NAMES)
    await vi.waitFor(() => expect(leaders()[0]?.conditions(name)?.Verified.status).toBe('True'));

  const isCanary = ({ operation }: { operation: string }) => /^(Put|Delete)Object$/.test(operation);
  const writes = env.sandbox.log.entries.filter((entry) => entry.write && !isCanary(entry));
  expect(writes.filter(({ status = 0 }) => status < 300).length, 'no missed and no duplicate write').toBe(
    changes,
  );
  expect(new Set(writes.map(({ operation }) => operation))).toEqual(
    new Set(['DeleteBucketReplication', 'PutBucketReplication']),
  );
  for (const [at, { lines, controller }] of replicas.entries()) {
    expect(lines.length - (initialLineCounts[at] ?? 0)).toBeLessThan(changes * 4);
    for (const pair of controller.status().pairs) expect(pair.changes.length).toBeLessThanOrEqual(10);
  }
  // The request log of the sandbox does not count as memory of the controller.
  env.sandbox.log.reset();
  expect((await heapAfterGc()) / heap).toBeLessThan(1.05);
  for (const replica of replicas) await replica.stop();
  expect(clock.pending).toBe(0);
}, 240_000);

/** Creates a controller that writes while it leads, wired like `reconcile specs/`. */
function createReplica(
  env: TestEnv,
  clock: ReturnType<typeof fakeClock>,
  store: ReturnType<typeof createMemoryLeaseStore>['store'],
) {
  const stopping = new AbortController();
  const overNetwork =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (replica.isCut) throw new Error('the lease cannot be reached');
      return call(...args);
    };
  const elector = createElector({
    store: {
      name: store.name,
      read: overNetwork(store.read),
      create: overNetwork(store.create),
      update: overNetwork(store.update),
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
    conditions: (name: string) => controller.status().pairs.find((pair) => pair.name === name)?.conditions,
    async stop() {
      await controller.drain();
      stopping.abort();
      await electing;
    },
  };
  return replica;
}

/** Returns the heap size in bytes after garbage collection. */
async function heapAfterGc(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  // The second run frees objects that the first run finalized.
  await setImmediate();
  gc();
  return process.memoryUsage().heapUsed;
}
