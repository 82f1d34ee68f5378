import { accountOfArn, roleArnOf, toList } from './context.ts';
import type { Principal } from './types.ts';

/**
 * How an element names who asks: directly (the role, the session, the service, everybody), or only through the account,
 * which leaves the account's own identity policies to decide.
 */
export type PrincipalMatch = 'direct' | 'account' | undefined;

export function matchPrincipal(element: Principal, principal: string): PrincipalMatch {
  // AWS takes "*" and {"AWS": "*"} for the same: everybody, services too.
  if (element === '*' || toList(element.AWS).includes('*')) return 'direct';
  if (!principal.startsWith('arn:'))
    return toList(element.Service).includes(principal) ? 'direct' : undefined;
  const account = accountOfArn(principal);
  let match: PrincipalMatch;
  for (const value of toList(element.AWS)) {
    if (value === principal || isSameRole(value, principal)) return 'direct';
    if (value === account && ACCOUNT_ROOT_ARN.test(principal)) return 'direct';
    if (value === account || (ACCOUNT_ROOT_ARN.test(value) && accountOfArn(value) === account))
      match = 'account';
  }
  return match;
}

/** Whether an ARN means the root of an account, which stands for the account as a whole. */
export const ACCOUNT_ROOT_ARN = /^arn:[^:]+:iam::\d{12}:root$/;

/**
 * A role's ARN stands for its sessions. A session's ARN leaves the role's path out, so that names are compared by the
 * last part: names are unique in an account.
 */
function isSameRole(arn: string, principal: string): boolean {
  const role = roleArnOf(principal);
  if (arn === role) return true;
  const [a, b] = [qualifiedRoleName(arn), qualifiedRoleName(role)];
  return a !== undefined && a === b && principal.includes(':assumed-role/');
}

function qualifiedRoleName(arn: string): string | undefined {
  const [, account, name] = /^arn:[^:]+:iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/.exec(arn) ?? [];
  return name === undefined ? undefined : `${account}/${name}`;
}
