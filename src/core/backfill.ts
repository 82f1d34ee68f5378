import type { Backfill, BackfillObjects, BucketReplication, Rule } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { compareCodeUnits } from '../util/canonical-json.ts';
import {
  attemptText,
  type BatchJobState,
  bucketOfJob,
  currentDecision,
  decideUnfinishedJob,
  ENDED,
  endReasonsOf,
  foundNoObjects,
  hasStopped,
  isJobOf,
  isOwnCancellation,
  isTooLarge,
  type JobRecord,
  jobDigest,
  MAX_ATTEMPTS,
  type NextDecision,
  type ObservedJob,
  ownerOfJob,
  parseBackfillDescription,
  recordsIn,
  sha256Hex,
  toInstant,
  WAITING_OR_ENDED,
} from './batch-job.ts';
import { isRedrive } from './ids.ts';
import type { JobStatus } from './resource.ts';

/** Backfills of existing objects, by batch jobs. */

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
        const objectsDigest = jobDigest(objects);
        return {
          specName,
          // A re-drive continues its job whichever specs a run has, or none.
          digest: isRedrive(specName)
            ? objectsDigest
            : jobDigest({
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

/** The replication statuses of S3, by the names in specs. */
export const STATUS_BY_OBJECTS = {
  existing: 'NONE',
  failed: 'FAILED',
  elsewhere: 'COMPLETED',
  replicas: 'REPLICA',
} as const satisfies Record<BackfillObjects, string>;

/** Prefix of the tags of the batch role that record completed jobs. */
export const BACKFILL_TAG_PREFIX = 'replikey:backfill:';

/** Returns the key of the tag that records a backfill: the spec, with a hash of the prefix if the spec has several. */
export const backfillTagKey = ({ specName, prefix, isOnly }: DeclaredBackfill): string =>
  `${BACKFILL_TAG_PREFIX}${specName}${isOnly ? '' : `/${sha256Hex(prefix).slice(0, 8)}`}`;

/** Returns the records of backfills in the tags of a batch role. */
export const backfillRecordsIn = (tags: Readonly<Record<string, string>>): JobRecord[] =>
  recordsIn(tags, BACKFILL_TAG_PREFIX);

/**
 * Returns what a backfill needs next, from the first observation that decides. A job of an unknown status counts as
 * running, so that no second one starts.
 *
 * @param jobs the jobs of the account in the Region, in any order
 * @param maxObjects absent: no limit
 */
export function backfillState(
  digest: string,
  records: readonly JobRecord[],
  jobs: readonly ObservedJob[],
  maxObjects = Number.POSITIVE_INFINITY,
): BatchJobState {
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

const recordOf = (digest: string, { endedAtMs, createdAtMs, succeeded, failed }: ObservedJob) => ({
  digest,
  completedAt: toInstant(endedAtMs ?? createdAtMs),
  succeeded,
  failed,
});

/** Returns the jobs that wait or run for an earlier form of a spec. */
function supersededJobs(
  specName: string,
  bucket: string,
  digests: ReadonlySet<string>,
  jobs: readonly ObservedJob[],
): ObservedJob[] {
  return jobs.filter((job) => {
    const parsed = parseBackfillDescription(job.description);
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
  const parsed = parseBackfillDescription(description);
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
  state: BatchJobState;
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
  records: readonly JobRecord[],
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

/** Returns the backfills that a new job does: the declared one, and those of the same objects that have no job either. */
export const backfillsOfNewJob = (
  { declared, ofBucket, maxObjects }: BackfillChoices,
  records: readonly JobRecord[],
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
 * Returns the decision that a backfill needs next, and the action that makes it. Without an action, the decision stays: the
 * job runs, another job of the bucket is unfinished, or only a person can continue.
 */
export function nextDecision(
  observed: ObservedBackfill,
  choices: BackfillChoices,
  stateOf: (digest: string) => BatchJobState,
): NextDecision {
  const { declared, ofBucket, start, isRecorded } = choices;
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
  const isFirst = ofBucket.find(({ digest }) => isJobOf(state.job, digest))?.digest === declared.digest;
  return isFirst ? decideUnfinishedJob({ state, attempts }, choices) : stay;
}
