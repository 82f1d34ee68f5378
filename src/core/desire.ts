import { sameJson } from '../canonical.ts';
import type { BucketReplication } from '../spec/types.ts';
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
        if (known && !sameJson(known.spec, resource.spec)) {
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

/**
 * What a pair may have in common with others so that it matters to them: buckets, its role, and keys whose policies say
 * something of each pair. A role or a key that is given by ARN is not altered; but a key's owner without credentials is
 * told what its policy needs.
 */
export function thingsOf(pair: BucketReplication): string[] {
  const { source, destination, sourceKeys } = pair;
  const sides = [source, destination, ...sourceKeys.map((key) => ({ ...source, key }))];
  const keys = sides.filter(({ key, managed }) => !('arn' in key && managed)).map((side) => keyId(side));
  const role = 'arn' in pair.role ? [] : [roleId(pair)];
  return [...new Set([source.bucket, destination.bucket, ...role, ...keys])];
}

const join = (known: Resource, also: Resource): Resource => ({
  ...known,
  after: [...new Set([...known.after, ...also.after])],
  pairs: [...new Set([...known.pairs, ...also.pairs])],
});
