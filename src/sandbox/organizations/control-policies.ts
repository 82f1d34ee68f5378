import type { ControlPolicyLevel, Policies } from '../../iam/types.ts';
import type { ControlPolicyKind, OrganizationState } from '../state.ts';
import type { Store } from '../store.ts';
import { parseDocument } from '../stored-policies.ts';
import { ancestryOf, findOrganization, orgPathOf } from './organization.ts';

/** Returns the control policies that limit a principal of one account on a resource of another, or of the same one. */
export function controlPoliciesOf(
  store: Store,
  { principalAccount, resourceAccount }: { principalAccount: string; resourceAccount: string },
): Pick<Policies, 'scps' | 'rcps'> {
  const scps = levelsOf(store, principalAccount, 'SERVICE_CONTROL_POLICY');
  const rcps = levelsOf(store, resourceAccount, 'RESOURCE_CONTROL_POLICY');
  return { ...(scps && { scps }), ...(rcps && { rcps }) };
}

/** Returns the policies of an account's levels, from the root to the account; undefined if none limit the account. */
function levelsOf(store: Store, account: string, type: ControlPolicyKind): ControlPolicyLevel[] | undefined {
  const organization = findOrganization(store, account);
  // Control policies have no effect on the management account.
  if (!organization || organization.managementAccount === account) return undefined;
  if (!organization.policyTypes.includes(type)) return undefined;
  return ancestryOf(organization, account).map((id) => levelOf(organization, id, type));
}

function levelOf(organization: OrganizationState, id: string, type: ControlPolicyKind): ControlPolicyLevel {
  const name = `${id.startsWith('r-') ? 'root' : id.startsWith('ou-') ? 'OU' : 'account'} ${id}`;
  const label = type === 'SERVICE_CONTROL_POLICY' ? 'SCP' : 'RCP';
  return {
    name,
    policies: [...organization.policies.values()]
      .filter((policy) => policy.type === type && policy.targets.includes(id))
      .map((policy) => ({
        name: `${label} "${policy.name}" (${policy.id}) attached to ${name}`,
        policy: parseDocument(policy.content),
      })),
  };
}

/**
 * Returns the condition keys of the organizations of a request (IAM User Guide, "AWS global condition context keys").
 * An account without an organization has none.
 */
export const organizationContextOf = (
  store: Store,
  accounts: Record<'Principal' | 'Resource' | 'Source', string | undefined>,
): Record<string, string | string[]> =>
  Object.fromEntries(
    Object.entries(accounts).flatMap(([subject, account]) => {
      const organization = account === undefined ? undefined : findOrganization(store, account);
      if (!organization || account === undefined) return [];
      return [
        [`aws:${subject}OrgID`, organization.id],
        [`aws:${subject}OrgPaths`, [orgPathOf(organization, account)]],
      ];
    }),
  );
