import { PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { versionOf } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const WITH_OTHER_PREFIX = TAX_SPEC.replace('Tax/', 'Audit/');
const rulesOf = ({ sandbox }: TestEnv) =>
  (sandbox.store.bucket('acme-tax')?.replication?.Rules ?? []).map(({ ID, Status }) => [ID, Status]);

async function put({ sandbox, client }: TestEnv, Key: string): Promise<string | undefined> {
  await client.send({ region: 'us-east-1' }, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'x' }));
  await sandbox.waitForReplication();
  return versionOf(sandbox, 'acme-tax', Key)?.replication?.status;
}

const TWO_RULES = TAX_SPEC.replace('    - prefix: Tax/', '    - prefix: Tax/\n    - prefix: Audit/');

describe('an unnamed rule', () => {
  test('keeps its id and priority when its prefix changes, and leaves no rule behind', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const changed = await env.reconcileWith(WITH_OTHER_PREFIX);
    expect(changed.remaining?.waves).toEqual([]);
    expect(changed.proof.map(({ rule, verdict, spec }) => [rule, verdict, spec])).toEqual([
      ['replikey/tax/tax', 'proven', 'tax'],
    ]);
    expect(rulesOf(env)).toEqual([['replikey/tax/tax', 'Enabled']]);
    expect(env.sandbox.store.bucket('acme-tax')?.replication?.Rules).toMatchObject([
      { Priority: 1, Filter: { Prefix: 'Audit/' } },
    ]);
    expect(await put(env, 'Tax/2')).toBeUndefined();
    expect(await put(env, 'Audit/1')).toBe('COMPLETED');
    const writes = env.client.calls.writes;
    expect((await env.reconcileWith(WITH_OTHER_PREFIX)).plan.waves).toEqual([]);
    expect(env.client.calls.writes).toBe(writes);
  });

  test('keeps its id when the first prefix returns as another rule', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.reconcileWith(WITH_OTHER_PREFIX);
    const { remaining } = await env.reconcileWith(TWO_RULES);
    expect(remaining?.waves).toEqual([]);
    const rules = env.sandbox.store.bucket('acme-tax')?.replication?.Rules ?? [];
    expect(rules.map(({ ID, Filter }) => [ID, Filter?.Prefix])).toEqual([
      ['replikey/tax/tax', 'Audit/'],
      [expect.stringMatching(/^replikey\/tax\/tax-[0-9a-f]{4}$/), 'Tax/'],
    ]);
    expect((await env.reconcileWith(TWO_RULES)).plan.waves).toEqual([]);
  });

  test('keeps its id in a bucket of two specs, beside a foreign rule with an id like that of replikey', async () => {
    const both = (prefix: string) =>
      `${TAX_SPEC.replace('Tax/', prefix)}---\n${TAX_SPEC.replace('name: tax', 'name: tax-eu')
        .replaceAll('acme-tax-replica', 'acme-eu-replica')
        .replace('Tax/', 'EU/')}`;
    await using env = await testEnv();
    await env.reconcileWith(both('Tax/'));
    env.sandbox.store.bucket('acme-tax')?.replication?.Rules?.push({
      ID: 'replikey/vat/audit',
      Priority: 9,
      Status: 'Enabled',
      Filter: { Prefix: 'Audit/' },
      DeleteMarkerReplication: { Status: 'Disabled' },
      Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica' },
    });
    const { remaining } = await env.reconcileWith(both('Audit/'));
    expect(remaining?.waves).toEqual([]);
    expect(rulesOf(env).sort()).toEqual([
      ['replikey/tax-eu/eu', 'Enabled'],
      ['replikey/tax/tax', 'Enabled'],
      ['replikey/vat/audit', 'Enabled'],
    ]);
    // A run without the other spec finds the same rule.
    expect((await env.reconcileWith(WITH_OTHER_PREFIX)).plan.waves).toEqual([]);
  });

  test('keeps its id when another caller edits its prefix in S3', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const [rule] = env.sandbox.store.bucket('acme-tax')?.replication?.Rules ?? [];
    if (rule) rule.Filter = { Prefix: 'Other/' };
    expect((await env.reconcile()).remaining?.waves).toEqual([]);
    expect(rulesOf(env)).toEqual([['replikey/tax/tax', 'Enabled']]);
    expect(await put(env, 'Tax/1')).toBe('COMPLETED');
  });
});

test('a named rule: keeps its id in every edit', async () => {
  const named = (prefix: string) => TAX_SPEC.replace('prefix: Tax/', `prefix: ${prefix}\n      name: ledger`);
  await using env = await testEnv(named('Tax/'));
  await env.reconcile();
  expect((await env.reconcileWith(named('Audit/'))).remaining?.waves).toEqual([]);
  expect(rulesOf(env)).toEqual([['replikey/tax/ledger', 'Enabled']]);
  expect(await put(env, 'Audit/1')).toBe('COMPLETED');
});

describe('a rule that its spec no longer declares', () => {
  test('is disabled, so that no object fails for the removed permissions, and stays disabled', async () => {
    await using env = await testEnv(TWO_RULES);
    await env.reconcile();
    expect(await put(env, 'Tax/1')).toBe('COMPLETED');
    const changed = await env.reconcileWith(WITH_OTHER_PREFIX);
    expect(changed.remaining?.waves).toEqual([]);
    expect(rulesOf(env).sort()).toEqual([
      ['replikey/tax/audit', 'Enabled'],
      ['replikey/tax/tax', 'Disabled'],
    ]);
    expect(await put(env, 'Tax/2')).toBeUndefined();
    expect(await put(env, 'Audit/1')).toBe('COMPLETED');
    expect((await env.reconcileWith(WITH_OTHER_PREFIX)).plan.waves).toEqual([]);
  });

  test('is enabled again when it is declared again', async () => {
    await using env = await testEnv(TWO_RULES);
    await env.reconcile();
    await env.reconcileWith(WITH_OTHER_PREFIX);
    const { remaining } = await env.reconcile();
    expect(remaining?.waves).toEqual([]);
    expect(await put(env, 'Tax/1')).toBe('COMPLETED');
  });

  test('is removed with --prune and deletion: Remove', async () => {
    await using env = await testEnv(TWO_RULES);
    await env.reconcile();
    const removable = `${WITH_OTHER_PREFIX}  policy: { deletion: Remove }\n`;
    const options = { prune: true, drainMs: 0, allowedRisks: ['lose-in-flight'] };
    await env.reconcileWith(removable, options);
    expect(rulesOf(env)).toEqual([['replikey/tax/audit', 'Enabled']]);
  });

  test('is disabled with --prune and deletion: Remove, and removed after the drain', async () => {
    const time = { nowMs: Date.UTC(2026, 10, 30, 10) };
    await using env = await testEnv(TWO_RULES, { clock: () => time.nowMs });
    await env.reconcile();
    const removable = `${WITH_OTHER_PREFIX}  policy: { deletion: Remove }\n`;
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
    await using env = await testEnv(TWO_RULES);
    await env.reconcile();
    const { remaining } = await env.reconcileWith(
      WITH_OTHER_PREFIX.replace('prefix: Audit/', 'prefix: Audit/\n      priority: 1'),
    );
    expect(remaining?.waves).toEqual([]);
    const rules = env.sandbox.store.bucket('acme-tax')?.replication?.Rules ?? [];
    expect(rules.map(({ ID, Priority }) => [ID, Priority]).sort()).toEqual([
      ['replikey/tax/audit', 1],
      ['replikey/tax/tax', 2],
    ]);
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
