import { randomInt } from 'node:crypto';
import type {
  Account,
  CreateAccountRequest,
  CreateAccountStatus,
  Handshake,
  InviteAccountToOrganizationRequest,
  Organization,
} from '@aws-sdk/client-organizations';
import { accountRootArn } from '../../util/arn.ts';
import type { Call, Handlers } from '../call.ts';
import { createRole } from '../iam/roles.ts';
import type { OrganizationAccountState, OrganizationState } from '../state.ts';
import { replaceRoleArnsWithIds } from '../stored-policies.ts';
import {
  accountNotFoundError,
  callerPartition,
  getAuthorizedOrganization,
  getOwnOrganization,
  organizationsError,
  organizationsPageOf,
  requireIdentityAccess,
} from './access.ts';
import {
  attachManagedPolicies,
  findOrganization,
  handshakeArnOf,
  MANAGED_POLICIES,
  markOrganizationChanged,
  organizationArnOf,
  orgPathOf,
  randomIdText,
  targetArnOf,
} from './organization.ts';

/** Handlers of the organization itself and of its accounts. */
export const organizationAccountHandlers: Handlers = {
  CreateOrganization(call, { FeatureSet = 'ALL' }) {
    requireIdentityAccess(call);
    const { account } = call.caller;
    if (findOrganization(call.store, account))
      throw organizationsError(
        'AlreadyInOrganizationException',
        'The provided account is already a member of an organization.',
      );
    if (FeatureSet !== 'ALL')
      throw organizationsError(
        'InvalidInputException',
        'The sandbox creates organizations with all features only.',
        'INVALID_ENUM',
      );
    const organization: OrganizationState = {
      id: `o-${randomIdText(10)}`,
      rootId: `r-${randomIdText(4)}`,
      managementAccount: account,
      partition: callerPartition(call),
      accounts: new Map(),
      units: new Map(),
      policyTypes: [],
      policies: new Map(
        Object.values(MANAGED_POLICIES).map((policy) => [policy.id, { ...policy, targets: [] }]),
      ),
      delegatedAdministrators: new Map(),
      invitations: new Map(),
      createdAccounts: new Map(),
    };
    call.store.account(account).organization = organization;
    joinOrganization(call, organization, { id: account, joinedMethod: 'INVITED' });
    return { Organization: toOrganization(organization) };
  },

  DescribeOrganization: (call) => ({ Organization: toOrganization(getOwnOrganization(call)) }),

  ListAccounts(call, input) {
    const organization = getAuthorizedOrganization(call);
    const accounts = [...organization.accounts.values()].map((account) => toAccount(organization, account));
    return organizationsPageOf('Accounts', accounts, input);
  },

  DescribeAccount(call, { AccountId }) {
    const organization = getAuthorizedOrganization(call);
    const account = organization.accounts.get(AccountId);
    if (!account) throw accountNotFoundError();
    return { Account: toAccount(organization, account) };
  },

  CreateAccount(call, { Email = '', AccountName = '', RoleName }: CreateAccountRequest) {
    const organization = getAuthorizedOrganization(call);
    const id = String(randomInt(100_000_000_000, 999_999_999_999));
    const requestId = `car-${randomIdText(32)}`;
    joinOrganization(call, organization, { id, name: AccountName, email: Email, joinedMethod: 'CREATED' });
    createAccessRole(call, id, RoleName ?? 'OrganizationAccountAccessRole');
    organization.createdAccounts.set(requestId, { account: id, requested: call.now });
    const { AccountId: _, CompletedTimestamp: __, ...status } = toCreateStatus(organization, requestId);
    return { CreateAccountStatus: { ...status, State: 'IN_PROGRESS' } };
  },

  DescribeCreateAccountStatus(call, { CreateAccountRequestId: requestId }) {
    const organization = getAuthorizedOrganization(call);
    if (!organization.createdAccounts.has(requestId))
      throw organizationsError(
        'CreateAccountStatusNotFoundException',
        "You specified a create account request that doesn't exist.",
      );
    return { CreateAccountStatus: toCreateStatus(organization, requestId) };
  },

  InviteAccountToOrganization(call, { Target }: InviteAccountToOrganizationRequest) {
    const organization = getAuthorizedOrganization(call);
    const account = Target?.Id ?? '';
    if (Target?.Type !== 'ACCOUNT' || !/^\d{12}$/.test(account))
      throw organizationsError(
        'InvalidInputException',
        'The sandbox invites accounts by their id only.',
        'INVALID_PARTY_TYPE_TARGET',
      );
    if (findOrganization(call.store, account))
      throw organizationsError(
        'HandshakeConstraintViolationException',
        'The provided account is already a member of an organization.',
        'ALREADY_IN_AN_ORGANIZATION',
      );
    if ([...organization.invitations.values()].some((invitation) => invitation.account === account))
      throw organizationsError(
        'DuplicateHandshakeException',
        'A handshake with the same action, account, and parties already exists.',
      );
    const id = `h-${randomIdText(32)}`;
    organization.invitations.set(id, { id, account, requested: call.now });
    markOrganizationChanged(call.store, organization);
    return { Handshake: toHandshake(organization, id, 'OPEN') };
  },

  AcceptHandshake(call, { HandshakeId: id }) {
    requireIdentityAccess(call);
    const { account } = call.caller;
    const organization = [...call.store.accounts()]
      .map((candidate) => candidate.organization)
      .find((candidate) => candidate?.invitations.get(id)?.account === account);
    if (!organization)
      throw organizationsError('HandshakeNotFoundException', "You specified a handshake that doesn't exist.");
    if (findOrganization(call.store, account))
      throw organizationsError(
        'HandshakeConstraintViolationException',
        'The provided account is already a member of an organization.',
        'ALREADY_IN_AN_ORGANIZATION',
      );
    const handshake = toHandshake(organization, id, 'ACCEPTED');
    organization.invitations.delete(id);
    joinOrganization(call, organization, { id: account, joinedMethod: 'INVITED' });
    return { Handshake: handshake };
  },
};

