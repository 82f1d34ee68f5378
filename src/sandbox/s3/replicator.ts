import type { ReplicationRule, ReplicationRuleNotOperator, Tag } from '@aws-sdk/client-s3';
import pLimit from 'p-limit';
import type { MetricRecorder } from '../cloudwatch/metrics.ts';
import {
  createReplicationMetricsRecorder,
  type PendingOperation,
} from '../cloudwatch/replication-metrics.ts';
import type { FaultSettings } from '../faults.ts';
import type { KeyService } from '../kms/keys.ts';
import type { BucketState, ReplicationState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import { attemptReplication, attemptTagReplication, findReplica } from './replicate-object.ts';
import type { ReplicationObserver } from './replication-events.ts';
import { isArchived } from './storage-classes.ts';

/**
 * Replicates versions in the background. A job starts after a delay, so S3 responds to the write without waiting for
 * replication. The state of a version says what is pending, so a restart loses no job.
 */
export interface Replicator {
  /** Marks a new version PENDING and schedules its replication, if at least one rule selects it. */
  enqueue(bucket: BucketState, version: VersionState): void;
  /**
   * Schedules the replication of changed tags: from an object to its replicas, or from a replica to its source by a
   * rule with replica modification sync.
   */
  enqueueTagChange(bucket: BucketState, version: VersionState): void;
  /**
   * Replicates an existing version again, by all rules that select it, for a task of S3 Batch Replication. Synchronous.
   *
   * @returns one attempt for each rule; empty if no rule selects the version
   */
  replicateExisting(bucket: BucketState, version: VersionState): ReplicationState['attempts'];
  /**
   * Resolves when no job is pending.
   *
   * @throws Error of a job that failed because of a bug in the sandbox. Its version stays PENDING.
   */
  waitUntilIdle(): Promise<void>;
  /** Schedules the versions that were still pending before a restart. */
  resume(): void;
  /** Records the pending operations of each rule with metrics, for the minutes since the last record. */
  sampleMetrics(): void;
  /** Cancels the jobs that have not started, and waits for the others. The next start resumes the cancelled jobs. */
  stop(): Promise<void>;
}

/** A version that a job replicates. A job looks it up when it starts: it may be deleted, or replicated already. */
interface Job {
  bucket: string;
  key: string;
  versionId: string;
  /** Time of the write or change, in milliseconds since the epoch. */
  since: number;
  /** The operation of each rule with metrics. */
  operations: PendingOperation[];
}

/** Maximum number of jobs whose replicas are in memory until the store has saved them. */
const MAX_RUNNING_JOBS = 64;

/** Shortest and longest wait in milliseconds before a job runs again whose result could not be saved. */
const RETRY_DELAYS_MS = { min: 1_000, max: 30_000 };

export function createReplicator(options: {
  store: Store;
  keyService: KeyService;
  clock: () => number;
  delayMs: () => number;
  inFlight: () => FaultSettings['inFlight'];
  metricRecorder: MetricRecorder;
  observers: readonly ReplicationObserver[];
  /** Callback for each failure of a job, with a message that names the object. */
  onError: (message: string) => void;
}): Replicator {
  const { store, clock, delayMs, inFlight, observers, onError } = options;
  const metrics = createReplicationMetricsRecorder({ store, clock, recorder: options.metricRecorder });
  const timers = new Set<NodeJS.Timeout>();
  const limit = pLimit(MAX_RUNNING_JOBS);
  const idleWaiters: { resolve(): void; reject(error: unknown): void }[] = [];
  /** Jobs that are scheduled or run. */
  let pendingCount = 0;
  let runningCount = 0;
  let isStopped = false;
  let bug: Error | undefined;

  function finishJob(): void {
    pendingCount -= 1;
    resolveIdleWaiters();
  }

  function resolveIdleWaiters(): void {
    if (pendingCount > 0) return;
    for (const { resolve, reject } of idleWaiters.splice(0)) bug ? reject(bug) : resolve();
  }

  function schedule(job: Job, waitMs: number, attempt = 1): void {
    if (isStopped) return;
    pendingCount += 1;
    const timer = setTimeout(() => {
      timers.delete(timer);
      void limit(() => runJob(job, attempt));
    }, waitMs);
    timers.add(timer);
  }

  /** Runs a job. Never throws: the job has no caller to report an error to. */
  async function runJob(job: Job, attempt: number): Promise<void> {
    if (isStopped) return;
    runningCount += 1;
    const objectName = `s3://${job.bucket}/${job.key} (version ${job.versionId})`;
    try {
      replicatePending(job);
      await store.flush().then(
        () => metrics.end(job.operations),
        (error: unknown) => {
          // The store has undone the replica together with the status of its source, so the version is PENDING again.
          const waitMs = Math.min(RETRY_DELAYS_MS.min * 2 ** (attempt - 1), RETRY_DELAYS_MS.max);
          onError(
            `cannot save the replication of ${objectName}: ${(error as Error).message}; the sandbox tries again in ${waitMs / 1000} s`,
          );
          schedule(job, waitMs, attempt + 1);
        },
      );
    } catch (error) {
      bug = new Error(`replication of ${objectName} failed (a bug in the sandbox)`, { cause: error });
      onError(`${bug.message}; the object stays PENDING: ${(error as Error).stack}`);
    } finally {
      runningCount -= 1;
      finishJob();
    }
  }

  /** Replicates what is pending of a version. Synchronous, so that one commit contains the replica and the status. */
  function replicatePending({ bucket: bucketName, key, versionId, since }: Job): void {
    const bucket = store.bucket(bucketName);
    const version = bucket?.objects.get(key)?.find((candidate) => candidate.versionId === versionId);
    if (!bucket || !version || !isPending(version)) return;
    if (isNew(version)) replicate(bucket, version, since);
    else syncTags(bucket, version, since);
    store.markObjectChanged(bucket, key);
  }

  /** Returns the rules for a version in flight. A version without rules stays PENDING. */
  function rulesOf(
    bucket: BucketState,
    { replication }: VersionState,
    selectNow: () => ReplicationRule[],
  ): ReplicationRule[] {
    const { attempts = [], rules } = replication ?? {};
    // Without a configuration the attempt fails for this reason.
    if (inFlight() === 'atProcessing' && bucket.replication) return selectNow();
    // State of older versions contains only the ids of the rules.
    return rules ?? rulesWithIds(bucket, attempts);
  }

  function replicate(bucket: BucketState, version: VersionState, since: number): void {
    const rules = rulesOf(bucket, version, () => selectReplicationRules(bucket, version));
    if (rules.length === 0) return;
    const attempts = rules.map((rule) => {
      const attempt = attemptReplication(bucket, version, rule, options);
      metrics.record(bucket, rule, attempt.status, since);
      return attempt;
    });
    const type = version.deleteMarker ? 'deleteMarker' : 'object';
    for (const observer of observers) observer.finished({ bucket, version, rules, type }, attempts);
    version.replication = { status: overallStatusOf(attempts), attempts };
  }

  /** Replicates tags. A replica keeps the status REPLICA, unless an attempt to copy its tags fails. */
  function syncTags(bucket: BucketState, version: VersionState, since: number): void {
    const isReplica = version.replication?.status === 'REPLICA';
    const rules = rulesOf(bucket, version, () => rulesForTagSync(bucket, version));
    if (rules.length === 0) return;
    const attempts = rules.map((rule) => {
      const attempt = attemptTagReplication(bucket, version, rule, options);
      metrics.record(bucket, rule, attempt.status, since);
      return attempt;
    });
    for (const observer of observers) observer.finished({ bucket, version, rules, type: 'tags' }, attempts);
    const status = overallStatusOf(attempts);
    version.replication = { status: isReplica && status === 'COMPLETED' ? 'REPLICA' : status, attempts };
  }

  /** Replicates a version by one rule, unless the destination has deleted the replica by its version id. */
  function attemptAgain(
    bucket: BucketState,
    version: VersionState,
    rule: ReplicationRule,
  ): ReplicationState['attempts'][number] {
    const { destination, ...attempt } = toPendingAttempt(rule);
    const wasReplicated = version.replication?.attempts.some(
      // Only a version that was replicated fails with DstVersionNotFound: its replica had been deleted.
      ({ status, reason, destination: earlier }) =>
        earlier === destination && (status === 'COMPLETED' || reason === 'DstVersionNotFound'),
    );
    const replicaBucket = store.bucket(destination.split(':::')[1] ?? '');
    if (!wasReplicated || !replicaBucket || findReplica(replicaBucket, version))
      return attemptReplication(bucket, version, rule, options);
    const detail = `${replicaBucket.name} has no version ${version.versionId} of it any more`;
    return { ...attempt, destination, status: 'FAILED', reason: 'DstObjectHardDeleted', detail };
  }

  function replicateExisting(bucket: BucketState, version: VersionState): ReplicationState['attempts'] {
    const rules = selectReplicationRules(bucket, version);
    if (rules.length === 0) return [];
    const attempts = rules.map((rule) => attemptAgain(bucket, version, rule));
    for (const [index, rule] of rules.entries())
      metrics.recordFailure(bucket, rule, attempts[index]?.status === 'FAILED');
    const earlierAttempts = (version.replication?.attempts ?? []).filter(
      ({ status, destination }) =>
        status === 'COMPLETED' && attempts.every((attempt) => attempt.destination !== destination),
    );
    const isReplica = version.replication?.status === 'REPLICA';
    const status = overallStatusOf(attempts);
    version.replication = {
      status: isReplica && status === 'COMPLETED' ? 'REPLICA' : status,
      attempts: [...earlierAttempts, ...attempts],
      requested: clock(),
    };
    const type = version.deleteMarker ? 'deleteMarker' : 'object';
    for (const observer of observers) observer.finished({ bucket, version, rules, type }, attempts);
    store.markObjectChanged(bucket, version.key);
    return attempts;
  }

  /** Schedules the job of a pending version, and notifies the observers. */
  function scheduleVersion(
    bucket: BucketState,
    version: VersionState,
    rules: readonly ReplicationRule[],
    since = clock(),
  ): void {
    const type = !isNew(version) ? 'tags' : version.deleteMarker ? 'deleteMarker' : 'object';
    for (const observer of observers) observer.pending({ bucket, version, rules, type });
    const operations = metrics.begin(bucket, version, rules, since);
    const { key, versionId } = version;
    schedule({ bucket: bucket.name, key, versionId, since, operations }, delayMs());
  }

  return {
    enqueue(bucket, version) {
      // S3 does not replicate replicas: a chain from A over B to C does not exist.
      if (version.replication) return;
      const rules = selectReplicationRules(bucket, version);
      if (rules.length === 0) return;
      version.replication = {
        status: 'PENDING',
        attempts: rules.map(toPendingAttempt),
        rules,
        requested: clock(),
      };
      store.markObjectChanged(bucket, version.key);
      scheduleVersion(bucket, version, rules);
    },
    enqueueTagChange(bucket, version) {
      // The job that replicates a new version copies the tags of that moment.
      if (!version.replication || isNew(version)) return;
      const rules = rulesForTagSync(bucket, version);
      if (rules.length === 0) return;
      if (version.replication.status !== 'REPLICA') version.replication.status = 'PENDING';
      version.replication.rules = rules;
      version.replication.requested = clock();
      store.markObjectChanged(bucket, version.key);
      scheduleVersion(bucket, version, rules);
    },
    replicateExisting,
    async waitUntilIdle() {
      if (pendingCount > 0)
        await new Promise<void>((resolve, reject) => void idleWaiters.push({ resolve, reject }));
      else if (bug) throw bug;
    },
    resume() {
      for (const bucket of store.buckets()) {
        for (const version of [...bucket.objects.values()].flat()) {
          if (!isPending(version)) continue;
          const { rules = [], requested = version.modified } = version.replication ?? {};
          scheduleVersion(bucket, version, rules, requested);
        }
      }
    },
    sampleMetrics: metrics.sample,
    async stop() {
      isStopped = true;
      for (const observer of observers) observer.stop();
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      limit.clearQueue();
      pendingCount = runningCount;
      resolveIdleWaiters();
      await new Promise<void>((resolve) => {
        if (pendingCount === 0) resolve();
        else idleWaiters.push({ resolve, reject: () => resolve() });
      });
    },
  };
}

/** Returns whether a version waits for a job. A replica with changed tags has rules, and keeps its status. */
const isPending = ({ replication }: VersionState): boolean =>
  replication?.status === 'PENDING' || replication?.rules !== undefined;

/** Returns whether a version waits for its first replication. After a finished attempt, only its tags are pending. */
const isNew = ({ replication }: VersionState): boolean =>
  replication?.status === 'PENDING' && replication.attempts.every(({ status }) => status === 'PENDING');

const toPendingAttempt = (rule: ReplicationRule): ReplicationState['attempts'][number] => ({
  ruleId: rule.ID ?? '',
  destination: rule.Destination?.Bucket ?? '',
  status: 'PENDING',
});

/** Returns COMPLETED when every attempt succeeded, otherwise FAILED. FAILED is final: S3 does not retry. */
const overallStatusOf = (attempts: ReplicationState['attempts']): 'COMPLETED' | 'FAILED' =>
  attempts.every(({ status }) => status === 'COMPLETED') ? 'COMPLETED' : 'FAILED';

/**
 * Returns the rules that replicate a change of tags. For an object these are the enabled rules that replicated it:
 * other rules would need an initial copy. For a replica these are the rules with replica modification sync.
 */
function rulesForTagSync(bucket: BucketState, version: VersionState): ReplicationRule[] {
  const { status, attempts } = version.replication ?? { status: undefined, attempts: [] };
  if (status === 'REPLICA') {
    return selectReplicationRules(bucket, version).filter(
      (rule) => rule.SourceSelectionCriteria?.ReplicaModifications?.Status === 'Enabled',
    );
  }
  if (status !== 'COMPLETED' && status !== 'PENDING') return [];
  return rulesWithIds(bucket, attempts).filter(({ Status }) => Status === 'Enabled');
}

/** Returns the rules of a configuration that some attempts name. */
const rulesWithIds = (bucket: BucketState, attempts: ReplicationState['attempts']): ReplicationRule[] =>
  (bucket.replication?.Rules ?? []).filter(({ ID = '' }) => attempts.some(({ ruleId }) => ruleId === ID));

/**
 * Returns the rules that replicate a version: for each destination bucket, the matching rule with the highest priority.
 * S3 compares priorities only between rules with the same destination. If the rule with the highest priority excludes
 * the version (`isReplicable`), no other rule replicates it to that destination.
 */
export function selectReplicationRules(bucket: BucketState, version: VersionState): ReplicationRule[] {
  const byDestination = new Map<string, ReplicationRule>();
  for (const rule of bucket.replication?.Rules ?? []) {
    if (rule.Status !== 'Enabled' || !matchesRuleFilter(rule, version)) continue;
    const destination = rule.Destination?.Bucket ?? '';
    const currentBest = byDestination.get(destination);
    if (!currentBest || (rule.Priority ?? 0) > (currentBest.Priority ?? 0))
      byDestination.set(destination, rule);
  }
  return [...byDestination.values()].filter((rule) => isReplicable(rule, version));
}

function matchesRuleFilter({ Filter, Prefix }: ReplicationRule, version: VersionState): boolean {
  const prefix = Filter?.And?.Prefix ?? Filter?.Prefix ?? Prefix ?? '';
  if (!version.key.startsWith(prefix)) return false;
  const tags = Filter?.And?.Tags ?? (Filter?.Tag ? [Filter.Tag] : []);
  const hasTag = ({ Key, Value }: Tag) => version.tags.get(Key ?? '') === Value;
  return tags.every(hasTag) && !isExcluded(Filter?.And?.Not ?? Filter?.Not);

  /** "An object is excluded if it matches any of the specified filters" (SDK reference, ReplicationRuleNotOperator). */
  function isExcluded(not: ReplicationRuleNotOperator | undefined): boolean {
    const prefixes = [...(not?.Prefix === undefined ? [] : [not.Prefix]), ...(not?.Or?.Prefixes ?? [])];
    const excludedTags = [...(not?.Tag ? [not.Tag] : []), ...(not?.Or?.Tags ?? [])];
    return prefixes.some((excluded) => version.key.startsWith(excluded)) || excludedTags.some(hasTag);
  }
}

/**
 * Returns whether a matching rule replicates the version. Delete markers need `DeleteMarkerReplication`, except under a
 * V1 rule. KMS-encrypted objects need `SseKmsEncryptedObjects`. S3 replicates no archived objects (S3 User Guide, "What
 * isn't replicated").
 */
function isReplicable(rule: ReplicationRule, version: VersionState): boolean {
  if (version.deleteMarker) {
    return rule.Filter === undefined || rule.DeleteMarkerReplication?.Status === 'Enabled';
  }
  if (isArchived(version)) return false;
  if (version.encryption.algorithm === 'AES256') return true;
  return rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled';
}
