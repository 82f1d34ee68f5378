import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  jsonResponse,
  type RouteHandler,
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

const ROUTES = new Map<string, RouteHandler>([
  ['/status', () => jsonResponse(200, { fine: true })],
  ['/long', () => textResponse(200, 'a'.repeat(64 * 1024 * 1024))],
  [
    '/broken',
    () => {
      throw new Error('a password, perhaps');
    },
  ],
]);

async function surfaces(...limits: [ServerLimits?]) {
  const { url, close } = await startControllerServer(ROUTES, { host: '127.0.0.1', port: 0 }, ...limits);
  open.push(close);
  return url;
}

async function sandbox(options: Parameters<typeof startSandbox>[0] = {}) {
  const one = await startSandbox(options);
  open.push(() => one.close());
  return one.endpoint;
}

/** A connection that says what it is given, byte by byte, and nothing of what HTTP would have it say. */
function dial(url: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => {});
  open.push(() => socket.destroy());
  return socket;
}

/** Also where it is reset, which `once` would throw. */
const closed = (socket: Socket) => new Promise<void>((resolve) => socket.on('close', () => resolve()));

/** Everything that is answered to a text, until the other side has ended. */
async function said(url: string, text: string): Promise<string> {
  const socket = dial(url);
  let answer = '';
  socket.setEncoding('latin1').on('data', (more: string) => {
    answer += more;
  });
  socket.write(text, 'latin1');
  await closed(socket);
  return answer;
}

const SIGNED =
  'Authorization: AWS4-HMAC-SHA256 Credential=111122223333/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n';

const ask = (line: string, ...headers: string[]) =>
  `${line} HTTP/1.1\r\n${['Host: localhost', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`;

const statusOf = (answer: string) => Number(answer.split(' ')[1]);

