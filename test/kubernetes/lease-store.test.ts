import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createElector, DEFAULT_LEASE_TIMES, type Elector } from '../../src/controller/leader-election.ts';
import type { KubernetesApi } from '../../src/kubernetes/api.ts';
import { createKubernetesLeaseStore } from '../../src/kubernetes/lease-store.ts';
import { type FakeClock, fakeClock, flushPromises } from '../support/fake-clock.ts';
import { type ApiServer, NAMESPACE } from './api-server.ts';
import { type FakeApiServer, type Fault, startFakeApiServer } from './fake-api-server.ts';
import { realServerSkipReason, startRealServer } from './real-server.ts';

const LEASES = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`;

const stops: AbortController[] = [];
const stopAll = () => {
  for (const stop of stops.splice(0)) stop.abort();
};
afterEach(stopAll);

/** Starts three electors of one lease, and counts the pending requests of each. */
function candidates(api: KubernetesApi, name: string, clock: FakeClock) {
  const electors = ['a', 'b', 'c'].map((identity) => {
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
  const leaders = () => electors.filter(({ elector }) => elector.isLeader());
  /** Advances the clock in steps of one second, and waits for all requests in each step. */
  const pass = async (ms: number, check = () => {}) => {
    for (let remainingMs = ms; remainingMs > 0; remainingMs -= 1_000) {
      await clock.advance(1_000);
      await vi.waitFor(() => expect(electors.every(({ pending }) => pending() === 0)).toBe(true), {
        interval: 1,
      });
      await flushPromises();
      check();
    }
  };
  return { leaders, pass };
}

const skipReason = realServerSkipReason();
const SERVERS: [name: string, start: () => Promise<ApiServer>, skip: string | undefined][] = [
  ['a fake API server', startFakeApiServer, undefined],
  ['a real API server', startRealServer, skipReason],
];

describe.each(SERVERS)('Kubernetes lease, %s', (name, start, skip) => {
  test.skipIf(skip)(
    `three candidates: one leads; another takes over after the lease duration, or immediately after a release${skip ? ` (skipped: ${skip})` : ''}`,
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
        expect(leaders().every((leader) => leader === first)).toBe(true),
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

describe('Kubernetes lease with faults', () => {
  test('requests fail or responses are lost: never two leaders', async () => {
    const effect = fc.constantFrom<Fault['effect']>('lost', 409, 410, 429, 500, 503);
    const match = fc.constantFrom(/GET .*leases/, /(PUT|POST) .*leases/, /leases/);
    const faults = fc.array(fc.record({ match, times: fc.integer({ min: 1, max: 12 }), effect }), {
      minLength: 1,
      maxLength: 12,
    });
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(faults, async (injectedFaults) => {
        await using server = await startFakeApiServer();
        const { leaders, pass } = candidates(server.admin, 'replikey', fakeClock());
        const pastLeaders = new Set<Elector | undefined>();
        for (const fault of injectedFaults) {
          server.faults.push({ ...fault });
          await pass(20_000, () => {
            expect(leaders().length).toBeLessThanOrEqual(1);
            pastLeaders.add(leaders()[0]?.elector);
          });
        }
        server.faults.length = 0;
        await pass(2 * DEFAULT_LEASE_TIMES.durationMs);
        expect(leaders()).toHaveLength(1);
        changes += pastLeaders.size;
        stopAll();
      }),
      { numRuns: 8 },
    );
    expect(changes).toBeGreaterThan(8);
  }, 60_000);

  test('the response of a renewal is lost: the holder keeps the lease', async () => {
    await using server = await startFakeApiServer();
    const { leaders, pass } = candidates(server.admin, 'replikey', fakeClock());
    await pass(5_000);
    const [leader] = leaders();
    server.faults.push({ match: /PUT .*leases/, times: 1, effect: 'lost' });
    await pass(60_000, () => expect(leaders()).toEqual([leader]));
    expect(server.faults[0]?.times).toBe(0);
  });

  test('a late response: the renewal counts from the time of its request', async () => {
    await using server: FakeApiServer = await startFakeApiServer();
    const clock = fakeClock();
    const { leaders, pass } = candidates(server.admin, 'replikey', clock);
    await pass(5_000);
    const [leader] = leaders();
    server.faults.push({ match: /PUT .*leases/, times: 1, effect: 'held' });
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
