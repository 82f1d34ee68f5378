import { jobStatusText } from '../core/job-status.ts';
import type { JobStatus } from '../core/resource.ts';
import { createFinding, FINDING_CODES, type Finding, type FindingDefinition } from './findings.ts';

/** The report of a batch job: its failed tasks by their cause. */
export interface JobReport {
  /** The most frequent cause first. */
  causes: FailureCause[];
}

/** Failed tasks with one error code. */
export interface FailureCause {
  /** `DstObjectHardDeleted` */
  errorCode: string;
  /** The message of the first of them. */
  message: string;
  count: number;
  /** Keys of the first of them. */
  keys: string[];
}

const GONE = 'the object was deleted before S3 could replicate it';
const REGION = 'the bucket is not in the Region that the job specifies; declare the Region of the bucket';

/**
 * What to do about error codes that no finding foresees (S3 User Guide, "Amazon S3 replication failure reasons" and
 * "Replicating existing objects with Batch Replication"). `docs/reference/findings` lists all codes.
 */
const FIX_BY_ERROR: Readonly<Record<string, string>> = {
  DstBucketInvalidRegion: REGION,
  DstMultipartCompleteNotPermitted: 'see RK1308',
  DstMultipartInitNotPermitted: 'see RK1308',
  DstMultipartPartUploadNotPermitted: 'see RK1308',
  DstMultipartUploadNotPermitted: 'see RK1308',
  DstObjectHardDeleted:
    'the replica was deleted by its version id, and S3 replicates no version twice; copy the object in place at the source, which writes a new version',
  DstPutAclNotPermitted: 'see RK1308',
  DstPutLegalHoldNotPermitted: 'allow the replication role s3:PutObjectLegalHold on the destination',
  DstPutRetentionNotPermitted: 'allow the replication role s3:PutObjectRetention on the destination',
  DstVersionNotFound:
    'the replica was deleted; copy the object in place at the source, which writes a new version',
  InitiateReplicationNotPermitted:
    'allow the role of the job s3:InitiateReplication on the objects of the source',
  SrcBucketInvalidRegion: REGION,
  SrcHeadObjectNotPermitted: 'see RK1304',
  SrcKeyNotFound: GONE,
  SrcObjectNotEligible:
    'no enabled rule selects the object, or it is archived; see RK1403 and RK1404, and restore archived objects before another backfill',
  SrcObjectNotFound: GONE,
  SrcReplicationNotPending: 'nothing is wrong: S3 has replicated the object already',
  SrcVersionNotFound: GONE,
};

/** Returns the findings with a failure reason of S3. */
export const codesOfReason = (reason: string): string[] =>
  Object.entries<FindingDefinition>(FINDING_CODES).flatMap(([code, { failureReason }]) =>
    failureReason === reason ? code : [],
  );

/** Returns a cause with what to do: `12 × DstObjectHardDeleted, such as Tax/1.pdf: …; copy the object in place …`. */
export function failureCauseText({ errorCode, count, message, keys: [example] }: FailureCause): string {
  const codes = codesOfReason(errorCode);
  const fix = FIX_BY_ERROR[errorCode] ?? (codes.length > 0 ? `see ${codes.join(' and ')}` : message);
  return `${count.toLocaleString('en-US')} × ${errorCode || 'without an error code'}${example === undefined ? '' : `, such as ${example}`}${fix === '' ? '' : `: ${fix}`}`;
}

/**
 * Returns the findings about the batch job of a spec. Pure.
 *
 * @param report why tasks failed, or the reason for which that cannot be read; absent: the spec declares no report
 */
export function jobFindings(job: JobStatus, report?: JobReport | { unread: string }): Finding[] {
  switch (job.state) {
    case 'tasksFailed':
      return [createFinding('RK1601', `${jobStatusText(job)}; ${causesText(job, report)}`)];
    case 'failed':
    case 'blocked':
      return [createFinding('RK1602', jobStatusText(job))];
    case 'awaitingApproval':
      return [createFinding('RK1603', jobStatusText(job))];
    default:
      return [];
  }
}

/** Maximum number of causes in a message. */
const MAX_CAUSES = 10;

function causesText({ jobId }: JobStatus, report: JobReport | { unread: string } | undefined): string {
  if (jobId === undefined) return 'S3 has forgotten the job, so its report cannot be found by its id';
  if (report === undefined)
    return 'the job has no report, so the causes are not known: declare backfill.report, then a later before';
  if ('unread' in report) return `the report cannot be read: ${report.unread}`;
  const { causes } = report;
  const more = causes.length - MAX_CAUSES;
  return [
    ...causes.slice(0, MAX_CAUSES).map(failureCauseText),
    ...(more > 0 ? [`and ${more} more causes`] : []),
  ].join('; ');
}
