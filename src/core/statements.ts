import { createHash } from 'node:crypto';
import { byCodeUnit, mapped, mappedList, sameJson, sortKeys, stableJson } from '../canonical.ts';
import type { OneOrMany, Policy, Principal, Statement } from '../iam/types.ts';

/**
 * Policies as sets of statements. AWS returns them in any order, with scalars or lists, and with statements of other
 * people: ours are known by their Sid.
 */
export type Statements = Record<string, Statement>;

/** What a Sid of ours says, and after it the name of its spec; the trust in S3 is the same for all. */
const MARK =
  /^Replikey(?:AssumeRole|(SourceBucket|SourceObjects|SourceKey|DestinationObjects|DestinationDeletes|DestinationOwner|DestinationKey)([A-Za-z0-9]+))$/;

/** Whether a statement carries our mark, whichever spec it is of. */
export const isMarked = ({ Sid }: Statement): boolean => MARK.test(Sid ?? '');

/** What a statement of ours is about, and the name of its spec as Sids have it. */
export function markOf({ Sid }: Statement): { about: string; name: string } | undefined {
  const [, about, name] = MARK.exec(Sid ?? '') ?? [];
  return about === undefined || name === undefined ? undefined : { about, name };
}

/**
 * The name of a spec in a Sid, which may hold letters and digits only: `tax-eu` becomes `TaxEu`. Where that could stand
 * for another name too, a short hash follows.
 */
export function sidName(spec: string): string {
  const camel = spec
    .split(/-+/)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('');
  if (readBack(camel) === spec) return camel;
  return camel + createHash('sha256').update(spec).digest('hex').slice(0, 8);
}

const readBack = (camel: string): string =>
  camel.replace(/(?!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();

/** The spec that a name in a Sid stands for: one of these, or what the name reads back as; else the name as it is. */
export function specOfSid(name: string, known: readonly string[]): string {
  const back = readBack(name);
  return [...known, back].find((spec) => sidName(spec) === name) ?? name;
}

/**
 * The normal form of a statement: lists sorted and each value once, service prefixes of actions in lower case,
 * principals by sort. Without its Sid, which is the key that it is kept under. What is so already stays itself.
 */
export function canonicalStatement(statement: Statement): Statement {
  const { Sid, ...rest } = statement;
  return sortKeys(
    mapped(
      Sid === undefined ? statement : rest,
      (value, name) => NORMAL.get(name)?.(value as never) ?? value,
    ),
  ) as Statement;
}

/** The normal form of each part of a statement that has one. */
const NORMAL: ReadonlyMap<string, (value: never) => unknown> = new Map(
  Object.entries({
    Action: actions,
    NotAction: actions,
    Resource: sortedList,
    NotResource: sortedList,
    Principal: principals,
    NotPrincipal: principals,
    Condition: (operators: object) => mapped(operators, (keys) => mapped(keys as object, sortedList)),
  }),
);

export const canonicalStatements = (statements: Statements): Statements =>
  sortKeys(mapped(statements, (one) => canonicalStatement(one as Statement)));

/**
 * Part a policy into the statements of these specs, by Sid, and all others, as they stand: those of other people, and
 * those of specs that this run was not given. To prune, those of some more count as theirs, by their names in Sids.
 */
export function splitPolicy(
  policy: Policy,
  specs: readonly string[],
  prune: readonly string[] = [],
): { ours: Statements; foreign: Statement[] } {
  const names = new Set<string | undefined>([undefined, ...specs.map(sidName), ...prune]);
  const ours: Statements = {};
  const foreign: Statement[] = [];
  for (const statement of renewed(policy)) {
    const { Sid } = statement;
    const mark = MARK.exec(Sid ?? '');
    if (Sid && mark && names.has(mark[2]) && !(Sid in ours)) ours[Sid] = statement;
    else foreign.push(statement);
  }
  return { ours: canonicalStatements(ours), foreign };
}

/** Since this version `${…}` is a variable. */
const VERSION = '2012-10-17';

/** The statements of a policy as this version says them: where an older one has `${…}`, it means just these characters. */
function renewed({ Version, Statement }: Policy): Statement[] {
  const statements = list(Statement);
  if (Version === VERSION) return statements;
  return JSON.parse(JSON.stringify(statements).replaceAll('${', `\${$}{`)) as Statement[];
}

/** A whole policy: what is not ours first and untouched, then ours. */
export function joinPolicy(ours: Statements, foreign: readonly Statement[] = []): Policy {
  const added = Object.entries(ours)
    .sort(([a], [b]) => byCodeUnit(a, b))
    .map(([Sid, statement]) => ({ Sid, ...statement }));
  return { Version: VERSION, Statement: [...foreign, ...added] };
}

/** Our statements as a policy holds them. */
export const statementList = (ours: Statements): Statement[] => [joinPolicy(ours).Statement].flat();

/** Our statements without those that somebody else's statement already makes word for word. */
export function withoutRepeats(ours: Statements, foreign: readonly Statement[]): Statements {
  const theirs = foreign.filter((statement) => !isMarked(statement));
  if (theirs.length === 0) return ours;
  const there = theirs.map(canonicalStatement);
  const isThere = (one: Statement) => there.some((other) => sameJson(one, other));
  const left = Object.entries(ours).filter(([, statement]) => !isThere(canonicalStatement(statement)));
  return left.length === Object.keys(ours).length ? ours : Object.fromEntries(left);
}

function actions(names: OneOrMany<string>): string[] {
  return sortedList(mappedList(list(names), lowerService));
}

function principals(principal: Principal): object {
  return principal === '*' ? { AWS: ['*'] } : mapped(principal, sortedList);
}

/** Lists may hold references until they are resolved, so they are sorted by their JSON. */
function sortedList<T>(values: OneOrMany<T>): T[] {
  const all = list(values);
  if (isSortedSet(all)) return all;
  const texts = all.map((value) => (typeof value === 'string' ? value : stableJson(value)));
  const byText = new Map(all.map((value, index) => [texts[index] ?? '', value]));
  return [...byText.entries()].sort(([a], [b]) => byCodeUnit(a, b)).map(([, value]) => value);
}

/** Whether a list is of texts in order, each once; a single value is always in order. */
function isSortedSet(all: readonly unknown[]): boolean {
  if (all.length < 2) return true;
  for (let index = 0; index < all.length; index++) {
    const [before, text] = [all[index - 1], all[index]];
    if (typeof text !== 'string' || (typeof before === 'string' && before >= text)) return false;
  }
  return true;
}

function lowerService(action: string): string {
  const colon = action.indexOf(':');
  const service = colon < 0 ? action : action.slice(0, colon);
  return service.toLowerCase() + action.slice(service.length);
}

const list = <T>(value: OneOrMany<T> | undefined): T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];
