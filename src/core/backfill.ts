import { createHash } from 'node:crypto';
import type { Backfill, BackfillObjects, BucketReplication } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { canonicalJson, toSortedSet } from '../util/canonical-json.ts';

/**
 * Backfills without a state file. A digest identifies what a job does. The description of the job contains it, and so does
 * a tag of the batch role, which remains when AWS forgets the job 90 days after its end.
 */

/** A batch job that a spec declares. */
export interface BackfillJob {
  /** 16 hexadecimal digits. */
  digest: string;
  /** Prefix of the objects; `''` for all of them. */
  prefix: string;
  /** Whether the spec has one job only. */
  isOnly: boolean;
}

/**
 * Returns the jobs of a spec: one for each prefix of its rules, because a job takes one prefix.
 *
 * @param relatedPairs the pairs with the same source bucket, `pair` included: a job runs all rules of the bucket
 */
export function backfillJobs(
  pair: BucketReplication,
  relatedPairs: readonly BucketReplication[],
): BackfillJob[] {
  const { backfill, source } = pair;
  if (!backfill) return [];
  const destinations = relatedPairs
    .filter((other) => other.source.bucket === source.bucket && other.rules.some(({ enabled }) => enabled))
    .map(({ destination }) => destination.bucket);
  return backfill.prefixes.map((prefix) => ({
    digest: jobDigest({
      ...pick(backfill),
      prefix,
      source: source.bucket,
      destinations: toSortedSet(destinations),
    }),
    prefix,
    isOnly: backfill.prefixes.length === 1,
  }));
}

const pick = ({ objects, before, after = '' }: Backfill) => ({ objects, before, after });

const jobDigest = (content: object): string => sha256Hex(canonicalJson(content)).slice(0, 16);

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The replication statuses of S3, by the names in specs. */
export const STATUS_BY_OBJECTS = {
  existing: 'NONE',
  failed: 'FAILED',
  elsewhere: 'COMPLETED',
  replicas: 'REPLICA',
} as const satisfies Record<BackfillObjects, string>;

/** Returns the token of a job, at most 64 characters: two attempts at one CreateJob request have the same. */
export const jobToken = (digest: string, attempt: number): string => sha256Hex(`${digest} ${attempt}`);

const DESCRIPTION = /^replikey backfill (\S+) ([0-9a-f]{16})$/;

/** Returns the description of a job, at most 256 characters. ListJobs returns it, but no tags. */
export const jobDescription = (specName: string, digest: string): string =>
  `replikey backfill ${specName} ${digest}`;

/** Returns what the description of a job of replikey contains; undefined for another job. */
export function parseJobDescription(
  description: string | undefined,
): { specName: string; digest: string } | undefined {
  const [, specName, digest] = DESCRIPTION.exec(description ?? '') ?? [];
  return specName === undefined || digest === undefined ? undefined : { specName, digest };
}

/** Prefix of the tags of the batch role that record completed jobs. */
export const BACKFILL_TAG_PREFIX = 'replikey:backfill:';

/** Returns the key of the tag that records a job: that of the spec, with a hash of the prefix if the spec has several jobs. */
export const backfillTagKey = (specName: string, { prefix, isOnly }: BackfillJob): string =>
  `${BACKFILL_TAG_PREFIX}${specName}${isOnly ? '' : `/${sha256Hex(prefix).slice(0, 8)}`}`;

/** A completed job, as a tag records it. */
export interface BackfillRecord {
  digest: string;
  /** In UTC, ISO 8601. */
  completedAt: string;
  succeeded: number;
  failed: number;
}

const RECORD = /^([0-9a-f]{16}) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ok=(\d+) failed=(\d+)$/;

export const formatRecord = ({ digest, completedAt, succeeded, failed }: BackfillRecord): string =>
  `${digest} ${completedAt} ok=${succeeded} failed=${failed}`;

/** Returns the records in the tags of a batch role. A value in another form records nothing. */
export function recordsIn(tags: Readonly<Record<string, string>>): BackfillRecord[] {
  return Object.entries(tags).flatMap(([key, value]) => {
    const [, digest = '', completedAt = '', succeeded, failed] =
      (key.startsWith(BACKFILL_TAG_PREFIX) && RECORD.exec(value)) || [];
    return digest === ''
      ? []
      : [{ digest, completedAt, succeeded: Number(succeeded), failed: Number(failed) }];
  });
}

