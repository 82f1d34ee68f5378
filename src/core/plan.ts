import { createHash } from 'node:crypto';
import { canonicalJson, compareCodeUnits, isJsonEqual, sortKeys } from '../util/canonical-json.ts';
import { diffJson } from './difference.ts';
import { resolveRefs } from './ref.ts';
import type {
  ActualState,
  Blocked,
  Current,
  Handover,
  Id,
  Kind,
  Note,
  Plan,
  Ref,
  Resource,
  Step,
} from './resource.ts';
import { needsOf, toWaves } from './waves.ts';

/**
 * Compare what is wanted with what was observed. Pure: the same input gives the same plan, byte for byte.
 *
 * A step stands for exactly one resource whose normal forms differ; there is no change without a field that differs.
 * What was told before, beside the resources, is told with it.
 */
export function createPlan(
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  handover: readonly Handover[] = [],
  remarks: PlanRemarks = { blocked: [], notes: [] },
): Plan {
  return joinDrafts([planChanges(resources, actual, kinds, handover, remarks)]);
}

interface PlanRemarks {
  blocked: readonly Blocked[];
  notes: readonly Note[];
}

/** A plan for some of the resources, that need none of the others. */
export interface PlanDraft {
  /** By what must be in place before, of all resources: some may be empty. */
  waves: Step[][];
  blocked: Blocked[];
  notes: Note[];
  handover: readonly Handover[];
  unchangedIds: Id[];
}

/** The same as `plan` for a part of what is wanted. */
export function planChanges(
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  handover: readonly Handover[] = [],
  remarks: PlanRemarks = { blocked: [], notes: [] },
): PlanDraft {
  const ordered = [...resources].sort(compareIds);
  const resourcesById = new Map(ordered.map((resource) => [resource.id, resource]));
  const steps = new Map<Id, Step>();
  const blocked: Blocked[] = [...remarks.blocked];
  const notes: Note[] = [...remarks.notes];

  for (const resource of ordered) {
    const { id, declaredBy, position } = resource;
    const result = planResource(resource, actual, requireKind(kinds, resource));
    if (result.blocked !== undefined)
      blocked.push({ id, why: result.blocked, pairs: declaredBy, from: position });
    if (result.step) steps.set(id, result.step);
    for (const message of result.notes ?? []) notes.push({ id, message, pairs: declaredBy });
  }

  const relevant = new Set<Id>([...steps.keys(), ...blocked.map(({ id }) => id)]);
  const withNeeds = (step: Step): Step => ({
    ...step,
    needs: relevantNeedsOf(step.id, resourcesById, relevant),
  });
  return {
    waves: toWaves(ordered).map((wave) => wave.flatMap(({ id }) => steps.get(id) ?? []).map(withNeeds)),
    blocked,
    notes,
    handover,
    unchangedIds: ordered.filter(({ id, orphaned }) => !orphaned && !relevant.has(id)).map(({ id }) => id),
  };
}

/** One plan of its parts; what several of them have in common is told once. */
export function joinDrafts(drafts: readonly PlanDraft[]): Plan {
  const depth = Math.max(0, ...drafts.map((draft) => draft.waves.length));
  const waves = Array.from({ length: depth }, (_, index) =>
    drafts.flatMap((draft) => draft.waves[index] ?? []).sort(compareIds),
  ).filter((wave) => wave.length > 0);
  const blocked = mergeRemarks(
    drafts.map((draft) => draft.blocked),
    ({ id, why }) => `${id} ${why}`,
  );
  const notes = mergeRemarks(
    drafts.map((draft) => draft.notes),
    ({ id, message }) => `${id} ${message}`,
  );
  const handover = drafts.flatMap((draft) => draft.handover);
  const unchanged = new Set(drafts.flatMap((draft) => draft.unchangedIds)).size;
  return {
    format: 1,
    waves: waves,
    blocked,
    notes,
    handover,
    unchanged,
    digest: digestPlan(waves, blocked, handover),
  };
}

const compareIds = (a: { id: Id }, b: { id: Id }): number => compareCodeUnits(a.id, b.id);

/** What is told of one resource by several parts, with the pairs of all of them. */
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

/** Over what is done to what, and why: where in the YAML it is asked for may move without the plan being another. */
function digestPlan(
  waves: readonly Step[][],
  blocked: readonly Blocked[],
  handover: readonly Handover[],
): string {
  const withoutPosition = ({ from: _, ...rest }: Step | Blocked) => rest;
  const data = {
    waves: waves.map((wave) => wave.map(withoutPosition)),
    blocked: blocked.map(withoutPosition),
    handover,
  };
  return createHash('sha256').update(canonicalJson(data)).digest('hex');
}

