import { createHash } from 'node:crypto';
import type { Id, Resource } from '../core/resource.ts';
import { reverseNameOf } from '../spec/resolve.ts';
import type { BucketReplication, Specs } from '../spec/types.ts';
import { canonicalJson } from '../util/canonical-json.ts';

/** An item of the work queue: a spec, with both directions of a bidirectional spec. */
export interface WorkItem {
  key: string;
  pairs: BucketReplication[];
  /** Digest of the declaration, independent of its position in the YAML. */
  generation: string;
}

export function toWorkItems({ pairs, accounts }: Specs): Map<string, WorkItem> {
  const forwardByReverse = new Map(pairs.map(({ name }) => [reverseNameOf(name), name]));
  const byKey = new Map<string, BucketReplication[]>();
  const names = new Set(pairs.map(({ name }) => name));
  for (const pair of pairs) {
    const forward = forwardByReverse.get(pair.name);
    const key = forward !== undefined && names.has(forward) ? forward : pair.name;
    byKey.set(key, [...(byKey.get(key) ?? []), pair]);
  }
  const withoutPositions = ({ positions: _, ...rest }: { positions: unknown }) => rest;
  const accountSettings = accounts.map(withoutPositions);
  return new Map(
    [...byKey].map(([key, itemPairs]) => {
      const declaration = canonicalJson([itemPairs.map(withoutPositions), accountSettings]);
      const generation = createHash('sha256').update(declaration).digest('hex').slice(0, 16);
      return [key, { key, pairs: itemPairs, generation }];
    }),
  );
}

/** Returns the key of the work item of each spec. */
export const keysBySpec = (items: ReadonlyMap<string, WorkItem>): Map<string, string> =>
  new Map([...items.values()].flatMap(({ key, pairs }) => pairs.map(({ name }) => [name, key] as const)));

/**
 * Returns, by key, the resources that other keys also declare. Concurrent writes to a shared document would lose one
 * of the writes.
 */
export function sharedResources(
  items: ReadonlyMap<string, WorkItem>,
  resources: readonly Pick<Resource, 'id' | 'declaredBy'>[],
): Map<string, Id[]> {
  const keyOf = keysBySpec(items);
  const result = new Map<string, Id[]>();
  for (const { id, declaredBy: pairs } of resources) {
    const keys = new Set(pairs.flatMap((name) => keyOf.get(name) ?? []));
    if (keys.size < 2) continue;
    for (const key of keys) result.set(key, [...(result.get(key) ?? []), id]);
  }
  return result;
}
