import { finding } from '../proof/findings.ts';
import type { Finding } from '../proof/types.ts';
import type { SampledObject } from './sample.ts';

/** What became of the objects of a bucket that were looked at. */
export interface ObjectsReport {
  bucket: string;
  lookedAt: number;
  /** Counts by replication status; `none` where no rule took an object. */
  byStatus: Record<string, number>;
  /** Those that have failed or wait, oldest first. */
  oldest: { status: 'PENDING' | 'FAILED'; key: string; since: string }[];
  findings: Finding[];
}

const SHOWN = 3;

/** Most objects arrive within 15 minutes; large ones may take hours. */
const LONG_MS = 15 * 60_000;

/** Count objects by status, and name the oldest of those that have not arrived. Pure. */
export function reportObjects(bucket: string, objects: readonly SampledObject[], now: Date): ObjectsReport {
  const byStatus: Record<string, number> = {};
  for (const { status = 'none' } of objects) byStatus[status] = (byStatus[status] ?? 0) + 1;
  const [failed, pending] = (['FAILED', 'PENDING'] as const).map((wanted) =>
    objects
      .filter(({ status }) => status === wanted)
      .sort((a, b) => Number(a.lastModified) - Number(b.lastModified))
      .map(({ key, lastModified }) => ({ status: wanted, key, since: lastModified.toISOString() })),
  ) as [ObjectsReport['oldest'], ObjectsReport['oldest']];
  const late = pending.filter(({ since }) => Number(now) - Date.parse(since) > LONG_MS);
  return {
    bucket,
    lookedAt: objects.length,
    byStatus,
    oldest: [...failed.slice(0, SHOWN), ...pending.slice(0, SHOWN)],
    findings: [...told('RK1401', failed, objects.length), ...told('RK1402', late, objects.length)],
  };
}

function told(code: 'RK1401' | 'RK1402', some: ObjectsReport['oldest'], of: number): Finding[] {
  const [oldest] = some;
  if (!oldest) return [];
  const message = `${some.length} of ${of} objects looked at; the oldest is ${oldest.key}, since ${oldest.since}`;
  return [finding(code, message)];
}

/** A bucket whose objects could not be looked at. */
export const unreadObjects = (bucket: string, why: string): ObjectsReport => ({
  bucket,
  lookedAt: 0,
  byStatus: {},
  oldest: [],
  findings: [finding('RK1901', `the objects of ${bucket} cannot be looked at: ${why}`)],
});
