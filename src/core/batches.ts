import type { BucketReplication } from '../spec/types.ts';
import { thingsOf } from './desire.ts';

/**
 * Pairs in batches that have nothing in common but what is given by ARN, and thus never altered: each batch can be
 * read and compared on its own, so that ten thousand pairs need no more memory at a time than a few hundred. A batch has
 * at least so many pairs, but for the last, and keeps their order.
 */
export function batches(pairs: readonly BucketReplication[], least: number): BucketReplication[][] {
  if (pairs.length <= least) return [[...pairs]];
  const groups = groupsOf(pairs);
  const result: number[][] = [];
  let batch: number[] = [];
  for (const group of groups) {
    batch = [...batch, ...group];
    if (batch.length < least) continue;
    result.push(batch);
    batch = [];
  }
  if (batch.length > 0) result.push(batch);
  return result.map((indices) => indices.sort((a, b) => a - b).flatMap((index) => pairs[index] ?? []));
}

/** Indices of pairs that hang together, directly or through others. */
function groupsOf(pairs: readonly BucketReplication[]): number[][] {
  const parents = pairs.map((_, index) => index);
  const root = (index: number): number => {
    let at = index;
    for (let up = parents[at] ?? at; up !== at; up = parents[at] ?? at) {
      parents[at] = parents[up] ?? up;
      at = up;
    }
    return at;
  };
  const holders = new Map<string, number>();
  for (const [index, pair] of pairs.entries()) {
    for (const thing of thingsOf(pair)) {
      const holder = holders.get(thing);
      if (holder === undefined) holders.set(thing, index);
      // The first pair of a group is its root, so that groups come in the order of their first pairs.
      else {
        const [one, other] = [root(holder), root(index)];
        parents[Math.max(one, other)] = Math.min(one, other);
      }
    }
  }
  const groups = new Map<number, number[]>();
  for (const index of pairs.keys()) {
    const group = groups.get(root(index));
    if (group) group.push(index);
    else groups.set(index, [index]);
  }
  return [...groups.values()];
}
