import { createHash } from 'node:crypto';
import type { Backfill } from '../spec/types.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import { isRedrive } from './ids.ts';
import type { Step } from './resource.ts';

/**
 * Batch jobs of replikey without a state file. A digest identifies what a job does. The description of the job contains it,
 * and so does a tag of the batch role, which remains when AWS forgets the job 90 days after its end.
 */

/** Returns the digest of what a job does: 16 hexadecimal digits. */
export const jobDigest = (content: object): string =>
  sha256Hex(canonicalJson(content)).slice(0, DIGEST_LENGTH);

/** In hexadecimal digits. */
const DIGEST_LENGTH = 16;

export const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Returns the token of a job, at most 64 characters: two attempts at one CreateJob request have the same. */
export const jobToken = (digests: readonly string[], attempt: number): string =>
  sha256Hex(`${digests.join(' ')} ${attempt}`);

const BACKFILL_DESCRIPTION = /^replikey backfill (\S+)((?: [0-9a-f]{16})+) (\S+)$/;

/** Maximum length of a description (API reference, CreateJob). */
const MAX_DESCRIPTION = 256;

/**
 * Returns the description of a job, which ListJobs returns, unlike tags and the bucket. It contains the digests of all
 * backfills that share the job, as far as they fit; the others get another job.
 */
export const backfillDescription = (specName: string, digests: readonly string[], bucket: string): string => {
  const start = `replikey backfill ${specName}`;
  const count = Math.floor((MAX_DESCRIPTION - start.length - 1 - bucket.length) / (DIGEST_LENGTH + 1));
  return [start, ...digests.slice(0, count), bucket].join(' ');
};

/** The content of the description of a job of replikey. */
export interface BackfillDescription {
  /** The spec that created the job. Specs of other repositories may have its name. */
  specName: string;
  digests: string[];
  /** The source bucket. */
  bucket: string;
}

/** Returns what the description of a job of replikey contains; undefined for another job. */
export function parseBackfillDescription(description: string | undefined): BackfillDescription | undefined {
  const [, specName, digests, bucket] = BACKFILL_DESCRIPTION.exec(description ?? '') ?? [];
  return specName === undefined || digests === undefined || bucket === undefined
    ? undefined
    : { specName, digests: digests.trim().split(' '), bucket };
}

const REENCRYPTION_DESCRIPTION = /^replikey reencrypt (\S+) ([0-9a-f]{16})$/;

/** Returns the description of a job, at most 256 characters. */
export const reencryptionDescription = (bucket: string, digest: string): string =>
  `replikey reencrypt ${bucket} ${digest}`;

/** Returns what the description of a re-encryption job contains; undefined for another job. */
export function parseReencryptionDescription(
  description: string | undefined,
): { bucket: string; digest: string } | undefined {
  const [, bucket, digest] = REENCRYPTION_DESCRIPTION.exec(description ?? '') ?? [];
  return bucket === undefined || digest === undefined ? undefined : { bucket, digest };
}

/** Returns the bucket of a job of replikey; undefined for another job. */
export const bucketOfJob = ({ description }: Pick<ObservedJob, 'description'>): string | undefined =>
  (parseBackfillDescription(description) ?? parseReencryptionDescription(description))?.bucket;

/** Returns whether a job does a backfill. */
export const isJobOf = ({ description }: Pick<ObservedJob, 'description'>, digest: string): boolean =>
  parseBackfillDescription(description)?.digests.includes(digest) ?? false;

/** A completed job, as a tag records it. */
export interface JobRecord {
  digest: string;
  /** In UTC, ISO 8601. */
  completedAt: string;
  succeeded: number;
  failed: number;
}

const RECORD = /^([0-9a-f]{16}) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ok=(\d+) failed=(\d+)$/;

export const formatRecord = ({ digest, completedAt, succeeded, failed }: JobRecord): string =>
  `${digest} ${completedAt} ok=${succeeded} failed=${failed}`;

