import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  jsonResponse,
  type Route,
  type ServerLimits,
  startControllerServer,
  textResponse,
} from '../../src/controller/server.ts';
import { parseRequest } from '../../src/sandbox/parse-request.ts';
import { startSandbox } from '../../src/sandbox/server.ts';
import { createMemoryStore } from '../../src/sandbox/store.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const ROUTES = new Map<string, Route>([
  ['/status', { respond: () => jsonResponse(200, { fine: true }) }],
  ['/long', { respond: () => textResponse(200, 'a'.repeat(64 * 1024 * 1024)) }],
  [
    '/broken',
    {
      respond() {
        throw new Error('a password');
      },
    },
  ],
]);

async function statusPage(...limits: [Partial<ServerLimits>?]) {
  const { url, close } = await startControllerServer(ROUTES, { host: '127.0.0.1', port: 0 }, ...limits);
  open.push(close);
  return url;
}

async function sandbox(options: Parameters<typeof startSandbox>[0] = {}) {
  const started = await startSandbox(options);
  open.push(() => started.close());
  return started.endpoint;
}

/** Opens a TCP connection, which sends only the bytes that a test writes. */
function dial(url: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => {});
  open.push(() => socket.destroy());
  return socket;
}

/** Resolves when the socket is closed, also by a reset, for which `once` would throw. */
const closed = (socket: Socket) => new Promise<void>((resolve) => socket.on('close', () => resolve()));

/** Sends a text, and returns everything that the server sends until it closes the connection. */
async function exchange(url: string, text: string): Promise<string> {
  const socket = dial(url);
  let response = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    response += chunk;
  });
  socket.write(text, 'latin1');
  await closed(socket);
  return response;
}

const SIGNED =
  'Authorization: AWS4-HMAC-SHA256 Credential=111122223333/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n';

const rawRequest = (line: string, ...headers: string[]) =>
  `${line} HTTP/1.1\r\n${['Host: localhost', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`;

const statusOf = (response: string) => Number(response.split(' ')[1]);

describe('host check', () => {
  const HOSTS: [host: string, isAllowed: boolean][] = [
    ['localhost', true],
    ['localhost:4566', true],
    ['LOCALHOST.', true],
    ['127.0.0.1:8080', true],
    ['[::1]:8080', true],
    ['10.0.0.7', true],
    ['replikey', true],
    ['acme-tax.localhost:4566', true],
    ['host.docker.internal:4566', true],
    ['replikey.tools.svc.cluster.local', true],
    ['evil.example.com', false],
    ['evil.example.com:8080', false],
    ['127.0.0.1.evil.example', false],
    ['localhost.evil.example', false],
    ['evil.example/localhost', false],
    ['amazonaws.com.evil.example', false],
  ];

  test.each(HOSTS)('Host %s: status page and sandbox allow it: %s', async (host, isAllowed) => {
    const text = (at: string) => `GET ${at} HTTP/1.1\r\nHost: ${host}\r\n${SIGNED}Connection: close\r\n\r\n`;
    expect(statusOf(await exchange(await statusPage(), text('/status')))).toBe(isAllowed ? 200 : 421);
    const response = await exchange(await sandbox(), text('/_sandbox/health'));
    expect(statusOf(response)).toBe(isAllowed ? 200 : 421);
    if (!isAllowed) expect(response).toContain('use localhost');
  });

  test.each([
    'acme-tax.s3.us-east-1.amazonaws.com',
    'kms.eu-west-1.amazonaws.com',
    's3.cn-north-1.amazonaws.com.cn',
  ])('Host %s: the sandbox accepts host names of AWS', async (host) => {
    const text = `GET / HTTP/1.1\r\nHost: ${host}\r\n${SIGNED}Connection: close\r\n\r\n`;
    expect(statusOf(await exchange(await sandbox(), text))).toBeLessThan(421);
  });

  test.each([
    ['https://evil.example.com', 421],
    ['null', 421],
    ['http://localhost:3000', 200],
    ['http://127.0.0.1:3000', 200],
  ])('a form post with Origin %s gets status %i', async (origin, status) => {
    const endpoint = await sandbox();
    const query = new URLSearchParams({
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': '111122223333/20260101/us-east-1/sts/aws4_request',
      'X-Amz-Date': new Date().toISOString().replace(/[-:]|\.\d+/g, ''),
      'X-Amz-Expires': '60',
      'X-Amz-SignedHeaders': 'host',
      'X-Amz-Signature': '0',
      Action: 'GetCallerIdentity',
    });
    const text = rawRequest(`POST /?${query}`, `Origin: ${origin}`, 'Content-Length: 0');
    expect(statusOf(await exchange(endpoint, text))).toBe(status);
  });

  test('a sandbox that listens on all addresses accepts any host name', async () => {
    const publicSandbox = await startSandbox({ host: '0.0.0.0' });
    open.push(() => publicSandbox.close());
    const text = 'GET /_sandbox/health HTTP/1.1\r\nHost: aws.example.com\r\nConnection: close\r\n\r\n';
    expect(statusOf(await exchange(publicSandbox.endpoint, text))).toBe(200);
  });
});

