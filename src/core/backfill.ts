import { createHash } from 'node:crypto';
import type { Backfill, BackfillObjects, BucketReplication, Rule } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { canonicalJson, compareCodeUnits } from '../util/canonical-json.ts';
import { isRedrive } from './ids.ts';
import type { JobStatus, Step } from './resource.ts';

/**
 * Backfills without a state file. A digest identifies what a job does. The description of the job contains it, and so does
 * a tag of the batch role, which remains when AWS forgets the job 90 days after its end.
 */

/** A backfill of the objects under one prefix, which a spec declares. */
export interface DeclaredBackfill {
  /** Name of the spec. */
  specName: string;
  /** Identifies the backfill to one destination: 16 hexadecimal digits. */
  digest: string;
  /** Prefix of the objects; `''` for all of them. */
  prefix: string;
  /** Identifies the objects. Backfills of the same objects share a job, because a job runs all rules of a bucket. */
  objectsDigest: string;
  /** Whether the spec has one prefix only. */
  isOnly: boolean;
}

/**
 * Returns the backfills that the specs of a source bucket declare, in the order in which their jobs run: one for each
 * prefix, because a job takes one prefix. The other specs of a run do not change a digest.
 */
export const declaredBackfills = (pairs: readonly BucketReplication[]): DeclaredBackfill[] =>
  pairs
    .flatMap(({ name: specName, backfill, source, destination, rules }) =>
      (backfill?.prefixes ?? []).map((prefix) => {
        const objects = { ...pick(backfill as Backfill), prefix, source: source.bucket };
        const objectsDigest = backfillDigest(objects);
        return {
          specName,
          // A re-drive continues its job whichever specs a run has, or none.
          digest: isRedrive(specName)
            ? objectsDigest
            : backfillDigest({
                ...objects,
                destination: destination.bucket,
                selections: selectionsOf(rules, prefix),
              }),
          prefix,
          objectsDigest,
          isOnly: backfill?.prefixes.length === 1,
        };
      }),
    )
    .sort((a, b) => compareCodeUnits(`${a.specName} ${a.prefix}`, `${b.specName} ${b.prefix}`));

/** What the enabled rules under a prefix select, without what others of them select too. */
function selectionsOf(rules: readonly Rule[], prefix: string): object[] {
  const enabled = rules.filter((rule) => rule.enabled && rule.prefix.startsWith(prefix));
  const selectsAll = ({ tags, exclude }: Rule) => Object.keys(tags).length === 0 && exclude === undefined;
  const isCovered = (rule: Rule) =>
    enabled.some(
      (other) =>
        other !== rule &&
        selectsAll(other) &&
        other.sseKmsEncryptedObjects &&
        rule.prefix !== other.prefix &&
        rule.prefix.startsWith(other.prefix),
    );
  return enabled
    .filter((rule) => !isCovered(rule))
    .map(({ prefix: start, tags, exclude, sseKmsEncryptedObjects }) => ({
      prefix: start,
      tags,
      exclude: exclude ?? null,
      sseKmsEncryptedObjects,
    }));
}

const pick = ({ objects, before, after = '' }: Backfill) => ({ objects, before, after });

const backfillDigest = (content: object): string => sha256Hex(canonicalJson(content)).slice(0, DIGEST_LENGTH);

/** In hexadecimal digits. */
const DIGEST_LENGTH = 16;

export const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The replication statuses of S3, by the names in specs. */
export const STATUS_BY_OBJECTS = {
  existing: 'NONE',
  failed: 'FAILED',
  elsewhere: 'COMPLETED',
  replicas: 'REPLICA',
} as const satisfies Record<BackfillObjects, string>;

/** Returns the token of a job, at most 64 characters: two attempts at one CreateJob request have the same. */
export const jobToken = (digests: readonly string[], attempt: number): string =>
  sha256Hex(`${digests.join(' ')} ${attempt}`);

const DESCRIPTION = /^replikey backfill (\S+)((?: [0-9a-f]{16})+) (\S+)$/;

/** Maximum length of a description (API reference, CreateJob). */
const MAX_DESCRIPTION = 256;

/**
 * Returns the description of a job, which ListJobs returns, unlike tags and the bucket. It contains the digests of all
 * backfills that share the job, as far as they fit; the others get another job.
 */
export const jobDescription = (specName: string, digests: readonly string[], bucket: string): string => {
  const start = `replikey backfill ${specName}`;
  const count = Math.floor((MAX_DESCRIPTION - start.length - 1 - bucket.length) / (DIGEST_LENGTH + 1));
  return [start, ...digests.slice(0, count), bucket].join(' ');
};

