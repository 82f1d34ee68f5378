import { createHash } from 'node:crypto';
import type { Retained } from '../core/resource.ts';
import { toList } from '../iam/context.ts';
import type { OneOrMany, Statement } from '../iam/types.ts';
import { canonicalJson, isJsonEqual } from '../util/canonical-json.ts';
import {
  deletedPrincipalIn,
  normalizeStatement,
  parseSid,
  SID_SUBJECT,
  type Statements,
  withoutDeletedPrincipals,
} from './statements.ts';

/**
 * Changes of permissions in two stages. S3 tries to replicate an object once, and uses the permissions of the moment at
 * which it processes the object. A statement that loses a permission therefore stays beside the new one, under a Sid
 * that contains its expiry, until the objects in flight are done. The Sid is the only state.
 */

/**
 * A Sid of a retained statement: the expiry in UTC to the minute, a hash of the statement, the subject and the name of
 * the spec.
 */
const UNTIL_SID = new RegExp(
  `^ReplikeyUntil(\\d{4})(\\d\\d)(\\d\\d)(\\d\\d)(\\d\\d)x([0-9a-f]{6})(${SID_SUBJECT})([A-Za-z0-9]+)$`,
);

/**
 * Time after the expiry at which AWS itself stops a retained statement, in milliseconds, in case that no run removes
 * it.
 */
const CUT_OFF_MS = 24 * 60 * 60_000;
const CUT_OFF_OPERATOR = 'DateLessThanIfExists';
const CUT_OFF_KEY = 'aws:CurrentTime';

/** A retained statement of a policy. */
export interface RetainedStatement extends Retained {
  original: Statement;
  entry: Statement;
}

/**
 * Parses a retained statement: an Allow whose hash matches. Undefined for any other statement, also for one with such a
 * Sid that a person changed. A statement for a deleted role has expired.
 */
export function parseRetained(entry: Statement): RetainedStatement | undefined {
  const match = UNTIL_SID.exec(entry.Sid ?? '');
  if (!match || entry.Effect !== 'Allow') return undefined;
  const [id, year, month, day, hour, minute, hash, subject = '', owner = ''] = match;
  // IAM replaces a deleted role by its id. The statement grants nothing any more.
  const isSpent = deletedPrincipalIn(entry) !== undefined;
  if (hash !== hashOf(entry) && !isSpent) return undefined;
  const expiresAtMs = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute));
  return {
    id,
    expiresAtMs: isSpent ? 0 : expiresAtMs,
    replaces: `Replikey${subject}${owner}`,
    owner,
    original: withoutCutOff(entry),
    entry,
  };
}

/** Returns the time at which AWS itself stops a retained statement, in milliseconds since 1970. */
export const cutOffTimeOf = ({ expiresAtMs }: Retained): number => expiresAtMs + CUT_OFF_MS;

/** Returns the spec of a managed or retained statement, by its name in Sids. */
export const ownerOfStatement = (statement: Statement): string | undefined =>
  parseSid(statement)?.name ?? parseRetained(statement)?.owner;

/** Returns a retained statement as the statement that it was a part of; any other statement as it is. */
export function asReplaced(statement: Statement): Statement {
  const retained = parseRetained(statement);
  return retained ? { ...retained.original, Sid: retained.replaces } : statement;
}

/** Returns whether the Sid begins as that of a retained statement, which does not show that replikey wrote it so. */
export const hasUntilSid = ({ Sid = '' }: Pick<Statement, 'Sid'>): boolean => /^ReplikeyUntil\d/.test(Sid);

/**
 * Returns a statement under a Sid with its expiry, rounded up to the minute.
 *
 * @param sid the Sid of the managed statement
 * @param untilMs in milliseconds since 1970
 */
