import { suggestionHint } from '../did-you-mean.ts';
import { type ParsedDocument, positionOf, problemAtPath, valueAtPath } from '../document.ts';
import { reverseNameOf } from '../resolve.ts';
import { formatPosition } from '../source-file.ts';
import type { Problem } from '../types.ts';
import { type CheckedDocument, type CheckedReplication, isValidAt } from '../validate.ts';
import { alarmChecks, checkAlarmNamesUnique } from './alarms.ts';
import { backfillChecks, checkBackfillSources, checkBackfillTime, checkBatchRoles } from './backfill.ts';
import { checkAgreement, checkGuardrails, checkRulesUnique } from './conflicts.ts';
import { failureChecks } from './failures.ts';
import { keyChecks } from './keys.ts';
import { type AccountsByName, type CheckFailure, pairChecks, SIDES } from './pairs.ts';
import { checkCountedAfter, reencryptChecks } from './reencrypt.ts';
import { ruleChecks } from './rules.ts';

/**
 * Checks each spec by itself, then all specs together. Names are compared over all documents, including documents with
 * no other valid part. A reference to an invalid Account is therefore not reported as unknown.
 */
export function checkSpecs(
  checkedDocuments: readonly CheckedDocument[],
  documents: readonly ParsedDocument[],
  nowMs: number | undefined,
): Problem[] {
  const pairs = checkedDocuments.filter((document) => document.kind === 'BucketReplication');
  const accounts = collectAccounts(checkedDocuments);
  return [
    ...pairs.flatMap((pair) =>
      [
        ...PAIR_CHECKS.flatMap((check) => check(pair, accounts)),
        ...checkBackfillTime(pair, nowMs),
        ...checkCountedAfter(pair, nowMs),
      ].flatMap(toProblems(pair)),
    ),
    ...checkedDocuments.flatMap(checkCredentials),
    ...checkAccountsExist(pairs, documents),
    ...checkNamesUnique(documents),
    ...checkReverseNames(pairs),
    ...checkGuardrails(
      pairs,
      checkedDocuments.filter((document) => document.kind === 'Guardrails'),
      accounts,
    ),
    ...checkAgreement(pairs),
    ...checkRulesUnique(pairs),
    ...checkAlarmNamesUnique(pairs),
    ...checkBackfillSources(pairs),
    ...checkBatchRoles(pairs),
  ];
}

const PAIR_CHECKS = [
  ...keyChecks,
  ...pairChecks,
  ...ruleChecks,
  ...failureChecks,
  ...alarmChecks,
  ...backfillChecks,
  ...reencryptChecks,
];

/** Returns the accounts with a valid id and `managed` setting, by name. */
const collectAccounts = (checkedDocuments: readonly CheckedDocument[]): AccountsByName =>
  new Map(
    checkedDocuments.flatMap((document) =>
      document.kind === 'Account' && isValidAt(document, ['spec', 'id'], ['spec', 'managed'])
        ? [[document.content.metadata.name, document.content.spec] as const]
        : [],
    ),
  );

/** Drops failures that depend on an invalid field, because that field is already reported. */
const toProblems =
  (pair: CheckedReplication) =>
  ([path, message, hint, ...dependsOn]: CheckFailure): Problem[] =>
    isValidAt(pair, path, ...dependsOn) ? [problemAtPath(pair.parsed, path, message, hint)] : [];

function checkCredentials(document: CheckedDocument): Problem[] {
  if (document.kind !== 'Account') return [];
  const { managed, profile, assumeRole } = document.content.spec;
  const path = ['spec', 'assumeRole'];
  if (!managed && (profile !== undefined || assumeRole !== undefined)) {
    const message = 'an unmanaged account cannot have credentials';
    return [
      problemAtPath(
        document.parsed,
        ['spec', 'managed'],
        message,
        'remove managed: false, or the credentials',
      ),
    ];
  }
  if (profile === undefined || assumeRole === undefined || !isValidAt(document, path)) return [];
  return [
    problemAtPath(
      document.parsed,
      path,
      'profile and assumeRole are both set',
      'keep one; a profile can assume a role',
    ),
  ];
}

function checkAccountsExist(
  pairs: readonly CheckedReplication[],
  documents: readonly ParsedDocument[],
): Problem[] {
  const knownNames = documents.flatMap((parsed) => {
    const { kind, name } = identityOf(parsed);
    return kind === 'Account' && name !== undefined ? [name] : [];
  });
  return pairs.flatMap(({ content, parsed }) =>
    SIDES.flatMap((side) => {
      const name = content.spec[side].account;
      if (name === undefined || knownNames.includes(name)) return [];
      const hint = suggestionHint(
        name,
        knownNames,
        'add a document of kind: Account with this metadata.name, and include its file in the paths',
      );
      return [problemAtPath(parsed, ['spec', side, 'account'], `no Account document is named ${name}`, hint)];
    }),
  );
}

function checkNamesUnique(documents: readonly ParsedDocument[]): Problem[] {
  const firstByName = new Map<string, ParsedDocument>();
  return documents.flatMap((parsed) => {
    const { kind, name } = identityOf(parsed);
    if (kind === undefined || name === undefined) return [];
    const path = ['metadata', 'name'];
    const previous = firstByName.get(`${kind} ${name}`);
    firstByName.set(`${kind} ${name}`, previous ?? parsed);
    if (!previous) return [];
    const message = `the ${kind} ${name} is already declared at ${formatPosition(positionOf(previous, path))}`;
    return [problemAtPath(parsed, path, message, 'rename one of the two; names are unique')];
  });
}

/** Reports specs that have the same name as the reverse direction of a two-way spec. */
function checkReverseNames(pairs: readonly CheckedReplication[]): Problem[] {
  const pairsByName = new Map(pairs.map((pair) => [pair.content.metadata.name, pair]));
  return pairs.flatMap(({ content: { metadata, spec } }) => {
    const other = spec.direction === 'both' ? pairsByName.get(reverseNameOf(metadata.name)) : undefined;
    if (!other) return [];
    const message = `the reverse direction of the two-way spec ${metadata.name} has the same name`;
    return [problemAtPath(other.parsed, ['metadata', 'name'], message, 'rename one of the two')];
  });
}

function identityOf({ value }: ParsedDocument): { kind?: string; name?: string } {
  const kind = valueAtPath(value, ['kind']);
  const name = valueAtPath(value, ['metadata', 'name']);
  return {
    ...(typeof kind === 'string' ? { kind } : {}),
    ...(typeof name === 'string' ? { name } : {}),
  };
}
