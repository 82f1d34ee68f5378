import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { expect, test } from 'vitest';
import { type AwsClient, createAwsClient } from '../../src/aws/client.ts';
import { lookUp } from '../../src/aws/cloudtrail.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { runCanaries } from '../../src/canary/canary.ts';
import { measureReplicationLag } from '../../src/facts/object-sample.ts';
import type { Policy } from '../../src/iam/types.ts';
import { kinds } from '../../src/kinds/index.ts';
import { leastPrivilegePolicies, type PermissionScope } from '../../src/policy/least-privilege.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import { parseSpecs, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const all = [...kinds.values()];
const REGION = 'us-east-1';

/** Everything that a spec can ask for, and the same with every value another. */
const FULL = TAX_SPEC.replace(
  'alias/acme-tax }',
  '{ alias: alias/acme-tax, description: Ours, rotation: true }, blockPublicAccess: true, objectOwnership: BucketOwnerEnforced }',
).replace(
  '  rules:',
  '  role: { permissionsBoundary: "arn:aws:iam::aws:policy/AdministratorAccess", tags: { team: tax } }\n  policy: { deletion: Remove }\n  rules:',
);
const OTHER = FULL.replace('Ours', 'Theirs')
  .replace('rotation: true', 'rotation: false')
  .replace('team: tax', 'team: books')
  .replace('AdministratorAccess', 'PowerUserAccess')
  .replace('blockPublicAccess: true', 'blockPublicAccess: false')
  .replace('BucketOwnerEnforced', 'ObjectWriter')
  .replace('prefix: Tax/', 'prefix: Taxes/');

const policyFor = async (yaml: string, purpose: PermissionScope): Promise<Policy> => {
  const [one] = leastPrivilegePolicies((await parseSpecs(yaml)).pairs, all, purpose);
  if (!one) throw new Error('no account');
  return one.policy;
};

/** A door of somebody who may do just this. */
async function allowed(
  { sandbox }: TestEnv,
  policy: Policy,
  name = 'least',
): Promise<{ door: AwsClient; close(): void }> {
  const config = {
    endpoint: sandbox.endpoint,
    region: REGION,
    credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
  };
  const [iam, sts] = [new IAMClient(config), new STSClient(config)];
  const trust = { Effect: 'Allow', Principal: { AWS: '111122223333' }, Action: 'sts:AssumeRole' };
  const AssumeRolePolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [trust] });
  const { Role } = await iam.send(new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument }));
  await iam.send(
    new PutRolePolicyCommand({ RoleName: name, PolicyName: 'least', PolicyDocument: JSON.stringify(policy) }),
  );
  const { Credentials } = await sts.send(
    new AssumeRoleCommand({ RoleArn: Role?.Arn, RoleSessionName: 'test' }),
  );
  iam.destroy();
  sts.destroy();
  const clients = createSdkClients([], {
    endpoint: sandbox.endpoint,
    loadCloudTrail: () => import('../../src/aws/cloudtrail.ts'),
    credentials: {
      accessKeyId: Credentials?.AccessKeyId ?? '',
      secretAccessKey: Credentials?.SecretAccessKey ?? '',
      sessionToken: Credentials?.SessionToken ?? '',
    },
  });
  const door = createAwsClient({ clients, accounts: [], region: REGION, retryTimeoutMs: 0 });
  return { door, close: () => clients.destroy() };
}

const ALLOW = ['change-boundary', 'open-public-access', 'change-ownership'];

