import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { expect, test } from 'vitest';
import { createClients } from '../../src/aws/clients.ts';
import { lookUp } from '../../src/aws/cloudtrail.ts';
import { createDoor, type Door } from '../../src/aws/door.ts';
import { seeObjects } from '../../src/controller/objects.ts';
import type { Policy } from '../../src/iam/types.ts';
import { kinds } from '../../src/kinds/index.ts';
import { type Purpose, permissionsFor } from '../../src/permissions/permissions.ts';
import { reconcile } from '../../src/reconcile.ts';
import { canaries } from '../../src/steps/canary.ts';
import { aWorld, specsOf, TAX, type World } from '../support/world.ts';

const all = [...kinds.values()];
const REGION = 'us-east-1';

/** Everything that a spec can ask for, and the same with every value another. */
const FULL = TAX.replace(
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

const policyFor = async (yaml: string, purpose: Purpose): Promise<Policy> => {
  const [one] = permissionsFor((await specsOf(yaml)).pairs, all, purpose);
  if (!one) throw new Error('no account');
  return one.policy;
};

/** A door of somebody who may do just this. */
async function allowed(
  { sandbox }: World,
  policy: Policy,
  name = 'least',
): Promise<{ door: Door; close(): void }> {
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
  const clients = createClients([], {
    endpoint: sandbox.endpoint,
    cloudTrail: () => import('../../src/aws/cloudtrail.ts'),
    credentials: {
      accessKeyId: Credentials?.AccessKeyId ?? '',
      secretAccessKey: Credentials?.SecretAccessKey ?? '',
      sessionToken: Credentials?.SessionToken ?? '',
    },
  });
  const door = createDoor({ clients, accounts: [], region: REGION, retryForMs: 0 });
  return { door, close: () => clients.destroy() };
}

const ALLOW = ['change-boundary', 'open-public-access', 'change-ownership'];

/** What happens to a pair in its life, as somebody who may do just this; what did not go well, if so. */
async function life(policy: Policy): Promise<string | undefined> {
  await using world = await aWorld(FULL);
  const { door, close } = await allowed(world, policy);
  try {
    for (const yaml of [TAX, FULL, OTHER]) {
      const specs = await specsOf(yaml);
      const { plan, refusals, results, left } = await reconcile(specs, {
        kinds,
        door,
        allow: ALLOW,
        dryRun: false,
        waitMs: 0,
        allowUnproven: true,
      });
      const failed = results.find(({ result }) => result !== 'applied');
      if (failed) return `${failed.id}: ${failed.why}`;
      if (refusals.length > 0 || plan.blocked.length > 0 || left?.waves.length !== 0)
        return JSON.stringify([refusals, plan.blocked, left?.waves]);
    }
    // A boundary is not known before the role has it; in the end everything is.
    const last = await reconcile(await specsOf(OTHER), { kinds, door, allow: [], dryRun: true, waitMs: 0 });
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
  await using world = await aWorld();
  await world.reconcile();
  const policy = await policyFor(TAX, { apply: false, verify: false });
  expect(actionsOf(policy).filter((action) => !/:(Get|List|Describe)/.test(action))).toEqual([]);
  expect(actionsOf(policy)).not.toContain('s3:GetObject');
  const { door, close } = await allowed(world, policy);
  const specs = await specsOf(TAX.replace('prefix: Tax/', 'prefix: Taxes/'));
  const { plan, proof } = await reconcile(specs, { kinds, door, allow: [], dryRun: true, waitMs: 0 });
  close();
  expect(plan.blocked).toEqual([]);
  expect(plan.waves.flat().length).toBeGreaterThan(0);
  expect(proof.every(({ verdict }) => verdict === 'proven')).toBe(true);
});

test('canaries need the objects, and with them arrive', async () => {
  await using world = await aWorld();
  await world.reconcile();
  const { door, close } = await allowed(world, await policyFor(TAX, { apply: false, verify: true }));
  const [pair] = world.specs.pairs;
  if (!pair) throw new Error('no pair');
  const results = await canaries(pair, { door, pairs: world.specs.pairs, timeoutMs: 5_000 });
  close();
  expect(results.map(({ result, left }) => ({ result, left }))).toEqual([
    { result: 'replicated', left: undefined },
    { result: 'replicated', left: undefined },
  ]);
});

test('and nothing less suffices, to write them, to take them away, and to look at the newest objects', async () => {
  await using world = await aWorld();
  await world.reconcile();
  await world.door.send(
    { region: REGION },
    new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/2026.pdf', Body: 'x', Tagging: 'team=tax' }),
  );
  const [pair] = world.specs.pairs;
  if (!pair) throw new Error('no pair');
  let count = 0;
  const suffices = async (policy: Policy): Promise<boolean> => {
    const { door, close } = await allowed(world, policy, `least-${count++}`);
    try {
      const results = await canaries(pair, { door, pairs: world.specs.pairs, timeoutMs: 2_000 });
      if (results.some(({ result, left }) => result !== 'replicated' || left)) return false;
      return (await seeObjects(door, world.specs.pairs)).byStatus.COMPLETED === 1;
    } catch {
      return false;
    } finally {
      close();
    }
  };
  const policy = await policyFor(TAX, { apply: false, verify: true });
  const plain = new Set(actionsOf(await policyFor(TAX, { apply: false, verify: false })));
  const more = actionsOf(policy).filter((action) => !plain.has(action));
  expect(more.length).toBeGreaterThan(5);
  expect(await suffices(policy)).toBe(true);
  const spared: string[] = [];
  for (const action of more) if (await suffices(without(policy, action))) spared.push(action);
  // S3 asks for it where it uses a Bucket Key again; the sandbox does not.
  expect(spared).toEqual(['kms:Decrypt']);
}, 120_000);

test('who may ask who changed something, is told it, and nobody else is', async () => {
  await using world = await aWorld();
  const purpose = { apply: true, verify: true };
  const plain = await policyFor(TAX, purpose);
  const policy = await policyFor(TAX, { ...purpose, whoChanged: true });
  const added = [policy.Statement]
    .flat()
    .filter((one) => [one.Action].flat().includes('cloudtrail:LookupEvents'));
  expect(added).toEqual([{ Effect: 'Allow', Action: ['cloudtrail:LookupEvents'], Resource: ['*'] }]);
  expect([policy.Statement].flat().filter((one) => !added.includes(one))).toEqual(plain.Statement);

  const sought = { event: 'CreateRole', from: Date.now() - 60_000, to: Date.now() + 60_000 };
  const may = await allowed(world, policy, 'may');
  const mayNot = await allowed(world, plain, 'may-not');
  expect(await lookUp(may.door, { region: REGION }, sought)).toMatchObject([
    { EventName: 'CreateRole', Username: 'root' },
    { EventName: 'CreateRole', Username: 'root' },
  ]);
  await expect(lookUp(mayNot.door, { region: REGION }, sought)).rejects.toMatchObject({
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
