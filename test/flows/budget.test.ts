import { expect, test } from 'vitest';
import { testEnv } from '../support/env.ts';

/** What a pass costs, by operation: a call more is a decision, not an accident. */
test('a converged pass reads each thing once, and writes nothing', async () => {
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
    // What the proof asks beside.
    's3:GetBucketPolicy': 2,
    'iam:ListRolePolicies': 1,
    'iam:ListAttachedRolePolicies': 1,
  });
});

test('a first run writes each thing once, and reads before, after, and once to see that nothing is left', async () => {
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
