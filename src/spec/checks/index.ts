import { type Parsed, positionOf, problem } from '../document.ts';
import { valueAt } from '../path.ts';
import { at } from '../source.ts';
import { suggest } from '../suggest.ts';
import { reverseName } from '../two-way.ts';
import type { Problem } from '../types.ts';
import { type CheckedReplication, isSound, type Valid } from '../validate.ts';
import { agreeing, priorities, ruleIds } from './agreement.ts';
import { type Accounts, type Finding, SIDES } from './finding.ts';
import { withinGuardrails } from './guardrails.ts';
import { keyRules } from './keys.ts';
import { pairRules } from './pair.ts';
import { ruleRules } from './rules.ts';

/**
 * Check each spec by itself, then all of them together. Names are compared over all documents, also those of which
 * nothing else could be read, so that a reference to a broken Account is not called unknown.
 */
export function check(valid: readonly Valid[], all: readonly Parsed[]): Problem[] {
  const pairs = valid.filter((one) => one.kind === 'BucketReplication');
  const accounts = accountsOf(valid);
  return [
    ...pairs.flatMap((pair) => RULES.flatMap((rule) => rule(pair, accounts)).flatMap(found(pair))),
    ...valid.flatMap(oneWayIn),
    ...accountsExist(pairs, all),
    ...duplicateNames(all),
    ...reverseNames(pairs),
    ...withinGuardrails(
      pairs,
      valid.filter((one) => one.kind === 'Guardrails'),
      accounts,
    ),
    ...agreeing(pairs),
    ...ruleIds(pairs),
    ...priorities(pairs),
  ];
}

const RULES = [...keyRules, ...pairRules, ...ruleRules];

/** What can be known of accounts, by name. */
const accountsOf = (valid: readonly Valid[]): Accounts =>
  new Map(
    valid.flatMap((one) =>
      one.kind === 'Account' && isSound(one, ['spec', 'id'], ['spec', 'managed'])
        ? [[one.written.metadata.name, one.written.spec] as const]
        : [],
    ),
  );

/** Only what stands on sound ground: a field that is wrong by itself was reported already. */
const found =
  (pair: CheckedReplication) =>
  ([path, message, hint, ...from]: Finding): Problem[] =>
    isSound(pair, path, ...from) ? [problem(pair.parsed, path, message, hint)] : [];

function oneWayIn(one: Valid): Problem[] {
  if (one.kind !== 'Account') return [];
  const { managed, profile, assumeRole } = one.written.spec;
  const path = ['spec', 'assumeRole'];
  if (!managed && (profile !== undefined || assumeRole !== undefined)) {
    const message = 'credentials are given for an account that is not managed';
    return [problem(one.parsed, ['spec', 'managed'], message, 'keep one of the two')];
  }
  if (profile === undefined || assumeRole === undefined || !isSound(one, path)) return [];
  return [
    problem(
      one.parsed,
      path,
      'both profile and assumeRole are given',
      'keep one; a profile can assume a role',
    ),
  ];
}

function accountsExist(pairs: readonly CheckedReplication[], all: readonly Parsed[]): Problem[] {
  const known = all.flatMap((parsed) => {
    const { kind, name } = identity(parsed);
    return kind === 'Account' && name !== undefined ? [name] : [];
  });
  return pairs.flatMap(({ written, parsed }) =>
    SIDES.flatMap((side) => {
      const name = written.spec[side].account;
      if (name === undefined || known.includes(name)) return [];
      const meant = suggest(name, known);
      const hint = meant
        ? `did you mean ${meant}?`
        : 'add one: kind: Account with metadata.name and spec.id, and name its file too';
      return [problem(parsed, ['spec', side, 'account'], `there is no Account document named ${name}`, hint)];
    }),
  );
}

function duplicateNames(all: readonly Parsed[]): Problem[] {
  const first = new Map<string, Parsed>();
  return all.flatMap((parsed) => {
    const { kind, name } = identity(parsed);
    if (kind === undefined || name === undefined) return [];
    const path = ['metadata', 'name'];
    const before = first.get(`${kind} ${name}`);
    first.set(`${kind} ${name}`, before ?? parsed);
    if (!before) return [];
    const message = `the ${kind} ${name} is already declared at ${at(positionOf(before, path))}`;
    return [problem(parsed, path, message, 'names are unique: rename one of the two')];
  });
}

/** The way back of a two-way spec has a name as well, which no other spec may have. */
function reverseNames(pairs: readonly CheckedReplication[]): Problem[] {
  const named = new Map(pairs.map((pair) => [pair.written.metadata.name, pair]));
  return pairs.flatMap(({ written: { metadata, spec } }) => {
    const other = spec.direction === 'both' ? named.get(reverseName(metadata.name)) : undefined;
    if (!other) return [];
    const message = `this is what the way back of the two-way spec ${metadata.name} is called`;
    return [problem(other.parsed, ['metadata', 'name'], message, 'rename one of the two')];
  });
}

function identity({ value }: Parsed): { kind?: string; name?: string } {
  const kind = valueAt(value, ['kind']);
  const name = valueAt(value, ['metadata', 'name']);
  return {
    ...(typeof kind === 'string' ? { kind } : {}),
    ...(typeof name === 'string' ? { name } : {}),
  };
}
