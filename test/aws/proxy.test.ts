import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GetBucketVersioningCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { classifyError } from '../../src/aws/errors.ts';
import { type Connection, createSdkClients } from '../../src/aws/sdk-clients.ts';

const credentials = { accessKeyId: '111122223333', secretAccessKey: 'test' };
const PASSWORD = 'password-of-the-proxy';

const open: Server[] = [];

async function listen(server: Server): Promise<number> {
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const respond = (request: IncomingMessage, response: import('node:http').ServerResponse) => {
  request.resume().on('end', () => response.writeHead(200).end('<VersioningConfiguration/>'));
};

/** A proxy that records the target of each request, and forwards it to one port of this machine. */
interface CountingProxy {
  url: string;
  requests: string[];
  authorizations: (string | undefined)[];
}

async function countingProxy(targetPort: number, refusal?: number): Promise<CountingProxy> {
  const proxy: CountingProxy = { url: '', requests: [], authorizations: [] };
  const record = ({ method, url, headers }: IncomingMessage) => {
    proxy.requests.push(`${method} ${url}`);
    proxy.authorizations.push(headers['proxy-authorization']);
  };
  const server = createServer((request, response) => {
    record(request);
    const { pathname } = new URL(request.url ?? '');
    const { method, headers } = request;
    const options = { port: targetPort, host: '127.0.0.1', path: pathname, method, headers };
    request.pipe(
      httpRequest(options, (answer) =>
        answer.pipe(response.writeHead(answer.statusCode ?? 0, answer.headers)),
      ),
    );
  });
  server.on('connect', (request: IncomingMessage, socket) => {
    record(request);
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 ${refusal} Refused\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const target = connect(targetPort, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      target.pipe(socket).pipe(target);
    });
    for (const end of [target, socket])
      end.on('error', () => [target, socket].map((other) => other.destroy()));
  });
  proxy.url = `http://127.0.0.1:${await listen(server)}`;
  return proxy;
}

/** Returns the error of a call, or undefined. */
async function call(connection: Connection, command: 'head' | 'identity' = 'head'): Promise<unknown> {
  const clients = createSdkClients([], { credentials, ...connection });
  const [service, request] =
    command === 'head'
      ? (['s3', new HeadBucketCommand({ Bucket: 'acme-tax' })] as const)
      : (['sts', new GetCallerIdentityCommand({})] as const);
  try {
    await clients.get(service, { region: 'us-east-1' }).send(request);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    clients.destroy();
  }
}

beforeEach(() => {
  for (const name of ['http', 'https', 'all', 'no'].flatMap((scheme) => [
    `${scheme}_proxy`,
    `${scheme}_proxy`.toUpperCase(),
  ]))
    vi.stubEnv(name, undefined);
  vi.stubEnv('AWS_CA_BUNDLE', undefined);
});

afterEach(() => {
  vi.unstubAllEnvs();
  for (const server of open.splice(0)) server.close();
});

describe('proxy: an endpoint with http', () => {
  test.each(['HTTP_PROXY', 'http_proxy', 'ALL_PROXY'])('%s: gets each request', async (variable) => {
    const port = await listen(createServer(respond));
    const proxy = await countingProxy(port);
    vi.stubEnv(variable, proxy.url);
    expect(await call({ endpoint: `http://127.0.0.1:${port}` })).toBe(undefined);
    expect(proxy.requests).toEqual([`HEAD http://127.0.0.1:${port}/acme-tax/`]);
  });

  test('a URL without a scheme names an HTTP proxy', async () => {
    const port = await listen(createServer(respond));
    const proxy = await countingProxy(port);
    vi.stubEnv('HTTP_PROXY', proxy.url.replace('http://', ''));
    expect(await call({ endpoint: `http://127.0.0.1:${port}` })).toBe(undefined);
    expect(proxy.requests).toHaveLength(1);
  });

  test.each([
    ['HTTPS_PROXY alone', { HTTPS_PROXY: 'proxy' }],
    ['NO_PROXY with the host', { HTTP_PROXY: 'proxy', NO_PROXY: 'example.com, 127.0.0.1' }],
    ['NO_PROXY=*', { HTTP_PROXY: 'proxy', NO_PROXY: '*' }],
  ])('%s: calls the endpoint directly', async (_, env) => {
    const port = await listen(createServer(respond));
    const proxy = await countingProxy(port);
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value === 'proxy' ? proxy.url : value);
    expect(await call({ endpoint: `http://127.0.0.1:${port}` })).toBe(undefined);
    expect(proxy.requests).toEqual([]);
  });

  test('the embedded sandbox is called directly', async () => {
    const port = await listen(createServer(respond));
    const proxy = await countingProxy(port);
    vi.stubEnv('HTTP_PROXY', proxy.url);
    expect(await call({ endpoint: `http://127.0.0.1:${port}`, isSandbox: true })).toBe(undefined);
    expect(proxy.requests).toEqual([]);
  });
});

