import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import { GetRoleCommand } from '@aws-sdk/client-iam';
import { DescribeKeyCommand } from '@aws-sdk/client-kms';
import {
  GetBucketVersioningCommand,
  HeadObjectCommand,
  PutPublicAccessBlockCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import type { Service } from '../../src/aws/command.ts';
import { classifyError } from '../../src/aws/errors.ts';
import { type Connection, createSdkClients } from '../../src/aws/sdk-clients.ts';
import { createTransport, type SdkConfig } from '../../src/aws/transport.ts';

const credentials = { accessKeyId: '111122223333', secretAccessKey: 'test' };

interface CannedResponse {
  status?: number;
  headers?: Record<string, string>;
  body?: string;
}

interface ReceivedRequest {
  request: IncomingMessage;
  body: string;
}

const open: { close(): void }[] = [];
afterEach(() => {
  for (const resource of open.splice(0)) resource.close();
});

/** Returns clients whose calls all get one response, and the requests that they sent. */
async function endpointReturning(
  { status = 200, headers = {}, body = '' }: CannedResponse,
  connection: Connection = {},
) {
  const requests: ReceivedRequest[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      requests.push({ request, body: Buffer.concat(chunks).toString() });
      response.writeHead(status, headers).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clients = createSdkClients([], { endpoint, credentials, ...connection });
  open.push({
    close() {
      clients.destroy();
      server.closeAllConnections();
      server.close();
    },
  });
  const send = (service: Service, command: object) =>
    clients.get(service, { region: 'eu-central-1' }).send(command);
  return { requests, send };
}

test('transport: a write to S3 has a CRC-32 checksum and its length', async () => {
  const { requests, send } = await endpointReturning({});
  const block = { BlockPublicAcls: true };
  await send(
    's3',
    new PutPublicAccessBlockCommand({ Bucket: 'acme-tax', PublicAccessBlockConfiguration: block }),
  );
  const [{ request, body } = { request: {} as IncomingMessage, body: '' }] = requests;
  expect(body).toMatch(/^<\?xml.*<BlockPublicAcls>true<\/BlockPublicAcls>/);
  const sum = Buffer.from(String(request.headers['x-amz-checksum-crc32']), 'base64').readUInt32BE();
  expect(sum).toBe(crc32(body));
  expect(request.headers['content-length']).toBe(String(Buffer.byteLength(body)));
});

test('transport: the length of a body counts bytes, not characters', async () => {
  const { requests, send } = await endpointReturning({ body: '{"KeyMetadata":{}}' });
  await send('kms', new DescribeKeyCommand({ KeyId: 'alias/Übergröße' }));
  expect(JSON.parse(requests[0]?.body ?? '')).toEqual({ KeyId: 'alias/Übergröße' });
});

test.each<[Service, object, RegExp]>([
  ['s3', new GetBucketVersioningCommand({ Bucket: 'acme-tax' }), /\/eu-central-1\/s3\/aws4_request/],
  ['kms', new DescribeKeyCommand({ KeyId: 'alias/a' }), /\/eu-central-1\/kms\/aws4_request/],
  ['iam', new GetRoleCommand({ RoleName: 'r' }), /\/eu-central-1\/iam\/aws4_request/],
])(
  'transport: signs a call to %s for its Region, with the user agent of replikey',
  async (service, command, scope) => {
    const { requests, send } = await endpointReturning({ status: 404 });
    await send(service, command).catch(() => {});
    expect(requests[0]?.request.headers.authorization).toMatch(scope);
    expect(requests[0]?.request.headers['user-agent']).toMatch(/^replikey\/\d+\.\d+\.\d+ node\/\d+/);
  },
);

test('transport: adds AWS_SDK_UA_APP_ID to the user agent', async () => {
  process.env.AWS_SDK_UA_APP_ID = 'platform-team';
  try {
    const { requests, send } = await endpointReturning({});
    await send('s3', new GetBucketVersioningCommand({ Bucket: 'acme-tax' }));
    expect(requests[0]?.request.headers['user-agent']).toMatch(/ app\/platform-team$/);
  } finally {
    delete process.env.AWS_SDK_UA_APP_ID;
  }
});

test('transport: an error body in a 200 response of S3 is transient', async () => {
  const { send } = await endpointReturning({
    body: '<?xml version="1.0"?>\n<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>',
  });
  const error = await send('s3', new GetBucketVersioningCommand({ Bucket: 'acme-tax' })).catch(
    (error: unknown) => error,
  );
  expect(error).toMatchObject({ name: 'InternalError', $metadata: { httpStatusCode: 503 } });
  expect(classifyError(error)).toBe('transient');
});

test('transport: a 404 response has code, message, status and request id of S3', async () => {
  const { send } = await endpointReturning({
    status: 404,
    headers: { 'x-amz-request-id': 'ABC', 'x-amz-bucket-region': 'us-west-2' },
    body: '<?xml version="1.0"?>\n<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>',
  });
  await expect(send('s3', new GetBucketVersioningCommand({ Bucket: 'acme-tax' }))).rejects.toMatchObject({
    name: 'NoSuchBucket',
    message: 'The specified bucket does not exist',
    $metadata: { httpStatusCode: 404, requestId: 'ABC' },
    $response: { headers: { 'x-amz-bucket-region': 'us-west-2' } },
  });
});

test.each([
  [200, '<VersioningConfiguration><Status>Ena', 'transient'],
  [502, '<html>Bad Gateway', 'transient'],
  [403, '<html>Blocked by a proxy', 'final'],
])('transport: response %i with a malformed body is %s', async (status, body, class_) => {
  const { send } = await endpointReturning({ status, body });
  const error = await send('s3', new GetBucketVersioningCommand({ Bucket: 'acme-tax' })).catch(
    (error: unknown) => error,
  );
  expect(error).toMatchObject({ name: 'UnreadableResponse', $metadata: { httpStatusCode: status } });
  expect((error as Error).message).toMatch(/^cannot parse the response: /);
  expect(classifyError(error)).toBe(class_);
});

test('transport: corrects the clock after RequestTimeTooSkewed', async () => {
  const ahead = new Date(Date.now() + 3_600_000);
  const { requests, send } = await endpointReturning({
    status: 403,
    headers: { date: ahead.toUTCString() },
    body: '<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>',
  });
  const command = () => new GetBucketVersioningCommand({ Bucket: 'acme-tax' });
  const error = await send('s3', command()).catch((error: unknown) => error);
  expect(error).toMatchObject({ $metadata: { clockSkewCorrected: true } });
  expect(classifyError(error)).toBe('transient');
  await send('s3', command()).catch(() => {});
  const dateHeader = String(requests[1]?.request.headers['x-amz-date']);
  expect(dateHeader.slice(0, 11)).toBe(ahead.toISOString().replace(/[-:]/g, '').slice(0, 11));
});

test('transport: encodes an odd bucket name in the path', async () => {
  const { requests, send } = await endpointReturning({});
  const odd = ['a/b', '../other', 'ü'];
  for (const Bucket of odd) await send('s3', new GetBucketVersioningCommand({ Bucket })).catch(() => {});
  const paths = requests.map(({ request }) => request.url?.replace(/\/?\?versioning=?$/, ''));
  expect(paths).toEqual(odd.map((name) => `/${encodeURIComponent(name)}`));
});

/** Returns the configuration of an S3 client that must not send anything. */
function unsentConfig(overrides: object = {}): SdkConfig {
  const handle = async () => {
    throw new Error('a request was sent');
  };
  const { config } = new S3Client({ region: 'eu-central-1', credentials, requestHandler: { handle } });
  return Object.assign(config, overrides) as unknown as SdkConfig;
}

const endpointWith = (...names: string[]) => ({
  endpointProvider: () => ({
    url: new URL('https://acme-tax.s3.eu-central-1.amazonaws.com'),
    properties: { authSchemes: names.map((name) => ({ name, signingName: 's3' })) },
  }),
});

test.each<[what: string, bucket: string, overrides: object, schemes: string]>([
  ['an S3 Express bucket', 'acme--euc1-az1--x-s3', {}, 'sigv4-s3express'],
  [
    'a multi-Region access point',
    'arn:aws:s3::111122223333:accesspoint/mfzwi23gnjvgw.mrap',
    { useArnRegion: async () => true },
    'sigv4a',
  ],
  ['an endpoint with bearer tokens', 'acme-tax', endpointWith('bearer'), 'bearer'],
  ['an endpoint with unknown schemes', 'acme-tax', endpointWith('sigv5', 'sigv6'), 'sigv5 or sigv6'],
  ['an endpoint without authentication', 'acme-tax', endpointWith(), '(none)'],
  [
    'a client without SigV4',
    'acme-tax',
    { httpAuthSchemes: [{ schemeId: 'smithy.api#httpBearerAuth' }] },
    'smithy.api#httpBearerAuth',
  ],
])('transport: refuses %s before it sends a request', async (_, Bucket, overrides, schemes) => {
  const send = createTransport(unsentConfig(overrides));
  const error = await send(new HeadObjectCommand({ Bucket, Key: 'k' })).catch((error: unknown) => error);
  expect(error).toMatchObject({
    name: 'UnsupportedAuthScheme',
    message: expect.stringContaining(
      `S3 HeadObject requires the authentication scheme ${schemes}, but replikey signs requests with SigV4 only`,
    ),
  });
  expect(classifyError(error)).toBe('final');
});

test('transport: uses SigV4 if an endpoint offers it beside another scheme', async () => {
  const send = createTransport(unsentConfig(endpointWith('sigv4a', 'sigv4')));
  await expect(send(new GetBucketVersioningCommand({ Bucket: 'acme-tax' }))).rejects.toThrow(
    'a request was sent',
  );
});
