import { partitionOfRegion } from '../../util/arn.ts';
import { AwsError } from '../aws-error.ts';
import { authorizeCaller, type Call, type Handlers } from '../call.ts';
import { accessDeniedError } from '../s3/access.ts';
import { MS_PER_DAY } from '../s3/condition-keys.ts';
import type { JobState } from '../state.ts';
import { jobKeyOf } from '../store.ts';

/** Checks of every request to S3 Control. */

export const badRequestError = (message: string): AwsError =>
  new AwsError(400, 'BadRequestException', message);

/**
 * S3 User Guide, "Troubleshooting S3 Batch Operations": NoSuchJobException with this message. The model of the API has
 * NotFoundException instead, without an HTTP status.
 */
const noSuchJobError = (): AwsError => new AwsError(404, 'NoSuchJobException', 'No such job');

export const jobArnOf = ({ account, region, id }: Pick<JobState, 'account' | 'region' | 'id'>): string =>
  `arn:${partitionOfRegion(region)}:s3:${region}:${account}:job/${id}`;

/** Wraps handlers so that each one first checks the account of the request, and then advances the jobs by the clock. */
export const withAccount = (handlers: Handlers): Handlers =>
  Object.fromEntries(
    Object.entries(handlers).map(([operation, handler]) => [
      operation,
      (call: Call, input: { AccountId?: string }) => {
        checkAccount(call, input.AccountId);
        call.jobRunner.advance();
        return handler(call, input);
      },
    ]),
  );

/**
 * Checks the account in the header `x-amz-account-id`, and in the host name if that has one:
 * `111122223333.s3-control.us-east-1.amazonaws.com`, `111122223333.localhost`.
 */
function checkAccount({ caller, headers }: Call, accountId: string | undefined): void {
  if (!accountId)
    throw new AwsError(400, 'MissingSecurityHeader', 'Your request is missing a required header', {
      MissingHeaderName: 'x-amz-account-id',
    });
  const hostAccount = /^(\d{12})\./.exec(headers.host ?? '')?.[1] ?? accountId;
  if (accountId !== caller.account || hostAccount !== caller.account) throw accessDeniedError();
}

/** Checks the caller's permission for an action on all jobs, or on one job. Identity policies decide. */
export function checkJobAccess(
  call: Call,
  action: string,
  job?: Pick<JobState, 'account' | 'region' | 'id'> & Partial<JobState>,
  context: Record<string, string | string[]> = {},
): void {
  const resource = job === undefined ? '*' : jobArnOf(job);
  const { allowed, reason } = authorizeCaller(call, {
    action,
    resource,
    context: { ...(job?.operation && existingJobKeysOf(job)), ...context },
  });
  if (allowed) return;
  throw accessDeniedError(
    `User: ${call.caller.arn} is not authorized to perform: ${action} on resource: "${resource}" because ${reason}`,
  );
}

/** Returns the condition keys of a job (Service Authorization Reference, "Condition keys for Amazon S3"). */
const existingJobKeysOf = ({ operation, priority, status }: Partial<JobState>): Record<string, string> => ({
  's3:ExistingJobOperation': Object.keys(operation ?? {})[0] ?? '',
  's3:ExistingJobPriority': String(priority),
  ...(status === 'Suspended' ? { 's3:JobSuspendedCause': SUSPENDED_CAUSE } : {}),
});

/** S3 User Guide, "Managing S3 Batch Operations jobs", the condition key s3:JobSuspendedCause. */
export const SUSPENDED_CAUSE = 'AWAITING_CONFIRMATION';

/**
 * Returns a job of the caller's account in the Region of the request.
 *
 * @throws AwsError when the caller lacks the permission, or the job does not exist, is not visible yet, or is forgotten.
 */
export function getJob(call: Call, id: string, context: Record<string, string | string[]> = {}): JobState {
  const { account } = call.caller;
  const job = call.store.jobs.get(jobKeyOf({ account, id }));
  const isKnown = job?.region === call.region && !isForgotten(call, job);
  checkJobAccess(call, `s3:${call.operation}`, isKnown ? job : { account, region: call.region, id }, context);
  if (!isKnown || call.now < job.created + call.faultSettings.jobPropagationMs) throw noSuchJobError();
  return job;
}

/** Returns the jobs of the caller's account in the Region of the request, newest first. */
export const jobsOf = (call: Call): JobState[] =>
  [...call.store.jobs.values()]
    .filter(
      (job) => job.account === call.caller.account && job.region === call.region && !isForgotten(call, job),
    )
    .reverse()
    // After a restart, the jobs are in the order in which they were saved.
    .sort((a, b) => b.created - a.created);

const isForgotten = ({ now, faultSettings }: Call, { terminated }: JobState): boolean =>
  terminated !== undefined && terminated + faultSettings.jobHorizonDays * MS_PER_DAY <= now;
