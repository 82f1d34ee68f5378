import { TagRoleCommand } from '@aws-sdk/client-iam';
import type { JobDescriptor, JobListDescriptor } from '@aws-sdk/client-s3-control';
import { describeJob, updateJobStatus } from '../aws/batch-jobs.ts';
import {
  APPROVAL_REASON,
  bucketOfJob,
  endReasonsOf,
  formatRecord,
  type JobAction,
  type JobRecord,
  type ObservedJob,
} from '../core/batch-job.ts';
import { groupDigits } from '../core/job-status.ts';
import type { TransientError } from '../core/kind.ts';
import type { Aws, Location } from '../core/resource.ts';
import { MAX_ROLE_TAGS } from '../spec/patterns.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { ignoreErrors } from './helpers.ts';

/** How the kinds of batch jobs read, approve, cancel and record a job. */

/** Errors of a job that pass soon after its role, or the job itself, was created. */
export const jobTransientErrors: TransientError[] = [
  {
    code: 'BadRequestException',
    // AWS does not document the message.
    message: /assum|role/i,
    waitsFor: 'S3 Batch Operations to see the new role',
  },
  { code: 'NoSuchJobException', waitsFor: 'S3 Batch Operations to see the new job' },
];

/** Returns the jobs of replikey for a bucket. Each spec reads the list of all jobs of its account. */
export const jobsOfBucket = (descriptors: readonly JobListDescriptor[], bucket: string): ObservedJob[] =>
  descriptors
    .filter(
      ({ Description = '' }) =>
        Description.includes(bucket) && bucketOfJob({ description: Description }) === bucket,
    )
    .map(toObservedJob);

/** Returns a job of a list. */
export const toObservedJob = (descriptor: JobListDescriptor): ObservedJob => {
  const { JobId, Description, Status, CreationTime, TerminationDate, ProgressSummary = {} } = descriptor;
  return omitUndefined({
    id: JobId ?? '',
    description: Description,
    status: Status ?? '',
    createdAtMs: toMs(CreationTime) ?? 0,
    endedAtMs: toMs(TerminationDate),
    // A job without objects fails. So 0 is the count of a job that S3 has not counted yet.
    total: ProgressSummary.TotalNumberOfTasks || undefined,
    succeeded: ProgressSummary.NumberOfTasksSucceeded ?? 0,
    failed: ProgressSummary.NumberOfTasksFailed ?? 0,
  });
};

/** A snapshot has dates as text. */
const toMs = (date: Date | string | undefined): number | undefined =>
  date === undefined ? undefined : new Date(date).getTime();

/** Returns whether ListJobs omits what decides about a job: why it ended, and perhaps its number of objects. */
export const needsDetails = ({ status, total }: ObservedJob): boolean =>
  ['Failing', 'Failed', 'Cancelling', 'Cancelled'].includes(status) ||
  (status === 'Suspended' && total === undefined);

/** Adds the details of a job. A list may show a job that S3 does not find. */
export async function withDetails(aws: Aws, location: Location, job: ObservedJob): Promise<ObservedJob> {
  const details = await ignoreErrors(describeJob(aws, location, job.id), 'NoSuchJobException');
  return details ? { ...job, ...detailsOf(details) } : job;
}

const detailsOf = ({ FailureReasons, StatusUpdateReason, ProgressSummary }: JobDescriptor) =>
  omitUndefined({
    failureReasons: FailureReasons?.map(({ FailureReason = '' }) => FailureReason),
    statusUpdateReason: StatusUpdateReason,
    total: ProgressSummary?.TotalNumberOfTasks || undefined,
  });

/** Returns the calls of an action on jobs. */
export const jobOperations = (
  superseded: readonly string[],
  action: JobAction | undefined,
): { call: string }[] => [
  ...superseded.map(() => ({ call: 's3:UpdateJobStatus' })),
  ...(action === 'create' ? [{ call: 's3:CreateJob' }] : []),
  ...(action === 'approve' || action === 'cancel' ? [{ call: 's3:UpdateJobStatus' }] : []),
  ...(action === 'record' ? [{ call: 'iam:TagRole' }] : []),
];

/**
 * Approves a job, unless another caller has approved it.
 *
 * @throws Error when it has ended, or will soon
 */
export const approveJob = (aws: Aws, location: Location, id: string): Promise<void> =>
  changeStatus(aws, location, id, 'Ready', APPROVAL_REASON);

/**
 * Cancels a job.
 *
 * @throws Error when it has ended otherwise, or will soon
 */
export const cancelJob = (aws: Aws, location: Location, id: string, reason: string): Promise<void> =>
  changeStatus(aws, location, id, 'Cancelled', reason);

/** Cancels a job, unless it has ended. */
export const endJob = (aws: Aws, location: Location, id: string, reason: string) =>
  ignoreErrors(updateJobStatus(aws, location, id, 'Cancelled', reason), 'JobStatusException');

/** Statuses to which the same change by another caller leads. */
const STATUSES_AFTER: Record<'Ready' | 'Cancelled', readonly string[]> = {
  Ready: ['Ready', 'Active', 'Pausing', 'Paused', 'Completing', 'Complete'],
  Cancelled: ['Cancelling', 'Cancelled'],
};

/**
 * Changes the status of a job. Since the plan, the job may have left the status in which this is possible.
 *
 * @throws Error when its status is another one than the change leads to
 */
async function changeStatus(
  aws: Aws,
  location: Location,
  id: string,
  status: 'Ready' | 'Cancelled',
  reason: string,
): Promise<void> {
  try {
    await updateJobStatus(aws, location, id, status, reason);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'JobStatusException') throw error;
    const { Status = '', ...details } = await describeJob(aws, location, id);
    if (STATUSES_AFTER[status].includes(Status)) return;
    const change = status === 'Ready' ? 'approved' : 'cancelled';
    throw new Error(
      `the job ${id} cannot be ${change} any more (${endReasonsOf({ status: Status, ...detailsOf(details) })}); run again`,
      { cause: error },
    );
  }
}

/**
 * Records a job in a tag of its role.
 *
 * @throws Error when the role has no room for the tag
 */
export async function recordInRole(
  aws: Aws,
  location: Location,
  RoleName: string,
  Key: string,
  record: JobRecord,
): Promise<void> {
  const Tags = [{ Key, Value: formatRecord(record) }];
  try {
    await aws.send(location, new TagRoleCommand({ RoleName, Tags }));
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'LimitExceededException') throw error;
    throw new Error(
      `the role ${RoleName} has as many tags as IAM allows (${MAX_ROLE_TAGS}), so that replikey cannot record the job in the tag ${Key}; remove tags of the role, or declare another role for the jobs of this spec`,
      { cause: error },
    );
  }
}

/** Returns why a limit of objects forbids the approval of a job of unknown size. */
export const unknownSizeReason = (
  { id, total }: ObservedJob,
  maxObjects: number | undefined,
): string | undefined =>
  total === undefined && maxObjects !== undefined
    ? `S3 reports no number of objects for the job ${id}, so the limit of ${groupDigits(maxObjects)} cannot be checked; look at the job in the S3 console, and remove maxObjects`
    : undefined;
