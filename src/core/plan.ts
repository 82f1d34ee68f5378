import { compareCodeUnits, sortKeys } from '../util/canonical-json.ts';
import { parsePointer } from '../util/json-pointer.ts';
import { type Diff, diffNormalForms, removedEntryPaths } from './diff.ts';
import { ownersInDrain, planHousekeeping } from './housekeeping.ts';
import { type Change, type Check, KEEP_RETAINED, type Kind, type Retention } from './kind.ts';
import { resolveRefs } from './ref.ts';
import {
  type ActualState,
  type Blocked,
  type Current,
  currentOf,
  DEFAULT_DRAIN_MS,
  type Handover,
  type Housekeeping,
  type Id,
  type JobStatus,
  type Note,
  type PlanContent,
  type Ref,
  type Resource,
  type RetainedNote,
  type Risk,
  type Step,
  type Withheld,
} from './resource.ts';
import { withoutRequestIds } from './seal.ts';
import { needsOf, toWaves, withFollowers } from './waves.ts';

export interface PlanContext {
  /** Blocked resources and notes that the caller found. */
  blocked: readonly Blocked[];
  notes: readonly Note[];
  /** Changes of blocked pairs. */
  withheld?: readonly Withheld[];
  /**
   * The time of AWS, in milliseconds since 1970. It decides only which retained permissions have expired; absent: none
   * has.
   */
  nowMs?: number;
}

/** A draft plan for a part of the resources that depends on no other part. */
export interface PlanDraft {
  /** Waves over all resources of the part: resources without a step leave empty waves. */
  waves: Step[][];
  blocked: Blocked[];
  withheld: readonly Withheld[];
  notes: Note[];
  handover: readonly Handover[];
  housekeeping: Housekeeping[];
  retained: RetainedNote[];
  /** The batch jobs that specs declare. */
  jobs: JobStatus[];
  unchangedIds: Id[];
}

/**
 * Compares desired resources with the actual state. Pure: the same input gives the same plan, byte for byte.
 *
 * Each step is for exactly one resource whose normal forms differ. No resource changes without a field that differs.
 *
 */
export function planChanges(
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  handover: readonly Handover[] = [],
  { nowMs = 0, ...remarks }: PlanContext = { blocked: [], notes: [] },
): PlanDraft {
  const ordered = [...resources].sort(compareIds);
  const follows = new Map<Id, Id[]>();
  const steps = new Map<Id, Step>();
  const blocked: Blocked[] = [...remarks.blocked];
  const notes: Note[] = [...remarks.notes];
  const jobs: JobStatus[] = [];
  const narrowedSids = new Map<Id, string[]>();
  const draining = ownersInDrain(ordered, actual, kinds, nowMs);

  for (const resource of ordered) {
    const { id, declaredBy, position } = resource;
    const kind = requireKind(kinds, resource);
    const result = planResource(resource, actual, kind, nowMs);
    const isNeeded =
      kind.scope.type === 'role' &&
      !resource.isIdle &&
      resource.pruneOwners?.some((owner) => draining.has(owner));
    if (isNeeded && result.step?.action === 'delete') delete result.step;
    if (resource.narrowed) {
      if (result.step)
        narrowedSids.set(
          id,
          // Statements of a policy, or tags of a role.
          result.step.patch.flatMap(({ op, path }) => {
            const [, entry, ...deeper] = parsePointer(path);
            return op === 'remove' && entry !== undefined && deeper.length === 0 ? entry : [];
          }),
        );
      if (result.blocked !== undefined) notes.push({ id, message: result.blocked, pairs: declaredBy });
      continue;
    }
    if (result.blocked !== undefined)
      blocked.push({ id, why: result.blocked, pairs: declaredBy, from: position });
    if (result.step) steps.set(id, result.step);
    if (result.job) jobs.push({ id, ...result.job, pairs: declaredBy });
    // A resource that does not exist yet protects nothing, so the declared order holds.
    const existing = result.follows?.filter((other) => actual.get(other)?.state === 'present') ?? [];
    if (result.step && existing.length > 0) follows.set(id, existing);
    for (const message of result.notes ?? []) notes.push({ id, message, pairs: declaredBy });
  }

  const arranged = withFollowers(ordered, follows);
  const resourcesById = new Map(arranged.map((resource) => [resource.id, resource]));
  const relevant = new Set<Id>([...steps.keys(), ...blocked.map(({ id }) => id)]);
  const withNeeds = (step: Step): Step => ({
    ...step,
    needs: relevantNeedsOf(step.id, resourcesById, relevant),
  });
  return {
    waves: toWaves(arranged).map((wave) => wave.flatMap(({ id }) => steps.get(id) ?? []).map(withNeeds)),
    blocked,
    withheld: remarks.withheld ?? [],
    notes,
    handover,
    jobs,
    ...planHousekeeping({
      resources: ordered,
      actual,
      kinds,
      steps: [...steps.values()],
      narrowedSids,
      nowMs,
    }),
    unchangedIds: ordered.filter(({ id, orphaned }) => !orphaned && !relevant.has(id)).map(({ id }) => id),
  };
}

