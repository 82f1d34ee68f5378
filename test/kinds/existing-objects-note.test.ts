import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const NOTE =
  'S3 replicates only objects written after this change; declare backfill for objects that exist already';

const BACKFILL_NOTE =
  'S3 replicates only objects written after this change, and the backfill of tax only those from before 2026-11-01T00:00:00Z; declare a later before when the change has taken effect, or the objects written in between stay without a replica';

const withBackfill = (yaml: string) =>
  yaml.replace('  rules:', '  backfill: { before: "2026-11-01T00:00:00Z" }\n  rules:');
const withRule = (more: string) => TAX_SPEC.replace('    - prefix: Tax/', `    - prefix: Tax/\n${more}`);
const tagged = (tags: string) =>
  TAX_SPEC.replace('prefix: Tax/', `filter: { prefix: Tax/, tags: { ${tags} } }`);
const named = (yaml: string) => yaml.replace('    - prefix:', '    - name: tax\n      prefix:');

/** Returns the notes of a plan on the rules that it changes. */
async function ruleNotes(env: TestEnv, yaml: string): Promise<{ id: string; message: string }[]> {
  const { plan } = await env.reconcileWith(yaml, { dryRun: true });
  expect(plan.waves.flat().map(({ kind }) => kind)).toContain('s3.replication');
  return plan.notes.filter(({ id }) => id === 's3.replication/acme-tax');
}

/** Returns the ids of resources for which a plan notes that existing objects are not replicated. */
const notedIds = async (env: TestEnv, yaml: string): Promise<string[]> =>
  (await ruleNotes(env, yaml)).filter(({ message }) => message === NOTE).map(({ id }) => id);

async function notedIdsAfter(before: string, yaml: string): Promise<string[]> {
  await using env = await testEnv(before);
  const { remaining, plan } = await env.reconcile();
  expect(remaining).toMatchObject({ waves: [], notes: [] });
  expect(plan.notes).toEqual([]);
  return await notedIds(env, yaml);
}

describe('existing-objects note: present', () => {
  test.each<[change: string, before: string, yaml: string]>([
    ['one more rule', TAX_SPEC, withRule('    - prefix: Ledgers/')],
    ['a wider prefix', named(TAX_SPEC), named(TAX_SPEC).replace('prefix: Tax/', 'prefix: Ta')],
    ['another prefix', named(TAX_SPEC), named(TAX_SPEC).replace('prefix: Tax/', 'prefix: Taxes/')],
    ['fewer tags', tagged('tier: gold, stage: prod'), tagged('tier: gold')],
    ['encrypted objects too', withRule('      sseKmsEncryptedObjects: false'), TAX_SPEC],
    ['a rule that was disabled', withRule('      enabled: false'), TAX_SPEC],
    ['another destination', TAX_SPEC, TAX_SPEC.replace('acme-tax-replica,', 'acme-tax-copies,')],
  ])('for %s', async (_, before, yaml) => {
    expect(await notedIdsAfter(before, yaml)).toEqual(['s3.replication/acme-tax']);
  });
  test('for the first rule of an existing bucket', async () => {
    await using env = await testEnv();
    await env.client.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    expect(await notedIds(env, TAX_SPEC)).toEqual(['s3.replication/acme-tax']);
  });
});

describe('existing-objects note: absent', () => {
  test('when the plan creates the source bucket, although the destination bucket exists', async () => {
    await using env = await testEnv();
    const CreateBucketConfiguration = { LocationConstraint: 'us-west-2' as const };
    await env.client.send(
      { region: 'us-west-2' },
      new CreateBucketCommand({ Bucket: 'acme-tax-replica', CreateBucketConfiguration }),
    );
    expect(await notedIds(env, TAX_SPEC)).toEqual([]);
  });
  test.each<[change: string, before: string, yaml: string]>([
    ['another field of a rule', TAX_SPEC, withRule('      deleteMarkerReplication: true')],
    ['a rule that becomes disabled', TAX_SPEC, withRule('      enabled: false')],
    ['a new rule that is disabled', TAX_SPEC, withRule('    - prefix: Ledgers/\n      enabled: false')],
    ['a narrower prefix', named(TAX_SPEC), named(TAX_SPEC).replace('prefix: Tax/', 'prefix: Tax/2026/')],
    ['more tags', tagged('tier: gold'), tagged('tier: gold, stage: prod')],
    ['encrypted objects no longer', TAX_SPEC, withRule('      sseKmsEncryptedObjects: false')],
    ['a removed rule', withRule('    - prefix: Ledgers/'), TAX_SPEC],
  ])('for %s', async (_, before, yaml) => {
    expect(await notedIdsAfter(before, yaml)).toEqual([]);
  });
});

describe('existing-objects note: with a backfill, the objects written before the rule takes effect', () => {
  test('for the first rule of an existing bucket', async () => {
    await using env = await testEnv();
    await env.client.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    const notes = await ruleNotes(env, withBackfill(TAX_SPEC));
    expect(notes.map(({ message }) => message)).toEqual([BACKFILL_NOTE]);
  });
  test('not when a spec declares a backfill under a rule that is in effect', async () => {
    await using env = await testEnv();
    await env.reconcileWith(TAX_SPEC);
    const { plan } = await env.reconcileWith(withBackfill(TAX_SPEC), { dryRun: true });
    expect(plan.waves.flat().map(({ kind }) => kind)).toContain('s3.backfill');
    expect(plan.notes).toEqual([]);
  });
  test('for the spec of a wider rule, and for no other spec of the bucket', async () => {
    const other = TAX_SPEC.replace('name: tax', 'name: books').replace(
      '- prefix: Tax/',
      '- { prefix: Books/, priority: 9 }',
    );
    await using env = await testEnv(`${TAX_SPEC}---\n${other}`);
    await env.reconcile();
    const wider = withRule('    - prefix: Ledgers/');
    expect(await ruleNotes(env, `${withBackfill(wider)}---\n${other}`)).toEqual([
      expect.objectContaining({ message: BACKFILL_NOTE }),
    ]);
    expect(await ruleNotes(env, `${wider}---\n${withBackfill(other)}`)).toEqual([
      expect.objectContaining({ message: NOTE }),
    ]);
  });
});
