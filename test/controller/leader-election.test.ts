import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  attemptTimeoutOf,
  createElector,
  DEFAULT_LEASE_TIMES,
  type Elector,
  type LeaseStore,
} from '../../src/controller/leader-election.ts';
import { createS3Lock, openS3Lock } from '../../src/controller/s3-lock.ts';
import { startSandbox } from '../../src/sandbox/server.ts';
import type { Clock } from '../../src/util/clock.ts';
import { fakeClock, flushPromises } from '../support/fake-clock.ts';
import { createMemoryLeaseStore, seededRandom } from '../support/lease-store.ts';

const stops: AbortController[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop.abort();
});

function candidate(identity: string, store: LeaseStore, clock: Clock) {
  const changes: boolean[] = [];
  const stop = new AbortController();
  stops.push(stop);
  const elector = createElector({
    store,
    identity,
    clock,
    random: () => 0.5,
    onChange: (isLeader) => changes.push(isLeader),
  });
  void elector.run(stop.signal);
  return { elector, changes, stop };
}

describe('elector', () => {
  test('the leader dies: the standby leads when the lease expires, and not before', async () => {
    const clock = fakeClock();
    const { store, current } = createMemoryLeaseStore();
    const a = candidate('a', store, clock);
    await flushPromises();
    const b = candidate('b', store, clock);
    await clock.advance(60_000);
    expect([a.elector.isLeader(), b.elector.isLeader()]).toEqual([true, false]);
    a.stop.abort();
    await clock.advance(DEFAULT_LEASE_TIMES.durationMs - DEFAULT_LEASE_TIMES.retryMs - 1_000);
    expect(b.elector.isLeader()).toBe(false);
    await clock.advance(3 * DEFAULT_LEASE_TIMES.retryMs);
    expect([a.elector.isLeader(), b.elector.isLeader()]).toEqual([false, true]);
    expect(current()).toMatchObject({ holder: 'b', transitions: 1, durationSeconds: 30 });
    expect(b.elector.transitions()).toBe(1);
    expect(a.changes).toEqual([true]);
    expect(b.changes).toEqual([true]);
  });

  test('the leader releases the lease: the standby leads at its next attempt', async () => {
    const clock = fakeClock();
    const { store } = createMemoryLeaseStore();
    const a = candidate('a', store, clock);
    await flushPromises();
    const b = candidate('b', store, clock);
    await clock.advance(10_000);
    a.stop.abort();
    await a.elector.release();
    expect(a.elector.isLeader()).toBe(false);
    await clock.advance(DEFAULT_LEASE_TIMES.retryMs * 1.2);
    expect(b.elector.isLeader()).toBe(true);
  });

  test('the leader cannot renew: stops before the lease expires, and leads again later', async () => {
    const clock = fakeClock();
    const { store } = createMemoryLeaseStore();
    let isCut = false;
    const flaky: LeaseStore = {
      ...store,
      read: () => (isCut ? Promise.reject(new Error('no route')) : store.read()),
    };
    const a = candidate('a', flaky, clock);
    await clock.advance(12_000);
    isCut = true;
    await clock.advance(DEFAULT_LEASE_TIMES.renewDeadlineMs - DEFAULT_LEASE_TIMES.retryMs - 1);
    expect(a.elector.isLeader()).toBe(true);
    await clock.advance(DEFAULT_LEASE_TIMES.retryMs + 1);
    expect(a.elector.isLeader()).toBe(false);
    expect(a.changes).toEqual([true, false]);
    isCut = false;
    await clock.advance(2 * DEFAULT_LEASE_TIMES.retryMs);
    expect(a.changes).toEqual([true, false, true]);
  });

  describe('acquire', () => {
    const signal = new AbortController().signal;
    const runOf = (store: LeaseStore, clock: Clock) => {
      const waits: number[] = [];
      const elector = createElector({
        store,
        identity: 'run',
        clock,
        random: () => 0.5,
        onChange: () => {},
      });
      const acquire = () => elector.acquire({ signal, onWait: (_, ms) => waits.push(ms) });
      return { elector, acquire, waits };
    };

    test('a free lease: holds it', async () => {
      const clock = fakeClock();
      const { store, current } = createMemoryLeaseStore();
      const { elector, acquire } = runOf(store, clock);
      expect(await acquire()).toBeUndefined();
      expect(elector.isLeader()).toBe(true);
      expect(current()).toMatchObject({ holder: 'run' });
    });

    test('a holder that renews: returns its record without a wait', async () => {
      const clock = fakeClock();
      const { store } = createMemoryLeaseStore();
      candidate('a', store, clock);
      await flushPromises();
      await clock.advance(DEFAULT_LEASE_TIMES.retryMs - 1);
      const { acquire, waits } = runOf(store, clock);
      expect(await acquire()).toMatchObject({ holder: 'a' });
      expect(waits).toEqual([]);
    });

    test.each([-3_600_000, 3_600_000])(
      'a holder that renews, and a wall clock that differs by %i ms: returns its record after a renewal',
      async (offsetMs) => {
        const clock = fakeClock();
        const { store } = createMemoryLeaseStore();
        candidate('a', store, clock);
        await flushPromises();
        const { elector, acquire, waits } = runOf(store, {
          ...clock,
          now: () => clock.now() + offsetMs,
        });
        const holder = acquire();
        await flushPromises();
        await clock.advance(2 * DEFAULT_LEASE_TIMES.retryMs);
        expect(await holder).toMatchObject({ holder: 'a' });
        expect(waits).toEqual([DEFAULT_LEASE_TIMES.durationMs]);
        expect(elector.isLeader()).toBe(false);
      },
    );

    test('a holder that does not renew: takes the lease over when it expires, and not before', async () => {
      const clock = fakeClock();
      const { store, current } = createMemoryLeaseStore();
      const a = candidate('a', store, clock);
      await flushPromises();
      a.stop.abort();
      clock.adjustWallTime(3_600_000);
      const { elector, acquire } = runOf(store, clock);
      const holder = acquire();
      await flushPromises();
      await clock.advance(DEFAULT_LEASE_TIMES.durationMs - 1);
      expect(elector.isLeader()).toBe(false);
      await clock.advance(1);
      expect(await holder).toBeUndefined();
      expect(current()).toMatchObject({ holder: 'run', transitions: 1 });
    });

    test('several runs at the same time: one holds the lease, the others get its record', async () => {
      const clock = fakeClock();
      const { store } = createMemoryLeaseStore();
      const runs = ['a', 'b', 'c'].map((identity) =>
        createElector({ store, identity, clock, random: () => 0.5, onChange: () => {} }),
      );
      const holders = Promise.all(runs.map((elector) => elector.acquire({ signal, onWait: () => {} })));
      await flushPromises();
      await clock.advance(1_000);
      const [winner] = runs.flatMap((elector, index) => (elector.isLeader() ? 'abc'[index] : []));
      expect((await holders).map((record) => record?.holder).sort()).toEqual([winner, winner, undefined]);
    });
  });

  test('an old record: the standby waits a lease duration by its own clock, not by the times in the record', async () => {
    const clock = fakeClock();
    const { store } = createMemoryLeaseStore();
    await store.create({
      holder: 'long ago',
      durationSeconds: 30,
      acquired: '1970-01-01T00:00:00.000Z',
      renewed: '1970-01-01T00:00:00.000Z',
      transitions: 7,
    });
    const b = candidate('b', store, clock);
    await flushPromises();
    await clock.advance(DEFAULT_LEASE_TIMES.durationMs - 1);
    expect(b.elector.isLeader()).toBe(false);
    await clock.advance(DEFAULT_LEASE_TIMES.retryMs * 1.2);
    expect(b.elector.isLeader()).toBe(true);
    expect(b.elector.transitions()).toBe(8);
  });

  test('the holder declares a longer duration: the standby waits for that duration', async () => {
    const clock = fakeClock();
    const { store } = createMemoryLeaseStore();
    const now = new Date(clock.now()).toISOString();
    await store.create({
      holder: 'previous',
      durationSeconds: 90,
      acquired: now,
      renewed: now,
      transitions: 0,
    });
    const b = candidate('b', store, clock);
    await flushPromises();
    await clock.advance(89_000);
    expect(b.elector.isLeader()).toBe(false);
    await clock.advance(10_000);
    expect(b.elector.isLeader()).toBe(true);
  });

  test('the wall clock changes: a standby leads no earlier, and a leader without renewal no longer', async () => {
    const clock = fakeClock();
    const { store } = createMemoryLeaseStore();
    let isCut = false;
    const flaky: LeaseStore = {
      ...store,
      read: () => (isCut ? Promise.reject(new Error('no route')) : store.read()),
    };
    const a = candidate('a', flaky, clock);
    await flushPromises();
    const standbyClock = fakeClock();
    const b = candidate('b', store, standbyClock);
    await flushPromises();
    await clock.advance(12_000);
    await standbyClock.advance(12_000);
    standbyClock.adjustWallTime(3_600_000);
    await standbyClock.advance(DEFAULT_LEASE_TIMES.retryMs * 1.2);
    expect([a.elector.isLeader(), b.elector.isLeader()]).toEqual([true, false]);

    isCut = true;
    clock.adjustWallTime(-3_600_000);
    await clock.advance(DEFAULT_LEASE_TIMES.renewDeadlineMs);
    expect(a.elector.isLeader()).toBe(false);
  });

  test('the machine was suspended and its monotonic clock stopped: does not lead after it resumes', async () => {
    const clock = fakeClock();
    const { store } = createMemoryLeaseStore();
    const a = candidate('a', store, clock);
    await clock.advance(12_000);
    expect(a.elector.isLeader()).toBe(true);
    clock.adjustWallTime(DEFAULT_LEASE_TIMES.renewDeadlineMs);
    expect(a.elector.isLeader()).toBe(false);
    await clock.advance(DEFAULT_LEASE_TIMES.retryMs);
    expect(a.elector.isLeader()).toBe(true);
  });

  test.each([
    { durationMs: 10_000, renewDeadlineMs: 10_000, retryMs: 2_000 },
    { durationMs: 10_000, renewDeadlineMs: 2_000, retryMs: 2_000 },
  ])('lease times that allow two leaders: throws for %j', (times) => {
    const { store } = createMemoryLeaseStore();
    const options = { store, identity: 'a', clock: fakeClock(), random: () => 0, onChange: () => {} };
    expect(() => createElector({ ...options, times })).toThrow('invalid lease times');
  });
});

