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

/** Processes of which each is for one of some parts, at the same leases. */
function cluster() {
  const clock = fakeClock();
  const stores = new Map<string, LeaseStore>();
  const running = new Set<{ leadership: Leadership; stop: AbortController }>();
  let count = 0;
  const storeOf = (name: string): LeaseStore => {
    const known = stores.get(name) ?? createMemoryLeaseStore().store;
    stores.set(name, known);
    return known;
  };
  const start = (index: number, of: number, reach = <T>(call: () => Promise<T>) => call()) => {
    const changes: LeadershipChange[] = [];
    const stop = new AbortController();
    stops.push(stop);
    const leadership = createLeadership({
      shard: { index, of },
      openStore: (name) => {
        const store = storeOf(name);
        return {
          name,
          read: () => reach(() => store.read()),
          create: (record) => reach(() => store.create(record)),
          update: (record, version) => reach(() => store.update(record, version)),
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
    const one = { leadership, stop, changes };
    running.add(one);
    return {
      ...one,
      async end() {
        stop.abort();
        await leadership.release().catch(() => {});
        running.delete(one);
      },
    };
  };
  /** How many lead each bucket. */
  const leaders = () =>
    BUCKETS.map((bucket) => [...running].filter(({ leadership }) => leadership.isLeaderFor(bucket)).length);
  /** Let some time pass, in which none is ever led by two. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1_000) {
      await clock.advance(Math.min(left, 1_000));
      expect(Math.max(...leaders())).toBeLessThanOrEqual(1);
    }
  };
  const begin = (of: number) => Array.from({ length: of }, (_, at) => start(at + 1, of));
  return { clock, start, begin, pass, leaders };
}

const EACH_ONE = BUCKETS.map(() => 1);

describe('processes that divide the pairs', () => {
  test('lead each pair once, and go on to do so while others come and go', async () => {
    const { begin, pass, leaders, start } = cluster();
    const [first, ...others] = begin(3);
    await pass(60_000);
    expect(leaders()).toEqual(EACH_ONE);
    for (const { changes } of others) expect(changes.map(({ isLeader: leads }) => leads)).toEqual([true]);
    await first?.end();
    await pass(DEFAULT_LEASE_TIMES.durationMs + 2 * DEFAULT_LEASE_TIMES.retryMs);
    expect(leaders()).toEqual(EACH_ONE);
    start(1, 3);
    await pass(20 * 60_000);
    expect(leaders()).toEqual(EACH_ONE);
  });

  test('do not mind that they renew what they hold together in the same moment', async () => {
    const { clock, start, pass, leaders } = cluster();
    // All that is sent arrives at once, so that all but one find that another was faster.
    const reach = async <T>(call: () => Promise<T>): Promise<T> => {
      await new Promise<void>((resolve) => void clock.schedule(200, resolve));
      return call();
    };
    const all = [1, 2, 3, 4, 5].map((index) => start(index, 5, reach));
    await pass(10 * 60_000);
    expect(leaders()).toEqual(EACH_ONE);
    expect(all.flatMap(({ changes }) => changes.filter(({ isLeader: leads }) => !leads))).toEqual([]);
  });

  test.each([
    [3, 4],
    [4, 3],
    [1, 3],
    [3, 1],
    [2, 8],
  ])(
    '%i that become %i, one after the other, never lead a pair together, and then each once',
    async (before, after) => {
      const { begin, start, pass, leaders } = cluster();
      const old = begin(before);
      await pass(60_000);
      expect(leaders()).toEqual(EACH_ONE);
      for (let at = 0; at < Math.max(before, after); at++) {
        await old[at]?.end();
        await pass(2_000);
        if (at < after) start(at + 1, after);
        await pass(45_000);
        // Those that are left stand in for the others until the last one goes.
        if (at < before - 1) expect(leaders()).toEqual(EACH_ONE);
      }
      await pass(2 * DEFAULT_LEASE_TIMES.durationMs);
      expect(leaders()).toEqual(EACH_ONE);
    },
  );

  test('and others that divide them otherwise meanwhile lead nothing', async () => {
    const { begin, pass, leaders } = cluster();
    begin(2);
    await pass(30_000);
    const others = begin(3);
    await pass(10 * 60_000);
    expect(leaders()).toEqual(EACH_ONE);
    expect(others.flatMap(({ changes }) => changes)).toEqual([]);
  });

  test('whatever comes, goes, and is cut off: none is led by two', async () => {
    let led = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const { clock, start, pass, leaders } = cluster();
        const running: { end(): Promise<void> }[] = [];
        for (let step = 0; step < 30; step++) {
          const what = random();
          const of = 1 + Math.floor(random() * 3);
          if (what < 0.5 || running.length === 0) {
            let cutUntil = 0;
            const reach = async <T>(call: () => Promise<T>): Promise<T> => {
              if (random() < 0.02) cutUntil = clock.monotonicNow() + random() * 60_000;
              if (clock.monotonicNow() < cutUntil) throw new Error('cut off');
              const answer = await call();
              if (random() < 0.03) throw new Error('lost');
              return answer;
            };
            running.push(start(1 + Math.floor(random() * of), of, reach));
          } else await running.splice(Math.floor(random() * running.length), 1)[0]?.end();
          await pass(random() * 60_000);
          led += Math.max(...leaders());
        }
        for (const one of running) await one.end();
      }),
      { numRuns: 6 },
    );
    expect(led).toBeGreaterThan(20);
  });
});

test('who only looks stands in nobody’s way, and minds its part', () => {
  const one = readOnlyLeadership({ index: 2, of: 3 });
  expect(BUCKETS.some((bucket) => one.isLeaderFor(bucket))).toBe(false);
  const minded = BUCKETS.filter((bucket) => one.isAssignedTo(bucket));
  expect(minded.length).toBeGreaterThan(0);
  expect(minded.length).toBeLessThan(BUCKETS.length);
  expect(one.leaseNames).toEqual(['replikey-1-of-3', 'replikey-2-of-3', 'replikey-3-of-3']);
  expect(BUCKETS.every((bucket) => readOnlyLeadership().isAssignedTo(bucket))).toBe(true);
});
