import { keyUsesOf } from '../spec/key-uses.ts';
import type { BucketReplication } from '../spec/types.ts';
import { isJsonEqual, sortKeys } from '../util/canonical-json.ts';
import { batchRoleId, batchRolesOf, keyResourceId, roleResourceId } from './ids.ts';
import type { Kind } from './kind.ts';
import { isRef } from './ref.ts';
import type { Id, Resource } from './resource.ts';

/**
 * Returns all resources that the specs declare. A resource that several specs share appears once.
 *
 * @throws Error when two specs declare the same resource differently. `spec/checks` finds these first and names both
 * positions, so this is a fault of a kind.
 */
export function desiredResources(pairs: readonly BucketReplication[], kinds: readonly Kind[]): Resource[] {
  const byId = new Map<Id, Resource>();
  const sharingPairsOf = createSharingLookup(pairs);
  for (const pair of pairs) {
    const relatedPairs = sharingPairsOf(pair);
    for (const kind of kinds) {
      for (const declared of kind.desired({ pair, relatedPairs: relatedPairs })) {
        const resource: Resource = {
          ...declared,
          spec: kind.normalize(declared.spec),
          drainMs: pair.policy.drainMs,
        };
        const existing = byId.get(resource.id);
        byId.set(resource.id, existing ? mergeDeclarations(existing, resource) : resource);
      }
    }
  }
  return [...byId.values()];
}

/** Returns the resources of batch jobs: the jobs, their roles, and the policies of these. */
export function jobResources(
  resources: readonly Resource[],
  pairs: readonly BucketReplication[],
  kinds: ReadonlyMap<string, Kind>,
): Resource[] {
  const kept = resources.filter(
    ({ id, kind }) =>
      kinds.get(kind)?.scope.stage === 'jobs' ||
      pairs.some((pair) => batchRolesOf(pair).some((role) => batchRoleId(kind, role) === id)),
  );
  const ids = new Set(kept.map(({ id }) => id));
  return kept.map((resource) => ({ ...resource, after: resource.after.filter((id) => ids.has(id)) }));
}

/**
 * Returns a lookup of the pairs that share a bucket, a key or a role with a pair, in their original order, itself
 * included. Other pairs do not affect its resources. The index avoids a scan of all pairs for each pair, which would
 * take ten thousand times ten thousand steps.
 */
function createSharingLookup(
  pairs: readonly BucketReplication[],
): (pair: BucketReplication) => BucketReplication[] {
  const pairsByKey = new Map<string, number[]>();
  for (const [index, pair] of pairs.entries()) {
    for (const key of sharedResourceKeysOf(pair)) {
      const indices = pairsByKey.get(key);
      if (indices) indices.push(index);
      else pairsByKey.set(key, [index]);
    }
  }
  return (pair) => {
    const indices = new Set(sharedResourceKeysOf(pair).flatMap((key) => pairsByKey.get(key) ?? []));
    return [...indices].sort((a, b) => a - b).flatMap((index) => pairs[index] ?? []);
  };
}

/**
 * Returns keys of the resources that a pair may share with others: its buckets, its role, and keys with statements for
 * each pair. A role or key given by ARN is left out, because replikey does not change it. A key in an unmanaged account
 * is included, because the manual steps list the statements that its policy needs.
 */
export function sharedResourceKeysOf(pair: BucketReplication): string[] {
  const { source, destination } = pair;
  const keys = keyUsesOf(pair)
    .filter(({ side: { key, managed } }) => !('arn' in key && managed))
    .map(({ side }) => keyResourceId('key', side));
  const role = 'arn' in pair.role ? [] : [roleResourceId('role', pair)];
  const batchRoles = batchRolesOf(pair)
    .filter((batchRole) => 'name' in batchRole.role)
    .map((batchRole) => batchRoleId('role', batchRole));
  return [...new Set([source.bucket, destination.bucket, ...role, ...batchRoles, ...keys])];
}

/** Merges the declarations of one resource by several specs. */
export function mergeDeclarations(first: Resource, second: Resource): Resource {
  const spec = uniteSpecs(first.spec, second.spec);
  if (spec === undefined) {
    const names = `${first.declaredBy.join(', ')} and ${second.declaredBy.join(', ')}`;
    throw new Error(`${first.id} is declared differently by ${names}`);
  }
  return {
    ...first,
    spec,
    after: [...new Set([...first.after, ...second.after])],
    declaredBy: [...new Set([...first.declaredBy, ...second.declaredBy])],
    // The objects in flight of the slowest spec decide.
    drainMs: Math.max(first.drainMs ?? 0, second.drainMs ?? 0),
  };
}

/**
 * Unites the declarations of a resource by two specs: maps have the entries of both, such as the buckets that may send to
 * a queue. Undefined if they contradict each other.
 */
function uniteSpecs(first: unknown, second: unknown): unknown {
  if (isJsonEqual(first, second)) return first;
  if (!isMap(first) || !isMap(second)) return undefined;
  const united: Record<string, unknown> = { ...first };
  for (const [key, value] of Object.entries(second)) {
    const unitedValue = key in first ? uniteSpecs(first[key], value) : value;
    if (unitedValue === undefined) return undefined;
    united[key] = unitedValue;
  }
  return sortKeys(united);
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isRef(value);
