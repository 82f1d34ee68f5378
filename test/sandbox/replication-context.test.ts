import { createHash } from 'node:crypto';
import {
  HeadObjectCommand,
  PutBucketEncryptionCommand,
  PutBucketPolicyCommand,
  PutObjectLockConfigurationCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { sampleObjects } from '../../src/facts/object-sample.ts';
import type { Statement } from '../../src/iam/types.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { createRawClient } from './raw-request.ts';
import { changeRolePolicy, EAST, keyOf, put, REPLICA, ROLE, SOURCE, versionOf, WEST } from './support.ts';

/**
 * Context of the requests that S3 makes as the replication role. The condition keys of each action are those of the
 * Service Authorization Reference; `aws:userId` is `<RoleId>:s3-replication`.
 */

async function replicatingPair(): Promise<TestEnv> {
  const env = await testEnv(TAX_SPEC);
  await env.reconcile();
  return env;
}

const KMS = { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: true } as const;
const SSE_S3 = { ServerSideEncryption: 'AES256' } as const;

/** Adds a Deny statement to the policy of the destination, and returns the status of an object. */
async function statusUnder(env: TestEnv, statement: Partial<Statement>, object: object = KMS) {
  const deny = {
    Effect: 'Deny',
    Principal: '*',
    Action: 's3:ReplicateObject',
    Resource: `arn:aws:s3:::${REPLICA}/*`,
    ...statement,
  };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [deny] });
  await env.client.send(WEST, new PutBucketPolicyCommand({ Bucket: REPLICA, Policy }));
  const { replication } = (await put(env, object)) ?? {};
  return replication?.status;
}

describe('enforcement policy of the destination', () => {
  test('SSE-KMS is required: replicates objects under SSE-KMS, and fails for SSE-S3', async () => {
    await using env = await replicatingPair();
    const Condition = { StringNotEquals: { 's3:x-amz-server-side-encryption': 'aws:kms' } };
    expect(await statusUnder(env, { Condition })).toBe('COMPLETED');
    expect(await statusUnder(env, { Condition }, SSE_S3)).toBe('FAILED');
  });

  test('a key is required: the replica key passes, another fails', async () => {
    await using env = await replicatingPair();
    const name = 's3:x-amz-server-side-encryption-aws-kms-key-id';
    const keyArn = await keyOf(env.client, WEST);
    const requiring = (arn: string) => ({ Condition: { StringNotEquals: { [name]: arn } } });
    expect(await statusUnder(env, requiring(keyArn))).toBe('COMPLETED');
    expect(await statusUnder(env, requiring(keyArn.replace(/.$/, 'x')))).toBe('FAILED');
  });

  test.each<[string, Partial<Statement>, string]>([
    // Replication uses s3:ReplicateObject, so that policies about s3:PutObject do not concern it.
    [
      'SSE-KMS with another key is required of s3:PutObject',
      { Action: 's3:PutObject', Condition: { StringNotEquals: { 's3:x-amz-server-side-encryption': 'x' } } },
      'COMPLETED',
    ],
    [
      'TLS is required',
      { Action: 's3:*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
      'COMPLETED',
    ],
    [
      'TLS 1.2 is required',
      { Action: 's3:*', Condition: { NumericLessThan: { 's3:TlsVersion': '1.2' } } },
      'COMPLETED',
    ],
    [
      'the ACL is required',
      // S3 rejects the key for s3:ReplicateObject alone, which does not have it.
      { Action: 's3:*', Condition: { StringNotEquals: { 's3:x-amz-acl': 'bucket-owner-full-control' } } },
      'FAILED',
    ],
    [
      'the Region is required',
      { Condition: { StringNotEquals: { 'aws:RequestedRegion': 'us-west-2' } } },
      'COMPLETED',
    ],
    [
      'another Region is required',
      { Condition: { StringNotEquals: { 'aws:RequestedRegion': 'us-east-1' } } },
      'FAILED',
    ],
    ['an address is required', { Condition: { NotIpAddress: { 'aws:SourceIp': '127.0.0.0/8' } } }, 'FAILED'],
    ['direct calls are denied', { Condition: { Bool: { 'aws:ViaAWSService': 'false' } } }, 'FAILED'],
    [
      'a time is over',
      { Condition: { DateGreaterThan: { 'aws:CurrentTime': '2020-01-01T00:00:00Z' } } },
      'FAILED',
    ],
    [
      'SSE-C is denied',
      { Condition: { Null: { 's3:x-amz-server-side-encryption-customer-algorithm': 'false' } } },
      'COMPLETED',
    ],
  ])('%s: the object is %s', async (_, statement, status) => {
    await using env = await replicatingPair();
    expect(await statusUnder(env, statement)).toBe(status);
  });

  test('aws:userId is the id of the role and the session s3-replication', async () => {
    await using env = await replicatingPair();
    const { id = '' } = env.sandbox.store.account('111122223333').roles.get(ROLE) ?? {};
    const unless = (userId: string) => ({ Condition: { StringNotEquals: { 'aws:userId': userId } } });
    expect(await statusUnder(env, unless(`${id}:s3-replication`))).toBe('COMPLETED');
    expect(await statusUnder(env, unless(`${id}:other`))).toBe('FAILED');
  });
});

// Service Authorization Reference: s3:GetObjectVersionTagging has s3:ExistingObjectTag and s3:VersionId.
test('role policy: a condition on the existing tags decides about each object', async () => {
  await using env = await replicatingPair();
  await changeRolePolicy(env.client, (statements) => {
    statements.Deny = {
      Effect: 'Deny',
      Action: 's3:GetObjectVersionTagging',
      Resource: '*',
      Condition: { StringEquals: { 's3:ExistingObjectTag/secret': 'yes' } },
    };
  });
  const attemptOf = async (Tagging: string) => (await put(env, { Tagging }))?.replication?.attempts[0];
  expect(await attemptOf('secret=yes')).toMatchObject({ reason: 'SrcGetTaggingNotPermitted' });
  expect(await attemptOf('secret=no')).toMatchObject({ status: 'COMPLETED' });
});

describe('replication of an object under SSE-C', () => {
  const customerKey = createHash('sha256').update('key').digest();
  const headers = {
    'x-amz-server-side-encryption-customer-algorithm': 'AES256',
    'x-amz-server-side-encryption-customer-key': customerKey.toString('base64'),
    'x-amz-server-side-encryption-customer-key-md5': createHash('md5').update(customerKey).digest('base64'),
  };

  /** Lets buckets accept SSE-C, writes an object with it, and returns the result. */
  async function replicateWithCustomerKey(env: TestEnv, buckets: [string, { region: string }][]) {
    for (const [Bucket, at] of buckets) {
      const Rules = [{ BlockedEncryptionTypes: { EncryptionType: ['NONE' as const] } }];
      await env.client.send(
        at,
        new PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration: { Rules } }),
      );
    }
    const send = createRawClient(env.sandbox.endpoint);
    const { status } = await send('PUT', `/${SOURCE}/Tax/customer`, { body: 'numbers', headers });
    expect(status).toBe(200);
    await env.sandbox.waitForReplication();
    const readReplica = (readHeaders: Record<string, string>) =>
      send('GET', `/${REPLICA}/Tax/customer`, { headers: readHeaders, region: WEST.region });
    return { version: versionOf(env.sandbox, SOURCE, 'Tax/customer'), readReplica };
  }

  // S3 User Guide, "Replicating encrypted objects": S3 replicates SSE-C objects without additional permissions.
  test('the replica needs the same key', async () => {
    await using env = await replicatingPair();
    const { version, readReplica } = await replicateWithCustomerKey(env, [
      [SOURCE, EAST],
      [REPLICA, WEST],
    ]);
    expect(version?.replication?.status).toBe('COMPLETED');
    expect((await readReplica(headers)).text).toBe('numbers');
    expect((await readReplica({})).status).toBe(400);
  });

  // S3 User Guide, "Blocking or unblocking SSE-C": "the replication will fail with an HTTP 403 AccessDenied error".
  test('fails if the destination blocks SSE-C', async () => {
    await using env = await replicatingPair();
    const { version } = await replicateWithCustomerKey(env, [[SOURCE, EAST]]);
    expect(version?.replication).toMatchObject({
      status: 'FAILED',
      attempts: [{ reason: 'DstPutObjectNotPermitted', detail: `${REPLICA} blocks SSE-C` }],
    });
  });

  test('the doctor leaves it out of its sample, and samples the other objects', async () => {
    await using env = await replicatingPair();
    await put(env);
    await replicateWithCustomerKey(env, [
      [SOURCE, EAST],
      [REPLICA, WEST],
    ]);
    const { objects } = await sampleObjects(env.client, EAST, SOURCE, ['Tax/'], { count: 10, pages: 1 });
    expect(objects.map(({ key }) => key)).toEqual(['Tax/2026.pdf']);
  });

  test('a policy sees the algorithm of the key', async () => {
    await using env = await replicatingPair();
    const name = 's3:x-amz-server-side-encryption-customer-algorithm';
    await statusUnder(env, { Condition: { Null: { [name]: 'false' } } });
    const { version } = await replicateWithCustomerKey(env, [
      [SOURCE, EAST],
      [REPLICA, WEST],
    ]);
    expect(version?.replication?.status).toBe('FAILED');
  });
});

