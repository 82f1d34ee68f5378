import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { childrenOf, createRawClient, elementsOf, type SendRequest } from './raw-request.ts';

/**
 * Responses for a bucket without a setting: the errors that LocalStack recorded from S3 in
 * tests/aws/services/s3/test_s3.snapshot.json, and the responses of the S3 API Reference.
 */

const BUCKET = 'acme-demo-bucket';

let sandbox: Sandbox;
let send: SendRequest;

beforeAll(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint);
  await send('PUT', `/${BUCKET}`);
});

afterAll(() => sandbox.close());

const request = async (method: string, setting: string, body = '') => {
  const { status, text } = await send(method, `/${BUCKET}?${setting}`, { body });
  const [code] = elementsOf(text, 'Code');
  return { status, text, code };
};

test.each([
  ['cors', 'NoSuchCORSConfiguration', 'The CORS configuration does not exist'],
  ['lifecycle', 'NoSuchLifecycleConfiguration', 'The lifecycle configuration does not exist'],
  ['website', 'NoSuchWebsiteConfiguration', 'The specified bucket does not have a website configuration'],
  ['policy', 'NoSuchBucketPolicy', 'The bucket policy does not exist'],
  ['policyStatus', 'NoSuchBucketPolicy', 'The bucket policy does not exist'],
  ['tagging', 'NoSuchTagSet', 'The TagSet does not exist'],
  ['replication', 'ReplicationConfigurationNotFoundError', 'The replication configuration was not found'],
  [
    'object-lock',
    'ObjectLockConfigurationNotFoundError',
    'Object Lock configuration does not exist for this bucket',
  ],
])('GET ?%s: 404 %s', async (setting, code, message) => {
  const { status, text } = await request('GET', setting);
  expect([status, ...elementsOf(text, 'Code'), ...elementsOf(text, 'Message')]).toEqual([404, code, message]);
  expect(elementsOf(text, 'BucketName')).toEqual([BUCKET]);
});

test.each([
  ['logging', 'BucketLoggingStatus', {}],
  ['notification', 'NotificationConfiguration', {}],
  ['accelerate', 'AccelerateConfiguration', {}],
  ['versioning', 'VersioningConfiguration', {}],
  ['requestPayment', 'RequestPaymentConfiguration', { Payer: 'BucketOwner' }],
  ['abac', 'AbacStatus', { Status: 'Disabled' }],
  ['ownershipControls', 'OwnershipControls', { ObjectOwnership: 'BucketOwnerEnforced' }],
  ['encryption', 'ServerSideEncryptionConfiguration', { SSEAlgorithm: 'AES256', BucketKeyEnabled: 'false' }],
  ['acl', 'AccessControlPolicy', { Permission: 'FULL_CONTROL' }],
  ['inventory', 'ListInventoryConfigurationsResult', { IsTruncated: 'false' }],
  ['metrics', 'ListMetricsConfigurationsResult', { IsTruncated: 'false' }],
  ['analytics', 'ListBucketAnalyticsConfigurationResult', { IsTruncated: 'false' }],
  ['intelligent-tiering', 'ListBucketIntelligentTieringConfigurationsOutput', { IsTruncated: 'false' }],
])('GET ?%s: 200 %s', async (setting, root, values) => {
  const { status, text } = await request('GET', setting);
  expect(status).toBe(200);
  expect(/<([A-Za-z]+)[ >/]/.exec(text.replace(/^<\?.*\?>\s*/, ''))?.[1]).toBe(root);
  for (const [name, value] of Object.entries(values)) expect(elementsOf(text, name)).toEqual([value]);
  if (Object.keys(values).length === 0) expect(childrenOf(text)).toEqual([]);
});

test('GET ?acl: the owner alone has full control', async () => {
  const { text } = await request('GET', 'acl');
  const [owner = '', grantee = '', ...others] = elementsOf(text, 'ID');
  expect([owner.length, grantee, others]).toEqual([64, owner, []]);
  expect(text).toContain('xsi:type="CanonicalUser"');
});

test.each([
  'cors',
  'lifecycle',
  'website',
  'policy',
  'tagging',
  'replication',
  'encryption',
  'ownershipControls',
])('DELETE ?%s: 204 without the setting', async (setting) => {
  expect(await request('DELETE', setting)).toEqual({ status: 204, text: '', code: undefined });
  expect((await request('DELETE', setting)).status).toBe(204);
});

