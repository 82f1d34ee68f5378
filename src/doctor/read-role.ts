import {
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
} from '@aws-sdk/client-iam';
import { defined } from '../core/canonical.ts';
import type { Fact, RoleFacts } from '../core/observed.ts';
import type { Aws, Place } from '../core/resource.ts';
import type { Policy } from '../iam/types.ts';
import { policyOf } from '../kinds/policy-text.ts';
import { type Atlas, placeOf } from './atlas.ts';
import { fact } from './fact.ts';

/** A role by its ARN, with every policy that has a say in what it may do. */
export async function readRole(aws: Aws, arn: string, atlas: Atlas): Promise<Fact<RoleFacts>> {
  const at = placeOf(arn, atlas, atlas.region);
  const RoleName = arn.slice(arn.lastIndexOf('/') + 1);
  const ask = <T>(operation: string, answer: Promise<T>) =>
    fact(answer, `iam:${operation}`, at, 'NoSuchEntityException');
  const answer = await ask('GetRole', aws.send(at, new GetRoleCommand({ RoleName })));
  if (answer === null || 'unread' in answer) return answer;
  // A role of that name may be of another account, or of another path.
  if (answer.Role?.Arn !== arn) return null;
  const boundaryArn = answer.Role.PermissionsBoundary?.PermissionsBoundaryArn;
  const [policies, boundary] = await Promise.all([
    ask('ListRolePolicies', policiesOf(aws, at, RoleName)),
    boundaryArn === undefined ? null : ask('GetPolicy', managedPolicy(aws, at, boundaryArn)),
  ]);
  return { trust: policyOf(answer.Role.AssumeRolePolicyDocument ?? '{"Statement":[]}'), policies, boundary };
}

async function policiesOf(aws: Aws, at: Place, RoleName: string): Promise<Record<string, Policy>> {
  const names: string[] = [];
  for (let Marker: string | undefined; ; ) {
    const page = await aws.send(at, new ListRolePoliciesCommand(defined({ RoleName, Marker })));
    names.push(...(page.PolicyNames ?? []));
    if (!page.IsTruncated) break;
    Marker = page.Marker;
  }
  const attached: string[] = [];
  for (let Marker: string | undefined; ; ) {
    const page = await aws.send(at, new ListAttachedRolePoliciesCommand(defined({ RoleName, Marker })));
    attached.push(...(page.AttachedPolicies ?? []).flatMap(({ PolicyArn }) => PolicyArn ?? []));
    if (!page.IsTruncated) break;
    Marker = page.Marker;
  }
  const documents = await Promise.all([
    ...names.map(async (PolicyName): Promise<[string, Policy]> => {
      const { PolicyDocument = '{"Statement":[]}' } = await aws.send(
        at,
        new GetRolePolicyCommand({ RoleName, PolicyName }),
      );
      return [PolicyName, policyOf(PolicyDocument)];
    }),
    ...attached.map(async (arn): Promise<[string, Policy]> => [arn, await managedPolicy(aws, at, arn)]),
  ]);
  return Object.fromEntries(documents);
}

async function managedPolicy(aws: Aws, at: Place, PolicyArn: string): Promise<Policy> {
  const { Policy } = await aws.send(at, new GetPolicyCommand({ PolicyArn }));
  const VersionId = Policy?.DefaultVersionId ?? 'v1';
  const { PolicyVersion } = await aws.send(at, new GetPolicyVersionCommand({ PolicyArn, VersionId }));
  return policyOf(PolicyVersion?.Document ?? '{"Statement":[]}');
}
