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
    onChange: (leads) => changes.push(leads),
  });
  void elector.run(stop.signal);
  return { elector, changes, stop };
}

describe('an election', () => {
  test('one of two leads; when it dies the other leads within the time of the lease, and not before', async () => {
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

  test('one that gives it back is followed at the next attempt', async () => {
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

  test('one that cannot renew stops by itself before anybody else may begin, and stands by', async () => {
    const clock = fakeClock();
    const { store } = createMemoryLeaseStore();
    let cut = false;
    const flaky: LeaseStore = {
      ...store,
      read: () => (cut ? Promise.reject(new Error('no route')) : store.read()),
    };
    const a = candidate('a', flaky, clock);
    await clock.advance(12_000);
    cut = true;
    await clock.advance(DEFAULT_LEASE_TIMES.renewDeadlineMs - DEFAULT_LEASE_TIMES.retryMs - 1);
    expect(a.elector.isLeader()).toBe(true);
    await clock.advance(DEFAULT_LEASE_TIMES.retryMs + 1);
    expect(a.elector.isLeader()).toBe(false);
    expect(a.changes).toEqual([true, false]);
    cut = false;
    await clock.advance(2 * DEFAULT_LEASE_TIMES.retryMs);
    expect(a.changes).toEqual([true, false, true]);
  });

  test('the same record is waited for on the clock of who waits; that of the holder is not asked', async () => {
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

  test('whoever said that it lasts longer is waited for as long', async () => {
    const clock = fakeClock();
    const { store } = createMemoryLeaseStore();
    const now = new Date(clock.now()).toISOString();
    await store.create({
      holder: 'patient',
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

  test('the time of day may be set: who waits takes nothing sooner, and who is cut off keeps nothing longer', async () => {
    const clock = fakeClock();
    const { store } = createMemoryLeaseStore();
    let cut = false;
    const flaky: LeaseStore = {
      ...store,
      read: () => (cut ? Promise.reject(new Error('no route')) : store.read()),
    };
    const a = candidate('a', flaky, clock);
    await flushPromises();
    const waits = fakeClock();
    const b = candidate('b', store, waits);
    await flushPromises();
    await clock.advance(12_000);
    await waits.advance(12_000);
    waits.adjustWallTime(3_600_000);
    await waits.advance(DEFAULT_LEASE_TIMES.retryMs * 1.2);
    expect([a.elector.isLeader(), b.elector.isLeader()]).toEqual([true, false]);

    cut = true;
    clock.adjustWallTime(-3_600_000);
    await clock.advance(DEFAULT_LEASE_TIMES.renewDeadlineMs);
    expect(a.elector.isLeader()).toBe(false);
  });

  test('a machine that was suspended, whose clock stood still meanwhile, does not lead when it wakes', async () => {
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
  ])('times in which two could hold it are refused: %j', (times) => {
    const { store } = createMemoryLeaseStore();
    const options = { store, identity: 'a', clock: fakeClock(), random: () => 0, onChange: () => {} };
    expect(() => createElector({ ...options, times })).toThrow('must last longer');
  });
});

/** A clock of one process that can be stopped: what falls due meanwhile is done when it goes on. */
function stoppable(clock: Clock): Clock & { stop(ms: number): void } {
  let until = 0;
  const after = (ms: number, then: () => void): (() => void) => {
    let callOff = clock.schedule(ms, () => {
      const left = until - clock.now();
      if (left > 0) callOff = after(left, then);
      else then();
    });
    return () => callOff();
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
 * Three processes that write whenever they lead. A call takes up to the timeout of an attempt; stores answer late, or not;
 * processes are stopped for longer than a lease lasts, and are cut off from the store, but never from AWS.
 */
async function simulate(
  seed: number,
  { guarded }: { guarded: boolean },
): Promise<{ calls: number; overlaps: number }> {
  const random = seededRandom(seed);
  const clock = fakeClock(0);
  const { store } = createMemoryLeaseStore();
  const flights: { by: string; from: number; to: number }[] = [];
  const wait = (ms: number, on: Clock) => new Promise<void>((resolve) => on.schedule(ms, resolve));

  const processes = ['a', 'b', 'c'].map((identity) => {
    const own = stoppable(clock);
    let cutUntil = 0;
    const reach = async <T>(call: () => Promise<T>): Promise<T> => {
      await wait(random() * 2_000, own);
      if (clock.now() < cutUntil) throw new Error('cut off');
      const answer = await call();
      // The answer may be lost after it was done.
      if (random() < 0.03) throw new Error('lost');
      await wait(random() * 2_000, own);
      return answer;
    };
    const far: LeaseStore = {
      name: 'far',
      read: () => reach(() => store.read()),
      create: (record) => reach(() => store.create(record)),
      update: (record, version) => reach(() => store.update(record, version)),
    };
    const { elector } = candidate(identity, far, own);
    const write = async (): Promise<void> => {
      for (;;) {
        await wait(500, own);
        if (!elector.isLeader()) continue;
        // A change is many calls; without the guard it is asked only once whether it may.
        for (let call = 0; call < 4; call++) {
          if (guarded && !elector.isLeader()) break;
          const from = clock.now();
          const to = from + random() * attemptTimeoutOf(DEFAULT_LEASE_TIMES);
          flights.push({ by: identity, from, to });
          await wait(to - from, own);
        }
      }
    };
    void write();
    return {
      trouble() {
        const what = random();
        if (what < 0.4) own.stop(random() * 90_000);
        else if (what < 0.8) cutUntil = clock.now() + random() * 90_000;
      },
    };
  });

  for (let minute = 0; minute < 40; minute++) {
    await clock.advance(60_000);
    if (minute % 2 === 1) processes[Math.floor(random() * 3)]?.trouble();
  }
  const overlaps = flights.filter((one) =>
    flights.some((other) => other.by !== one.by && other.from < one.to && one.from < other.to),
  );
  return { calls: flights.length, overlaps: overlaps.length };
}

describe('no two write at a time', () => {
  test('whoever is stopped, cut off or left without an answer, and for however long', async () => {
    let calls = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const result = await simulate(seed, { guarded: true });
        calls += result.calls;
        expect(result.overlaps).toBe(0);
      }),
      { numRuns: 12 },
    );
    expect(calls).toBeGreaterThan(1_000);
  });

  test('which is the merit of asking before every attempt: without it they do', async () => {
    const runs = await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => simulate(seed, { guarded: false })));
    expect(runs.reduce((sum, { overlaps }) => sum + overlaps, 0)).toBeGreaterThan(0);
  });
});

test('a lock in S3 that does not answer, or stops in the middle, is given up in time', async () => {
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/locks/half')) response.writeHead(200, { 'content-length': 100 }).write('{');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  vi.stubEnv('AWS_REGION', 'us-east-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', '111122223333');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  try {
    for (const key of ['none', 'half'])
      await expect(openS3Lock({ bucket: 'locks', key }, true, 200)('replikey').read()).rejects.toThrow(
        `the lock s3://locks/${key} cannot be read: there was no answer in time`,
      );
  } finally {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    server.close();
  }
}, 5_000);

test('a lock in S3: one of many takes it, renews it, and loses it to who waited long enough', async () => {
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
    const leaders = (): Elector[] => candidates.map(({ elector }) => elector).filter((one) => one.isLeader());
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
