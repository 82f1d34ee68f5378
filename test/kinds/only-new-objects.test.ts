import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { aWorld, TAX, type World } from '../support/world.ts';

const NOTE =
  'S3 replicates what is written from then on: objects that are there already need S3 Batch Replication';

const withRule = (more: string) => TAX.replace('    - prefix: Tax/', `    - prefix: Tax/\n${more}`);
const tagged = (tags: string) => TAX.replace('prefix: Tax/', `filter: { prefix: Tax/, tags: { ${tags} } }`);
const named = (yaml: string) => yaml.replace('    - prefix:', '    - name: tax\n      prefix:');

/** What a plan says of objects that are there already. */
async function noted(world: World, yaml: string): Promise<string[]> {
  const { plan } = await world.with(yaml, { dryRun: true });
  expect(plan.waves.flat().map(({ kind }) => kind)).toContain('s3.replication');
  return plan.notes.filter(({ message }) => message === NOTE).map(({ id }) => id);
}

async function after(before: string, yaml: string): Promise<string[]> {
  await using world = await aWorld(before);
  const { left, plan } = await world.reconcile();
  expect(left).toMatchObject({ waves: [], notes: [] });
  expect(plan.notes).toEqual([]);
  return await noted(world, yaml);
}

describe('a plan says that objects which are there already are not replicated', () => {
  test.each<[what: string, before: string, yaml: string]>([
    ['one more rule', TAX, withRule('    - prefix: Ledgers/')],
    ['a wider prefix', named(TAX), named(TAX).replace('prefix: Tax/', 'prefix: Ta')],
    ['another prefix', named(TAX), named(TAX).replace('prefix: Tax/', 'prefix: Taxes/')],
    ['fewer tags', tagged('tier: gold, stage: prod'), tagged('tier: gold')],
    ['objects under keys too', withRule('      sseKmsEncryptedObjects: false'), TAX],
    ['a rule that was off', withRule('      enabled: false'), TAX],
    ['another destination', TAX, TAX.replace('acme-tax-replica,', 'acme-tax-copies,')],
  ])('by %s', async (_, before, yaml) => {
    expect(await after(before, yaml)).toEqual(['s3.replication/acme-tax']);
  });
  test('by the first rule of a bucket that was there before', async () => {
    await using world = await aWorld();
    await world.door.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    expect(await noted(world, TAX)).toEqual(['s3.replication/acme-tax']);
  });
});

describe('a plan says nothing of objects that are there already', () => {
  test('where it makes the bucket, though the other one was there', async () => {
    await using world = await aWorld();
    const CreateBucketConfiguration = { LocationConstraint: 'us-west-2' as const };
    await world.door.send(
      { region: 'us-west-2' },
      new CreateBucketCommand({ Bucket: 'acme-tax-replica', CreateBucketConfiguration }),
    );
    expect(await noted(world, TAX)).toEqual([]);
  });
  test.each<[what: string, before: string, yaml: string]>([
    ['another field of a rule', TAX, withRule('      deleteMarkerReplication: true')],
    ['a rule that is switched off', TAX, withRule('      enabled: false')],
    ['a rule that is new and off', TAX, withRule('    - prefix: Ledgers/\n      enabled: false')],
    ['a narrower prefix', named(TAX), named(TAX).replace('prefix: Tax/', 'prefix: Tax/2026/')],
    ['more tags', tagged('tier: gold'), tagged('tier: gold, stage: prod')],
    ['objects under keys no more', TAX, withRule('      sseKmsEncryptedObjects: false')],
    ['one rule less', withRule('    - prefix: Ledgers/'), TAX],
  ])('for %s', async (_, before, yaml) => {
    expect(await after(before, yaml)).toEqual([]);
  });
});
