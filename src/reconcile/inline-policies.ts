import { type Facts, factValue } from '../core/facts.ts';
import { ROLE_POLICY_NAME } from '../core/ids.ts';
import type { Resource } from '../core/resource.ts';
import { accountOfArn } from '../iam/context.ts';
import { iamRolePolicy, type RolePolicyContext, sizeOfPolicy } from '../kinds/iam-role-policy.ts';
import { nameInArn } from '../util/arn.ts';

/**
 * Adds to the policies of roles the size of the other inline policies of the role: IAM limits all of them together.
 * Pure.
 *
 * @param accountIdOf returns the account id of a resource
 */
export function addInlineSizes(
  resources: readonly Resource[],
  facts: Facts,
  accountIdOf: (resource: Resource) => string,
): Resource[] {
  const sizes = new Map<string, number>();
  for (const [arn, fact] of Object.entries(facts.roles)) {
    const otherDocuments = Object.entries(factValue(factValue(fact)?.policies) ?? {}).filter(
      // Attached policies have ARNs as names, and limits of their own.
      ([name]) => name !== ROLE_POLICY_NAME && !name.startsWith('arn:'),
    );
    const size = otherDocuments.reduce((sum, [, policy]) => sum + sizeOfPolicy(policy), 0);
    sizes.set(`${accountOfArn(arn)} ${nameInArn(arn)}`, size);
  }
  return resources.map((resource) => {
    if (resource.kind !== iamRolePolicy.name) return resource;
    const otherPolicies = sizes.get(`${accountIdOf(resource)} ${resource.name}`) ?? 0;
    return otherPolicies === 0
      ? resource
      : {
          ...resource,
          context: {
            ...(resource.context as object | undefined),
            otherPolicies,
          } satisfies Partial<RolePolicyContext>,
        };
  });
}
