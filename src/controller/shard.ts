import { createHash } from 'node:crypto';
import { compareCodeUnits } from '../util/canonical-json.ts';

/** Which part of all pairs a process is for: the first of three is 1 of 3. */
export interface Shard {
  index: number;
  of: number;
}

/**
 * The shard of a source bucket, from 1. By rendezvous hashing: where their number changes only those pairs move that
 * must, and every process comes to the same answer by itself. All pairs of a source are in one shard, since they share
 * its configuration.
 */
export function shardOf(bucket: string, count: number): number {
  const candidates = Array.from({ length: count }, (_, index) => ({
    index: index + 1,
    weight: createHash('sha256')
      .update(`${index + 1} ${bucket}`)
      .digest('hex'),
  }));
  return candidates.reduce((best, candidate) =>
    compareCodeUnits(candidate.weight, best.weight) > 0 ? candidate : best,
  ).index;
}
