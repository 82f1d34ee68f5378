import { type AccountFacts, type Facts, factValue } from '../core/facts.ts';
import type { OrganizationKeys } from './decide.ts';

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
