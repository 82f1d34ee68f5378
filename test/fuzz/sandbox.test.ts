import { request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { fuzzRuns, mutatedBytes, nestedText, pollutedProperties } from '../support/mutations.ts';

const SIGNED = (service: string) => ({
  authorization: `AWS4-HMAC-SHA256 Credential=111122223333/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
});
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

interface Asked {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

const kms = (operation: string, body: object): Asked => ({
  method: 'POST',
  path: '/',
  headers: {
    ...SIGNED('kms'),
    'x-amz-target': `TrentService.${operation}`,
    'content-type': 'application/x-amz-json-1.1',
  },
  body: JSON.stringify(body),
});
const iam = (fields: Record<string, string>): Asked => ({
  method: 'POST',
  path: '/',
  headers: { ...SIGNED('iam'), ...FORM },
  body: String(new URLSearchParams({ Version: '2010-05-08', ...fields })),
});
const s3 = (method: string, path: string, body = '', headers: Record<string, string> = {}): Asked => ({
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

const originals: Asked[] = [
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
  ['x-amz-storage-class', 'NOWHERE'],
  ['x-amz-meta-__proto__', 'polluted'],
];

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.close());

interface Answered {
  status: number;
  type: string;
  body: string;
}

function answered({ method, path, headers, body }: Asked, bytes?: Uint8Array): Promise<Answered> {
  const content = Buffer.from(bytes ?? body);
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(sandbox.endpoint);
    const sent = request(
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
    sent.on('timeout', () => sent.destroy(new Error('no answer in twenty seconds')));
    sent.on('error', reject);
    sent.end(content);
  });
}

/** A success, or an error of whoever asked, in the form of AWS: never one of the sandbox itself. */
async function isAnswered(asked: Asked, bytes?: Uint8Array): Promise<void> {
  const { status, type, body } = await answered(asked, bytes);
  expect(status).toBeGreaterThanOrEqual(200);
  // What is not built is told so, by name; an answer to HEAD has no body.
  expect(status < 500 || status === 501, `${status} ${body}`).toBe(true);
  if (status === 501 && asked.method !== 'HEAD') expect(body).toContain('NotImplemented');
  if (status >= 400 && body !== '') expect(`${type} ${body}`).toMatch(/<Code>\w+|__type|"error"|text\/plain/);
  expect(pollutedProperties()).toEqual([]);
}

test.each(originals)('the sandbox answers $method $path', (asked) => isAnswered(asked));

const sampled = fuzzRuns(300);
const anOriginal = fc.constantFrom(...originals);

test('whatever the body of a request holds, it is carried out or refused', sampled.test, async () => {
  const mutated = anOriginal.chain((asked) =>
    fc.record({ asked: fc.constant(asked), bytes: mutatedBytes([asked.body || 'x'], WORDS) }),
  );
  await fc.assert(
    fc.asyncProperty(mutated, ({ asked, bytes }) => isAnswered(asked, bytes)),
    sampled.property,
  );
});

test('whatever its address and its headers say, it is carried out or refused', sampled.test, async () => {
  const mutated = fc.record({
    asked: anOriginal,
    at: fc.nat(),
    length: fc.nat(8),
    letters: fc.constantFrom(...LETTERS),
    method: fc.option(fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'), {
      nil: undefined,
    }),
    headers: fc.array(fc.constantFrom(...HEADERS), { maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(mutated, ({ asked, at, length, letters, method, headers }) => {
      const start = 1 + (at % asked.path.length);
      const path = asked.path.slice(0, start) + letters + asked.path.slice(start + length);
      const more = Object.fromEntries(headers);
      return isAnswered({
        ...asked,
        path,
        method: method ?? asked.method,
        headers: { ...asked.headers, ...more },
      });
    }),
    sampled.property,
  );
});
