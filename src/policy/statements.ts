import { createHash } from 'node:crypto';
import type { OneOrMany, Policy, Principal, Statement } from '../iam/types.ts';
import {
  canonicalJson,
  compareCodeUnits,
  isJsonEqual,
  mapItems,
  mapValues,
  sortKeys,
} from '../util/canonical-json.ts';

/**
 * Policies as sets of statements. AWS returns them in any order, with scalars or lists, and with statements of other
 * people: ours are known by their Sid.
 */
export type Statements = Record<string, Statement>;

/** What a Sid of ours says, and after it the name of its spec; the trust in S3 is the same for all. */
const SID_PATTERN =
  /^Replikey(?:AssumeRole|(SourceBucket|SourceObjects|SourceKey|DestinationObjects|DestinationDeletes|DestinationOwner|DestinationKey)([A-Za-z0-9]+))$/;

/** Whether a statement carries our mark, whichever spec it is of. */
export const hasReplikeySid = ({ Sid }: Statement): boolean => SID_PATTERN.test(Sid ?? '');

/** What a statement of ours is about, and the name of its spec as Sids have it. */
export function parseSid({ Sid }: Statement): { subject: string; name: string } | undefined {
  const [, subject, name] = SID_PATTERN.exec(Sid ?? '') ?? [];
  return subject === undefined || name === undefined ? undefined : { subject, name };
}

/**
 * The name of a spec in a Sid, which may hold letters and digits only: `tax-eu` becomes `TaxEu`. Where that could stand
 * for another name too, a short hash follows.
 */
export function toSidName(spec: string): string {
  const pascalCase = spec
    .split(/-+/)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('');
  if (fromSidName(pascalCase) === spec) return pascalCase;
  return pascalCase + createHash('sha256').update(spec).digest('hex').slice(0, 8);
}

const fromSidName = (sidName: string): string =>
  sidName.replace(/(?!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();

/** The spec that a name in a Sid stands for: one of these, or what the name reads back as; else the name as it is. */
export function specNameOfSid(name: string, specNames: readonly string[]): string {
  const decodedName = fromSidName(name);
  return [...specNames, decodedName].find((spec) => toSidName(spec) === name) ?? name;
}

/**
 * The normal form of a statement: lists sorted and each value once, service prefixes of actions in lower case,
 * principals by sort. Without its Sid, which is the key that it is kept under. What is so already stays itself.
 */
export function normalizeStatement(statement: Statement): Statement {
  const { Sid, ...withoutSid } = statement;
  return sortKeys(
    mapValues(
      Sid === undefined ? statement : withoutSid,
      (value, name) => ELEMENT_NORMALIZERS.get(name)?.(value as never) ?? value,
    ),
  ) as Statement;
}

/** The normal form of each part of a statement that has one. */
const ELEMENT_NORMALIZERS: ReadonlyMap<string, (value: never) => unknown> = new Map(
  Object.entries({
    Action: normalizeActions,
    NotAction: normalizeActions,
    Resource: toSortedList,
    NotResource: toSortedList,
    Principal: normalizePrincipals,
    NotPrincipal: normalizePrincipals,
    Condition: (operators: object) => mapValues(operators, (keys) => mapValues(keys as object, toSortedList)),
  }),
);

export const normalizeStatements = (statements: Statements): Statements =>
  sortKeys(mapValues(statements, (statement) => normalizeStatement(statement as Statement)));

/**
 * Part a policy into the statements of these specs, by Sid, and all others, as they stand: those of other people, and
 * those of specs that this run was not given. To prune, those of some more count as theirs, by their names in Sids.
 */
export function splitPolicy(
  policy: Policy,
  specNames: readonly string[],
  pruneOwners: readonly string[] = [],
): { managed: Statements; foreign: Statement[] } {
  const ownerNames = new Set<string | undefined>([undefined, ...specNames.map(toSidName), ...pruneOwners]);
  const managed: Statements = {};
  const foreign: Statement[] = [];
  for (const statement of statementsAsCurrentVersion(policy)) {
    const { Sid } = statement;
    const match = SID_PATTERN.exec(Sid ?? '');
    if (Sid && match && ownerNames.has(match[2]) && !(Sid in managed)) managed[Sid] = statement;
    else foreign.push(statement);
  }
  return { managed: normalizeStatements(managed), foreign };
}

/** Since this version `${…}` is a variable. */
const POLICY_VERSION = '2012-10-17';

/** The statements of a policy as this version says them: where an older one has `${…}`, it means just these characters. */
function statementsAsCurrentVersion({ Version, Statement }: Policy): Statement[] {
  const statements = toArray(Statement);
  if (Version === POLICY_VERSION) return statements;
  return JSON.parse(JSON.stringify(statements).replaceAll('${', `\${$}{`)) as Statement[];
}

/** A whole policy: what is not ours first and untouched, then ours. */
export function joinPolicy(managed: Statements, foreign: readonly Statement[] = []): Policy {
  const managedStatements = Object.entries(managed)
    .sort(([a], [b]) => compareCodeUnits(a, b))
    .map(([Sid, statement]) => ({ Sid, ...statement }));
  return { Version: POLICY_VERSION, Statement: [...foreign, ...managedStatements] };
}

/** Our statements as a policy holds them. */
export const toStatementList = (managed: Statements): Statement[] => [joinPolicy(managed).Statement].flat();

/** Our statements without those that somebody else's statement already makes word for word. */
export function omitRedundantStatements(managed: Statements, foreign: readonly Statement[]): Statements {
  const otherStatements = foreign.filter((statement) => !hasReplikeySid(statement));
  if (otherStatements.length === 0) return managed;
  const normalizedOthers = otherStatements.map(normalizeStatement);
  const isRedundant = (statement: Statement) =>
    normalizedOthers.some((existing) => isJsonEqual(statement, existing));
  const remaining = Object.entries(managed).filter(
    ([, statement]) => !isRedundant(normalizeStatement(statement)),
  );
  return remaining.length === Object.keys(managed).length ? managed : Object.fromEntries(remaining);
}

function normalizeActions(names: OneOrMany<string>): string[] {
  return toSortedList(mapItems(toArray(names), lowercaseService));
}

function normalizePrincipals(principal: Principal): object {
  return principal === '*' ? { AWS: ['*'] } : mapValues(principal, toSortedList);
}

/** Lists may hold references until they are resolved, so they are sorted by their JSON. */
function toSortedList<T>(values: OneOrMany<T>): T[] {
  const items = toArray(values);
  if (isSortedSet(items)) return items;
  const texts = items.map((value) => (typeof value === 'string' ? value : canonicalJson(value)));
  const byText = new Map(items.map((value, index) => [texts[index] ?? '', value]));
  return [...byText.entries()].sort(([a], [b]) => compareCodeUnits(a, b)).map(([, value]) => value);
}

/** Whether a list is of texts in order, each once; a single value is always in order. */
function isSortedSet(items: readonly unknown[]): boolean {
  if (items.length < 2) return true;
  for (let index = 0; index < items.length; index++) {
    const [previous, text] = [items[index - 1], items[index]];
    if (typeof text !== 'string' || (typeof previous === 'string' && previous >= text)) return false;
  }
  return true;
}

function lowercaseService(action: string): string {
  const colon = action.indexOf(':');
  const service = colon < 0 ? action : action.slice(0, colon);
  return service.toLowerCase() + action.slice(service.length);
}

const toArray = <T>(value: OneOrMany<T> | undefined): T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];
