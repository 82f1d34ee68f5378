import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createElector, DEFAULT_LEASE_TIMES, type Elector } from '../../src/controller/leader-election.ts';
import type { KubernetesApi } from '../../src/kubernetes/api.ts';
import { createKubernetesLeaseStore } from '../../src/kubernetes/lease-store.ts';
import { type FakeClock, fakeClock, flushPromises } from '../support/fake-clock.ts';
import { type ApiServer, NAMESPACE } from './api-server.ts';
import { startRealServer, whyNoRealServer } from './real-server.ts';
import { type Fault, type StandIn, startStandIn } from './stand-in.ts';

const LEASES = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`;

const stops: AbortController[] = [];
const stopAll = () => {
  for (const stop of stops.splice(0)) stop.abort();
};
afterEach(stopAll);

/** Electors at one lease, each with a count of its requests that are under way. */
function candidates(api: KubernetesApi, name: string, clock: FakeClock) {
  const begun = ['a', 'b', 'c'].map((identity) => {
    let pending = 0;
    const counting: KubernetesApi = {
      ...api,
      async request(...args) {
        pending += 1;
        try {
          return await api.request(...args);
        } finally {
          pending -= 1;
        }
      },
    };
    const stop = new AbortController();
    stops.push(stop);
    const elector = createElector({
      store: createKubernetesLeaseStore(counting, name),
      identity,
      clock,
      random: () => 0.5,
      onChange: () => {},
      onError: () => {},
    });
    void elector.run(stop.signal);
    return { identity, elector, stop, pending: () => pending };
  });
  const leaders = () => begun.filter(({ elector }) => elector.isLeader());
  /** Let some time pass, in steps in which requests come to their end. */
  const pass = async (ms: number, check = () => {}) => {
    for (let left = ms; left > 0; left -= 1_000) {
      await clock.advance(1_000);
      await vi.waitFor(() => expect(begun.every(({ pending }) => pending() === 0)).toBe(true), {
        interval: 1,
      });
      await flushPromises();
      check();
    }
  };
  return { begun, leaders, pass };
}

const skipped = whyNoRealServer();
const SERVERS: [name: string, start: () => Promise<ApiServer>, skip: string | undefined][] = [
  ['a stand-in of the API server', startStandIn, undefined],
  ['a real API server', startRealServer, skipped],
];

describe.each(SERVERS)('a Lease in %s', (name, start, skip) => {
  test.skipIf(skip)(
    `is held by one of three; the next follows within the time of the lease, or at once where it is given back${skip ? ` (skipped: ${skip})` : ''}`,
    { timeout: 90_000 },
    async () => {
      await using server = await start();
      const clock = fakeClock();
      const { leaders, pass } = candidates(server.admin, 'replikey', clock);
      await pass(10_000);
      expect(leaders(), name).toHaveLength(1);
      const [first] = leaders();
      const { body } = await server.admin.request('GET', `${LEASES}/replikey`);
      expect(body.spec).toMatchObject({
        holderIdentity: first?.identity,
        leaseDurationSeconds: 30,
        leaseTransitions: 0,
        renewTime: expect.stringMatching(/^2026-01-01T00:00:\d\d\.\d{6}Z$/),
      });

      first?.stop.abort();
      await pass(DEFAULT_LEASE_TIMES.durationMs - DEFAULT_LEASE_TIMES.retryMs - 1_000, () =>
        expect(leaders().every((one) => one === first)).toBe(true),
      );
      await pass(3 * DEFAULT_LEASE_TIMES.retryMs);
      const [second] = leaders();
      expect(second).toBeDefined();
      expect(second).not.toBe(first);
      expect(second?.elector.transitions()).toBe(1);

      second?.stop.abort();
      await second?.elector.release();
      expect((await server.admin.request('GET', `${LEASES}/replikey`)).body.spec.holderIdentity).toBe('');
      await pass(2 * DEFAULT_LEASE_TIMES.retryMs);
      expect(leaders()).toHaveLength(1);
      stopAll();
    },
  );
});

describe('never two lead', () => {
  test('whatever becomes of requests and answers', async () => {
    const what = fc.constantFrom<Fault['what']>('lost', 409, 410, 429, 500, 503);
    const match = fc.constantFrom(/GET .*leases/, /(PUT|POST) .*leases/, /leases/);
    const faults = fc.array(fc.record({ match, times: fc.integer({ min: 1, max: 12 }), what }), {
      minLength: 1,
      maxLength: 12,
    });
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(faults, async (trouble) => {
        await using server = await startStandIn();
        const { leaders, pass } = candidates(server.admin, 'replikey', fakeClock());
        const seen = new Set<Elector | undefined>();
        for (const fault of trouble) {
          server.faults.push({ ...fault });
          await pass(20_000, () => {
            expect(leaders().length).toBeLessThanOrEqual(1);
            seen.add(leaders()[0]?.elector);
          });
        }
        server.faults.length = 0;
        await pass(2 * DEFAULT_LEASE_TIMES.durationMs);
        expect(leaders()).toHaveLength(1);
        changes += seen.size;
        stopAll();
      }),
      { numRuns: 8 },
    );
    expect(changes).toBeGreaterThan(8);
  }, 60_000);

  test('where a renewal was done and its answer lost, who holds it goes on', async () => {
    await using server = await startStandIn();
    const { leaders, pass } = candidates(server.admin, 'replikey', fakeClock());
    await pass(5_000);
    const [leader] = leaders();
    server.faults.push({ match: /PUT .*leases/, times: 1, what: 'lost' });
    await pass(60_000, () => expect(leaders()).toEqual([leader]));
    expect(server.faults[0]?.times).toBe(0);
  });

  test('an answer that comes after the renewal was due counts from when it was asked for', async () => {
    await using server: StandIn = await startStandIn();
    const clock = fakeClock();
    const { leaders, pass } = candidates(server.admin, 'replikey', clock);
    await pass(5_000);
    const [leader] = leaders();
    server.faults.push({ match: /PUT .*leases/, times: 1, what: 'held' });
    await clock.advance(DEFAULT_LEASE_TIMES.retryMs);
    await vi.waitFor(() => expect(server.faults[0]?.times).toBe(0));
    await clock.advance(DEFAULT_LEASE_TIMES.renewDeadlineMs);
    expect(leader?.elector.isLeader()).toBe(false);
    server.release();
    await flushPromises();
    expect(leader?.elector.isLeader()).toBe(false);
    await pass(DEFAULT_LEASE_TIMES.durationMs);
    expect(leaders()).toHaveLength(1);
  });
});