describe.each(['inventory', 'metrics', 'analytics', 'intelligent-tiering'])('?%s', (setting) => {
  test('GET and DELETE of an unknown id: 404 NoSuchConfiguration', async () => {
    for (const method of ['GET', 'DELETE']) {
      const { status, text } = await request(method, `${setting}&id=all`);
      expect([status, ...elementsOf(text, 'Code'), ...elementsOf(text, 'Message')]).toEqual([
        404,
        'NoSuchConfiguration',
        'The specified configuration does not exist.',
      ]);
    }
  });

  test('PUT: 501 NotImplemented', async () => {
    expect(await request('PUT', `${setting}&id=all`)).toMatchObject({ status: 501, code: 'NotImplemented' });
  });
});

test.each([
  ['cors', '<CORSConfiguration/>'],
  [
    'lifecycle',
    '<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>',
  ],
  ['website', '<WebsiteConfiguration/>'],
  ['accelerate', '<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>'],
  [
    'logging',
    '<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket></LoggingEnabled></BucketLoggingStatus>',
  ],
  ['requestPayment', '<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>'],
  ['abac', '<AbacStatus><Status>Enabled</Status></AbacStatus>'],
])('PUT ?%s: 501 for %s', async (setting, body) => {
  expect(await request('PUT', setting, body)).toMatchObject({ status: 501, code: 'NotImplemented' });
});

// Clients remove these settings by a PUT of an empty document: S3 has no DELETE for them.
test.each([
  ['logging', '<BucketLoggingStatus/>'],
  ['notification', '<NotificationConfiguration/>'],
  ['requestPayment', '<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>'],
])('PUT ?%s: 200 for a document that leaves it unset', async (setting, body) => {
  expect((await request('PUT', setting, body)).status).toBe(200);
});

const lifecycle = (rule: string) => `<LifecycleConfiguration>${rule}</LifecycleConfiguration>`;
const EXPIRE =
  '<NoncurrentVersionExpiration><NoncurrentDays>30</NoncurrentDays></NoncurrentVersionExpiration>';

// API reference, PutBucketLifecycleConfiguration and GetBucketLifecycleConfiguration, "Examples" and "Response Syntax".
test('PUT ?lifecycle: GET returns the rules, with an id for a rule without one, until DELETE', async () => {
  const rules = `<Rule><ID>old</ID><Filter><Prefix>Tax/</Prefix></Filter><Status>Enabled</Status>${EXPIRE}</Rule><Rule><Filter/><Status>Disabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>`;
  expect(await request('PUT', 'lifecycle', lifecycle(rules))).toEqual({
    status: 200,
    text: '',
    code: undefined,
  });
  const { text } = await request('GET', 'lifecycle');
  expect(elementsOf(text, 'Status')).toEqual(['Enabled', 'Disabled']);
  expect(elementsOf(text, 'NoncurrentDays')).toEqual(['30']);
  expect(elementsOf(text, 'ExpiredObjectDeleteMarker')).toEqual(['true']);
  expect(elementsOf(text, 'ID')).toEqual(['old', expect.stringMatching(/.+/)]);
  expect((await request('DELETE', 'lifecycle')).status).toBe(204);
  expect(await request('GET', 'lifecycle')).toMatchObject({
    status: 404,
    code: 'NoSuchLifecycleConfiguration',
  });
});

// API reference, LifecycleRule: Status, and one of Filter and Prefix, are required; Days is a positive integer.
test.each([
  ['no rule', '', 'MalformedXML'],
  ['no filter', `<Rule><Status>Enabled</Status>${EXPIRE}</Rule>`, 'MalformedXML'],
  ['another status', `<Rule><Filter/><Status>On</Status>${EXPIRE}</Rule>`, 'MalformedXML'],
  [
    'zero days',
    '<Rule><Filter/><Status>Enabled</Status><Expiration><Days>0</Days></Expiration></Rule>',
    'InvalidArgument',
  ],
  ['no action', '<Rule><Filter/><Status>Enabled</Status></Rule>', 'InvalidRequest'],
])('PUT ?lifecycle: 400 for %s', async (_, rule, code) => {
  expect(await request('PUT', 'lifecycle', lifecycle(rule))).toMatchObject({ status: 400, code });
});

test('unset settings: S3 checks the bucket and the permission first', async () => {
  const missing = await send('GET', '/another-demo-bucket?cors');
  expect([missing.status, ...elementsOf(missing.text, 'Code')]).toEqual([404, 'NoSuchBucket']);
  const foreign = await send('GET', `/${BUCKET}?cors`, { account: '444455556666' });
  expect([foreign.status, ...elementsOf(foreign.text, 'Code')]).toEqual([403, 'AccessDenied']);
});