/** A job as S3 Control reports it. */
export interface ObservedJob {
  id: string;
  description?: string;
  status: string;
  /** In milliseconds since 1970. */
  createdAtMs: number;
  /** In milliseconds since 1970; absent while the job has not ended. */
  endedAtMs?: number;
  /** Undefined while S3 prepares the job. S3 may also omit it while the job waits for a confirmation. */
  total?: number;
  succeeded: number;
  failed: number;
  failureReasons?: readonly string[];
  /** The reason of the last change of the status by a caller. */
  statusUpdateReason?: string;
}

/** What a backfill needs next. */
export type BackfillState =
  /** All objects were tried. */
  | { state: 'done'; record: BackfillRecord }
  /** S3 prepares or runs the job. */
  | { state: 'running'; job: ObservedJob }
  /** The job waits for an approval. */
  | { state: 'suspended'; job: ObservedJob }
  /** All objects were tried, which no tag records yet. */
  | { state: 'complete'; job: ObservedJob; record: BackfillRecord }
  /** No job exists, or the last one ended too early. `attempt` is the number of earlier ones. */
  | { state: 'absent'; attempt: number; lastJob?: ObservedJob }
  /** Too many attempts failed. */
  | { state: 'exhausted'; lastJob: ObservedJob }
  /** The job was cancelled, because it had more objects than allowed. */
  | { state: 'tooLarge'; lastJob: ObservedJob };

/** Statuses in which a job stays without a caller. */
const WAITING_OR_ENDED: ReadonlySet<string> = new Set(['Suspended', 'Complete', 'Failed', 'Cancelled']);

/** Attempts at one job. */
export const MAX_ATTEMPTS = 3;

/** Begins the status update reasons of replikey. */
const CANCELLED_BY_REPLIKEY = 'replikey: ';
export const TOO_MANY_OBJECTS_REASON = `${CANCELLED_BY_REPLIKEY}the job has more objects than the spec allows`;
export const SUPERSEDED_REASON = `${CANCELLED_BY_REPLIKEY}the spec has changed`;

/**
 * Returns what a backfill needs next, from the first observation that decides. A job of an unknown status counts as
 * running, so that no second one starts.
 *
 * @param jobs the jobs of the account in the Region, in any order
 * @param maxObjects absent: no limit
 */
export function backfillState(
  digest: string,
  records: readonly BackfillRecord[],
  jobs: readonly ObservedJob[],
  maxObjects = Number.POSITIVE_INFINITY,
): BackfillState {
  const record = records.find((candidate) => candidate.digest === digest);
  if (record) return { state: 'done', record };
  const attempts = jobs
    .filter(({ description }) => parseJobDescription(description)?.digest === digest)
    .sort((a, b) => b.createdAtMs - a.createdAtMs);
  const running = attempts.find(({ status }) => !WAITING_OR_ENDED.has(status));
  if (running) return { state: 'running', job: running };
  const suspended = attempts.find(({ status }) => status === 'Suspended');
  if (suspended) return { state: 'suspended', job: suspended };
  const complete = attempts.find((job) => job.status === 'Complete' || foundNoObjects(job));
  if (complete) return { state: 'complete', job: complete, record: recordOf(digest, complete) };
  const [lastJob] = attempts;
  if (!lastJob) return { state: 'absent', attempt: 0 };
  const isOwnCancellation = ({ statusUpdateReason }: ObservedJob) =>
    statusUpdateReason?.startsWith(CANCELLED_BY_REPLIKEY) ?? false;
  if (lastJob.statusUpdateReason === TOO_MANY_OBJECTS_REASON && (lastJob.total ?? 0) > maxObjects)
    return { state: 'tooLarge', lastJob };
  if (attempts.filter((job) => !isOwnCancellation(job)).length >= MAX_ATTEMPTS)
    return { state: 'exhausted', lastJob };
  return { state: 'absent', attempt: attempts.length, lastJob };
}

/** S3 fails a job for which it finds no object: there is nothing to replicate. */
const foundNoObjects = ({ status, failureReasons = [] }: ObservedJob): boolean =>
  status === 'Failed' && failureReasons.some((reason) => /found no keys matching the filter/.test(reason));

