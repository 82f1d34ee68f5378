import { afterEach, describe, expect, test, vi } from 'vitest';
import { createReflector } from '../../src/kubernetes/reflector.ts';
import { collectionPathOf } from '../../src/kubernetes/resources.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { NAMESPACE } from './api-server.ts';
import { type StandIn, startStandIn } from './stand-in.ts';

const ACCOUNTS = collectionPathOf('Account', NAMESPACE);
const RESYNC_MS = 10 * 60_000;

const stops: AbortController[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop.abort();
});

const create = ({ admin }: StandIn, name: string) =>
  admin.request('POST', ACCOUNTS, { metadata: { name }, spec: { id: '111122223333' } });
const remove = ({ admin }: StandIn, name: string) => admin.request('DELETE', `${ACCOUNTS}/${name}`);
const lists = ({ log }: StandIn) => log.filter((line) => line === `GET ${ACCOUNTS}`).length;

function reflecting(server: StandIn) {
  const clock = fakeClock();
  const errors: string[] = [];
  const stop = new AbortController();
  stops.push(stop);
  const reflector = createReflector({
    api: server.admin,
    kind: 'Account',
    clock,
    random: () => 0.5,
    resyncMs: RESYNC_MS,
    onChange: () => {},
    onError: ({ message }) => errors.push(message),
  });
  const ended = reflector.run(stop.signal);
  const shows = (...names: string[]) =>
    vi.waitFor(() => expect([...reflector.resources.keys()].sort()).toEqual(names));
  return { reflector, clock, errors, shows, stop, ended };
}

describe('the resources of a kind', () => {
  test('are listed in pages, and then followed', async () => {
    await using server = await startStandIn();
    const names = Array.from({ length: 1_200 }, (_, index) => `account-${String(index).padStart(4, '0')}`);
    await Promise.all(names.map((name) => create(server, name)));
    const before = lists(server);
    const { shows, stop, ended, errors } = reflecting(server);
    await shows(...names);
    await vi.waitFor(() => expect(server.watches).toBe(1));
    expect(lists(server) - before).toBe(3);
    await create(server, 'new');
    await remove(server, 'account-0000');
    await shows(...names.slice(1), 'new');
    expect(lists(server) - before).toBe(3);
    stop.abort();
    await ended;
    await vi.waitFor(() => expect(server.watches).toBe(0));
    expect(errors).toEqual([]);
  });

  test('a watch that is cut goes on from where it was, without another list', async () => {
    await using server = await startStandIn();
    await create(server, 'a');
    const { shows, clock } = reflecting(server);
    await shows('a');
    await vi.waitFor(() => expect(server.watches).toBe(1));
    const before = lists(server);
    server.cutWatches();
    await vi.waitFor(() => expect(server.watches).toBe(0));
    await create(server, 'b');
    await remove(server, 'a');
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    await clock.advance(2_000);
    await shows('b');
    expect(lists(server)).toBe(before);
  });

  test('where the server has forgotten what was since, they are listed anew, and what went meanwhile is gone', async () => {
    await using server = await startStandIn();
    await create(server, 'a');
    const { shows, clock, errors } = reflecting(server);
    await shows('a');
    await vi.waitFor(() => expect(server.watches).toBe(1));
    server.cutWatches();
    await vi.waitFor(() => expect(server.watches).toBe(0));
    await create(server, 'b');
    await remove(server, 'a');
    server.compact();
    await vi.waitFor(async () => {
      await clock.advance(1_000);
      expect(server.watches).toBe(1);
    });
    await shows('b');
    expect(errors.filter((message) => message.includes('410'))).toEqual([]);
  });

  test('a bookmark tells how far a watch is, so that it can go on after all else was forgotten', async () => {
    await using server = await startStandIn();
    await create(server, 'a');
    const { shows, clock } = reflecting(server);
    await shows('a');
    await vi.waitFor(() => expect(server.watches).toBe(1));
    server.compact();
    server.bookmark();
    await create(server, 'b');
    await shows('a', 'b');
    const before = lists(server);
    server.cutWatches();
    await vi.waitFor(() => expect(server.watches).toBe(0));
    await vi.waitFor(async () => {
      await clock.advance(1_000);
      expect(server.watches).toBe(1);
    });
    expect(lists(server)).toBe(before);
  });

  test('they stay known while the server cannot be asked, which is said; and what was missed is seen after', async () => {
    await using server = await startStandIn();
    await create(server, 'a');
    const { shows, clock, errors } = reflecting(server);
    await shows('a');
    await vi.waitFor(() => expect(server.watches).toBe(1));
    server.faults.push({ match: /GET .*accounts/, times: 5, what: 500 });
    server.cutWatches();
    await create(server, 'b');
    await vi.waitFor(async () => {
      await clock.advance(5_000);
      expect(server.faults[0]?.times).toBe(0);
    });
    expect(errors.some((message) => message.includes('HTTP 500 a fault'))).toBe(true);
    await vi.waitFor(async () => {
      await clock.advance(5_000);
      expect(server.watches).toBe(1);
    });
    await shows('a', 'b');
  });

  test('are listed once in a while, whatever the watch has said, and a connection that is dead is given up', async () => {
    await using server = await startStandIn();
    await create(server, 'a');
    const { shows, clock } = reflecting(server);
    await shows('a');
    await vi.waitFor(() => expect(server.watches).toBe(1));
    const before = lists(server);
    // Nothing ends the watch but the one who watches.
    await vi.waitFor(
      async () => {
        await clock.advance(30_000);
        expect(lists(server) - before).toBeGreaterThanOrEqual(2);
      },
      { timeout: 10_000 },
    );
    await shows('a');
  });

  test('a cluster that does not know them is said so, with what to do', async () => {
    await using server = await startStandIn();
    server.faults.push({ match: /accounts/, times: 1, what: 404 });
    const { errors } = reflecting(server);
    await vi.waitFor(() =>
      expect(errors).toEqual([
        'Account resources cannot be read: HTTP 404 a fault; apply deploy/kubernetes/crd.yaml to the cluster',
      ]),
    );
  });
});
