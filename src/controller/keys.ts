import { createHash } from 'node:crypto';
import { stableJson } from '../canonical.ts';
import { desire } from '../core/desire.ts';
import type { Id, Kind } from '../core/resource.ts';
import { reverseName } from '../spec/two-way.ts';
import type { BucketReplication, Specs } from '../spec/types.ts';

/** What the queue holds: the name of a spec, for both ways of a two-way one. */
export interface Keyed {
  key: string;
  pairs: BucketReplication[];
  /** Digest of what is declared, wherever in the YAML it stands. */
  generation: string;
}

export function keysOf({ pairs, accounts }: Specs): Map<string, Keyed> {
  const back = new Map(pairs.map(({ name }) => [reverseName(name), name]));
  const byKey = new Map<string, BucketReplication[]>();
  const names = new Set(pairs.map(({ name }) => name));
  for (const pair of pairs) {
    const forward = back.get(pair.name);
    const key = forward !== undefined && names.has(forward) ? forward : pair.name;
    byKey.set(key, [...(byKey.get(key) ?? []), pair]);
  }
  const placeless = ({ positions: _, ...rest }: { positions: unknown }) => rest;
  const known = accounts.map(placeless);
  return new Map(
    [...byKey].map(([key, some]) => {
      const declared = stableJson([some.map(placeless), known]);
      const generation = createHash('sha256').update(declared).digest('hex').slice(0, 16);
      return [key, { key, pairs: some, generation }];
    }),
  );
}

/** By key, the resources that other keys want as well: a document that two would write at once keeps what one wrote. */
export function contested(specs: Specs, kinds: ReadonlyMap<string, Kind>): Map<string, Id[]> {
  const keyOf = new Map(
    [...keysOf(specs).values()].flatMap(({ key, pairs }) => pairs.map(({ name }) => [name, key] as const)),
  );
  const result = new Map<string, Id[]>();
  for (const { id, pairs } of desire(specs.pairs, [...kinds.values()])) {
    const keys = new Set(pairs.flatMap((name) => keyOf.get(name) ?? []));
    if (keys.size < 2) continue;
    for (const key of keys) result.set(key, [...(result.get(key) ?? []), id]);
  }
  return result;
}
