import { isAccessDenied } from '../aws/errors.ts';
import { READ_AFTER_APPLY } from '../core/facts.ts';
import type { DeclaredBuckets } from '../core/guard.ts';
import { isReplikeyRule, specNameOfRule } from '../core/ids.ts';
import { isForReplication, type Kind } from '../core/kind.ts';
import type { PlanDraft } from '../core/plan.ts';
import { renderChange, requireKind, resourceDiff } from '../core/plan.ts';
import {
  type ActualState,
  type Blocked,
  type Current,
  currentOf,
  type Resource,
  type Step,
  type Withheld,
} from '../core/resource.ts';
import { withoutRequestIds } from '../core/seal.ts';
import { parseSid, toSidName } from '../policy/statements.ts';
import type { RuleProof } from '../proof/types.ts';
import type { BucketReplication } from '../spec/types.ts';
import { canonicalJson, compareCodeUnits } from '../util/canonical-json.ts';
import { parsePointer } from '../util/json-pointer.ts';

/** Pairs of which replikey changes nothing, because a part of each is blocked, and what it therefore withholds. */
export interface BlockedPairs {
  names: ReadonlySet<string>;
  blocked: Blocked[];
  withheld: Withheld[];
  /** The proofs of their rules. */
  proofs: RuleProof[];
}

export const NO_BLOCKED_PAIRS: BlockedPairs = { names: new Set(), blocked: [], withheld: [], proofs: [] };

/** A draft with all pairs that are not blocked so far. */
export interface UncheckedDraft {
  planned: PlanDraft;
  proofs: readonly RuleProof[];
  resources: readonly Resource[];
  actual: ActualState;
  kinds: ReadonlyMap<string, Kind>;
  pairs: readonly BucketReplication[];
  /** Blocked resources of orphans, which concern no declared pair. */
  blockedOrphans: readonly Blocked[];
  allowUnproven?: boolean | undefined;
  /** Returns the ARN that a resource will have. */
  arnOf(resource: Resource): string;
  /** Number of drafts before this one. */
  round: number;
}

/**
 * Returns the pairs of a draft that are blocked: a resource that they declare is unreadable or unusable, or the proof of
 * their rules is undecided. Pure.
 *
 * A pair that is blocked creates nothing: its keys, buckets and role would stay for ever if the cause is never removed.
 * Its entries in shared documents also stay exactly as they are, because its rules may still need them.
 */
export function findBlockedPairs(draft: UncheckedDraft): BlockedPairs {
  const { planned, proofs, resources, pairs } = draft;
  const resourcesById = new Map(resources.map((resource) => [resource.id, resource]));
  const declaredNames = new Set(pairs.map(({ name }) => name));
  const causes = planned.blocked.filter(
    (item) =>
      !draft.blockedOrphans.includes(item) &&
      // Replication does not depend on what observes it, or on jobs.
      isForReplication(item.id, draft.kinds) &&
      resourcesById.get(item.id)?.orphaned !== true &&
      !isCreatedByPlan(item, draft),
  );
  const causesByPair = new Map<string, Blocked[]>();
  for (const cause of causes) {
    const resource = resourcesById.get(cause.id);
    const names = resource ? ownersToBlock(resource, draft) : cause.pairs;
    for (const name of names.filter((candidate) => declaredNames.has(candidate)))
      causesByPair.set(name, [...(causesByPair.get(name) ?? []), cause]);
  }
  for (const cause of draft.allowUnproven ? [] : undecidedCauses(draft)) {
    const [name = ''] = cause.pairs;
    if (!causesByPair.has(name)) causesByPair.set(name, [cause]);
  }
  const names = new Set(causesByPair.keys());
  if (names.size === 0) return NO_BLOCKED_PAIRS;
  return {
    names,
    blocked: mergeCauses(causesByPair),
    withheld: planned.waves
      .flat()
      .filter(({ pairs: owners }) => owners.some((owner) => names.has(owner)))
      .filter(({ pairs: owners }) => owners.every((owner) => names.has(owner)))
      .map(({ id, action, pairs: owners }): Withheld => {
        const because = owners.flatMap((owner) => (causesByPair.get(owner) ?? []).map((cause) => cause.id));
        return { id, action, because: [...new Set(because)].sort(compareCodeUnits), pairs: owners };
      }),
    proofs: proofs.flatMap((proof) =>
      names.has(proof.spec ?? '') ? { ...proof, verdict: 'blocked' as const } : [],
    ),
  };
}

