import { GetBucketEncryptionCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { Risk } from '../../src/core/resource.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

const vault = (yaml: string) => yaml.replace('alias/acme-tax }', 'alias/acme-vault }');
const keeping = (yaml: string, key = 'alias/acme-tax') =>
  yaml.replace('  rules:', `  sourceKeys: [${key}]\n  rules:`);
const also = (yaml: string) =>
  yaml
    .replace('name: tax', 'name: books')
    .replace('acme-tax-replica,', 'acme-books-replica,')
    .replace('Tax/', 'Books/');
const plain = (yaml: string) =>
  yaml.replace('    - prefix: Tax/', '    - prefix: Tax/\n      sseKmsEncryptedObjects: false');
const byS3Alone = (yaml: string) => yaml.replace('acme-tax }', 'acme-tax, defaultEncryption: SSE-S3 }');

/** The risks of a plan for what is declared after something else was applied. */
async function risksOf(before: string, after: string): Promise<Risk[]> {
  await using env = await testEnv(before);
  expect((await env.reconcile()).remaining?.waves).toEqual([]);
  const { plan } = await env.reconcileWith(after, { dryRun: true });
  expect(plan.blocked).toEqual([]);
  expect(plan.waves.flat().map(({ kind }) => kind)).toContain('s3.encryption');
  return plan.waves.flat().flatMap(({ risks }) => risks);
}

describe('to encrypt under another key by default', () => {
  test('risks what lies under the old one, where the role may not use that any more', async () => {
    expect(await risksOf(TAX_SPEC, vault(TAX_SPEC))).toEqual([
      {
        id: 'change-default-key',
        message: expect.stringMatching(
          /^new objects in acme-tax .+key\/.+, which the spec does not declare: .+/,
        ),
      },
    ]);
  });
  test('risks nothing where the old one stays among the keys of the source, by alias or by ARN', async () => {
    expect(await risksOf(TAX_SPEC, keeping(vault(TAX_SPEC)))).toEqual([]);
    await using env = await testEnv();
    const { remaining: left } = await env.reconcile();
    expect(left?.waves).toEqual([]);
    const { ServerSideEncryptionConfiguration: now } = await env.door.send(
      { region: 'us-east-1' },
      new GetBucketEncryptionCommand({ Bucket: 'acme-tax' }),
    );
    const arn = now?.Rules?.[0]?.ApplyServerSideEncryptionByDefault?.KMSMasterKeyID;
    const { plan } = await env.reconcileWith(keeping(vault(TAX_SPEC), arn), { dryRun: true });
    expect(plan.blocked).toEqual([]);
    expect(plan.waves.flat().flatMap(({ risks }) => risks)).toEqual([]);
  });
  test('risks nothing in a bucket that is a destination alone: replicas lie under the key of the rule', async () => {
    expect(await risksOf(TAX_SPEC, TAX_SPEC.replace('alias/acme-tax-replica', 'alias/acme-vault'))).toEqual(
      [],
    );
  });
  test('risks what one of several specs of the bucket does not keep', async () => {
    const both = `${TAX_SPEC}---\n${also(TAX_SPEC)}`;
    const one = `${keeping(vault(TAX_SPEC))}---\n${vault(also(TAX_SPEC))}`;
    expect(await risksOf(both, one)).toHaveLength(1);
    expect(await risksOf(both, `${keeping(vault(TAX_SPEC))}---\n${keeping(vault(also(TAX_SPEC)))}`)).toEqual(
      [],
    );
  });
  test('risks nothing where no rule replicates objects under keys', async () => {
    expect(await risksOf(plain(TAX_SPEC), vault(plain(TAX_SPEC)))).toEqual([]);
  });
});

test('to encrypt under no key by default any more is a risk, though the role may use the old one', async () => {
  expect(await risksOf(TAX_SPEC, byS3Alone(TAX_SPEC))).toEqual([
    { id: 'change-default-key', message: expect.stringContaining('would be encrypted with SSE-S3') },
  ]);
});