/** Joins drafts into one plan. A step or a remark that several of them have appears once. */
export function joinDrafts(drafts: readonly PlanDraft[]): PlanContent {
  const waves = joinWaves(drafts);
  const blocked = mergeRemarks(
    drafts.map((draft) => draft.blocked),
    ({ id, why }) => `${id} ${withoutRequestIds(why)}`,
  );
  const notes = mergeRemarks(
    drafts.map((draft) => draft.notes),
    ({ id, message }) => `${id} ${message}`,
  );
  const withheld = mergeRemarks(
    drafts.map((draft) => [...draft.withheld].sort(compareIds)),
    ({ id, action, because }) => [id, action, ...because].join(' '),
  );
  const handover = [
    ...new Map(
      drafts.flatMap((draft) => draft.handover).map((item) => [`${item.id} ${item.what}`, item]),
    ).values(),
  ];
  const housekeeping = drafts.flatMap((draft) => draft.housekeeping).sort(compareIds);
  const retained = drafts
    .flatMap((draft) => draft.retained)
    .sort((a, b) => compareCodeUnits(`${a.id} ${a.sid}`, `${b.id} ${b.sid}`));
  const jobs = drafts.flatMap((draft) => draft.jobs).sort(compareIds);
  const unchanged = new Set(drafts.flatMap((draft) => draft.unchangedIds)).size;
  return {
    waves,
    blocked,
    withheld,
    notes,
    handover,
    housekeeping,
    retained,
    ...(jobs.length > 0 && { jobs }),
    unchanged,
  };
}

/**
 * Joins waves. Several drafts may have the same step, of an alarm on all rules of an account: it waits for the rules of all
 * of them, in the last of its waves.
 */
function joinWaves(drafts: readonly PlanDraft[]): Step[][] {
  const steps = new Map<Id, { step: Step; depth: number }>();
  for (const { waves } of drafts)
    for (const [depth, wave] of waves.entries())
      for (const step of wave) {
        const other = steps.get(step.id);
        steps.set(
          step.id,
          other
            ? { step: mergeSteps(other.step, step), depth: Math.max(other.depth, depth) }
            : { step, depth },
        );
      }
  const joined: Step[][] = [];
  for (const { step, depth } of steps.values()) {
    joined[depth] ??= [];
    joined[depth].push(step);
  }
  return Array.from(joined, (wave = []) => wave.sort(compareIds)).filter((wave) => wave.length > 0);
}

const mergeSteps = (first: Step, second: Step): Step => ({
  ...first,
  needs: [...new Set([...first.needs, ...second.needs])].sort(compareCodeUnits),
  pairs: [...new Set([...first.pairs, ...second.pairs])],
});

const compareIds = (a: { id: Id }, b: { id: Id }): number => compareCodeUnits(a.id, b.id);

/** Merges equal remarks of several drafts into one, with the pairs of all of them. */
function mergeRemarks<T extends { id: Id; pairs: string[] }>(
  lists: readonly T[][],
  keyOf: (remark: T) => string,
): T[] {
  const [first = []] = lists;
  if (lists.length === 1) return first;
  const remarksByKey = new Map<string, T>();
  for (const remark of lists.flat()) {
    const existing = remarksByKey.get(keyOf(remark));
    remarksByKey.set(
      keyOf(remark),
      existing ? { ...existing, pairs: [...new Set([...existing.pairs, ...remark.pairs])] } : remark,
    );
  }
  return [...remarksByKey.values()].sort(compareIds);
}

