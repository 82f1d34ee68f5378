import { accountOf, list, roleArnOf } from './context.ts';
import type { Principal } from './types.ts';

/**
 * How an element names who asks: directly (the role, the session, the service, everybody), or only through the account,
 * which leaves the account's own identity policies to decide.
 */
export type Named = 'direct' | 'account' | undefined;

export function namedBy(element: Principal, principal: string): Named {
  // AWS takes "*" and {"AWS": "*"} for the same: everybody, services too.
  if (element === '*' || list(element.AWS).includes('*')) return 'direct';
  if (!principal.startsWith('arn:')) return list(element.Service).includes(principal) ? 'direct' : undefined;
  const account = accountOf(principal);
  let named: Named;
  for (const one of list(element.AWS)) {
    if (one === principal || sameRole(one, principal)) return 'direct';
    if (one === account && ROOT.test(principal)) return 'direct';
    if (one === account || (ROOT.test(one) && accountOf(one) === account)) named = 'account';
  }
  return named;
}

/** Whether an ARN means the root of an account, which stands for the account as a whole. */
export const ROOT = /^arn:[^:]+:iam::\d{12}:root$/;

/**
 * A role's ARN stands for its sessions. A session's ARN leaves the role's path out, so that names are compared by the
 * last part: names are unique in an account.
 */
function sameRole(arn: string, principal: string): boolean {
  const role = roleArnOf(principal);
  if (arn === role) return true;
  const [a, b] = [roleName(arn), roleName(role)];
  return a !== undefined && a === b && principal.includes(':assumed-role/');
}

function roleName(arn: string): string | undefined {
  const [, account, name] = /^arn:[^:]+:iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/.exec(arn) ?? [];
  return name === undefined ? undefined : `${account}/${name}`;
}