describe.skipIf(spawnSync('openssl', ['version']).status !== 0)('proxy: AWS, with https', () => {
  let tls: { key: string; cert: string };
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'replikey-proxy-'));
    const [key, cert] = [path.join(folder, 'key.pem'), path.join(folder, 'ca.pem')];
    const result = spawnSync(
      'openssl',
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -addext subjectAltName=DNS:*.s3.us-east-1.amazonaws.com,DNS:sts.us-east-1.amazonaws.com,IP:127.0.0.1 -keyout ${key} -out ${cert}`.split(
        ' ',
      ),
      { encoding: 'utf8' },
    );
    if (result.status !== 0) throw new Error(result.stderr);
    tls = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
    return () => rmSync(folder, { recursive: true });
  });

  const start = async (refusal?: number) => {
    const port = await listen(createTlsServer(tls, respond));
    const proxy = await countingProxy(port, refusal);
    vi.stubEnv('HTTPS_PROXY', proxy.url);
    vi.stubEnv('AWS_CA_BUNDLE', path.join(folder, 'ca.pem'));
    return { port, proxy };
  };

  test('HTTPS_PROXY and AWS_CA_BUNDLE: each call goes through a tunnel of the proxy', async () => {
    const { proxy } = await start();
    expect(await call({})).toBe(undefined);
    expect(proxy.requests).toEqual(['CONNECT acme-tax.s3.us-east-1.amazonaws.com:443']);
  });

  test('HTTPS_PROXY: several calls share a tunnel', async () => {
    const { proxy } = await start();
    const clients = createSdkClients([], { credentials });
    // Node.js closes a connection after the response to HEAD.
    const read = () =>
      clients.get('s3', { region: 'us-east-1' }).send(new GetBucketVersioningCommand({ Bucket: 'acme-tax' }));
    await read();
    await read();
    clients.destroy();
    expect(proxy.requests).toHaveLength(1);
  });

  test('HTTPS_PROXY with a user name: sends it to the proxy', async () => {
    const { proxy } = await start();
    vi.stubEnv('HTTPS_PROXY', proxy.url.replace('//', `//jane:${PASSWORD}@`));
    expect(await call({})).toBe(undefined);
    expect(proxy.authorizations).toEqual([`Basic ${Buffer.from(`jane:${PASSWORD}`).toString('base64')}`]);
  });

  test.each(['.amazonaws.com', 'amazonaws.com', '*.amazonaws.com', 's3.us-east-1.amazonaws.com'])(
    'NO_PROXY=%s: calls S3 directly',
    async (noProxy) => {
      const { proxy } = await start();
      vi.stubEnv('NO_PROXY', noProxy);
      vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
      await call({ timeoutMs: 1_000 });
      expect(proxy.requests).toEqual([]);
    },
  );

  test('NO_PROXY for S3: calls STS through the proxy', async () => {
    const { proxy } = await start();
    vi.stubEnv('NO_PROXY', 's3.us-east-1.amazonaws.com');
    await call({}, 'identity');
    expect(proxy.requests).toEqual(['CONNECT sts.us-east-1.amazonaws.com:443']);
  });

  test('AWS_CA_BUNDLE: a direct connection trusts its certificates', async () => {
    const { port, proxy } = await start();
    vi.stubEnv('NO_PROXY', '127.0.0.1');
    expect(await call({ endpoint: `https://127.0.0.1:${port}` })).toBe(undefined);
    expect(proxy.requests).toEqual([]);
  });

  test('without AWS_CA_BUNDLE: names the variable', async () => {
    await start();
    vi.stubEnv('AWS_CA_BUNDLE', undefined);
    expect(await call({})).toMatchObject({
      name: 'UnreachableEndpoint',
      message: expect.stringMatching(
        /^cannot reach AWS \(acme-tax\.s3\..*\): .*certificate.*; set AWS_CA_BUNDLE to /,
      ),
    });
  });

  test.each([403, 404, 407])('a proxy that answers %i: is not taken for an answer of S3', async (status) => {
    const { proxy } = await start(status);
    const error = await call({});
    expect(error).toMatchObject({
      name: 'UnreachableEndpoint',
      message: expect.stringContaining(
        `the proxy ${new URL(proxy.url).host} (HTTPS_PROXY) refused the connection with HTTP ${status}`,
      ),
    });
    expect(classifyError(error)).toBe('final');
  });

  test('a proxy that does not run: names it without its password', async () => {
    await start();
    vi.stubEnv('HTTPS_PROXY', `http://jane:${PASSWORD}@127.0.0.1:1`);
    const error = await call({});
    expect(classifyError(error)).toBe('transient');
    expect((error as Error).message).toBe(
      'the proxy 127.0.0.1:1 (HTTPS_PROXY) cannot be reached: connect ECONNREFUSED 127.0.0.1:1',
    );
  });

  test.each([
    ['a file that does not exist', 'missing.pem', 'no such file or directory'],
    ['a file without a certificate', 'key.pem', 'it contains no certificate'],
    ['a broken certificate', 'broken.pem', ''],
  ])('AWS_CA_BUNDLE with %s: fails before any call', async (_, name, reason) => {
    const file = path.join(folder, name);
    if (name === 'broken.pem')
      writeFileSync(file, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    vi.stubEnv('AWS_CA_BUNDLE', file);
    expect(() => createSdkClients([], { credentials })).toThrow(
      `cannot use AWS_CA_BUNDLE (${file}): ${reason}`,
    );
  });

  test('a proxy with another protocol: fails before any call, without its password', () => {
    vi.stubEnv('HTTPS_PROXY', `socks5://jane:${PASSWORD}@127.0.0.1:1080`);
    expect(() => createSdkClients([], { credentials })).toThrow(
      'invalid HTTPS_PROXY "socks5://***@127.0.0.1:1080": use the URL of an HTTP or HTTPS proxy',
    );
  });
});
