import {
  type AccountFacts,
  type Fact,
  type Facts,
  factValue,
  isUnread,
  unreadReasonOf,
} from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import type { AccessRequest, ControlPolicyLevel, Policies } from '../iam/types.ts';
import { keyFactOf } from './policies.ts';

/** The control policies that limit a request. */
export interface ApplicableControlPolicies {
  policies: Pick<Policies, 'scps' | 'rcps'>;
  /** Control policies that limit the request, and that replikey did not read: `SCPs of account 111122223333`. */
  unread: string[];
  /** Why a read of these failed: `the control policies of account 111122223333 cannot be read: REASON`. Absent: none failed. */
  failure?: string;
}

/**
 * Returns the control policies that limit a request: the SCPs of the account of a role, and the RCPs of the account of
 * the resource. SCPs do not limit services. RCPs do not limit the keys that AWS manages.
 */
export function applicableControlPolicies(
  facts: Facts,
  { principal, action, resource, resourceAccount }: AccessRequest,
): ApplicableControlPolicies {
  const isManagedKey = action.startsWith('kms:') && factValue(keyFactOf(facts, resource))?.manager === 'AWS';
  const scps = principal.startsWith('arn:') ? readLevelsOf(facts, accountOfArn(principal), 'scps') : [];
  const rcps = isManagedKey ? [] : readLevelsOf(facts, resourceAccount, 'rcps');
  const failure =
    (isRead(scps) ? undefined : failureOf(facts, accountOfArn(principal), 'scps')) ??
    (isRead(rcps) ? undefined : failureOf(facts, resourceAccount, 'rcps'));
  return {
    policies: { ...(isRead(scps) && { scps }), ...(isRead(rcps) && { rcps }) },
    unread: [scps, rcps].filter((levels) => !isRead(levels)) as string[],
    ...(failure !== undefined && { failure }),
  };
}

/** Returns why a read failed. Undefined if nothing was read, or for an account outside the organization. */
function failureOf(facts: Facts, id: string, part: 'scps' | 'rcps'): string | undefined {
  const account = facts.accounts?.[id];
  const failed = [account, factValue(account)?.[part]].find(isUnread);
  return failed && `the control policies of account ${id} cannot be read: ${failed.unread}`;
}

const isRead = (levels: ControlPolicyLevel[] | string): levels is ControlPolicyLevel[] =>
  typeof levels !== 'string';

/** Returns the levels of an account; none if no policy limits it; a label of the policies if they were not read. */
function readLevelsOf(facts: Facts, account: string, part: 'scps' | 'rcps'): ControlPolicyLevel[] | string {
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
