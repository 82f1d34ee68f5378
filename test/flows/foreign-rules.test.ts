import {
  CreatePolicyCommand,
  CreateRoleCommand,
  PutRolePermissionsBoundaryCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  CreateBucketCommand,
  PutBucketReplicationCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { versionOf } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const east = { region: 'us-east-1' };
const west = { region: 'us-west-2' };
const LEGACY_ROLE = 'arn:aws:iam::111122223333:role/legacy';

const LEGACY_RULE: ReplicationRule = {
  ID: 'legacy',
  Priority: 1,
  Status: 'Enabled',
  Filter: { Prefix: 'Legacy/' },
  DeleteMarkerReplication: { Status: 'Disabled' },
  Destination: { Bucket: 'arn:aws:s3:::acme-legacy-replica' },
};

async function createBucket(
  { client }: TestEnv,
  location: { region: string },
  Bucket: string,
): Promise<void> {
  const LocationConstraint = location === west ? ('us-west-2' as const) : undefined;
  await client.send(
    location,
    new CreateBucketCommand({
      Bucket,
      ...(LocationConstraint && { CreateBucketConfiguration: { LocationConstraint } }),
    }),
  );
  const VersioningConfiguration = { Status: 'Enabled' as const };
  await client.send(location, new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
}

const ALLOW_ALL = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Sid: 'Legacy', Effect: 'Allow', Action: ['s3:*', 'kms:*'], Resource: '*' }],
});

async function createRole({ client }: TestEnv, RoleName: string, policy = ALLOW_ALL): Promise<void> {
  const AssumeRolePolicyDocument = JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' }],
  });
  await client.send(east, new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument }));
  await client.send(
    east,
    new PutRolePolicyCommand({ RoleName, PolicyName: 'legacy', PolicyDocument: policy }),
  );
}

const putRules = ({ client }: TestEnv, Role: string, ...Rules: ReplicationRule[]) =>
  client.send(
    east,
    new PutBucketReplicationCommand({ Bucket: 'acme-tax', ReplicationConfiguration: { Role, Rules } }),
  );

/** A source bucket with a rule that no spec declares, which replicates as a role that no spec declares. */
async function envWithForeignRule(yaml = TAX_SPEC, rule = LEGACY_RULE, policy = ALLOW_ALL): Promise<TestEnv> {
  const env = await testEnv(yaml);
  await createBucket(env, east, 'acme-tax');
  await createBucket(env, west, 'acme-legacy-replica');
  await createRole(env, 'legacy', policy);
  await putRules(env, LEGACY_ROLE, rule);
  return env;
}

async function statusOf({ sandbox, client }: TestEnv, Key: string): Promise<string | undefined> {
  await client.send(east, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'x' }));
  await sandbox.waitForReplication();
  return versionOf(sandbox, 'acme-tax', Key)?.replication?.status;
}

const WITH_LEGACY_ROLE = `${TAX_SPEC}  role: { arn: "${LEGACY_ROLE}" }\n`;
const WITH_SSE_S3 = (yaml: string) =>
  yaml.replace('key: alias/acme-tax }', 'key: alias/acme-tax, defaultEncryption: SSE-S3 }');

const ENCRYPTION = ['change-default-encryption'];

