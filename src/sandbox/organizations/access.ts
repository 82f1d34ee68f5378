import { partitionOfRegion } from '../../util/arn.ts';
import { toNamedPolicy } from '../authorize.ts';
import { AwsError, constraintError } from '../aws-error.ts';
import { authorizeCaller, type Call, pageOf } from '../call.ts';
import type { OrganizationState } from '../state.ts';
import { findOrganization, organizationArnOf } from './organization.ts';

/** Checks of every request to Organizations, and its errors. */

export const organizationsError = (code: string, message: string, reason?: string): AwsError =>
  new AwsError(400, code, message, reason === undefined ? {} : { Reason: reason });

export const accountNotFoundError = (): AwsError =>
  organizationsError('AccountNotFoundException', "You specified an account that doesn't exist.");

export const constraintViolationError = (reason: string, message: string): AwsError =>
  organizationsError('ConstraintViolationException', message, reason);

/** Operations that a resource-based delegation policy can allow (Organizations User Guide, "Supported actions"). */
const DELEGABLE_OPERATION =
  /^(Describe|List)|^(Create|Update|Delete|Attach|Detach)Policy$|^(Enable|Disable)PolicyType$/;

/**
 * Returns the caller's organization. The management account may call every operation that its identity policies allow.
 * A delegated administrator may read. Other member accounts need a resource-based delegation policy.
 *
 * @throws AwsError AWSOrganizationsNotInUseException or AccessDeniedException.
 */
export function getAuthorizedOrganization(call: Call, resource = '*'): OrganizationState {
  const organization = requireOrganization(call);
  const isManagement = call.caller.account === organization.managementAccount;
  const isReader =
    organization.delegatedAdministrators.has(call.caller.account) && /^(Describe|List)/.test(call.operation);
  if (isManagement || isReader) {
    if (authorizeCaller(call, { action: organizationsActionOf(call), resource }).allowed) return organization;
    throw organizationsDeniedError(call, resource);
  }
  const { resourcePolicy } = organization;
  const { allowed } =
    resourcePolicy !== undefined && DELEGABLE_OPERATION.test(call.operation)
      ? authorizeCaller(call, {
          action: organizationsActionOf(call),
          resource,
          resourceAccount: organization.managementAccount,
          resourcePolicy: toNamedPolicy(call.store, 'delegation policy', resourcePolicy),
        })
      : { allowed: false };
  if (allowed) return organization;
  throw organizationsError('AccessDeniedException', "You don't have permissions to access this resource.");
}

/** Returns the caller's organization for an operation that every member account may call. */
export function getOwnOrganization(call: Call): OrganizationState {
  const organization = requireOrganization(call);
  const resource = organizationArnOf(organization);
  if (authorizeCaller(call, { action: organizationsActionOf(call), resource }).allowed) return organization;
  throw organizationsDeniedError(call, resource);
}

/** Checks the identity policies of a caller whose account has no organization yet. */
export function requireIdentityAccess(call: Call): void {
  if (!authorizeCaller(call, { action: organizationsActionOf(call), resource: '*' }).allowed)
    throw organizationsDeniedError(call, '*');
}

function requireOrganization(call: Call): OrganizationState {
  const organization = findOrganization(call.store, call.caller.account);
  if (organization) return organization;
  throw organizationsError(
    'AWSOrganizationsNotInUseException',
    'Your account is not a member of an organization.',
  );
}

const organizationsActionOf = ({ operation }: Call): string => `organizations:${operation}`;

const organizationsDeniedError = (call: Call, resource: string): AwsError =>
  organizationsError(
    'AccessDeniedException',
    `User: ${call.caller.arn} is not authorized to perform: ${organizationsActionOf(call)} on resource: ${resource}`,
  );

export const callerPartition = ({ region }: Call): string => partitionOfRegion(region);

/** Lists of Organizations have at most 20 items on a page. */
const MAX_ORGANIZATIONS_PAGE = 20;

/** Returns a page of a list, with the member that contains the items. */
export function organizationsPageOf<K extends string, T>(
  member: K,
  items: readonly T[],
  {
    MaxResults = MAX_ORGANIZATIONS_PAGE,
    NextToken,
  }: { MaxResults?: number | undefined; NextToken?: string | undefined },
): Record<K, T[]> & { NextToken?: string } {
  if (MaxResults < 1 || MaxResults > MAX_ORGANIZATIONS_PAGE) {
    const constraint =
      MaxResults < 1
        ? 'Member must have value greater than or equal to 1'
        : `Member must have value less than or equal to ${MAX_ORGANIZATIONS_PAGE}`;
    throw constraintError('ValidationException', MaxResults, 'maxResults', constraint);
  }
  const { items: page, next } = pageOf(items, MaxResults, NextToken);
  return { [member]: page, ...(next === undefined ? {} : { NextToken: next }) } as Record<K, T[]> & {
    NextToken?: string;
  };
}

/**
 * Returns the id of a root, unit or account of the organization.
 *
 * @throws AwsError of `code`.
 */
export function requireTarget(
  { rootId, units, accounts }: OrganizationState,
  id: string,
  code: string,
  subject: string,
): string {
  if (id === rootId || units.has(id) || accounts.has(id)) return id;
  throw organizationsError(code, `You specified ${subject} that doesn't exist.`);
}
