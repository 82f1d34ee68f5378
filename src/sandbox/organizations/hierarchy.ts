import type {
  CreateOrganizationalUnitRequest,
  ListChildrenRequest,
  ListParentsRequest,
  MoveAccountRequest,
} from '@aws-sdk/client-organizations';
import type { Handlers } from '../call.ts';
import {
  accountNotFoundError,
  constraintViolationError,
  getAuthorizedOrganization,
  organizationsError,
  organizationsPageOf,
  requireTarget,
} from './access.ts';
import {
  ancestryOf,
  attachManagedPolicies,
  markOrganizationChanged,
  orgPathOf,
  randomIdText,
  targetArnOf,
  toRoot,
} from './organization.ts';

/** Levels of units below the root (Organizations User Guide, "Quotas for AWS Organizations"). */
const MAX_UNIT_DEPTH = 5;

const parentTypeOf = (id: string): 'ROOT' | 'ORGANIZATIONAL_UNIT' =>
  id.startsWith('r-') ? 'ROOT' : 'ORGANIZATIONAL_UNIT';

/** Handlers of the root and the organizational units. */
export const hierarchyHandlers: Handlers = {
  ListRoots(call, input) {
    const organization = getAuthorizedOrganization(call);
    return organizationsPageOf('Roots', [toRoot(organization)], input);
  },

  CreateOrganizationalUnit(call, { ParentId = '', Name = '' }: CreateOrganizationalUnitRequest) {
    const organization = getAuthorizedOrganization(call);
    const { units, rootId } = organization;
    if (ParentId !== rootId && !units.has(ParentId))
      throw organizationsError('ParentNotFoundException', "You specified parent that doesn't exist.");
    if (ancestryOf(organization, ParentId).length > MAX_UNIT_DEPTH)
      throw constraintViolationError('OU_DEPTH_LIMIT_EXCEEDED', 'You have exceeded the OU depth limit.');
    if ([...units.values()].some(({ parent, name }) => parent === ParentId && name === Name))
      throw organizationsError(
        'DuplicateOrganizationalUnitException',
        'An OU with the same name already exists.',
      );
    const id = `ou-${rootId.slice('r-'.length)}-${randomIdText(8)}`;
    units.set(id, { id, name: Name, parent: ParentId });
    attachManagedPolicies(organization, id);
    markOrganizationChanged(call.store, organization);
    return {
      OrganizationalUnit: {
        Id: id,
        Arn: targetArnOf(organization, id),
        Name,
        Path: `${orgPathOf(organization, id)}${id}/`,
      },
    };
  },

  ListParents(call, input: ListParentsRequest) {
    const organization = getAuthorizedOrganization(call);
    const id = input.ChildId ?? '';
    const parent = organization.accounts.get(id)?.parent ?? organization.units.get(id)?.parent;
    if (parent === undefined)
      throw organizationsError(
        'ChildNotFoundException',
        "You specified an OU or account that doesn't exist as a child.",
      );
    return organizationsPageOf('Parents', [{ Id: parent, Type: parentTypeOf(parent) }], input);
  },

  ListChildren(call, input: ListChildrenRequest) {
    const organization = getAuthorizedOrganization(call);
    const { ParentId = '', ChildType = 'ACCOUNT' } = input;
    requireTarget(organization, ParentId, 'ParentNotFoundException', 'parent');
    const { accounts, units } = organization;
    const children = [...(ChildType === 'ACCOUNT' ? accounts : units).values()]
      .filter(({ parent }) => parent === ParentId)
      .map(({ id }) => ({ Id: id, Type: ChildType }));
    return organizationsPageOf('Children', children, input);
  },

  MoveAccount(call, input: MoveAccountRequest) {
    const organization = getAuthorizedOrganization(call);
    const { AccountId = '', SourceParentId, DestinationParentId = '' } = input;
    const account = organization.accounts.get(AccountId);
    if (!account) throw accountNotFoundError();
    if (account.parent !== SourceParentId)
      throw organizationsError(
        'SourceParentNotFoundException',
        "You specified a source parent that doesn't exist.",
      );
    if (DestinationParentId !== organization.rootId && !organization.units.has(DestinationParentId))
      throw organizationsError(
        'DestinationParentNotFoundException',
        "You specified a destination parent that doesn't exist.",
      );
    account.parent = DestinationParentId;
    markOrganizationChanged(call.store, organization);
    return {};
  },
};
