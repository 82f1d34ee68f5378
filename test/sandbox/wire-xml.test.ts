import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { childrenOf, createRawClient, elementsOf, type SendRequest } from './raw-request.ts';

/**
 * Requests over plain HTTP. An SDK hides faults of the form, because client and sandbox share its codec. Facts are
 * recorded responses (test/conformance/recorded-facts.json, or snapshots of LocalStack's tests against AWS, by the name
 * of the test) or pages of the AWS documentation.
 */

let sandbox: Sandbox;
let send: SendRequest;
beforeEach(async () => {
  sandbox = await startSandbox({ clock: () => Date.UTC(2026, 10, 30, 12, 0, 0, 345) });
  send = createRawClient(sandbox.endpoint);
  await send('PUT', '/acme-tax');
});
afterEach(() => sandbox.close());

const XMLNS = 'http://s3.amazonaws.com/doc/2006-03-01/';
const createBucketIn = (constraint: string) =>
  `<CreateBucketConfiguration xmlns="${XMLNS}"><LocationConstraint>${constraint}</LocationConstraint></CreateBucketConfiguration>`;

// S3 API Reference, "Error responses", MissingRequestBodyError; moto's test_put_object_lock_misconfiguration, verified
// against AWS.
test.each(['versioning', 'replication', 'encryption', 'object-lock', 'tagging', 'publicAccessBlock'])(
  'PUT ?%s: requires a body',
  async (subresource) => {
    const { status, text } = await send('PUT', `/acme-tax?${subresource}`);
    expect([status, text]).toEqual([
      400,
      expect.stringContaining('<Code>MissingRequestBodyError</Code><Message>Request Body is empty</Message>'),
    ]);
  },
);

describe('GetBucketLocation', () => {
  // S3 API Reference, GetBucketLocation: one element. boto3 reads a nested one as null, and the Go SDK fails.
  test('GetBucketLocation: returns one LocationConstraint element', async () => {
    await send('PUT', '/acme-west', { region: 'us-west-2', body: createBucketIn('us-west-2') });
    const { text, headers } = await send('GET', '/acme-west?location');
    expect(headers['content-type']).toBe('application/xml');
    expect(text).toBe(
      `<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="${XMLNS}">us-west-2</LocationConstraint>`,
    );
  });

  // fact: localstack/s3.get_bucket_location/test_create_bucket_with_eu_location_constraint#get-bucket-location
  test('GetBucketLocation: returns the constraint EU, in the same form', async () => {
    await send('PUT', '/acme-eu', { region: 'eu-west-1', body: createBucketIn('EU') });
    expect((await send('GET', '/acme-eu?location')).text).toMatch(
      /^<\?xml[^\n]*\n<LocationConstraint [^<]*>EU<\/LocationConstraint>$/,
    );
  });

  // fact: localstack/s3.get_bucket_location/test_create_bucket_aws_global#get-location-1
  test('GetBucketLocation: returns an empty element for us-east-1', async () => {
    expect((await send('GET', '/acme-tax?location')).text).toMatch(/\n<LocationConstraint xmlns="[^"]*"\/>$/);
  });
});

describe('HeadBucket', () => {
  // S3 API Reference, HeadBucket; aws-facts: x-amz-bucket-region on any status, also 301 and 403.
  test.each([
    ['the owner', { account: '111122223333' }, 200],
    ['another account', { account: '444455556666' }, 403],
    ['a caller without credentials', { account: 'anonymous' }, 403],
    ['the owner in another Region', { region: 'eu-west-1' }, 301],
    ['a wrong expected owner', { headers: { 'x-amz-expected-bucket-owner': '444455556666' } }, 403],
  ])('HeadBucket: returns the Region to %s', async (_, options, status) => {
    const response = await send('HEAD', '/acme-tax', options);
    expect(response).toMatchObject({ status, headers: { 'x-amz-bucket-region': 'us-east-1' }, text: '' });
  });

  test('HeadBucket: returns no Region for a missing bucket', async () => {
    const { status, headers } = await send('HEAD', '/acme-missing', { account: 'anonymous' });
    expect(status).toBe(404);
    expect(headers).not.toHaveProperty('x-amz-bucket-region');
  });

  test('other requests without credentials: return 403 and no Region', async () => {
    const { status, headers } = await send('GET', '/acme-tax?policy', { account: 'anonymous' });
    expect(status).toBe(403);
    expect(headers).not.toHaveProperty('x-amz-bucket-region');
  });
});