/** Returns the records in the tags of a batch role. A value in another form records nothing. */
export function recordsIn(tags: Readonly<Record<string, string>>, prefix: string): JobRecord[] {
  return Object.entries(tags).flatMap(([key, value]) => {
    const [, digest = '', completedAt = '', succeeded, failed] =
      (key.startsWith(prefix) && RECORD.exec(value)) || [];
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

/** What declared work needs next, from its jobs and its record. */
export type BatchJobState =
  /** S3 tried all objects that matched, if any, and a tag records it. */
  | { state: 'done'; record: JobRecord }
  /** S3 prepares or runs the job. */
  | { state: 'running'; job: ObservedJob }
  /** The job waits for an approval. */
  | { state: 'suspended'; job: ObservedJob }
  /** S3 tried all objects that matched, if any, and no tag records it yet. */
  | { state: 'complete'; job: ObservedJob; record: JobRecord }
  /** No job exists, or the last one ended too early. `attempt` is the number of earlier ones. */
  | { state: 'absent'; attempt: number; lastJob?: ObservedJob }
  /** Too many attempts failed. */
  | { state: 'exhausted'; lastJob: ObservedJob }
  /** The job was cancelled, because it had more objects than allowed. */
  | { state: 'tooLarge'; lastJob: ObservedJob };

/** Statuses in which a job stays without a caller. */
export const WAITING_OR_ENDED: ReadonlySet<string> = new Set([
  'Suspended',
  'Complete',
  'Failed',
  'Cancelled',
]);

/** Attempts at one job. */
export const MAX_ATTEMPTS = 3;

/** Begins the status update reasons of replikey. */
const REASON_PREFIX = 'replikey: ';

/** The reason of an approved job, which it keeps when it fails. */
export const APPROVAL_REASON = `${REASON_PREFIX}approved`;

export const TOO_MANY_OBJECTS_REASON = `${REASON_PREFIX}the job has more objects than the spec allows`;

export const UNSUPPORTED_OBJECTS_REASON = `${REASON_PREFIX}S3 cannot re-encrypt objects with DSSE-KMS`;

export const ORPHANED_REASON = `${REASON_PREFIX}no spec declares the backfill`;

export const SUPERSEDED_REASON = `${REASON_PREFIX}the spec has changed`;

/** Returns whether replikey cancelled a job. */
export const isOwnCancellation = ({ statusUpdateReason }: ObservedJob): boolean =>
  statusUpdateReason !== APPROVAL_REASON && (statusUpdateReason?.startsWith(REASON_PREFIX) ?? false);

/** Returns whether replikey cancelled a job above a limit that still holds. S3 may not report the size of an ended job. */
export const isTooLarge = ({ statusUpdateReason, total }: ObservedJob, maxObjects: number): boolean =>
  statusUpdateReason === TOO_MANY_OBJECTS_REASON && (total ?? Number.POSITIVE_INFINITY) > maxObjects;

/** Returns whether S3 found no object for a job, which it fails then. */
export const foundNoObjects = ({ status, failureReasons = [] }: ObservedJob): boolean =>
  status === 'Failed' && failureReasons.some((reason) => /found no keys matching the filter/.test(reason));

/** Returns an instant in UTC, in ISO 8601 with seconds. */
export const toInstant = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** Statuses in which a job has ended, or will soon without a caller. */
export const ENDED: ReadonlySet<string> = new Set([
  ...['Completing', 'Complete', 'Failing', 'Failed', 'Cancelling', 'Cancelled'],
]);

/** Returns why a job ended. */
export const endReasonsOf = ({
  status,
  failureReasons = [],
  statusUpdateReason,
}: Pick<ObservedJob, 'status' | 'failureReasons' | 'statusUpdateReason'>): string =>
  failureReasons.length > 0
    ? failureReasons.join('; ')
    : statusUpdateReason
      ? `${status}: ${statusUpdateReason}`
      : status;

/** Returns what created a job: `the spec tax`, `a re-drive` or `a re-encryption`. */
export function ownerOfJob({ description }: ObservedJob): string {
  if (parseReencryptionDescription(description)) return 'a re-encryption';
  const { specName = '' } = parseBackfillDescription(description) ?? {};
  return isRedrive(specName) ? 'a re-drive' : `the spec ${specName}`;
}

/** Returns whether a job has ended. */
export const hasStopped = ({ status }: Pick<ObservedJob, 'status'>): boolean =>
  ['Complete', 'Failed', 'Cancelled'].includes(status);

/**
 * The decision of callers about a job, which a plan compares: `none`, `attempt 1`, `attempt 1, approved`,
 * `attempt 1, cancelled`, `recorded`; `attempt 1, suspended` for a job that waits although the spec does not ask for it.
 * The progress that a job makes by itself changes no decision, so it is no drift, and a write can be verified while the
 * job moves on.
 */
export type JobDecision = string;

export const attemptText = (
  attempt: number,
  suffix: '' | 'approved' | 'cancelled' | 'suspended',
): JobDecision => `attempt ${attempt}${suffix && `, ${suffix}`}`;

/** Returns the decision that the observed state results from. */
export function currentDecision(
  {
    state,
    attempts,
  }: { state: { state: string; job?: ObservedJob; lastJob?: ObservedJob }; attempts: number },
  start: Backfill['start'],
): JobDecision {
  if (state.state === 'done') return 'recorded';
  const job = state.job ?? state.lastJob;
  if (!job) return 'none';
  if ([TOO_MANY_OBJECTS_REASON, UNSUPPORTED_OBJECTS_REASON].includes(job.statusUpdateReason ?? ''))
    return attemptText(attempts, 'cancelled');
  // The job was created when the spec required an approval.
  if (start === 'Automatic' && job.status === 'Suspended') return attemptText(attempts, 'suspended');
  return attemptText(attempts, start === 'Confirmed' && wasApproved(job) ? 'approved' : '');
}

/**
 * Returns whether a job that requires a confirmation got one. Of a job that ended without a task, only the reason of its last
 * status update may show this.
 */
const wasApproved = ({ status, succeeded, failed, statusUpdateReason }: ObservedJob): boolean =>
  ['Failing', 'Failed', 'Cancelling', 'Cancelled'].includes(status)
    ? succeeded + failed > 0 || statusUpdateReason === APPROVAL_REASON
    : !['New', 'Preparing', 'Suspended'].includes(status);

/** What a decision does with a job. */
export type JobAction = 'create' | 'approve' | 'cancel' | 'record';

/** The decision that declared work needs next, and the action that makes it. Without an action, the decision stays. */
export interface NextDecision {
  decision: JobDecision;
  action?: JobAction;
}

/**
 * Returns the next decision on a job that has not ended. A job above its limit, and one that cannot do its work, is cancelled. A
 * job that waits otherwise is approved.
 */
export function decideUnfinishedJob(
  observed: { state: { state: 'running' | 'suspended'; job: ObservedJob }; attempts: number },
  { start, maxObjects = Number.POSITIVE_INFINITY }: { start: Backfill['start']; maxObjects?: number },
  isUnsupported = false,
): NextDecision {
  const {
    state: { state, job },
    attempts,
  } = observed;
  const exceedsLimit = (job.total ?? 0) > maxObjects;
  if ((exceedsLimit || isUnsupported) && !ENDED.has(job.status))
    return { decision: attemptText(attempts, 'cancelled'), action: 'cancel' };
  return state === 'suspended'
    ? { decision: attemptText(attempts, start === 'Confirmed' ? 'approved' : ''), action: 'approve' }
    : { decision: currentDecision(observed, start) };
}

/** Returns whether a step creates or starts a job. */
export const startsJob = ({ patch }: Pick<Step, 'patch'>): boolean =>
  patch.some(
    (operation) =>
      operation.path === '/decision' &&
      'value' in operation &&
      /^attempt \d+(?:, approved)?$/.test(String(operation.value)),
  );

/** Returns whether a step creates a job; otherwise it starts one that waits. */
export const createsJob = ({ calls }: Pick<Step, 'calls'>): boolean => calls.includes('s3:CreateJob');
