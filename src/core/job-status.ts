import { JOB_STATES, type JobStatus, type Plan } from './resource.ts';

/** What plans, conditions, metrics and pages show of batch jobs. */

/** Returns the jobs in the state that a person must know first; none without jobs. */
export function mostUrgentJobs(jobs: readonly JobStatus[]): JobStatus[] {
  const state = JOB_STATES.find((candidate) => jobs.some((job) => job.state === candidate));
  return jobs.filter((job) => job.state === state);
}

/**
 * Returns the jobs after a pass. A second observation shows the jobs that the plan has changed; about the others, the plan
 * also knows what its guards demand.
 */
export function jobsAfterPass({ plan, remaining }: { plan: Plan; remaining?: Plan }): JobStatus[] {
  const { jobs = [], waves } = plan;
  const changed = new Set(waves.flat().map(({ id }) => id));
  return jobs.map((job) =>
    changed.has(job.id) ? (remaining?.jobs?.find(({ id }) => id === job.id) ?? job) : job,
  );
}

/** States in which objects stay unreplicated until a person acts, or that show a failure. */
export const JOB_PROBLEMS: ReadonlySet<JobStatus['state']> = new Set(['blocked', 'failed', 'tasksFailed']);

/** Returns the state of a job as a sentence without a full stop. */
export function jobStatusText(job: Omit<JobStatus, 'id' | 'pairs'>): string {
  const { state, jobId = '', total, succeeded, failed, since, reason, report } = job;
  const objects = countObjects(total);
  const endedJob = since === undefined ? 'the job' : `the job that ended on ${since.replace(/\.\d+Z$/, 'Z')}`;
  switch (state) {
    case 'preparing':
      return `S3 prepares the job ${jobId}`;
    case 'awaitingApproval':
      return `the job ${jobId} waits for an approval${reason === undefined ? `: it has ${objects}` : `: it ${reason}`}`;
    case 'inProgress':
      return `the job ${jobId} runs: ${groupDigits(succeeded + failed)} of ${objects} done${percentText(job)}, ${groupDigits(failed)} failed`;
    case 'succeeded':
      return total === 0
        ? `no object matched ${endedJob}`
        : `${countObjects(succeeded)} replicated by ${endedJob}`;
    case 'tasksFailed':
      return `${groupDigits(failed)} of ${objects} were not replicated by ${endedJob}${report === undefined ? '' : `; ${report} has the list`}`;
    case 'failed':
    case 'blocked':
      return reason ?? `the job ${jobId} failed`;
    case 'notStarted':
      return reason ?? 'no job exists yet';
  }
}

/** ` (33 %)`; rounded down, so that only a finished job has 100 %. */
function percentText({ total = 0, succeeded, failed }: Pick<JobStatus, 'total' | 'succeeded' | 'failed'>) {
  return total === 0 ? '' : ` (${Math.floor(((succeeded + failed) / total) * 100)} %)`;
}

/** `1,203,441` */
export const groupDigits = (count: number | undefined): string =>
  count === undefined ? 'an unknown number of' : count.toLocaleString('en-US');

/** `1,203,441 objects`, `1 object` */
export const countObjects = (count: number | undefined): string =>
  `${groupDigits(count)} object${count === 1 ? '' : 's'}`;