/** The content of the description of a job of replikey. */
export interface JobDescription {
  /** The spec that created the job. Specs of other repositories may have its name. */
  specName: string;
  digests: string[];
  /** The source bucket. */
  bucket: string;
}

/** Returns what the description of a job of replikey contains; undefined for another job. */
export function parseJobDescription(description: string | undefined): JobDescription | undefined {
  const [, specName, digests, bucket] = DESCRIPTION.exec(description ?? '') ?? [];
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
  (parseJobDescription(description) ?? parseReencryptionDescription(description))?.bucket;

/** Returns whether a job does a backfill. */
export const isJobOf = ({ description }: Pick<ObservedJob, 'description'>, digest: string): boolean =>
  parseJobDescription(description)?.digests.includes(digest) ?? false;

/** Prefix of the tags of the batch role that record completed jobs. */
export const BACKFILL_TAG_PREFIX = 'replikey:backfill:';

/** Returns the key of the tag that records a backfill: the spec, with a hash of the prefix if the spec has several. */
export const backfillTagKey = ({ specName, prefix, isOnly }: DeclaredBackfill): string =>
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
export function recordsIn(
  tags: Readonly<Record<string, string>>,
  prefix: string = BACKFILL_TAG_PREFIX,
): BackfillRecord[] {
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

/** What a backfill needs next. */
export type BackfillState =
  /** S3 tried all objects that matched, if any, and a tag records it. */
  | { state: 'done'; record: BackfillRecord }
  /** S3 prepares or runs the job. */
  | { state: 'running'; job: ObservedJob }
  /** The job waits for an approval. */
  | { state: 'suspended'; job: ObservedJob }
  /** S3 tried all objects that matched, if any, and no tag records it yet. */
  | { state: 'complete'; job: ObservedJob; record: BackfillRecord }
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
  const attempts = jobs.filter((job) => isJobOf(job, digest)).sort((a, b) => b.createdAtMs - a.createdAtMs);
  const running = attempts.find(({ status }) => !WAITING_OR_ENDED.has(status));
  if (running) return { state: 'running', job: running };
  const suspended = attempts.find(({ status }) => status === 'Suspended');
  if (suspended) return { state: 'suspended', job: suspended };
  const complete = attempts.find((job) => job.status === 'Complete' || foundNoObjects(job));
  if (complete) return { state: 'complete', job: complete, record: recordOf(digest, complete) };
  const [lastJob] = attempts;
  if (!lastJob) return { state: 'absent', attempt: 0 };
  if (isTooLarge(lastJob, maxObjects)) return { state: 'tooLarge', lastJob };
  if (attempts.filter((job) => !isOwnCancellation(job)).length >= MAX_ATTEMPTS)
    return { state: 'exhausted', lastJob };
  return { state: 'absent', attempt: attempts.length, lastJob };
}

/** Returns whether replikey cancelled a job. */
export const isOwnCancellation = ({ statusUpdateReason }: ObservedJob): boolean =>
  statusUpdateReason !== APPROVAL_REASON && (statusUpdateReason?.startsWith(REASON_PREFIX) ?? false);

/** Returns whether replikey cancelled a job above a limit that still holds. S3 may not report the size of an ended job. */
export const isTooLarge = ({ statusUpdateReason, total }: ObservedJob, maxObjects: number): boolean =>
  statusUpdateReason === TOO_MANY_OBJECTS_REASON && (total ?? Number.POSITIVE_INFINITY) > maxObjects;

/** Returns whether S3 found no object for a job, which it fails then. */
export const foundNoObjects = ({ status, failureReasons = [] }: ObservedJob): boolean =>
  status === 'Failed' && failureReasons.some((reason) => /found no keys matching the filter/.test(reason));

const recordOf = (digest: string, { endedAtMs, createdAtMs, succeeded, failed }: ObservedJob) => ({
  digest,
  completedAt: toInstant(endedAtMs ?? createdAtMs),
  succeeded,
  failed,
});

/** Returns an instant in UTC, in ISO 8601 with seconds. */
export const toInstant = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** Statuses in which a job has ended, or will soon without a caller. */
export const ENDED: ReadonlySet<string> = new Set([
  ...['Completing', 'Complete', 'Failing', 'Failed', 'Cancelling', 'Cancelled'],
]);

/** Returns the jobs that wait or run for an earlier form of a spec. */
function supersededJobs(
  specName: string,
  bucket: string,
  digests: ReadonlySet<string>,
  jobs: readonly ObservedJob[],
): ObservedJob[] {
  return jobs.filter((job) => {
    const parsed = parseJobDescription(job.description);
    return (
      parsed &&
      !ENDED.has(job.status) &&
      isCreatedBy(job, specName, bucket) &&
      !parsed.digests.some((digest) => digests.has(digest))
    );
  });
}

/** Returns whether a spec created a job of a bucket. */
function isCreatedBy({ description }: ObservedJob, specName: string, bucket: string): boolean {
  const parsed = parseJobDescription(description);
  return parsed?.specName === specName && parsed.bucket === bucket;
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

/** What AWS shows about a backfill. */
export interface ObservedBackfill {
  state: BackfillState;
  /** Number of jobs so far. */
  attempts: number;
  /** An unfinished job of another backfill of the bucket, or of an earlier form of the spec. */
  otherJob?: ObservedJob;
  /** Ids of jobs that wait or run for an earlier form of the spec. */
  superseded: string[];
}

/** How a spec wants its backfill to run. */
export interface BackfillChoices {
  /** The source bucket. */
  bucket: string;
  declared: DeclaredBackfill;
  /** All declared backfills of the bucket, in the order in which their jobs run. */
  ofBucket: readonly DeclaredBackfill[];
  start: Backfill['start'];
  /** Absent: no limit. */
  maxObjects?: number;
  /** Whether a tag can record the job: the role is managed by replikey. */
  isRecorded: boolean;
}

/** Returns what records and jobs show about a backfill. */
export function observeBackfill(
  { bucket, declared, ofBucket, maxObjects }: BackfillChoices,
  records: readonly BackfillRecord[],
  jobs: readonly ObservedJob[],
): ObservedBackfill {
  const { digest, specName } = declared;
  // Also jobs of specs that this run does not have.
  const otherJob = jobs.find(
    (job) => !hasStopped(job) && bucketOfJob(job) === bucket && !isJobOf(job, digest),
  );
  // The first backfill of a spec cancels for all of them. A re-drive leaves the job of another one to its caller.
  const cancels =
    !isRedrive(specName) && ofBucket.find((item) => item.specName === specName)?.digest === digest;
  const digests = new Set(ofBucket.map((item) => item.digest));
  return {
    state: backfillState(digest, records, jobs, maxObjects),
    attempts: jobs.filter((job) => isJobOf(job, digest)).length,
    ...(otherJob && { otherJob }),
    superseded: cancels ? supersededJobs(specName, bucket, digests, jobs).map(({ id }) => id) : [],
  };
}

/** Statuses in which S3 prepares a job. */
const PREPARING: ReadonlySet<string> = new Set(['New', 'Preparing']);

/** Returns the state of a job that S3 has not ended. */
const unfinishedJobState = ({ status, total = 0 }: ObservedJob): JobStatus['state'] =>
  status === 'Suspended'
    ? 'awaitingApproval'
    : PREPARING.has(status) || total === 0
      ? 'preparing'
      : 'inProgress';

/** Returns the state of a backfill for people, without the decisions of a plan. */
export function backfillStatus(
  { state, otherJob }: ObservedBackfill,
  { declared: { digest } }: BackfillChoices,
  jobs: readonly ObservedJob[],
): Omit<JobStatus, 'id' | 'pairs'> {
  switch (state.state) {
    case 'done':
    case 'complete': {
      const { succeeded, failed, completedAt } = state.record;
      // Of a recorded job, S3 may have forgotten the id.
      const job =
        'job' in state ? state.job : jobs.find((other) => isJobOf(other, digest) && hasStopped(other));
      return {
        state: failed > 0 ? 'tasksFailed' : 'succeeded',
        ...(job && { jobId: job.id }),
        total: succeeded + failed,
        succeeded,
        failed,
        since: new Date(completedAt).toISOString(),
      };
    }
    case 'running':
    case 'suspended':
      return { state: unfinishedJobState(state.job), ...countsOf(state.job) };
    case 'absent':
      return state.lastJob && !isOwnCancellation(state.lastJob)
        ? {
            state: 'failed',
            ...countsOf(state.lastJob),
            reason: `the job ${state.lastJob.id}, attempt ${state.attempt} of ${MAX_ATTEMPTS}, ended with: ${endReasonsOf(state.lastJob)}`,
          }
        : {
            state: 'notStarted',
            succeeded: 0,
            failed: 0,
            ...(otherJob && {
              reason: `a job follows when the job ${otherJob.id} of ${ownerOfJob(otherJob)} has ended`,
            }),
          };
    case 'exhausted':
    case 'tooLarge':
      return { state: 'failed', ...countsOf(state.lastJob), reason: endReasonsOf(state.lastJob) };
  }
}

const countsOf = ({ id, total, succeeded, failed, createdAtMs, endedAtMs }: ObservedJob) => ({
  jobId: id,
  ...(total !== undefined && { total }),
  succeeded,
  failed,
  since: new Date(endedAtMs ?? createdAtMs).toISOString(),
});

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
  const { specName = '' } = parseJobDescription(description) ?? {};
  return isRedrive(specName) ? 'a re-drive' : `the spec ${specName}`;
}

/** Returns the jobs of a bucket that a spec created and that have not stopped. The role of the spec runs them. */
export const unfinishedJobsOf = (
  specName: string,
  bucket: string,
  jobs: readonly ObservedJob[],
): ObservedJob[] => jobs.filter((job) => !hasStopped(job) && isCreatedBy(job, specName, bucket));

/** Returns the jobs of a spec that wait for an approval. */
export const waitingJobsOf = (
  specName: string,
  bucket: string,
  jobs: readonly ObservedJob[],
): ObservedJob[] => unfinishedJobsOf(specName, bucket, jobs).filter(({ status }) => status === 'Suspended');

/** Returns whether a job has ended. */
export const hasStopped = ({ status }: Pick<ObservedJob, 'status'>): boolean =>
  ['Complete', 'Failed', 'Cancelled'].includes(status);

/** Returns the backfills that a new job does: the declared one, and those of the same objects that have no job either. */
export const backfillsOfNewJob = (
  { declared, ofBucket, maxObjects }: BackfillChoices,
  records: readonly BackfillRecord[],
  jobs: readonly ObservedJob[],
): DeclaredBackfill[] => [
  declared,
  ...ofBucket.filter(
    ({ digest, objectsDigest }) =>
      digest !== declared.digest &&
      objectsDigest === declared.objectsDigest &&
      backfillState(digest, records, jobs, maxObjects).state === 'absent',
  ),
];

/**
 * The decision of callers about a backfill, which a plan compares: `none`, `attempt 1`, `attempt 1, approved`,
 * `attempt 1, cancelled`, `recorded`; `attempt 1, suspended` for a job that waits although the spec does not ask for it.
 * The progress that a job makes by itself changes no decision, so it is no drift, and a write can be verified while the
 * job moves on.
 */
export type BackfillDecision = string;

export const attemptText = (
  attempt: number,
  suffix: '' | 'approved' | 'cancelled' | 'suspended',
): BackfillDecision => `attempt ${attempt}${suffix && `, ${suffix}`}`;

/** Returns the decision that the observed state results from. */
export function currentDecision(
  {
    state,
    attempts,
  }: { state: { state: string; job?: ObservedJob; lastJob?: ObservedJob }; attempts: number },
  start: Backfill['start'],
): BackfillDecision {
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

/** What brings a backfill forward. */
export type BackfillAction = 'create' | 'approve' | 'cancel' | 'record';

/**
 * Returns the decision that a backfill needs next, and the action that makes it. Without an action, the decision stays: the
 * job runs, another job of the bucket is unfinished, or only a person can continue.
 */
export function nextDecision(
  observed: ObservedBackfill,
  { declared, ofBucket, start, maxObjects, isRecorded }: BackfillChoices,
  stateOf: (digest: string) => BackfillState,
): { decision: BackfillDecision; action?: BackfillAction } {
  const { state, attempts, otherJob } = observed;
  const stay = { decision: currentDecision(observed, start) };
  if (state.state === 'complete') return isRecorded ? { decision: 'recorded', action: 'record' } : stay;
  if (state.state === 'absent') {
    const earlier = ofBucket.slice(
      0,
      ofBucket.findIndex(({ digest }) => digest === declared.digest),
    );
    const waits = otherJob ?? earlier.some(({ digest }) => stateOf(digest).state === 'absent');
    return waits ? stay : { decision: attemptText(attempts + 1, ''), action: 'create' };
  }
  if (state.state !== 'suspended' && state.state !== 'running') return stay;
  // Backfills that share a job leave it to the first of them.
  const { job } = state;
  if (ofBucket.find(({ digest }) => isJobOf(job, digest))?.digest !== declared.digest) return stay;
  const exceedsLimit = (job.total ?? 0) > (maxObjects ?? Number.POSITIVE_INFINITY);
  if (exceedsLimit && !ENDED.has(job.status))
    return { decision: attemptText(attempts, 'cancelled'), action: 'cancel' };
  return state.state === 'suspended'
    ? { decision: attemptText(attempts, start === 'Confirmed' ? 'approved' : ''), action: 'approve' }
    : stay;
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
