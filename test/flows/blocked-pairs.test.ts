import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { planText } from '../../src/report/plan-text.ts';
import { proofSummary } from '../../src/report/proof-text.ts';
import { PLAIN_STYLE } from '../../src/report/style.ts';
import { versionOf } from '../sandbox/support.ts';
import { ACCOUNT_SPECS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

const EAST = { region: 'us-east-1' };
const MISSING_KEY = 'arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const BLOCKED = TAX_SPEC.replace('alias/acme-tax-replica', `"${MISSING_KEY}"`);

/** Two pairs with the same source, role and source key. */
const pair = (name: string, { region = 'us-west-2', key = `alias/acme-${name}-replica` } = {}) =>
  `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: ${name} }
spec:
  source: { bucket: acme-shared, region: us-east-1, key: alias/acme-shared }
  destination: { bucket: acme-${name}-replica, region: ${region}, key: ${key} }
  role: { name: shared }
  rules: [{ prefix: ${name}/, deleteMarkerReplication: true }]
`;
const GOOD = pair('good');
const BAD = pair('bad', { key: `"${MISSING_KEY}"` });

const counts = ({ sandbox }: TestEnv) => {
  const account = sandbox.store.account('111122223333');
  return [[...sandbox.store.buckets()].length, account.roles.size, account.keys.size];
};
const writesOf = ({ sandbox }: TestEnv) => sandbox.log.entries.filter(({ write }) => write);

async function statusOf({ sandbox, client }: TestEnv, Key: string): Promise<string | undefined> {
  await client.send(EAST, new PutObjectCommand({ Bucket: 'acme-shared', Key, Body: 'x' }));
  await sandbox.waitForReplication();
  return versionOf(sandbox, 'acme-shared', Key)?.replication?.status;
}

test('blocked pair: a key ARN that does not exist, creates no key, bucket or role', async () => {
  await using env = await testEnv();
  const { plan, proof, results } = await env.reconcileWith(BLOCKED);
  expect([plan.waves, plan.housekeeping, results]).toEqual([[], [], []]);
  expect(counts(env)).toEqual([0, 0, 0]);
  expect(writesOf(env)).toEqual([]);
  expect(plan.blocked.map(({ id, pairs }) => [id, pairs])).toEqual([[`kms.key/${MISSING_KEY}`, ['tax']]]);
  expect(plan.withheld.map(({ action, id }) => `${action} ${id}`)).toContain('create s3.bucket/acme-tax');
  expect(plan.withheld.every(({ because }) => because.join() === `kms.key/${MISSING_KEY}`)).toBe(true);
  expect(proof.map(({ verdict }) => verdict)).toEqual(['blocked']);
  expect(proofSummary(proof, PLAIN_STYLE.paint)).toBe('0 of 1 rules proven, 1 blocked.');
  expect(planText(plan, env.specs.pairs, proof)).toMatch(/replikey withholds 11 changes until\s+kms\.key\//);
});

test('blocked pair: a destination of a foreign account, creates nothing', async () => {
  const main = TAX_SPEC.replaceAll('region: ', 'account: main, region: ');
  await using env = await testEnv(`${ACCOUNT_SPECS}${main}`);
  const backup = { account: 'backup', region: 'us-west-2' };
  const CreateBucketConfiguration = { LocationConstraint: 'us-west-2' as const };
  const bucket = { Bucket: 'acme-tax-replica', CreateBucketConfiguration };
  await env.client.send(backup, new CreateBucketCommand(bucket));
  const before = stateOf(env.sandbox);
  const { plan, results } = await env.reconcile();
  expect([plan.waves, results]).toEqual([[], []]);
  expect(plan.blocked.map(({ id }) => id)).toContain('s3.bucket/acme-tax-replica');
  expect(stateOf(env.sandbox)).toEqual(before);
});

test('blocked pair: a pair that shares its source, role and key is applied, and the proof counts both', async () => {
  await using env = await testEnv();
  const { plan, proof, results, remaining } = await env.reconcileWith(`${GOOD}---\n${BAD}`);
  expect(results.every(({ result }) => result === 'applied')).toBe(true);
  expect(remaining?.waves).toEqual([]);
  expect(remaining?.blocked.map(({ pairs }) => pairs)).toEqual([['bad']]);
  expect(plan.waves.flat().flatMap(({ pairs }) => pairs)).not.toContain('bad');
  expect(counts(env)).toEqual([2, 1, 2]);
  expect(JSON.stringify(stateOf(env.sandbox))).not.toMatch(/Replikey\w+Bad\b|replikey\/bad/);
  expect(proofSummary(proof, PLAIN_STYLE.paint)).toBe('1 of 2 rules proven, 1 blocked.');
  expect([await statusOf(env, 'good/1'), await statusOf(env, 'bad/1')]).toEqual(['COMPLETED', undefined]);
});

test('blocked pair: an existing pair that becomes blocked keeps its entries, while the other changes', async () => {
  await using env = await testEnv();
  const both = `${GOOD}---\n${pair('bad')}`;
  await env.reconcileWith(both);
  const entries = () =>
    JSON.stringify(stateOf(env.sandbox))
      .match(/Replikey(Until)?\w*?Bad\b|replikey\/bad\/\w+/g)
      ?.sort();
  const before = entries();
  const replica = env.sandbox.store.bucket('acme-bad-replica');
  if (!replica) throw new Error('no such bucket');
  replica.policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:GetBucketVersioning',
      Resource: 'arn:aws:s3:::acme-bad-replica',
    },
  });
  const edited = both
    .replaceAll('prefix: good/', 'prefix: better/')
    .replace('prefix: bad/', 'prefix: worse/');
  const { plan, results } = await env.reconcileWith(edited);
  expect(plan.blocked.flatMap(({ pairs }) => pairs)).toContain('bad');
  expect(plan.blocked.flatMap(({ pairs }) => pairs)).not.toContain('good');
  expect(results.every(({ result }) => result === 'applied')).toBe(true);
  expect(entries()).toEqual(before);
  expect([await statusOf(env, 'better/1'), await statusOf(env, 'bad/1')]).toEqual(['COMPLETED', 'COMPLETED']);
});