/** Returns a clock of one process that can be stopped. Timers that are due meanwhile run when it continues. */
function stoppableClock(clock: Clock): Clock & { stop(ms: number): void } {
  let until = 0;
  const after = (ms: number, callback: () => void): (() => void) => {
    let cancel = clock.schedule(ms, () => {
      const remainingMs = until - clock.now();
      if (remainingMs > 0) cancel = after(remainingMs, callback);
      else callback();
    });
    return () => cancel();
  };
  return {
    now: clock.now,
    monotonicNow: clock.monotonicNow,
    schedule: after,
    stop(ms) {
      until = Math.max(until, clock.now() + ms);
    },
  };
}

/**
 * Simulates three processes that write while they lead. A call takes up to the timeout of an attempt. Stores respond late
 * or not at all. Processes stop for longer than a lease lasts, and lose the connection to the store but never to AWS.
 */
async function simulate(
  seed: number,
  { isFenced }: { isFenced: boolean },
): Promise<{ calls: number; overlaps: number }> {
  const random = seededRandom(seed);
  const clock = fakeClock(0);
  const { store } = createMemoryLeaseStore();
  const calls: { by: string; from: number; to: number }[] = [];
  const wait = (ms: number, on: Clock) => new Promise<void>((resolve) => on.schedule(ms, resolve));

  const processes = ['a', 'b', 'c'].map((identity) => {
    const ownClock = stoppableClock(clock);
    let cutUntil = 0;
    const overNetwork = async <T>(call: () => Promise<T>): Promise<T> => {
      await wait(random() * 2_000, ownClock);
      if (clock.now() < cutUntil) throw new Error('cut off');
      const response = await call();
      // The response may be lost after the store has completed the call.
      if (random() < 0.03) throw new Error('lost');
      await wait(random() * 2_000, ownClock);
      return response;
    };
    const remoteStore: LeaseStore = {
      name: 'remote',
      read: () => overNetwork(() => store.read()),
      create: (record) => overNetwork(() => store.create(record)),
      update: (record, version) => overNetwork(() => store.update(record, version)),
    };
    const { elector } = candidate(identity, remoteStore, ownClock);
    const write = async (): Promise<void> => {
      for (;;) {
        await wait(500, ownClock);
        if (!elector.isLeader()) continue;
        // A change consists of several calls. Without the fence, only the first call checks the leadership.
        for (let call = 0; call < 4; call++) {
          if (isFenced && !elector.isLeader()) break;
          const from = clock.now();
          const to = from + random() * attemptTimeoutOf(DEFAULT_LEASE_TIMES);
          calls.push({ by: identity, from, to });
          await wait(to - from, ownClock);
        }
      }
    };
    void write();
    return {
      injectFault() {
        const choice = random();
        if (choice < 0.4) ownClock.stop(random() * 90_000);
        else if (choice < 0.8) cutUntil = clock.now() + random() * 90_000;
      },
    };
  });

  for (let minute = 0; minute < 40; minute++) {
    await clock.advance(60_000);
    if (minute % 2 === 1) processes[Math.floor(random() * 3)]?.injectFault();
  }
  const overlaps = calls.filter((call) =>
    calls.some((other) => other.by !== call.by && other.from < call.to && call.from < other.to),
  );
  return { calls: calls.length, overlaps: overlaps.length };
}

