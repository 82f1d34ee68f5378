import { PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import type { Statement } from '../../src/iam/types.ts';
import { outcomeText } from '../../src/report/outcome-text.ts';
import { PLAIN_STYLE } from '../../src/report/style.ts';
import { versionOf } from '../sandbox/support.ts';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const MOVED = TAX_SPEC.replace('bucket: acme-tax-replica', 'bucket: acme-tax-moved').replace(
  'key: alias/acme-tax-replica',
  'key: alias/acme-tax-moved',
);
const MINUTE = 60_000;

/** A sandbox whose clock a test moves. */
async function envWithClock(yaml?: string) {
  const time = { nowMs: Date.UTC(2026, 10, 30, 10, 0, 10) };
  const env = await testEnv(yaml, { clock: () => time.nowMs });
  return { env, time };
}

const rolePolicySids = ({ sandbox }: TestEnv): string[] => {
  const policy = sandbox.store.account('111122223333').roles.get('replikey-acme-tax')?.inline.get('replikey');
  const { Statement: statements } = JSON.parse(policy ?? '{"Statement":[]}') as { Statement: Statement[] };
  return statements.map(({ Sid = '' }) => Sid).filter((sid) => sid.startsWith('ReplikeyUntil'));
};

test('transitions: keep replaced permissions for the drain, then remove them and those of the old key', async () => {
  const { env, time } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  const moved = await env.reconcileWith(MOVED);
  expect(moved.results.every(({ result }) => result === 'applied')).toBe(true);
  expect(moved.remaining?.waves).toEqual([]);
  expect(moved.remaining?.retained.map(({ sid }) => sid.replace(/x[0-9a-f]{6}/, '')).sort()).toEqual([
    'ReplikeyUntil202611301017DestinationKeyTax',
    'ReplikeyUntil202611301017DestinationObjectsTax',
  ]);

  const writes = env.client.calls.writes;
  time.nowMs += 5 * MINUTE;
  const second = await env.reconcileWith(MOVED);
  expect([second.plan.waves, second.plan.housekeeping]).toEqual([[], []]);
  expect(env.client.calls.writes).toBe(writes);

  time.nowMs += 13 * MINUTE;
  const third = await env.reconcileWith(MOVED);
  expect(third.plan.waves).toEqual([]);
  expect(third.plan.digest).toBe(second.plan.digest);
  expect(third.plan.housekeeping.map(({ id, action }) => [id.replace(/key\/.*$/, 'key/…'), action])).toEqual([
    ['iam.role-policy/replikey-acme-tax', 'expire'],
    ['kms.key-policy/arn:aws:kms:us-west-2:111122223333:key/…', 'expire'],
  ]);
  expect(third.results).toEqual([]);
  expect(rolePolicySids(env)).toEqual([]);
  const replicaKeyPolicies = JSON.stringify(
    [...env.sandbox.store.account('111122223333').keys.values()].map(({ policy }) => policy),
  );
  expect(replicaKeyPolicies.match(/ReplikeyDestinationKeyTax/g)).toHaveLength(1);

  const fourth = await env.reconcileWith(MOVED);
  expect([fourth.plan.waves, fourth.plan.housekeeping]).toEqual([[], []]);
});

const DENY_SWITCH = {
  match: 'PutBucketReplication',
  nth: 1,
  times: 1_000,
  what: { status: 403, code: 'AccessDenied', message: 'Access Denied' },
};

/** Writes an object and returns its replication status. */
async function statusOfNewObject({ sandbox, client }: TestEnv, Key: string): Promise<string | undefined> {
  await client.send({ region: 'us-east-1' }, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'x' }));
  await sandbox.waitForReplication();
  return versionOf(sandbox, 'acme-tax', Key)?.replication?.status;
}

test('transitions: a denied switch leaves the old rule with its permissions, for as long as it is denied', async () => {
  const { env, time } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  env.sandbox.faultSettings.faults = [DENY_SWITCH];
  for (let hour = 0; hour < 3; hour++) {
    const denied = await env.reconcileWith(MOVED);
    expect(denied.results.some(({ result }) => result === 'failed')).toBe(true);
    expect(await statusOfNewObject(env, `Tax/${hour}`)).toBe('COMPLETED');
    time.nowMs += 60 * MINUTE;
    expect(await statusOfNewObject(env, `Tax/${hour}-late`)).toBe('COMPLETED');
  }
  env.sandbox.faultSettings.faults = [];
  const switched = await env.reconcileWith(MOVED);
  expect(switched.remaining?.waves).toEqual([]);
  // The permissions last for the whole drain after the switch, not after the first attempt.
  expect(switched.remaining?.retained.map(({ expiresAt }) => expiresAt)).toEqual([
    '2026-11-30T13:17:00.000Z',
    '2026-11-30T13:17:00.000Z',
  ]);
  time.nowMs += 20 * MINUTE;
  await env.reconcileWith(MOVED);
  expect(rolePolicySids(env)).toEqual([]);
  expect(await statusOfNewObject(env, 'Tax/end')).toBe('COMPLETED');
});