describe('a page of a stranger, in a browser on this machine, has no way in', () => {
  const HOSTS: [host: string, isOurs: boolean][] = [
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

  test.each(HOSTS)('asked for %s, both answer: %s', async (host, isOurs) => {
    const text = (at: string) => `GET ${at} HTTP/1.1\r\nHost: ${host}\r\n${SIGNED}Connection: close\r\n\r\n`;
    expect(statusOf(await said(await surfaces(), text('/status')))).toBe(isOurs ? 200 : 421);
    const answer = await said(await sandbox(), text('/_sandbox/health'));
    expect(statusOf(answer)).toBe(isOurs ? 200 : 421);
    if (!isOurs) expect(answer).toContain('ask for localhost');
  });

  test.each([
    'acme-tax.s3.us-east-1.amazonaws.com',
    'kms.eu-west-1.amazonaws.com',
    's3.cn-north-1.amazonaws.com.cn',
  ])('the sandbox answers for AWS: %s', async (host) => {
    const text = `GET / HTTP/1.1\r\nHost: ${host}\r\n${SIGNED}Connection: close\r\n\r\n`;
    expect(statusOf(await said(await sandbox(), text))).toBeLessThan(421);
  });

  test.each([
    ['https://evil.example.com', 421],
    ['null', 421],
    ['http://localhost:3000', 200],
    ['http://127.0.0.1:3000', 200],
  ])('a form that is posted from %s is answered with %i', async (origin, status) => {
    const endpoint = await sandbox();
    const query = new URLSearchParams({
      'X-Amz-Credential': '111122223333/20260101/us-east-1/sts/aws4_request',
      Action: 'GetCallerIdentity',
    });
    const text = ask(`POST /?${query}`, `Origin: ${origin}`, 'Content-Length: 0');
    expect(statusOf(await said(endpoint, text))).toBe(status);
  });

  test('whoever listens for others answers by any name', async () => {
    const one = await startSandbox({ host: '0.0.0.0' });
    open.push(() => one.close());
    const text = 'GET /_sandbox/health HTTP/1.1\r\nHost: aws.example.com\r\nConnection: close\r\n\r\n';
    expect(statusOf(await said(one.endpoint, text))).toBe(200);
  });
});

describe('slow clients', () => {
  const SLOW: [name: string, begin: (socket: Socket) => unknown][] = [
    ['who say nothing', () => {}],
    ['who send a header at a time', (socket) => dribble(socket, 'GET /status HTTP/1.1\r\n', 'X-A: b\r\n')],
    [
      'who send a byte of a body at a time',
      (socket) =>
        dribble(
          socket,
          `POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n${SIGNED}\r\n`,
          'a',
        ),
    ],
    [
      'who send a chunk of a body at a time',
      (socket) =>
        dribble(
          socket,
          `PUT /a/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n${SIGNED}\r\n`,
          '1\r\na\r\n',
        ),
    ],
  ];

  function dribble(socket: Socket, first: string, more: string): void {
    socket.write(first);
    const timer = setInterval(() => socket.write(more), 20);
    socket.on('close', () => clearInterval(timer));
  }

  const limits = { headersMs: 150, requestMs: 300, idleMs: 400, maxConnections: 1 };
  const answers = async (url: string) => {
    const answer = await said(url, ask('GET /status'));
    if (statusOf(answer) !== 200) throw new Error(`it is not answered: ${answer}`);
  };

  test.each(SLOW)('%s do not keep the only place of the status page', async (_, begin) => {
    const url = await surfaces(limits);
    const socket = dial(url);
    await once(socket, 'connect');
    begin(socket);
    await vi.waitFor(() => answers(url), 15_000);
  });

  test('who never read what they asked for do not keep it either', async () => {
    const url = await surfaces(limits);
    const socket = dial(url);
    socket.write(ask('GET /long'));
    await once(socket, 'readable');
    await vi.waitFor(() => answers(url), 15_000);
  });

  test.each(SLOW)('%s are sent away by the sandbox', async (_, begin) => {
    const endpoint = await sandbox({ limits });
    const socket = dial(endpoint);
    begin(socket);
    socket.resume();
    await closed(socket);
    // On a busy machine, with limits as short as these, a first try may be too slow itself.
    await vi.waitFor(
      async () => expect(statusOf(await said(endpoint, ask('GET /_sandbox/health')))).toBe(200),
      15_000,
    );
  });

  test('whoever comes when there are too many is turned away, until some are gone', async () => {
    const url = await surfaces({ headersMs: 60_000, requestMs: 60_000, idleMs: 60_000, maxConnections: 20 });
    const crowd = Array.from({ length: 20 }, () => dial(url));
    await Promise.all(crowd.map((socket) => once(socket, 'connect')));
    expect(await said(url, ask('GET /status'))).toBe('');
    for (const socket of crowd) socket.destroy();
    await vi.waitFor(() => answers(url), 15_000);
  });
});

/** As they stand in a request; what HTTP itself forbids is refused by the parser. */
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

describe('paths and methods that nobody meant', () => {
  test.each(PATHS)('the status page has nothing at %j', async (at) => {
    const url = await surfaces();
    for (const method of METHODS) {
      const answer = await said(url, ask(`${method} ${at}`, 'Content-Length: 0'));
      // A parser that cannot go on, and CONNECT, end without an answer at most.
      expect(answer === '' ? 400 : statusOf(answer), method).toBeOneOf([400, 404, 405, 431]);
      expect(answer).not.toContain('evil.example');
    }
  });

  test('the sandbox answers all of them as AWS would, writes nowhere but in its folder, and goes on', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-paths-'));
    open.push(() => rm(folder, { recursive: true }));
    const endpoint = await sandbox({ state: path.join(folder, 'a/b/state') });
    const answers = await Promise.all(
      PATHS.flatMap((at) =>
        METHODS.map(async (method) => {
          const answer = await said(endpoint, ask(`${method} ${at}`, SIGNED.trim(), 'Content-Length: 0'));
          return { at, method, status: answer === '' ? 400 : statusOf(answer) };
        }),
      ),
    );
    // 501 is what AWS says of an operation that it does not have.
    expect(answers.filter(({ status }) => !(status < 500 || status === 501))).toEqual([]);
    expect(statusOf(await said(endpoint, ask('GET /_sandbox/health')))).toBe(200);
    expect(await readdir(folder)).toEqual(['a']);
    expect(await readdir(path.join(folder, 'a'))).toEqual(['b']);
    expect(await readdir(path.join(folder, 'a/b'))).toEqual(['state']);
  });

  test.each(['..', '.', '../../x', '..%2f..%2fx', '%00', 'a%00b', '__proto__', 'a/../../../x', 'CON', 'a:b'])(
    'no bucket and no account of the sandbox can be named %j',
    async (name) => {
      const folder = await mkdtemp(path.join(tmpdir(), 'replikey-names-'));
      open.push(() => rm(folder, { recursive: true }));
      const endpoint = await sandbox({ state: path.join(folder, 'state') });
      const as = (account: string) => SIGNED.trim().replace('111122223333', account);
      const headers = [as(name), 'Content-Length: 0'];
      const answer = await said(endpoint, ask(`PUT /${name.replaceAll('/', '%2f')}`, ...headers));
      expect(statusOf(answer)).toBeOneOf([400, 403, 404, 405]);
      await said(endpoint, ask('GET /', ...headers));
      const found = await readdir(folder, { recursive: true });
      expect(found.filter((file) => file.endsWith('.json') && !/accounts\/\d{12}\.json$/.test(file))).toEqual(
        [],
      );
      expect(found.some((file) => !file.startsWith('state'))).toBe(false);
    },
  );
});

