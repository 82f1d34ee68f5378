import type { BucketReplication } from '../spec/types.ts';
import { stableJson } from './canonical.ts';
import { keyId, roleId } from './names.ts';
import type { Id, Kind, Resource } from './resource.ts';

/**
 * Everything that the specs want, each resource once however many specs share it.
 *
 * @throws Error when two specs want the same resource differently: `spec/checks` finds these first and names both
 *   places, so this is a fault of a kind.
 */
export function desire(pairs: readonly BucketReplication[], kinds: readonly Kind[]): Resource[] {
  const byId = new Map<Id, Resource>();
  const sharing = sharingOf(pairs);
  for (const pair of pairs) {
    const others = sharing(pair);
    for (const kind of kinds) {
      for (const wanted of kind.want({ pair, pairs: others })) {
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

/**
 * The pairs that have a bucket, a key or a role in common with one, itself among them, in the order of all: the others
 * say nothing of its resources, and to look at all of them for each would take ten thousand times ten thousand looks.
 */
function sharingOf(pairs: readonly BucketReplication[]): (pair: BucketReplication) => BucketReplication[] {
  const byThing = new Map<string, number[]>();
  for (const [index, pair] of pairs.entries()) {
    for (const thing of thingsOf(pair)) {
      const known = byThing.get(thing);
      if (known) known.push(index);
      else byThing.set(thing, [index]);
    }
  }
  return (pair) => {
    const indices = new Set(thingsOf(pair).flatMap((thing) => byThing.get(thing) ?? []));
    return [...indices].sort((a, b) => a - b).flatMap((index) => pairs[index] ?? []);
  };
}

function thingsOf(pair: BucketReplication): string[] {
  const { source, destination, sourceKeys } = pair;
  const further = sourceKeys.map((key) => keyId({ ...source, key }));
  const things = [source.bucket, destination.bucket, keyId(source), keyId(destination), roleId(pair)];
  return [...new Set([...things, ...further])];
}

const join = (known: Resource, also: Resource): Resource => ({
  ...known,
  after: [...new Set([...known.after, ...also.after])],
  pairs: [...new Set([...known.pairs, ...also.pairs])],
});
