import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest } from './raw-request.ts';

/**
 * SSE-C over raw HTTP. Sources: S3 User Guide ("Using server-side encryption with customer-provided keys", "Blocking or
 * unblocking SSE-C for a general purpose bucket", "Troubleshoot access denied (403 Forbidden) errors"), and LocalStack's
 * recordings of AWS (TestS3SSECEncryption) for codes and messages.
 */

const BUCKET = 'acme-customer-keys';
const SSE = 'x-amz-server-side-encryption';
const KEY = createHash('sha256').update('key').digest();
const OTHER_KEY = createHash('sha256').update('another key').digest();

let sandbox: Sandbox;
let send: SendRequest;

beforeEach(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint);
  await send('PUT', `/${BUCKET}`);
  await unblock(BUCKET);
});
afterEach(() => sandbox.close());

const blocking = (type: string) =>
  `<ServerSideEncryptionConfiguration><Rule><BlockedEncryptionTypes><EncryptionType>${type}</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>`;
const unblock = (bucket: string) => send('PUT', `/${bucket}?encryption`, { body: blocking('NONE') });

const md5Of = (key: Buffer) => createHash('md5').update(key).digest('base64');
const withKey = (key: Buffer, prefix: string = SSE): Record<string, string> => ({
  [`${prefix}-customer-algorithm`]: 'AES256',
  [`${prefix}-customer-key`]: key.toString('base64'),
  [`${prefix}-customer-key-md5`]: md5Of(key),
});
const asSource = (key: Buffer) => withKey(key, 'x-amz-copy-source-server-side-encryption');
const put = (headers: Record<string, string>, key = 'object') =>
  send('PUT', `/${BUCKET}/${key}`, { body: 'data', headers });
const confirmation = {
  [`${SSE}-customer-algorithm`]: 'AES256',
  [`${SSE}-customer-key-md5`]: md5Of(KEY),
};

const errorOf = ({ status, text }: { status: number; text: string }) => [
  status,
  elementsOf(text, 'Code')[0],
  elementsOf(text, 'Message')[0],
];
const PARAMETERS_REQUIRED = [
  400,
  'InvalidRequest',
  'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
];
const WRONG_KEY = [
  403,
  'AccessDenied',
  'Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.',
];