describe('slow clients', () => {
  const SLOW: [name: string, start: (socket: Socket) => unknown][] = [
    ['that send nothing', () => {}],
    ['that send one header at a time', (socket) => dribble(socket, 'GET /status HTTP/1.1\r\n', 'X-A: b\r\n')],
    [
      'that send one byte of a body at a time',
      (socket) =>
        dribble(
          socket,
          `POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n${SIGNED}\r\n`,
          'a',
        ),
    ],
    [
      'that send one chunk of a body at a time',
      (socket) =>
        dribble(
          socket,
          `PUT /a/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n${SIGNED}\r\n`,
          '1\r\na\r\n',
        ),
    ],
  ];

  function dribble(socket: Socket, first: string, repeated: string): void {
    socket.write(first);
    const timer = setInterval(() => socket.write(repeated), 20);
    socket.on('close', () => clearInterval(timer));
  }

  const limits = { headersMs: 150, requestMs: 300, idleMs: 400, maxConnections: 1 };
  const expectResponse = async (url: string) => {
    const response = await exchange(url, rawRequest('GET /status'));
    if (statusOf(response) !== 200) throw new Error(`no response: ${response}`);
  };

  test.each(SLOW)('status page: clients %s do not hold its only connection', async (_, start) => {
    const url = await statusPage(limits);
    const socket = dial(url);
    await once(socket, 'connect');
    start(socket);
    await vi.waitFor(() => expectResponse(url), 15_000);
  });

  test('status page: clients that never read the response do not hold its only connection', async () => {
    const url = await statusPage(limits);
    const socket = dial(url);
    socket.write(rawRequest('GET /long'));
    await once(socket, 'readable');
    await vi.waitFor(() => expectResponse(url), 15_000);
  });

  test.each(SLOW)('sandbox: closes the connection of clients %s', async (_, start) => {
    const endpoint = await sandbox({ limits });
    const socket = dial(endpoint);
    start(socket);
    socket.resume();
    await closed(socket);
    // On a busy machine, the first request may exceed these short limits.
    await vi.waitFor(
      async () => expect(statusOf(await exchange(endpoint, rawRequest('GET /_sandbox/health')))).toBe(200),
      15_000,
    );
  });

  test('status page: refuses connections above the maximum, until others close', async () => {
    const url = await statusPage({
      headersMs: 60_000,
      requestMs: 60_000,
      idleMs: 60_000,
      maxConnections: 20,
    });
    const sockets = Array.from({ length: 20 }, () => dial(url));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    expect(await exchange(url, rawRequest('GET /status'))).toBe('');
    for (const socket of sockets) socket.destroy();
    await vi.waitFor(() => expectResponse(url), 15_000);
  });
});

/** Unencoded request targets. The HTTP parser refuses those that HTTP forbids. */
const PATHS = [
  '//',
  '//status',
  '/..',
  '/../status',
  '/./status',
  '/%2e%2e/%2e%2e/etc/passwd',
  '/..%2f..%2fetc%2fpasswd',
  '/..\\..\\etc\\passwd',
  '/%00',
  '/status%00',
  '/\u0000',
  '/%',
  '/%zz',
  '/%ff%fe',
  '/\u00ff',
  '/status;a=b',
  '/STATUS',
  '/status/',
  '/__proto__',
  '/constructor',
  '/__proto__/constructor?__proto__=1&constructor=2',
  '/_sandbox',
  '/_sandbox/',
  '/_sandbox/../_sandbox/knobs/x',
  '/_sandbox/replication?bucket=__proto__&key=constructor',
  'http://evil.example/status',
  'http://[::',
  'http://u:p@h:99999/',
  'evil.example:443',
  '*',
  `/${'a'.repeat(7000)}`,
  `/${'a'.repeat(70_000)}`,
  `/${'%F0'.repeat(2000)}`,
  `/?${'a&'.repeat(3000)}`,
  '/?versionId=%00&uploadId=..%2f..&list-type=2&policy&acl',
];
const METHODS = [
  'GET',
  'HEAD',
  'PUT',
  'POST',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'PROPFIND',
  'NONSENSE',
  '',
];