describe('rules that no spec declares', () => {
  test('default encryption: a change to KMS is refused, because the rule does not select KMS objects', async () => {
    await using env = await envWithForeignRule(WITH_LEGACY_ROLE);
    expect(await statusOf(env, 'Legacy/before')).toBe('COMPLETED');
    const { refusals, results } = await env.reconcile({ allowedRisks: ENCRYPTION });
    expect(results).toEqual([]);
    expect(refusals.map(({ id, step, subject }) => [id, step, subject])).toEqual([
      ['stop-foreign-rules', 's3.encryption/acme-tax', 'acme-tax/legacy'],
    ]);
    expect(refusals[0]?.message).toMatch(
      /^stops the foreign rule "legacy" of acme-tax for new objects, which the default encryption changes, from then on: RK1003 /,
    );
    expect(await statusOf(env, 'Legacy/after')).toBe('COMPLETED');
  });

  test('default encryption: a person may allow one rule, and not another', async () => {
    await using env = await envWithForeignRule(WITH_LEGACY_ROLE);
    const other = await env.reconcile({ allowedRisks: [...ENCRYPTION, 'stop-foreign-rules=acme-tax/other'] });
    expect(other.refusals).toHaveLength(1);
    const allowed = await env.reconcile({
      allowedRisks: [...ENCRYPTION, 'stop-foreign-rules=acme-tax/legacy'],
    });
    expect(allowed.refusals).toEqual([]);
    expect(allowed.remaining?.waves).toEqual([]);
  });

  test('default encryption: no change of it, no risk, and the rule still replicates', async () => {
    await using env = await envWithForeignRule(WITH_SSE_S3(WITH_LEGACY_ROLE));
    const { refusals, remaining } = await env.reconcile();
    expect([refusals, remaining?.waves]).toEqual([[], []]);
    expect(await statusOf(env, 'Legacy/after')).toBe('COMPLETED');
  });

  test('role: a change to a role that does not cover the rule is refused', async () => {
    await using env = await envWithForeignRule(WITH_SSE_S3(TAX_SPEC));
    const { refusals } = await env.reconcile({ allowedRisks: ['change-role'] });
    expect(refusals.map(({ id, step }) => [id, step])).toEqual([
      ['stop-foreign-rules', 's3.replication/acme-tax'],
    ]);
    expect(refusals[0]?.message).toMatch(/"legacy" of acme-tax for objects with SSE-S3, from then on: RK13/);
  });

  test('role: a rule that does not replicate before the change is no risk', async () => {
    const policy = ALLOW_ALL.replace('"Resource":"*"', '"Resource":"arn:aws:s3:::acme-other/*"');
    await using env = await envWithForeignRule(WITH_SSE_S3(TAX_SPEC), LEGACY_RULE, policy);
    expect(await statusOf(env, 'Legacy/before')).toBe('FAILED');
    const { refusals } = await env.reconcile({ allowedRisks: ['change-role'] });
    expect(refusals).toEqual([]);
  });

  test('role: a rule whose role cannot be read is a note, reported once', async () => {
    await using env = await envWithForeignRule(WITH_SSE_S3(WITH_LEGACY_ROLE));
    const denied = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
    env.sandbox.faultSettings.faults = [{ match: 'ListRolePolicies', nth: 1, times: 1_000, what: denied }];
    const { plan, refusals } = await env.reconcile({ dryRun: true, allowUnproven: true });
    expect(refusals.map(({ id }) => id)).not.toContain('stop-foreign-rules');
    const notes = plan.notes.filter(({ message }) => message.startsWith('cannot prove the foreign rules'));
    expect(notes).toHaveLength(1);
  });

  test('boundary: a narrower one is refused, for foreign and for managed rules', async () => {
    await using env = await envWithForeignRule(WITH_SSE_S3(TAX_SPEC));
    await env.client.send(
      east,
      new PutRolePolicyCommand({ RoleName: 'legacy', PolicyName: 'replikey', PolicyDocument: ALLOW_ALL }),
    );
    const boundary = (name: string, Resource: string) =>
      env.client.send(
        east,
        new CreatePolicyCommand({
          PolicyName: name,
          PolicyDocument: JSON.stringify({
            Version: '2012-10-17',
            Statement: [{ Effect: 'Allow', Action: '*', Resource }],
          }),
        }),
      );
    await boundary('wide', '*');
    await boundary('narrow', 'arn:aws:s3:::acme-tax*');
    const arn = (name: string) => `arn:aws:iam::111122223333:policy/${name}`;
    await env.client.send(
      east,
      new PutRolePermissionsBoundaryCommand({ RoleName: 'legacy', PermissionsBoundary: arn('wide') }),
    );
    const spec = WITH_SSE_S3(TAX_SPEC).concat(
      `  role: { name: legacy, permissionsBoundary: "${arn('narrow')}" }\n`,
    );
    const { refusals } = await env.reconcileWith(spec);
    expect(refusals.map(({ id, step }) => [id, step])).toContainEqual([
      'stop-foreign-rules',
      'iam.role/legacy',
    ]);
  });

  test('expiry: a rule that uses permissions of replikey keeps them after the spec moves away', async () => {
    const time = { nowMs: Date.UTC(2026, 10, 30, 10, 0, 10) };
    await using env = await testEnv(WITH_SSE_S3(TAX_SPEC), { clock: () => time.nowMs });
    await env.reconcile();
    const { replication } = env.sandbox.store.bucket('acme-tax') ?? {};
    await putRules(env, replication?.Role ?? '', ...(replication?.Rules ?? []), {
      ...LEGACY_RULE,
      Priority: 9,
      Filter: { Prefix: 'Tax/legacy/' },
      Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica' },
    });
    expect(await statusOf(env, 'Tax/legacy/before')).toBe('COMPLETED');
    const moved = WITH_SSE_S3(TAX_SPEC).replace('acme-tax-replica,', 'acme-tax-moved,');
    const { refusals } = await env.reconcileWith(moved);
    expect(
      refusals.map(({ id, message }) => [id, /when the replaced permissions expire/.test(message)]),
    ).toEqual([['stop-foreign-rules', true]]);
    await env.reconcileWith(moved, { allowedRisks: ['stop-foreign-rules'] });
    time.nowMs += 60 * 60_000;
    const { plan } = await env.reconcileWith(moved);
    expect(plan.notes.map(({ message }) => message).join()).toContain(
      'keeps expired permissions: without them the rules legacy would not replicate',
    );
    expect(await statusOf(env, 'Tax/legacy/after')).toBe('COMPLETED');
  });
});

