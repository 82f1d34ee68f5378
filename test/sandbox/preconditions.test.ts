import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest } from './raw-request.ts';

/**
 * Conditional requests over raw HTTP. Sources: LocalStack's recordings of AWS (test_s3_get_object_preconditions,
 * TestS3CopySourcePreconditions, test_put_object_if_match, test_put_object_if_none_match, multipart preconditions), and
 * the S3 User Guide ("Conditional writes", "Conditional deletes").
 */

const BUCKET = 'acme-conditions';
const SECOND = 1000;
const START = Date.UTC(2026, 10, 30);

let sandbox: Sandbox;
let send: SendRequest;
let now = START;
let etag = '';

beforeEach(async () => {
  now = START;
  sandbox = await startSandbox({ clock: () => now });
  send = createRawClient(sandbox.endpoint);
  await send('PUT', `/${BUCKET}`);
  const { headers } = await put('object', {});
  etag = headers.etag ?? '';
  now += 60 * SECOND;
});
afterEach(() => sandbox.close());

const put = (key: string, headers: Record<string, string>, body = 'data') =>
  send('PUT', `/${BUCKET}/${key}`, { body, headers });
const httpDate = (seconds: number) => new Date(START + seconds * SECOND).toUTCString();
const errorOf = ({ status, text }: { status: number; text: string }) => [
  status,
  elementsOf(text, 'Code')[0],
  elementsOf(text, 'Condition')[0],
];
const failed = (condition: string) => [412, 'PreconditionFailed', condition];
const WRONG_ETAG = '"d41d8cd98f00b204e9800998ecf8427e"';

/** Conditions of a read, with `etag` for the ETag of the object, and the result for GET. */
const READS: [title: string, headers: Record<string, string>, result: number | string][] = [
  ['If-Match', { 'if-match': 'etag' }, 200],
  ['If-Match without quotes', { 'if-match': 'unquoted' }, 200],
  ['If-Match of another ETag', { 'if-match': WRONG_ETAG }, 'If-Match'],
  ['If-None-Match', { 'if-none-match': 'etag' }, 304],
  ['If-None-Match without quotes', { 'if-none-match': 'unquoted' }, 304],
  ['If-None-Match of another ETag', { 'if-none-match': WRONG_ETAG }, 200],
  ['If-Modified-Since before', { 'if-modified-since': httpDate(-1) }, 200],
  ['If-Modified-Since of the object', { 'if-modified-since': httpDate(0) }, 304],
  ['If-Modified-Since after', { 'if-modified-since': httpDate(30) }, 304],
  // AWS ignores a date in the future.
  ['If-Modified-Since in the future', { 'if-modified-since': httpDate(3600) }, 200],
  ['If-Unmodified-Since of the object', { 'if-unmodified-since': httpDate(0) }, 200],
  ['If-Unmodified-Since before', { 'if-unmodified-since': httpDate(-1) }, 'If-Unmodified-Since'],
  // RFC 7232, and S3 API Reference, "GetObject": the ETag decides.
  [
    'If-Match met, If-Unmodified-Since unmet',
    { 'if-match': 'etag', 'if-unmodified-since': httpDate(-1) },
    200,
  ],
  [
    'If-None-Match unmet, If-Modified-Since met',
    { 'if-none-match': 'etag', 'if-modified-since': httpDate(-1) },
    304,
  ],
  [
    'all unmet: If-Match is first',
    {
      'if-match': WRONG_ETAG,
      'if-unmodified-since': httpDate(-1),
      'if-none-match': 'etag',
      'if-modified-since': httpDate(30),
    },
    'If-Match',
  ],
  [
    'all unmet except If-Match: If-Unmodified-Since is first',
    { 'if-unmodified-since': httpDate(-1), 'if-none-match': 'etag', 'if-modified-since': httpDate(30) },
    'If-Unmodified-Since',
  ],
];

const resolved = (headers: Record<string, string>, prefix = '') =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      `${prefix}${name}`,
      value === 'etag' ? etag : value === 'unquoted' ? etag.replaceAll('"', '') : value,
    ]),
  );

