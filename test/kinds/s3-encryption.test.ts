import { GetBucketEncryptionCommand, PutBucketEncryptionCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { Risk } from '../../src/core/resource.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

const withNewKey = (yaml: string) => yaml.replace('alias/acme-tax }', 'alias/acme-vault }');
const withSourceKey = (yaml: string, key = 'alias/acme-tax') =>
  yaml.replace('  rules:', `  sourceKeys: [${key}]\n  rules:`);
const secondPairOf = (yaml: string) =>
  yaml
    .replace('name: tax', 'name: books')
    .replace('acme-tax-replica,', 'acme-books-replica,')
    .replace('Tax/', 'Books/');
const withoutEncryptedObjects = (yaml: string) =>
  yaml.replace('    - prefix: Tax/', '    - prefix: Tax/\n      sseKmsEncryptedObjects: false');
const withSseS3 = (yaml: string) =>
  yaml.replace(/(alias\/acme-(tax|vault)) }/, '$1, defaultEncryption: SSE-S3 }');

/** Applies a spec, and returns the risks of the plan for another. */
async function risksOf(before: string, after: string): Promise<Risk[]> {
  await using env = await testEnv(before);
  expect((await env.reconcile()).remaining?.waves).toEqual([]);
  const { plan } = await env.reconcileWith(after, { dryRun: true });
  expect(plan.blocked).toEqual([]);
  expect(plan.waves.flat().map(({ kind }) => kind)).toContain('s3.encryption');
  return plan.waves.flat().flatMap(({ risks }) => risks);
}

describe('s3.encryption: another default key', () => {
  test('is a risk when the role may no longer use the old key', async () => {
    expect(await risksOf(TAX_SPEC, withNewKey(TAX_SPEC))).toEqual([
      {
        id: 'change-default-key',
        message: expect.stringMatching(
          /^new objects in acme-tax .+key\/.+, which the spec does not declare: .+/,
        ),
      },
    ]);
  });
  test('is no risk when sourceKeys contains the old key, by alias or by ARN', async () => {
    expect(await risksOf(TAX_SPEC, withSourceKey(withNewKey(TAX_SPEC)))).toEqual([]);
    await using env = await testEnv();
    const { remaining } = await env.reconcile();
    expect(remaining?.waves).toEqual([]);
    const { ServerSideEncryptionConfiguration: now } = await env.client.send(
      { region: 'us-east-1' },
      new GetBucketEncryptionCommand({ Bucket: 'acme-tax' }),
    );
    const arn = now?.Rules?.[0]?.ApplyServerSideEncryptionByDefault?.KMSMasterKeyID;
    const { plan } = await env.reconcileWith(withSourceKey(withNewKey(TAX_SPEC), arn), { dryRun: true });
    expect(plan.blocked).toEqual([]);
    expect(plan.waves.flat().flatMap(({ risks }) => risks)).toEqual([]);
  });
  test('is no risk in a bucket that is only a destination: S3 encrypts replicas under the key of the rule', async () => {
    expect(await risksOf(TAX_SPEC, TAX_SPEC.replace('alias/acme-tax-replica', 'alias/acme-vault'))).toEqual(
      [],
    );
  });
  test('is a risk when one of several specs of the bucket lacks the old key in sourceKeys', async () => {
    const both = `${TAX_SPEC}---\n${secondPairOf(TAX_SPEC)}`;
    const onlyFirstKeeps = `${withSourceKey(withNewKey(TAX_SPEC))}---\n${withNewKey(secondPairOf(TAX_SPEC))}`;
    expect(await risksOf(both, onlyFirstKeeps)).toHaveLength(1);
    expect(
      await risksOf(
        both,
        `${withSourceKey(withNewKey(TAX_SPEC))}---\n${withSourceKey(withNewKey(secondPairOf(TAX_SPEC)))}`,
      ),
    ).toEqual([]);
  });
  test('is no risk when no rule selects encrypted objects', async () => {
    expect(
      await risksOf(withoutEncryptedObjects(TAX_SPEC), withNewKey(withoutEncryptedObjects(TAX_SPEC))),
    ).toEqual([]);
  });
});

describe('s3.encryption: another algorithm', () => {
  test('is one risk, although the role may use the old key', async () => {
    expect(await risksOf(TAX_SPEC, withSseS3(TAX_SPEC))).toEqual([
      {
        id: 'change-default-encryption',
        message: expect.stringMatching(
          /^new objects in acme-tax would be encrypted with SSE-S3 instead of SSE-KMS under arn:\S+, so that readers need no KMS permission$/,
        ),
      },
    ]);
  });
  test('is one risk that also names pending objects, when the role may no longer use the old key', async () => {
    expect(await risksOf(TAX_SPEC, withSseS3(withNewKey(TAX_SPEC)))).toEqual([
      {
        id: 'change-default-encryption',
        message: expect.stringMatching(/no KMS permission; they are encrypted under .+ now, which the spec/),
      },
    ]);
  });
  test('is a risk in a bucket that is only a destination', async () => {
    const withDsse = TAX_SPEC.replace(
      'acme-tax-replica }',
      'acme-tax-replica, defaultEncryption: DSSE-KMS }',
    );
    expect(await risksOf(TAX_SPEC, withDsse)).toEqual([
      {
        id: 'change-default-encryption',
        message: expect.stringContaining('clients and policies that require the other algorithm fail'),
      },
    ]);
  });
});

// S3 accepts a key id, a key ARN, an alias name and an alias ARN, and returns what was written.
test.each([
  ['alias', () => 'alias/acme-tax'],
  ['alias ARN', () => 'arn:aws:kms:us-east-1:111122223333:alias/acme-tax'],
  ['bare id', (arn: string) => arn.slice(arn.lastIndexOf('/') + 1)],
])('s3.encryption: the default key as %s of the declared key is the declared key', async (_, nameOf) => {
  await using env = await testEnv();
  await env.reconcile();
  const [rule] = env.sandbox.store.bucket('acme-tax')?.encryption?.Rules ?? [];
  const arn = rule?.ApplyServerSideEncryptionByDefault?.KMSMasterKeyID ?? '';
  const KMSMasterKeyID = nameOf(arn);
  const Rules = [
    {
      ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms' as const, KMSMasterKeyID },
      BucketKeyEnabled: true,
    },
  ];
  const ServerSideEncryptionConfiguration = { Rules };
  await env.client.send(
    { region: 'us-east-1' },
    new PutBucketEncryptionCommand({ Bucket: 'acme-tax', ServerSideEncryptionConfiguration }),
  );
  const { plan, proof } = await env.reconcile({ dryRun: true });
  expect([plan.waves, plan.blocked]).toEqual([[], []]);
  expect(proof.map(({ verdict }) => verdict)).toEqual(['proven']);
});
