import { createHash } from 'node:crypto';
import { canonicalJson, compareCodeUnits, isJsonEqual, omitUndefined } from '../util/canonical-json.ts';
import { specNameOfRule } from './ids.ts';

/** The parts of a replication rule that identify it. */
export interface RuleIdentity {
  prefix: string;
  tags: Record<string, string>;
  exclude?: object;
  /** ARN of the destination bucket. */
  destination: string;
  status: 'Enabled' | 'Disabled';
}

/** Rules of one bucket, by id. */
type RulesById = Readonly<Record<string, RuleIdentity>>;

/** A declared rule, with its declared id. */
type RuleEntry = readonly [id: string, rule: RuleIdentity];

/**
 * Returns the ids under which the declared rules of a bucket are written, by their declared ids. Pure.
 *
 * The declared id of an unnamed rule is derived from its prefix, and changes when a person edits the prefix. S3 has no
 * other place for an identity, so an existing rule of the same spec keeps its id: one with the same filter and
 * destination, else with the same filter, else with the derived id. If one enabled rule and one declared rule remain,
 * they are the same rule, edited. The result is the same for the configuration before and after the write.
 *
 * @param unnamedIds declared ids of unnamed rules; all other rules keep their declared id
 * @param existing all rules of the configuration in S3, also foreign ones
 */
export function keptRuleIds(
  declared: RulesById,
  unnamedIds: readonly string[],
  existing: RulesById,
): Map<string, string> {
  const ids = new Map(Object.keys(declared).map((id) => [id, id]));
  // The common case: nothing was edited.
  if (unnamedIds.every((id) => isUnedited(declared[id], existing[id]))) return ids;
  const movable = identifiableRules(declared, unnamedIds);
  const claimed = new Set([...ids.keys()].filter((id) => !movable.has(id)));
  for (const spec of new Set([...movable.keys()].map(specNameOfRule))) {
    const rules = [...movable].filter(([id]) => specNameOfRule(id) === spec);
    const kept = matchRules(rules, existingRulesOf(spec, existing, claimed));
    for (const id of kept.values()) claimed.add(id);
    for (const [id, rule] of rules) {
      const keptId = kept.get(id) ?? freeId(id, rule, new Set([...claimed, ...Object.keys(existing)]));
      ids.set(id, keptId);
      claimed.add(keptId);
    }
  }
  return ids;
}

/**
 * Returns the unnamed rules that their filter identifies. Rules of one spec with equal filters keep their derived ids.
 */
function identifiableRules(
  declared: RulesById,
  unnamedIds: readonly string[],
): ReadonlyMap<string, RuleIdentity> {
  const rules = unnamedIds.flatMap((id): RuleEntry[] => (declared[id] ? [[id, declared[id]]] : []));
  const keyOf = ([id, rule]: RuleEntry) => canonicalJson([specNameOfRule(id), filterOf(rule)]);
  const counts = new Map<string, number>();
  for (const rule of rules) counts.set(keyOf(rule), (counts.get(keyOf(rule)) ?? 0) + 1);
  return new Map(
    rules.filter((rule) => counts.get(keyOf(rule)) === 1).sort(([a], [b]) => compareCodeUnits(a, b)),
  );
}

const existingRulesOf = (spec: string, existing: RulesById, claimed: ReadonlySet<string>): RuleEntry[] =>
  Object.entries(existing)
    .filter(([id]) => isRuleOf(spec, id) && !claimed.has(id))
    .sort(([a], [b]) => compareCodeUnits(a, b));

/** Returns whether an id is that of a declared rule of a spec. A temporary rule for canaries has a longer id. */
function isRuleOf(spec: string, id: string): boolean {
  const [prefix, owner, ...name] = id.split('/');
  return prefix === 'replikey' && owner === spec && name.length === 1;
}

/** Returns the existing rules that declared rules of the same spec continue: ids by declared id. */
function matchRules(declared: readonly RuleEntry[], existing: readonly RuleEntry[]): Map<string, string> {
  const kept = new Map<string, string>();
  let unmatched = [...declared];
  let candidates = [...existing];
  const keep = (id: string, existingId: string) => {
    kept.set(id, existingId);
    unmatched = unmatched.filter(([other]) => other !== id);
    candidates = candidates.filter(([other]) => other !== existingId);
  };
  for (const isSame of IDENTITY_CHECKS)
    for (const declaredRule of declared.filter(([id]) => !kept.has(id))) {
      const matches = candidates.filter((candidate) => isSame(declaredRule, candidate));
      const [id] = declaredRule;
      const match =
        matches.find(([existingId]) => existingId === id) ??
        // The choice for a disabled rule must not depend on a status that the write changes.
        (isEnabled(declaredRule) ? matches.find(isEnabled) : undefined) ??
        matches[0];
      if (match) keep(id, match[0]);
    }
  const enabled = candidates.filter(isEnabled);
  const [edited, original] = [unmatched[0], enabled[0]];
  if (edited && original && unmatched.length === 1 && enabled.length === 1 && isEdit(edited[1], original[1]))
    keep(edited[0], original[0]);
  return kept;
}

/** Checks whether a declared rule continues an existing one, the most certain first. */
const IDENTITY_CHECKS: ((declared: RuleEntry, existing: RuleEntry) => boolean)[] = [
  ([, rule], [, other]) => isUnedited(rule, other),
  ([, rule], [, other]) => hasSameFilter(rule, other),
  ([id], [otherId]) => id === otherId,
];

const isEnabled = ([, { status }]: RuleEntry): boolean => status === 'Enabled';

const isEdit = (rule: RuleIdentity, original: RuleIdentity): boolean =>
  rule.destination === original.destination ||
  rule.prefix.startsWith(original.prefix) ||
  original.prefix.startsWith(rule.prefix);

const isUnedited = (rule: RuleIdentity | undefined, other: RuleIdentity | undefined): boolean =>
  rule !== undefined &&
  other !== undefined &&
  rule.destination === other.destination &&
  hasSameFilter(rule, other);

const filterOf = ({ prefix, tags, exclude }: RuleIdentity) => omitUndefined({ prefix, tags, exclude });

const hasSameFilter = (rule: RuleIdentity, other: RuleIdentity): boolean =>
  isJsonEqual(filterOf(rule), filterOf(other));

/** Returns the derived id of a new rule, with digits of the filter's hash if another rule has the id. */
function freeId(id: string, rule: RuleIdentity, taken: ReadonlySet<string>): string {
  if (!taken.has(id)) return id;
  const hash = createHash('sha256')
    .update(canonicalJson(filterOf(rule)))
    .digest('hex');
  for (let length = 4; length < hash.length; length++) {
    const candidate = `${id}-${hash.slice(0, length)}`;
    if (!taken.has(candidate)) return candidate;
  }
  return `${id}-${hash}`;
}
