import { PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { versionOf } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const other = TAX_SPEC.replace('Tax/', 'Audit/');
const rulesOf = ({ sandbox }: TestEnv) =>
  (sandbox.store.bucket('acme-tax')?.replication?.Rules ?? []).map(({ ID, Status }) => [ID, Status]);

async function put({ sandbox, door }: TestEnv, Key: string): Promise<string | undefined> {
  await door.send({ region: 'us-east-1' }, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'x' }));
  await sandbox.waitForReplication();
  return versionOf(sandbox, 'acme-tax', Key)?.replication?.status;
}

describe('a rule that its spec does not declare any more', () => {
  test('is switched off, so that nothing fails for the permissions that went with it, and stays so', async () => {
    await using env = await testEnv();
    await env.reconcile();
    expect(await put(env, 'Tax/1')).toBe('COMPLETED');
    const changed = await env.reconcileWith(other);
    expect(changed.remaining?.waves).toEqual([]);
    expect(rulesOf(env).sort()).toEqual([
      ['replikey/tax/audit', 'Enabled'],
      ['replikey/tax/tax', 'Disabled'],
    ]);
    expect(await put(env, 'Tax/2')).toBeUndefined();
    expect(await put(env, 'Audit/1')).toBe('COMPLETED');
    expect((await env.reconcileWith(other)).plan.waves).toEqual([]);
  });

  test('is switched on again when it is declared again', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.reconcileWith(other);
    const { remaining: left } = await env.reconcile();
    expect(left?.waves).toEqual([]);
    expect(await put(env, 'Tax/1')).toBe('COMPLETED');
  });

  test('is taken away where that is asked for and declared', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.reconcileWith(`${other}  policy: { deletion: Remove }\n`, { prune: true });
    expect(rulesOf(env)).toEqual([['replikey/tax/audit', 'Enabled']]);
  });

  test('makes way for another that asks for its priority', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const { remaining: left } = await env.reconcileWith(
      other.replace('prefix: Audit/', 'prefix: Audit/\n      priority: 1'),
    );
    expect(left?.waves).toEqual([]);
    expect(
      env.sandbox.store
        .bucket('acme-tax')
        ?.replication?.Rules?.map(({ Priority }) => Priority)
        .sort(),
    ).toEqual([1, 2]);
  });
});

test('a priority that a foreign rule has is told before anything is applied', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const bucket = env.sandbox.store.bucket('acme-tax');
  const theirs = {
    ID: 'theirs',
    Priority: 7,
    Status: 'Enabled' as const,
    Filter: { Prefix: 'Theirs/' },
    DeleteMarkerReplication: { Status: 'Disabled' as const },
    Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica' },
  };
  bucket?.replication?.Rules?.push(theirs);
  const { plan } = await env.reconcileWith(
    TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      priority: 7'),
  );
  expect(plan.blocked.map(({ why }) => why)).toEqual([
    'the rule replikey/tax/tax declares the priority 7, which the foreign rule "theirs" of acme-tax has; declare another priority, or none',
  ]);
});