describe('order of steps', () => {
  const idsOf = ({ plan }: Awaited<ReturnType<TestEnv['reconcile']>>) =>
    plan.waves.flat().map(({ id }) => id);
  const unselected = WITH_SSE_S3(TAX_SPEC).concat('      sseKmsEncryptedObjects: false\n');

  test('a rule that begins to select KMS objects changes before the default encryption does', async () => {
    await using env = await testEnv(unselected);
    await env.reconcile();
    const outcome = await env.reconcileWith(TAX_SPEC, { allowedRisks: ENCRYPTION });
    expect(outcome.refusals).toEqual([]);
    const ids = idsOf(outcome);
    expect(ids.indexOf('s3.encryption/acme-tax')).toBeGreaterThan(ids.indexOf('s3.replication/acme-tax'));
    expect(outcome.remaining?.waves).toEqual([]);
    const order = env.sandbox.log.entries.filter(({ write }) => write).map(({ operation }) => operation);
    expect(order.slice(-2)).toEqual(['PutBucketReplication', 'PutBucketEncryption']);
  });

  test('a new bucket gets its default encryption before its rules', async () => {
    await using env = await testEnv();
    const ids = idsOf(await env.reconcile());
    expect(ids.indexOf('s3.encryption/acme-tax')).toBeLessThan(ids.indexOf('s3.replication/acme-tax'));
  });

  test('a rule that no longer selects KMS objects changes after the default encryption did', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const outcome = await env.reconcileWith(unselected, {
      allowedRisks: ['change-default-key', ...ENCRYPTION],
    });
    expect(outcome.refusals).toEqual([]);
    const ids = idsOf(outcome);
    expect(ids.indexOf('s3.encryption/acme-tax')).toBeLessThan(ids.indexOf('s3.replication/acme-tax'));
  });
});

