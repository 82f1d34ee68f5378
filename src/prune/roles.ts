import { GetAccountAuthorizationDetailsCommand, type RoleDetail } from '@aws-sdk/client-iam';
import { defined } from '../canonical.ts';
import { pages } from '../core/pages.ts';
import type { Aws, Place } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import { POLICY_NAME } from '../kinds/iam-role-policy.ts';
import { policyOf } from '../kinds/policy-text.ts';
import { tagMap } from '../kinds/tags.ts';

/** A role as IAM lists it, as far as it tells what is left of specs. */
export interface RoleFound {
  name: string;
  arn: string;
  at: Place;
  tags: Record<string, string>;
  /** Of our inline policy. */
  statements: Statement[];
  /** The names of all its other policies. */
  others: string[];
}

/** Every role of an account with its tags and policies, in bulk: one call for a thousand of them. */
export async function rolesIn(aws: Aws, at: Place): Promise<RoleFound[]> {
  const roles: RoleFound[] = [];
  const all = pages(
    (Marker) =>
      aws.send(
        at,
        new GetAccountAuthorizationDetailsCommand(
          defined({ Filter: ['Role' as const], MaxItems: 1_000, Marker }),
        ),
      ),
    ({ IsTruncated, Marker }) => ({ more: IsTruncated, marker: Marker }),
  );
  for await (const page of all) roles.push(...(page.RoleDetailList ?? []).map((role) => found(role, at)));
  return roles;
}

function found(role: RoleDetail, at: Place): RoleFound {
  const inline = role.RolePolicyList ?? [];
  const ours = inline.find(({ PolicyName }) => PolicyName === POLICY_NAME);
  const others = [...inline.filter((one) => one !== ours), ...(role.AttachedManagedPolicies ?? [])];
  return {
    name: role.RoleName ?? '',
    arn: role.Arn ?? '',
    at,
    tags: tagMap(role.Tags),
    statements: [policyOf(ours?.PolicyDocument ?? '{"Statement":[]}').Statement].flat(),
    others: others.map(({ PolicyName = '' }) => PolicyName),
  };
}
