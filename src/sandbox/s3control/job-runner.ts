import type { FaultSettings } from '../faults.ts';
import type { JobState } from '../state.ts';
import { jobKeyOf } from '../store.ts';
import { generateManifest, type TaskTarget } from './manifest.ts';
import { isReported, reportRowOf, writeReport } from './report.ts';
import {
  assumeJobRole,
  authorizeJobRole,
  runTask,
  sourceBucketNameOf,
  type TaskDeps,
  type TaskResult,
} from './tasks.ts';
import type { JobRunner } from './types.ts';

/** Tasks of a blob of a manifest. */
const MANIFEST_BLOB_TASKS = 10_000;
/** Time in milliseconds after which a slice of work ends, so that it does not delay other requests. */
const SLICE_MS = 10;
/** Minimum number of tasks of a slice. On a busy machine, other processes may use the time of a slice. */
const MIN_SLICE_TASKS = 20;
/** Maximum number of tasks of a slice: their replicas are in memory until the store has saved them. */
const MAX_SLICE_TASKS = 250;
/** Wait in milliseconds before the runner tries again after it could not save a job. */
const RETRY_MS = 1_000;
/** S3 User Guide, "Tracking job failure": after 1,000 tasks, a job with more than 50 % of failed tasks fails. */
const THRESHOLD_TASKS = 1_000;

/** States in which a job waits for a client, or has ended. */
const RESTING: ReadonlySet<string> = new Set(['Suspended', 'Paused', 'Complete', 'Failed', 'Cancelled']);

const isResting = ({ status }: JobState): boolean => RESTING.has(status);