/** Joins the blocked pairs of two rounds. */
export const joinBlockedPairs = (first: BlockedPairs, second: BlockedPairs): BlockedPairs => ({
  names: new Set([...first.names, ...second.names]),
  blocked: [...first.blocked, ...second.blocked],
  withheld: [...first.withheld, ...second.withheld],
  proofs: [...first.proofs, ...second.proofs],
});

/**
 * Adds what prune would change if nothing were blocked, as withheld changes, and the resources without which prune cannot
 * find orphans, as blocked.
 *
 * @param draft the plan without prune
 * @param heldPrune the plan with prune
 */
export function withHeldPrune(frozen: BlockedPairs, draft: PlanDraft, heldPrune: PlanDraft): BlockedPairs {
  const contentOf = ({ id, action, patch }: Step) => canonicalJson({ id, action, patch });
  const planned = new Set(draft.waves.flat().map(contentOf));
  const withheldIds = new Set(frozen.withheld.map(({ id }) => id));
  const causeOf = ({ id, why }: Blocked) => `${id} ${withoutRequestIds(why)}`;
  const causes = new Set([...draft.blocked, ...frozen.blocked].map(causeOf));
  const because = [...new Set(heldPrune.blocked.map(({ id }) => id))].sort(compareCodeUnits);
  return {
    ...frozen,
    blocked: [...frozen.blocked, ...heldPrune.blocked.filter((item) => !causes.has(causeOf(item)))],
    withheld: [
      ...frozen.withheld,
      ...heldPrune.waves
        .flat()
        .filter((step) => !planned.has(contentOf(step)) && !withheldIds.has(step.id))
        .map(({ id, action, pairs }): Withheld => ({ id, action, because, pairs })),
    ],
  };
}

/** Returns the declared buckets of a draft, with those that deny access. */
export function declaredBucketsOf(
  { resources, actual }: Pick<UncheckedDraft, 'resources' | 'actual'>,
  kinds: ReadonlyMap<string, Kind>,
): DeclaredBuckets {
  const buckets = resources.filter(({ id, kind, orphaned }) => {
    const scope = kinds.get(kind)?.scope;
    return scope?.type === 'bucket' && scope.ownerId(id) === id && !orphaned;
  });
  return {
    count: buckets.length,
    denied: buckets.flatMap(({ id, name, location: { account = '' } }) => {
      const observation = actual.get(id);
      return observation?.state === 'unknown' && isAccessDenied(observation.error)
        ? [{ bucket: name, account }]
        : [];
    }),
  };
}

/** Returns each cause once, with only the pairs that it blocks. */
function mergeCauses(causesByPair: ReadonlyMap<string, readonly Blocked[]>): Blocked[] {
  const merged = new Map<string, Blocked>();
  for (const [name, causes] of causesByPair)
    for (const cause of causes) {
      const key = `${cause.id} ${cause.why}`;
      const pairs = [...(merged.get(key)?.pairs ?? []), name];
      merged.set(key, { ...cause, pairs });
    }
  return [...merged.values()].sort((a, b) => compareCodeUnits(a.id, b.id));
}

/**
 * Returns whether a step of the plan creates the resource that a spec refers to by ARN. The next run finds it, so the
 * other steps of the pair need not wait.
 */