/**
 * What would be written, with every reference put in whose target is known, and completed around what is there:
 * the value that is compared and, later, the value that is sent.
 */
export function resolveDesired(
  resource: Resource,
  actual: ActualState,
  kind: Kind,
  resolveRef: (reference: Ref) => string | undefined = createRefResolver(actual),
): unknown {
  const observation = actual.get(resource.id);
  const current = observation?.state === 'present' ? observation.current : undefined;
  const desired = resolveRefs(resource.spec, resolveRef);
  return sortKeys(kind.normalize(kind.complete ? kind.complete(desired, current) : desired));
}

/** The fields in which AWS differs from what is wanted. */
export function resourceDiff(current: Current | undefined, desired: unknown, kind: Kind): Step['patch'] {
  const before = current ? kind.normalize(current.spec) : {};
  return isJsonEqual(before, desired) ? [] : diffJson(sortKeys(before), desired);
}

/** References resolve to what was observed, or written, of their target. */
export const createRefResolver =
  (actual: ActualState) =>
  (reference: Ref): string | undefined => {
    const observation = actual.get(reference.$ref);
    return observation?.state === 'present' ? observation.current.attrs[reference.attr] : undefined;
  };

interface ResourcePlan {
  step?: Step;
  blocked?: string;
  notes?: string[];
}

/** Why nothing can be done about a resource before a person acts, if so. */
export function blockedReasonOf(
  resource: Resource,
  actual: ActualState,
  kind: Kind,
  desired = resolveDesired(resource, actual, kind),
): string | undefined {
  const observation = actual.get(resource.id) ?? { state: 'absent' };
  if (observation.state === 'unknown') return observation.reason;
  const current = observation.state === 'present' ? observation.current : undefined;
  return kind.blockedReason?.(desired, current, resource.location);
}

function planResource(resource: Resource, actual: ActualState, kind: Kind): ResourcePlan {
  const desired = resolveDesired(resource, actual, kind);
  const blocked = blockedReasonOf(resource, actual, kind, desired);
  if (blocked !== undefined) return { blocked };
  const observation = actual.get(resource.id);
  const current = observation?.state === 'present' ? observation.current : undefined;
  if (resource.orphaned && !current) return {};
  const isDelete = resource.orphaned && current && kind.isEmpty?.(desired, current);

  const notes = current ? (kind.notes?.(desired, current) ?? []) : [];
  const patch = resourceDiff(current, desired, kind);
  if (patch.length === 0 && current && !isDelete) return { notes };
  const before = current ? sortKeys(kind.normalize(current.spec)) : undefined;
  const context = resolveRefs(resource.context, createRefResolver(actual));
  return {
    notes: [...notes, ...(kind.caveats?.(desired, current, context) ?? [])],
    step: {
      id: resource.id,
      kind: resource.kind,
      action: isDelete ? 'delete' : current ? 'update' : 'create',
      at: resource.location,
      patch,
      before: Object.fromEntries(
        patch.map(({ path }) => [path, valueAtPointer(before, path)]).filter(([, v]) => v !== undefined),
      ),
      why: resource.orphaned ? [ORPHAN_REASON] : stepReasons(patch, desired, current, kind),
      calls: kind.operations(desired, current, isDelete === true),
      needs: [],
      risks: current ? (kind.risks?.(desired, current, context) ?? []) : [],
      pairs: resource.declaredBy,
      from: resource.position,
    },
  };
}

/** A thing that is missing is asked about as a whole (the path is empty), one that differs field by field. */
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
  return explained.length > 0 ? [...new Set(explained)] : ['differs from what is declared'];
}

/** Why something is made. */
export const MISSING_REASON = 'does not exist yet';

const ORPHAN_REASON = 'what is left of a spec that is not declared any more';
const UNDECLARED_REASON = 'nothing that is declared asks for it any more';

/** The steps and obstacles that a resource waits for, through others that need no change. */
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

/** The value at a JSON Pointer. */
export function valueAtPointer(value: unknown, pointer: string): unknown {
  let node = value;
  for (const segment of pointer.split('/').slice(1)) {
    if (typeof node !== 'object' || node === null) return undefined;
    node = (node as Record<string, unknown>)[segment.replaceAll('~1', '/').replaceAll('~0', '~')];
  }
  return node;
}

function requireKind(kinds: ReadonlyMap<string, Kind>, resource: Resource): Kind {
  const kind = kinds.get(resource.kind);
  if (!kind) throw new Error(`no kind is named ${resource.kind}`);
  return kind;
}