export function createJobRunner(
  options: TaskDeps & { faultSettings: FaultSettings; onError: (message: string) => void },
): JobRunner {
  const { store, clock, faultSettings, onError } = options;
  /** Jobs that run, by key. */
  const runs = new Map<string, Promise<void>>();
  /** Functions that end the wait of a job, by key. */
  const sleepers = new Map<string, () => void>();
  const idleWaiters: { resolve(): void; reject(error: unknown): void }[] = [];
  let isStopped = false;
  let bug: Error | undefined;
  /** Tasks of the blob that a job read last. */
  let loadedBlob: { id: string; tasks: TaskTarget[] } | undefined;

  function resolveIdleWaiters(): void {
    if (runs.size > sleepers.size) return;
    for (const { resolve, reject } of idleWaiters.splice(0)) bug ? reject(bug) : resolve();
  }

  async function sleep(key: string, waitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      sleepers.set(key, resolve);
      timer = setTimeout(resolve, waitMs);
      resolveIdleWaiters();
    });
    clearTimeout(timer);
    sleepers.delete(key);
  }

  /** Runs a job until it rests. Never throws: the job has no caller to report an error to. */
  async function runJob(key: string): Promise<void> {
    try {
      while (!isStopped) {
        await new Promise<void>((resolve) => setImmediate(resolve));
        const job = store.jobs.get(key);
        if (isStopped || !job || isResting(job)) break;
        if (hasWork(job)) await work(job);
        else if (remainingMs(job) > 0) await sleep(key, remainingMs(job));
        else enterNextState(job, clock());
        await store.flush().catch(async (error: unknown) => {
          // The store has undone what the job did last, together with its progress.
          onError(
            `cannot save the batch job ${job.id}: ${(error as Error).message}; the sandbox tries again in ${RETRY_MS / 1000} s`,
          );
          await sleep(key, RETRY_MS);
        });
      }
    } catch (error) {
      bug = new Error(`the batch job ${key} failed (a bug in the sandbox)`, { cause: error });
      onError(`${bug.message}: ${(error as Error).stack}`);
    } finally {
      runs.delete(key);
      resolveIdleWaiters();
    }
  }

  const remainingMs = ({ statusSince }: JobState): number => statusSince + faultSettings.jobStateMs - clock();

  /** Returns whether the work of the state of a job is not done. Only then does the job stay in its state for longer. */
  function hasWork(job: JobState): boolean {
    if (job.status === 'Preparing') return job.manifest === undefined && job.failureReason === undefined;
    return job.status === 'Active' && !hasTooManyFailures(job) && doneOf(job) < (job.manifest?.total ?? 0);
  }

  const work = (job: JobState): Promise<void> | void =>
    job.status === 'Preparing' ? prepare(job) : runSlice(job);

  /** Generates the manifest of a job, or records the reason for which this is impossible. */
  async function prepare(job: JobState): Promise<void> {
    const { account, id } = job;
    const refusal = findManifestRefusal(job);
    const manifest: NonNullable<JobState['manifest']> = {
      blobs: [],
      blobSize: MANIFEST_BLOB_TASKS,
      total: 0,
    };
    const blobs: TaskTarget[][] = [];
    const bucket = store.bucket(sourceBucketNameOf(job));
    if (!refusal && bucket) {
      let sliceStart = performance.now();
      for (const target of generateManifest(bucket, job.generator.S3JobManifestGenerator?.Filter)) {
        if (target) {
          if (manifest.total % MANIFEST_BLOB_TASKS === 0) blobs.push([]);
          blobs.at(-1)?.push(target);
          manifest.total += 1;
        } else if (performance.now() - sliceStart > SLICE_MS) {
          await new Promise<void>((resolve) => setImmediate(resolve));
          sliceStart = performance.now();
        }
      }
    }
    // A failed commit of another request may have replaced the state of the job, and a client may have cancelled it.
    const current = store.jobs.get(jobKeyOf({ account, id }));
    if (current?.status !== 'Preparing') return;
    if (refusal) current.failureReason = refusal;
    else if (manifest.total === 0)
      // S3 User Guide, "Troubleshooting replication", Batch Replication errors.
      current.failureReason = 'Manifest generation found no keys matching the filter criteria.';
    else {
      manifest.blobs = blobs.map((tasks) => store.putBlob(Buffer.from(JSON.stringify(tasks))));
      current.manifest = manifest;
    }
    store.markJobChanged(current);
  }

  /**
   * Returns the reason for which S3 cannot generate the manifest of a job. S3 User Guide, "Configuring an IAM role for S3
   * Batch Replication" names the permissions. AWS does not document the texts of these reasons.
   */
  function findManifestRefusal(job: JobState): string | undefined {
    const { decision, principal } = assumeJobRole(options, job);
    if (principal === undefined)
      return `Access denied when assuming the role ${job.roleArn}: ${decision.reason}`;
    const { ExpectedBucketOwner: owner, Filter } = job.generator.S3JobManifestGenerator ?? {};
    const bucket = store.bucket(sourceBucketNameOf(job));
    if (!bucket) return 'The source bucket does not exist.';
    if (bucket.region !== job.region) return `The source bucket is not in the Region ${job.region}.`;
    if (owner !== undefined && owner !== bucket.owner)
      return `Access denied: the account ${owner} does not own the source bucket.`;
    const actions = [
      ...(Filter?.EligibleForReplication ? ['s3:GetReplicationConfiguration'] : []),
      's3:PutInventoryConfiguration',
    ];
    for (const action of actions) {
      const { allowed, reason } = authorizeJobRole(options, principal, action, bucket);
      if (!allowed)
        return `Access denied when generating the manifest: ${action} on ${bucket.name}: ${reason}`;
    }
    if (Filter?.EligibleForReplication && !bucket.replication)
      return 'The source bucket has no replication configuration.';
    return undefined;
  }

  /** Runs the next tasks of a job, in one commit with its progress. Synchronous. */
  function runSlice(job: JobState): void {
    const start = performance.now();
    const rows: Record<'succeeded' | 'failed', string[]> = { succeeded: [], failed: [] };
    for (let count = 0; count < MAX_SLICE_TASKS && hasWork(job); count += 1) {
      const target = taskAt(job, doneOf(job));
      const result: TaskResult = runTask(options, job, target);
      const status = result.succeeded ? 'succeeded' : 'failed';
      job[status] += 1;
      if (isReported(job, result)) rows[status].push(reportRowOf(job, target, result));
      if (count + 1 >= MIN_SLICE_TASKS && performance.now() - start > SLICE_MS) break;
    }
    for (const status of ['succeeded', 'failed'] as const)
      if (rows[status].length > 0) job.rows[status].push(store.putBlob(Buffer.from(rows[status].join(''))));
    store.markJobChanged(job);
  }

  /** Returns a task of a job by its position. */
  function taskAt({ manifest }: JobState, index: number): TaskTarget {
    const { blobs = [], blobSize = 1 } = manifest ?? {};
    const id = blobs[Math.floor(index / blobSize)] ?? '';
    if (loadedBlob?.id !== id) loadedBlob = { id, tasks: JSON.parse(store.getBlob(id).toString()) };
    const target = loadedBlob.tasks[index % blobSize];
    if (!target) throw new Error(`the manifest has no task ${index}`);
    return target;
  }

  /** Moves a job to its next state, and records what that state adds. */
  function enterNextState(job: JobState, at: number): void {
    const next = nextStatusOf(job);
    if (job.status === 'Active')
      job.activeSeconds = Math.round((clock() - (job.activeSince ?? clock())) / 1000);
    if (next === 'Complete' || next === 'Failed' || next === 'Cancelled') {
      const refusal = writeReport(options, job);
      if (next === 'Complete' && refusal !== undefined) {
        job.failureReason = refusal;
        setStatus(job, 'Failing', at);
        return;
      }
      job.terminated = clock();
      removeBlobs(job);
    }
    if (next === 'Active') job.activeSince = clock();
    if (next === 'Suspended') job.suspended = at;
    setStatus(job, next, at);
  }

  function setStatus(job: JobState, status: JobState['status'], at: number): void {
    job.status = status;
    job.statusSince = at;
    store.markJobChanged(job);
  }

  /** Removes what only a running job needs. The report has the rows. */
  function removeBlobs(job: JobState): void {
    for (const blob of [...(job.manifest?.blobs ?? []), ...job.rows.succeeded, ...job.rows.failed])
      store.removeBlob(blob);
    if (job.manifest) job.manifest.blobs = [];
    job.rows = { succeeded: [], failed: [] };
    loadedBlob = undefined;
  }

  function run(job: JobState): void {
    const key = jobKeyOf(job);
    sleepers.get(key)?.();
    if (!runs.has(key)) runs.set(key, runJob(key));
  }

  return {
    run,
    advance() {
      if (faultSettings.jobStateMs === 0) return;
      for (const [key, wake] of sleepers) {
        const job = store.jobs.get(key);
        while (job && !isResting(job) && !hasWork(job) && remainingMs(job) <= 0)
          enterNextState(job, Math.min(clock(), job.statusSince + faultSettings.jobStateMs));
        wake();
      }
    },
    async waitUntilIdle() {
      // A call of `run` or `advance` in the same turn has to take effect first.
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (runs.size > sleepers.size)
        await new Promise<void>((resolve, reject) => void idleWaiters.push({ resolve, reject }));
      else if (bug) throw bug;
    },
    resume() {
      for (const job of store.jobs.values()) if (!isResting(job)) run(job);
    },
    async stop() {
      isStopped = true;
      for (const wake of sleepers.values()) wake();
      await Promise.all(runs.values());
    },
  };
}

const doneOf = ({ succeeded, failed }: JobState): number => succeeded + failed;

const hasTooManyFailures = (job: JobState): boolean =>
  doneOf(job) >= THRESHOLD_TASKS && job.failed * 2 > doneOf(job);

/** Returns the state that follows when the work of a state is done (S3 User Guide, "Job statuses"). */
function nextStatusOf(job: JobState): JobState['status'] {
  switch (job.status) {
    case 'New':
      return 'Preparing';
    case 'Preparing':
      if (job.failureReason !== undefined) return 'Failing';
      return job.confirmationRequired ? 'Suspended' : 'Ready';
    case 'Ready':
      return 'Active';
    case 'Active':
      if (!hasTooManyFailures(job)) return 'Completing';
      job.failureReason = 'More than 50 percent of the tasks of the job failed.';
      return 'Failing';
    case 'Completing':
      return 'Complete';
    case 'Failing':
      return 'Failed';
    default:
      return 'Cancelled';
  }
}