describe('replication of locked objects', () => {
  const lock = (env: TestEnv, Bucket: string, at: { region: string }, Days?: number) =>
    env.client.send(
      at,
      new PutObjectLockConfigurationCommand({
        Bucket,
        ObjectLockConfiguration: {
          ObjectLockEnabled: 'Enabled',
          ...(Days === undefined ? {} : { Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days } } }),
        },
      }),
    );
  const headOf = (env: TestEnv) =>
    env.client.send(WEST, new HeadObjectCommand({ Bucket: REPLICA, Key: 'Tax/2026.pdf' }));

  // S3 User Guide, "Object Lock considerations": the replica has the retention of its source, which overrides the
  // default retention of the destination.
  test('the replica has the retention and the legal hold of its source', async () => {
    await using env = await replicatingPair();
    await lock(env, SOURCE, EAST);
    await lock(env, REPLICA, WEST, 1);
    await changeRolePolicy(env.client, (statements) => {
      statements.Lock = {
        Effect: 'Allow',
        Action: ['s3:GetObjectRetention', 's3:GetObjectLegalHold'],
        Resource: '*',
      };
    });
    const until = new Date(Date.now() + 10 * 24 * 60 * 60 * 1000);
    await put(env, {
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: until,
      ObjectLockLegalHoldStatus: 'ON',
    });
    const head = await headOf(env);
    expect(head).toMatchObject({ ObjectLockMode: 'COMPLIANCE', ObjectLockLegalHoldStatus: 'ON' });
    expect(head.ObjectLockRetainUntilDate?.getTime()).toBe(Math.floor(until.getTime() / 1000) * 1000);
  });

  test('an unlocked object takes the default retention of the destination', async () => {
    await using env = await replicatingPair();
    await lock(env, REPLICA, WEST, 1);
    await put(env);
    expect((await headOf(env)).ObjectLockMode).toBe('GOVERNANCE');
  });
});
