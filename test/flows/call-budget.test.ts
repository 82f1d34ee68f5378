import { expect, test } from 'vitest';
import { testEnv } from '../support/env.ts';

/** The calls of a pass, by operation. A change of these numbers must be deliberate. */
test('pass without changes: reads each document once, and writes nothing', async () => {
  await using env = await testEnv();
  await env.reconcile();
  env.sandbox.log.reset();
  await env.reconcile();
  expect(env.sandbox.log.counts()).toEqual({
    's3:GetBucketVersioning': 2,
    's3:GetBucketEncryption': 2,
    's3:GetBucketReplication': 1,
    'kms:DescribeKey': 2,
    'kms:GetKeyPolicy': 2,
    'iam:GetRole': 1,
    'iam:GetRolePolicy': 1,
    // Additional reads of the proof.
    's3:GetBucketPolicy': 2,
    'iam:ListRolePolicies': 1,
    'iam:ListAttachedRolePolicies': 1,
  });
});

test('first run: writes each document once, and reads it before the plan, after the write and in the final check', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const reads = env.sandbox.log.entries.filter(({ write }) => !write).length;
  expect(reads).toBeLessThanOrEqual(52);
  const writes = env.sandbox.log.entries.filter(({ write }) => write).map(({ operation }) => operation);
  expect(writes.sort()).toEqual([
    'CreateAlias',
    'CreateAlias',
    'CreateBucket',
    'CreateBucket',
    'CreateKey',
    'CreateKey',
    'CreateRole',
    'PutBucketEncryption',
    'PutBucketEncryption',
    'PutBucketReplication',
    'PutBucketVersioning',
    'PutBucketVersioning',
    'PutKeyPolicy',
    'PutKeyPolicy',
    'PutRolePolicy',
  ]);
});
