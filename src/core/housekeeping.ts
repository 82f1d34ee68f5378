import type { Kind } from './kind.ts';
import {
  type ActualState,
  currentOf,
  DEFAULT_DRAIN_MS,
  type Housekeeping,
  type Id,
  type Resource,
  type RetainedNote,
  type Step,
} from './resource.ts';

export interface HousekeepingInputs {
  resources: readonly Resource[];
  actual: ActualState;
  kinds: ReadonlyMap<string, Kind>;
  /** The steps of the plan. */
  steps: readonly Step[];
  /** Sids to remove from policies that no spec uses any more. */
  narrowedSids: ReadonlyMap<Id, string[]>;
  /** The time of AWS, in milliseconds since 1970. */
  nowMs: number;
}

/**
 * Plans the writes that change only retained permissions, for resources without a step of their own. Pure.
 *
 * While rules of the same specs change, retained permissions are renewed and none is removed: the change may be denied,
 * and then the rules in effect still need them. Otherwise those that have expired are removed, the policy of the role
 * last, because it names the keys and buckets whose policies are narrowed.
 */
export function planHousekeeping({
  resources,
  actual,
  kinds,
  steps,
  narrowedSids,
  nowMs,
}: HousekeepingInputs): { housekeeping: Housekeeping[]; retained: RetainedNote[] } {
  const stepIds = new Set(steps.map(({ id }) => id));
  const changingPairs = pairsWithChangingRules(steps, kinds);
  const draining = ownersInDrain(resources, actual, kinds, nowMs);
  const housekeeping: Housekeeping[] = [];
  const notes: RetainedNote[] = [];
  for (const { id, location, declaredBy, position, ...resource } of resources) {
    const retained = currentOf(actual, id)?.retained ?? [];
    const unexpired = retained.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
    const isPolicy = kinds.get(resource.kind)?.scope.stage === 'permissions';
    notes.push(
      ...(isPolicy ? unexpired : []).map(
        ({ id: sid, expiresAtMs, original }): RetainedNote => ({
          id,
          sid,
          expiresAt: new Date(expiresAtMs).toISOString(),
          statement: original,
          pairs: declaredBy,
        }),
      ),
    );
    if (stepIds.has(id) || (retained.length === 0 && !narrowedSids.has(id))) continue;
    const isChanging = declaredBy.some((pair) => changingPairs.has(pair));
    const isNarrowed = narrowedSids.has(id) && !isChanging;
    const narrowed = isNarrowed ? (narrowedSids.get(id) ?? []) : [];
    const getsExpiry = narrowed.length > 0 && resource.narrowed === 'retain';
    const untilMs = nowMs + (resource.drainMs ?? DEFAULT_DRAIN_MS);
    const affected = isChanging
      ? retained.filter(({ expiresAtMs }) => expiresAtMs < untilMs)
      : retained.filter((entry) => !unexpired.includes(entry));
    const sids = getsExpiry ? narrowed : [...affected.map((entry) => entry.id), ...narrowed];
    if (sids.length === 0) continue;
    // The policy of the role names the keys and buckets, so it outlives the permissions there.
    const isRole = kinds.get(resource.kind)?.scope.type === 'role';
    if (isRole && !isChanging && !getsExpiry && affected.some(({ owner }) => draining.has(owner))) continue;
    housekeeping.push({
      id,
      action: isChanging ? 'renew' : getsExpiry ? 'retain' : 'expire',
      at: location,
      sids,
      needs: [],
      pairs: declaredBy,
      from: position,
    });
  }
  const planned = new Set(housekeeping.map(({ id }) => id));
  const isComplete = [...narrowedSids.keys()].every((id) => planned.has(id));
  return {
    housekeeping: orderNarrowing(isComplete ? housekeeping : withoutRoles(housekeeping, kinds), kinds),
    retained: notes,
  };
}

/**
 * Returns the writes without those that remove permissions of roles. These name the policies to narrow, which a later
 * run narrows.
 */
const withoutRoles = (
  housekeeping: readonly Housekeeping[],
  kinds: ReadonlyMap<string, Kind>,
): Housekeeping[] => housekeeping.filter((item) => item.action !== 'expire' || !isOfRole(item, kinds));

/**
 * Returns the specs, by their names in Sids, with unexpired retained permissions in policies of keys and buckets. The
 * policy of their role, and the role, must stay: only these name the keys and buckets.
 */
export const ownersInDrain = (
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  nowMs: number,
): Set<string> =>
  new Set(
    resources.flatMap(({ id, kind }) => {
      if (kinds.get(kind)?.scope.type === 'role') return [];
      const retained = currentOf(actual, id)?.retained ?? [];
      return retained.flatMap(({ owner, expiresAtMs }) => (expiresAtMs > nowMs ? owner : []));
    }),
  );

/** Returns the specs whose replication of objects changes in a plan. */
export const pairsWithChangingRules = (
  steps: readonly Step[],
  kinds: ReadonlyMap<string, Kind>,
): Set<string> =>
  new Set(
    steps.flatMap((step) => {
      const scope = kinds.get(step.kind)?.scope;
      return scope?.stage === 'rules' && !scope.keepsReplication?.(step) ? step.pairs : [];
    }),
  );

/**
 * Lets removals from the policies of roles wait for all other documents. A renewal waits for nothing: rules wait for it,
 * and removals wait for rules.
 */
function orderNarrowing(
  housekeeping: readonly Housekeeping[],
  kinds: ReadonlyMap<string, Kind>,
): Housekeeping[] {
  return housekeeping.map((item) => {
    if (item.action !== 'expire' || !isOfRole(item, kinds)) return item;
    // A policy to narrow may belong to another spec.
    const earlier = housekeeping.filter((other) => !isOfRole(other, kinds));
    return { ...item, needs: earlier.map(({ id }) => id) };
  });
}

const isOfRole = ({ id }: Housekeeping, kinds: ReadonlyMap<string, Kind>): boolean =>
  kinds.get(id.slice(0, id.indexOf('/')))?.scope.type === 'role';
