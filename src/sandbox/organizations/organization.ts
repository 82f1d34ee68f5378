import { randomBytes } from 'node:crypto';
import type { Root } from '@aws-sdk/client-organizations';
import type { ControlPolicyKind, OrganizationPolicyState, OrganizationState } from '../state.ts';
import type { Store } from '../store.ts';

/** Returns the organization of an account; undefined for an account without one. */
export function findOrganization(store: Store, account: string): OrganizationState | undefined {
  for (const { organization } of store.accounts())
    if (organization?.accounts.has(account)) return organization;
  return undefined;
}

/** Saves an organization, which the state of its management account contains. */
export const markOrganizationChanged = (store: Store, { managementAccount }: OrganizationState): void =>
  store.markChanged(store.account(managementAccount));

/** Returns random text in the alphabet of the ids of organizations. */
export function randomIdText(length: number): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
  return [...randomBytes(length)].map((byte) => alphabet[byte % 36]).join('');
}

/** Returns the ids of the root, of the units and of an account or unit, from the root to it. */
export function ancestryOf(organization: OrganizationState, id: string): string[] {
  const parent = organization.accounts.get(id)?.parent ?? organization.units.get(id)?.parent;
  return parent === undefined ? [id] : [...ancestryOf(organization, parent), id];
}

/**
 * Returns the path of an account, as the condition key aws:PrincipalOrgPaths has it:
 * `o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/`.
 */
export const orgPathOf = (organization: OrganizationState, account: string): string =>
  [organization.id, ...ancestryOf(organization, account).slice(0, -1), ''].join('/');

const organizationsArn = (
  { partition, managementAccount, id }: OrganizationState,
  resource: string,
): string => `arn:${partition}:organizations::${managementAccount}:${resource.replace('/', `/${id}/`)}`;

export const organizationArnOf = ({ partition, managementAccount, id }: OrganizationState): string =>
  `arn:${partition}:organizations::${managementAccount}:organization/${id}`;

/** Returns the ARN of the root, of a unit or of an account. */
export function targetArnOf(organization: OrganizationState, id: string): string {
  const type = id.startsWith('r-') ? 'root' : id.startsWith('ou-') ? 'ou' : 'account';
  return organizationsArn(organization, `${type}/${id}`);
}

export const handshakeArnOf = (organization: OrganizationState, id: string): string =>
  organizationsArn(organization, `handshake/invite/${id}`);

export const policyArnOf = (
  organization: OrganizationState,
  { id, type, isAwsManaged }: Pick<OrganizationPolicyState, 'id' | 'type' | 'isAwsManaged'>,
): string =>
  isAwsManaged
    ? `arn:${organization.partition}:organizations::aws:policy/${type.toLowerCase()}/${id}`
    : organizationsArn(organization, `policy/${type.toLowerCase()}/${id}`);

/** AWS managed policies, which are attached to each target when their type is enabled. */
export const MANAGED_POLICIES: Record<ControlPolicyKind, Omit<OrganizationPolicyState, 'targets'>> = {
  SERVICE_CONTROL_POLICY: {
    id: 'p-FullAWSAccess',
    name: 'FullAWSAccess',
    description: 'Allows access to every operation',
    type: 'SERVICE_CONTROL_POLICY',
    isAwsManaged: true,
    content: JSON.stringify(
      { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] },
      null,
      2,
    ),
  },
  RESOURCE_CONTROL_POLICY: {
    id: 'p-RCPFullAWSAccess',
    name: 'RCPFullAWSAccess',
    description: 'Allows full access to every resource',
    type: 'RESOURCE_CONTROL_POLICY',
    isAwsManaged: true,
    content: JSON.stringify(
      {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: '*', Action: '*', Resource: '*' }],
      },
      null,
      2,
    ),
  },
};

/** Returns the ids of the root, the units and the accounts: what a policy can be attached to. */
export const targetIdsOf = ({ rootId, units, accounts }: OrganizationState): string[] => [
  rootId,
  ...units.keys(),
  ...accounts.keys(),
];

/** Attaches the AWS managed policies of the enabled types to a new unit or account. */
export function attachManagedPolicies({ policyTypes, policies }: OrganizationState, target: string): void {
  for (const type of policyTypes) policies.get(MANAGED_POLICIES[type].id)?.targets.push(target);
}

export const toRoot = (organization: OrganizationState): Root => ({
  Id: organization.rootId,
  Arn: targetArnOf(organization, organization.rootId),
  Name: 'Root',
  PolicyTypes: organization.policyTypes.map((Type) => ({ Type, Status: 'ENABLED' })),
});