describe('operations', () => {
  // The path and the other query keys of these requests are those of an operation that creates, deletes or overwrites.
  test.each([
    ['DELETE', '/acme-tax?location'],
    ['DELETE', '/acme-tax?acl'],
    ['PUT', '/acme-new?location'],
    ['PUT', '/acme-tax/a?uploadId=x'],
    ['PUT', '/acme-tax/a?partNumber=1'],
    ['DELETE', '/acme-tax/a?acl'],
    ['GET', '/acme-tax?torrent-of-nothing&uploadId=x'],
  ])('operations: %s %s is no other operation, and returns 501', async (method, path) => {
    await send('PUT', '/acme-tax/a', { body: 'a' });
    const response = await send(method, path);
    expect([response.status, ...elementsOf(response.text, 'Code')]).toEqual([501, 'NotImplemented']);
    expect((await send('GET', '/acme-tax/a')).text).toBe('a');
    expect((await send('HEAD', '/acme-new')).status).toBe(404);
  });
});

describe('XML of requests', () => {
  // S3 API Reference, error responses, MalformedXML: the XML "did not validate against our published schema". The codec of
  // the SDK ignores what it does not know, so a misspelt setting would be lost.
  test.each([
    ['another root element', 'versioning', '<Versioning><Status>Enabled</Status></Versioning>'],
    [
      'an unknown element',
      'versioning',
      '<VersioningConfiguration><Status>Enabled</Status><Stauts/></VersioningConfiguration>',
    ],
    [
      'an unknown element in a list',
      'tagging',
      '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value><Note>c</Note></Tag></TagSet></Tagging>',
    ],
    [
      'an unknown item of a list',
      'tagging',
      '<Tagging><TagSet><Label><Key>a</Key><Value>b</Value></Label></TagSet></Tagging>',
    ],
    [
      'a value that is no boolean',
      'publicAccessBlock',
      '<PublicAccessBlockConfiguration><BlockPublicAcls>maybe</BlockPublicAcls></PublicAccessBlockConfiguration>',
    ],
    [
      'an element that is not closed',
      'versioning',
      '<VersioningConfiguration><Status>Enabled</VersioningConfiguration>',
    ],
  ])('XML of requests: S3 refuses %s', async (_, setting, body) => {
    const { status, text } = await send('PUT', `/acme-tax?${setting}`, { body });
    expect([status, ...elementsOf(text, 'Code')]).toEqual([400, 'MalformedXML']);
    expect((await send('GET', '/acme-tax?versioning')).text).not.toContain('Enabled');
  });

  test('XML of requests: S3 accepts declaration, comments, namespaces and white space', async () => {
    const body = `<?xml version="1.0" encoding="UTF-8"?>
      <!-- the tags of the department -->
      <Tagging xmlns="${XMLNS}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
        <TagSet> <Tag><Key>department</Key><Value>tax + law</Value></Tag>
          <Tag><Key>tier</Key><Value/></Tag> </TagSet>
      </Tagging>`;
    expect((await send('PUT', '/acme-tax?tagging', { body })).status).toBe(204);
    const { text } = await send('GET', '/acme-tax?tagging');
    expect(elementsOf(text, 'Value')).toEqual(['tax + law', '']);
  });
});