describe('SSE-C', () => {
  test('round trip: the key is required for GET and HEAD, and the response confirms it', async () => {
    const created = await put(withKey(KEY));
    expect(created.status).toBe(200);
    expect(created.headers).toMatchObject(confirmation);
    // LocalStack's recording: the response has no x-amz-server-side-encryption.
    expect(created.headers).not.toHaveProperty(SSE);
    const read = await send('GET', `/${BUCKET}/object`, { headers: withKey(KEY) });
    expect([read.status, read.text]).toEqual([200, 'data']);
    expect(read.headers).toMatchObject(confirmation);
    const head = await send('HEAD', `/${BUCKET}/object`, { headers: withKey(KEY) });
    expect(head.status).toBe(200);
    expect(head.headers).toMatchObject({ ...confirmation, 'content-length': '4' });
    expect(head.headers).not.toHaveProperty(SSE);
  });

  // "The ETag in the response isn't the MD5 of the object data."
  test('the ETag is not the MD5 of the bytes', async () => {
    const { headers } = await put(withKey(KEY));
    expect(headers.etag).not.toBe(`"${createHash('md5').update('data').digest('hex')}"`);
  });

  test('neither state nor listing contains the key', async () => {
    await put(withKey(KEY));
    const state = JSON.stringify(sandbox.store.bucket(BUCKET)?.objects.get('object'));
    expect(state).not.toContain(KEY.toString('base64'));
    expect((await send('GET', `/${BUCKET}?list-type=2`)).text).toContain('<Key>object</Key>');
  });

  test('read without the key, or with another: rejected', async () => {
    await put(withKey(KEY));
    expect(errorOf(await send('GET', `/${BUCKET}/object`))).toEqual(PARAMETERS_REQUIRED);
    expect(errorOf(await send('GET', `/${BUCKET}/object`, { headers: withKey(OTHER_KEY) }))).toEqual(
      WRONG_KEY,
    );
    expect((await send('HEAD', `/${BUCKET}/object`)).status).toBe(400);
    expect((await send('HEAD', `/${BUCKET}/object`, { headers: withKey(OTHER_KEY) })).status).toBe(403);
    const attributes = { 'x-amz-object-attributes': 'ETag' };
    expect(errorOf(await send('GET', `/${BUCKET}/object?attributes`, { headers: attributes }))).toEqual(
      PARAMETERS_REQUIRED,
    );
  });

  test('read of an object without SSE-C with a key: InvalidRequest', async () => {
    await put({});
    expect(errorOf(await send('GET', `/${BUCKET}/object`, { headers: withKey(KEY) }))).toEqual([
      400,
      'InvalidRequest',
      'The encryption parameters are not applicable to this object.',
    ]);
  });

  test('delete and tags need no key', async () => {
    await put(withKey(KEY));
    expect((await send('GET', `/${BUCKET}/object?tagging`)).status).toBe(200);
    expect((await send('DELETE', `/${BUCKET}/object`)).status).toBe(204);
  });

  const without = (name: string) =>
    Object.fromEntries(
      Object.entries(withKey(KEY)).filter(([header]) => header !== `${SSE}-customer-${name}`),
    );
  const requirement = (text: string) =>
    `Requests specifying Server Side Encryption with Customer provided keys must ${text}.`;

  test.each([
    [
      'no algorithm',
      without('algorithm'),
      'InvalidArgument',
      requirement('provide a valid encryption algorithm'),
    ],
    ['no key', without('key'), 'InvalidArgument', requirement('provide an appropriate secret key')],
    [
      'no MD5',
      without('key-md5'),
      'InvalidArgument',
      requirement('provide the client calculated MD5 of the secret key'),
    ],
    [
      'another algorithm',
      { ...withKey(KEY), [`${SSE}-customer-algorithm`]: 'aws:kms' },
      'InvalidEncryptionAlgorithmError',
      'The Encryption request you specified is not valid. Supported value: AES256.',
    ],
    [
      'another MD5',
      { ...withKey(KEY), [`${SSE}-customer-key-md5`]: md5Of(OTHER_KEY) },
      'InvalidArgument',
      'The calculated MD5 hash of the key did not match the hash that was provided.',
    ],
    [
      'a short key',
      withKey(KEY.subarray(0, 10)),
      'InvalidArgument',
      'The secret key was invalid for the specified algorithm.',
    ],
    [
      'x-amz-server-side-encryption',
      { ...withKey(KEY), [SSE]: 'AES256' },
      'InvalidArgument',
      'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
    ],
  ])('put with %s: %s', async (_, headers, code, message) => {
    const response = await put(headers);
    expect(errorOf(response)).toEqual([400, code, message]);
    expect(elementsOf(response.text, 'ArgumentName')).toEqual([SSE]);
  });

  // "Amazon S3 rejects any requests made over HTTP when using SSE-C."
  test('plain HTTP: rejected', async () => {
    sandbox.faultSettings.secureTransport = 'never';
    expect(errorOf(await put(withKey(KEY)))).toEqual([
      400,
      'InvalidArgument',
      requirement('be made over a secure connection'),
    ]);
  });

  test('copy: takes the key of the source and the key of the copy', async () => {
    await put(withKey(KEY));
    const copy = (headers: Record<string, string>) =>
      send('PUT', `/${BUCKET}/copy`, { headers: { 'x-amz-copy-source': `${BUCKET}/object`, ...headers } });
    expect(errorOf(await copy({}))).toEqual(PARAMETERS_REQUIRED);
    expect(errorOf(await copy(asSource(OTHER_KEY)))).toEqual(WRONG_KEY);
    const recrypted = await copy({ ...asSource(KEY), ...withKey(OTHER_KEY) });
    expect(recrypted.status).toBe(200);
    expect(recrypted.headers[`${SSE}-customer-key-md5`]).toBe(md5Of(OTHER_KEY));
    expect((await send('GET', `/${BUCKET}/copy`, { headers: withKey(OTHER_KEY) })).text).toBe('data');
    const decrypted = await copy(asSource(KEY));
    expect(decrypted.headers[SSE]).toBe('AES256');
    expect((await send('GET', `/${BUCKET}/copy`)).text).toBe('data');
  });

  test('upload in parts: every part needs the key, the completion does not', async () => {
    const start = await send('POST', `/${BUCKET}/parts?uploads`, { headers: withKey(KEY) });
    expect(start.headers).toMatchObject(confirmation);
    const [uploadId] = elementsOf(start.text, 'UploadId');
    const path = `/${BUCKET}/parts?partNumber=1&uploadId=${uploadId}`;
    const part = (headers: Record<string, string>) => send('PUT', path, { body: 'data', headers });
    expect(errorOf(await part({}))).toEqual([
      400,
      'InvalidRequest',
      'The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.',
    ]);
    expect(errorOf(await part(withKey(OTHER_KEY)))).toEqual([
      400,
      'InvalidRequest',
      'The provided encryption parameters did not match the ones used originally.',
    ]);
    const stored = await part(withKey(KEY));
    expect(stored.headers).toMatchObject(confirmation);
    const complete = await send('POST', `/${BUCKET}/parts?uploadId=${uploadId}`, {
      body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${stored.headers.etag}</ETag></Part></CompleteMultipartUpload>`,
    });
    expect(complete.status).toBe(200);
    expect((await send('GET', `/${BUCKET}/parts`, { headers: withKey(KEY) })).text).toBe('data');
    expect(errorOf(await send('GET', `/${BUCKET}/parts`))).toEqual(PARAMETERS_REQUIRED);
  });
});

describe('SSE-C in a bucket that blocks it', () => {
  // S3 User Guide, "Default SSE-C setting for new buckets FAQ": since April 2026 new buckets block SSE-C.
  test('new bucket: PutObject, CopyObject and CreateMultipartUpload return 403', async () => {
    await send('PUT', '/acme-new');
    const requests = [
      ['PutObject', await send('PUT', '/acme-new/object', { body: 'data', headers: withKey(KEY) })],
      [
        'CopyObject',
        await send('PUT', '/acme-new/object', {
          headers: { 'x-amz-copy-source': `${BUCKET}/object`, ...withKey(KEY) },
        }),
      ],
      ['CreateMultipartUpload', await send('POST', '/acme-new/object?uploads', { headers: withKey(KEY) })],
    ] as const;
    for (const [operation, response] of requests) {
      expect(errorOf(response)[0]).toBe(403);
      expect(response.text.replaceAll('&quot;', '"')).toContain(
        `User: arn:aws:iam::111122223333:root is not authorized to perform: s3:${operation} on resource: "arn:aws:s3:::acme-new/object" because this bucket has blocked upload requests that specify Server Side Encryption with Customer provided keys (SSE-C). Please specify a different server-side encryption type`,
      );
    }
  });

  // "Existing SSE-C encrypted objects in the bucket are unaffected, you can still read them".
  test('existing objects stay readable after the block', async () => {
    await put(withKey(KEY));
    await send('PUT', `/${BUCKET}?encryption`, { body: blocking('SSE-C') });
    expect((await send('GET', `/${BUCKET}/object`, { headers: withKey(KEY) })).text).toBe('data');
    expect((await put(withKey(KEY), 'another')).status).toBe(403);
  });
});
