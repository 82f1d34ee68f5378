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
import { type PageCursor, paginate } from '../aws/paginate.ts';
import { type Fact, isUnread, type RoleFacts } from '../core/facts.ts';
import type { Aws, Location } from '../core/resource.ts';
import type { Policy } from '../iam/types.ts';
import { parsePolicyDocument } from '../kinds/policy-document.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { type Locations, locationOfArn } from './locations.ts';
import { readFact } from './read-fact.ts';

/** A role by its ARN, with every policy that has a say in what it may do. */
export async function readRoleFacts(aws: Aws, arn: string, locations: Locations): Promise<Fact<RoleFacts>> {
  const role = await readRoleFactsByName(
    aws,
    arn.slice(arn.lastIndexOf('/') + 1),
    locationOfArn(arn, locations, locations.region),
  );
  if (role === null || isUnread(role)) return role;
  // A role of that name may be of another account, or of another path.
  return role.arn === arn ? role.facts : null;
}

/** The same by its name in an account; all that is asked of it is asked at once. */
export async function readRoleFactsByName(
  aws: Aws,
  RoleName: string,
  location: Location,
): Promise<Fact<{ arn: string; facts: RoleFacts }>> {
  const readIamFact = <T>(operation: string, response: Promise<T>) =>
    readFact(response, `iam:${operation}`, location, 'NoSuchEntityException');
  const [response, policies] = await Promise.all([
    readIamFact('GetRole', aws.send(location, new GetRoleCommand({ RoleName }))),
    readIamFact('ListRolePolicies', readRolePolicies(aws, location, RoleName)),
  ]);
  if (response === null || isUnread(response)) return response;
  const boundaryArn = response.Role?.PermissionsBoundary?.PermissionsBoundaryArn;
  const boundary =
    boundaryArn === undefined
      ? null
      : await readIamFact('GetPolicy', readManagedPolicy(aws, location, boundaryArn));
  const trust = await readIamFact('GetRole', parseTrustPolicy(response.Role));
  return { arn: response.Role?.Arn ?? '', facts: { trust, policies, boundary } };
}

const parseTrustPolicy = async (role: Role | undefined): Promise<Policy> =>
  parsePolicyDocument(role?.AssumeRolePolicyDocument ?? '{"Statement":[]}');

async function readRolePolicies(
  aws: Aws,
  location: Location,
  RoleName: string,
): Promise<Record<string, Policy>> {
  const [inlineNames, attachedArns] = await Promise.all([
    listInlinePolicies(aws, location, RoleName),
    listAttachedPolicies(aws, location, RoleName),
  ]);
  const documents = await Promise.all([
    ...inlineNames.map(async (PolicyName): Promise<[string, Policy]> => {
      const { PolicyDocument = '{"Statement":[]}' } = await aws.send(
        location,
        new GetRolePolicyCommand({ RoleName, PolicyName }),
      );
      return [PolicyName, parsePolicyDocument(PolicyDocument)];
    }),
    ...attachedArns.map(
      async (arn): Promise<[string, Policy]> => [arn, await readManagedPolicy(aws, location, arn)],
    ),
  ]);
  return Object.fromEntries(documents);
}

async function listInlinePolicies(aws: Aws, location: Location, RoleName: string): Promise<string[]> {
  const names: string[] = [];
  const pageIterator = paginate(
    (Marker) => aws.send(location, new ListRolePoliciesCommand(omitUndefined({ RoleName, Marker }))),
    nextIamPage,
  );
  for await (const page of pageIterator) names.push(...(page.PolicyNames ?? []));
  return names;
}

async function listAttachedPolicies(aws: Aws, location: Location, RoleName: string): Promise<string[]> {
  const arns: string[] = [];
  const pageIterator = paginate(
    (Marker) => aws.send(location, new ListAttachedRolePoliciesCommand(omitUndefined({ RoleName, Marker }))),
    nextIamPage,
  );
  for await (const page of pageIterator)
    arns.push(...(page.AttachedPolicies ?? []).flatMap(({ PolicyArn }) => PolicyArn ?? []));
  return arns;
}

type IamPage = Pick<ListRolePoliciesCommandOutput, 'IsTruncated' | 'Marker'>;

const nextIamPage = ({ IsTruncated, Marker }: IamPage): PageCursor => ({
  hasMore: IsTruncated,
  marker: Marker,
});

async function readManagedPolicy(aws: Aws, location: Location, PolicyArn: string): Promise<Policy> {
  const { Policy } = await aws.send(location, new GetPolicyCommand({ PolicyArn }));
  const VersionId = Policy?.DefaultVersionId ?? 'v1';
  const { PolicyVersion } = await aws.send(location, new GetPolicyVersionCommand({ PolicyArn, VersionId }));
  return parsePolicyDocument(PolicyVersion?.Document ?? '{"Statement":[]}');
}