const recordOf = (digest: string, { endedAtMs, createdAtMs, succeeded, failed }: ObservedJob) => ({
  digest,
  completedAt: new Date(endedAtMs ?? createdAtMs).toISOString().replace(/\.\d+Z$/, 'Z'),
  succeeded,
  failed,
});

/** Statuses in which a job has ended, or will soon without a caller. */
const ENDED: ReadonlySet<string> = new Set([
  ...['Completing', 'Complete', 'Failing', 'Failed', 'Cancelling', 'Cancelled'],
]);

/** Returns the jobs that wait or run for an earlier form of a spec. */
export function supersededJobs(
  specNames: readonly string[],
  digests: ReadonlySet<string>,
  jobs: readonly ObservedJob[],
): ObservedJob[] {
  return jobs.filter(({ description, status }) => {
    const parsed = parseJobDescription(description);
    const hasEnded = ENDED.has(status);
    return parsed && !hasEnded && specNames.includes(parsed.specName) && !digests.has(parsed.digest);
  });
}

/** Returns the filter of the manifest of a job, in the form of S3 Control. */
export const manifestFilter = ({ objects, before, after }: Backfill, prefix: string) => ({
  EligibleForReplication: true,
  ObjectReplicationStatuses: objects.map((name) => STATUS_BY_OBJECTS[name]),
  CreatedBefore: new Date(before),
  ...(after === undefined ? {} : { CreatedAfter: new Date(after) }),
  ...(prefix === '' ? {} : { KeyNameConstraint: { MatchAnyPrefix: [prefix] } }),
});

/** Returns the report of a job, in the form of S3 Control. */
export const jobReport = ({ report }: Backfill, region: string) =>
  report
    ? {
        Enabled: true,
        Bucket: bucketArn(report.bucket, region),
        // S3 adds the slash between the prefix and the name of the job.
        Prefix: report.prefix.replace(/\/$/, ''),
        Format: 'Report_CSV_20180820' as const,
        ReportScope: 'FailedTasksOnly' as const,
      }
    : { Enabled: false };

/**
 * The decision of callers about a backfill, which a plan compares: `none`, `attempt 1`, `attempt 1, approved`,
 * `attempt 1, suspended`, `recorded`.
 * The progress that a job makes by itself changes no decision, so it is no drift, and a write can be verified while the
 * job moves on.
 */
export type BackfillDecision = string;

const attemptText = (attempt: number, isApproved: boolean): BackfillDecision =>
  `attempt ${attempt}${isApproved ? ', approved' : ''}`;

/** Returns the decision that the observed state results from. */
export function currentDecision(
  state: BackfillState,
  attempt: number,
  start: Backfill['start'],
): BackfillDecision {
  if (state.state === 'done') return 'recorded';
  const job = 'job' in state ? state.job : state.lastJob;
  if (!job) return 'none';
  // The job was created when the spec required an approval.
  if (start === 'Automatic' && job.status === 'Suspended') return `${attemptText(attempt, false)}, suspended`;
  return attemptText(attempt, start === 'Confirmed' && wasApproved(job));
}

/** Returns whether a job that requires a confirmation got one. A job that ended without a task got none. */
const wasApproved = ({ status, succeeded, failed }: ObservedJob): boolean =>
  ['Failing', 'Failed', 'Cancelling', 'Cancelled'].includes(status)
    ? succeeded + failed > 0
    : !['New', 'Preparing', 'Suspended'].includes(status);

/**
 * Returns the decision that a backfill needs next. It equals the current one while the job runs, while another job of the
 * bucket is unfinished, and when only a person can continue.
 */
export function nextDecision(
  state: BackfillState,
  attempt: number,
  { start, waitsForOther }: { start: Backfill['start']; waitsForOther: boolean },
): BackfillDecision {
  const current = currentDecision(state, attempt, start);
  if (state.state === 'complete') return 'recorded';
  if (state.state === 'suspended') return attemptText(attempt, start === 'Confirmed');
  if (state.state === 'absent' && !waitsForOther) return attemptText(state.attempt + 1, false);
  return current;
}

/** Returns the number of attempts at a job. */
export const countAttempts = (digest: string, jobs: readonly ObservedJob[]): number =>
  jobs.filter(({ description }) => parseJobDescription(description)?.digest === digest).length;