describe('conditional reads', () => {
  test.each(READS)('GET with %s: %o returns %s', async (_, headers, result) => {
    const response = await send('GET', `/${BUCKET}/object`, { headers: resolved(headers) });
    if (typeof result === 'string') expect(errorOf(response)).toEqual(failed(result));
    else expect(response.status).toBe(result);
    if (result === 304) expect([response.text, response.headers.etag]).toEqual(['', etag]);
  });

  test.each(READS)('HEAD with %s: %o returns %s', async (_, headers, result) => {
    const response = await send('HEAD', `/${BUCKET}/object`, { headers: resolved(headers) });
    expect(response.status).toBe(typeof result === 'string' ? 412 : result);
  });

  test.each(READS)('copy source with %s: %o returns %s', async (_, headers, result) => {
    const response = await send('PUT', `/${BUCKET}/copy`, {
      headers: { 'x-amz-copy-source': `${BUCKET}/object`, ...resolved(headers, 'x-amz-copy-source-') },
    });
    if (result === 200) expect(response.status).toBe(200);
    // A copy returns 412 where a read returns 304, and names the header in this spelling.
    else {
      const header = typeof result === 'string' ? result : 'none-match' in headers ? '' : undefined;
      expect(response.status).toBe(412);
      const [condition] = elementsOf(response.text, 'Condition');
      expect(condition).toMatch(/^x-amz-copy-source-If-(Match|None-Match|Modified-Since|Unmodified-Since)$/);
      if (header) expect(condition).toBe(`x-amz-copy-source-${header}`);
    }
  });

  test('UploadPartCopy: checks the conditions of the source', async () => {
    const start = await send('POST', `/${BUCKET}/parts?uploads`);
    const [uploadId] = elementsOf(start.text, 'UploadId');
    const path = `/${BUCKET}/parts?partNumber=1&uploadId=${uploadId}`;
    const copy = (ifMatch: string) =>
      send('PUT', path, {
        headers: { 'x-amz-copy-source': `${BUCKET}/object`, 'x-amz-copy-source-if-match': ifMatch },
      });
    expect(errorOf(await copy(WRONG_ETAG))).toEqual(failed('x-amz-copy-source-If-Match'));
    expect((await copy(etag)).status).toBe(200);
  });
});

