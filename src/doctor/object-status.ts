import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { SampledObject } from '../facts/object-sample.ts';
import { createFinding, type Finding } from '../proof/findings.ts';
import { mismatchReason } from '../proof/rule-match.ts';

/** Replication status of the sampled objects of a bucket. */
export interface ObjectStatusReport {
  bucket: string;
  lookedAt: number;
  /** Counts by replication status; `none` for objects that no rule selected. */
  byStatus: Record<string, number>;
  /** Failed and pending objects, the oldest of each first. */
  oldest: { status: 'PENDING' | 'FAILED'; key: string; since: string }[];
  findings: Finding[];
}

const MAX_OLDEST_OBJECTS = 3;

/** S3 replicates most objects within 15 minutes; large objects may take hours. */
const OVERDUE_AFTER_MS = 15 * 60_000;

/**
 * Counts objects by status, and lists the oldest failed and pending objects. Pure.
 *
 * @param rules the rules of the bucket
 */
export function reportObjectStatus(
  bucket: string,
  objects: readonly SampledObject[],
  now: Date,
  rules: readonly ReplicationRule[],
): ObjectStatusReport {
  const byStatus: Record<string, number> = {};
  for (const { status = 'none' } of objects) byStatus[status] = (byStatus[status] ?? 0) + 1;
  const [failed, pending] = (['FAILED', 'PENDING'] as const).map((replicationStatus) =>
    objects
      .filter(({ status }) => status === replicationStatus)
      .sort((a, b) => Number(a.lastModified) - Number(b.lastModified))
      .map(({ key, lastModified }) => ({
        status: replicationStatus,
        key,
        since: lastModified.toISOString(),
      })),
  ) as [ObjectStatusReport['oldest'], ObjectStatusReport['oldest']];
  const overdue = pending.filter(({ since }) => Number(now) - Date.parse(since) > OVERDUE_AFTER_MS);
  return {
    bucket,
    lookedAt: objects.length,
    byStatus,
    oldest: [...failed.slice(0, MAX_OLDEST_OBJECTS), ...pending.slice(0, MAX_OLDEST_OBJECTS)],
    findings: [
      ...lateObjectFindings('RK1401', failed, objects.length),
      ...lateObjectFindings('RK1402', overdue, objects.length),
      ...skippedObjectFindings(objects, rules),
    ],
  };
}

function lateObjectFindings(
  code: 'RK1401' | 'RK1402',
  objects: ObjectStatusReport['oldest'],
  total: number,
): Finding[] {
  const [oldest] = objects;
  if (!oldest) return [];
  const message = `${objects.length} of ${total} sampled objects; the oldest is ${oldest.key}, since ${oldest.since}`;
  return [createFinding(code, message)];
}

/** Reports objects that a rule selects and that have no status: live replication did not cover them. */
function skippedObjectFindings(
  objects: readonly SampledObject[],
  rules: readonly ReplicationRule[],
): Finding[] {
  const skipped = objects.filter(
    (object) =>
      object.status === undefined && rules.some((rule) => mismatchReason(rule, object, rules) === undefined),
  );
  const [example] = skipped;
  if (!example) return [];
  const message = `${skipped.length} of ${objects.length} sampled objects have no replication status although a rule selects them, for example ${example.key}: they are older than the rule or its last change, or S3 passed them over; live replication covers new objects only`;
  return [createFinding('RK1404', message)];
}

/** Returns the report of a bucket whose objects could not be read. */
export const reportUnreadableObjects = (bucket: string, reason: string): ObjectStatusReport => ({
  bucket,
  lookedAt: 0,
  byStatus: {},
  oldest: [],
  findings: [createFinding('RK1901', `cannot sample the objects of ${bucket}: ${reason}`)],
});
