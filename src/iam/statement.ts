import { findFailedCondition, parseIpRange } from './conditions.ts';
import { accountOfArn, type RequestContext, roleArnOf, toList } from './context.ts';
import {
  completeArnPattern,
  couldMatch,
  isPrefixArnPattern,
  matchArn,
  matchWildcard,
  substituteVariables,
} from './pattern.ts';
import type { AccessRequest, NearMiss, Policy, Principal, Statement, StatementRef } from './types.ts';

/**
 * How a matching statement names the principal of a request, or the first part of the statement that does not match.
 */
export type StatementMatch = 'direct' | 'account' | NearMiss['part'];

export interface MatchOptions {
  /**
   * Whether the policy has Principal elements. Resource-based policies have them; identity policies are attached to a
   * principal.
   */
  hasPrincipal: boolean;
  /** Whether the policy has Resource elements. Trust policies have none, because the role itself is the resource. */
  hasResource: boolean;
  version: string | undefined;
  /** Whether the principal has a permissions boundary. */
  hasBoundary: boolean;
}

export function matchStatement(
  statement: Statement,
  request: AccessRequest,
  context: RequestContext,
  options: MatchOptions,
): StatementMatch {
  if (!matchesAction(statement, request.action)) return 'action';
  const principalMatch = options.hasPrincipal
    ? matchPrincipalElement(statement, request.principal, options.hasBoundary)
    : 'direct';
  if (!principalMatch) return 'principal';
  if (options.hasResource && !matchesResource(statement, request.resource, context, options))
    return 'resource';
  return findFailedCondition(statement.Condition, context, options.version) ? 'condition' : principalMatch;
}

/** Returns what a non-matching part of a statement expects, and the actual values of the request. */
export function mismatchOf(
  part: NearMiss['part'],
  statement: Statement,
  request: AccessRequest,
  context: RequestContext,
  version: string | undefined,
): Omit<NearMiss, keyof StatementRef> {
  if (part === 'action')
    return {
      part,
      expected: toList(statement.Action ?? statement.NotAction),
      actual: [request.action],
    };
  if (part === 'principal')
    return { part, expected: principalValues(statement), actual: [request.principal] };
  if (part === 'resource')
    return {
      part,
      expected: toList(statement.Resource ?? statement.NotResource),
      actual: [request.resource],
    };
  return { part, expected: [], actual: [], ...findFailedCondition(statement.Condition, context, version) };
}

function matchesAction({ Action, NotAction }: Statement, action: string): boolean {
  const matches = (text: string) => {
    // Rejects nearly all patterns early: most name another action, of another length.
    if (text.length !== action.length && !text.includes('*')) return false;
    const [lowerPattern, lowerAction] = [text.toLowerCase(), action.toLowerCase()];
    return (
      lowerPattern === lowerAction ||
      (couldMatch(lowerPattern, lowerAction) && matchWildcard(lowerPattern, lowerAction))
    );
  };
  if (Action !== undefined) return toList(Action).some(matches);
  return NotAction !== undefined && !toList(NotAction).some(matches);
}

function matchPrincipalElement(
  { Effect, Principal, NotPrincipal }: Statement,
  principal: string,
  hasBoundary: boolean,
): PrincipalMatch {
  if (Principal !== undefined) return matchPrincipal(Principal, principal);
  if (NotPrincipal === undefined) return undefined;
  // A principal with a permissions boundary is denied even when NotPrincipal names it.
  const isExempt =
    Effect === 'Deny'
      ? isExemptFromDeny(NotPrincipal, principal) && !hasBoundary
      : matchPrincipal(NotPrincipal, principal) !== undefined;
  return isExempt ? undefined : 'direct';
}

/**
 * Returns whether NotPrincipal exempts a principal from a Deny. IAM requires that it names the account beside the user
 * or role, and for a session also the session itself: with the ARN of the role alone, the role is denied (IAM User
 * Guide, "AWS JSON policy elements: NotPrincipal").
 */
function isExemptFromDeny(element: Principal, principal: string): boolean {
  if (matchPrincipal(element, principal) !== 'direct') return false;
  if (element === '*' || !principal.startsWith('arn:') || ACCOUNT_ROOT_ARN.test(principal)) return true;
  const values = toList(element.AWS);
  if (values.includes('*')) return true;
  const account = accountOfArn(principal);
  const namesAccount = values.some(
    (value) => value === account || (ACCOUNT_ROOT_ARN.test(value) && accountOfArn(value) === account),
  );
  const namesSession = values.includes(principal) && values.some((value) => isSameRole(value, principal));
  return namesAccount && (namesSession || !principal.includes(':assumed-role/'));
}

