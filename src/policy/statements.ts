import { createHash } from 'node:crypto';
import { toList } from '../iam/context.ts';
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
 * Managed statements of a policy, by Sid. AWS returns statements in any order, with scalars or lists, and together with
 * foreign statements. replikey recognizes its own statements by their Sid.
 */
export type Statements = Record<string, Statement>;

/** Subjects of the statements in Sids, as a regular expression. */
export const SID_SUBJECT =
  '(?:Foreign)?(?:SourceBucket|SourceObjects|SourceKey|DestinationObjects|DestinationDeletes|DestinationOwner|DestinationKey)|ReplacedKey|FailureEvents|(?:Backfill|Redrive)(?:Objects|Bucket|Report)|Reencrypt(?:Source|Destination)(?:Objects|Bucket|Key)';

/**
 * A Sid of replikey: the subject, then the name of the spec. The trust statement for S3 has no spec name, because it is
 * the same for all specs.
 */
const SID_PATTERN = new RegExp(`^Replikey(?:AssumeRole|(${SID_SUBJECT})([A-Za-z0-9]+))$`);

/** Returns whether a statement has a Sid of replikey, for any spec. */
export const hasReplikeySid = ({ Sid }: Statement): boolean => SID_PATTERN.test(Sid ?? '');

/** Returns the subject of a managed statement, and the name of its spec as it appears in the Sid. */
export function parseSid({ Sid }: Pick<Statement, 'Sid'>): { subject: string; name: string } | undefined {
  const [, subject, name] = SID_PATTERN.exec(Sid ?? '') ?? [];
  return subject === undefined || name === undefined ? undefined : { subject, name };
}

/** Returns whether a statement belongs to a re-drive, which no spec declares. The next one of the bucket needs it again. */
export const isRedriveStatement = (statement: Pick<Statement, 'Sid'>): boolean =>
  parseSid(statement)?.subject.startsWith('Redrive') ?? false;

/**
 * Returns the name of a spec or of a re-drive for a Sid, which allows only letters and digits: `tax-eu` becomes `TaxEu`. A
 * short hash is appended if the result does not convert back to the same name.
 */
export function toSidName(spec: string): string {
  const pascalCase = spec
    .split(/[.-]+/)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('');
  if (fromSidName(pascalCase) === spec) return pascalCase;
  return pascalCase + createHash('sha256').update(spec).digest('hex').slice(0, 8);
}

