import type { OneOrMany, Policy, Principal } from '../iam/types.ts';
import type { RoleState } from './state.ts';
import type { Store } from './store.ts';

const list = <T>(value: OneOrMany<T> | undefined): T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];

const ROLE = /^arn:[^:]+:iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/;

/** The role of that ARN, if it exists and is visible yet. */
export function findRole(store: Store, arn: string, now: number): RoleState | undefined {
  const [, account, name] = ROLE.exec(arn) ?? [];
  if (account === undefined || name === undefined) return undefined;
  const role = store.account(account).roles.get(name.toLowerCase());
  return role && role.arn === arn && role.visibleFrom <= now ? role : undefined;
}

/** The first principal of a policy that does not exist: AWS refuses to store it. */
export function unknownPrincipal(store: Store, policy: Policy, now: number): string | undefined {
  for (const statement of list(policy.Statement)) {
    for (const element of [statement.Principal, statement.NotPrincipal]) {
      const unknown = principalsOf(element).find((one) => !exists(store, one, now));
      if (unknown !== undefined) return unknown;
    }
  }
  return undefined;
}

function exists(store: Store, principal: string, now: number): boolean {
  if (principal === '*' || /^\d{12}$/.test(principal) || /^arn:[^:]+:iam::\d{12}:root$/.test(principal))
    return true;
  if (ROLE.test(principal)) return findRole(store, principal, now) !== undefined;
  // An id of a role that was deleted: AWS shows it, and takes it back.
  return /^A(ROA|IDA)[A-Z0-9]+$/.test(principal) || /^arn:[^:]+:(iam|sts)::\d{12}:/.test(principal);
}

/**
 * A policy as it is stored names a role by its id: when the role is deleted, the grant is gone even if a role of the
 * same name is made anew, and whoever reads the policy sees the bare id.
 */
export function storePrincipals(store: Store, text: string, now: number): string {
  return mapPrincipals(text, (one) => {
    const role = findRole(store, one, now);
    return role ? `${role.id}|${role.arn}` : one;
  });
}

/** A stored policy as it is read back: ids of roles that exist turned into ARNs again. */
export function showPrincipals(store: Store, text: string): string {
  return mapPrincipals(text, (one) => {
    const [id, arn] = one.split('|');
    if (id === undefined || arn === undefined) return one;
    const [, account = '', name = ''] = ROLE.exec(arn) ?? [];
    const role = store.account(account).roles.get(name.toLowerCase());
    return role?.id === id ? arn : id;
  });
}

function mapPrincipals(text: string, change: (principal: string) => string): string {
  const policy = JSON.parse(text) as Policy;
  let changed = false;
  const turn = (value: string): string => {
    const result = change(value);
    if (result !== value) changed = true;
    return result;
  };
  const element = (principal: Principal | undefined): Principal | undefined =>
    principal === undefined || principal === '*'
      ? principal
      : Object.fromEntries(
          Object.entries(principal).map(([sort, values]) => [
            sort,
            Array.isArray(values) ? values.map(turn) : turn(values),
          ]),
        );
  const statements = list(policy.Statement).map((statement) => ({
    ...statement,
    ...(statement.Principal === undefined ? {} : { Principal: element(statement.Principal) }),
    ...(statement.NotPrincipal === undefined ? {} : { NotPrincipal: element(statement.NotPrincipal) }),
  }));
  // What names nobody keeps its text to the letter.
  return changed ? JSON.stringify({ ...policy, Statement: statements }) : text;
}

function principalsOf(element: Principal | undefined): string[] {
  if (element === undefined) return [];
  return element === '*' ? ['*'] : list(element.AWS);
}