test('transitions: a reverted edit drops the permissions that are declared again', async () => {
  const { env } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  await env.reconcileWith(MOVED);
  const reverted = await env.reconcile();
  expect(reverted.remaining?.waves).toEqual([]);
  const statements = reverted.remaining?.retained.map(({ statement }) => JSON.stringify(statement)) ?? [];
  expect(statements).toHaveLength(2);
  expect(statements.join()).not.toContain('acme-tax-replica');
});

test('transitions: a person’s change of a retained statement is reported and not restored', async () => {
  const { env, time } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  await env.reconcileWith(MOVED);
  const role = env.sandbox.store.account('111122223333').roles.get('replikey-acme-tax');
  const policy = JSON.parse(role?.inline.get('replikey') ?? '') as { Statement: Statement[] };
  for (const statement of policy.Statement)
    if (statement.Sid?.startsWith('ReplikeyUntil')) statement.Resource = '*';
  role?.inline.set('replikey', JSON.stringify(policy));
  time.nowMs += 60 * MINUTE;
  const { plan } = await env.reconcileWith(MOVED);
  expect([plan.waves, plan.housekeeping, plan.retained]).toEqual([[], [], []]);
  expect(rolePolicySids(env)).toHaveLength(2);
});

test('transitions: without a drain, one run replaces and removes, if the risk is allowed', async () => {
  const { env } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  const refused = await env.reconcileWith(MOVED, { drainMs: 0 });
  expect(refused.refusals.map(({ id }) => id)).toEqual(['lose-in-flight']);
  const applied = await env.reconcileWith(MOVED, { drainMs: 0, allowedRisks: ['lose-in-flight'] });
  expect(applied.refusals).toEqual([]);
  expect([applied.remaining?.waves, applied.remaining?.housekeeping]).toEqual([[], []]);
  expect(rolePolicySids(env)).toEqual([]);
});

test('transitions: without a drain, a run that fails before it removes names the permissions that remain', async () => {
  const { env } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  env.sandbox.faultSettings.faults = [{ ...DENY_SWITCH, match: 'PutRolePolicy', nth: 2 }];
  const failed = await env.reconcileWith(MOVED, { drainMs: 0, allowedRisks: ['lose-in-flight'] });
  expect(failed.results.filter(({ result }) => result === 'failed').map(({ id }) => id)).toEqual([
    'iam.role-policy/replikey-acme-tax',
  ]);
  const text = outcomeText(failed, PLAIN_STYLE.paint);
  expect(text).toMatch(/^Not converged/);
  for (const sid of rolePolicySids(env)) expect(text).toContain(sid);
  expect(rolePolicySids(env)).not.toEqual([]);
});

test('transitions: an interrupted run names the policies in which it left replaced permissions', async () => {
  const { env } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  const interrupt = new AbortController();
  const interrupted = await env.reconcileWith(MOVED, {
    signal: interrupt.signal,
    onEvent: ({ type, step }) => {
      if (type === 'applied' && step.id.startsWith('iam.role-policy/')) interrupt.abort();
    },
  });
  expect(rolePolicySids(env)).not.toEqual([]);
  expect(outcomeText(interrupted, PLAIN_STYLE.paint)).toContain(
    'still granted until a later run removes it: iam.role-policy/replikey-acme-tax: ',
  );
});

test('transitions: prune disables rules, then removes rules, permissions and role after the drain', async () => {
  const { env, time } = await envWithClock(`${TAX_SPEC}  policy: { deletion: Remove }\n`);
  await using _ = env;
  await env.reconcile();
  const other = TAX_SPEC.replaceAll('tax', 'audit').replaceAll('Tax', 'Audit');
  const calls = (outcome: Awaited<ReturnType<typeof env.reconcile>>) =>
    outcome.plan.waves
      .flat()
      .map(({ id, action }) => `${action} ${id.replace(/arn:.*$/, '…')}`)
      .sort();
  await env.reconcileWith(other);
  const first = await env.reconcileWith(other, { prune: true, allowedRisks: ['remove-pair'] });
  expect(first.results.map(({ result }) => result).filter((result) => result !== 'applied')).toEqual([]);
  expect(calls(first)).toEqual([
    'update iam.role-policy/replikey-acme-tax',
    'update kms.key-policy/…',
    'update kms.key-policy/…',
    'update s3.replication/acme-tax',
  ]);
  expect(env.sandbox.store.bucket('acme-tax')?.replication?.Rules?.map(({ Status }) => Status)).toEqual([
    'Disabled',
  ]);

  time.nowMs += 5 * MINUTE;
  const second = await env.reconcileWith(other, { prune: true, allowedRisks: ['remove-pair'] });
  expect(calls(second)).toEqual([]);
  expect(second.plan.notes.map(({ message }) => message).join()).toContain(
    'may be in flight until 2026-11-30T10:17',
  );

  time.nowMs += 15 * MINUTE;
  const third = await env.reconcileWith(other, { prune: true, allowedRisks: ['remove-pair'] });
  expect(third.results.filter(({ result }) => result !== 'applied')).toEqual([]);
  expect(calls(third)).toEqual([
    'delete iam.role-policy/replikey-acme-tax',
    'delete iam.role/replikey-acme-tax',
    'delete s3.replication/acme-tax',
  ]);
  expect([third.remaining?.waves, third.remaining?.housekeeping]).toEqual([[], []]);
  expect(env.sandbox.store.account('111122223333').roles.has('replikey-acme-tax')).toBe(false);
});