const fromSidName = (sidName: string): string =>
  sidName.replace(/(?!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();

/**
 * Returns the spec name for a name in a Sid: one of the given specs, or the name converted back. If neither produces
 * this Sid, the name in the Sid is returned unchanged.
 */
export function specNameOfSid(name: string, specNames: readonly string[]): string {
  const decodedName = fromSidName(name);
  return [...specNames, decodedName].find((spec) => toSidName(spec) === name) ?? name;
}

/** Matches the bare id by which AWS shows a deleted role or user in a policy. It refuses the id in every write. */
const DELETED_PRINCIPAL = /^A(ROA|IDA)[A-Z0-9]+$/;

/** Returns the id of a deleted role or user that a statement names. */
export const deletedPrincipalIn = ({ Principal, NotPrincipal }: Statement): string | undefined =>
  [Principal, NotPrincipal]
    .flatMap((element) => (typeof element === 'object' ? toList(element.AWS) : []))
    .find((value) => DELETED_PRINCIPAL.test(value));

/** Returns a statement without deleted roles and users; undefined if it names no others. They have no access. */
export function withoutDeletedPrincipals(statement: Statement): Statement | undefined {
  if (deletedPrincipalIn(statement) === undefined || typeof statement.Principal !== 'object')
    return statement;
  const AWS = toList(statement.Principal.AWS).filter((value) => !DELETED_PRINCIPAL.test(value));
  const { AWS: _, ...others } = statement.Principal;
  const Principal = { ...others, ...(AWS.length > 0 && { AWS }) };
  return Object.keys(Principal).length > 0 ? { ...statement, Principal } : undefined;
}

/**
 * Returns the normal form of a statement: sorted lists without duplicates, service prefixes of actions in lower case,
 * and sorted principals by type. The Sid is omitted, because statements are stored by Sid. Parts that are already in
 * normal form are not copied.
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

/** Normalizers by the name of the statement element. */
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
 * Splits a policy by Sid into the statements of these specs and foreign statements, which stay unchanged. Statements of
 * specs outside this run are foreign too. For prune, `pruneOwners` lists further spec names, as in Sids, whose
 * statements count as managed.
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

/** From this version on, `${…}` is a policy variable. */
const POLICY_VERSION = '2012-10-17';

/**
 * Returns the statements of a policy in the form of the current version. In an older version `${…}` is literal text, so
 * `$` is escaped.
 */
function statementsAsCurrentVersion({ Version, Statement }: Policy): Statement[] {
  const statements = toList(Statement);
  if (Version === POLICY_VERSION) return statements;
  return JSON.parse(JSON.stringify(statements).replaceAll('${', `\${$}{`)) as Statement[];
}

/** Returns a whole policy: foreign statements first and unchanged, then managed statements. */
export function joinPolicy(managed: Statements, foreign: readonly Statement[] = [], id?: string): Policy {
  const managedStatements = Object.entries(managed)
    .sort(([a], [b]) => compareCodeUnits(a, b))
    .map(([Sid, statement]) => ({ Sid, ...statement }));
  return {
    Version: POLICY_VERSION,
    ...(id !== undefined && { Id: id }),
    Statement: [...foreign, ...managedStatements],
  };
}

/** Returns managed statements as a list with Sids. */
export const toStatementList = (managed: Statements): Statement[] => [joinPolicy(managed).Statement].flat();

/**
 * Returns managed statements without those that a foreign statement already contains. Both are compared in normal form.
 * Foreign statements with a Sid of replikey do not count.
 */
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
  return toSortedList(mapItems(toList(names), lowercaseService));
}

function normalizePrincipals(principal: Principal): object {
  return principal === '*' ? { AWS: ['*'] } : mapValues(principal, toSortedList);
}

/** Sorts a list by JSON text, because it can contain references until they are resolved. */
function toSortedList<T>(values: OneOrMany<T>): T[] {
  const items = toList(values);
  if (isSortedSet(items)) return items;
  const texts = items.map((value) => (typeof value === 'string' ? value : canonicalJson(value)));
  const byText = new Map(items.map((value, index) => [texts[index] ?? '', value]));
  return [...byText.entries()].sort(([a], [b]) => compareCodeUnits(a, b)).map(([, value]) => value);
}

/** Returns whether a list contains texts in ascending order without duplicates; a single value is always in order. */
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

/** Returns the buckets and keys that replikey's statements name. */
export function resourcesNamedBy(statements: readonly Statement[]): {
  sources: string[];
  destinations: string[];
  keys: string[];
} {
  const resources = (pattern: RegExp): string[] =>
    statements.flatMap((statement) =>
      pattern.test(parseSid(statement)?.subject ?? '') ? [statement.Resource ?? []].flat() : [],
    );
  const buckets = (pattern: RegExp): string[] => [...new Set(bucketNamesIn(resources(pattern)))];
  return {
    sources: buckets(/^(Foreign)?Source(Bucket|Objects)$/),
    destinations: buckets(/^(Foreign)?Destination(Objects|Deletes|Owner)$/),
    keys: [...new Set(resources(/Key$/).filter((arn) => /^arn:[^:]+:kms:[^:]+:\d+:key\/./.test(arn)))],
  };
}

/** Returns the bucket names in ARNs of buckets and objects. */
export const bucketNamesIn = (arns: readonly string[]): string[] =>
  arns.flatMap((arn) => /^arn:[^:]+:s3:::([a-z0-9.-]+)(\/|$)/.exec(arn)?.[1] ?? []);
