import {
  CreatePolicyVersionCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import * as kms from '@aws-sdk/client-kms';
import * as s3 from '@aws-sdk/client-s3';
import type { Command } from '../../src/core/resource.ts';
import type { Policy } from '../../src/iam/types.ts';
import { policyOf } from '../../src/kinds/policy-text.ts';
import { mendedPolicy } from '../../src/proof/mend.ts';
import type { Fix } from '../../src/proof/types.ts';
import type { World } from './world.ts';

/** Carry out fixes as they are printed: calls, and each policy put back once, with all that is to change in it. */
export async function carryOut(world: World, fixes: readonly Fix[]): Promise<void> {
  const policies = new Map<string, PolicyFix[]>();
  for (const fix of fixes) {
    if ('call' in fix) await call(world, fix);
    else {
      const place = JSON.stringify(fix.policy);
      policies.set(place, [...(policies.get(place) ?? []), fix]);
    }
  }
  for (const changes of policies.values()) await change(world, changes);
}

type CallFix = Extract<Fix, { call: unknown }>;
type PolicyFix = Exclude<Fix, CallFix>;

const at = (region: string, account?: string) => (account === undefined ? { region } : { account, region });
const accountOf = ({ specs }: World, arn: string) =>
  specs.accounts.find(({ id }) => id === arn.split(':')[4])?.name;
const sideOf = ({ specs }: World, bucket: unknown) =>
  specs.pairs
    .flatMap(({ source, destination }) => [source, destination])
    .find((side) => side.bucket === bucket);

async function call(world: World, fix: CallFix): Promise<void> {
  const { service, operation, region, input } = fix.call;
  type Made = new (input: object) => Command<unknown>;
  const Named = ({ s3, kms }[service] as unknown as Record<string, Made>)[`${operation}Command`];
  if (!Named) throw new Error(`the SDK has no ${operation}`);
  const account =
    service === 's3' ? sideOf(world, input.Bucket)?.account : accountOf(world, String(input.KeyId));
  await world.door.send(at(region, account), new Named(input));
}

/** Change one policy, where it was read. */
async function change(world: World, fixes: readonly PolicyFix[]): Promise<void> {
  const { door } = world;
  const [first] = fixes;
  if (!first) return;
  const { kind, of, policy = '' } = first.policy;
  const RoleName = of.slice(of.lastIndexOf('/') + 1);
  const iam = at('us-east-1', accountOf(world, of));
  const next = (before: string | undefined): string =>
    JSON.stringify(fixes.reduce(mendedPolicy, before === undefined ? NONE : policyOf(before)));
  const newVersion = async (PolicyArn: string | undefined) => {
    const { Policy } = await door.send(iam, new GetPolicyCommand({ PolicyArn }));
    const VersionId = Policy?.DefaultVersionId;
    const { PolicyVersion } = await door.send(iam, new GetPolicyVersionCommand({ PolicyArn, VersionId }));
    const PolicyDocument = next(PolicyVersion?.Document);
    await door.send(iam, new CreatePolicyVersionCommand({ PolicyArn, PolicyDocument, SetAsDefault: true }));
  };
  if (kind === 'trust') {
    const { Role } = await door.send(iam, new GetRoleCommand({ RoleName }));
    const PolicyDocument = next(Role?.AssumeRolePolicyDocument);
    await door.send(iam, new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument }));
  } else if (kind === 'boundary') {
    const { Role } = await door.send(iam, new GetRoleCommand({ RoleName }));
    await newVersion(Role?.PermissionsBoundary?.PermissionsBoundaryArn);
  } else if (kind === 'role' && policy.startsWith('arn:')) {
    await newVersion(policy);
  } else if (kind === 'role') {
    const named = { RoleName, PolicyName: policy };
    const before = await door.send(iam, new GetRolePolicyCommand(named)).catch(() => undefined);
    const PolicyDocument = next(before?.PolicyDocument);
    await door.send(iam, new PutRolePolicyCommand({ ...named, PolicyDocument }));
  } else if (kind === 'bucket') {
    const side = sideOf(world, of);
    const there = at(side?.region ?? 'us-east-1', side?.account);
    const before = await door
      .send(there, new s3.GetBucketPolicyCommand({ Bucket: of }))
      .catch(() => undefined);
    await door.send(there, new s3.PutBucketPolicyCommand({ Bucket: of, Policy: next(before?.Policy) }));
  } else {
    const there = at(of.split(':')[3] ?? '', accountOf(world, of));
    const named = { KeyId: of, PolicyName: 'default' };
    const before = await door.send(there, new kms.GetKeyPolicyCommand(named));
    await door.send(there, new kms.PutKeyPolicyCommand({ ...named, Policy: next(before.Policy) }));
  }
}

const NONE: Policy = { Version: '2012-10-17', Statement: [] };