describe('conditional writes', () => {
  /** Returns the functions that write `key` with the three operations, each with the same conditions. */
  const writers: [string, (key: string, headers: Record<string, string>) => ReturnType<SendRequest>][] = [
    ['PutObject', (key, headers) => put(key, headers)],
    [
      'CopyObject',
      (key, headers) =>
        send('PUT', `/${BUCKET}/${key}`, {
          headers: { 'x-amz-copy-source': `${BUCKET}/source`, ...headers },
        }),
    ],
    ['CompleteMultipartUpload', async (key, headers) => (await startUpload(key))(headers)],
  ];

  /** Starts an upload with one part, and returns the function that completes it. */
  async function startUpload(key: string) {
    const start = await send('POST', `/${BUCKET}/${key}?uploads`);
    const [uploadId] = elementsOf(start.text, 'UploadId');
    const part = await send('PUT', `/${BUCKET}/${key}?partNumber=1&uploadId=${uploadId}`, { body: 'data' });
    const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.etag}</ETag></Part></CompleteMultipartUpload>`;
    return (headers: Record<string, string>) =>
      send('POST', `/${BUCKET}/${key}?uploadId=${uploadId}`, { body, headers });
  }

  describe.each(writers)('%s', (_, write) => {
    beforeEach(() => put('source', {}));

    test('If-None-Match: * of an existing key returns 412, of a new key 200', async () => {
      expect(errorOf(await write('object', { 'if-none-match': '*' }))).toEqual(failed('If-None-Match'));
      expect((await write('new', { 'if-none-match': '*' })).status).toBe(200);
    });

    test('If-Match of the ETag returns 200, of another 412, of a missing key 404', async () => {
      expect(errorOf(await write('object', { 'if-match': WRONG_ETAG }))).toEqual(failed('If-Match'));
      expect(errorOf(await write('missing', { 'if-match': etag })).slice(0, 2)).toEqual([404, 'NoSuchKey']);
      expect((await write('object', { 'if-match': etag })).status).toBe(200);
    });

    test('other values return 501', async () => {
      for (const headers of [{ 'if-match': '*' }, { 'if-none-match': etag }]) {
        const response = await write('object', headers as Record<string, string>);
        expect(errorOf(response).slice(0, 2)).toEqual([501, 'NotImplemented']);
        expect(elementsOf(response.text, 'Header')).toEqual(['If-None-Match']);
      }
      const both = await write('object', { 'if-match': etag, 'if-none-match': '*' });
      expect(elementsOf(both.text, 'Header')).toEqual(['If-Match,If-None-Match']);
    });

    test('a delete marker counts as no object', async () => {
      await send('PUT', `/${BUCKET}?versioning`, {
        body: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
      });
      await send('DELETE', `/${BUCKET}/object`);
      expect(errorOf(await write('object', { 'if-match': etag })).slice(0, 2)).toEqual([404, 'NoSuchKey']);
      expect((await write('object', { 'if-none-match': '*' })).status).toBe(200);
    });
  });

  // "If a conflicting operation occurs during the upload S3 returns a 409 ConditionalRequestConflict response."
  test('CompleteMultipartUpload: a change during the upload returns 409', async () => {
    const afterDelete = await startUpload('object');
    await send('DELETE', `/${BUCKET}/object`);
    const deleted = await afterDelete({ 'if-none-match': '*' });
    expect(errorOf(deleted)).toEqual([409, 'ConditionalRequestConflict', 'If-None-Match']);
    expect(elementsOf(deleted.text, 'Key')).toEqual(['object']);
    const afterWrite = await startUpload('another');
    now += SECOND;
    const { headers } = await put('another', {});
    const overwritten = await afterWrite({ 'if-match': headers.etag ?? '' });
    expect(errorOf(overwritten)).toEqual([409, 'ConditionalRequestConflict', 'If-Match']);
  });
});

describe('conditional deletes', () => {
  test('If-Match of the ETag and * delete, another ETag returns 412, a missing key 404', async () => {
    const remove = (key: string, ifMatch: string) =>
      send('DELETE', `/${BUCKET}/${key}`, { headers: { 'if-match': ifMatch } });
    expect(errorOf(await remove('object', WRONG_ETAG))).toEqual(failed('If-Match'));
    expect(errorOf(await remove('missing', etag)).slice(0, 2)).toEqual([404, 'NoSuchKey']);
    expect((await remove('object', etag)).status).toBe(204);
    await put('object', {});
    expect((await remove('object', '*')).status).toBe(204);
  });

  // "Conditional delete evaluations only apply to the current version of the object."
  test('If-Match with a version id returns 501', async () => {
    const response = await send('DELETE', `/${BUCKET}/object?versionId=null`, {
      headers: { 'if-match': etag },
    });
    expect(errorOf(response).slice(0, 2)).toEqual([501, 'NotImplemented']);
  });

  test('DeleteObjects: checks the ETag of each object', async () => {
    await put('another', {});
    const object = (key: string, tag: string) => `<Object><Key>${key}</Key><ETag>${tag}</ETag></Object>`;
    const body = `<Delete>${object('object', WRONG_ETAG)}${object('another', etag)}</Delete>`;
    const { text } = await send('POST', `/${BUCKET}?delete`, { body });
    expect(elementsOf(text, 'Code')).toEqual(['PreconditionFailed']);
    expect(elementsOf(elementsOf(text, 'Deleted')[0] ?? '', 'Key')).toEqual(['another']);
  });
});

// S3 User Guide, "Enforce conditional writes" and "Enforce conditional deletes": the policies of If-Match with an ETag
// allow s3:GetObject, too. A delete with `*` does not need it.
describe('permissions of If-Match', () => {
  const ACCOUNT = '111122223333';
  /** Denies s3:GetObject, and returns the statuses of a put, a delete with the ETag and a delete with `*`. */
  const statusesWithout = async (action: string) => {
    const policy = {
      Version: '2012-10-17',
      Statement: {
        Effect: 'Deny',
        Principal: { AWS: ACCOUNT },
        Action: action,
        Resource: `arn:aws:s3:::${BUCKET}/*`,
      },
    };
    await send('PUT', `/${BUCKET}?policy`, { body: JSON.stringify(policy) });
    const written = await put('object', { 'if-match': etag });
    const deleted = await send('DELETE', `/${BUCKET}/object`, { headers: { 'if-match': etag } });
    const any = await send('DELETE', `/${BUCKET}/object`, { headers: { 'if-match': '*' } });
    return [written.status, deleted.status, any.status];
  };

  test('an ETag needs s3:GetObject, * does not', async () => {
    expect(await statusesWithout('s3:GetObject')).toEqual([403, 403, 204]);
  });

  test('s3:GetObjectTagging is not needed', async () => {
    expect(await statusesWithout('s3:GetObjectTagging')).toEqual([200, 204, 404]);
  });
});
