import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { testEnv } from '../support/env.ts';
import {
  childrenOf,
  createRawClient,
  elementsOf,
  type SendRequest,
  type WireRequest,
  type WireResponse,
} from './raw-request.ts';

/** Objects, parts and checksums over plain HTTP; see wire-xml.test.ts for the sources of facts. */

let sandbox: Sandbox;
let send: SendRequest;
beforeEach(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint);
  await send('PUT', '/acme-tax');
});
afterEach(() => sandbox.close());

const CHECKSUM_MODE = { 'x-amz-checksum-mode': 'ENABLED' };
const MIB = 1024 * 1024;

/** Checksums of `123456789`: the check values of the catalogue of parametrised CRC algorithms, and digests of OpenSSL. */
const DIGITS = '123456789';
const DIGITS_CHECKSUMS = {
  crc32: hexToBase64('cbf43926'),
  crc32c: hexToBase64('e3069283'),
  crc64nvme: hexToBase64('ae8b14860a799888'),
  sha1: hexToBase64('f7c3bc1d808e04732adf679965ccc34ca7ae3441'),
  sha256: hexToBase64('15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225'),
};

function hexToBase64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

const checksumHeadersOf = ({ headers }: WireResponse) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-amz-checksum')));

const errorOf = ({ status, text }: WireResponse) => [
  status,
  elementsOf(text, 'Code')[0],
  elementsOf(text, 'Message')[0],
];

const put = (key: string, options: WireRequest = {}) => send('PUT', `/acme-tax/${key}`, options);

