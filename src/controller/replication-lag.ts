import { locationOfSide } from '../core/ids.ts';
import type { Aws } from '../core/resource.ts';
import { sampleObjects } from '../facts/object-sample.ts';
import type { BucketReplication } from '../spec/types.ts';

/** How the newest objects of a pair fare: what a person would look at first. */
export interface ReplicationLag {
  /** Counts by replication status, `COMPLETED`, `PENDING`, `FAILED`; `none` where no rule took an object. */
  byStatus: Record<string, number>;
  /** ISO 8601: since when the oldest of those that wait has waited. */
  oldestPending?: string;
}

/** How many objects of each source are looked at. */
const OBJECTS_PER_SOURCE = 50;

/** @throws an error of AWS where they cannot be listed. */
export async function measureReplicationLag(
  aws: Aws,
  pairs: readonly BucketReplication[],
): Promise<ReplicationLag> {
  const samples = await Promise.all(
    pairs
      .filter(({ source }) => source.managed)
      .map(({ source, rules }) =>
        sampleObjects(
          aws,
          locationOfSide(source),
          source.bucket,
          rules.map(({ prefix }) => prefix),
          OBJECTS_PER_SOURCE,
        ),
      ),
  );
  // Replicas of the other way have done their journey.
  const objects = samples.flat().filter(({ status }) => status !== 'REPLICA');
  const byStatus: Record<string, number> = {};
  for (const { status = 'none' } of objects) byStatus[status] = (byStatus[status] ?? 0) + 1;
  const [oldest] = objects
    .filter(({ status }) => status === 'PENDING')
    .map(({ lastModified }) => lastModified.toISOString())
    .sort();
  return { byStatus, ...(oldest === undefined ? {} : { oldestPending: oldest }) };
}