test('blocked pair: a role ARN that another pair creates in the same run, does not block', async () => {
  await using env = await testEnv();
  const byArn = pair('late').replace('{ name: shared }', '{ arn: "arn:aws:iam::111122223333:role/made" }');
  const creator = pair('first').replaceAll('acme-shared', 'acme-first').replace('name: shared', 'name: made');
  const both = `${creator}---\n${byArn.replaceAll('acme-shared', 'acme-late')}`;
  const first = await env.reconcileWith(both);
  expect(first.plan.withheld).toEqual([]);
  const unapplied = first.results.filter(({ result }) => result !== 'applied');
  expect(unapplied.map(({ id, result }) => `${result} ${id}`).sort()).toEqual([
    'skipped kms.key-policy/alias/acme-late-replica@us-west-2',
    'skipped kms.key-policy/alias/acme-late@us-east-1',
    'skipped s3.replication/acme-late',
  ]);
  const second = await env.reconcileWith(both, { dryRun: true });
  expect(second.plan.blocked).toEqual([]);
});

test('blocked pair: an undecided proof of a new rule, withholds the pair unless unproven rules are allowed', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const what = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
  env.sandbox.faultSettings.faults = [{ match: 'ListAttachedRolePolicies', nth: 1, times: 1_000, what }];
  const edited = await env.reconcileWith(TAX_SPEC.replace('Tax/', 'Tax/2026/'), { dryRun: true });
  expect(edited.plan.blocked).toEqual([]);
  expect(edited.plan.waves.flat().map(({ id }) => id)).toContain('s3.replication/acme-tax');

  const withNewRule = `${TAX_SPEC}    - { name: ledgers, prefix: Ledgers/ }\n`;
  const { plan } = await env.reconcileWith(withNewRule, { dryRun: true });
  expect(plan.waves).toEqual([]);
  expect(plan.blocked.map(({ id, why }) => `${id} ${why}`)).toEqual([
    expect.stringMatching(
      /^s3\.replication\/acme-tax the proof of the rule replikey\/tax\/ledgers is undecided: RK1901 /,
    ),
  ]);
  expect(plan.withheld.map(({ id }) => id)).toContain('s3.replication/acme-tax');
  const allowed = await env.reconcileWith(withNewRule, { dryRun: true, allowUnproven: true });
  expect(allowed.plan.blocked).toEqual([]);
  expect(allowed.plan.waves.flat().map(({ id }) => id)).toContain('s3.replication/acme-tax');
});

test('blocked pair: with prune, its permissions in shared policies are no orphans', async () => {
  await using env = await testEnv();
  const removable = (yaml: string) => `${yaml}  policy: { deletion: Remove }\n`;
  const bad = removable(pair('bad'));
  await env.reconcileWith(`${removable(GOOD)}---\n${bad}`);
  const before = stateOf(env.sandbox);
  const what = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
  env.sandbox.faultSettings.faults = [{ match: 'HeadBucket acme-bad-replica', nth: 1, times: 1_000, what }];
  const broken = bad.replace(/key: alias\/acme-bad-replica/, `key: "${MISSING_KEY}"`);
  const options = { prune: true, drainMs: 0, allowedRisks: ['lose-in-flight', 'remove-pair'] };
  const { plan } = await env.reconcileWith(`${removable(GOOD)}---\n${broken}`, options);
  expect(plan.blocked.flatMap(({ pairs }) => pairs)).toContain('bad');
  expect(stateOf(env.sandbox)).toEqual(before);
});
