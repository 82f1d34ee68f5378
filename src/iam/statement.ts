import { failedCondition } from './conditions.ts';
import { type Context, list } from './context.ts';
import { type Named, namedBy } from './principal.ts';
import type { AccessRequest, NearMiss, Statement, StatementAt } from './types.ts';
import { substitute } from './variables.ts';
import { completeArn, couldMatch, isPlainArn, matchArn, matchWildcard } from './wildcard.ts';

/** How a statement that applies to a request names who asks; or the first part of it that does not fit. */
export type Fit = 'direct' | 'account' | NearMiss['part'];

export interface StatementKind {
  /** Resource-based policies name who; identity policies belong to somebody. */
  withPrincipal: boolean;
  /** Trust policies name no resource: the role is it. */
  withResource: boolean;
  version: string | undefined;
  /** Whether a permissions boundary is set for who asks. */
  bounded: boolean;
}

export function fit(
  statement: Statement,
  request: AccessRequest,
  context: Context,
  kind: StatementKind,
): Fit {
  if (!actionFits(statement, request.action)) return 'action';
  const named = kind.withPrincipal ? principalFits(statement, request.principal, kind.bounded) : 'direct';
  if (!named) return 'principal';
  if (kind.withResource && !resourceFits(statement, request.resource, context, kind)) return 'resource';
  return failedCondition(statement.Condition, context, kind.version) ? 'condition' : named;
}

/** What a part of a statement expects that does not fit a request, and what the request has. */
export function misfit(
  part: NearMiss['part'],
  statement: Statement,
  request: AccessRequest,
  context: Context,
  version: string | undefined,
): Omit<NearMiss, keyof StatementAt> {
  if (part === 'action')
    return {
      part,
      expected: list(statement.Action ?? statement.NotAction),
      actual: [request.action],
    };
  if (part === 'principal') return { part, expected: principalsOf(statement), actual: [request.principal] };
  if (part === 'resource')
    return {
      part,
      expected: list(statement.Resource ?? statement.NotResource),
      actual: [request.resource],
    };
  return { part, expected: [], actual: [], ...failedCondition(statement.Condition, context, version) };
}

function actionFits({ Action, NotAction }: Statement, action: string): boolean {
  const matches = (text: string) => {
    // Nearly all patterns are other actions, and of another length.
    if (text.length !== action.length && !text.includes('*')) return false;
    const [pattern, asked] = [text.toLowerCase(), action.toLowerCase()];
    return pattern === asked || (couldMatch(pattern, asked) && matchWildcard(pattern, asked));
  };
  if (Action !== undefined) return list(Action).some(matches);
  return NotAction !== undefined && !list(NotAction).some(matches);
}

function principalFits(
  { Effect, Principal, NotPrincipal }: Statement,
  principal: string,
  bounded: boolean,
): Named {
  if (Principal !== undefined) return namedBy(Principal, principal);
  if (NotPrincipal === undefined) return undefined;
  const named = namedBy(NotPrincipal, principal);
  // To be left out of a denial one must be named oneself, the account alone is not enough; and who has a permissions
  // boundary is denied whoever is named.
  const excepted = Effect === 'Deny' ? named === 'direct' && !bounded : named !== undefined;
  return excepted ? undefined : 'direct';
}

function resourceFits(
  { Resource, NotResource }: Statement,
  resource: string,
  context: Context,
  { version, withPrincipal }: StatementKind,
): boolean {
  const matches = (text: string) => {
    if (text === '*' || (text === resource && !text.includes('$'))) return true;
    if (!couldMatch(text, resource)) return false;
    if (isPlainArn(text)) return text.endsWith('*');
    const tokens = substitute(text, context, version);
    return tokens !== undefined && matchArn(completeArn(tokens, !withPrincipal), resource);
  };
  if (Resource !== undefined) return list(Resource).some(matches);
  return NotResource !== undefined && !list(NotResource).some(matches);
}

function principalsOf({ Principal, NotPrincipal }: Statement): string[] {
  const element = Principal ?? NotPrincipal ?? {};
  return element === '*' ? ['*'] : Object.values(element).flatMap((values) => list(values));
}
