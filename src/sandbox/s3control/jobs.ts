import { randomUUID } from 'node:crypto';
import type { CreateJobRequest, JobManifestGenerator, S3Tag } from '@aws-sdk/client-s3-control';
import { AwsError } from '../aws-error.ts';
import { type Call, type Handlers, pageOf } from '../call.ts';
import { checkPassRole } from '../s3/access.ts';
import type { JobState } from '../state.ts';
import { jobKeyOf } from '../store.ts';
import {
  badRequestError,
  checkJobAccess,
  getJob,
  jobArnOf,
  jobsOf,
  SUSPENDED_CAUSE,
  withAccount,
} from './access.ts';
import { checkCreateJob, checkJobTags, checkLength, checkPriority, digestOfRequest } from './create-job.ts';

/** Jobs of S3 Batch Operations. */
export const jobHandlers: Handlers = withAccount({
  CreateJob(call, input: CreateJobRequest) {
    checkJobAccess(call, 's3:CreateJob', undefined, {
      's3:RequestJobOperation': Object.keys(input.Operation ?? {})[0] ?? '',
      's3:RequestJobPriority': String(input.Priority),
      ...jobTagKeysOf(input.Tags),
    });
    checkCreateJob(input);
    // S3 User Guide, "Granting permissions for S3 Batch Operations": the caller passes the role to the service.
    checkPassRole(call, input.RoleArn ?? '', 'batchoperations.s3.amazonaws.com');
    const requestDigest = digestOfRequest(input);
    const earlierJob = jobsOf(call).find(({ token }) => token === input.ClientRequestToken);
    if (earlierJob && earlierJob.requestDigest !== requestDigest)
      throw new AwsError(
        400,
        'IdempotencyException',
        'A job with this ClientRequestToken and other parameters exists',
      );
    if (earlierJob && call.faultSettings.repeatedJobToken === 'sameJob') return { JobId: earlierJob.id };
    const job = toJob(call, input, requestDigest);
    if (job.tags.size > 0) checkJobAccess(call, 's3:PutJobTagging', job, jobTagKeysOf(input.Tags));
    call.store.jobs.set(jobKeyOf(job), job);
    call.store.markJobChanged(job);
    call.jobRunner.run(job);
    return { JobId: job.id };
  },

  DescribeJob: (call, input) => ({ Job: describe(call, getJob(call, input.JobId)) }),

  ListJobs(call, { JobStatuses, MaxResults = 1000, NextToken }) {
    checkJobAccess(call, 's3:ListJobs');
    if (!(MaxResults >= 0 && MaxResults <= 1000))
      throw new AwsError(400, 'InvalidRequestException', 'MaxResults must be between 0 and 1000');
    if (NextToken !== undefined && !/^[A-Za-z0-9_-]+$/.test(NextToken))
      throw new AwsError(400, 'InvalidNextTokenException', 'The NextToken is not valid');
    const jobs = jobsOf(call).filter(({ status }) => JobStatuses?.includes(status) ?? true);
    // A page of 0 jobs has the default size.
    const { items, next } = pageOf(jobs, MaxResults || 1000, NextToken);
    return {
      Jobs: items.map((job) => {
        const { JobId, Description, Priority, Status, CreationTime, TerminationDate, ProgressSummary } =
          describe(call, job);
        const Operation = Object.keys(job.operation)[0];
        return {
          JobId,
          Description,
          Operation,
          Priority,
          Status,
          CreationTime,
          TerminationDate,
          ProgressSummary,
        };
      }),
      NextToken: next,
    };
  },

  UpdateJobStatus(call, { JobId, RequestedJobStatus, StatusUpdateReason }) {
    const job = getJob(call, JobId);
    if (RequestedJobStatus !== 'Ready' && RequestedJobStatus !== 'Cancelled')
      throw badRequestError('RequestedJobStatus must be Ready or Cancelled');
    checkLength('StatusUpdateReason', StatusUpdateReason, 256);
    const isPossible =
      RequestedJobStatus === 'Ready' ? job.status === 'Suspended' : CANCELLABLE.has(job.status);
    if (!isPossible)
      throw new AwsError(
        400,
        'JobStatusException',
        `The job cannot change from ${job.status} to ${RequestedJobStatus}`,
      );
    job.status = RequestedJobStatus === 'Ready' ? 'Ready' : 'Cancelling';
    job.statusSince = call.now;
    if (StatusUpdateReason !== undefined) job.statusUpdateReason = StatusUpdateReason;
    call.store.markJobChanged(job);
    call.jobRunner.run(job);
    return { JobId, Status: job.status, StatusUpdateReason: job.statusUpdateReason };
  },

  UpdateJobPriority(call, { JobId, Priority }) {
    const job = getJob(call, JobId, { 's3:RequestJobPriority': String(Priority) });
    checkPriority(Priority);
    if (job.terminated !== undefined) throw badRequestError(`The job has ended: ${job.status}`);
    job.priority = Priority;
    call.store.markJobChanged(job);
    return { JobId, Priority };
  },

  GetJobTagging: (call, input) => ({
    Tags: [...getJob(call, input.JobId).tags].map(([Key, Value]) => ({ Key, Value })),
  }),

  PutJobTagging(call, { JobId, Tags = [] }) {
    const job = getJob(call, JobId, jobTagKeysOf(Tags));
    checkJobTags(Tags);
    job.tags = toJobTags(Tags);
    call.store.markJobChanged(job);
    return {};
  },

  DeleteJobTagging(call, { JobId }) {
    const job = getJob(call, JobId);
    job.tags.clear();
    call.store.markJobChanged(job);
    return {};
  },
});

