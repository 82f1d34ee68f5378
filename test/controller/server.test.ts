import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  type Route,
  type ServerLimits,
  startControllerServer,
  textResponse,
} from '../../src/controller/server.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** Exceeds the buffers of the operating system, so that a response ends only when the client reads. */
const LONG = 'a'.repeat(64 * 1024 * 1024);

/** Starts a server that counts the responses it renders, by path. */
async function startServer(limits: Partial<ServerLimits> = {}) {
  const rendered: string[] = [];
  const route = (at: string, text: string, isShared: boolean): [string, Route] => [
    at,
    {
      ...(isShared && { isShared: true }),
      parameters: ['pair'],
      respond(query) {
        rendered.push(`${at}?${query}`);
        return textResponse(200, text);
      },
    },
  ];
  const { url, close } = await startControllerServer(
    new Map([route('/short', 'short', false), route('/shared', 'shared', true), route('/long', LONG, true)]),
    { host: '127.0.0.1', port: 0 },
    { maxResponseBytes: 2 * LONG.length, ...limits },
  );
  open.push(close);
  return { url, rendered };
}

/** Opens a TCP connection that reads nothing. */
function dial(url: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  open.push(() => socket.destroy());
  return socket;
}

const requests = (at: string, count = 1) => `GET ${at} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(count);
const closed = (socket: Socket) => new Promise<void>((resolve) => socket.on('close', () => resolve()));

describe('pipelined requests of one connection', () => {
  test('the client reads: it receives every response, in order', async () => {
    const { url } = await startServer();
    const socket = dial(url);
    socket.write(
      requests('/short', 100) +
        requests('/none', 99) +
        requests('/none').replace('Host', 'Connection: close\r\nHost'),
    );
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.resume();
    await closed(socket);
    const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status);
    expect(statuses).toEqual([...Array(100).fill('200'), ...Array(100).fill('404')]);
  });

  test('the client does not read: the server renders only the response in flight', async () => {
    const { url, rendered } = await startServer();
    const socket = dial(url);
    socket.write(requests('/long?pair=a') + requests('/short', 200));
    await once(socket, 'readable');
    // Another client gets a response meanwhile.
    expect((await fetch(`${url}/shared`)).status).toBe(200);
    expect(rendered).toEqual(['/long?pair=a', '/shared?']);
  });

  test('more wait than the limit of all connections: the server disconnects the client', async () => {
    const { url, rendered } = await startServer({ maxPipelinedBytes: requests('/short', 10).length });
    const socket = dial(url);
    socket.write(requests('/long') + requests('/short', 11));
    socket.resume();
    await closed(socket);
    expect(rendered).not.toContain('/short?');
    // Held requests count only while their connection is open.
    const next = dial(url);
    next.write(requests('/short', 10));
    await once(next, 'readable');
    await vi.waitFor(() => expect(rendered.filter((at) => at === '/short?')).toHaveLength(10));
  });
});

describe('bodies of responses', () => {
  test('requests of the same second share a body, also with different unknown parameters', async () => {
    const { url, rendered } = await startServer();
    const paths = Array.from({ length: 20 }, (_, index) => `/shared?unknown=${index}`);
    const texts = await Promise.all(paths.map(async (at) => (await fetch(url + at)).text()));
    expect(new Set(texts)).toEqual(new Set(['shared\n']));
    expect(rendered.length).toBeLessThan(20);
    const before = rendered.length;
    await fetch(`${url}/shared?pair=other`);
    expect(rendered.slice(before)).toEqual(['/shared?pair=other']);
  });

  test('a body is outdated after a second: the server renders it again', async () => {
    const { url, rendered } = await startServer();
    await vi.waitFor(async () => {
      await (await fetch(`${url}/shared`)).text();
      expect(rendered.length).toBeGreaterThan(1);
    }, 5_000);
  });

  test('unread bodies exceed the limit: the server disconnects the client that has read for the longest time', async () => {
    const { url } = await startServer({ maxResponseBytes: 2.5 * LONG.length });
    const sockets: Socket[] = [];
    for (const pair of ['a', 'b', 'c']) {
      const socket = dial(url);
      sockets.push(socket);
      socket.write(requests(`/long?pair=${pair}`));
      await once(socket, 'readable');
    }
    const [first, ...rest] = sockets;
    first?.resume();
    await closed(first as Socket);
    for (const socket of rest) expect(socket.destroyed).toBe(false);
  });

  test('a client reads a little all the time: it does not hold its connection after the time limit', async () => {
    const { url } = await startServer({ responseMs: 300, idleMs: 60_000, maxConnections: 1 });
    const socket = dial(url);
    socket.write(requests('/long'));
    await once(socket, 'readable');
    const timer = setInterval(() => socket.read(1), 20);
    open.push(() => clearInterval(timer));
    await vi.waitFor(async () => expect((await fetch(`${url}/shared`)).status).toBe(200), 15_000);
  });

  test('a request has a body: the server responds, and closes the connection without reading it', async () => {
    const { url } = await startServer({ requestMs: 60_000, idleMs: 60_000 });
    const socket = dial(url);
    socket.write('POST /short HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\na');
    const [chunk] = await once(socket.resume(), 'data');
    expect(String(chunk)).toMatch(/^HTTP\/1\.1 405 /);
    await closed(socket);
  });
});
