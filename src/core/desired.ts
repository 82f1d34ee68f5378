import type { BucketReplication } from '../spec/types.ts';
import { isJsonEqual } from '../util/canonical-json.ts';
import { keyResourceId, roleResourceId } from './ids.ts';
import type { Kind } from './kind.ts';
import type { Id, Resource } from './resource.ts';

/**
 * Everything that the specs want, each resource once however many specs share it.
 *
 * @throws Error when two specs want the same resource differently: `spec/checks` finds these first and names both
 *   places, so this is a fault of a kind.
 */
export function desiredResources(pairs: readonly BucketReplication[], kinds: readonly Kind[]): Resource[] {
  const byId = new Map<Id, Resource>();
  const sharingPairsOf = createSharingLookup(pairs);
  for (const pair of pairs) {
    const relatedPairs = sharingPairsOf(pair);
    for (const kind of kinds) {
      for (const declared of kind.desired({ pair, relatedPairs: relatedPairs })) {
        const resource = { ...declared, spec: kind.normalize(declared.spec) };
        const existing = byId.get(resource.id);
        if (existing && !isJsonEqual(existing.spec, resource.spec)) {
          throw new Error(
            `${resource.id} is wanted differently by ${existing.declaredBy.join(', ')} and ${pair.name}`,
          );
        }
        byId.set(resource.id, existing ? mergeDeclarations(existing, resource) : resource);
      }
    }
  }
  return [...byId.values()];
}

/**
 * The pairs that have a bucket, a key or a role in common with one, itself among them, in the order of all: the others
 * say nothing of its resources, and to look at all of them for each would take ten thousand times ten thousand looks.
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
 * What a pair may have in common with others so that it matters to them: buckets, its role, and keys whose policies say
 * something of each pair. A role or a key that is given by ARN is not altered; but a key's owner without credentials is
 * told what its policy needs.
 */
export function sharedResourceKeysOf(pair: BucketReplication): string[] {
  const { source, destination, sourceKeys } = pair;
  const sides = [source, destination, ...sourceKeys.map((key) => ({ ...source, key }))];
  const keys = sides
    .filter(({ key, managed }) => !('arn' in key && managed))
    .map((side) => keyResourceId('key', side));
  const role = 'arn' in pair.role ? [] : [roleResourceId('role', pair)];
  return [...new Set([source.bucket, destination.bucket, ...role, ...keys])];
}

const mergeDeclarations = (first: Resource, second: Resource): Resource => ({
  ...first,
  after: [...new Set([...first.after, ...second.after])],
  declaredBy: [...new Set([...first.declaredBy, ...second.declaredBy])],
});
