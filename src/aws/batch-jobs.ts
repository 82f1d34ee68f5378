import type { CreateJobRequest, JobDescriptor, JobListDescriptor } from '@aws-sdk/client-s3-control';
import type { Aws, Command, Location } from '../core/resource.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { commandInfo } from './command.ts';
import { paginate } from './paginate.ts';
import { requireField } from './response.ts';

/** Jobs of S3 Batch Operations, in the account and Region of a location. */

/** Loads the client, which most runs never use. */
function loadS3Control(): Promise<typeof import('@aws-sdk/client-s3-control')> {
  s3Control ??= import('@aws-sdk/client-s3-control');
  return s3Control;
}

let s3Control: Promise<typeof import('@aws-sdk/client-s3-control')> | undefined;

/** Maximum number of jobs in a response of ListJobs (API reference). */
const MAX_JOBS_PER_PAGE = 1_000;

/**
 * Returns all jobs that run, or that ended within the last 90 days. A list has no tags, roles or filters.
 *
 * @throws the error of AWS
 */
export async function listJobs(aws: Aws, location: Location): Promise<JobListDescriptor[]> {
  const { ListJobsCommand } = await loadS3Control();
  const AccountId = await aws.accountId(location.account);
  const jobs: JobListDescriptor[] = [];
  const pages = paginate(
    (NextToken) =>
      aws.send(
        location,
        new ListJobsCommand(omitUndefined({ AccountId, MaxResults: MAX_JOBS_PER_PAGE, NextToken })),
      ),
    ({ NextToken }) => ({ hasMore: NextToken !== undefined, marker: NextToken }),
  );
  // AWS does not document whether an empty list has the element.
  for await (const { Jobs = [] } of pages) jobs.push(...Jobs);
  return jobs;
}

/**
 * Reads a job.
 *
 * @throws the error of AWS, `NoSuchJobException` among them: shortly after CreateJob, and 90 days after its end.
 */
export async function describeJob(aws: Aws, location: Location, JobId: string): Promise<JobDescriptor> {
  const { DescribeJobCommand } = await loadS3Control();
  const AccountId = await aws.accountId(location.account);
  return requireField(await aws.send(location, new DescribeJobCommand({ AccountId, JobId })), 'Job');
}

/**
 * Creates a job and returns its id.
 *
 * @throws the error of AWS. After an error of the network, the job may exist.
 */
export async function createJob(
  aws: Aws,
  location: Location,
  request: Omit<CreateJobRequest, 'AccountId'>,
): Promise<string> {
  const { CreateJobCommand } = await loadS3Control();
  const AccountId = await aws.accountId(location.account);
  return requireField(await aws.send(location, new CreateJobCommand({ ...request, AccountId })), 'JobId');
}

/**
 * Approves a suspended job (`Ready`), or cancels a job.
 *
 * @throws the error of AWS, `JobStatusException` among them: the job has left the state, so read it again.
 */
export async function updateJobStatus(
  aws: Aws,
  location: Location,
  JobId: string,
  RequestedJobStatus: 'Ready' | 'Cancelled',
  StatusUpdateReason: string,
): Promise<void> {
  const { UpdateJobStatusCommand } = await loadS3Control();
  const AccountId = await aws.accountId(location.account);
  await aws.send(
    location,
    new UpdateJobStatusCommand({ AccountId, JobId, RequestedJobStatus, StatusUpdateReason }),
  );
}

/**
 * Shares the lists of jobs. Each spec with a job reads all jobs of its account and Region, in batches of specs that share no
 * other reads.
 */
export function shareJobLists(send: Aws['send']): Aws['send'] {
  const pages = new Map<string, Promise<unknown>>();
  return <O>(location: Location, command: Command<O>): Promise<O> => {
    const { service, operation, input } = commandInfo(command);
    if (service !== 's3control' || operation !== 'ListJobs') return send(location, command);
    const key = JSON.stringify([location.account, location.region, input]);
    const page = pages.get(key) ?? send(location, command);
    pages.set(key, page);
    return page as Promise<O>;
  };
}