/** What happens to a pair in its life, as somebody who may do just this; what did not go well, if so. */
async function life(policy: Policy): Promise<string | undefined> {
  await using env = await testEnv(FULL);
  const { door, close } = await allowed(env, policy);
  try {
    for (const yaml of [TAX_SPEC, FULL, OTHER]) {
      const specs = await parseSpecs(yaml);
      const {
        plan,
        refusals,
        results,
        remaining: left,
      } = await reconcile(specs, {
        kinds,
        aws: door,
        allowedRisks: ALLOW,
        dryRun: false,
        propagationTimeoutMs: 0,
        allowUnproven: true,
      });
      const failed = results.find(({ result }) => result !== 'applied');
      if (failed) return `${failed.id}: ${failed.why}`;
      if (refusals.length > 0 || plan.blocked.length > 0 || left?.waves.length !== 0)
        return JSON.stringify([refusals, plan.blocked, left?.waves]);
    }
    // A boundary is not known before the role has it; in the end everything is.
    const last = await reconcile(await parseSpecs(OTHER), {
      kinds,
      aws: door,
      allowedRisks: [],
      dryRun: true,
      propagationTimeoutMs: 0,
    });
    const unknown = last.proof.find(({ verdict }) => verdict === 'unknown');
    return unknown ? (unknown.findings[0]?.message ?? unknown.rule) : undefined;
  } catch (error) {
    return String(error);
  } finally {
    close();
  }
}

const without = (policy: Policy, action: string): Policy => ({
  ...policy,
  Statement: [policy.Statement].flat().flatMap((statement) => {
    const left = [statement.Action ?? []].flat().filter((one) => one !== action);
    return left.length === 0 ? [] : [{ ...statement, Action: left }];
  }),
});

const actionsOf = (policy: Policy): string[] =>
  [policy.Statement].flat().flatMap(({ Action }) => [Action ?? []].flat());

test('whoever has the policy can do everything that the specs ask for', async () => {
  expect(await life(await policyFor(FULL, { apply: true, verify: false }))).toBe(undefined);
});

/** What these lives do not come to, each with the reason that it is needed all the same. */
const ELSEWHERE: Record<string, string> = {
  'iam:DeleteRole': '--prune',
  'iam:DeleteRolePolicy': '--prune',
  's3:DeleteBucketPolicy': '--prune',
  's3:PutBucketPolicy': 'across accounts',
  'iam:GetPolicy': 'a managed policy that somebody attached',
  'iam:GetPolicyVersion': 'a managed policy that somebody attached',
  'iam:ListAttachedRolePolicies': 'a managed policy that somebody attached',
  'kms:ListResourceTags': 'a key that a run made and did not come to name',
  's3:GetBucketTagging': 'a bucket that was there before; what may not be read is told',
  's3:ListBucket': 'HEAD of a bucket whose Region nothing declares',
  'iam:UpdateAssumeRolePolicy': 'a trust policy that somebody changed',
  'iam:PassRole': 'AWS asks for it with PutBucketReplication; the sandbox does not',
  'kms:TagResource': 'AWS asks for it with CreateKey; the sandbox does not',
  's3:GetBucketObjectLockConfiguration': 'a bucket with Object Lock, of which the proof warns',
  'kms:ListKeys': 'a key that a run made and did not come to name',
};

test('nothing less suffices', async () => {
  const policy = await policyFor(FULL, { apply: true, verify: false });
  const actions = [...new Set(actionsOf(policy))].filter((action) => !(action in ELSEWHERE));
  expect(actions.length).toBeGreaterThan(20);
  const spared: string[] = [];
  for (const action of actions) if ((await life(without(policy, action))) === undefined) spared.push(action);
  expect(spared).toEqual([]);
}, 240_000);

test('to plan nothing is written, and nothing more than reading is allowed', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const policy = await policyFor(TAX_SPEC, { apply: false, verify: false });
  expect(actionsOf(policy).filter((action) => !/:(Get|List|Describe)/.test(action))).toEqual([]);
  expect(actionsOf(policy)).not.toContain('s3:GetObject');
  const { door, close } = await allowed(env, policy);
  const specs = await parseSpecs(TAX_SPEC.replace('prefix: Tax/', 'prefix: Taxes/'));
  const { plan, proof } = await reconcile(specs, {
    kinds,
    aws: door,
    allowedRisks: [],
    dryRun: true,
    propagationTimeoutMs: 0,
  });
  close();
  expect(plan.blocked).toEqual([]);
  expect(plan.waves.flat().length).toBeGreaterThan(0);
  expect(proof.every(({ verdict }) => verdict === 'proven')).toBe(true);
});

