import type { BucketReplication } from '../spec/types.ts';
import { sharedResourceKeysOf } from './desired.ts';
import type { PlanContent } from './resource.ts';

/**
 * Splits pairs into batches that share no resource that replikey may change. Resources given by ARN never change, so
 * batches may share them. Each batch is read and compared on its own, so ten thousand pairs need no more memory at a
 * time than a few hundred. Each batch but the last has at least `minSize` pairs, in their original order.
 */
export function batchPairs(pairs: readonly BucketReplication[], minSize: number): BucketReplication[][] {
  if (pairs.length <= minSize) return [[...pairs]];
  const components = connectedComponents(pairs);
  const batchesOfIndices: number[][] = [];
  let batch: number[] = [];
  for (const component of components) {
    batch = [...batch, ...component];
    if (batch.length < minSize) continue;
    batchesOfIndices.push(batch);
    batch = [];
  }
  if (batch.length > 0) batchesOfIndices.push(batch);
  return batchesOfIndices.map((indices) =>
    indices.sort((a, b) => a - b).flatMap((index) => pairs[index] ?? []),
  );
}

/** Returns the pairs that a plan concerns, and all pairs that share a resource with them. */
export function affectedPairs(
  { waves, blocked, handover, housekeeping }: PlanContent,
  pairs: readonly BucketReplication[],
): BucketReplication[] {
  const names = new Set(
    [...waves.flat(), ...blocked, ...handover, ...housekeeping].flatMap((item) => item.pairs),
  );
  if (names.size === 0) return [];
  const affected = connectedComponents(pairs).filter((indices) =>
    indices.some((index) => names.has(pairs[index]?.name ?? '')),
  );
  return affected
    .flat()
    .sort((a, b) => a - b)
    .flatMap((index) => pairs[index] ?? []);
}

/** Returns the connected components of the pairs, by index (union-find). Pairs that share a resource are connected. */
function connectedComponents(pairs: readonly BucketReplication[]): number[][] {
  const parentOf = pairs.map((_, index) => index);
  const root = (index: number): number => {
    let current = index;
    for (
      let parent = parentOf[current] ?? current;
      parent !== current;
      parent = parentOf[current] ?? current
    ) {
      parentOf[current] = parentOf[parent] ?? parent;
      current = parent;
    }
    return current;
  };
  const firstPairByKey = new Map<string, number>();
  for (const [index, pair] of pairs.entries()) {
    // A queue or topic has the statements of all pairs that send to it, and none of them affects another.
    for (const key of [...sharedResourceKeysOf(pair), ...(pair.failures ? [pair.failures.to] : [])]) {
      const firstIndex = firstPairByKey.get(key);
      if (firstIndex === undefined) firstPairByKey.set(key, index);
      // The first pair of a component is its root, so components come in the order of their first pairs.
      else {
        const [rootA, rootB] = [root(firstIndex), root(index)];
        parentOf[Math.max(rootA, rootB)] = Math.min(rootA, rootB);
      }
    }
  }
  const componentsByRoot = new Map<number, number[]>();
  for (const index of pairs.keys()) {
    const component = componentsByRoot.get(root(index));
    if (component) component.push(index);
    else componentsByRoot.set(index, [index]);
  }
  return [...componentsByRoot.values()];
}
