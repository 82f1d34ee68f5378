import type { SampledObject } from '../facts/object-sample.ts';
import { createFinding, type Finding } from '../proof/findings.ts';

/** What became of the objects of a bucket that were looked at. */
export interface ObjectStatusReport {
  bucket: string;
  lookedAt: number;
  /** Counts by replication status; `none` where no rule took an object. */
  byStatus: Record<string, number>;
  /** Those that have failed or wait, oldest first. */
  oldest: { status: 'PENDING' | 'FAILED'; key: string; since: string }[];
  findings: Finding[];
}

const MAX_OLDEST_OBJECTS = 3;

/** Most objects arrive within 15 minutes; large ones may take hours. */
const OVERDUE_AFTER_MS = 15 * 60_000;

/** Count objects by status, and name the oldest of those that have not arrived. Pure. */
export function reportObjectStatus(
  bucket: string,
  objects: readonly SampledObject[],
  now: Date,
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
  const message = `${objects.length} of ${total} objects looked at; the oldest is ${oldest.key}, since ${oldest.since}`;
  return [createFinding(code, message)];
}

/** A bucket whose objects could not be looked at. */
export const reportUnreadableObjects = (bucket: string, reason: string): ObjectStatusReport => ({
  bucket,
  lookedAt: 0,
  byStatus: {},
  oldest: [],
  findings: [createFinding('RK1901', `the objects of ${bucket} cannot be looked at: ${reason}`)],
});
