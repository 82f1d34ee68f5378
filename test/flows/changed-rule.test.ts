import { PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { versionOf } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const WITH_OTHER_RULE = TAX_SPEC.replace('Tax/', 'Audit/');
const rulesOf = ({ sandbox }: TestEnv) =>
  (sandbox.store.bucket('acme-tax')?.replication?.Rules ?? []).map(({ ID, Status }) => [ID, Status]);

async function put({ sandbox, client }: TestEnv, Key: string): Promise<string | undefined> {
  await client.send({ region: 'us-east-1' }, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'x' }));
  await sandbox.waitForReplication();
  return versionOf(sandbox, 'acme-tax', Key)?.replication?.status;
}

describe('a rule that its spec no longer declares', () => {
  test('is disabled, so that no object fails for the removed permissions, and stays disabled', async () => {
    await using env = await testEnv();
    await env.reconcile();
    expect(await put(env, 'Tax/1')).toBe('COMPLETED');
    const changed = await env.reconcileWith(WITH_OTHER_RULE);
    expect(changed.remaining?.waves).toEqual([]);
    expect(rulesOf(env).sort()).toEqual([
      ['replikey/tax/audit', 'Enabled'],
      ['replikey/tax/tax', 'Disabled'],
    ]);
    expect(await put(env, 'Tax/2')).toBeUndefined();
    expect(await put(env, 'Audit/1')).toBe('COMPLETED');
    expect((await env.reconcileWith(WITH_OTHER_RULE)).plan.waves).toEqual([]);
  });

  test('is enabled again when it is declared again', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.reconcileWith(WITH_OTHER_RULE);
    const { remaining } = await env.reconcile();
    expect(remaining?.waves).toEqual([]);
    expect(await put(env, 'Tax/1')).toBe('COMPLETED');
  });

  test('is removed with --prune and deletion: Remove', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const removable = `${WITH_OTHER_RULE}  policy: { deletion: Remove }\n`;
    const options = { prune: true, drainMs: 0, allowedRisks: ['lose-in-flight'] };
    await env.reconcileWith(removable, options);
    expect(rulesOf(env)).toEqual([['replikey/tax/audit', 'Enabled']]);
  });

  test('is disabled with --prune and deletion: Remove, and removed after the drain', async () => {
    const time = { nowMs: Date.UTC(2026, 10, 30, 10) };
    await using env = await testEnv(TAX_SPEC, { clock: () => time.nowMs });
    await env.reconcile();
    const removable = `${WITH_OTHER_RULE}  policy: { deletion: Remove }\n`;
    const ruleIds = async () => {
      await env.reconcileWith(removable, { prune: true });
      return rulesOf(env).sort();
    };
    const enabled = ['replikey/tax/audit', 'Enabled'];
    expect(await ruleIds()).toEqual([enabled, ['replikey/tax/tax', 'Disabled']]);
    time.nowMs += 14 * 60_000;
    expect(await ruleIds()).toEqual([enabled, ['replikey/tax/tax', 'Disabled']]);
    time.nowMs += 3 * 60_000;
    expect(await ruleIds()).toEqual([enabled]);
  });

  test('gives up its priority to a rule that declares it', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const { remaining } = await env.reconcileWith(
      WITH_OTHER_RULE.replace('prefix: Audit/', 'prefix: Audit/\n      priority: 1'),
    );
    expect(remaining?.waves).toEqual([]);
    expect(
      env.sandbox.store
        .bucket('acme-tax')
        ?.replication?.Rules?.map(({ Priority }) => Priority)
        .sort(),
    ).toEqual([1, 2]);
  });
});

test('a declared priority of a foreign rule is blocked', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const bucket = env.sandbox.store.bucket('acme-tax');
  const foreignRule = {
    ID: 'foreign',
    Priority: 7,
    Status: 'Enabled' as const,
    Filter: { Prefix: 'Foreign/' },
    DeleteMarkerReplication: { Status: 'Disabled' as const },
    Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica' },
  };
  bucket?.replication?.Rules?.push(foreignRule);
  const { plan } = await env.reconcileWith(
    TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      priority: 7'),
  );
  expect(plan.blocked.map(({ why }) => why)).toEqual([
    'the rule replikey/tax/tax declares the priority 7, which the foreign rule "foreign" of acme-tax has; declare another priority, or none',
  ]);
});