/** Returns the Sids with a prefix in all policies. */
const sidsWith = ({ sandbox: { store } }: TestEnv, prefix: string): string[] => {
  const accounts = [...store.accounts()];
  const policies = [
    ...accounts.flatMap(({ roles }) => [...roles.values()].flatMap(({ inline }) => [...inline.values()])),
    ...accounts.flatMap(({ keys }) => [...keys.values()].map(({ policy }) => policy)),
    ...[...store.buckets()].map(({ policy = '' }) => policy),
  ];
  return policies.join().match(new RegExp(`${prefix}\\w*`, 'g')) ?? [];
};

test('transitions: a policy that another spec still declares is narrowed after one drain, as housekeeping', async () => {
  const pairOf = (name: string) =>
    CROSS_ACCOUNT_SPEC.replace('name: tax', `name: ${name}`).replace(
      'bucket: acme-tax,',
      `bucket: acme-${name},`,
    );
  const specs = (destination: string) =>
    `${ACCOUNT_SPECS}${pairOf('tax').replace('acme-tax-replica,', `${destination},`)}---\n${pairOf('audit')}`;
  const { env, time } = await envWithClock(specs('acme-tax-replica'));
  await using _ = env;
  await env.reconcile();
  await env.reconcileWith(specs('acme-tax-moved'));
  time.nowMs += 18 * MINUTE;
  const { plan } = await env.reconcileWith(specs('acme-tax-moved'));
  expect(plan.waves).toEqual([]);
  expect(sidsWith(env, 'ReplikeyUntil')).toEqual([]);
  expect(env.sandbox.store.bucket('acme-tax-replica')?.policy?.match(/Replikey\w+/g)).toEqual([
    'ReplikeyDestinationObjectsAudit',
    'ReplikeyDestinationOwnerAudit',
  ]);
});

test('transitions: a switch to another destination, denied for longer than the drain, ends for a shared destination', async () => {
  const pairOf = (name: string, destination: string) =>
    CROSS_ACCOUNT_SPEC.replace('name: tax', `name: ${name}`)
      .replace('bucket: acme-tax,', `bucket: acme-${name},`)
      .replace('acme-tax-replica,', `${destination},`);
  const specs = (destination: string) =>
    `${ACCOUNT_SPECS}${pairOf('tax', destination)}---\n${pairOf('audit', 'acme-tax-replica')}`;
  const { env, time } = await envWithClock(specs('acme-tax-replica'));
  await using _ = env;
  await env.reconcile();
  env.sandbox.faultSettings.faults = [DENY_SWITCH];
  await env.reconcileWith(specs('acme-tax-moved'));
  time.nowMs += 60 * MINUTE;
  const denied = await env.reconcileWith(specs('acme-tax-moved'));
  expect(denied.plan.housekeeping.map(({ action }) => action).sort()).toEqual(['expire', 'renew', 'renew']);
  expect(denied.results.map(({ id, result }) => `${result} ${id}`)).toContain(
    'failed s3.replication/acme-tax',
  );
  expect(await statusOfNewObject(env, 'Tax/late')).toBe('COMPLETED');
  env.sandbox.faultSettings.faults = [];
  expect((await env.reconcileWith(specs('acme-tax-moved'))).remaining?.waves).toEqual([]);
});

test('transitions: the removal of a disabled rule does not prolong the permissions that it had', async () => {
  const policy = '  policy: { deletion: Remove }\n';
  const audit = TAX_SPEC.replace('name: tax', 'name: audit').replace('Tax/', 'Audit/') + policy;
  const { env, time } = await envWithClock(`${TAX_SPEC}${policy}---\n${audit}`);
  await using _ = env;
  await env.reconcile();
  await env.reconcileWith(audit, { prune: true, allowedRisks: ['remove-pair'] });
  expect(sidsWith(env, 'ReplikeyUntil')).not.toEqual([]);
  time.nowMs += 18 * MINUTE;
  const { remaining } = await env.reconcileWith(audit, { prune: true, allowedRisks: ['remove-pair'] });
  expect(remaining?.waves).toEqual([]);
  expect(env.sandbox.store.bucket('acme-tax')?.replication?.Rules?.map(({ ID }) => ID)).toEqual([
    'replikey/audit/audit',
  ]);
  expect(sidsWith(env, 'ReplikeyUntil')).toEqual([]);
});