export function toRetained(sid: string, statement: Statement, untilMs: number): RetainedStatement {
  const expiresAtMs = Math.ceil(untilMs / 60_000) * 60_000;
  const original = withoutCutOff(statement);
  const cutOff = new Date(expiresAtMs + CUT_OFF_MS).toISOString().replace('.000', '');
  const limited: Statement = {
    ...original,
    Condition: { ...original.Condition, [CUT_OFF_OPERATOR]: { [CUT_OFF_KEY]: [cutOff] } },
  };
  const minute = new Date(expiresAtMs).toISOString().replace(/[-:T]/g, '').slice(0, 12);
  const id = `ReplikeyUntil${minute}x${hashOf(limited)}${sid.replace(/^Replikey/, '')}`;
  const owner = UNTIL_SID.exec(id)?.[8] ?? '';
  return { id, expiresAtMs, replaces: sid, owner, original, entry: { Sid: id, ...limited } };
}

/** Returns the first six hexadecimal digits of the hash of a statement, without its Sid. */
const hashOf = (statement: Statement): string =>
  createHash('sha256')
    .update(canonicalJson(normalizeStatement(statement)))
    .digest('hex')
    .slice(0, 6);

/** Returns a statement without its Sid and its cut-off condition. */
function withoutCutOff({ Sid: _sid, ...statement }: Statement): Statement {
  const { Condition, ...rest } = statement;
  if (Condition?.[CUT_OFF_OPERATOR] === undefined) return statement;
  const { [CUT_OFF_OPERATOR]: _, ...otherConditions } = Condition;
  return Object.keys(otherConditions).length === 0 ? rest : { ...rest, Condition: otherConditions };
}

/**
 * Returns the parts of the current statements that the desired ones do not grant, by Sid. A part contains only the
 * actions, resources, principals and condition values that at least one lost permission needs.
 */
export function lostStatements(current: Statements, desired: Statements): Statements {
  const grants = Object.values(desired);
  const lost = Object.entries(current).flatMap(([sid, statement]): [string, Statement][] => {
    // The common case: the statement did not change. Both are in normal form.
    if (isJsonEqual(desired[sid], statement)) return [];
    const live = withoutDeletedPrincipals(statement);
    const part = live && lostPart(live, grants);
    return part === undefined ? [] : [[sid, part]];
  });
  return Object.fromEntries(lost);
}

/** Returns whether some statements together grant everything that a statement grants. */
export const isGranted = (statement: Statement, grants: readonly Statement[]): boolean =>
  lostPart(statement, grants) === undefined;

/** The lists of a statement whose elements are alternatives. */
interface Dimension {
  values: readonly unknown[];
  /** Returns the statement with only these alternatives. */
  select(statement: Statement, values: readonly unknown[]): Statement;
}

/**
 * Returns the smallest statement over the same lists that contains every permission that the grants do not contain. It
 * checks each combination of one action, one resource, one principal and one value of each condition.
 */
function lostPart(statement: Statement, grants: readonly Statement[]): Statement | undefined {
  if (statement.Effect !== 'Allow') return undefined;
  const dimensions = dimensionsOf(statement);
  const lostValues = dimensions.map(() => new Set<unknown>());
  for (const combination of combinationsOf(dimensions)) {
    const atom = dimensions.reduce(
      (result, dimension, index) => dimension.select(result, [combination[index]]),
      statement,
    );
    if (grants.some((grant) => containsAtom(grant, atom))) continue;
    for (const [index, value] of combination.entries()) lostValues[index]?.add(value);
  }
  if (lostValues.some((values) => values.size === 0)) return undefined;
  return dimensions.reduce(
    (result, dimension, index) => dimension.select(result, [...(lostValues[index] ?? [])]),
    statement,
  );
}