/**
 * Returns the change that brings a resource to its desired state: the document that a write leaves, and its managed
 * part. A plan compares the managed part, and a person approves it. A write sends the document.
 */
export function renderChange(
  resource: Resource,
  actual: ActualState,
  kind: Kind,
  resolveRef: (reference: Ref) => string | undefined = createRefResolver(actual),
  retention: Retention = KEEP_RETAINED,
): Change {
  return renderFrom(resource, currentOf(actual, resource.id), kind, resolveRef, retention);
}

/** Returns the same change from a given current state. */
export function renderFrom(
  { spec, context, ...resource }: Resource,
  current: Current | undefined,
  kind: Kind,
  resolveRef: (reference: Ref) => string | undefined,
  retention: Retention = KEEP_RETAINED,
): Change {
  const resolved: Resource = { ...resource, spec: resolveRefs(spec, resolveRef) };
  if (context !== undefined) resolved.context = resolveRefs(context, resolveRef);
  const doc = kind.render(resolved, current, retention);
  const parsed = doc === undefined ? { spec: resolved.spec } : kind.parse(doc, resolved);
  return {
    resource: resolved,
    current,
    doc,
    desired: sortKeys(kind.normalize(parsed.spec)),
    retained: ('retained' in parsed && parsed.retained) || [],
  };
}

/** Returns the fields in which the current state differs from the desired one. */
export const resourceDiff = (current: Current | undefined, desired: unknown, kind: Kind): Diff =>
  diffNormalForms(current ? kind.normalize(current.spec) : {}, desired);

/** Resolves a reference to the attribute that was observed, or written, for its target. */
export const createRefResolver =
  (actual: ActualState) =>
  (reference: Ref): string | undefined =>
    currentOf(actual, reference.$ref)?.attrs[reference.attr];

interface ResourcePlan {
  step?: Step;
  /** Resources whose steps must come first, although they need this one. */
  follows?: Id[] | undefined;
  blocked?: string;
  notes?: string[];
  job?: Check['job'];
}

function planResource(resource: Resource, actual: ActualState, kind: Kind, nowMs: number): ResourcePlan {
  const observation = actual.get(resource.id);
  if (observation?.state === 'unknown') return { blocked: observation.reason };
  const change = renderChange(resource, actual, kind);
  const { current, desired } = change;
  const { blocked, notes = [], changeNotes = [], follows, job, ...check } = kind.check?.(change) ?? {};
  const retention = retainedBy(change);

  if (blocked !== undefined)
    return { blocked, ...(job && { job: { ...job, state: 'blocked', reason: blocked } }) };
  if (resource.orphaned && !current) return {};
  const isDelete = change.doc === undefined || isSpent(resource, current, kind, nowMs);

  const diff = resourceDiff(current, desired, kind);
  const patch = isDelete ? diff.patch.filter(({ op }) => op === 'remove') : diff.patch;
  if (patch.length === 0 && current && !isDelete) return { notes, ...(job && { job }) };
  return {
    notes: [...notes, ...changeNotes],
    follows,
    ...(job && { job }),
    step: {
      id: resource.id,
      kind: resource.kind,
      action: isDelete ? 'delete' : current ? 'update' : 'create',
      at: resource.location,
      patch,
      before: Object.fromEntries(
        patch.map(({ path }) => [path, diff.before[path]]).filter(([, value]) => value !== undefined),
      ),
      desired,
      why: resource.orphaned ? [ORPHAN_REASON] : stepReasons(patch, desired, current, kind),
      calls: kind.operations(change).map(({ call }) => call),
      needs: [],
      risks: current
        ? [...(check.risks ?? []), ...drainRisks(resource, patch, retention)]
        : (check.creationRisks ?? []),
      ...retention,
      pairs: resource.declaredBy,
      from: resource.position,
    },
  };
}