test('transitions: a handover contains no retained permissions', async () => {
  const yaml = `${ACCOUNT_SPECS}${CROSS_ACCOUNT_SPEC}`;
  const { env } = await envWithClock(yaml);
  await using _ = env;
  await env.reconcile();
  const moved = yaml.replace('bucket: acme-tax-replica', 'bucket: acme-tax-moved');
  const applied = await env.reconcileWith(moved);
  expect(applied.remaining?.retained.some(({ id }) => id.startsWith('kms.key-policy/'))).toBe(true);
  // The owner of the backup account makes the rest by hand.
  const replicaKey = [...env.sandbox.store.account('444455556666').keys.values()][0]?.arn ?? '';
  const unmanaged = moved
    .replace('id: "444455556666" }', 'id: "444455556666", managed: false }')
    .replace('alias/acme-tax-replica', replicaKey);
  const { plan } = await env.reconcileWith(unmanaged, { dryRun: true, allowUnproven: true });
  expect(plan.handover.length).toBeGreaterThan(0);
  expect(JSON.stringify(plan.handover)).toContain('ReplikeyDestination');
  expect(JSON.stringify(plan.handover)).not.toContain('ReplikeyUntil');
});

test('saved plan: a plan that was applied in part continues, document by document', async () => {
  const { env } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  const { plan } = await env.reconcileWith(MOVED, { dryRun: true });
  const approvedPlan = { checksum: plan.digest, plan };
  env.sandbox.faultSettings.faults = [DENY_SWITCH];
  const denied = await env.reconcileWith(MOVED, { approvedPlan });
  expect(denied.results.map(({ result }) => result).sort()).toEqual(
    expect.arrayContaining(['applied', 'failed']),
  );
  env.sandbox.faultSettings.faults = [];
  // The checksum alone does not show which documents the plan leaves.
  const byChecksum = await env.reconcileWith(MOVED, { approvedPlan: { checksum: plan.digest } });
  expect(byChecksum.refusals.map(({ id }) => id)).toEqual(['stale-plan']);
  const continued = await env.reconcileWith(MOVED, { approvedPlan });
  expect([continued.refusals, continued.remaining?.waves]).toEqual([[], []]);
});

test('saved plan: a plan that was applied in part is refused if another document changed since', async () => {
  const { env } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  const { plan } = await env.reconcileWith(MOVED, { dryRun: true });
  env.sandbox.faultSettings.faults = [DENY_SWITCH];
  await env.reconcileWith(MOVED, { approvedPlan: { checksum: plan.digest, plan } });
  env.sandbox.faultSettings.faults = [];
  const [rule] = env.sandbox.store.bucket('acme-tax')?.replication?.Rules ?? [];
  if (rule) rule.Priority = 7;
  const encryption = env.sandbox.store.bucket('acme-tax');
  if (encryption?.versioning) encryption.versioning = { Status: 'Suspended' };
  const refused = await env.reconcileWith(MOVED, { approvedPlan: { checksum: plan.digest, plan } });
  expect(refused.refusals.map(({ id }) => id)).toContain('stale-plan');
  expect(refused.results).toEqual([]);
});

test('transitions: an interrupted run may have created the new destination without its default encryption', async () => {
  const { env } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  env.sandbox.faultSettings.faults = [{ ...DENY_SWITCH, match: 'PutBucketEncryption' }];
  const interrupted = await env.reconcileWith(MOVED);
  expect(interrupted.results.some(({ result }) => result === 'failed')).toBe(true);
  env.sandbox.faultSettings.faults = [];
  const { refusals, remaining } = await env.reconcileWith(MOVED);
  expect([refusals, remaining?.waves]).toEqual([[], []]);
});

test('transitions: a change of the role and of a rule in one run is refused as lose-in-flight', async () => {
  const { env } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  const withRole = (spec: string) => spec.replace('  rules:', '  role: { name: replikey-next }\n  rules:');
  const both = await env.reconcileWith(withRole(MOVED));
  expect(both.refusals.map(({ id, step }) => [id, step])).toEqual([
    ['lose-in-flight', 's3.replication/acme-tax'],
  ]);
  for (const yaml of [withRole(TAX_SPEC), withRole(MOVED)]) {
    const { refusals, remaining } = await env.reconcileWith(yaml);
    expect([refusals, remaining?.waves]).toEqual([[], []]);
  }
});