describe('unusual paths and methods', () => {
  test.each(PATHS)('status page: returns an error for %j', async (at) => {
    const url = await statusPage();
    for (const method of METHODS) {
      const response = await exchange(url, rawRequest(`${method} ${at}`, 'Content-Length: 0'));
      // The server may close the connection without a response after a parse error or CONNECT.
      expect(response === '' ? 400 : statusOf(response), method).toBeOneOf([400, 404, 405, 431]);
      expect(response).not.toContain('evil.example');
    }
  });

  test('sandbox: causes no internal error, writes only in its folder, and keeps running', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-paths-'));
    open.push(() => rm(folder, { recursive: true }));
    const endpoint = await sandbox({ state: path.join(folder, 'a/b/state') });
    const responses = await Promise.all(
      PATHS.flatMap((at) =>
        METHODS.map(async (method) => {
          const response = await exchange(
            endpoint,
            rawRequest(`${method} ${at}`, SIGNED.trim(), 'Content-Length: 0'),
          );
          return { at, method, status: response === '' ? 400 : statusOf(response) };
        }),
      ),
    );
    // 501: an operation that is not implemented.
    expect(responses.filter(({ status }) => !(status < 500 || status === 501))).toEqual([]);
    expect(statusOf(await exchange(endpoint, rawRequest('GET /_sandbox/health')))).toBe(200);
    expect(await readdir(folder)).toEqual(['a']);
    expect(await readdir(path.join(folder, 'a'))).toEqual(['b']);
    expect(await readdir(path.join(folder, 'a/b'))).toEqual(['state']);
  });

  test.each(['..', '.', '../../x', '..%2f..%2fx', '%00', 'a%00b', '__proto__', 'a/../../../x', 'CON', 'a:b'])(
    'sandbox: no bucket and no account can have the name %j',
    async (name) => {
      const folder = await mkdtemp(path.join(tmpdir(), 'replikey-names-'));
      open.push(() => rm(folder, { recursive: true }));
      const endpoint = await sandbox({ state: path.join(folder, 'state') });
      const as = (account: string) => SIGNED.trim().replace('111122223333', account);
      const headers = [as(name), 'Content-Length: 0'];
      const response = await exchange(
        endpoint,
        rawRequest(`PUT /${name.replaceAll('/', '%2f')}`, ...headers),
      );
      expect(statusOf(response)).toBeOneOf([400, 403, 404, 405, 501]);
      await exchange(endpoint, rawRequest('GET /', ...headers));
      const files = await readdir(folder, { recursive: true });
      expect(files.filter((file) => file.endsWith('.json') && !/accounts\/\d{12}\.json$/.test(file))).toEqual(
        [],
      );
      expect(files.some((file) => !file.startsWith('state'))).toBe(false);
    },
  );
});

