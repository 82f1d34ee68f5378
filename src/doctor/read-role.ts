import {
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
  type ListRolePoliciesCommandOutput,
  type Role,
} from '@aws-sdk/client-iam';
import { defined } from '../canonical.ts';
import { type Fact, isUnread, type RoleFacts } from '../core/observed.ts';
import { type Following, pages } from '../core/pages.ts';
import type { Aws, Place } from '../core/resource.ts';
import type { Policy } from '../iam/types.ts';
import { policyOf } from '../kinds/policy-text.ts';
import { type Atlas, placeOf } from './atlas.ts';
import { fact } from './fact.ts';

/** A role by its ARN, with every policy that has a say in what it may do. */
export async function readRole(aws: Aws, arn: string, atlas: Atlas): Promise<Fact<RoleFacts>> {
  const found = await readRoleNamed(
    aws,
    arn.slice(arn.lastIndexOf('/') + 1),
    placeOf(arn, atlas, atlas.region),
  );
  if (found === null || isUnread(found)) return found;
  // A role of that name may be of another account, or of another path.
  return found.arn === arn ? found.facts : null;
}

/** The same by its name in an account; all that is asked of it is asked at once. */
export async function readRoleNamed(
  aws: Aws,
  RoleName: string,
  at: Place,
): Promise<Fact<{ arn: string; facts: RoleFacts }>> {
  const ask = <T>(operation: string, answer: Promise<T>) =>
    fact(answer, `iam:${operation}`, at, 'NoSuchEntityException');
  const [answer, policies] = await Promise.all([
    ask('GetRole', aws.send(at, new GetRoleCommand({ RoleName }))),
    ask('ListRolePolicies', policiesOf(aws, at, RoleName)),
  ]);
  if (answer === null || isUnread(answer)) return answer;
  const boundaryArn = answer.Role?.PermissionsBoundary?.PermissionsBoundaryArn;
  const boundary =
    boundaryArn === undefined ? null : await ask('GetPolicy', managedPolicy(aws, at, boundaryArn));
  const trust = await ask('GetRole', trustOf(answer.Role));
  return { arn: answer.Role?.Arn ?? '', facts: { trust, policies, boundary } };
}

const trustOf = async (role: Role | undefined): Promise<Policy> =>
  policyOf(role?.AssumeRolePolicyDocument ?? '{"Statement":[]}');

async function policiesOf(aws: Aws, at: Place, RoleName: string): Promise<Record<string, Policy>> {
  const [names, attached] = await Promise.all([
    inlinePolicies(aws, at, RoleName),
    attachedPolicies(aws, at, RoleName),
  ]);
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

async function inlinePolicies(aws: Aws, at: Place, RoleName: string): Promise<string[]> {
  const names: string[] = [];
  const all = pages(
    (Marker) => aws.send(at, new ListRolePoliciesCommand(defined({ RoleName, Marker }))),
    following,
  );
  for await (const page of all) names.push(...(page.PolicyNames ?? []));
  return names;
}

async function attachedPolicies(aws: Aws, at: Place, RoleName: string): Promise<string[]> {
  const arns: string[] = [];
  const all = pages(
    (Marker) => aws.send(at, new ListAttachedRolePoliciesCommand(defined({ RoleName, Marker }))),
    following,
  );
  for await (const page of all)
    arns.push(...(page.AttachedPolicies ?? []).flatMap(({ PolicyArn }) => PolicyArn ?? []));
  return arns;
}

type Page = Pick<ListRolePoliciesCommandOutput, 'IsTruncated' | 'Marker'>;

const following = ({ IsTruncated, Marker }: Page): Following => ({
  more: IsTruncated,
  marker: Marker,
});

async function managedPolicy(aws: Aws, at: Place, PolicyArn: string): Promise<Policy> {
  const { Policy } = await aws.send(at, new GetPolicyCommand({ PolicyArn }));
  const VersionId = Policy?.DefaultVersionId ?? 'v1';
  const { PolicyVersion } = await aws.send(at, new GetPolicyVersionCommand({ PolicyArn, VersionId }));
  return policyOf(PolicyVersion?.Document ?? '{"Statement":[]}');
}
