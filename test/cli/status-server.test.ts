import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { readServerStatus } from '../../src/cli/status-server.ts';
import { createRoutes } from '../../src/controller/routes.ts';
import { startControllerServer } from '../../src/controller/server.ts';
import { controllerStatus, pairStatus } from '../support/controller-status.ts';
import { fakeClock } from '../support/fake-clock.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const never = new AbortController().signal;

async function serve(listener: RequestListener): Promise<URL> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(() => server.close());
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

const respondWith = (status: number, body: string, headers = {}): RequestListener => {
  return (_, response) => void response.writeHead(status, headers).end(body);
};

const messageOf = (url: URL): Promise<string> =>
  readServerStatus(url, never).then(
    () => 'no error',
    (error: Error) => error.message,
  );

describe('status --server', () => {
  test('1,000 pairs of a controller: reads every page, each pair once', async () => {
    const pairs = Array.from({ length: 1_000 }, (_, index) => pairStatus({ name: `pair-${index}` }));
    const controller = { status: () => controllerStatus(pairs) };
    const options = { controller, settings: { clock: fakeClock(), intervalMs: 1_000 } };
    const { url, close } = await startControllerServer(createRoutes(options as never), {
      host: '127.0.0.1',
      port: 0,
    });
    open.push(close);
    const status = await readServerStatus(new URL(url), never);
    expect(new Set(status.pairs.map(({ name }) => name)).size).toBe(1_000);
    expect(status.pairs).toHaveLength(1_000);
  });

  test('base URL with a path: requests status below it', async () => {
    const paths: (string | undefined)[] = [];
    const url = await serve((request, response) => {
      paths.push(request.url);
      response.end(JSON.stringify({ format: 3, pairs: [], problems: [] }));
    });
    await readServerStatus(new URL(`${url.href}replikey/`), never);
    expect(paths).toEqual(['/replikey/status?limit=500']);
  });

  test.each([
    [
      'another program',
      respondWith(200, '<html>'),
      'not that of a replikey controller; use the address of --listen',
    ],
    [
      'a listener of health checks',
      respondWith(404, 'not found'),
      'HTTP 404 not found; use the address of --listen',
    ],
    ['a disallowed host', respondWith(403, 'host not allowed: x'), 'HTTP 403 host not allowed: x'],
    [
      'a redirect',
      respondWith(302, '', { location: 'https://x.test/' }),
      'it redirects to https://x.test/; use that URL',
    ],
    [
      'another version',
      respondWith(200, '{"format":9,"version":"7.0.0","pairs":[]}'),
      /cannot read the \/status of replikey 7\.0\.0 .*use the same version of replikey$/,
    ],
    [
      'the same page again',
      respondWith(200, JSON.stringify({ format: 3, pairs: [], problems: [], continue: 'a' })),
      'it returned the same page again',
    ],
  ])('response of %s: fails with the cause', async (_, listener, expected) => {
    const url = await serve(listener);
    const message = await messageOf(url);
    expect(message).toMatch(/^cannot read the status of http:\/\/127\.0\.0\.1:\d+\/: /);
    expect(message).toMatch(expected);
  });

  test('no listener: fails with the cause', async () => {
    const url = await serve(() => {});
    await open.pop()?.();
    expect(await messageOf(url)).toMatch(
      /: connect ECONNREFUSED 127\.0\.0\.1:\d+; start the controller with --listen, and check the URL$/,
    );
  });

  test('endless response: fails, and does not keep it in memory', async () => {
    const url = await serve((_, response) => {
      const chunk = Buffer.alloc(1024 * 1024, ' ');
      const write = (): void => {
        if (!response.destroyed) response.write(chunk, write);
      };
      write();
    });
    expect(await messageOf(url)).toMatch(/the response exceeds 16777216 bytes/);
  });

  test('interruption: rejects with its reason', async () => {
    const stop = new AbortController();
    const url = await serve(() => stop.abort(new Error('stopped')));
    await expect(readServerStatus(url, stop.signal)).rejects.toThrow('stopped');
  });
});