/** States in which a job can be cancelled: those before its end, except those that lead to it. */
const CANCELLABLE: ReadonlySet<string> = new Set(['New', 'Preparing', 'Suspended', 'Ready', 'Active']);

const toJobTags = (tags: readonly S3Tag[] = []): Map<string, string> =>
  new Map(tags.map(({ Key = '', Value = '' }) => [Key, Value]));

const jobTagKeysOf = (tags: readonly S3Tag[] = []): Record<string, string | string[]> =>
  tags.length === 0
    ? {}
    : {
        'aws:TagKeys': tags.map(({ Key = '' }) => Key),
        ...Object.fromEntries(tags.map(({ Key, Value = '' }) => [`aws:RequestTag/${Key}`, Value])),
      };

function toJob(call: Call, input: CreateJobRequest, requestDigest: string): JobState {
  const { Operation = {}, ManifestGenerator, Report, Priority = 0, Description } = input;
  return {
    id: randomUUID(),
    account: call.caller.account,
    region: call.region,
    roleArn: input.RoleArn ?? '',
    operation: Operation,
    generator: ManifestGenerator as JobManifestGenerator,
    report: Report ?? { Enabled: false },
    priority: Priority,
    ...(Description === undefined ? {} : { description: Description }),
    confirmationRequired: input.ConfirmationRequired === true,
    token: input.ClientRequestToken ?? '',
    requestDigest,
    tags: toJobTags(input.Tags),
    created: call.now,
    status: 'New',
    statusSince: call.now,
    succeeded: 0,
    failed: 0,
    rows: { succeeded: [], failed: [] },
  };
}

/** Returns a job as DescribeJob does. */
function describe({ faultSettings, now }: Call, job: JobState) {
  const isTotalHidden = job.status === 'Suspended' && !faultSettings.suspendedJobTotal;
  return {
    JobId: job.id,
    ConfirmationRequired: job.confirmationRequired,
    Description: job.description,
    JobArn: jobArnOf(job),
    Status: job.status,
    Operation: job.operation,
    Priority: job.priority,
    ProgressSummary: {
      TotalNumberOfTasks: isTotalHidden ? 0 : (job.manifest?.total ?? 0),
      NumberOfTasksSucceeded: job.succeeded,
      NumberOfTasksFailed: job.failed,
      Timers: { ElapsedTimeInActiveSeconds: activeSecondsOf(job, now) },
    },
    StatusUpdateReason: job.statusUpdateReason,
    // AWS does not document the values of FailureCode.
    FailureReasons: job.failureReason === undefined ? undefined : [{ FailureReason: job.failureReason }],
    Report: job.report,
    CreationTime: new Date(job.created),
    TerminationDate: toDate(job.terminated),
    RoleArn: job.roleArn,
    SuspendedDate: toDate(job.suspended),
    SuspendedCause: job.status === 'Suspended' ? SUSPENDED_CAUSE : undefined,
    ManifestGenerator: withDates(job.generator),
  };
}

const toDate = (time: number | undefined): Date | undefined =>
  time === undefined ? undefined : new Date(time);

function activeSecondsOf({ activeSince, activeSeconds }: JobState, now: number): number {
  return activeSeconds ?? (activeSince === undefined ? 0 : Math.round((now - activeSince) / 1000));
}

/** Returns a generator with its dates, which the folder store returns as text. */
function withDates({ S3JobManifestGenerator: generator }: JobManifestGenerator) {
  const { CreatedAfter, CreatedBefore, ...filter } = generator?.Filter ?? {};
  return {
    S3JobManifestGenerator: {
      ...generator,
      ...(generator?.Filter && {
        Filter: {
          ...filter,
          ...(CreatedAfter && { CreatedAfter: new Date(CreatedAfter) }),
          ...(CreatedBefore && { CreatedBefore: new Date(CreatedBefore) }),
        },
      }),
    },
  };
}
