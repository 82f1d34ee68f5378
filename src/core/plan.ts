import { createHash } from 'node:crypto';
import { byCodeUnit, sameJson, sortKeys, stableJson } from '../canonical.ts';
import { differences } from './difference.ts';
import { resolve } from './ref.ts';
import type {
  Actual,
  Blocked,
  Handover,
  Id,
  Kind,
  Note,
  Plan,
  Ref,
  Resource,
  Seen,
  Step,
} from './resource.ts';
import { needsOf, waves } from './waves.ts';

/**
 * Compare what is wanted with what was observed. Pure: the same input gives the same plan, byte for byte.
 *
 * A step stands for exactly one resource whose normal forms differ; there is no change without a field that differs.
 * What was told before, beside the resources, is told with it.
 */
export function plan(
  resources: readonly Resource[],
  actual: Actual,
  kinds: ReadonlyMap<string, Kind>,
  handover: readonly Handover[] = [],
  told: Told = { blocked: [], notes: [] },
): Plan {
  return joined([planPart(resources, actual, kinds, handover, told)]);
}

interface Told {
  blocked: readonly Blocked[];
  notes: readonly Note[];
}

/** A plan for some of the resources, that need none of the others. */
export interface PlanPart {
  /** By what must be in place before, of all resources: some may be empty. */
  waves: Step[][];
  blocked: Blocked[];
  notes: Note[];
  handover: readonly Handover[];
  unchanged: Id[];
}

/** The same as `plan` for a part of what is wanted. */
export function planPart(
  resources: readonly Resource[],
  actual: Actual,
  kinds: ReadonlyMap<string, Kind>,
  handover: readonly Handover[] = [],
  told: Told = { blocked: [], notes: [] },
): PlanPart {
  const ordered = [...resources].sort(byId);
  const found = new Map(ordered.map((resource) => [resource.id, resource]));
  const steps = new Map<Id, Step>();
  const blocked: Blocked[] = [...told.blocked];
  const notes: Note[] = [...told.notes];

  for (const resource of ordered) {
    const { id, pairs, from } = resource;
    const verdict = judge(resource, actual, kindOf(kinds, resource));
    if (verdict.blocked !== undefined) blocked.push({ id, why: verdict.blocked, pairs, from });
    if (verdict.step) steps.set(id, verdict.step);
    for (const message of verdict.notes ?? []) notes.push({ id, message, pairs });
  }

  const relevant = new Set<Id>([...steps.keys(), ...blocked.map(({ id }) => id)]);
  const withNeeds = (step: Step): Step => ({ ...step, needs: reach(step.id, found, relevant) });
  return {
    waves: waves(ordered).map((wave) => wave.flatMap(({ id }) => steps.get(id) ?? []).map(withNeeds)),
    blocked,
    notes,
    handover,
    unchanged: ordered.filter(({ id, gone }) => !gone && !relevant.has(id)).map(({ id }) => id),
  };
}

/** One plan of its parts; what several of them have in common is told once. */
export function joined(parts: readonly PlanPart[]): Plan {
  const depth = Math.max(0, ...parts.map((part) => part.waves.length));
  const inWaves = Array.from({ length: depth }, (_, at) =>
    parts.flatMap((part) => part.waves[at] ?? []).sort(byId),
  ).filter((wave) => wave.length > 0);
  const blocked = once(
    parts.map((part) => part.blocked),
    ({ id, why }) => `${id} ${why}`,
  );
  const notes = once(
    parts.map((part) => part.notes),
    ({ id, message }) => `${id} ${message}`,
  );
  const handover = parts.flatMap((part) => part.handover);
  const unchanged = new Set(parts.flatMap((part) => part.unchanged)).size;
  return {
    format: 1,
    waves: inWaves,
    blocked,
    notes,
    handover,
    unchanged,
    digest: digestOf(inWaves, blocked, handover),
  };
}

const byId = (a: { id: Id }, b: { id: Id }): number => byCodeUnit(a.id, b.id);

/** What is told of one resource by several parts, with the pairs of all of them. */
function once<T extends { id: Id; pairs: string[] }>(parts: readonly T[][], keyOf: (one: T) => string): T[] {
  const [first = []] = parts;
  if (parts.length === 1) return first;
  const told = new Map<string, T>();
  for (const one of parts.flat()) {
    const known = told.get(keyOf(one));
    told.set(keyOf(one), known ? { ...known, pairs: [...new Set([...known.pairs, ...one.pairs])] } : one);
  }
  return [...told.values()].sort(byId);
}

/** Over what is done to what, and why: where in the YAML it is asked for may move without the plan being another. */
function digestOf(
  inWaves: readonly Step[][],
  blocked: readonly Blocked[],
  handover: readonly Handover[],
): string {
  const placeless = ({ from: _, ...rest }: Step | Blocked) => rest;
  const data = {
    waves: inWaves.map((wave) => wave.map(placeless)),
    blocked: blocked.map(placeless),
    handover,
  };
  return createHash('sha256').update(stableJson(data)).digest('hex');
}

/**
 * What would be written, with every reference put in whose target is known, and completed around what is there:
 * the value that is compared and, later, the value that is sent.
 */
