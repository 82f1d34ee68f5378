import { type AccountFacts, type Fact, type Facts, factValue, unreadReasonOf } from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import type { AccessRequest, ControlPolicyLevel, Policies } from '../iam/types.ts';
import type { OrganizationKeys } from './decide.ts';
import { keyFactOf } from './policies.ts';

/** The control policies that limit a request. */
export interface ApplicableControlPolicies {
  policies: Pick<Policies, 'scps' | 'rcps'>;
  /** Control policies that limit the request, and that replikey did not read: `SCPs of account 111122223333`. */
  unread: string[];
}

/**
 * Returns the control policies that limit a request: the SCPs of the account of a role, and the RCPs of the account of
 * the resource. SCPs do not limit services. RCPs do not limit the keys that AWS manages.
 */
export function controlPoliciesFor(
  facts: Facts,
  { principal, action, resource, resourceAccount }: AccessRequest,
): ApplicableControlPolicies {
  const isManagedKey = action.startsWith('kms:') && factValue(keyFactOf(facts, resource))?.manager === 'AWS';
  const scps = principal.startsWith('arn:') ? levelsOf(facts, accountOfArn(principal), 'scps') : [];
  const rcps = isManagedKey ? [] : levelsOf(facts, resourceAccount, 'rcps');
  return {
    policies: { ...(isRead(scps) && { scps }), ...(isRead(rcps) && { rcps }) },
    unread: [scps, rcps].filter((levels) => !isRead(levels)) as string[],
  };
}

const isRead = (levels: ControlPolicyLevel[] | string): levels is ControlPolicyLevel[] =>
  typeof levels !== 'string';

/** Returns the levels of an account; none if no policy limits it; a label of the policies if they were not read. */
function levelsOf(facts: Facts, account: string, part: 'scps' | 'rcps'): ControlPolicyLevel[] | string {
  const fact = facts.accounts?.[account];
  const levels = factValue(fact)?.[part];
  const isKnown = fact === null || (factValue(fact) !== undefined && unreadReasonOf(levels) === undefined);
  if (isKnown) return factValue(levels) ?? [];
  return `${part === 'scps' ? 'SCPs' : 'RCPs'} of account ${account || 'unknown'}`;
}

/**
 * Returns why control policies of some accounts are not known: `account 111122223333: REASON`. Empty if no organization
 * was read.
 */
export function unreadReasonsOf(facts: Facts, ids: Iterable<string>): string[] {
  const accountsByReason = new Map<string, string[]>();
  for (const id of new Set(ids)) {
    const reason = unreadReasonOfAccount(facts.accounts?.[id]);
    if (facts.accounts && /^\d{12}$/.test(id) && reason !== undefined)
      accountsByReason.set(reason, [...(accountsByReason.get(reason) ?? []), id]);
  }
  return [...accountsByReason].map(
    ([reason, accounts]) =>
      `${accounts.length > 1 ? 'accounts' : 'account'} ${accounts.join(', ')}: ${reason}`,
  );
}

function unreadReasonOfAccount(fact: Fact<AccountFacts> | undefined): string | undefined {
  if (fact === null) return undefined;
  const account = factValue(fact);
  if (!account) return unreadReasonOf(fact);
  if (account.outside !== undefined) return `outside the organization ${account.outside}`;
  return unreadReasonOf(account.scps) ?? unreadReasonOf(account.rcps);
}

/** Accounts of a request by subject: the prefix of their condition keys. */
export type RequestAccounts = Partial<Record<'Principal' | 'Resource' | 'Source', string>>;

/**
 * Returns what is known about the condition keys of organizations, such as aws:PrincipalOrgID. Without facts about the
 * account, they are unknown.
 */
export function organizationKeysOf({ accounts = {} }: Facts, subjects: RequestAccounts): OrganizationKeys {
  const keys: OrganizationKeys = { context: {}, absent: [], outside: {} };
  for (const [subject, account] of Object.entries(subjects)) {
    const names = { id: `aws:${subject}OrgID`, paths: `aws:${subject}OrgPaths` };
    const facts: AccountFacts | null | undefined =
      accounts[account] === null ? null : factValue(accounts[account]);
    const membership = factValue(facts?.organization);
    if (membership)
      Object.assign(keys.context, { [names.id]: membership.id, [names.paths]: [membership.path] });
    else if (facts === null || facts?.organization === null) keys.absent.push(names.id, names.paths);
    else if (facts?.outside !== undefined) keys.outside[subject] = facts.outside;
  }
  return keys;
}
