import { defaultBatchRoleName } from './patterns.ts';
import type { BucketReplication, Side } from './types.ts';

/** A use of a key by a pair. */
export interface KeyUse {
  /**
   * `source`: encrypts objects of the source. `destination`: encrypts new replicas. `replaced`: encrypted replicas before
   * the key of the destination did.
   */
  role: 'source' | 'destination' | 'replaced';
  /** The side of the key, with this key. */
  side: Side;
  /** Where the spec declares it. */
  path: string;
  /** Whether another key replaces it. Such a key is never created. */
  isReplaced: boolean;
}

/** Returns the uses of all keys that a spec declares. */
export const keyUsesOf = (pair: BucketReplication): KeyUse[] => [
  ...(['source', 'destination'] as const).map(
    (side): KeyUse => ({ role: side, side: pair[side], path: `spec.${side}.key`, isReplaced: false }),
  ),
  ...pair.sourceKeys.map(
    (key, index): KeyUse => ({
      role: 'source',
      side: { ...pair.source, key },
      path: `spec.sourceKeys[${index}]`,
      isReplaced: false,
    }),
  ),
  ...(['source', 'destination'] as const).flatMap((side) =>
    pair[side].replacedKeys.map(
      (key, index): KeyUse => ({
        role: side === 'source' ? 'source' : 'replaced',
        side: { ...pair[side], key },
        path: `spec.${side}.key.replaces[${index}]`,
        isReplaced: true,
      }),
    ),
  ),
];

/** Returns the source with each of the keys under which its objects are encrypted, its own key first. */
export const sourceKeySides = (pair: BucketReplication): Side[] =>
  keyUsesOf(pair)
    .filter(({ role }) => role === 'source')
    .map(({ side }) => side);

/** A bucket whose objects are re-encrypted by the batch jobs of a pair. */
export interface ReencryptedSide {
  pair: BucketReplication;
  name: 'source' | 'destination';
  side: Side;
  role: { name: string };
}

/** Returns the buckets whose objects the batch jobs of a pair re-encrypt. */
export const reencryptedSidesOf = (pair: BucketReplication): ReencryptedSide[] =>
  pair.reencrypt
    ? (['source', 'destination'] as const)
        .filter((name) => pair[name].managed && pair[name].replacedKeys.length > 0)
        .map((name) => ({
          pair,
          name,
          side: pair[name],
          role: pair.reencrypt?.role ?? { name: defaultBatchRoleName(pair[name].bucket) },
        }))
    : [];

/** Returns the keys of a re-encryption: the key of the bucket, and those that it replaces. */
export const keysOfReencryption = ({ side }: ReencryptedSide): Side[] =>
  [side.key, ...side.replacedKeys].map((key) => ({ ...side, key }));