describe('unusual HTTP', () => {
  test('an upgrade is ignored', async () => {
    const headers = ['Upgrade: websocket', 'Sec-WebSocket-Key: a', 'Sec-WebSocket-Version: 13'];
    const upgrade = rawRequest('GET /status', ...headers).replace('Connection: close', 'Connection: Upgrade');
    const socket = dial(await statusPage());
    socket.write(upgrade);
    const [response] = await once(socket.setEncoding('latin1'), 'data');
    expect(statusOf(response)).toBe(200);
    const http2 = rawRequest('GET /status', 'Upgrade: h2c', 'HTTP2-Settings: a');
    expect(statusOf(await exchange(await statusPage(), http2))).toBe(200);
  });

  test('pipelined requests get all responses in order', async () => {
    const url = await statusPage();
    const [first, last] = ['GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n', rawRequest('GET /nothing')];
    const statuses = (text: string) => [...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, code]) => code);
    expect(statuses(await exchange(url, first.repeat(500) + last))).toEqual([
      ...Array(500).fill('200'),
      '404',
    ]);
    const health = 'GET /_sandbox/health HTTP/1.1\r\nHost: localhost\r\n\r\n';
    expect(
      statuses(await exchange(await sandbox(), health.repeat(500) + rawRequest('GET /_sandbox/x'))),
    ).toEqual([...Array(500).fill('200'), '404']);
  });

  const SMUGGLED: [name: string, ...headers: string[]][] = [
    ['two lengths', 'Content-Length: 0', 'Content-Length: 5'],
    ['a length and chunks', 'Content-Length: 5', 'Transfer-Encoding: chunked'],
    ['an invalid transfer encoding', 'Transfer-Encoding: chunked, identity'],
    ['an invalid length', 'Content-Length: 0x10'],
    ['a folded header', 'X-A: b\r\n c: d\r\nContent-Length : 4'],
    ['a bare line feed', 'X-A: b\nX-C: d\nContent-Length: -1'],
  ];
  test.each(SMUGGLED)('request smuggling has no effect: %s', async (_, ...headers) => {
    const inner = rawRequest('GET /_sandbox/knobs');
    for (const url of [await statusPage(), await sandbox()]) {
      const response = await exchange(url, rawRequest('POST /status', ...headers) + inner);
      expect(response.match(/^HTTP\/1\.1/gm)?.length ?? 0).toBeLessThanOrEqual(1);
      expect(statusOf(response)).toBe(400);
    }
  });

  test('headers that are too long, and a missing or second Host, are refused', async () => {
    for (const [url, size] of [
      [await statusPage(), 9_000],
      [await sandbox(), 70_000],
    ] as const) {
      expect(statusOf(await exchange(url, rawRequest('GET /', `X-Long: ${'a'.repeat(size)}`)))).toBe(431);
      expect(
        statusOf(await exchange(url, rawRequest('GET /', ...Array(size / 8).fill('X-A: bcdefgh')))),
      ).toBe(431);
      expect(statusOf(await exchange(url, 'GET /status HTTP/1.1\r\nConnection: close\r\n\r\n'))).toBe(400);
      const second = rawRequest('GET /status', 'Host: evil.example');
      expect(statusOf(await exchange(url, second))).toBeLessThan(500);
    }
  });

  test('parseRequest: takes the bucket from the path when the host is longer than a DNS name', async () => {
    // Matching a host of this length with the pattern for bucket names exceeds the timeout of the test.
    const host = `${'a.s3.'.repeat(1_000_000)}!.s3.amazonaws.com`;
    const request = Object.assign(Readable.from([]), { method: 'GET', url: '/acme-tax', headers: { host } });
    const { name, decode, operation } = await parseRequest(request as never, createMemoryStore(), 0);
    expect(name).toBe('ListObjects');
    expect(await decode(operation as never)).toMatchObject({ Bucket: 'acme-tax' });
  });

  test('a response does not wait for an unexpected body', async () => {
    const socket = dial(await statusPage());
    socket.write('POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n');
    const [response] = await once(socket.setEncoding('latin1'), 'data');
    expect(statusOf(response)).toBe(405);
  });
});

test('status page: every response has strict headers and no detail of an internal error', async () => {
  const url = await statusPage();
  for (const [line, status, ...headers] of [
    ['GET /status', 200],
    ['GET /nothing', 404],
    ['POST /status', 405],
    ['GET /broken', 500],
    ['GET /status', 200, 'Origin: http://localhost:3000'],
    ['GET /status', 421, 'Origin: https://evil.example'],
  ] as [string, number, ...string[]][]) {
    const response = await exchange(url, rawRequest(line, ...headers));
    expect(statusOf(response), line).toBe(status);
    for (const header of [
      "content-security-policy: default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options: nosniff',
      'referrer-policy: no-referrer',
      'cross-origin-resource-policy: same-origin',
      'cache-control: no-store',
    ])
      expect(response).toContain(`\r\n${header}\r\n`);
    expect(response).not.toMatch(/access-control|set-cookie|x-powered-by|server:|password/i);
  }
});
