import { expect, test } from 'vitest';
import { TAX_SPEC, testEnv } from '../support/env.ts';

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

test('pass without changes, with a backfill: reads its role, and lists the jobs of the account once', async () => {
  const pairs = ['tax', 'books'].map((name) =>
    TAX_SPEC.replaceAll('tax', name).replace(
      '  rules:',
      '  backfill: { before: "2026-01-01T00:00:00Z", role: { name: batch } }\n  rules:',
    ),
  );
  await using env = await testEnv(pairs.join('---\n'));
  for (let pass = 0; pass < 3; pass += 1) {
    await env.reconcile();
    await env.sandbox.waitForJobs();
  }
  env.sandbox.log.reset();
  const { plan } = await env.reconcile();
  expect(plan.waves).toEqual([]);
  const counts = env.sandbox.log.counts();
  expect(counts['s3control:ListJobs']).toBe(1);
  // Nothing else about jobs, their objects or their costs.
  expect(Object.keys(counts).filter((call) => /Job|Metric|Lifecycle|Object/.test(call))).toEqual([
    's3control:ListJobs',
  ]);
});