describe('concurrent writes', () => {
  test('processes stop, lose the connection or miss responses: no two processes write concurrently', async () => {
    let calls = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const result = await simulate(seed, { isFenced: true });
        calls += result.calls;
        expect(result.overlaps).toBe(0);
      }),
      { numRuns: 12 },
    );
    expect(calls).toBeGreaterThan(1_000);
  });

  test('without a check before every attempt: two processes write concurrently', async () => {
    const runs = await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => simulate(seed, { isFenced: false })));
    expect(runs.reduce((sum, { overlaps }) => sum + overlaps, 0)).toBeGreaterThan(0);
  });
});

test('S3 lock: S3 does not respond, stops in the middle, or sends byte by byte: fails after the timeout', async () => {
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/locks/half')) response.writeHead(200, { 'content-length': 100 }).write('{');
    if (!request.url?.startsWith('/locks/trickled')) return;
    response.writeHead(200, { 'content-length': 4_000 });
    const timer = setInterval(() => response.write(' '), 20);
    response.on('close', () => clearInterval(timer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  vi.stubEnv('AWS_REGION', 'us-east-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', '111122223333');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  try {
    for (const key of ['none', 'half', 'trickled'])
      await expect(
        openS3Lock({ bucket: 'locks', key }, { timeoutMs: 200 })('replikey').read(),
      ).rejects.toThrow(`cannot read lock s3://locks/${key}: S3 did not respond in time`);
  } finally {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    server.close();
  }
}, 5_000);

test('S3 lock: one of three candidates acquires and renews it, and another takes over when it expires', async () => {
  const sandbox = await startSandbox();
  const client = new S3Client({
    endpoint: sandbox.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: 'locks' }));
    const clock = fakeClock();
    const candidates = ['a', 'b', 'c'].map((identity) =>
      candidate(identity, createS3Lock(client, { bucket: 'locks', key: 'replikey/lock.json' }), clock),
    );
    const leaders = (): Elector[] =>
      candidates.map(({ elector }) => elector).filter((elector) => elector.isLeader());
    await vi.waitFor(() => expect(leaders()).toHaveLength(1));
    const [first] = leaders();
    candidates.find(({ elector }) => elector === first)?.stop.abort();
    await vi.waitFor(
      async () => {
        await clock.advance(1_000);
        expect(leaders()).toHaveLength(1);
        expect(leaders()[0]).not.toBe(first);
      },
      { timeout: 20_000 },
    );
    expect(leaders()[0]?.transitions()).toBe(1);
    await leaders()[0]?.release();
    await vi.waitFor(
      async () => {
        await clock.advance(1_000);
        expect(leaders()).toHaveLength(1);
      },
      { timeout: 20_000 },
    );
  } finally {
    for (const stop of stops.splice(0)) stop.abort();
    client.destroy();
    await sandbox.close();
  }
});