function matchesResource(
  { Resource, NotResource }: Statement,
  resource: string,
  context: RequestContext,
  { version, hasPrincipal }: MatchOptions,
): boolean {
  const matches = (text: string) => {
    if (text === '*' || (text === resource && !text.includes('$'))) return true;
    if (!couldMatch(text, resource)) return false;
    if (isPrefixArnPattern(text)) return text.endsWith('*');
    const tokens = substituteVariables(text, context, version);
    return tokens !== undefined && matchArn(completeArnPattern(tokens, !hasPrincipal), resource);
  };
  if (Resource !== undefined) return toList(Resource).some(matches);
  return NotResource !== undefined && !toList(NotResource).some(matches);
}

function principalValues({ Principal, NotPrincipal }: Statement): string[] {
  const element = Principal ?? NotPrincipal ?? {};
  return element === '*' ? ['*'] : Object.values(element).flatMap((values) => toList(values));
}

/**
 * How a Principal element names a principal. `direct`: by role, session, service or `*`. `account`: only through the
 * account, which leaves the decision to the identity policies of the account.
 */
export type PrincipalMatch = 'direct' | 'account' | undefined;

export function matchPrincipal(element: Principal, principal: string): PrincipalMatch {
  // AWS treats "*" and {"AWS": "*"} as the same: every principal, services included.
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

/** Matches the ARN of an account's root, which represents the account as a whole. */
export const ACCOUNT_ROOT_ARN = /^arn:[^:]+:iam::\d{12}:root$/;

/**
 * Returns whether an ARN names the role of a principal. A role's ARN also names the sessions of the role. The ARN of a
 * session omits the role's path, so the last part of the names is compared: role names are unique in an account.
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

/** Condition keys whose fixed values limit a statement to known principals or networks, in lower case. */
const LIMITING_KEYS =
  /^(aws:(sourcearn|sourcevpc|sourcevpce|sourceowner|sourceaccount|userid|principalarn|principalaccount|principalorgid|principalorgpaths)|s3:(x-amz-server-side-encryption-aws-kms-key-id|dataaccesspointarn|dataaccesspointaccount))$/;

/**
 * Returns whether S3 considers a bucket policy public: a statement allows every principal, and no condition limits it to
 * fixed values, which contain no wildcard and no variable (S3 User Guide, "Blocking public access", "The meaning of
 * public").
 */
export const isPublicPolicy = ({ Statement }: Policy): boolean => toList(Statement).some(isPublicStatement);

function isPublicStatement({ Effect, Principal, NotPrincipal, Condition = {} }: Statement): boolean {
  if (Effect !== 'Allow') return false;
  const isForAll =
    NotPrincipal !== undefined ||
    Principal === '*' ||
    (typeof Principal === 'object' && toList(Principal.AWS).includes('*'));
  return isForAll && !Object.entries(Condition).some(isLimitingCondition);
}

/** A condition with IfExists or ForAllValues limits nothing: a request without the key meets it. */
const LIMITING_OPERATOR = /^(?:ForAnyValue:)?(?:String(?:Equals|EqualsIgnoreCase|Like)|Arn(?:Equals|Like))$/;

function isLimitingCondition([operator, keys]: [
  string,
  NonNullable<Statement['Condition']>[string],
]): boolean {
  return Object.entries(keys).some(([key, value]) => {
    const values = toList(value).map(String);
    const lowerKey = key.toLowerCase();
    if (/^(?:ForAnyValue:)?IpAddress$/.test(operator))
      return lowerKey === 'aws:sourceip' && values.every(isNarrowRange);
    if (!LIMITING_OPERATOR.test(operator) || !LIMITING_KEYS.test(lowerKey)) return false;
    // The name of an access point can be a wildcard, if the account is fixed.
    return values.every((text) =>
      lowerKey === 's3:dataaccesspointarn' ? /^(?:[^:*?$]*:){5}[^$]*$/.test(text) : !/[*?$]/.test(text),
    );
  });
}

/** S3 considers ranges broader than /8 of IPv4 and /32 of IPv6 as public. */
function isNarrowRange(text: string): boolean {
  const range = parseIpRange(text);
  return range !== undefined && range.prefix >= (range.bits === 32 ? 8 : 32);
}
