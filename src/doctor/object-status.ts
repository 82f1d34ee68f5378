import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { ObjectSample, SampleCoverage, SampledObject } from '../facts/object-sample.ts';
import { createFinding, type Finding } from '../proof/findings.ts';
import { mismatchReason } from '../proof/rule-match.ts';
import { durationText } from '../util/clock.ts';

/** Replication status of the sampled objects of a bucket. */
export interface ObjectStatusReport {
  bucket: string;
  /** `broken`: an object failed or was passed over recently; `unknown`: no object could be read. */
  verdict: 'healthy' | 'broken' | 'unknown';
  lookedAt: number;
  /** The part of the bucket from which the sample was taken; absent if the objects could not be read. */
  coverage?: SampleCoverage;
  /** Counts by replication status; `none` for objects that no rule selected. */
  byStatus: Record<string, number>;
  /** Failed and pending objects, the oldest of each first. */
  oldest: { status: 'PENDING' | 'FAILED'; key: string; since: string }[];
  /** Numbers of recent objects that failed, and that a rule selects but S3 passed over. They decide the verdict. */
  recent: { failed: number; passedOver: number };
  findings: Finding[];
}

const MAX_OLDEST_OBJECTS = 3;

/**
 * S3 replicates most objects within 15 minutes; large objects may take hours. A missing status is normal for up to 15
 * minutes after versioning was first enabled (S3 User Guide, "Enabling versioning on buckets").
 */
const OVERDUE_AFTER_MS = 15 * 60_000;

/** Maximum time since the write of an object whose failure decides a verdict, unless the user sets another one. */
export const DEFAULT_FAILED_SINCE_MS = 24 * 3_600_000;

/** The objects whose failure decides a verdict. */
export interface FailureWindow {
  now: Date;
  /** Maximum time since the write, in milliseconds. S3 returns no time of the failure. */
  failedSinceMs: number;
}

/** Whether an object that failed, or that S3 passed over, is recent enough to decide a verdict. */
export function isRecentFailure(
  { status, lastModified }: Pick<SampledObject, 'status' | 'lastModified'>,
  { now, failedSinceMs }: FailureWindow,
): boolean {
  const ageMs = Number(now) - Number(lastModified);
  return ageMs < failedSinceMs && (status === 'FAILED' || ageMs > OVERDUE_AFTER_MS);
}

/**
 * Counts objects by status, and lists the oldest failed and pending objects. Pure.
 *
 * @param rules the rules of the bucket
 */
export function reportObjectStatus(
  bucket: string,
  { objects, coverage }: ObjectSample,
  window: FailureWindow,
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
  const failures = objects.filter(({ status }) => status === 'FAILED');
  const skipped = objects.filter((object) => isPassedOver(object, rules));
  const countRecent = (candidates: SampledObject[]) =>
    candidates.filter((object) => isRecentFailure(object, window)).length;
  const recent = { failed: countRecent(failures), passedOver: countRecent(skipped) };
  const isUnknown = objects.length === 0 && !coverage.complete;
  const failedRecently = `, ${recencyText(recent.failed, window, 'within')}`;
  const overdue = pending.filter(({ since }) => Number(window.now) - Date.parse(since) > OVERDUE_AFTER_MS);
  return {
    bucket,
    verdict: recent.failed + recent.passedOver > 0 ? 'broken' : isUnknown ? 'unknown' : 'healthy',
    lookedAt: objects.length,
    coverage,
    byStatus,
    oldest: [...failed.slice(0, MAX_OLDEST_OBJECTS), ...pending.slice(0, MAX_OLDEST_OBJECTS)],
    recent,
    findings: [
      ...lateObjectFindings('RK1401', failed, objects.length, {
        recency: failedRecently,
        remedy: `; when every rule is proven, reconcile redrive --bucket ${bucket} replicates them`,
      }),
      ...lateObjectFindings('RK1402', overdue, objects.length),
      ...skippedObjectFindings(bucket, skipped, objects.length, recent.passedOver, window),
    ],
  };
}

function lateObjectFindings(
  code: 'RK1401' | 'RK1402',
  objects: ObjectStatusReport['oldest'],
  total: number,
  { recency, remedy } = { recency: '', remedy: '' },
): Finding[] {
  const [oldest] = objects;
  if (!oldest) return [];
  const message = `${objects.length} of ${total} sampled objects${recency}; the oldest is ${oldest.key}, since ${oldest.since}${remedy}`;
  return [createFinding(code, message)];
}

/** Returns how many objects decide the verdict: `2 of them written within 24 hours`. */
const recencyText = (
  count: number,
  { failedSinceMs }: FailureWindow,
  range: 'within' | 'between 15 minutes and',
): string =>
  `${count === 0 ? 'none' : count} of them written ${range} ${durationText(failedSinceMs / 1000)}${range === 'within' ? '' : ' ago'}`;

/** Whether a rule selects an object without a status: live replication did not cover it. */
const isPassedOver = (object: SampledObject, rules: readonly ReplicationRule[]): boolean =>
  object.status === undefined && rules.some((rule) => mismatchReason(rule, object, rules) === undefined);

function skippedObjectFindings(
  bucket: string,
  skipped: readonly SampledObject[],
  total: number,
  recentCount: number,
  window: FailureWindow,
): Finding[] {
  const [example] = skipped;
  if (!example) return [];
  const message = `${skipped.length} of ${total} sampled objects have no replication status although a rule selects them, ${recencyText(recentCount, window, 'between 15 minutes and')}, for example ${example.key}: they are older than the rule or its last change, or S3 passed them over; live replication covers new objects only, and reconcile redrive --bucket ${bucket} --objects existing replicates them`;
  return [createFinding('RK1404', message)];
}

/** Returns the report of a bucket whose objects could not be read. */
export const reportUnreadableObjects = (bucket: string, reason: string): ObjectStatusReport => ({
  bucket,
  verdict: 'unknown',
  lookedAt: 0,
  byStatus: {},
  oldest: [],
  recent: { failed: 0, passedOver: 0 },
  findings: [createFinding('RK1901', `cannot sample the objects of ${bucket}: ${reason}`)],
});
