import { readFile } from 'node:fs/promises';
import { AttachRolePolicyCommand, UntagRoleCommand } from '@aws-sdk/client-iam';
import { DeleteBucketCommand, GetBucketPolicyCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { Plan } from '../../src/core/resource.ts';
import type { Outcome, PassOptions } from '../../src/reconcile/pass.ts';
import { planText } from '../../src/report/plan-text.ts';
import { ACCOUNT_SPECS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

const REMOVE = '  policy: { deletion: Remove }\n';
const EAST = { region: 'us-east-1' };
const [claims = '', appeals = ''] = (await readFile('specs/examples/shared-source.yaml', 'utf8')).split(
  '---\n',
);
const sharedSource = `${claims}${REMOVE}---\n${appeals}${REMOVE}`;

/** A spec with its own buckets, and its own keys and role by default. */
const aSpec = (name: string, { policy = REMOVE, key = name, role = '' } = {}) => `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: ${name} }
spec:
  source: { bucket: acme-${name}, region: us-east-1, key: alias/acme-${key} }
  destination: { bucket: acme-${name}-replica, region: us-west-2, key: alias/acme-${key}-replica }
${role}  rules: [{ prefix: In/, deleteMarkerReplication: true }]
${policy}`;
const OLD = aSpec('old');
const withSharedRole = (name: string, policy = REMOVE) =>
  aSpec(name, { policy, role: '  role: { name: shared }\n' });

const inMain = (yaml: string) => yaml.replaceAll('region: ', 'account: main, region: ');

const PRUNE: Partial<PassOptions> = {
  prune: true,
  thresholds: { maxRemovals: 50 },
  drainMs: 0,
  allowedRisks: ['lose-in-flight', 'remove-pair'],
};
const idsOf = (plan: Plan | undefined) =>
  plan?.waves.flat().map(({ action, id }) => `${action} ${id.replace(/key\/[\w-]+$/, 'key')}`);
const notesOf = ({ notes }: Plan) => notes.map(({ id, message }) => `${id}: ${message}`).join('\n');
const writesOf = ({ sandbox }: TestEnv) =>
  sandbox.log.entries.filter(({ write }) => write).map(({ operation }) => operation);
const rulesOf = ({ sandbox }: TestEnv, bucket: string) =>
  sandbox.store.bucket(bucket)?.replication?.Rules?.map(({ ID, Status }) => `${ID} ${Status}`);
const bucketsOf = ({ sandbox }: TestEnv) => [...sandbox.store.buckets()].map(({ name }) => name);
const roleOf = ({ sandbox }: TestEnv, name: string) => sandbox.store.account('111122223333').roles.get(name);

/** Returns the Sids of all statements of one spec. */
const statementsOf = (env: TestEnv, name: string): string[] =>
  JSON.stringify(stateOf(env.sandbox)).match(
    new RegExp(`Replikey(Source|Destination)\\w*?${name}\\b`, 'g'),
  ) ?? [];

/** Runs a prune that must apply its whole plan, and after which a second one plans nothing. */
async function prune(env: TestEnv, yaml: string): Promise<Plan> {
  env.sandbox.log.reset();
  const { plan, results, remaining } = await env.reconcileWith(yaml, PRUNE);
  expect(results.filter(({ result }) => result !== 'applied')).toEqual([]);
  if (results.length > 0) expect(idsOf(remaining)).toEqual([]);
  expect(plan.blocked).toEqual([]);
  const entryCount = env.sandbox.log.entries.length;
  const second = await env.reconcileWith(yaml, PRUNE);
  expect([idsOf(second.plan), second.plan.blocked]).toEqual([[], []]);
  env.sandbox.log.entries.splice(entryCount);
  return plan;
}

function addForeignRule({ sandbox }: TestEnv, bucket: string): void {
  sandbox.store.bucket(bucket)?.replication?.Rules?.push({
    ID: 'foreign',
    Priority: 77,
    Status: 'Enabled',
    Filter: { Prefix: 'Foreign/' },
    DeleteMarkerReplication: { Status: 'Disabled' },
    Destination: { Bucket: `arn:aws:s3:::${bucket}-replica` },
  });
}

describe('orphans of a removed spec', () => {
  test('without --prune: are not searched for', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const before = stateOf(env.sandbox);
    env.sandbox.log.reset();
    expect(idsOf((await env.reconcileWith(TAX_SPEC)).plan)).toEqual([]);
    const reads = Object.keys(env.sandbox.log.counts());
    expect(reads.filter((call) => /AuthorizationDetails|HeadBucket|Tag/.test(call))).toEqual([]);
    expect(stateOf(env.sandbox)).toEqual(before);
  });

  test('are removed in the order rules, permissions, role policy, role; buckets and keys are kept', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const buckets = bucketsOf(env);
    expect(idsOf(await prune(env, TAX_SPEC))).toEqual([
      'delete s3.replication/acme-old',
      'update kms.key-policy/arn:aws:kms:us-east-1:111122223333:key',
      'update kms.key-policy/arn:aws:kms:us-west-2:111122223333:key',
      'delete iam.role-policy/replikey-acme-old',
      'delete iam.role/replikey-acme-old',
    ]);
    expect(writesOf(env)).toEqual([
      'DeleteBucketReplication',
      'PutKeyPolicy',
      'PutKeyPolicy',
      'DeleteRolePolicy',
      'DeleteRole',
    ]);
    expect(statementsOf(env, 'Old')).toEqual([]);
    expect(bucketsOf(env)).toEqual(buckets);
    const results = await env.canaries();
    expect(results.filter(({ pair }) => pair === 'tax').map(({ result }) => result)).toEqual([
      'replicated',
      'replicated',
    ]);
  });

  test('without deletion: Remove: are kept, with the command that sets it now', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${aSpec('old', { policy: '' })}`);
    await env.reconcile();
    const before = stateOf(env.sandbox);
    const plan = await prune(env, TAX_SPEC);
    expect(idsOf(plan)).toEqual([]);
    expect(notesOf(plan)).toBe(
      'iam.role/replikey-acme-old: replikey keeps its orphans: it did not set deletion: Remove; to set it now, run aws iam tag-role --role-name replikey-acme-old --tags Key=replikey:deletion:old,Value=Remove',
    );
    expect(stateOf(env.sandbox)).toEqual(before);
    roleOf(env, 'replikey-acme-old')?.tags.set('replikey:deletion:old', 'Remove');
    expect(idsOf(await prune(env, TAX_SPEC))).toHaveLength(5);
  });

  test('with deletion: Remove taken back: are kept', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const retaining = await env.reconcileWith(`${TAX_SPEC}---\n${aSpec('old', { policy: '' })}`);
    expect(retaining.plan.waves.flat().map(({ id, patch }) => [id, patch.map(({ path }) => path)])).toEqual([
      ['iam.role/replikey-acme-old', ['/removable']],
    ]);
    expect(retaining.remaining?.waves).toEqual([]);
    expect(roleOf(env, 'replikey-acme-old')?.tags.get('replikey:deletion:old')).toBe('Retain');
    expect(idsOf(await prune(env, TAX_SPEC))).toEqual([]);
  });

  test('with a foreign rule that uses the role: the permissions are kept', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    addForeignRule(env, 'acme-old');
    const plan = await prune(env, TAX_SPEC);
    expect(idsOf(plan)).toEqual(['update s3.replication/acme-old']);
    expect(notesOf(plan)).toMatch(
      /replikey keeps its permissions: foreign rules of acme-old replicate as its role: "foreign"/,
    );
    expect(rulesOf(env, 'acme-old')).toEqual(['foreign Enabled']);
    expect(statementsOf(env, 'Old').length).toBeGreaterThan(5);
    env.sandbox.store.bucket('acme-old')?.replication?.Rules?.splice(0);
    delete env.sandbox.store.bucket('acme-old')?.replication;
    expect(idsOf(await prune(env, TAX_SPEC))).toHaveLength(4);
    expect(roleOf(env, 'replikey-acme-old')).toBeUndefined();
  });

  test('with a shared role: rules are removed before the statements of the role', async () => {
    await using env = await testEnv(`${withSharedRole('tax')}---\n${withSharedRole('old')}`);
    await env.reconcile();
    expect(idsOf(await prune(env, withSharedRole('tax')))?.sort()).toEqual([
      'delete s3.replication/acme-old',
      'update iam.role-policy/shared',
      'update kms.key-policy/arn:aws:kms:us-east-1:111122223333:key',
      'update kms.key-policy/arn:aws:kms:us-west-2:111122223333:key',
    ]);
    expect(writesOf(env)).toEqual([
      'DeleteBucketReplication',
      'PutKeyPolicy',
      'PutKeyPolicy',
      'PutRolePolicy',
      // Without a drain, a second write removes what the first one retained.
      'PutRolePolicy',
    ]);
    expect(statementsOf(env, 'Old')).toEqual([]);
    expect(statementsOf(env, 'Tax').length).toBeGreaterThan(5);
  });

  test('with a role shared with a spec that sets Retain: are kept', async () => {
    await using env = await testEnv(`${withSharedRole('tax', '')}---\n${withSharedRole('old')}`);
    await env.reconcile();
    const plan = await prune(env, withSharedRole('tax', ''));
    expect(idsOf(plan)).toEqual([]);
    expect(notesOf(plan)).toMatch(/keeps its orphans: its role is also used by tax, with deletion: Retain/);
  });

  test('with shared keys: statements are removed once, although other specs use aliases', async () => {
    const withCommonKey = (name: string) => aSpec(name, { key: 'common' });
    await using env = await testEnv(`${withCommonKey('tax')}---\n${withCommonKey('old')}`);
    await env.reconcile();
    expect(idsOf(await prune(env, withCommonKey('tax')))).toEqual([
      'delete s3.replication/acme-old',
      'update kms.key-policy/alias/acme-common-replica@us-west-2',
      'update kms.key-policy/alias/acme-common@us-east-1',
      'delete iam.role-policy/replikey-acme-old',
      'delete iam.role/replikey-acme-old',
    ]);
    expect(statementsOf(env, 'Old')).toEqual([]);
  });

  test('with a shared source, role and keys: only the own entries are removed', async () => {
    await using env = await testEnv(sharedSource);
    await env.reconcile();
    expect(idsOf((await env.reconcileWith(`${appeals}${REMOVE}`)).plan)).toEqual([]);
    const plan = await prune(env, `${appeals}${REMOVE}`);
    expect(idsOf(plan)?.sort()).toEqual([
      'update iam.role-policy/replikey-acme-cases',
      'update kms.key-policy/alias/acme-cases@us-east-1',
      'update kms.key-policy/arn:aws:kms:us-west-2:111122223333:key',
      'update s3.replication/acme-cases',
    ]);
    expect(plan.waves.flat().every(({ patch }) => patch.every(({ op }) => op === 'remove'))).toBe(true);
    expect(writesOf(env)[0]).toBe('PutBucketReplication');
    expect(writesOf(env).at(-1)).toBe('PutRolePolicy');
    expect(rulesOf(env, 'acme-cases')).toEqual([
      'replikey/appeals/appeals Enabled',
      'replikey/appeals/urgent Enabled',
    ]);
    expect(bucketsOf(env)).toContain('acme-claims-replica');
  });

  test('across accounts: are removed, and a foreign statement in the bucket policy is kept', async () => {
    const vault = `${inMain(OLD).replace(/(destination: .*)account: main/, '$1account: backup')}`;
    await using env = await testEnv(`${ACCOUNT_SPECS}${inMain(TAX_SPEC)}---\n${vault}`);
    await env.reconcile();
    const at = { account: 'backup', region: 'us-west-2' };
    const Bucket = 'acme-old-replica';
    const { Policy = '' } = await env.client.send(at, new GetBucketPolicyCommand({ Bucket }));
    const policy = JSON.parse(Policy) as { Statement: object[] };
    const foreignStatement = {
      Sid: 'Foreign',
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:*',
      Resource: `arn:aws:s3:::x`,
    };
    policy.Statement.push({ ...foreignStatement, Resource: `arn:aws:s3:::${Bucket}/Foreign/*` });
    await env.client.send(at, new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify(policy) }));

    expect(idsOf(await prune(env, `${ACCOUNT_SPECS}${inMain(TAX_SPEC)}`))).toEqual([
      'delete s3.replication/acme-old',
      'update kms.key-policy/arn:aws:kms:us-east-1:111122223333:key',
      'update kms.key-policy/arn:aws:kms:us-west-2:444455556666:key',
      'update s3.bucket-policy/acme-old-replica',
      'delete iam.role-policy/replikey-acme-old@main',
      'delete iam.role/replikey-acme-old@main',
    ]);
    expect(statementsOf(env, 'Old')).toEqual([]);
    expect(env.sandbox.store.bucket(Bucket)?.policy).toContain('"Foreign"');
  });

  test('across accounts: a bucket policy that would be empty is deleted', async () => {
    const vault = `${inMain(OLD).replace(/(destination: .*)account: main/, '$1account: backup')}`;
    await using env = await testEnv(`${ACCOUNT_SPECS}${inMain(TAX_SPEC)}---\n${vault}`);
    await env.reconcile();
    expect(idsOf(await prune(env, `${ACCOUNT_SPECS}${inMain(TAX_SPEC)}`))).toContain(
      'delete s3.bucket-policy/acme-old-replica',
    );
    expect(env.sandbox.store.bucket('acme-old-replica')?.policy).toBeUndefined();
  });

  test('in unreachable accounts: are kept, with a note that names the resources', async () => {
    const vault = `${inMain(OLD).replace(/(destination: .*)account: main/, '$1account: backup')}`;
    await using env = await testEnv(`${ACCOUNT_SPECS}${inMain(TAX_SPEC)}---\n${vault}`);
    await env.reconcile();
    const onlyMain = ACCOUNT_SPECS.split('---\n')[0] ?? '';
    const plan = await prune(env, `${onlyMain}---\n${inMain(TAX_SPEC)}`);
    expect(idsOf(plan)).toHaveLength(4);
    expect(notesOf(plan)).toMatch(
      /the owners of acme-old-replica, arn:aws:kms:us-west-2:444455556666:key\/\S+ may remove the statements Replikey…Old/,
    );
  });

  test('after a bucket and its role were renamed in the spec: are found', async () => {
    await using env = await testEnv(OLD);
    await env.reconcile();
    const renamed = OLD.replace('bucket: acme-old,', 'bucket: acme-new,');
    const plan = await prune(env, renamed);
    expect(idsOf(plan)).toContain('delete s3.replication/acme-old');
    expect(idsOf(plan)).toContain('delete iam.role/replikey-acme-old');
    expect(rulesOf(env, 'acme-old')).toBeUndefined();
    expect(rulesOf(env, 'acme-new')).toEqual(['replikey/old/in Enabled']);
  });

  test('with a role that has other policies or existed before: the role is kept', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}---\n${aSpec('older')}`);
    await env.reconcile();
    const PolicyArn = 'arn:aws:iam::aws:policy/AmazonS3FullAccess';
    await env.client.send(EAST, new AttachRolePolicyCommand({ RoleName: 'replikey-acme-old', PolicyArn }));
    const untag = { RoleName: 'replikey-acme-older', TagKeys: ['replikey:managed-by'] };
    await env.client.send(EAST, new UntagRoleCommand(untag));
    const plan = await prune(env, TAX_SPEC);
    expect(notesOf(plan)).toMatch(
      /replikey-acme-old: replikey keeps the role: it has other policies: AmazonS3FullAccess/,
    );
    expect(notesOf(plan)).toMatch(/replikey-acme-older: replikey keeps the role: replikey did not create it/);
    expect(
      ['replikey-acme-old', 'replikey-acme-older'].map((name) => roleOf(env, name)?.inline.size),
    ).toEqual([0, 0]);
  });

  test('with a role that another removed spec uses, or with a foreign statement in its policy: the role is kept', async () => {
    const yaml = `${TAX_SPEC}---\n${withSharedRole('old')}---\n${withSharedRole('kept', '')}---\n${aSpec('older')}`;
    await using env = await testEnv(yaml);
    await env.reconcile();
    const role = roleOf(env, 'replikey-acme-older');
    const policy = JSON.parse(role?.inline.get('replikey') ?? '') as { Statement: object[] };
    policy.Statement.push({ Sid: 'Foreign', Effect: 'Allow', Action: 's3:GetObject', Resource: '*' });
    role?.inline.set('replikey', JSON.stringify(policy));
    const plan = await prune(env, TAX_SPEC);
    expect(notesOf(plan)).toMatch(/shared: replikey keeps the role: it serves kept/);
    expect(notesOf(plan)).toMatch(/older: replikey keeps the role: its policy has foreign statements/);
    expect(statementsOf(env, 'Old')).toEqual([]);
    expect(statementsOf(env, 'Kept').length).toBeGreaterThan(5);
    expect(role?.inline.get('replikey')).toMatch(/^\{[^{]*\{"Sid":"Foreign"[^{]*\}\]\}$/);
  });

  test('with a role that another spec declares by ARN: are kept', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const arn = roleOf(env, 'replikey-acme-old')?.arn;
    const user = TAX_SPEC.replace('  rules:', `  role: { arn: "${arn}" }\n  rules:`);
    const { plan } = await env.reconcileWith(user, { ...PRUNE, dryRun: true });
    expect(notesOf(plan)).toMatch(
      /replikey-acme-old: replikey keeps its orphans: its role is declared by ARN in tax/,
    );
    expect(idsOf(plan)).toEqual(idsOf((await env.reconcileWith(user, { dryRun: true })).plan));
  });

  test('with a role policy that no longer names the source bucket: are kept', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const role = roleOf(env, 'replikey-acme-old');
    const text = role?.inline.get('replikey') ?? '';
    role?.inline.set('replikey', text.replace(/"arn:aws:s3:::acme-old(\/In\/\*)?"/g, '"*"'));
    const plan = await prune(env, TAX_SPEC);
    expect(idsOf(plan)).toEqual([]);
    expect(notesOf(plan)).toMatch(
      /keeps its orphans: the policy of its role does not name its source bucket/,
    );
  });

  test('with a deleted source bucket: are removed', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    await env.client.send(EAST, new DeleteBucketCommand({ Bucket: 'acme-old' }));
    expect(idsOf(await prune(env, TAX_SPEC))).toHaveLength(4);
    expect(statementsOf(env, 'Old')).toEqual([]);
  });
});

describe('prune: unreadable resources', () => {
  const denied = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
  const always = (match: string, nth = 1) => [{ match, nth, times: 1_000, what: denied }];

  const denial = (bucket: string, action: string): string =>
    JSON.stringify({
      Version: '2012-10-17',
      Statement: {
        Effect: 'Deny',
        Principal: '*',
        Action: action,
        Resource: `arn:aws:s3:::${bucket}`,
      },
    });

  test('source bucket: the permissions that its rules may need are kept', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const state = stateOf(env.sandbox);
    const bucket = env.sandbox.store.bucket('acme-old');
    if (!bucket) throw new Error('no such bucket');
    bucket.policy = denial('acme-old', 's3:GetReplicationConfiguration');
    const { plan, results } = await env.reconcileWith(TAX_SPEC, PRUNE);
    expect(results).toEqual([]);
    expect(plan.blocked.map(({ id, why }) => `${id} ${why}`)).toEqual([
      expect.stringMatching(/^s3\.replication\/acme-old cannot be read: .*AccessDenied/),
    ]);
    expect(notesOf(plan)).toMatch(/replikey keeps its permissions: s3\.replication\/acme-old is blocked/);
    delete bucket.policy;
    expect(stateOf(env.sandbox)).toEqual(state);
  });

  test('key: nothing is removed, and the plan lists what it withholds', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const [key] = [...env.sandbox.store.account('111122223333').keys.values()].filter(({ policy }) =>
      policy.includes('DestinationKeyOld'),
    );
    if (!key) throw new Error('no such key');
    const before = key.policy;
    key.policy = before.replace('"kms:*"', '["kms:Describe*","kms:PutKeyPolicy"]');
    const state = stateOf(env.sandbox);
    const { plan, results } = await env.reconcileWith(TAX_SPEC, PRUNE);
    const keyId = expect.stringMatching(/^kms\.key-policy\/arn:.*us-west-2/);
    expect([plan.blocked.map(({ id }) => id), idsOf(plan), results]).toEqual([[keyId], [], []]);
    expect(plan.withheld.map(({ id, because, pairs }) => ({ id, because, pairs }))).toEqual(
      [
        'iam.role-policy/replikey-acme-old',
        'iam.role/replikey-acme-old',
        expect.stringMatching(/^kms\.key-policy\/arn:.*us-east-1/),
        's3.replication/acme-old',
      ].map((id) => ({ id, because: [keyId], pairs: ['old'] })),
    );
    expect(stateOf(env.sandbox)).toEqual(state);
    key.policy = before;
    expect(idsOf(await prune(env, TAX_SPEC))).toHaveLength(5);
  });

  test('a bucket of a declared spec: nothing is removed, but the other specs are applied', async () => {
    const books = aSpec('books');
    await using env = await testEnv(`${TAX_SPEC}---\n${books}---\n${OLD}`);
    await env.reconcile();
    const bucket = env.sandbox.store.bucket('acme-tax');
    if (!bucket) throw new Error('no such bucket');
    bucket.policy = denial('acme-tax', 's3:GetBucketVersioning');
    const changed = `${TAX_SPEC}---\n${books.replace('In/', 'Out/')}`;
    const { plan, results } = await env.reconcileWith(changed, PRUNE);
    expect(plan.blocked.map(({ id }) => id)).toContain('s3.bucket/acme-tax');
    const withheld = plan.withheld.filter(({ pairs }) => pairs.includes('old'));
    expect(withheld.map(({ action, id }) => `${action} ${id.replace(/key\/[\w-]+$/, 'key')}`)).toEqual([
      'delete iam.role-policy/replikey-acme-old',
      'delete iam.role/replikey-acme-old',
      'update kms.key-policy/arn:aws:kms:us-east-1:111122223333:key',
      'update kms.key-policy/arn:aws:kms:us-west-2:111122223333:key',
      'delete s3.replication/acme-old',
    ]);
    expect(results.map(({ id }) => id)).toContain('s3.replication/acme-books');
    expect(results.every(({ result }) => result === 'applied')).toBe(true);
    expect(rulesOf(env, 'acme-old')).toEqual(['replikey/old/in Enabled']);
    expect(statementsOf(env, 'Old').length).toBeGreaterThan(0);
    delete bucket.policy;
    await prune(env, changed);
    expect(statementsOf(env, 'Old')).toEqual([]);
  });

  test('bucket location: is reported, and the permissions are kept until the next run', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    // S3 returns no body for HEAD, also for expired credentials.
    env.sandbox.faultSettings.faults = [
      { match: 'HeadBucket', nth: 1, what: { status: 400, code: 'ExpiredToken' } },
    ];
    const { plan } = await env.reconcileWith(TAX_SPEC, PRUNE);
    expect(plan.blocked.map(({ id, why }) => `${id} ${why}`)).toEqual([
      expect.stringMatching(/^s3\.bucket\/acme-old\S* cannot search it for orphans of old: /),
    ]);
    expect(roleOf(env, 'replikey-acme-old')).toBeDefined();
    await prune(env, TAX_SPEC);
    expect(statementsOf(env, 'Old')).toEqual([]);
  });

  test('caller identity: the run fails with the error of AWS', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.faults = always('GetCallerIdentity');
    await expect(env.reconcileWith(TAX_SPEC, PRUNE)).rejects.toMatchObject({
      exitCode: 1,
      message: expect.stringMatching(/^sts:GetCallerIdentity in us-east-1: AccessDenied/),
    });
  });

  test('roles: are reported, and nothing is removed', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    env.sandbox.faultSettings.faults = always('GetAccountAuthorizationDetails');
    const { plan } = await env.reconcileWith(TAX_SPEC, PRUNE);
    expect(idsOf(plan)).toEqual([]);
    expect(plan.blocked.map(({ id, why }) => `${id} ${why}`)).toEqual([
      expect.stringMatching(
        /^iam\.role\/all of 111122223333 cannot search for orphans: iam:GetAccountAuthorizationDetails in us-east-1: AccessDenied/,
      ),
    ]);
  });
});

test('prune: keeps the rules of other specs enabled', async () => {
  const yaml = `${withSharedRole('tax')}---\n${withSharedRole('books')}`;
  await using env = await testEnv(`${yaml}---\n${withSharedRole('old')}`);
  await env.reconcile();
  await prune(env, yaml);
  expect([rulesOf(env, 'acme-tax'), rulesOf(env, 'acme-books')]).toEqual([
    ['replikey/tax/in Enabled'],
    ['replikey/books/in Enabled'],
  ]);
  const results = await env.canaries();
  expect(results.filter(({ pair }) => pair !== 'old').every(({ result }) => result === 'replicated')).toBe(
    true,
  );
});

test('prune: refuses more removals than the limit, and counts each rule, statement and role', async () => {
  await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
  await env.reconcile();
  env.sandbox.log.reset();
  const { refusals } = await env.reconcileWith(TAX_SPEC, { ...PRUNE, thresholds: { maxRemovals: 9 } });
  // A rule, six statements of the role, two of keys, and the role.
  expect(refusals.map(({ message }) => message)).toEqual([
    'the plan removes 10 rules, statements and roles, and the limit is 9; raise it with --max-removals 10',
  ]);
  expect(writesOf(env)).toEqual([]);
});

describe('prune: the removal of a pair', () => {
  const AFTER_DRAIN_MS = 20 * 60_000;
  const DRAINED: Partial<PassOptions> = { prune: true, thresholds: { maxRemovals: 50 } };
  const risksOf = ({ refusals }: Outcome) => refusals.map(({ id, step, subject }) => [id, step, subject]);

  test('is refused, and nothing is written, until remove-pair is allowed for the spec', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const before = stateOf(env.sandbox);
    const refused = await env.reconcileWith(TAX_SPEC, DRAINED);
    expect(risksOf(refused)).toEqual([['remove-pair', 's3.replication/acme-old', 'old']]);
    expect(refused.refusals[0]?.message).toBe(
      'stops the replication of the pair old from acme-old, which no spec declares any more: replikey/old/in',
    );
    const other = await env.reconcileWith(TAX_SPEC, { ...DRAINED, allowedRisks: ['remove-pair=tax'] });
    expect(risksOf(other)).toEqual([['remove-pair', 's3.replication/acme-old', 'old']]);
    expect(stateOf(env.sandbox)).toEqual(before);
    const allowed = await env.reconcileWith(TAX_SPEC, { ...DRAINED, allowedRisks: ['remove-pair=old'] });
    expect([allowed.refusals, rulesOf(env, 'acme-old')]).toEqual([[], ['replikey/old/in Disabled']]);
  });

  test('after the drain, the deletion of the whole configuration needs the permission again', async () => {
    const time = { nowMs: Date.UTC(2026, 10, 30, 10) };
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`, { clock: () => time.nowMs });
    await env.reconcile();
    const allowed = { ...DRAINED, allowedRisks: ['remove-pair=old'] };
    await env.reconcileWith(TAX_SPEC, allowed);
    // A run during the drain changes nothing, so it needs no permission.
    expect((await env.reconcileWith(TAX_SPEC, DRAINED)).refusals).toEqual([]);
    time.nowMs += AFTER_DRAIN_MS;
    const refused = await env.reconcileWith(TAX_SPEC, DRAINED);
    expect(refused.refusals.map(({ message }) => message)).toEqual([
      'deletes the whole replication configuration of acme-old, with the pair old, which no spec declares any more: replikey/old/in',
    ]);
    expect(rulesOf(env, 'acme-old')).toEqual(['replikey/old/in Disabled']);
    const removed = await env.reconcileWith(TAX_SPEC, allowed);
    expect([removed.refusals, rulesOf(env, 'acme-old')]).toEqual([[], undefined]);
  });

  test('from a configuration with rules of other specs names the removed pair alone', async () => {
    await using env = await testEnv(sharedSource);
    await env.reconcile();
    const options = { ...PRUNE, allowedRisks: ['lose-in-flight'] };
    const refused = await env.reconcileWith(`${claims}${REMOVE}`, options);
    expect(risksOf(refused)).toEqual([['remove-pair', 's3.replication/acme-cases', 'appeals']]);
  });

  test('is no risk of a rule whose spec still declares another rule', async () => {
    const oneRule = `${TAX_SPEC}${REMOVE}`;
    const twoRules = oneRule.replace('    - prefix: Tax/', '    - prefix: Tax/\n    - prefix: Books/');
    await using env = await testEnv(twoRules);
    await env.reconcile();
    const { refusals, plan } = await env.reconcileWith(oneRule, { ...DRAINED, dryRun: true });
    expect([refusals, idsOf(plan)?.includes('update s3.replication/acme-tax')]).toEqual([[], true]);
  });

  test('of a spec that moves to another source bucket is a risk as well', async () => {
    const before = `${TAX_SPEC}${REMOVE}`;
    await using env = await testEnv(before);
    await env.reconcile();
    const moved = before.replace('bucket: acme-tax,', 'bucket: acme-moved,');
    const { refusals } = await env.reconcileWith(moved, { ...DRAINED, dryRun: true });
    expect(refusals.map(({ id, step, subject }) => [id, step, subject])).toEqual([
      ['remove-pair', 's3.replication/acme-tax', 'tax'],
    ]);
  });
});

test('prune: the plan lists the removals under the name of the removed spec', async () => {
  await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
  await env.reconcile();
  const { plan } = await env.reconcileWith(TAX_SPEC, { ...PRUNE, dryRun: true });
  const text = planText(plan, env.specs.pairs.slice(0, 1))
    .replaceAll(/:key\/[\w-]+/g, ':key/KEY')
    .replaceAll(/Checksum \w+/g, 'Checksum C');
  await expect(text).toMatchFileSnapshot('golden/prune.txt');
});

test('prune: a run during the drain completes a partly failed one, and the role outlives all retained permissions', async () => {
  const time = { nowMs: Date.UTC(2026, 10, 30, 10) };
  await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`, { clock: () => time.nowMs });
  await env.reconcile();
  const denied = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
  env.sandbox.faultSettings.faults = [{ match: 'PutKeyPolicy', nth: 1, times: 1, what: denied }];
  const drained: Partial<PassOptions> = {
    prune: true,
    allowedRisks: ['remove-pair'],
    thresholds: { maxRemovals: 50 },
  };
  const failed = await env.reconcileWith(TAX_SPEC, drained);
  expect(failed.results.some(({ result }) => result === 'failed')).toBe(true);

  time.nowMs += 10 * 60_000;
  const completed = await env.reconcileWith(TAX_SPEC, drained);
  expect(completed.remaining?.waves).toEqual([]);
  expect(statementsOf(env, 'Old')).toEqual([]);
  expect(rulesOf(env, 'acme-old')).toEqual(['replikey/old/in Disabled']);

  // The permissions of the role have expired, those in the policy of the key have not.
  for (let minutes = 10; minutes <= 40; minutes += 2) {
    time.nowMs = Date.UTC(2026, 10, 30, 10, minutes);
    await env.reconcileWith(TAX_SPEC, drained);
    const keepsPermissions = JSON.stringify(stateOf(env.sandbox)).includes('ReplikeyUntil');
    if (keepsPermissions) expect(roleOf(env, 'replikey-acme-old')).toBeDefined();
  }
  expect(JSON.stringify(stateOf(env.sandbox))).not.toContain('ReplikeyUntil');
  expect(roleOf(env, 'replikey-acme-old')).toBeUndefined();
});