/** Uploads an object in parts, and returns the response to CompleteMultipartUpload. */
async function uploadParts(
  key: string,
  parts: Buffer[],
  options: {
    create?: Record<string, string>;
    /** Headers of a part. */
    part?: (body: Buffer) => Record<string, string>;
    /** Elements of a part in the request to complete. */
    elements?: (body: Buffer) => string;
    complete?: Record<string, string>;
  } = {},
): Promise<{ created: WireResponse; uploaded: WireResponse[]; completed: WireResponse; uploadId: string }> {
  const created = await send('POST', `/acme-tax/${key}?uploads`, { headers: options.create ?? {} });
  const [uploadId = ''] = elementsOf(created.text, 'UploadId');
  const uploaded: WireResponse[] = [];
  for (const [index, body] of parts.entries()) {
    const path = `/acme-tax/${key}?partNumber=${index + 1}&uploadId=${uploadId}`;
    uploaded.push(await send('PUT', path, { body, headers: options.part?.(body) ?? {} }));
  }
  const body = parts
    .map(
      (part, index) =>
        `<Part><PartNumber>${index + 1}</PartNumber><ETag>${uploaded[index]?.headers.etag}</ETag>${options.elements?.(part) ?? ''}</Part>`,
    )
    .join('');
  const completed = await send('POST', `/acme-tax/${key}?uploadId=${uploadId}`, {
    body: `<CompleteMultipartUpload>${body}</CompleteMultipartUpload>`,
    headers: options.complete ?? {},
  });
  return { created, uploaded, completed, uploadId };
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('base64');
const twoParts = [Buffer.alloc(5 * MIB, 'a'), Buffer.from(DIGITS)];
const whole = Buffer.concat(twoParts);

describe('ranges', () => {
  beforeEach(() => put('a', { body: DIGITS, headers: { 'x-amz-checksum-crc32': DIGITS_CHECKSUMS.crc32 } }));

  // S3 API Reference, GetObject, x-amz-checksum-mode; LocalStack's provider, from its recordings of AWS: a range has no
  // checksum of the whole object, unless it is the whole object. With one, every SDK fails on the ranged read.
  test.each(['GET', 'HEAD'])('%s with Range: returns 206, the range and no checksum', async (method) => {
    const response = await send(method, '/acme-tax/a', { headers: { ...CHECKSUM_MODE, range: 'bytes=2-4' } });
    expect(response.status).toBe(206);
    expect(response.text).toBe(method === 'GET' ? '345' : '');
    expect(response.headers).toMatchObject({
      'content-range': 'bytes 2-4/9',
      'content-length': '3',
      'accept-ranges': 'bytes',
    });
    expect(checksumHeadersOf(response)).toEqual({});
  });

  test.each(['GET', 'HEAD'])('%s with a Range of the whole object: returns its checksum', async (method) => {
    const response = await send(method, '/acme-tax/a', { headers: { ...CHECKSUM_MODE, range: 'bytes=0-' } });
    expect(response.status).toBe(206);
    expect(checksumHeadersOf(response)).toEqual({
      'x-amz-checksum-crc32': DIGITS_CHECKSUMS.crc32,
      'x-amz-checksum-type': 'FULL_OBJECT',
    });
  });

  test.each([
    ['bytes=-3', '789', 'bytes 6-8/9'],
    ['bytes=-30', DIGITS, 'bytes 0-8/9'],
    ['bytes=7-100', '89', 'bytes 7-8/9'],
  ])('GET with Range %s: returns %s', async (range, text, contentRange) => {
    const response = await send('GET', '/acme-tax/a', { headers: { range } });
    expect(response).toMatchObject({ status: 206, text, headers: { 'content-range': contentRange } });
  });

  // RFC 9110 14.2 lets a server ignore a range; LocalStack's parse_range_header, from its recordings of AWS
  test.each(['bytes=0-1,3-4', 'bytes=4-2', 'lines=1-2', 'bytes=-'])(
    'GET with Range %s: ignores it',
    async (range) => {
      const response = await send('GET', '/acme-tax/a', { headers: { range } });
      expect(response).toMatchObject({ status: 200, text: DIGITS });
      expect(response.headers).not.toHaveProperty('content-range');
    },
  );

  // fact: localstack/s3.get_object/test_invalid_range_error#exc
  test('GET with a Range beyond the object: returns InvalidRange', async () => {
    const response = await send('GET', '/acme-tax/a', { headers: { range: 'bytes=1024-4096' } });
    expect(errorOf(response)).toEqual([416, 'InvalidRange', 'The requested range is not satisfiable']);
    expect(elementsOf(response.text, 'ActualObjectSize')).toEqual(['9']);
    expect(elementsOf(response.text, 'RangeRequested')).toEqual(['bytes=1024-4096']);
  });

  // S3 API Reference, GetObject: x-amz-checksum-mode must be ENABLED to retrieve the checksum.
  test('GET without x-amz-checksum-mode: returns no checksum', async () => {
    expect(checksumHeadersOf(await send('GET', '/acme-tax/a'))).toEqual({});
  });
});

describe('checksums of a put', () => {
  // S3 User Guide, "Checking object integrity": S3 adds CRC64NVME to an object without a checksum, of type FULL_OBJECT.
  test('PutObject: stores CRC64NVME if the client sends no checksum', async () => {
    const expected = {
      'x-amz-checksum-crc64nvme': DIGITS_CHECKSUMS.crc64nvme,
      'x-amz-checksum-type': 'FULL_OBJECT',
    };
    expect(checksumHeadersOf(await put('a', { body: DIGITS }))).toEqual(expected);
    expect(checksumHeadersOf(await send('HEAD', '/acme-tax/a', { headers: CHECKSUM_MODE }))).toEqual(
      expected,
    );
    const { text } = await send('GET', '/acme-tax?list-type=2');
    expect(elementsOf(text, 'ChecksumAlgorithm')).toEqual(['CRC64NVME']);
    expect(elementsOf(text, 'ChecksumType')).toEqual(['FULL_OBJECT']);
  });

  test.each(Object.entries(DIGITS_CHECKSUMS))('PutObject: verifies and stores %s', async (name, value) => {
    const header = `x-amz-checksum-${name}`;
    const expected = { [header]: value, 'x-amz-checksum-type': 'FULL_OBJECT' };
    expect(checksumHeadersOf(await put('a', { body: DIGITS, headers: { [header]: value } }))).toEqual(
      expected,
    );
    expect(checksumHeadersOf(await send('GET', '/acme-tax/a', { headers: CHECKSUM_MODE }))).toEqual(expected);
    expect(errorOf(await put('b', { body: '12345678', headers: { [header]: value } }))).toEqual([
      400,
      'BadDigest',
      `The ${name.toUpperCase()} you specified did not match the calculated checksum.`,
    ]);
    // fact: localstack/s3.put_object/test_put_object_checksum[CRC32]#put-wrong-checksum
    expect(errorOf(await put('b', { body: DIGITS, headers: { [header]: 'aGVsbG8=' } }))).toEqual([
      400,
      'InvalidRequest',
      `Value for ${header} header is invalid.`,
    ]);
    expect((await send('HEAD', '/acme-tax/b')).status).toBe(404);
  });

  // S3 User Guide, "Checking object integrity", trailing checksums: the checksum follows the chunks of the body.
  test('PutObject: verifies and stores the checksum of a trailer', async () => {
    const withTrailer = (key: string, value: string) =>
      put(key, {
        body: `9\r\n${DIGITS}\r\n0\r\nx-amz-checksum-crc32c:${value}\r\n\r\n`,
        headers: {
          'content-encoding': 'aws-chunked',
          'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
          'x-amz-decoded-content-length': '9',
          'x-amz-sdk-checksum-algorithm': 'CRC32C',
          'x-amz-trailer': 'x-amz-checksum-crc32c',
        },
      });
    expect(errorOf(await withTrailer('b', 'AAAAAA==')).slice(0, 2)).toEqual([400, 'BadDigest']);
    expect((await withTrailer('a', DIGITS_CHECKSUMS.crc32c)).status).toBe(200);
    const { headers } = await send('HEAD', '/acme-tax/a', { headers: CHECKSUM_MODE });
    expect(headers).toMatchObject({
      'content-length': '9',
      'x-amz-checksum-crc32c': DIGITS_CHECKSUMS.crc32c,
    });
    expect(headers).not.toHaveProperty('content-encoding');
  });

  test('PutObject: refuses two checksums, and an algorithm without a checksum', async () => {
    const { crc32, sha1 } = DIGITS_CHECKSUMS;
    const two = { 'x-amz-checksum-crc32': crc32, 'x-amz-checksum-sha1': sha1 };
    expect(errorOf(await put('a', { body: DIGITS, headers: two }))).toEqual([
      400,
      'InvalidRequest',
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    ]);
    expect(
      errorOf(await put('a', { body: DIGITS, headers: { 'x-amz-sdk-checksum-algorithm': 'CRC32' } })),
    ).toEqual([
      400,
      'InvalidRequest',
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    ]);
  });

  test('PutObject: returns 501 for an algorithm that the sandbox does not compute', async () => {
    const response = await put('a', { body: DIGITS, headers: { 'x-amz-checksum-xxhash64': 'aGVsbG8hIQ==' } });
    expect(errorOf(response).slice(0, 2)).toEqual([501, 'NotImplemented']);
  });

  test('CopyObject: keeps the algorithm, or takes the one of the request', async () => {
    await put('a', { body: DIGITS, headers: { 'x-amz-checksum-sha256': DIGITS_CHECKSUMS.sha256 } });
    const copy = await put('b', { headers: { 'x-amz-copy-source': '/acme-tax/a' } });
    expect(childrenOf(copy.text)).toEqual(['ETag', 'LastModified', 'ChecksumType', 'ChecksumSHA256']);
    expect(elementsOf(copy.text, 'ChecksumSHA256')).toEqual([DIGITS_CHECKSUMS.sha256]);
    expect(elementsOf(copy.text, 'ChecksumType')).toEqual(['FULL_OBJECT']);
    const other = await put('c', {
      headers: { 'x-amz-copy-source': '/acme-tax/a', 'x-amz-checksum-algorithm': 'CRC32C' },
    });
    expect(elementsOf(other.text, 'ChecksumCRC32C')).toEqual([DIGITS_CHECKSUMS.crc32c]);
    expect(checksumHeadersOf(await send('HEAD', '/acme-tax/c', { headers: CHECKSUM_MODE }))).toEqual({
      'x-amz-checksum-crc32c': DIGITS_CHECKSUMS.crc32c,
      'x-amz-checksum-type': 'FULL_OBJECT',
    });
  });
});

describe('multipart uploads', () => {
  // S3 User Guide, "Checking object integrity", composite checksums: checksum of the checksums of the parts, and -N
  test('a composite checksum: is that of the checksums of the parts', async () => {
    const composite = sha256(Buffer.concat(twoParts.map((part) => Buffer.from(sha256(part), 'base64'))));
    const { created, uploaded, completed } = await uploadParts('big', twoParts, {
      create: { 'x-amz-checksum-algorithm': 'SHA256' },
      part: (body) => ({ 'x-amz-checksum-sha256': sha256(body) }),
      elements: (body) => `<ChecksumSHA256>${sha256(body)}</ChecksumSHA256>`,
    });
    expect(checksumHeadersOf(created)).toEqual({
      'x-amz-checksum-algorithm': 'SHA256',
      'x-amz-checksum-type': 'COMPOSITE',
    });
    expect(uploaded.map(checksumHeadersOf)).toEqual(
      twoParts.map((part) => ({ 'x-amz-checksum-sha256': sha256(part) })),
    );
    expect(childrenOf(completed.text)).toEqual([
      'Location',
      'Bucket',
      'Key',
      'ETag',
      'ChecksumSHA256',
      'ChecksumType',
    ]);
    expect(elementsOf(completed.text, 'ChecksumSHA256')).toEqual([`${composite}-2`]);
    expect(checksumHeadersOf(await send('HEAD', '/acme-tax/big', { headers: CHECKSUM_MODE }))).toEqual({
      'x-amz-checksum-sha256': `${composite}-2`,
      'x-amz-checksum-type': 'COMPOSITE',
    });
    // A part has its own checksum.
    const part = await send('GET', '/acme-tax/big?partNumber=2', { headers: CHECKSUM_MODE });
    expect(part).toMatchObject({ status: 206, text: DIGITS });
    expect(part.headers).toMatchObject({
      'content-range': `bytes ${5 * MIB}-${5 * MIB + 8}/${5 * MIB + 9}`,
      'x-amz-mp-parts-count': '2',
    });
    expect(checksumHeadersOf(part)).toEqual({
      'x-amz-checksum-sha256': DIGITS_CHECKSUMS.sha256,
      'x-amz-checksum-type': 'COMPOSITE',
    });
    // A copy has the checksum of its bytes.
    const copy = await put('copy', { headers: { 'x-amz-copy-source': '/acme-tax/big' } });
    expect(elementsOf(copy.text, 'ChecksumSHA256')).toEqual([sha256(whole)]);
    expect(elementsOf(copy.text, 'ChecksumType')).toEqual(['FULL_OBJECT']);
    expect(elementsOf(copy.text, 'ETag')).toEqual([
      `&quot;${createHash('md5').update(whole).digest('hex')}&quot;`,
    ]);
  });

  // S3 User Guide, "Checking object integrity": without an algorithm S3 computes CRC64NVME of the whole object.
  test('without an algorithm: the object has CRC64NVME of the whole object', async () => {
    const { created, completed } = await uploadParts('big', [Buffer.from(DIGITS)]);
    expect(checksumHeadersOf(created)).toEqual({});
    expect(elementsOf(completed.text, 'ChecksumCRC64NVME')).toEqual([DIGITS_CHECKSUMS.crc64nvme]);
    expect(elementsOf(completed.text, 'ChecksumType')).toEqual(['FULL_OBJECT']);
  });

  test('a full object checksum: is that of the bytes, and S3 verifies that of the client', async () => {
    const full = (value: string) =>
      uploadParts('big', [Buffer.from(DIGITS)], {
        create: { 'x-amz-checksum-algorithm': 'CRC32', 'x-amz-checksum-type': 'FULL_OBJECT' },
        part: () => ({ 'x-amz-checksum-crc32': DIGITS_CHECKSUMS.crc32 }),
        complete: { 'x-amz-checksum-crc32': value, 'x-amz-checksum-type': 'FULL_OBJECT' },
      });
    expect(errorOf((await full('AAAAAA==')).completed)).toEqual([
      400,
      'BadDigest',
      'The crc32 you specified did not match the calculated checksum.',
    ]);
    const { completed } = await full(DIGITS_CHECKSUMS.crc32);
    expect(elementsOf(completed.text, 'ChecksumCRC32')).toEqual([DIGITS_CHECKSUMS.crc32]);
  });

  // S3 User Guide, "Full object and composite checksum types"; messages: LocalStack's provider, from its recordings
  test.each([
    [
      { algorithm: 'CRC64NVME', type: 'COMPOSITE' },
      'The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.',
    ],
    [
      { algorithm: 'SHA256', type: 'FULL_OBJECT' },
      'The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm.',
    ],
    [
      { type: 'COMPOSITE' },
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    ],
  ])('CreateMultipartUpload: refuses %o', async (choice, message) => {
    const headers = Object.fromEntries(
      Object.entries(choice).map(([name, value]) => [`x-amz-checksum-${name}`, value]),
    );
    expect(errorOf(await send('POST', '/acme-tax/a?uploads', { headers }))).toEqual([
      400,
      'InvalidRequest',
      message,
    ]);
  });

  test('a composite checksum: requires the checksum of each part', async () => {
    const create = { 'x-amz-checksum-algorithm': 'SHA256' };
    const { uploaded } = await uploadParts('big', [Buffer.from(DIGITS)], { create });
    expect(errorOf(uploaded[0] as WireResponse)).toEqual([
      400,
      'InvalidRequest',
      'Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: null',
    ]);
    const { completed } = await uploadParts('big', [Buffer.from(DIGITS)], {
      create,
      part: () => ({ 'x-amz-checksum-sha256': DIGITS_CHECKSUMS.sha256 }),
    });
    expect(errorOf(completed)).toEqual([
      400,
      'InvalidRequest',
      'The upload was created using a sha256 checksum. The complete request must include the checksum for each part. It was missing for part 1 in the request.',
    ]);
  });

  test('CompleteMultipartUpload: refuses another size than x-amz-mp-object-size', async () => {
    const { completed } = await uploadParts('big', [Buffer.from(DIGITS)], {
      complete: { 'x-amz-mp-object-size': '10' },
    });
    expect(errorOf(completed)).toEqual([
      400,
      'InvalidRequest',
      'The provided &apos;x-amz-mp-object-size&apos; header value 10 does not match what was computed: 9',
    ]);
  });

  // A client repeats the request when it lost the response. S3 answers as the first time, also with If-None-Match (moto's
  // test_idempotent_multipart_upload, verified against AWS).
  test('CompleteMultipartUpload: returns the same object when it is repeated, and refuses other parts', async () => {
    await send('PUT', '/acme-tax?versioning', {
      body: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
    });
    const created = await send('POST', '/acme-tax/repeated?uploads');
    const [uploadId] = elementsOf(created.text, 'UploadId');
    const { headers } = await send('PUT', `/acme-tax/repeated?partNumber=1&uploadId=${uploadId}`, {
      body: 'a',
    });
    const complete = (etag: string | undefined, more = {}) =>
      send('POST', `/acme-tax/repeated?uploadId=${uploadId}`, {
        body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`,
        ...more,
      });
    const first = await complete(headers.etag);
    expect(first.status).toBe(200);
    const second = await complete(headers.etag, { headers: { 'if-none-match': '*' } });
    expect([second.status, second.text, second.headers['x-amz-version-id']]).toEqual([
      200,
      first.text,
      first.headers['x-amz-version-id'],
    ]);
    expect((await complete('"0"')).text).toContain('<Code>NoSuchUpload</Code>');
    expect(elementsOf((await send('GET', '/acme-tax?versions')).text, 'Version')).toHaveLength(1);
  });

  // S3 API Reference, Object, ETag: MD5 of the bytes under SSE-S3, no MD5 under SSE-KMS; multipart: no MD5, -N
  test('ETag: is no MD5 under SSE-KMS, for objects, parts and uploads', async () => {
    const md5 = createHash('md5').update(DIGITS).digest('hex');
    const kms = { 'x-amz-server-side-encryption': 'aws:kms' };
    expect((await put('a', { body: DIGITS })).headers.etag).toBe(`"${md5}"`);
    const object = await put('a', { body: DIGITS, headers: kms });
    expect(object.headers.etag).toMatch(/^"[0-9a-f]{32}"$/);
    expect(object.headers.etag).not.toBe(`"${md5}"`);
    const { uploaded, completed } = await uploadParts('big', [Buffer.from(DIGITS)], { create: kms });
    expect(uploaded[0]?.headers.etag).not.toBe(`"${md5}"`);
    expect(uploaded[0]?.headers).toMatchObject({
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': expect.stringMatching(/^arn:aws:kms:/),
    });
    expect(completed.headers['x-amz-server-side-encryption']).toBe('aws:kms');
    const [etag = ''] = elementsOf(completed.text, 'ETag');
    expect(etag).toMatch(/^&quot;[0-9a-f]{32}-1&quot;$/);
    expect(etag).not.toContain(createHash('md5').update(Buffer.from(md5, 'hex')).digest('hex'));
  });

  // S3 API Reference, CreateMultipartUpload: it sets the encryption of the object.
  test('encryption: is that of the moment of CreateMultipartUpload', async () => {
    const created = await send('POST', '/acme-tax/big?uploads');
    const [uploadId = ''] = elementsOf(created.text, 'UploadId');
    await send('PUT', '/acme-tax?encryption', {
      body: '<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>',
    });
    const { headers } = await send('PUT', `/acme-tax/big?partNumber=1&uploadId=${uploadId}`, {
      body: DIGITS,
    });
    await send('POST', `/acme-tax/big?uploadId=${uploadId}`, {
      body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${headers.etag}</ETag></Part></CompleteMultipartUpload>`,
    });
    expect((await send('HEAD', '/acme-tax/big')).headers['x-amz-server-side-encryption']).toBe('AES256');
  });
});

describe('partNumber', () => {
  // S3 API Reference, GetObject and HeadObject, partNumber: "effectively performs a ranged request for the part"
  test.each(['GET', 'HEAD'])(
    '%s with partNumber: returns 206, the part and the number of parts',
    async (method) => {
      await uploadParts('big', twoParts);
      const first = await send(method, '/acme-tax/big?partNumber=1', { headers: CHECKSUM_MODE });
      expect(first.status).toBe(206);
      expect(first.headers).toMatchObject({
        'content-length': String(5 * MIB),
        'content-range': `bytes 0-${5 * MIB - 1}/${5 * MIB + 9}`,
        'x-amz-mp-parts-count': '2',
      });
      expect(checksumHeadersOf(first)).toEqual({});
      expect((await send(method, '/acme-tax/big')).headers).not.toHaveProperty('x-amz-mp-parts-count');
    },
  );

  test('partNumber=1 of an object of a single put: returns it whole, without a number of parts', async () => {
    await put('a', { body: DIGITS });
    const response = await send('GET', '/acme-tax/a?partNumber=1', { headers: CHECKSUM_MODE });
    expect(response).toMatchObject({
      status: 206,
      text: DIGITS,
      headers: { 'content-range': 'bytes 0-8/9' },
    });
    expect(response.headers).not.toHaveProperty('x-amz-mp-parts-count');
    expect(checksumHeadersOf(response)).toMatchObject({
      'x-amz-checksum-crc64nvme': DIGITS_CHECKSUMS.crc64nvme,
    });
  });

  test('partNumber: returns an error for a missing part, a number that is none, and together with Range', async () => {
    await put('a', { body: DIGITS });
    expect(errorOf(await send('GET', '/acme-tax/a?partNumber=2'))).toEqual([
      416,
      'InvalidPartNumber',
      'The requested partnumber is not satisfiable',
    ]);
    expect(errorOf(await send('GET', '/acme-tax/a?partNumber=x'))).toEqual([
      400,
      'InvalidArgument',
      'Part number must be an integer between 1 and 10000, inclusive',
    ]);
    expect(
      errorOf(await send('GET', '/acme-tax/a?partNumber=1', { headers: { range: 'bytes=0-1' } })),
    ).toEqual([400, 'InvalidRequest', 'Cannot specify both Range header and partNumber query parameter']);
  });
});

describe('GetObjectAttributes', () => {
  const attributesOf = (key: string, attributes: string, headers: Record<string, string> = {}) =>
    send('GET', `/acme-tax/${key}?attributes`, {
      headers: { 'x-amz-object-attributes': attributes, ...headers },
    });

  // fact: localstack/s3.get_object_attributes/test_get_object_attributes#object-attrs
  test('GetObjectAttributes: returns the requested attributes only', async () => {
    const { headers } = await put('a', { body: DIGITS });
    const { text } = await attributesOf('a', 'ETag,StorageClass, ObjectSize,Checksum,ObjectParts');
    expect(childrenOf(text)).toEqual(['ETag', 'Checksum', 'StorageClass', 'ObjectSize']);
    expect(elementsOf(text, 'ETag')).toEqual([headers.etag?.replaceAll('"', '')]);
    expect(elementsOf(text, 'StorageClass')).toEqual(['STANDARD']);
    expect(elementsOf(text, 'ObjectSize')).toEqual(['9']);
    expect(elementsOf(text, 'ChecksumCRC64NVME')).toEqual([DIGITS_CHECKSUMS.crc64nvme]);
    expect(elementsOf(text, 'ChecksumType')).toEqual(['FULL_OBJECT']);
    expect(childrenOf((await attributesOf('a', 'ObjectSize')).text)).toEqual(['ObjectSize']);
  });

  // S3 API Reference, GetObjectAttributesParts: Part elements only if an additional checksum is applied to the parts;
  // fact: localstack/s3.get_object_attributes/test_get_object_attributes#object-attrs-multiparts-2-parts (PartsCount)
  test('GetObjectAttributes: returns the parts of a composite checksum in pages', async () => {
    const checksum = (body: Buffer) => `<ChecksumSHA256>${sha256(body)}</ChecksumSHA256>`;
    await uploadParts('big', twoParts, {
      create: { 'x-amz-checksum-algorithm': 'SHA256' },
      part: (body) => ({ 'x-amz-checksum-sha256': sha256(body) }),
      elements: checksum,
    });
    const { text } = await attributesOf('big', 'ObjectParts,Checksum', { 'x-amz-max-parts': '1' });
    expect(elementsOf(text, 'PartsCount')).toEqual(['2']);
    expect(elementsOf(text, 'IsTruncated')).toEqual(['true']);
    expect(elementsOf(text, 'NextPartNumberMarker')).toEqual(['1']);
    expect(elementsOf(text, 'Part')).toEqual([
      `<PartNumber>1</PartNumber><Size>${5 * MIB}</Size>${checksum(twoParts[0] as Buffer)}`,
    ]);
    const next = await attributesOf('big', 'ObjectParts', {
      'x-amz-max-parts': '1',
      'x-amz-part-number-marker': '1',
    });
    expect(elementsOf(next.text, 'PartNumber')).toEqual(['2']);
    expect(elementsOf(next.text, 'IsTruncated')).toEqual(['false']);
    const [composite = ''] = elementsOf(text, 'Checksum');
    expect(elementsOf(composite, 'ChecksumSHA256')[0]).toMatch(/^[^-]+$/);
  });

  test('GetObjectAttributes: returns only the number of parts without composite checksum', async () => {
    await uploadParts('big', [Buffer.from(DIGITS)]);
    const { text } = await attributesOf('big', 'ObjectParts');
    expect(elementsOf(text, 'ObjectParts')).toEqual(['<PartsCount>1</PartsCount>']);
  });

  test('GetObjectAttributes: refuses a request without or with unknown attributes', async () => {
    await put('a', { body: DIGITS });
    expect(errorOf(await send('GET', '/acme-tax/a?attributes')).slice(0, 2)).toEqual([400, 'InvalidRequest']);
    expect(errorOf(await attributesOf('a', 'Size')).slice(0, 2)).toEqual([400, 'InvalidArgument']);
  });
});

describe('headers of objects', () => {
  // S3 API Reference, PutObject: system metadata; S3 User Guide, "aws-chunked": S3 stores the object without this encoding
  test('objects: keep their system headers, and a copy has them too', async () => {
    await put('a', {
      body: `9\r\n${DIGITS}\r\n0\r\n\r\n`,
      headers: {
        'cache-control': 'no-cache',
        'content-disposition': 'attachment',
        'content-encoding': 'aws-chunked,gzip',
        'content-language': 'de',
        'content-type': 'text/plain',
        expires: '0',
        'x-amz-decoded-content-length': '9',
        'x-amz-website-redirect-location': '/b',
      },
    });
    const expected = {
      'cache-control': 'no-cache',
      'content-disposition': 'attachment',
      'content-encoding': 'gzip',
      'content-language': 'de',
      'content-type': 'text/plain',
      expires: '0',
    };
    const { headers } = await send('HEAD', '/acme-tax/a');
    expect(headers).toMatchObject({
      ...expected,
      'x-amz-website-redirect-location': '/b',
      'content-length': '9',
    });
    await put('copy', { headers: { 'x-amz-copy-source': '/acme-tax/a', 'cache-control': 'private' } });
    const copy = await send('HEAD', '/acme-tax/copy');
    expect(copy.headers).toMatchObject(expected);
    // S3 API Reference, CopyObject: the redirect location is not copied.
    expect(copy.headers).not.toHaveProperty('x-amz-website-redirect-location');
    await put('new', {
      headers: {
        'x-amz-copy-source': '/acme-tax/a',
        'x-amz-metadata-directive': 'REPLACE',
        'cache-control': 'private',
      },
    });
    const replaced = (await send('HEAD', '/acme-tax/new')).headers;
    expect(replaced['cache-control']).toBe('private');
    expect(replaced).not.toHaveProperty('content-encoding');
  });
});

describe('replicas of multipart uploads', () => {
  // fact: stackd/replica-identity: the ETag of the source, under SSE-S3 and SSE-KMS
  test('replicas: have the ETag, the parts and the checksum of their source', async () => {
    await using env = await testEnv();
    await env.reconcile();
    send = createRawClient(env.sandbox.endpoint);
    const { completed } = await uploadParts('Tax/big', twoParts, {
      create: { 'x-amz-checksum-algorithm': 'SHA256' },
      part: (body) => ({ 'x-amz-checksum-sha256': sha256(body) }),
      elements: (body) => `<ChecksumSHA256>${sha256(body)}</ChecksumSHA256>`,
    });
    await env.sandbox.waitForReplication();
    const part = (bucket: string, region: string) =>
      send('GET', `/${bucket}/Tax/big?partNumber=2`, { headers: CHECKSUM_MODE, region });
    const source = await part('acme-tax', 'us-east-1');
    const replica = await part('acme-tax-replica', 'us-west-2');
    expect(source.headers['x-amz-replication-status']).toBe('COMPLETED');
    expect(replica).toMatchObject({
      status: 206,
      text: DIGITS,
      headers: {
        etag: elementsOf(completed.text, 'ETag')[0]?.replaceAll('&quot;', '"'),
        'x-amz-replication-status': 'REPLICA',
        'x-amz-mp-parts-count': '2',
      },
    });
    expect(checksumHeadersOf(replica)).toEqual(checksumHeadersOf(source));
  });
});

describe('copies to the same key', () => {
  // S3 API Reference, CopyObject; message: LocalStack's provider, from its recordings of AWS
  test('CopyObject: refuses to copy the current version to itself without a change', async () => {
    await put('a', { body: DIGITS });
    const copy = (headers: Record<string, string> = {}, source = '/acme-tax/a') =>
      put('a', { headers: { 'x-amz-copy-source': source, ...headers } });
    expect(errorOf(await copy()).slice(0, 2)).toEqual([400, 'InvalidRequest']);
    for (const change of [
      { 'x-amz-metadata-directive': 'REPLACE' },
      { 'x-amz-storage-class': 'STANDARD' },
      { 'x-amz-server-side-encryption': 'AES256' },
      { 'x-amz-website-redirect-location': '/b' },
    ])
      expect((await copy(change)).status).toBe(200);
  });

  // S3 User Guide, "Restoring previous versions": copy a previous version of the object into the same bucket
  test('CopyObject: restores an older version', async () => {
    await send('PUT', '/acme-tax?versioning', {
      body: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
    });
    const { headers } = await put('a', { body: 'old' });
    await put('a', { body: 'new' });
    const source = `/acme-tax/a?versionId=${headers['x-amz-version-id']}`;
    expect((await put('a', { headers: { 'x-amz-copy-source': source } })).status).toBe(200);
    expect((await send('GET', '/acme-tax/a')).text).toBe('old');
  });
});

describe('response headers in the query', () => {
  // S3 API Reference, GetObject: response-cache-control, -content-disposition, …, -expires
  test('GetObject and HeadObject: replace headers of the response', async () => {
    await put('a', { body: DIGITS });
    const query =
      'response-content-type=text%2Fplain&response-content-disposition=x&response-cache-control=no-store&response-content-language=de&response-content-encoding=br&response-expires=0';
    for (const method of ['GET', 'HEAD']) {
      expect((await send(method, `/acme-tax/a?${query}`)).headers).toMatchObject({
        'content-type': 'text/plain',
        'content-disposition': 'x',
        'cache-control': 'no-store',
        'content-language': 'de',
        'content-encoding': 'br',
        expires: '0',
      });
    }
  });

  test.each(['%E6%97%A5%E6%9C%AC', 'a%0D%0Ab'])(
    'GetObject: refuses a value that a header cannot contain: %s',
    async (value) => {
      await put('a', { body: DIGITS });
      expect(errorOf(await send('GET', `/acme-tax/a?response-content-disposition=${value}`))).toEqual([
        400,
        'InvalidArgument',
        'Header value cannot be represented using ISO-8859-1.',
      ]);
    },
  );
});

describe('lists of uploads and parts', () => {
  // facts: localstack/s3.list_parts/test_list_parts_pagination, test_list_parts_empty_part_number_marker
  test('ListParts: returns pages with the recorded elements', async () => {
    const created = await send('POST', '/acme-tax/big?uploads');
    const [uploadId = ''] = elementsOf(created.text, 'UploadId');
    for (const number of [1, 2])
      await send('PUT', `/acme-tax/big?partNumber=${number}&uploadId=${uploadId}`, { body: 'test' });
    const list = async (query: string) =>
      (await send('GET', `/acme-tax/big?uploadId=${uploadId}${query}`)).text;
    const first = await list('&max-parts=1');
    expect(childrenOf(first).toSorted()).toEqual(
      'Bucket Key UploadId Initiator Owner StorageClass PartNumberMarker NextPartNumberMarker MaxParts IsTruncated Part'
        .split(' ')
        .toSorted(),
    );
    const paging = (text: string) =>
      ['PartNumberMarker', 'NextPartNumberMarker', 'MaxParts', 'IsTruncated', 'PartNumber'].map(
        (name) => elementsOf(text, name)[0],
      );
    expect(paging(first)).toEqual(['0', '1', '1', 'true', '1']);
    expect(paging(await list('&max-parts=1&part-number-marker=1'))).toEqual(['1', '2', '1', 'false', '2']);
    expect(paging(await list('&max-parts=1&part-number-marker=10'))).toEqual([
      '10',
      '0',
      '1',
      'false',
      undefined,
    ]);
    expect(paging(await list('&max-parts=&part-number-marker='))).toEqual(['0', '2', '1000', 'false', '1']);
  });

  // facts: localstack/s3.list_multipart_uploads/test_list_multipart_uploads_parameters, …_marker_common_prefixes
  test('ListMultipartUploads: returns pages with the recorded elements', async () => {
    for (const key of [
      'folder/aSubfolder/subFile1',
      'folder/aSubfolder/subFile2',
      'folder/file1',
      'folder/file2',
    ])
      await send('POST', `/acme-tax/${key}?uploads`);
    const list = async (query: string) => (await send('GET', `/acme-tax?uploads&${query}`)).text;
    const all = await list('');
    expect(
      childrenOf(all)
        .filter((name) => name !== 'Upload')
        .toSorted(),
    ).toEqual(
      'Bucket KeyMarker UploadIdMarker NextKeyMarker NextUploadIdMarker MaxUploads IsTruncated'
        .split(' ')
        .toSorted(),
    );
    expect(elementsOf(all, 'NextKeyMarker')).toEqual(['folder/file2']);
    const start = await list('prefix=folder/&delimiter=/&max-uploads=1');
    expect(elementsOf(start, 'CommonPrefixes')).toEqual(['<Prefix>folder/aSubfolder/</Prefix>']);
    expect(elementsOf(start, 'IsTruncated')).toEqual(['true']);
    expect(elementsOf(start, 'NextKeyMarker')).toEqual(['']);
    const next = await list('prefix=folder/&delimiter=/&max-uploads=1&key-marker=folder/aSubfolder/');
    expect(elementsOf(next, 'Key')).toEqual(['folder/file1']);
    expect(elementsOf(next, 'NextKeyMarker')).toEqual(['folder/file1']);
    const [uploadId = ''] = elementsOf(next, 'NextUploadIdMarker');
    const rest = await list(`key-marker=folder/file1&upload-id-marker=${uploadId}`);
    expect(elementsOf(rest, 'Key')).toEqual(['folder/file2']);
  });
});

describe('DeleteObjects', () => {
  // fact: localstack/s3.delete_objects/test_delete_objects#delete-object-wrong-version-id
  test('DeleteObjects: reports NoSuchVersion for an id that S3 never issued', async () => {
    await put('test-delete', { body: DIGITS });
    const body =
      '<Delete><Object><Key>test-delete</Key><VersionId>HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD</VersionId></Object></Delete>';
    const { status, text } = await send('POST', '/acme-tax?delete', { body });
    expect(status).toBe(200);
    expect(elementsOf(text, 'Code')).toEqual(['NoSuchVersion']);
    expect(elementsOf(text, 'VersionId')).toEqual(['HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD']);
  });
});