describe('before rules are written', () => {
  test('a role that another caller narrowed since the plan fails the step, and the old rules stay', async () => {
    await using env = await envWithForeignRule(WITH_SSE_S3(WITH_LEGACY_ROLE));
    const role = env.sandbox.store.account('111122223333').roles.get('legacy');
    const { results } = await env.reconcile({
      propagationTimeoutMs: 400,
      onPlan: () => role?.inline.set('legacy', ALLOW_ALL.replace('"s3:*"', '"s3:GetObject"')),
    });
    const failed = results.filter(({ result }) => result === 'failed');
    expect(failed.map(({ id }) => id)).toEqual(['s3.replication/acme-tax']);
    expect(failed[0]?.why).toMatch(
      /^the rule "replikey\/tax\/tax" would not replicate: RK13.*the old rules stay in effect: run replikey again$/,
    );
    const rules = env.sandbox.store.bucket('acme-tax')?.replication?.Rules ?? [];
    expect(rules.map(({ ID }) => ID)).toEqual(['legacy']);
  });

  test('documents of a first run are not read again', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const operations = env.sandbox.log.entries.map(({ operation }) => operation);
    const before = operations.slice(0, operations.indexOf('PutBucketReplication'));
    expect(before.filter((operation) => operation === 'ListAttachedRolePolicies')).toHaveLength(1);
  });
});

describe('role.also: foreignRules', () => {
  const also = WITH_SSE_S3(TAX_SPEC).concat('  role: { also: foreignRules }\n');
  const sids = ({ sandbox }: TestEnv) =>
    [
      ...(
        sandbox.store.account('111122223333').roles.get('replikey-acme-tax')?.inline.get('replikey') ?? ''
      ).matchAll(/ReplikeyForeign\w+/g),
    ].map(([sid]) => sid);

  test('the role gets what the rules need, so they replicate before, during and after the change', async () => {
    await using env = await envWithForeignRule(also, {
      ...LEGACY_RULE,
      DeleteMarkerReplication: { Status: 'Enabled' },
    });
    expect(await statusOf(env, 'Legacy/before')).toBe('COMPLETED');
    const { refusals, remaining } = await env.reconcile({ allowedRisks: ['change-role'] });
    expect([refusals, remaining?.waves]).toEqual([[], []]);
    expect(sids(env)).toEqual([
      'ReplikeyForeignDestinationDeletesTax',
      'ReplikeyForeignDestinationObjectsTax',
      'ReplikeyForeignSourceObjectsTax',
    ]);
    expect(await statusOf(env, 'Legacy/after')).toBe('COMPLETED');
    const second = await env.reconcile();
    expect([second.plan.waves, second.plan.housekeeping]).toEqual([[], []]);
  });

  test('the role gets the keys of rules that select KMS objects, and the policies of declared keys name it', async () => {
    await using env = await testEnv(TAX_SPEC);
    await env.reconcile();
    const { replication } = env.sandbox.store.bucket('acme-tax') ?? {};
    const [rule] = replication?.Rules ?? [];
    await createRole(env, 'legacy');
    await putRules(env, LEGACY_ROLE, ...(rule ? [{ ...rule, ID: 'copy', Filter: { Prefix: 'Copy/' } }] : []));
    const yaml = TAX_SPEC.concat('  role: { also: foreignRules }\n');
    const { refusals, remaining } = await env.reconcileWith(yaml, { allowedRisks: ['change-role'] });
    expect([refusals, remaining?.waves]).toEqual([[], []]);
    expect(sids(env)).toContain('ReplikeyForeignDestinationKeyTax');
    const keyPolicies = JSON.stringify(
      [...env.sandbox.store.account('111122223333').keys.values()].map(({ policy }) => policy),
    );
    expect(keyPolicies).toContain('ReplikeyForeignSourceKeyTax');
    expect(keyPolicies).toContain('ReplikeyForeignDestinationKeyTax');
    expect(await statusOf(env, 'Copy/after')).toBe('COMPLETED');
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });
});
