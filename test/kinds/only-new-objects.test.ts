import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const NOTE =
  'S3 replicates only objects written after this change; existing objects need S3 Batch Replication';

const withRule = (more: string) => TAX_SPEC.replace('    - prefix: Tax/', `    - prefix: Tax/\n${more}`);
const tagged = (tags: string) =>
  TAX_SPEC.replace('prefix: Tax/', `filter: { prefix: Tax/, tags: { ${tags} } }`);
const named = (yaml: string) => yaml.replace('    - prefix:', '    - name: tax\n      prefix:');

/** What a plan says of objects that are there already. */
async function noted(env: TestEnv, yaml: string): Promise<string[]> {
  const { plan } = await env.reconcileWith(yaml, { dryRun: true });
  expect(plan.waves.flat().map(({ kind }) => kind)).toContain('s3.replication');
  return plan.notes.filter(({ message }) => message === NOTE).map(({ id }) => id);
}

async function after(before: string, yaml: string): Promise<string[]> {
  await using env = await testEnv(before);
  const { remaining: left, plan } = await env.reconcile();
  expect(left).toMatchObject({ waves: [], notes: [] });
  expect(plan.notes).toEqual([]);
  return await noted(env, yaml);
}

describe('a plan says that objects which are there already are not replicated', () => {
  test.each<[what: string, before: string, yaml: string]>([
    ['one more rule', TAX_SPEC, withRule('    - prefix: Ledgers/')],
    ['a wider prefix', named(TAX_SPEC), named(TAX_SPEC).replace('prefix: Tax/', 'prefix: Ta')],
    ['another prefix', named(TAX_SPEC), named(TAX_SPEC).replace('prefix: Tax/', 'prefix: Taxes/')],
    ['fewer tags', tagged('tier: gold, stage: prod'), tagged('tier: gold')],
    ['objects under keys too', withRule('      sseKmsEncryptedObjects: false'), TAX_SPEC],
    ['a rule that was off', withRule('      enabled: false'), TAX_SPEC],
    ['another destination', TAX_SPEC, TAX_SPEC.replace('acme-tax-replica,', 'acme-tax-copies,')],
  ])('by %s', async (_, before, yaml) => {
    expect(await after(before, yaml)).toEqual(['s3.replication/acme-tax']);
  });
  test('by the first rule of a bucket that was there before', async () => {
    await using env = await testEnv();
    await env.door.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    expect(await noted(env, TAX_SPEC)).toEqual(['s3.replication/acme-tax']);
  });
});

describe('a plan says nothing of objects that are there already', () => {
  test('where it makes the bucket, though the other one was there', async () => {
    await using env = await testEnv();
    const CreateBucketConfiguration = { LocationConstraint: 'us-west-2' as const };
    await env.door.send(
      { region: 'us-west-2' },
      new CreateBucketCommand({ Bucket: 'acme-tax-replica', CreateBucketConfiguration }),
    );
    expect(await noted(env, TAX_SPEC)).toEqual([]);
  });
  test.each<[what: string, before: string, yaml: string]>([
    ['another field of a rule', TAX_SPEC, withRule('      deleteMarkerReplication: true')],
    ['a rule that is switched off', TAX_SPEC, withRule('      enabled: false')],
    ['a rule that is new and off', TAX_SPEC, withRule('    - prefix: Ledgers/\n      enabled: false')],
    ['a narrower prefix', named(TAX_SPEC), named(TAX_SPEC).replace('prefix: Tax/', 'prefix: Tax/2026/')],
    ['more tags', tagged('tier: gold'), tagged('tier: gold, stage: prod')],
    ['objects under keys no more', TAX_SPEC, withRule('      sseKmsEncryptedObjects: false')],
    ['one rule less', withRule('    - prefix: Ledgers/'), TAX_SPEC],
  ])('for %s', async (_, before, yaml) => {
    expect(await after(before, yaml)).toEqual([]);
  });
});