describe('what HTTP allows and nobody needs', () => {
  test('an upgrade is not made: the answer is that of any other request', async () => {
    const headers = ['Upgrade: websocket', 'Sec-WebSocket-Key: a', 'Sec-WebSocket-Version: 13'];
    const upgrade = ask('GET /status', ...headers).replace('Connection: close', 'Connection: Upgrade');
    const socket = dial(await surfaces());
    socket.write(upgrade);
    const [answer] = await once(socket.setEncoding('latin1'), 'data');
    expect(statusOf(answer)).toBe(200);
    const http2 = ask('GET /status', 'Upgrade: h2c', 'HTTP2-Settings: a');
    expect(statusOf(await said(await surfaces(), http2))).toBe(200);
  });

  test('requests that do not wait for answers get them all, in order', async () => {
    const url = await surfaces();
    const [first, last] = ['GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n', ask('GET /nothing')];
    const statuses = (answer: string) => [...answer.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, code]) => code);
    expect(statuses(await said(url, first.repeat(500) + last))).toEqual([...Array(500).fill('200'), '404']);
    const health = 'GET /_sandbox/health HTTP/1.1\r\nHost: localhost\r\n\r\n';
    expect(statuses(await said(await sandbox(), health.repeat(500) + ask('GET /_sandbox/x')))).toEqual([
      ...Array(500).fill('200'),
      '404',
    ]);
  });

  const SMUGGLED: [name: string, ...headers: string[]][] = [
    ['two lengths', 'Content-Length: 0', 'Content-Length: 5'],
    ['a length and chunks', 'Content-Length: 5', 'Transfer-Encoding: chunked'],
    ['chunks that are none', 'Transfer-Encoding: chunked, identity'],
    ['a length that is none', 'Content-Length: 0x10'],
    ['a folded header', 'X-A: b\r\n c: d\r\nContent-Length : 4'],
    ['a bare line feed', 'X-A: b\nX-C: d\nContent-Length: -1'],
  ];
  test.each(SMUGGLED)('a request within another is not heard: %s', async (_, ...headers) => {
    const inner = ask('GET /_sandbox/knobs');
    for (const url of [await surfaces(), await sandbox()]) {
      const answer = await said(url, ask('POST /status', ...headers) + inner);
      expect(answer.match(/^HTTP\/1\.1/gm)?.length ?? 0).toBeLessThanOrEqual(1);
      expect(statusOf(answer)).toBe(400);
    }
  });

  test('headers that are too long are refused, and no name, or two, is none', async () => {
    for (const [url, size] of [
      [await surfaces(), 9_000],
      [await sandbox(), 70_000],
    ] as const) {
      expect(statusOf(await said(url, ask('GET /', `X-Long: ${'a'.repeat(size)}`)))).toBe(431);
      expect(statusOf(await said(url, ask('GET /', ...Array(size / 8).fill('X-A: bcdefgh'))))).toBe(431);
      expect(statusOf(await said(url, 'GET /status HTTP/1.1\r\nConnection: close\r\n\r\n'))).toBe(400);
      const second = ask('GET /status', 'Host: evil.example');
      expect(statusOf(await said(url, second))).toBeLessThan(500);
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

  test('a body that nobody asked for is not waited for', async () => {
    const socket = dial(await surfaces());
    socket.write('POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n');
    const [answer] = await once(socket.setEncoding('latin1'), 'data');
    expect(statusOf(answer)).toBe(405);
  });
});

test('every answer of the status page has the same strict headers, and says nothing of what went wrong inside', async () => {
  const url = await surfaces();
  for (const [line, status, ...headers] of [
    ['GET /status', 200],
    ['GET /nothing', 404],
    ['POST /status', 405],
    ['GET /broken', 500],
    ['GET /status', 200, 'Origin: http://localhost:3000'],
    ['GET /status', 421, 'Origin: https://evil.example'],
  ] as [string, number, ...string[]][]) {
    const answer = await said(url, ask(line, ...headers));
    expect(statusOf(answer), line).toBe(status);
    for (const header of [
      "content-security-policy: default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options: nosniff',
      'referrer-policy: no-referrer',
      'cross-origin-resource-policy: same-origin',
      'cache-control: no-store',
    ])
      expect(answer).toContain(`\r\n${header}\r\n`);
    expect(answer).not.toMatch(/access-control|set-cookie|x-powered-by|server:|password/i);
  }
});
