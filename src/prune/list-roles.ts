import { GetAccountAuthorizationDetailsCommand, type RoleDetail } from '@aws-sdk/client-iam';
import { paginate } from '../aws/paginate.ts';
import type { Aws, Location } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import { toTagMap } from '../kinds/helpers.ts';
import { ROLE_POLICY_NAME } from '../kinds/iam-role-policy.ts';
import { parsePolicyDocument } from '../kinds/policy-document.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/** A role as IAM lists it, as far as it tells what is left of specs. */
export interface ListedRole {
  name: string;
  arn: string;
  location: Location;
  tags: Record<string, string>;
  /** Of our inline policy. */
  statements: Statement[];
  /** The names of all its other policies. */
  otherPolicies: string[];
}

/** Every role of an account with its tags and policies, in bulk: one call for a thousand of them. */
export async function listRolesWithPolicies(aws: Aws, location: Location): Promise<ListedRole[]> {
  const roles: ListedRole[] = [];
  const rolePages = paginate(
    (Marker) =>
      aws.send(
        location,
        new GetAccountAuthorizationDetailsCommand(
          omitUndefined({ Filter: ['Role' as const], MaxItems: 1_000, Marker }),
        ),
      ),
    ({ IsTruncated, Marker }) => ({ hasMore: IsTruncated, marker: Marker }),
  );
  for await (const page of rolePages)
    roles.push(...(page.RoleDetailList ?? []).map((role) => toListedRole(role, location)));
  return roles;
}

function toListedRole(role: RoleDetail, location: Location): ListedRole {
  const inlinePolicies = role.RolePolicyList ?? [];
  const replikeyPolicy = inlinePolicies.find(({ PolicyName }) => PolicyName === ROLE_POLICY_NAME);
  const otherPolicies = [
    ...inlinePolicies.filter((policy) => policy !== replikeyPolicy),
    ...(role.AttachedManagedPolicies ?? []),
  ];
  return {
    name: role.RoleName ?? '',
    arn: role.Arn ?? '',
    location,
    tags: toTagMap(role.Tags),
    statements: [parsePolicyDocument(replikeyPolicy?.PolicyDocument ?? '{"Statement":[]}').Statement].flat(),
    otherPolicies: otherPolicies.map(({ PolicyName = '' }) => PolicyName),
  };
}
