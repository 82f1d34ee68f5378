import type { BucketReplication } from '../spec/types.ts';
import { stableJson } from './canonical.ts';
import type { Id, Kind, Resource } from './resource.ts';

/**
 * Everything that the specs want, each resource once however many specs share it.
 *
 * @throws Error when two specs want the same resource differently: `spec/checks` finds these first and names both
 *   places, so this is a fault of a kind.
 */
export function desire(pairs: readonly BucketReplication[], kinds: readonly Kind[]): Resource[] {
  const byId = new Map<Id, Resource>();
  for (const pair of pairs) {
    for (const kind of kinds) {
      for (const wanted of kind.want({ pair, pairs })) {
        const resource = { ...wanted, spec: kind.canonical(wanted.spec) };
        const known = byId.get(resource.id);
        if (known && stableJson(known.spec) !== stableJson(resource.spec)) {
          throw new Error(
            `${resource.id} is wanted differently by ${known.pairs.join(', ')} and ${pair.name}`,
          );
        }
        byId.set(resource.id, known ? join(known, resource) : resource);
      }
    }
  }
  return [...byId.values()];
}

/** A copy of what is wanted in which the marked rest is taken away, where every spec that wants a resource says so. */
export function pruned(resources: readonly Resource[], pairs: readonly BucketReplication[]): Resource[] {
  const removing = new Set(
    pairs.filter(({ policy }) => policy.deletion === 'Remove').map(({ name }) => name),
  );
  return resources.map((resource) =>
    resource.pairs.every((name) => removing.has(name)) ? { ...resource, prune: true } : resource,
  );
}

const join = (known: Resource, also: Resource): Resource => ({
  ...known,
  after: [...new Set([...known.after, ...also.after])],
  pairs: [...new Set([...known.pairs, ...also.pairs])],
});
