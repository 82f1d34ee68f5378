import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createElector } from '../../src/controller/leader-election.ts';
import { createKubernetesApi, type KubernetesApi } from '../../src/kubernetes/api.ts';
import { createKubernetesLeaseStore } from '../../src/kubernetes/lease-store.ts';
import { createReflector, LIST_LIMITS } from '../../src/kubernetes/reflector.ts';
import { collectionPathOf } from '../../src/kubernetes/resources.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { NAMESPACE } from './api-server.ts';
import { startFakeApiServer } from './fake-api-server.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const TIMEOUT_MS = 200;

/** Starts a TCP server that responds to each request with `respond`, and returns a client for it. */
async function startServer(respond: (socket: Socket) => void): Promise<KubernetesApi> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', () => respond(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-account-'));
  await writeFile(path.join(folder, 'token'), 'token');
  await writeFile(path.join(folder, 'namespace'), NAMESPACE);
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await rm(folder, { recursive: true });
  });
  const { port } = server.address() as AddressInfo;
  return createKubernetesApi(
    {},
    { server: `http://127.0.0.1:${port}`, serviceAccountDir: folder, timeoutMs: TIMEOUT_MS },
  );
}

/** Writes a text again and again until the connection closes. */
function writeRepeatedly(socket: Socket, text: string, ms = 10): void {
  const timer = setInterval(() => socket.write(text), ms);
  socket.on('close', () => clearInterval(timer));
}

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;

async function readWatch(api: KubernetesApi): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const event of api.watch('/watch', new AbortController().signal)) events.push(event);
  return events;
}

describe('request', () => {
  const SLOW: [name: string, respond: (socket: Socket) => void][] = [
    ['never responds', () => {}],
    [
      'sends headers without end',
      (socket) => {
        socket.write(HEAD);
        writeRepeatedly(socket, 'X-A: b\r\n');
      },
    ],
    [
      'sends a body byte by byte',
      (socket) => {
        socket.write(`${HEAD}Content-Length: 100000\r\n\r\n{`);
        writeRepeatedly(socket, ' ');
      },
    ],
  ];

  test.each(SLOW)('the server %s: fails after the total time', async (_, respond) => {
    const api = await startServer(respond);
    const message = `GET /x: no complete response within ${TIMEOUT_MS / 1000} s`;
    await expect(api.request('GET', '/x')).rejects.toThrow(message);
  });

  test('a response is larger than the limit: fails without reading the rest', async () => {
    const api = await startServer((socket) => {
      socket.write(CHUNKED);
      writeRepeatedly(socket, `10000\r\n${' '.repeat(0x10000)}\r\n`, 1);
    });
    await expect(
      api.request('GET', '/x', undefined, { timeoutMs: 30_000, maxBytes: 1024 * 1024 }),
    ).rejects.toThrow('GET /x: the response exceeds 1 MiB');
  });

  test.each(['null', '7', '"text"', 'no JSON'])('the body is %s: returns it as a message', async (text) => {
    const api = await startServer((socket) => {
      socket.end(
        `HTTP/1.1 502 Bad Gateway\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`,
      );
    });
    expect(await api.request('GET', '/x')).toMatchObject({ status: 502, body: { message: text } });
  });
});

describe('watch', () => {
  test('an event never ends: fails at the size limit', async () => {
    const api = await startServer((socket) => {
      socket.write(CHUNKED);
      writeRepeatedly(socket, `10000\r\n${'a'.repeat(0x10000)}\r\n`, 1);
    });
    await expect(readWatch(api)).rejects.toThrow('an event exceeds 4 MiB');
  });

  test.each(['no JSON', 'null', '7', '{}', '{"type":"ADDED"}', '{"type":"ADDED","object":null}'])(
    'the line %s: fails with the reason',
    async (line) => {
      const api = await startServer((socket) => socket.end(`${HEAD}Connection: close\r\n\r\n${line}\n`));
      await expect(readWatch(api)).rejects.toThrow('invalid response of the API server: not an event');
    },
  );

  test('events are split at any byte: yields them unchanged', async () => {
    const event = { type: 'ADDED', object: { metadata: { name: 'ä€😀' } } };
    const bytes = Buffer.from(`${JSON.stringify(event)}\n\n`.repeat(2));
    const api = await startServer((socket) => {
      socket.write(`${HEAD}Connection: close\r\n\r\n`);
      for (const byte of bytes) socket.write(Buffer.from([byte]));
      socket.end();
    });
    expect(await readWatch(api)).toEqual([event, event]);
  });

  test('an error response is sent byte by byte: fails after the total time', async () => {
    const api = await startServer((socket) => {
      socket.write('HTTP/1.1 500 Error\r\nContent-Length: 1000\r\n\r\n');
      writeRepeatedly(socket, ' ');
    });
    await expect(readWatch(api)).rejects.toThrow('GET /watch: no complete response within 0.2 s');
  });
});

