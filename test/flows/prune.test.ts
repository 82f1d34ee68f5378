import { readFile } from 'node:fs/promises';
import { AttachRolePolicyCommand, UntagRoleCommand } from '@aws-sdk/client-iam';
import { DeleteBucketCommand, GetBucketPolicyCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { Plan } from '../../src/core/resource.ts';
import type { PassOptions } from '../../src/reconcile/pass.ts';
import { planText } from '../../src/report/plan-text.ts';
import { ACCOUNT_SPECS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

const REMOVE = '  policy: { deletion: Remove }\n';
const EAST = { region: 'us-east-1' };
const [claims = '', appeals = ''] = (await readFile('specs/examples/shared-source.yaml', 'utf8')).split(
  '---\n',
);
const both = `${claims}${REMOVE}---\n${appeals}${REMOVE}`;

/** A spec of its own buckets, and of its own keys and role unless it says otherwise. */
const aSpec = (name: string, { policy = REMOVE, key = name, role = '' } = {}) => `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: ${name} }
spec:
  source: { bucket: acme-${name}, region: us-east-1, key: alias/acme-${key} }
  destination: { bucket: acme-${name}-replica, region: us-west-2, key: alias/acme-${key}-replica }
${role}  rules: [{ prefix: In/, deleteMarkerReplication: true }]
${policy}`;
const OLD = aSpec('old');
const shared = (name: string, policy = REMOVE) => aSpec(name, { policy, role: '  role: { name: shared }\n' });

const inMain = (yaml: string) => yaml.replaceAll('region: ', 'account: main, region: ');

const PRUNE: Partial<PassOptions> = { prune: true, thresholds: { maxRemovals: 50 } };
const idsOf = (plan: Plan | undefined) =>
  plan?.waves.flat().map(({ action, id }) => `${action} ${id.replace(/key\/[\w-]+$/, 'key')}`);
const notesOf = ({ notes }: Plan) => notes.map(({ id, message }) => `${id}: ${message}`).join('\n');
const writesOf = ({ sandbox }: TestEnv) =>
  sandbox.log.entries.filter(({ write }) => write).map(({ operation }) => operation);
const rulesOf = ({ sandbox }: TestEnv, bucket: string) =>
  sandbox.store.bucket(bucket)?.replication?.Rules?.map(({ ID, Status }) => `${ID} ${Status}`);
const bucketsOf = ({ sandbox }: TestEnv) => [...sandbox.store.buckets()].map(({ name }) => name);
const roleOf = ({ sandbox }: TestEnv, name: string) => sandbox.store.account('111122223333').roles.get(name);

/** The statements of ours, of one spec, that stand anywhere. */
const statementsOf = (env: TestEnv, name: string): string[] =>
  JSON.stringify(stateOf(env.sandbox)).match(
    new RegExp(`Replikey(Source|Destination)\\w*?${name}\\b`, 'g'),
  ) ?? [];

/** A pass that must do all it planned, and after which a second one plans nothing. */
async function pruned(env: TestEnv, yaml: string): Promise<Plan> {
  env.sandbox.log.reset();
  const { plan, results, remaining: left } = await env.reconcileWith(yaml, PRUNE);
  expect(results.filter(({ result }) => result !== 'applied')).toEqual([]);
  if (results.length > 0) expect(idsOf(left)).toEqual([]);
  expect(plan.blocked).toEqual([]);
  const written = env.sandbox.log.entries.length;
  const again = await env.reconcileWith(yaml, PRUNE);
  expect([idsOf(again.plan), again.plan.blocked]).toEqual([[], []]);
  env.sandbox.log.entries.splice(written);
  return plan;
}

function aForeignRule({ sandbox }: TestEnv, bucket: string): void {
  sandbox.store.bucket(bucket)?.replication?.Rules?.push({
    ID: 'theirs',
    Priority: 77,
    Status: 'Enabled',
    Filter: { Prefix: 'Theirs/' },
    DeleteMarkerReplication: { Status: 'Disabled' },
    Destination: { Bucket: `arn:aws:s3:::${bucket}-replica` },
  });
}

describe('what is left of a spec that is gone altogether', () => {
  test('is not even looked for, unless that is asked for', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const before = stateOf(env.sandbox);
    env.sandbox.log.reset();
    expect(idsOf((await env.reconcileWith(TAX_SPEC)).plan)).toEqual([]);
    const reads = Object.keys(env.sandbox.log.counts());
    expect(reads.filter((call) => /AuthorizationDetails|HeadBucket|Tag/.test(call))).toEqual([]);
    expect(stateOf(env.sandbox)).toEqual(before);
  });

  test('goes: rules, then permissions, then the policy of its role, then the role; buckets and keys stay', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const buckets = bucketsOf(env);
    expect(idsOf(await pruned(env, TAX_SPEC))).toEqual([
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

  test('stays where the spec did not say Remove, with the words that say it now', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${aSpec('old', { policy: '' })}`);
    await env.reconcile();
    const before = stateOf(env.sandbox);
    const plan = await pruned(env, TAX_SPEC);
    expect(idsOf(plan)).toEqual([]);
    expect(notesOf(plan)).toBe(
      'iam.role/replikey-acme-old: replikey keeps its orphans: it did not set deletion: Remove; to set it now, run aws iam tag-role --role-name replikey-acme-old --tags Key=replikey:deletion:old,Value=Remove',
    );
    expect(stateOf(env.sandbox)).toEqual(before);
    roleOf(env, 'replikey-acme-old')?.tags.set('replikey:deletion:old', 'Remove');
    expect(idsOf(await pruned(env, TAX_SPEC))).toHaveLength(5);
  });

  test('stays where the spec took Remove back', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const retaining = await env.reconcileWith(`${TAX_SPEC}---\n${aSpec('old', { policy: '' })}`);
    expect(retaining.plan.waves.flat().map(({ id, patch }) => [id, patch.map(({ path }) => path)])).toEqual([
      ['iam.role/replikey-acme-old', ['/removable']],
    ]);
    expect(retaining.remaining?.waves).toEqual([]);
    expect(roleOf(env, 'replikey-acme-old')?.tags.get('replikey:deletion:old')).toBe('Retain');
    expect(idsOf(await pruned(env, TAX_SPEC))).toEqual([]);
  });

  test('goes without the permissions that a rule of somebody else needs, which replicates as its role', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    aForeignRule(env, 'acme-old');
    const plan = await pruned(env, TAX_SPEC);
    expect(idsOf(plan)).toEqual(['update s3.replication/acme-old']);
    expect(notesOf(plan)).toMatch(
      /replikey keeps its permissions: foreign rules of acme-old replicate as its role: "theirs"/,
    );
    expect(rulesOf(env, 'acme-old')).toEqual(['theirs Enabled']);
    expect(statementsOf(env, 'Old').length).toBeGreaterThan(5);
    env.sandbox.store.bucket('acme-old')?.replication?.Rules?.splice(0);
    delete env.sandbox.store.bucket('acme-old')?.replication;
    expect(idsOf(await pruned(env, TAX_SPEC))).toHaveLength(4);
    expect(roleOf(env, 'replikey-acme-old')).toBeUndefined();
  });

  test('goes from a role that it shared, and its rules in a bucket that no other spec names go before', async () => {
    await using env = await testEnv(`${shared('tax')}---\n${shared('old')}`);
    await env.reconcile();
    expect(idsOf(await pruned(env, shared('tax')))?.sort()).toEqual([
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
    ]);
    expect(statementsOf(env, 'Old')).toEqual([]);
    expect(statementsOf(env, 'Tax').length).toBeGreaterThan(5);
  });

  test('stays in a role that it shares with a spec that says Retain', async () => {
    await using env = await testEnv(`${shared('tax', '')}---\n${shared('old')}`);
    await env.reconcile();
    const plan = await pruned(env, shared('tax', ''));
    expect(idsOf(plan)).toEqual([]);
    expect(notesOf(plan)).toMatch(/keeps its orphans: its role is also used by tax, with deletion: Retain/);
  });

  test('goes from keys that others share, once however they name them', async () => {
    const other = (name: string) => aSpec(name, { key: 'common' });
    await using env = await testEnv(`${other('tax')}---\n${other('old')}`);
    await env.reconcile();
    expect(idsOf(await pruned(env, other('tax')))).toEqual([
      'delete s3.replication/acme-old',
      'update kms.key-policy/alias/acme-common-replica@us-west-2',
      'update kms.key-policy/alias/acme-common@us-east-1',
      'delete iam.role-policy/replikey-acme-old',
      'delete iam.role/replikey-acme-old',
    ]);
    expect(statementsOf(env, 'Old')).toEqual([]);
  });

  test('goes from a source that others share, and from keys and a role that they share', async () => {
    await using env = await testEnv(both);
    await env.reconcile();
    expect(idsOf((await env.reconcileWith(`${appeals}${REMOVE}`)).plan)).toEqual([]);
    const plan = await pruned(env, `${appeals}${REMOVE}`);
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

  test('goes across accounts, and leaves what somebody else says of the same bucket', async () => {
    const vault = `${inMain(OLD).replace(/(destination: .*)account: main/, '$1account: backup')}`;
    await using env = await testEnv(`${ACCOUNT_SPECS}${inMain(TAX_SPEC)}---\n${vault}`);
    await env.reconcile();
    const at = { account: 'backup', region: 'us-west-2' };
    const Bucket = 'acme-old-replica';
    const { Policy = '' } = await env.door.send(at, new GetBucketPolicyCommand({ Bucket }));
    const policy = JSON.parse(Policy) as { Statement: object[] };
    const theirs = {
      Sid: 'Theirs',
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:*',
      Resource: `arn:aws:s3:::x`,
    };
    policy.Statement.push({ ...theirs, Resource: `arn:aws:s3:::${Bucket}/Theirs/*` });
    await env.door.send(at, new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify(policy) }));

    expect(idsOf(await pruned(env, `${ACCOUNT_SPECS}${inMain(TAX_SPEC)}`))).toEqual([
      'delete s3.replication/acme-old',
      'update kms.key-policy/arn:aws:kms:us-east-1:111122223333:key',
      'update kms.key-policy/arn:aws:kms:us-west-2:444455556666:key',
      'update s3.bucket-policy/acme-old-replica',
      'delete iam.role-policy/replikey-acme-old@main',
      'delete iam.role/replikey-acme-old@main',
    ]);
    expect(statementsOf(env, 'Old')).toEqual([]);
    expect(env.sandbox.store.bucket(Bucket)?.policy).toContain('"Theirs"');
  });

  test('goes across accounts with the whole policy of a bucket in which nothing else stands', async () => {
    const vault = `${inMain(OLD).replace(/(destination: .*)account: main/, '$1account: backup')}`;
    await using env = await testEnv(`${ACCOUNT_SPECS}${inMain(TAX_SPEC)}---\n${vault}`);
    await env.reconcile();
    expect(idsOf(await pruned(env, `${ACCOUNT_SPECS}${inMain(TAX_SPEC)}`))).toContain(
      'delete s3.bucket-policy/acme-old-replica',
    );
    expect(env.sandbox.store.bucket('acme-old-replica')?.policy).toBeUndefined();
  });

  test('stays in accounts that are not given, whose owners are named', async () => {
    const vault = `${inMain(OLD).replace(/(destination: .*)account: main/, '$1account: backup')}`;
    await using env = await testEnv(`${ACCOUNT_SPECS}${inMain(TAX_SPEC)}---\n${vault}`);
    await env.reconcile();
    const onlyMain = ACCOUNT_SPECS.split('---\n')[0] ?? '';
    const plan = await pruned(env, `${onlyMain}---\n${inMain(TAX_SPEC)}`);
    expect(idsOf(plan)).toHaveLength(4);
    expect(notesOf(plan)).toMatch(
      /the owners of acme-old-replica, arn:aws:kms:us-west-2:444455556666:key\/\S+ may remove the statements Replikey…Old/,
    );
  });

  test('is found as well where only the name of a bucket, and with it the role, became another', async () => {
    await using env = await testEnv(OLD);
    await env.reconcile();
    const moved = OLD.replace('bucket: acme-old,', 'bucket: acme-new,');
    const plan = await pruned(env, moved);
    expect(idsOf(plan)).toContain('delete s3.replication/acme-old');
    expect(idsOf(plan)).toContain('delete iam.role/replikey-acme-old');
    expect(rulesOf(env, 'acme-old')).toBeUndefined();
    expect(rulesOf(env, 'acme-new')).toEqual(['replikey/old/in Enabled']);
  });

  test('goes without its role, where the role has policies of others or was there before', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}---\n${aSpec('older')}`);
    await env.reconcile();
    const PolicyArn = 'arn:aws:iam::aws:policy/AmazonS3FullAccess';
    await env.door.send(EAST, new AttachRolePolicyCommand({ RoleName: 'replikey-acme-old', PolicyArn }));
    const untag = { RoleName: 'replikey-acme-older', TagKeys: ['replikey:managed-by'] };
    await env.door.send(EAST, new UntagRoleCommand(untag));
    const plan = await pruned(env, TAX_SPEC);
    expect(notesOf(plan)).toMatch(
      /replikey-acme-old: replikey keeps the role: it has other policies: AmazonS3FullAccess/,
    );
    expect(notesOf(plan)).toMatch(/replikey-acme-older: replikey keeps the role: replikey did not create it/);
    expect(
      ['replikey-acme-old', 'replikey-acme-older'].map((name) => roleOf(env, name)?.inline.size),
    ).toEqual([0, 0]);
  });

  test('goes without its role, where that serves another that is gone, or somebody else in the same policy', async () => {
    const yaml = `${TAX_SPEC}---\n${shared('old')}---\n${shared('kept', '')}---\n${aSpec('older')}`;
    await using env = await testEnv(yaml);
    await env.reconcile();
    const role = roleOf(env, 'replikey-acme-older');
    const policy = JSON.parse(role?.inline.get('replikey') ?? '') as { Statement: object[] };
    policy.Statement.push({ Sid: 'Theirs', Effect: 'Allow', Action: 's3:GetObject', Resource: '*' });
    role?.inline.set('replikey', JSON.stringify(policy));
    const plan = await pruned(env, TAX_SPEC);
    expect(notesOf(plan)).toMatch(/shared: replikey keeps the role: it serves kept/);
    expect(notesOf(plan)).toMatch(/older: replikey keeps the role: its policy has foreign statements/);
    expect(statementsOf(env, 'Old')).toEqual([]);
    expect(statementsOf(env, 'Kept').length).toBeGreaterThan(5);
    expect(role?.inline.get('replikey')).toMatch(/^\{[^{]*\{"Sid":"Theirs"[^{]*\}\]\}$/);
  });

  test('stays where another spec names its role by ARN', async () => {
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

  test('stays where the policy of its role does not tell its source any more', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const role = roleOf(env, 'replikey-acme-old');
    const text = role?.inline.get('replikey') ?? '';
    role?.inline.set('replikey', text.replace(/"arn:aws:s3:::acme-old(\/In\/\*)?"/g, '"*"'));
    const plan = await pruned(env, TAX_SPEC);
    expect(idsOf(plan)).toEqual([]);
    expect(notesOf(plan)).toMatch(
      /keeps its orphans: the policy of its role does not name its source bucket/,
    );
  });

  test('goes though its bucket is gone, too', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    await env.door.send(EAST, new DeleteBucketCommand({ Bucket: 'acme-old' }));
    expect(idsOf(await pruned(env, TAX_SPEC))).toHaveLength(4);
    expect(statementsOf(env, 'Old')).toEqual([]);
  });
});

describe('what cannot be read', () => {
  const denied = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
  const always = (match: string, nth = 1) => [{ match, nth, times: 1_000, what: denied }];

  test('of a source bucket keeps the permissions that its rules may need', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const state = stateOf(env.sandbox);
    const bucket = env.sandbox.store.bucket('acme-old');
    if (!bucket) throw new Error('there is no such bucket');
    bucket.policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: {
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:GetReplicationConfiguration',
        Resource: 'arn:aws:s3:::acme-old',
      },
    });
    const { plan, results } = await env.reconcileWith(TAX_SPEC, PRUNE);
    expect(results).toEqual([]);
    expect(plan.blocked.map(({ id, why }) => `${id} ${why}`)).toEqual([
      expect.stringMatching(/^s3\.replication\/acme-old cannot be read: .*AccessDenied/),
    ]);
    expect(notesOf(plan)).toMatch(/replikey keeps its permissions: s3\.replication\/acme-old is blocked/);
    delete bucket.policy;
    expect(stateOf(env.sandbox)).toEqual(state);
  });

  test('of a key keeps the policy of the role, through which the key is found again', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    const [key] = [...env.sandbox.store.account('111122223333').keys.values()].filter(({ policy }) =>
      policy.includes('DestinationKeyOld'),
    );
    if (!key) throw new Error('there is no such key');
    const before = key.policy;
    key.policy = before.replace('"kms:*"', '["kms:Describe*","kms:PutKeyPolicy"]');
    const { plan, results } = await env.reconcileWith(TAX_SPEC, PRUNE);
    expect(plan.blocked.map(({ id }) => id)).toEqual([expect.stringMatching(/^kms\.key-policy\/arn:/)]);
    expect(results.filter(({ result }) => result === 'skipped').map(({ id }) => id)).toEqual([
      'iam.role-policy/replikey-acme-old',
      'iam.role/replikey-acme-old',
    ]);
    expect(rulesOf(env, 'acme-old')).toBeUndefined();
    key.policy = before;
    expect(idsOf(await pruned(env, TAX_SPEC))).toHaveLength(3);
  });

  test('of the place of a bucket is told, and the permissions of its rules stay until the next run', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
    await env.reconcile();
    // S3 answers HEAD without a body, also where credentials have expired.
    env.sandbox.faultSettings.faults = [
      { match: 'HeadBucket', nth: 1, what: { status: 400, code: 'ExpiredToken' } },
    ];
    const { plan } = await env.reconcileWith(TAX_SPEC, PRUNE);
    expect(plan.blocked.map(({ id, why }) => `${id} ${why}`)).toEqual([
      expect.stringMatching(/^s3\.bucket\/acme-old\S* cannot search it for orphans of old: /),
    ]);
    expect(roleOf(env, 'replikey-acme-old')).toBeDefined();
    await pruned(env, TAX_SPEC);
    expect(statementsOf(env, 'Old')).toEqual([]);
  });

  test('of the account ends the run with what AWS said', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.faults = always('GetCallerIdentity');
    await expect(env.reconcileWith(TAX_SPEC, PRUNE)).rejects.toMatchObject({
      exitCode: 1,
      message: expect.stringMatching(/^sts:GetCallerIdentity in us-east-1: AccessDenied/),
    });
  });

  test('of the roles is told, and nothing is taken away', async () => {
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

test('nothing of a spec that is given is switched off or taken away by pruning another', async () => {
  const yaml = `${shared('tax')}---\n${shared('books')}`;
  await using env = await testEnv(`${yaml}---\n${shared('old')}`);
  await env.reconcile();
  await pruned(env, yaml);
  expect([rulesOf(env, 'acme-tax'), rulesOf(env, 'acme-books')]).toEqual([
    ['replikey/tax/in Enabled'],
    ['replikey/books/in Enabled'],
  ]);
  const results = await env.canaries();
  expect(results.filter(({ pair }) => pair !== 'old').every(({ result }) => result === 'replicated')).toBe(
    true,
  );
});

test('more removals than allowed are refused, each rule, statement and role counted', async () => {
  await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
  await env.reconcile();
  env.sandbox.log.reset();
  const { refusals } = await env.reconcileWith(TAX_SPEC, { prune: true, thresholds: { maxRemovals: 9 } });
  // A rule, six statements of the role, two of keys, and the role.
  expect(refusals.map(({ message }) => message)).toEqual([
    'the plan removes 10 rules, statements and roles, and the limit is 9; raise it with --max-removals 10',
  ]);
  expect(writesOf(env)).toEqual([]);
});

test('the plan shows what goes, under the name of the spec that is gone', async () => {
  await using env = await testEnv(`${TAX_SPEC}---\n${OLD}`);
  await env.reconcile();
  const { plan } = await env.reconcileWith(TAX_SPEC, { ...PRUNE, dryRun: true });
  const text = planText(plan, env.specs.pairs.slice(0, 1))
    .replaceAll(/:key\/[\w-]+/g, ':key/KEY')
    .replaceAll(/Checksum \w+/g, 'Checksum C');
  await expect(text).toMatchFileSnapshot('golden/prune.txt');
});