test('canaries need the objects, and with them arrive', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const { door, close } = await allowed(env, await policyFor(TAX_SPEC, { apply: false, verify: true }));
  const [pair] = env.specs.pairs;
  if (!pair) throw new Error('no pair');
  const results = await runCanaries(pair, { aws: door, pairs: env.specs.pairs, timeoutMs: 5_000 });
  close();
  expect(results.map(({ result, left }) => ({ result, left }))).toEqual([
    { result: 'replicated', left: undefined },
    { result: 'replicated', left: undefined },
  ]);
});

test('and nothing less suffices, to write them, to take them away, and to look at the newest objects', async () => {
  await using env = await testEnv();
  await env.reconcile();
  await env.door.send(
    { region: REGION },
    new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/2026.pdf', Body: 'x', Tagging: 'team=tax' }),
  );
  const [pair] = env.specs.pairs;
  if (!pair) throw new Error('no pair');
  let count = 0;
  const suffices = async (policy: Policy): Promise<boolean> => {
    const { door, close } = await allowed(env, policy, `least-${count++}`);
    try {
      const results = await runCanaries(pair, { aws: door, pairs: env.specs.pairs, timeoutMs: 2_000 });
      if (results.some(({ result, left }) => result !== 'replicated' || left)) return false;
      return (await measureReplicationLag(door, env.specs.pairs)).byStatus.COMPLETED === 1;
    } catch {
      return false;
    } finally {
      close();
    }
  };
  const policy = await policyFor(TAX_SPEC, { apply: false, verify: true });
  const plain = new Set(actionsOf(await policyFor(TAX_SPEC, { apply: false, verify: false })));
  const more = actionsOf(policy).filter((action) => !plain.has(action));
  expect(more.length).toBeGreaterThan(5);
  expect(await suffices(policy)).toBe(true);
  const spared: string[] = [];
  for (const action of more) if (await suffices(without(policy, action))) spared.push(action);
  // S3 asks for it where it uses a Bucket Key again; the sandbox does not.
  expect(spared).toEqual(['kms:Decrypt']);
}, 120_000);

test('who may ask who changed something, is told it, and nobody else is', async () => {
  await using env = await testEnv();
  const purpose = { apply: true, verify: true };
  const plain = await policyFor(TAX_SPEC, purpose);
  const policy = await policyFor(TAX_SPEC, { ...purpose, attributeDrift: true });
  const added = [policy.Statement]
    .flat()
    .filter((one) => [one.Action].flat().includes('cloudtrail:LookupEvents'));
  expect(added).toEqual([{ Effect: 'Allow', Action: ['cloudtrail:LookupEvents'], Resource: ['*'] }]);
  expect([policy.Statement].flat().filter((one) => !added.includes(one))).toEqual(plain.Statement);

  const query = { eventName: 'CreateRole', fromMs: Date.now() - 60_000, toMs: Date.now() + 60_000 };
  const may = await allowed(env, policy, 'may');
  const mayNot = await allowed(env, plain, 'may-not');
  expect(await lookUp(may.door, { region: REGION }, query)).toMatchObject([
    { EventName: 'CreateRole', Username: 'root' },
    { EventName: 'CreateRole', Username: 'root' },
  ]);
  await expect(lookUp(mayNot.door, { region: REGION }, query)).rejects.toMatchObject({
    name: 'AccessDeniedException',
    message: expect.stringContaining('is not authorized to perform: cloudtrail:LookupEvents'),
  });
  may.close();
  mayNot.close();
});

test('no action is a pattern, and no resource is everything but where AWS knows none', async () => {
  const policy = await policyFor(FULL, { apply: true, verify: true });
  expect(actionsOf(policy).filter((action) => action.includes('*'))).toEqual([]);
  const wide = [policy.Statement].flat().filter(({ Resource }) => [Resource].flat().includes('*'));
  expect(wide.flatMap(({ Action }) => Action ?? []).sort()).toEqual([
    'iam:GetPolicy',
    'iam:GetPolicyVersion',
    'kms:CreateKey',
    'kms:ListAliases',
    'kms:ListKeys',
  ]);
  const passing = [policy.Statement].flat().find(({ Action }) => [Action].flat().includes('iam:PassRole'));
  expect(passing?.Condition).toEqual({ StringEquals: { 'iam:PassedToService': 's3.amazonaws.com' } });
});