function isCreatedByPlan({ id }: Blocked, { planned, resources, kinds, arnOf }: UncheckedDraft): boolean {
  const resource = resources.find((candidate) => candidate.id === id);
  const arn = (resource?.spec as { arn?: unknown } | undefined)?.arn;
  if (typeof arn !== 'string') return false;
  const createdIds = new Set(
    planned.waves.flat().flatMap((step) => (step.action === 'create' ? step.id : [])),
  );
  return resources.some(
    (other) =>
      createdIds.has(other.id) &&
      kinds.get(other.kind)?.scope.ownerId(other.id) === other.id &&
      arnOf(other) === arn,
  );
}

/**
 * Returns the pairs that a blocked resource blocks. When a shared document can be read, only entries that change can be
 * the cause, for example because the document would exceed the limit of AWS. The newest pairs wait first: those without
 * an entry, and then those declared last. Each round blocks twice as many, so that a large document needs few rounds.
 */
function ownersToBlock(resource: Resource, { actual, kinds, round }: UncheckedDraft): string[] {
  const { declaredBy } = resource;
  const observation = actual.get(resource.id);
  if (declaredBy.length === 1 || observation?.state === 'unknown') return declaredBy;
  const kind = requireKind(kinds, resource);
  const { current, desired } = renderChange(resource, actual, kind);
  const changedKeys = resourceDiff(current, desired, kind).patch.map(
    ({ path }) => parsePointer(path)[1] ?? '',
  );
  const currentKeys = entryKeysOf(current);
  const hasEntry = (keys: readonly string[], name: string) => keys.some((key) => isEntryOf(key, name));
  const changing = declaredBy.filter((name) => hasEntry(changedKeys, name));
  if (changing.length === 0) return declaredBy;
  const isNew = (name: string) => !hasEntry(currentKeys, name);
  const newestFirst = [
    ...changing.filter(isNew).reverse(),
    ...changing.filter((name) => !isNew(name)).reverse(),
  ];
  return newestFirst.slice(0, 2 ** round);
}

/** Returns the keys of the managed entries of a document: Sids and ids of rules. */
const entryKeysOf = (current: Current | undefined): string[] =>
  Object.values((current?.spec ?? {}) as object).flatMap((part) =>
    part !== null && typeof part === 'object' && !Array.isArray(part) ? Object.keys(part) : [],
  );

/** Returns whether a statement, by its Sid, or a rule, by its id, belongs to a spec. */
const isEntryOf = (key: string, name: string): boolean =>
  parseSid({ Sid: key })?.name === toSidName(name) || (isReplikeyRule(key) && specNameOfRule(key) === name);

/**
 * Returns the new rules whose proof is undecided for a reason that applying the plan does not remove. A rule that exists
 * replicates, or does not, regardless of what replikey can read: its edits are not withheld.
 */
function undecidedCauses({ proofs, pairs, resources, kinds, actual }: UncheckedDraft): Blocked[] {
  // The owner of an unmanaged account makes its half. replikey cannot read it, and does not wait for it.
  const managedNames = new Set(
    pairs.flatMap(({ name, source, destination }) => (source.managed && destination.managed ? name : [])),
  );
  return proofs.flatMap(({ verdict, spec = '', bucket, rule, findings }): Blocked[] => {
    if (verdict !== 'unknown' || !managedNames.has(spec)) return [];
    const finding = findings.find(
      ({ severity, message }) => severity === 'unknown' && !message.includes(READ_AFTER_APPLY),
    );
    const resource = resources.find(
      ({ name, declaredBy, kind }) =>
        name === bucket && declaredBy.includes(spec) && kinds.get(kind)?.scope.stage === 'rules',
    );
    if (!finding || !resource || entryKeysOf(currentOf(actual, resource.id)).includes(rule)) return [];
    const why = `the proof of the rule ${rule} is undecided: ${finding.code} ${finding.message}; let replikey read it, or apply with --allow-unproven`;
    return [{ id: resource.id, why, pairs: [spec], from: resource.position }];
  });
}