describe('reflector', () => {
  type Page = (index: number) => { items: unknown; next?: string };

  /** Starts a reflector with a server that responds to lists with these pages until `recover`. */
  function startReflector(page: Page, { events = (_: number): unknown => undefined, pageMs = 0 } = {}) {
    const clock = fakeClock();
    let delayMs = 0;
    const errors: string[] = [];
    const stop = new AbortController();
    cleanups.push(() => stop.abort());
    let isMisbehaving = false;
    let requestCount = 0;
    const api: KubernetesApi = {
      namespace: NAMESPACE,
      async request() {
        if (isMisbehaving) delayMs += pageMs;
        const { items, next } = isMisbehaving ? page(requestCount++) : { items: [itemOf('good')] };
        const metadata = { resourceVersion: '1', ...(next !== undefined && { continue: next }) };
        return { status: 200, body: { metadata, items }, bytes: 100 };
      },
      async *watch(_, signal) {
        for (let index = 0; isMisbehaving; index++) {
          const object = events(index);
          if (object === undefined) break;
          yield { type: 'ADDED', object };
        }
        if (!signal.aborted)
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      },
    };
    const reflector = createReflector({
      api,
      kind: 'Account',
      clock: { ...clock, monotonicNow: () => clock.monotonicNow() + delayMs },
      random: () => 0.5,
      resyncMs: 600_000,
      onChange: () => {},
      onError: ({ message }) => errors.push(message),
    });
    void reflector.run(stop.signal);
    const names = () => [...reflector.resources.keys()];
    return {
      clock,
      errors,
      reflector,
      names,
      misbehave: async () => {
        await vi.waitFor(() => expect(names()).toEqual(['good']));
        isMisbehaving = true;
        reflector.refresh();
        // The reflector waits after a watch that ended immediately.
        await clock.advance(1_500);
      },
      recover: async () => {
        isMisbehaving = false;
        await clock.advance(60_000);
        reflector.refresh();
      },
      requestCount: () => requestCount,
    };
  }

  const itemOf = (name: string) => ({ metadata: { name, resourceVersion: '1' }, spec: {} });

  const LISTS: [name: string, error: string, page: Page][] = [
    [
      'continues without end',
      `does not end within ${LIST_LIMITS.pages} pages`,
      (index) => ({ items: [], next: String(index) }),
    ],
    [
      'repeats its token',
      `does not end within ${LIST_LIMITS.pages} pages`,
      () => ({ items: [], next: 'same' }),
    ],
    [
      'has too many resources',
      `more than ${LIST_LIMITS.resources} in the namespace`,
      (index) => ({
        items: Array.from({ length: 500 }, (_, item) => itemOf(`${index}-${item}`)),
        next: String(index),
      }),
    ],
    ['has no items', 'invalid response of the API server: not a list', () => ({ items: undefined })],
    [
      'has an item without a name',
      'invalid response of the API server: an item',
      () => ({ items: [{ metadata: {} }] }),
    ],
  ];

  test.each(LISTS)(
    'a list %s: reports it, keeps the last resources, and lists again',
    async (_, error, page) => {
      const { errors, names, misbehave, recover, requestCount } = startReflector(page);
      await misbehave();
      await vi.waitFor(() => expect(errors).toEqual([expect.stringContaining(error)]), 10_000);
      expect(errors[0]).toMatch(/^cannot read Account resources: /);
      expect(requestCount()).toBeLessThanOrEqual(LIST_LIMITS.pages);
      expect(names()).toEqual(['good']);
      await recover();
      await vi.waitFor(() => expect(names()).toEqual(['good']));
    },
  );

  test('pages arrive slowly: ends the list after the total time', async () => {
    const { errors, misbehave, requestCount } = startReflector(
      (index) => ({ items: [], next: String(index) }),
      { pageMs: LIST_LIMITS.pageMs },
    );
    await misbehave();
    await vi.waitFor(() =>
      expect(errors).toEqual([expect.stringContaining('does not end within 5 minutes')]),
    );
    expect(requestCount()).toBeLessThan(20);
  });

  test.each([
    [
      'adds resources without end',
      `more than ${LIST_LIMITS.resources}`,
      (index: number) => itemOf(`a-${index}`),
    ],
    ['sends an object without metadata', 'an event without a resource version', () => ({})],
    [
      'sends a resource without a name',
      'an event without a resource',
      () => ({ metadata: { resourceVersion: '1' } }),
    ],
  ])('a watch %s: reports it, and watches again', async (_, error, events) => {
    const { errors, reflector, names, misbehave, recover } = startReflector(
      () => ({ items: [itemOf('good')] }),
      { events },
    );
    await misbehave();
    await vi.waitFor(() => expect(errors).toEqual([expect.stringContaining(error)]), 10_000);
    expect(reflector.resources.size).toBeLessThanOrEqual(LIST_LIMITS.resources);
    await recover();
    await vi.waitFor(() => expect(names()).toEqual(['good']));
  });

  test('the API server never ends a list: limits its pages, and continues when the server recovers', async () => {
    await using server = await startFakeApiServer();
    const collection = collectionPathOf('Account', NAMESPACE);
    await server.admin.request('POST', collection, { metadata: { name: 'a' }, spec: { id: '111122223333' } });
    server.faults.push({ match: /GET .*accounts$/, times: LIST_LIMITS.pages, effect: 'endless' });
    const clock = fakeClock();
    const errors: string[] = [];
    const stop = new AbortController();
    cleanups.push(() => stop.abort());
    const reflector = createReflector({
      api: server.admin,
      kind: 'Account',
      clock,
      random: () => 0.5,
      resyncMs: 600_000,
      onChange: () => {},
      onError: ({ message }) => errors.push(message),
    });
    void reflector.run(stop.signal);
    await vi.waitFor(() => expect(errors).toEqual([expect.stringContaining('does not end within')]), 30_000);
    await vi.waitFor(async () => {
      await clock.advance(1_000);
      expect([...reflector.resources.keys()]).toEqual(['a']);
    });
  }, 60_000);
});