function dimensionsOf(statement: Statement): Dimension[] {
  const dimensions: Dimension[] = [];
  for (const name of ['Action', 'Resource'] as const) {
    const values = statement[name];
    if (values !== undefined)
      dimensions.push({
        values: toList(values),
        select: (result, selected) => ({ ...result, [name]: selected as string[] }),
      });
  }
  const { Principal } = statement;
  if (typeof Principal === 'object')
    dimensions.push({
      values: Object.entries(Principal).flatMap(([type, arns]) => toList(arns).map((arn) => ({ type, arn }))),
      select: (result, selected) => ({ ...result, Principal: principalOf(selected as PrincipalValue[]) }),
    });
  for (const [operator, keys] of Object.entries(statement.Condition ?? {}))
    for (const [key, values] of Object.entries(keys))
      dimensions.push({
        values: toList(values),
        select: (result, selected) => ({
          ...result,
          Condition: {
            ...result.Condition,
            [operator]: { ...result.Condition?.[operator], [key]: selected as string[] },
          },
        }),
      });
  return dimensions;
}

interface PrincipalValue {
  type: string;
  arn: string;
}

function principalOf(values: readonly PrincipalValue[]): Record<string, string[]> {
  const principal: Record<string, string[]> = {};
  for (const { type, arn } of values) principal[type] = [...(principal[type] ?? []), arn];
  return principal;
}

function* combinationsOf(dimensions: readonly Dimension[]): Generator<unknown[]> {
  const [first, ...others] = dimensions;
  if (!first) {
    yield [];
    return;
  }
  for (const value of first.values)
    for (const combination of combinationsOf(others)) yield [value, ...combination];
}

/** Returns whether a statement grants everything that a statement with single values grants. */
function containsAtom(grant: Statement, atom: Statement): boolean {
  return (
    grant.Effect === 'Allow' &&
    NEGATED_ELEMENTS.every((name) => isJsonEqual(grant[name], atom[name])) &&
    containsValues(grant.Action, atom.Action, containsAction) &&
    containsValues(grant.Resource, atom.Resource, containsPattern) &&
    containsPrincipal(grant.Principal, atom.Principal) &&
    containsConditions(grant.Condition, atom.Condition)
  );
}

const NEGATED_ELEMENTS = ['NotAction', 'NotResource', 'NotPrincipal'] as const;

function containsValues(
  grant: OneOrMany<string> | undefined,
  atom: OneOrMany<string> | undefined,
  contains: (wide: string, narrow: string) => boolean,
): boolean {
  if (grant === undefined || atom === undefined) return grant === atom;
  return toList(atom).every((narrow) => toList(grant).some((wide) => contains(wide, narrow)));
}

const containsAction = (wide: string, narrow: string): boolean =>
  containsPattern(toText(wide).toLowerCase(), toText(narrow).toLowerCase());

/**
 * Returns whether a pattern matches everything that another pattern matches. It understands equal texts and a pattern
 * whose only wildcard is a final `*`; any other pattern contains only itself. A reference contains nothing, because its
 * value is not known yet.
 */
function containsPattern(wide: unknown, narrow: unknown): boolean {
  if (typeof wide !== 'string' || typeof narrow !== 'string') return false;
  if (wide === narrow) return true;
  const prefix = wide.slice(0, -1);
  return wide.endsWith('*') && !/[*?]|\$\{/.test(prefix) && narrow.startsWith(prefix);
}

const toText = (value: unknown): string => (typeof value === 'string' ? value : canonicalJson(value));

function containsPrincipal(grant: Statement['Principal'], atom: Statement['Principal']): boolean {
  if (grant === undefined || atom === undefined) return grant === atom;
  if (grant === '*') return true;
  if (atom === '*') return false;
  return Object.entries(atom).every(([type, arns]) =>
    toList(arns).every((arn) => toList(grant[type] ?? []).some((wide) => isJsonEqual(wide, arn))),
  );
}

/** Returns whether conditions are met whenever other conditions with single values are met. */
function containsConditions(grant: Statement['Condition'], atom: Statement['Condition']): boolean {
  return Object.entries(grant ?? {}).every(([operator, keys]) =>
    Object.entries(keys).every(([key, wide]) => {
      const narrow = atom?.[operator]?.[key];
      if (narrow === undefined) return false;
      return toList(narrow).every((value) =>
        toList(wide).some((candidate) =>
          operator === 'StringLike' ? containsPattern(candidate, value) : isJsonEqual(candidate, value),
        ),
      );
    }),
  );
}