export function settled(
  resource: Resource,
  actual: Actual,
  kind: Kind,
  known: (reference: Ref) => string | undefined = knownIn(actual),
): unknown {
  const observation = actual.get(resource.id);
  const seen = observation?.state === 'present' ? observation.seen : undefined;
  const desired = resolve(resource.spec, known);
  return sortKeys(kind.canonical(kind.complete ? kind.complete(desired, seen) : desired));
}

/** The fields in which AWS differs from what is wanted. */
export function difference(seen: Seen | undefined, desired: unknown, kind: Kind): Step['patch'] {
  const before = seen ? kind.canonical(seen.spec) : {};
  return sameJson(before, desired) ? [] : differences(sortKeys(before), desired);
}

/** References resolve to what was observed, or written, of their target. */
export const knownIn =
  (actual: Actual) =>
  (reference: Ref): string | undefined => {
    const observation = actual.get(reference.$ref);
    return observation?.state === 'present' ? observation.seen.attrs[reference.attr] : undefined;
  };

interface Verdict {
  step?: Step;
  blocked?: string;
  notes?: string[];
}

/** Why nothing can be done about a resource before a person acts, if so. */
export function obstacle(
  resource: Resource,
  actual: Actual,
  kind: Kind,
  desired = settled(resource, actual, kind),
): string | undefined {
  const observation = actual.get(resource.id) ?? { state: 'absent' };
  if (observation.state === 'unknown') return observation.why;
  const seen = observation.state === 'present' ? observation.seen : undefined;
  return kind.blocks?.(desired, seen, resource.at);
}

function judge(resource: Resource, actual: Actual, kind: Kind): Verdict {
  const desired = settled(resource, actual, kind);
  const blocked = obstacle(resource, actual, kind, desired);
  if (blocked !== undefined) return { blocked };
  const observation = actual.get(resource.id);
  const seen = observation?.state === 'present' ? observation.seen : undefined;
  if (resource.gone && !seen) return {};
  const goes = resource.gone && seen && kind.isSpent?.(desired, seen);

  const notes = seen ? (kind.notes?.(desired, seen) ?? []) : [];
  const patch = difference(seen, desired, kind);
  if (patch.length === 0 && seen && !goes) return { notes };
  const before = seen ? sortKeys(kind.canonical(seen.spec)) : undefined;
  const beside = resolve(resource.beside, knownIn(actual));
  return {
    notes: [...notes, ...(kind.caveats?.(desired, seen, beside) ?? [])],
    step: {
      id: resource.id,
      kind: resource.kind,
      action: goes ? 'delete' : seen ? 'update' : 'create',
      at: resource.at,
      patch,
      before: Object.fromEntries(
        patch.map(({ path }) => [path, valueAt(before, path)]).filter(([, v]) => v !== undefined),
      ),
      why: resource.gone ? [UNWANTED] : reasons(patch, desired, seen, kind),
      calls: kind.calls(desired, seen, goes === true),
      needs: [],
      risks: seen ? (kind.risks?.(desired, seen, beside) ?? []) : [],
      pairs: resource.pairs,
      from: resource.from,
    },
  };
}

/** A thing that is missing is asked about as a whole (the path is empty), one that differs field by field. */
function reasons(patch: Step['patch'], desired: unknown, seen: Seen | undefined, kind: Kind): string[] {
  const asked = seen ? patch : [{ op: 'add', path: '' } as const];
  const explained = asked.flatMap(({ op, path }) =>
    op === 'remove' && /^\/statements\/[^/]+$/.test(path) ? UNASKED : (kind.explain?.(path, desired) ?? []),
  );
  if (!seen) return [NOT_YET, ...explained];
  return explained.length > 0 ? [...new Set(explained)] : ['differs from what is declared'];
}

/** Why something is made. */
export const NOT_YET = 'does not exist yet';

const UNWANTED = 'what is left of a spec that is not declared any more';
const UNASKED = 'nothing that is declared asks for it any more';

/** The steps and obstacles that a resource waits for, through others that need no change. */
function reach(from: Id, byId: ReadonlyMap<Id, Resource>, relevant: ReadonlySet<Id>): Id[] {
  const found = new Set<Id>();
  const visited = new Set<Id>();
  const visit = (id: Id): void => {
    const resource = byId.get(id);
    if (!resource || visited.has(id)) return;
    visited.add(id);
    for (const need of needsOf(resource)) {
      if (relevant.has(need)) found.add(need);
      visit(need);
    }
  };
  visit(from);
  return [...found].sort(byCodeUnit);
}

/** The value at a JSON Pointer. */
export function valueAt(value: unknown, pointer: string): unknown {
  let current = value;
  for (const part of pointer.split('/').slice(1)) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<string, unknown>)[part.replaceAll('~1', '/').replaceAll('~0', '~')];
  }
  return current;
}

function kindOf(kinds: ReadonlyMap<string, Kind>, resource: Resource): Kind {
  const kind = kinds.get(resource.kind);
  if (!kind) throw new Error(`no kind is named ${resource.kind}`);
  return kind;
}