describe('lease', () => {
  test('responses are sent byte by byte: the holder loses the lease in time, and takes it again afterwards', async () => {
    await using server = await startFakeApiServer();
    const api = await createKubernetesApi(server.env, {
      server: `http://127.0.0.1:${server.env.KUBERNETES_SERVICE_PORT}`,
      timeoutMs: TIMEOUT_MS,
    });
    const clock = fakeClock();
    const changes: boolean[] = [];
    const errors: string[] = [];
    const stop = new AbortController();
    cleanups.push(() => stop.abort());
    const elector = createElector({
      store: createKubernetesLeaseStore(api, 'replikey'),
      identity: 'a',
      clock,
      random: () => 0.5,
      onChange: (isLeader) => changes.push(isLeader),
      onError: ({ message }) => errors.push(message),
    });
    void elector.run(stop.signal);
    await vi.waitFor(() => expect(elector.isLeader()).toBe(true));
    server.faults.push({ match: /leases/, times: 100, effect: 'trickled' });
    await vi.waitFor(async () => {
      await clock.advance(1_000);
      expect(changes).toEqual([true, false]);
    }, 20_000);
    expect(errors[0]).toMatch(/^GET .*\/leases\/replikey: no complete response within 0\.2 s$/);
    server.faults.length = 0;
    await vi.waitFor(async () => {
      await clock.advance(1_000);
      expect(changes).toEqual([true, false, true]);
    }, 20_000);
  }, 60_000);

  test.each([
    ['no object', 'null'],
    ['empty', '{}'],
    ['without a version', '{"metadata":{},"spec":{"holderIdentity":"a"}}'],
    ['a holder that is no text', '{"metadata":{"resourceVersion":"1"},"spec":{"holderIdentity":7}}'],
    [
      'a duration that is no number',
      '{"metadata":{"resourceVersion":"1"},"spec":{"holderIdentity":"a","leaseDurationSeconds":"x"}}',
    ],
    [
      'a negative duration',
      '{"metadata":{"resourceVersion":"1"},"spec":{"holderIdentity":"a","leaseDurationSeconds":-1}}',
    ],
  ])('a response that is not a lease (%s): fails, and does not look expired', async (_, body) => {
    const api = await startServer((socket) => {
      socket.end(`${HEAD}Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
    await expect(createKubernetesLeaseStore(api, 'replikey').read()).rejects.toThrow(
      'cannot read lease replikey: invalid response of the API server: not a lease',
    );
  });
});
