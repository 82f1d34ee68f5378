import type { ObservedJob } from './backfill.ts';
import type { Id, Plan } from './resource.ts';

/**
 * The state of a batch job that a spec declares. A pass derives it once. Plans, conditions, metrics and pages show the same
 * value. No checksum covers it, because a job proceeds by itself.
 */
export interface JobStatus {
  /** Id of the resource that declares the job. */
  id: Id;
  /**
   * - `notStarted`: no job exists yet.
   * - `preparing`: S3 lists the objects.
   * - `awaitingApproval`: a person must approve the job.
   * - `inProgress`: S3 runs the job.
   * - `succeeded`: all objects are done.
   * - `tasksFailed`: S3 tried all objects, and some failed.
   * - `failed`: the last job ended before it had tried all objects, and another one follows.
   * - `blocked`: a person must remove the cause.
   */
  state: (typeof JOB_STATES)[number];
  /** Absent: no job exists, or S3 has forgotten it 90 days after its end. */
  jobId?: string;
  /** Number of objects. Absent while it is not known. */
  total?: number;
  succeeded: number;
  failed: number;
  /** In UTC, ISO 8601: the creation of the job, or its end. */
  since?: string;
  /** The options that approve it: `--allow start-backfill=JOB`. */
  approval?: string;
  /** Why the job does not proceed. */
  reason?: string;
  /** Where S3 wrote the list of failed objects: `s3://acme-reports/replikey/`. */
  report?: string;
  pairs: string[];
}

/** All states, the one that a person must know first. */
export const JOB_STATES = [
  'blocked',
  'failed',
  'tasksFailed',
  'awaitingApproval',
  'inProgress',
  'preparing',
  'notStarted',
  'succeeded',
] as const;

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

/** Statuses in which S3 prepares a job. */
const PREPARING: ReadonlySet<string> = new Set(['New', 'Preparing']);

/** Returns the state of a job that S3 has not ended. */
export const unfinishedJobState = ({ status, total = 0 }: ObservedJob): JobStatus['state'] =>
  status === 'Suspended'
    ? 'awaitingApproval'
    : PREPARING.has(status) || total === 0
      ? 'preparing'
      : 'inProgress';

/** Returns the state of a job as a sentence without a full stop. */
export function jobStatusText(job: Omit<JobStatus, 'id' | 'pairs'>): string {
  const { state, jobId = '', total, succeeded, failed, since, reason, report } = job;
  const objects = `${groupDigits(total)} objects`;
  const end = since === undefined ? '' : ` by the job that ended on ${since}`;
  switch (state) {
    case 'preparing':
      return `S3 prepares the job ${jobId}`;
    case 'awaitingApproval':
      return `the job ${jobId} waits for an approval${reason === undefined ? `: it has ${objects}` : `: it ${reason}`}`;
    case 'inProgress':
      return `the job ${jobId} runs: ${groupDigits(succeeded + failed)} of ${objects} done${percentText(job)}, ${groupDigits(failed)} failed`;
    case 'succeeded':
      return `${groupDigits(succeeded)} objects were replicated${end}`;
    case 'tasksFailed':
      return `${groupDigits(failed)} of ${objects} were not replicated${end}${report === undefined ? '' : `; ${report} has the list`}`;
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