describe('errors', () => {
  // fact: localstack/s3.delete_bucket/test_delete_bucket_no_such_bucket#expected_error: BucketName, and no Resource
  test('errors: contain the recorded elements, and no Resource', async () => {
    const { status, text, headers } = await send('GET', '/acme-missing?policy');
    expect(status).toBe(404);
    expect(childrenOf(text)).toEqual(['Code', 'Message', 'BucketName', 'RequestId', 'HostId']);
    expect(elementsOf(text, 'RequestId')).toEqual([headers['x-amz-request-id']]);
    expect(elementsOf(text, 'HostId')).toEqual([headers['x-amz-id-2']]);
  });

  // S3 returns x-amz-request-id and x-amz-id-2; IAM, STS and KMS return x-amzn-RequestId (SDK documentation, "request ID").
  test('request ids: S3 returns other headers than STS', async () => {
    const s3 = await send('GET', '/');
    expect(s3.headers).toHaveProperty('x-amz-request-id');
    expect(s3.headers).not.toHaveProperty('x-amzn-requestid');
    const scope = '111122223333/20261130/us-east-1/sts/aws4_request';
    const sts = await send('POST', '/', {
      headers: {
        authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: 'Action=GetCallerIdentity&Version=2011-06-15',
    });
    expect(sts.headers).toHaveProperty('x-amzn-requestid');
    expect(sts.headers).not.toHaveProperty('x-amz-id-2');
  });

  test('errors: escape control characters of a key', async () => {
    const { text } = await send('GET', '/acme-tax/a%01b%26');
    expect(elementsOf(text, 'Key')).toEqual(['a&#x1;b&amp;']);
  });
});

describe('bodies', () => {
  // The model of S3 binds these members to headers; XML of AWS does not repeat them (S3 API Reference, response syntax).
  test('bodies: contain no members that are headers', async () => {
    await send('PUT', '/acme-tax/a', { body: 'a' });
    const attributes = await send('GET', '/acme-tax/a?attributes', {
      headers: { 'x-amz-object-attributes': 'ETag,ObjectSize' },
    });
    expect(childrenOf(attributes.text)).toEqual(['ETag', 'ObjectSize']);
    expect(attributes.headers['last-modified']).toBe('Mon, 30 Nov 2026 12:00:00 GMT');

    const created = await send('POST', '/acme-tax/b?uploads');
    expect(childrenOf(created.text)).toEqual(['Bucket', 'Key', 'UploadId']);
    expect(created.headers['x-amz-server-side-encryption']).toBe('AES256');
  });

  // S3 API Reference, ListBuckets and ListObjectsV2: times of a whole second, in the form 2009-10-12T17:50:30.000Z
  test('times: are those of a whole second, as in Last-Modified', async () => {
    await send('PUT', '/acme-tax/a', { body: 'a' });
    expect(elementsOf((await send('GET', '/')).text, 'CreationDate')).toEqual(['2026-11-30T12:00:00.000Z']);
    expect(elementsOf((await send('GET', '/acme-tax')).text, 'LastModified')).toEqual([
      '2026-11-30T12:00:00.000Z',
    ]);
    expect((await send('HEAD', '/acme-tax/a')).headers['last-modified']).toBe(
      'Mon, 30 Nov 2026 12:00:00 GMT',
    );
  });

  // API references of IAM and STS: times like 2014-10-20T19:11:59Z; the services return whole seconds.
  test('times: IAM and STS return whole seconds', async () => {
    const query = async (service: string, parameters: Record<string, string>) => {
      const scope = `111122223333/20261130/us-east-1/${service}/aws4_request`;
      const { text } = await send('POST', '/', {
        headers: { authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0` },
        body: new URLSearchParams(parameters).toString(),
      });
      return text;
    };
    const trust = { Effect: 'Allow', Principal: { AWS: '111122223333' }, Action: 'sts:AssumeRole' };
    const role = await query('iam', {
      Action: 'CreateRole',
      RoleName: 'reader',
      AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [trust] }),
    });
    expect(elementsOf(role, 'CreateDate')).toEqual(['2026-11-30T12:00:00Z']);
  });

  test('GetBucketPolicy: returns JSON', async () => {
    const body = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { AWS: 'arn:aws:iam::444455556666:root' },
          Action: 's3:GetObject',
          Resource: 'arn:aws:s3:::acme-tax/*',
        },
      ],
    });
    expect((await send('PUT', '/acme-tax?policy', { body })).status).toBe(204);
    const { headers, text } = await send('GET', '/acme-tax?policy');
    expect(headers['content-type']).toBe('application/json');
    expect(JSON.parse(text)).toEqual(JSON.parse(body));
  });

  // S3 User Guide, "User-defined object metadata": ÄMÄZÕÑ S3, sent as UTF-8, returns as =?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=
  test('metadata: returns text beyond US-ASCII in the form of RFC 2047', async () => {
    const utf8 = Buffer.from('ÄMÄZÕÑ S3').toString('latin1');
    await send('PUT', '/acme-tax/a', {
      body: 'a',
      headers: { 'x-amz-meta-nonascii': utf8, 'x-amz-meta-ascii': 'S3' },
    });
    expect((await send('HEAD', '/acme-tax/a')).headers).toMatchObject({
      'x-amz-meta-nonascii': '=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=',
      'x-amz-meta-ascii': 'S3',
    });
  });
});
