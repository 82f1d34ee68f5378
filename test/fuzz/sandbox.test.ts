import { request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { fuzzRuns, mutatedBytes, nestedText, pollutedProperties } from '../support/mutations.ts';

const SIGNED = (service: string) => ({
  authorization: `AWS4-HMAC-SHA256 Credential=111122223333/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
});
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

interface RawRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

const kms = (operation: string, body: object): RawRequest => ({
  method: 'POST',
  path: '/',
  headers: {
    ...SIGNED('kms'),
    'x-amz-target': `TrentService.${operation}`,
    'content-type': 'application/x-amz-json-1.1',
  },
  body: JSON.stringify(body),
});
const iam = (fields: Record<string, string>): RawRequest => ({
  method: 'POST',
  path: '/',
  headers: { ...SIGNED('iam'), ...FORM },
  body: String(new URLSearchParams({ Version: '2010-05-08', ...fields })),
});
const s3 = (method: string, path: string, body = '', headers: Record<string, string> = {}): RawRequest => ({
  method,
  path,
  headers: { ...SIGNED('s3'), ...headers },
  body,
});

const TRUST = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' }],
});
const REPLICATION = `<ReplicationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Role>arn:aws:iam::111122223333:role/r</Role><Rule><ID>a</ID><Priority>1</Priority><Status>Enabled</Status><Filter><Prefix>Tax/</Prefix></Filter><DeleteMarkerReplication><Status>Disabled</Status></DeleteMarkerReplication><SourceSelectionCriteria><SseKmsEncryptedObjects><Status>Enabled</Status></SseKmsEncryptedObjects></SourceSelectionCriteria><Destination><Bucket>arn:aws:s3:::acme-replica</Bucket><EncryptionConfiguration><ReplicaKmsKeyID>arn:aws:kms:us-west-2:111122223333:key/a</ReplicaKmsKeyID></EncryptionConfiguration></Destination></Rule></ReplicationConfiguration>`;

const originals: RawRequest[] = [
  s3('PUT', '/acme-tax'),
  s3(
    'PUT',
    '/acme-tax?versioning',
    '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
  ),
  s3('PUT', '/acme-tax?replication', REPLICATION),
  s3('PUT', '/acme-tax?policy', TRUST),
  s3(
    'PUT',
    '/acme-tax?tagging',
    '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>',
  ),
  s3('PUT', '/acme-tax/Tax/2026.pdf', 'content', { 'x-amz-meta-a': 'b', 'x-amz-tagging': 'a=b' }),
  s3('GET', '/acme-tax/Tax/2026.pdf', '', { range: 'bytes=0-3', 'if-none-match': '"x"' }),
  s3('HEAD', '/acme-tax/Tax/2026.pdf?versionId=null'),
  s3('GET', '/acme-tax?list-type=2&prefix=Tax&max-keys=2&delimiter=/&continuation-token=a'),
  s3('GET', '/acme-tax?versions&key-marker=a&version-id-marker=b'),
  s3('GET', '/?max-buckets=2&continuation-token=a'),
  s3('POST', '/acme-tax?delete', '<Delete><Object><Key>a</Key></Object></Delete>'),
  s3('POST', '/acme-tax?delete', '<Delete><Object/></Delete>'),
  s3('POST', '/acme-tax/a?uploads'),
  s3('PUT', '/acme-tax/b', '', { 'x-amz-copy-source': 'acme-tax/Tax/2026.pdf?versionId=x' }),
  s3('PUT', '/acme-tax/c', '3;chunk-signature=0\r\nabc\r\n0;chunk-signature=0\r\n\r\n', {
    'content-encoding': 'aws-chunked',
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'x-amz-decoded-content-length': '3',
  }),
  kms('CreateKey', { Description: 'd', Policy: TRUST, Tags: [{ TagKey: 'a', TagValue: 'b' }] }),
  kms('CreateAlias', { AliasName: 'alias/a', TargetKeyId: 'a' }),
  kms('DescribeKey', { KeyId: 'alias/a' }),
  kms('Encrypt', { KeyId: 'alias/a', Plaintext: 'YQ==', EncryptionContext: { a: 'b' } }),
  kms('Decrypt', { CiphertextBlob: 'YQ==' }),
  iam({ Action: 'CreateRole', RoleName: 'r', AssumeRolePolicyDocument: TRUST, 'Tags.member.1.Key': 'a' }),
  iam({ Action: 'PutRolePolicy', RoleName: 'r', PolicyName: 'p', PolicyDocument: TRUST }),
  iam({ Action: 'GetAccountAuthorizationDetails', 'Filter.member.1': 'Role', MaxItems: '5', Marker: 'x' }),
  { method: 'GET', path: '/_sandbox', headers: {}, body: '' },
];

const WORDS = [
  ...[
    '<',
    '>',
    '</Rule>',
    '<Rule>',
    '&amp;',
    '&#0;',
    '&lol;',
    '<![CDATA[',
    '<!DOCTYPE a [<!ENTITY b "c">]>',
    '<?xml ?>',
  ],
  ...[
    '{',
    '}',
    '[',
    ']',
    '"',
    ',',
    ':',
    'null',
    '1e999',
    '"__proto__":{"polluted":1},',
    '\\ud800',
    '\u0000',
    '\ufeff',
  ],
  ...[
    '&',
    '=',
    '%',
    '%00',
    '%ff',
    '+',
    '.member.1',
    '.member.99999999',
    '.entry.-1',
    '__proto__.member.1=a&',
    '\r\n',
  ],
  ...[nestedText(3_000), '<a>'.repeat(3_000), 'ffffffff\r\n'],
  [0xff, 0xfe],
];
const LETTERS = [
  '%',
  '%2',
  '%00',
  '%2e%2e',
  '..',
  '/',
  '//',
  '?',
  '&',
  '=',
  '#',
  ';',
  '+',
  '~',
  '<',
  '"',
  '\\',
  '*',
  '__proto__',
  'versionId=',
  'uploads',
  '%F0%9F%98%80',
  'x'.repeat(3_000),
];
const HEADERS: [string, string][] = [
  ['content-type', 'text/html'],
  ['content-encoding', 'aws-chunked'],
  ['content-md5', 'nonsense'],
  ['x-amz-content-sha256', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'],
  ['x-amz-decoded-content-length', '-1'],
  ['x-amz-trailer', 'x-amz-checksum-crc32'],
  ['x-amz-checksum-crc32', '!'],
  ['x-amz-sdk-checksum-algorithm', 'CRC9'],
  ['x-amz-target', 'TrentService.'],
  ['x-amz-target', 'TrentService.__proto__'],
  ['x-amz-target', 'TrentService.constructor'],
  ['authorization', 'AWS4-HMAC-SHA256 Credential='],
  ['authorization', `AWS4-HMAC-SHA256 Credential=${'/'.repeat(300)}`],
  ['authorization', 'Bearer x'],
  ['range', 'bytes=9-1'],
  ['range', 'bytes=-99999999999999999999'],
  ['if-match', '"'],
  ['if-modified-since', 'never'],
  ['x-amz-copy-source', '%'],
  ['x-amz-copy-source-range', 'bytes=-'],
  ['x-amz-tagging', '%=&=='],
  ['x-amz-server-side-encryption', 'aws:nothing'],
  ['x-amz-server-side-encryption-context', 'e30'],
  ['x-amz-expected-bucket-owner', ''],
  ['x-amz-storage-class', 'UNKNOWN'],
  ['x-amz-meta-__proto__', 'polluted'],
];

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.close());

interface RawResponse {
  status: number;
  type: string;
  body: string;
}

function send({ method, path, headers, body }: RawRequest, bytes?: Uint8Array): Promise<RawResponse> {
  const content = Buffer.from(bytes ?? body);
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(sandbox.endpoint);
    const outgoing = request(
      {
        hostname,
        port,
        method,
        path,
        headers: { ...headers, 'content-length': content.length },
        timeout: 20_000,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            type: String(response.headers['content-type'] ?? ''),
            body: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('no response within 20 seconds')));
    outgoing.on('error', reject);
    outgoing.end(content);
  });
}

/** Checks that the response is a success or a client error in AWS's form, not an internal error. */
async function checkResponse(original: RawRequest, bytes?: Uint8Array): Promise<void> {
  const { status, type, body } = await send(original, bytes);
  expect(status).toBeGreaterThanOrEqual(200);
  // The response to an operation that is not implemented is 501. The response to HEAD has no body.
  expect(status < 500 || status === 501, `${status} ${body}`).toBe(true);
  if (status === 501 && original.method !== 'HEAD') expect(body).toContain('NotImplemented');
  if (status >= 400 && body !== '') expect(`${type} ${body}`).toMatch(/<Code>\w+|__type|"error"|text\/plain/);
  expect(pollutedProperties()).toEqual([]);
}

test.each(originals)('sandbox: $method $path causes no internal error', (original) =>
  checkResponse(original),
);

const sampled = fuzzRuns(300);
const originalRequest = fc.constantFrom(...originals);

test('sandbox: a request with a mutated body causes no internal error', sampled.test, async () => {
  const mutated = originalRequest.chain((original) =>
    fc.record({ original: fc.constant(original), bytes: mutatedBytes([original.body || 'x'], WORDS) }),
  );
  await fc.assert(
    fc.asyncProperty(mutated, ({ original, bytes }) => checkResponse(original, bytes)),
    sampled.property,
  );
});

test(
  'sandbox: a request with a mutated path and headers causes no internal error',
  sampled.test,
  async () => {
    const mutated = fc.record({
      original: originalRequest,
      at: fc.nat(),
      length: fc.nat(8),
      letters: fc.constantFrom(...LETTERS),
      method: fc.option(fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'), {
        nil: undefined,
      }),
      headers: fc.array(fc.constantFrom(...HEADERS), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(mutated, ({ original, at, length, letters, method, headers }) => {
        const start = 1 + (at % original.path.length);
        const path = original.path.slice(0, start) + letters + original.path.slice(start + length);
        const extraHeaders = Object.fromEntries(headers);
        return checkResponse({
          ...original,
          path,
          method: method ?? original.method,
          headers: { ...original.headers, ...extraHeaders },
        });
      }),
      sampled.property,
    );
  },
);
