import { GetBucketEncryptionCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { Risk } from '../../src/core/resource.ts';
import { aWorld, TAX } from '../support/world.ts';

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
  await using world = await aWorld(before);
  expect((await world.reconcile()).left?.waves).toEqual([]);
  const { plan } = await world.with(after, { dryRun: true });
  expect(plan.blocked).toEqual([]);
  expect(plan.waves.flat().map(({ kind }) => kind)).toContain('s3.encryption');
  return plan.waves.flat().flatMap(({ risks }) => risks);
}

describe('to encrypt under another key by default', () => {
  test('risks what lies under the old one, where the role may not use that any more', async () => {
    expect(await risksOf(TAX, vault(TAX))).toEqual([
      {
        id: 'change-default-key',
        message: expect.stringMatching(/^new objects in acme-tax .+key\/.+ a key that is not declared: .+/),
      },
    ]);
  });
  test('risks nothing where the old one stays among the keys of the source, by alias or by ARN', async () => {
    expect(await risksOf(TAX, keeping(vault(TAX)))).toEqual([]);
    await using world = await aWorld();
    const { left } = await world.reconcile();
    expect(left?.waves).toEqual([]);
    const { ServerSideEncryptionConfiguration: now } = await world.door.send(
      { region: 'us-east-1' },
      new GetBucketEncryptionCommand({ Bucket: 'acme-tax' }),
    );
    const arn = now?.Rules?.[0]?.ApplyServerSideEncryptionByDefault?.KMSMasterKeyID;
    const { plan } = await world.with(keeping(vault(TAX), arn), { dryRun: true });
    expect(plan.blocked).toEqual([]);
    expect(plan.waves.flat().flatMap(({ risks }) => risks)).toEqual([]);
  });
  test('risks nothing in a bucket that is a destination alone: replicas lie under the key of the rule', async () => {
    expect(await risksOf(TAX, TAX.replace('alias/acme-tax-replica', 'alias/acme-vault'))).toEqual([]);
  });
  test('risks what one of several specs of the bucket does not keep', async () => {
    const both = `${TAX}---\n${also(TAX)}`;
    const one = `${keeping(vault(TAX))}---\n${vault(also(TAX))}`;
    expect(await risksOf(both, one)).toHaveLength(1);
    expect(await risksOf(both, `${keeping(vault(TAX))}---\n${keeping(vault(also(TAX)))}`)).toEqual([]);
  });
  test('risks nothing where no rule replicates objects under keys', async () => {
    expect(await risksOf(plain(TAX), vault(plain(TAX)))).toEqual([]);
  });
});

test('to encrypt under no key by default any more is a risk, though the role may use the old one', async () => {
  expect(await risksOf(TAX, byS3Alone(TAX))).toEqual([
    { id: 'change-default-key', message: expect.stringContaining('would be by S3 alone') },
  ]);
});
