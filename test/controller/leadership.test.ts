import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { DEFAULT_LEASE_TIMES, type LeaseStore } from '../../src/controller/leader-election.ts';
import {
  createLeadership,
  type Leadership,
  type LeadershipChange,
  readOnlyLeadership,
} from '../../src/controller/leadership.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { createMemoryLeaseStore, seededRandom } from '../support/lease-store.ts';

const BUCKETS = Array.from({ length: 20 }, (_, index) => `acme-${index}`);

const stops: AbortController[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop.abort();
});

/** Simulates processes with shards that share the same leases. */
function cluster() {
  const clock = fakeClock();
  const stores = new Map<string, LeaseStore>();
  const running = new Set<{ leadership: Leadership; stop: AbortController }>();
  let count = 0;
  const storeOf = (name: string): LeaseStore => {
    const store = stores.get(name) ?? createMemoryLeaseStore().store;
    stores.set(name, store);
    return store;
  };
  const start = (index: number, of: number, overNetwork = <T>(call: () => Promise<T>) => call()) => {
    const changes: LeadershipChange[] = [];
    const stop = new AbortController();
    stops.push(stop);
    const leadership = createLeadership({
      shard: { index, of },
      openStore: (name) => {
        const store = storeOf(name);
        return {
          name,
          read: () => overNetwork(() => store.read()),
          create: (record) => overNetwork(() => store.create(record)),
          update: (record, version) => overNetwork(() => store.update(record, version)),
        };
      },
      identity: `process-${count++}`,
      clock,
      times: DEFAULT_LEASE_TIMES,
      random: () => 0.5,
      onChange: (change) => changes.push(change),
      onError: () => {},
    });
    void leadership.run(stop.signal);
    const member = { leadership, stop, changes };
    running.add(member);
    return {
      ...member,
      async end() {
        stop.abort();
        await leadership.release().catch(() => {});
        running.delete(member);
      },
    };
  };
  /** Returns the number of leaders of each bucket. */
  const leaders = () =>
    BUCKETS.map((bucket) => [...running].filter(({ leadership }) => leadership.isLeaderFor(bucket)).length);
  /** Advances the clock, and checks every second that no bucket has two leaders. */
  const pass = async (ms: number) => {
    for (let remainingMs = ms; remainingMs > 0; remainingMs -= 1_000) {
      await clock.advance(Math.min(remainingMs, 1_000));
      expect(Math.max(...leaders())).toBeLessThanOrEqual(1);
    }
  };
  const startAll = (of: number) => Array.from({ length: of }, (_, at) => start(at + 1, of));
  return { clock, start, startAll, pass, leaders };
}

const ONE_LEADER_EACH = BUCKETS.map(() => 1);

describe('sharded leadership', () => {
  test('a process stops and returns: each bucket has one leader', async () => {
    const { startAll, pass, leaders, start } = cluster();
    const [first, ...remaining] = startAll(3);
    await pass(60_000);
    expect(leaders()).toEqual(ONE_LEADER_EACH);
    for (const { changes } of remaining) expect(changes.map(({ isLeader: leads }) => leads)).toEqual([true]);
    await first?.end();
    await pass(DEFAULT_LEASE_TIMES.durationMs + 2 * DEFAULT_LEASE_TIMES.retryMs);
    expect(leaders()).toEqual(ONE_LEADER_EACH);
    start(1, 3);
    await pass(20 * 60_000);
    expect(leaders()).toEqual(ONE_LEADER_EACH);
  });

  test('processes renew the shared lease concurrently: none loses its leadership', async () => {
    const { clock, start, pass, leaders } = cluster();
    // All requests arrive together, so that only one conditional write succeeds.
    const overNetwork = async <T>(call: () => Promise<T>): Promise<T> => {
      await new Promise<void>((resolve) => void clock.schedule(200, resolve));
      return call();
    };
    const all = [1, 2, 3, 4, 5].map((index) => start(index, 5, overNetwork));
    await pass(10 * 60_000);
    expect(leaders()).toEqual(ONE_LEADER_EACH);
    expect(all.flatMap(({ changes }) => changes.filter(({ isLeader: leads }) => !leads))).toEqual([]);
  });

  test.each([
    [3, 4],
    [4, 3],
    [1, 3],
    [3, 1],
    [2, 8],
  ])(
    '%i shards become %i by a rollout: never two leaders, and afterwards one leader for each bucket',
    async (before, after) => {
      const { startAll, start, pass, leaders } = cluster();
      const old = startAll(before);
      await pass(60_000);
      expect(leaders()).toEqual(ONE_LEADER_EACH);
      for (let at = 0; at < Math.max(before, after); at++) {
        await old[at]?.end();
        await pass(2_000);
        if (at < after) start(at + 1, after);
        await pass(45_000);
        // The remaining processes take over the other shards until the last process stops.
        if (at < before - 1) expect(leaders()).toEqual(ONE_LEADER_EACH);
      }
      await pass(2 * DEFAULT_LEASE_TIMES.durationMs);
      expect(leaders()).toEqual(ONE_LEADER_EACH);
    },
  );

  test('processes with a different number of shards: lead nothing while the old ones run', async () => {
    const { startAll, pass, leaders } = cluster();
    startAll(2);
    await pass(30_000);
    const rolledOut = startAll(3);
    await pass(10 * 60_000);
    expect(leaders()).toEqual(ONE_LEADER_EACH);
    expect(rolledOut.flatMap(({ changes }) => changes)).toEqual([]);
  });

  test('processes start, stop and lose the connection at random: no bucket has two leaders', async () => {
    let stepsWithLeader = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const { clock, start, pass, leaders } = cluster();
        const running: { end(): Promise<void> }[] = [];
        for (let step = 0; step < 30; step++) {
          const choice = random();
          const of = 1 + Math.floor(random() * 3);
          if (choice < 0.5 || running.length === 0) {
            let cutUntil = 0;
            const overNetwork = async <T>(call: () => Promise<T>): Promise<T> => {
              if (random() < 0.02) cutUntil = clock.monotonicNow() + random() * 60_000;
              if (clock.monotonicNow() < cutUntil) throw new Error('cut off');
              const response = await call();
              if (random() < 0.03) throw new Error('lost');
              return response;
            };
            running.push(start(1 + Math.floor(random() * of), of, overNetwork));
          } else await running.splice(Math.floor(random() * running.length), 1)[0]?.end();
          await pass(random() * 60_000);
          stepsWithLeader += Math.max(...leaders());
        }
        for (const process of running) await process.end();
      }),
      { numRuns: 6 },
    );
    expect(stepsWithLeader).toBeGreaterThan(20);
  });
});

test('read-only leadership: leads nothing, and is assigned the pairs of its shard', () => {
  const leadership = readOnlyLeadership({ index: 2, of: 3 });
  expect(BUCKETS.some((bucket) => leadership.isLeaderFor(bucket))).toBe(false);
  const assigned = BUCKETS.filter((bucket) => leadership.isAssignedTo(bucket));
  expect(assigned.length).toBeGreaterThan(0);
  expect(assigned.length).toBeLessThan(BUCKETS.length);
  expect(leadership.leaseNames).toEqual(['replikey-1-of-3', 'replikey-2-of-3', 'replikey-3-of-3']);
  expect(BUCKETS.every((bucket) => readOnlyLeadership().isAssignedTo(bucket))).toBe(true);
});