/** Adds an account to the root. The AWS managed policies of the enabled types are attached to it. */
function joinOrganization(
  call: Call,
  organization: OrganizationState,
  account: Pick<OrganizationAccountState, 'id' | 'joinedMethod'> & Partial<OrganizationAccountState>,
): void {
  organization.accounts.set(account.id, {
    name: `account-${account.id}`,
    email: `${account.id}@example.com`,
    parent: organization.rootId,
    joined: call.now,
    ...account,
  });
  attachManagedPolicies(organization, account.id);
  markOrganizationChanged(call.store, organization);
}

/**
 * Creates the role through which the management account administers an account that CreateAccount created
 * (Organizations API Reference, CreateAccount, RoleName).
 */
function createAccessRole(call: Call, accountId: string, name: string): void {
  const account = call.store.account(accountId);
  const trust = JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: accountRootArn(call.caller.account, call.region) },
        Action: 'sts:AssumeRole',
      },
    ],
  });
  const role = createRole(
    call,
    { name, path: '/', trust: replaceRoleArnsWithIds(call.store, trust, call.now) },
    account,
  );
  role.attached.push(`arn:${callerPartition(call)}:iam::aws:policy/AdministratorAccess`);
  call.store.markChanged(account);
}

function toOrganization(organization: OrganizationState): Organization {
  const { id, managementAccount } = organization;
  return {
    Id: id,
    Arn: organizationArnOf(organization),
    FeatureSet: 'ALL',
    MasterAccountArn: targetArnOf(organization, managementAccount),
    MasterAccountId: managementAccount,
    MasterAccountEmail: organization.accounts.get(managementAccount)?.email ?? '',
    // Deprecated. AWS lists SCPs here also while they are not enabled in the root.
    AvailablePolicyTypes: [{ Type: 'SERVICE_CONTROL_POLICY', Status: 'ENABLED' }],
  };
}

const toAccount = (organization: OrganizationState, account: OrganizationAccountState): Account => ({
  Id: account.id,
  Arn: targetArnOf(organization, account.id),
  Email: account.email,
  Name: account.name,
  Status: 'ACTIVE',
  State: 'ACTIVE',
  Paths: [`${orgPathOf(organization, account.id)}${account.id}/`],
  JoinedMethod: account.joinedMethod,
  JoinedTimestamp: new Date(account.joined),
});

function toCreateStatus(organization: OrganizationState, requestId: string): CreateAccountStatus {
  const { account = '', requested = 0 } = organization.createdAccounts.get(requestId) ?? {};
  return {
    Id: requestId,
    AccountName: organization.accounts.get(account)?.name ?? '',
    State: 'SUCCEEDED',
    RequestedTimestamp: new Date(requested),
    CompletedTimestamp: new Date(requested),
    AccountId: account,
  };
}

/** An invitation expires after 15 days (Organizations API Reference, Handshake). */
const INVITATION_MS = 15 * 24 * 60 * 60 * 1000;

function toHandshake(organization: OrganizationState, id: string, state: 'OPEN' | 'ACCEPTED'): Handshake {
  const { account = '', requested = 0 } = organization.invitations.get(id) ?? {};
  return {
    Id: id,
    Arn: handshakeArnOf(organization, id),
    Parties: [
      { Id: organization.id.slice('o-'.length), Type: 'ORGANIZATION' },
      { Id: account, Type: 'ACCOUNT' },
    ],
    State: state,
    RequestedTimestamp: new Date(requested),
    ExpirationTimestamp: new Date(requested + INVITATION_MS),
    Action: 'INVITE',
    Resources: [
      { Type: 'ORGANIZATION', Value: organization.id },
      { Type: 'ACCOUNT', Value: account },
    ],
  };
}