/** Returns the permissions that a change replaces and retains. */
function retainedBy({ resource, current, retained }: Change): Pick<Step, 'retains'> {
  const existingIds = new Set(current?.retained?.map(({ id }) => id));
  const added = retained
    .filter(({ id }) => !existingIds.has(id))
    // The order of the ids depends on hashes.
    .sort((a, b) => compareCodeUnits(a.replaces, b.replaces));
  if (added.length === 0) return {};
  return {
    retains: {
      drainSeconds: (resource.drainMs ?? DEFAULT_DRAIN_MS) / 1000,
      // The order in the document depends on a hash.
      statements: sortKeys(Object.fromEntries(added.map(({ replaces, original }) => [replaces, original]))),
    },
  };
}

/** Returns whether an orphaned document holds nothing but expired permissions. */
const isSpent = (resource: Resource, current: Current | undefined, kind: Kind, nowMs: number): boolean =>
  resource.orphaned === true &&
  current !== undefined &&
  kind.render(resource, current, { mode: 'narrow', nowMs }) === undefined &&
  resourceDiff(current, kind.normalize(resource.spec), kind).patch.length === 0;

/** Returns the risk of a change that retains replaced permissions for no time. */
function drainRisks(
  { orphaned, isIdle, drainMs }: Resource,
  patch: Step['patch'],
  { retains }: Pick<Step, 'retains'>,
): Risk[] {
  if (drainMs !== 0 || isIdle) return [];
  const sids = orphaned
    ? removedEntryPaths({ patch }).map((path) => parsePointer(path).at(-1) ?? '')
    : Object.keys(retains?.statements ?? {});
  if (sids.length === 0) return [];
  const message = `removes ${sids.join(', ')} without a drain: objects that S3 has not replicated yet fail`;
  return [{ id: 'lose-in-flight', message }];
}

/** Returns why a resource cannot be changed before a person acts. */
export function blockedReasonOf(resource: Resource, actual: ActualState, kind: Kind): string | undefined {
  const observation = actual.get(resource.id);
  if (observation?.state === 'unknown') return observation.reason;
  return kind.check?.(renderChange(resource, actual, kind)).blocked;
}

/** Explains a step. A missing resource is explained as a whole (the path is empty), an existing one field by field. */
function stepReasons(
  patch: Step['patch'],
  desired: unknown,
  current: Current | undefined,
  kind: Kind,
): string[] {
  const operations = current ? patch : [{ op: 'add', path: '' } as const];
  const explained = operations.flatMap(({ op, path }) =>
    op === 'remove' && /^\/statements\/[^/]+$/.test(path)
      ? UNDECLARED_REASON
      : (kind.explain?.(path, desired) ?? []),
  );
  if (!current) return [MISSING_REASON, ...explained];
  return explained.length > 0 ? [...new Set(explained)] : ['differs from the spec'];
}

/** The reason of a step that creates a resource. */
export const MISSING_REASON = 'does not exist yet';

const ORPHAN_REASON = 'orphan: no spec declares it any more';
const UNDECLARED_REASON = 'no spec needs it';

/** Returns the steps and blocked resources that a resource waits for, also through resources that need no change. */
function relevantNeedsOf(
  start: Id,
  resourcesById: ReadonlyMap<Id, Resource>,
  relevant: ReadonlySet<Id>,
): Id[] {
  const needs = new Set<Id>();
  const visited = new Set<Id>();
  const visit = (id: Id): void => {
    const resource = resourcesById.get(id);
    if (!resource || visited.has(id)) return;
    visited.add(id);
    for (const need of needsOf(resource)) {
      if (relevant.has(need)) needs.add(need);
      visit(need);
    }
  };
  visit(start);
  return [...needs].sort(compareCodeUnits);
}

/**
 * Returns the kind of a resource.
 *
 * @throws Error for a resource of an unknown kind: a fault of the program.
 */
export function requireKind(kinds: ReadonlyMap<string, Kind>, resource: Resource): Kind {
  const kind = kinds.get(resource.kind);
  if (!kind) throw new Error(`unknown kind ${resource.kind} of ${resource.id}`);
  return kind;
}
