import { failedCondition } from './conditions.ts';
import { type Context, list } from './context.ts';
import { type Named, namedBy } from './principal.ts';
import type { AccessRequest, NearMiss, Statement } from './types.ts';
import { substitute } from './variables.ts';
import { completeArn, couldMatch, matchArn, matchWildcard } from './wildcard.ts';

/** Whether a statement applies to a request, and if not, the first part that does not fit. */
export type Fit =
  | { applies: true; named: Named }
  | {
      applies: false;
      miss: Pick<NearMiss, 'part' | 'operator' | 'key' | 'expected' | 'actual'>;
      fits: number;
    };

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
  const miss = (
    fits: number,
    part: NearMiss['part'],
    expected: string[],
    actual: string[],
    more: { operator?: string | undefined; key?: string | undefined } = {},
  ): Fit => ({
    applies: false,
    fits,
    miss: {
      part,
      expected,
      actual,
      ...(more.operator === undefined ? {} : { operator: more.operator }),
      ...(more.key === undefined ? {} : { key: more.key }),
    },
  });

  if (!actionFits(statement, request.action)) {
    return miss(0, 'action', list(statement.Action ?? statement.NotAction), [request.action]);
  }
  let named: Named = 'direct';
  if (kind.withPrincipal) {
    named = principalFits(statement, request.principal, kind.bounded);
    if (!named) return miss(1, 'principal', principalsOf(statement), [request.principal]);
  }
  if (kind.withResource && !resourceFits(statement, request.resource, context, kind)) {
    return miss(2, 'resource', list(statement.Resource ?? statement.NotResource), [request.resource]);
  }
  const failed = failedCondition(statement.Condition, context, kind.version);
  if (failed) return miss(3, 'condition', failed.expected, failed.actual, failed);
  return { applies: true, named };
}

function actionFits({ Action, NotAction }: Statement, action: string): boolean {
  const asked = action.toLowerCase();
  const matches = (text: string) => {
    const pattern = text.toLowerCase();
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
