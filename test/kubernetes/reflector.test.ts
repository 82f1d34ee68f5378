import { afterEach, describe, expect, test, vi } from 'vitest';
import { createReflector } from '../../src/kubernetes/reflector.ts';
import { collectionPathOf } from '../../src/kubernetes/resources.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { NAMESPACE } from './api-server.ts';
import { type FakeApiServer, startFakeApiServer } from './fake-api-server.ts';

const ACCOUNTS = collectionPathOf('Account', NAMESPACE);
const RESYNC_MS = 10 * 60_000;

const stops: AbortController[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop.abort();
});

const create = ({ admin }: FakeApiServer, name: string) =>
  // Many concurrent requests wait for each other.
  admin.request(
    'POST',
    ACCOUNTS,
    { metadata: { name }, spec: { id: '111122223333' } },
    { timeoutMs: 60_000 },
  );
const remove = ({ admin }: FakeApiServer, name: string) => admin.request('DELETE', `${ACCOUNTS}/${name}`);
const lists = ({ log }: FakeApiServer) => log.filter((line) => line === `GET ${ACCOUNTS}`).length;

function startReflector(server: FakeApiServer) {
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
  const expectNames = (...names: string[]) =>
    vi.waitFor(() => expect([...reflector.resources.keys()].sort()).toEqual(names));
  return { reflector, clock, errors, expectNames, stop, ended };
}

describe('reflector', () => {
  test('1,200 resources: lists them in pages, then watches', async () => {
    await using server = await startFakeApiServer();
    const names = Array.from({ length: 1_200 }, (_, index) => `account-${String(index).padStart(4, '0')}`);
    await Promise.all(names.map((name) => create(server, name)));
    const before = lists(server);
    const { expectNames, stop, ended, errors } = startReflector(server);
    await expectNames(...names);
    await vi.waitFor(() => expect(server.watches).toBe(1));
    expect(lists(server) - before).toBe(3);
    await create(server, 'new');
    await remove(server, 'account-0000');
    await expectNames(...names.slice(1), 'new');
    expect(lists(server) - before).toBe(3);
    stop.abort();
    await ended;
    await vi.waitFor(() => expect(server.watches).toBe(0));
    expect(errors).toEqual([]);
  });

  test('a watch is interrupted: resumes it without another list', async () => {
    await using server = await startFakeApiServer();
    await create(server, 'a');
    const { expectNames, clock } = startReflector(server);
    await expectNames('a');
    await vi.waitFor(() => expect(server.watches).toBe(1));
    const before = lists(server);
    server.cutWatches();
    await vi.waitFor(() => expect(server.watches).toBe(0));
    await create(server, 'b');
    await remove(server, 'a');
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    await clock.advance(2_000);
    await expectNames('b');
    expect(lists(server)).toBe(before);
  });

  test('the resource version has expired: lists again, and removes deleted resources', async () => {
    await using server = await startFakeApiServer();
    await create(server, 'a');
    const { expectNames, clock, errors } = startReflector(server);
    await expectNames('a');
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
    await expectNames('b');
    expect(errors.filter((message) => message.includes('410'))).toEqual([]);
  });

  test('a bookmark: resumes an interrupted watch at its resource version, without another list', async () => {
    await using server = await startFakeApiServer();
    await create(server, 'a');
    const { expectNames, clock } = startReflector(server);
    await expectNames('a');
    await vi.waitFor(() => expect(server.watches).toBe(1));
    server.compact();
    server.bookmark();
    await create(server, 'b');
    await expectNames('a', 'b');
    const before = lists(server);
    server.cutWatches();
    await vi.waitFor(() => expect(server.watches).toBe(0));
    await vi.waitFor(async () => {
      await clock.advance(1_000);
      expect(server.watches).toBe(1);
    });
    expect(lists(server)).toBe(before);
  });

  test('the server fails: keeps the resources, reports the error, and later catches up', async () => {
    await using server = await startFakeApiServer();
    await create(server, 'a');
    const { expectNames, clock, errors } = startReflector(server);
    await expectNames('a');
    await vi.waitFor(() => expect(server.watches).toBe(1));
    server.faults.push({ match: /GET .*accounts/, times: 5, effect: 500 });
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
    await expectNames('a', 'b');
  });

  test('the resync interval elapses: lists again, and abandons a dead connection', async () => {
    await using server = await startFakeApiServer();
    await create(server, 'a');
    const { expectNames, clock } = startReflector(server);
    await expectNames('a');
    await vi.waitFor(() => expect(server.watches).toBe(1));
    const before = lists(server);
    // Only the client ends the watch.
    await vi.waitFor(
      async () => {
        await clock.advance(30_000);
        expect(lists(server) - before).toBeGreaterThanOrEqual(2);
      },
      { timeout: 10_000 },
    );
    await expectNames('a');
  });

  test('the cluster lacks the custom resource definition: the error names the command to apply it', async () => {
    await using server = await startFakeApiServer();
    server.faults.push({ match: /accounts/, times: 1, effect: 404 });
    const { errors } = startReflector(server);
    await vi.waitFor(() =>
      expect(errors).toEqual([
        'cannot read Account resources: HTTP 404 a fault; apply deploy/kubernetes/crd/crd.yaml to the cluster',
      ]),
    );
  });
});
