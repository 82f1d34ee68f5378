import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { FaultSettings } from '../faults.ts';
import type { KeyService } from '../kms/keys.ts';
import type { BucketState, ReplicationState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import { attemptReplication, attemptTagReplication } from './replicate-object.ts';

/**
 * Replicates versions in the background. A job starts after a delay, so S3 responds to the write without waiting for
 * replication.
 */
export interface Replicator {
  /** Marks a new version PENDING and schedules its replication, if at least one rule selects it. */
  enqueue(bucket: BucketState, version: VersionState): void;
  /**
   * Schedules the replication of changed tags: from an object to its replicas, or from a replica to its source by a
   * rule with replica modification sync.
   */
  enqueueTagChange(bucket: BucketState, version: VersionState): void;
  /** Resolves when no job is pending. */
  waitUntilIdle(): Promise<void>;
  /** Schedules the versions that were still PENDING before a restart. */
  resume(): void;
  stop(): void;
}

export function createReplicator(options: {
  store: Store;
  keyService: KeyService;
  clock: () => number;
  delayMs: () => number;
  inFlight: () => FaultSettings['inFlight'];
}): Replicator {
  const { store, delayMs, inFlight } = options;
  const timers = new Set<NodeJS.Timeout>();
  const idleWaiters: (() => void)[] = [];
  let pendingCount = 0;

  const finishJob = () => {
    pendingCount -= 1;
    if (pendingCount === 0) for (const resolve of idleWaiters.splice(0)) resolve();
  };

  function schedule(bucket: BucketState, job: () => void): void {
    pendingCount += 1;
    const timer = setTimeout(() => {
      timers.delete(timer);
      runJob(bucket, job)
        // The job has no caller to report an error to. After a failed flush, for example on a full disk, the next
        // request reports it. A version whose job throws stays PENDING, as it does during an outage of S3.
        .catch(() => {})
        .finally(finishJob);
    }, delayMs());
    timers.add(timer);
  }

  async function runJob(bucket: BucketState, job: () => void): Promise<void> {
    job();
    store.markChanged(bucket);
    await store.flush();
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
    // State files of older versions contain only the ids of the rules.
    return rules ?? rulesWithIds(bucket, attempts);
  }

  function replicate(bucket: BucketState, version: VersionState): void {
    const rules = rulesOf(bucket, version, () => selectReplicationRules(bucket, version));
    if (rules.length === 0) return;
    const attempts = rules.map((rule) => attemptReplication(bucket, version, rule, options));
    if (version.replication) version.replication = { status: overallStatusOf(attempts), attempts };
  }

  /** Replicates tags. A replica keeps the status REPLICA, unless an attempt to copy its tags fails. */
  function syncTags(bucket: BucketState, version: VersionState): void {
    const isReplica = version.replication?.status === 'REPLICA';
    const rules = rulesOf(bucket, version, () => rulesForTagSync(bucket, version));
    if (rules.length === 0) return;
    const attempts = rules.map((rule) => attemptTagReplication(bucket, version, rule, options));
    const status = overallStatusOf(attempts);
    version.replication = { status: isReplica && status === 'COMPLETED' ? 'REPLICA' : status, attempts };
  }

  return {
    enqueue(bucket, version) {
      // S3 does not replicate replicas: a chain from A over B to C does not exist.
      if (version.replication) return;
      const rules = selectReplicationRules(bucket, version);
      if (rules.length === 0) return;
      version.replication = { status: 'PENDING', attempts: rules.map(toPendingAttempt), rules };
      store.markChanged(bucket);
      schedule(bucket, () => replicate(bucket, version));
    },
    enqueueTagChange(bucket, version) {
      const rules = rulesForTagSync(bucket, version);
      if (rules.length === 0 || !version.replication) return;
      if (version.replication.status !== 'REPLICA') version.replication.status = 'PENDING';
      version.replication.rules = rules;
      schedule(bucket, () => syncTags(bucket, version));
    },
    waitUntilIdle: () =>
      pendingCount === 0 ? Promise.resolve() : new Promise((resolve) => idleWaiters.push(resolve)),
    resume() {
      for (const bucket of store.buckets()) {
        for (const version of [...bucket.objects.values()].flat()) {
          if (version.replication?.status !== 'PENDING') continue;
          // A version with a finished attempt has its replica already: only its tags are pending.
          const isNew = version.replication.attempts.every(({ status }) => status === 'PENDING');
          schedule(bucket, () => (isNew ? replicate : syncTags)(bucket, version));
        }
      }
    },
    stop() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

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
function selectReplicationRules(bucket: BucketState, version: VersionState): ReplicationRule[] {
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
  return tags.every(({ Key, Value }) => version.tags.get(Key ?? '') === Value);
}

/**
 * Returns whether a matching rule replicates the version. Delete markers need `DeleteMarkerReplication`, except under a
 * V1 rule. KMS-encrypted objects need `SseKmsEncryptedObjects`.
 */
function isReplicable(rule: ReplicationRule, version: VersionState): boolean {
  if (version.deleteMarker) {
    return rule.Filter === undefined || rule.DeleteMarkerReplication?.Status === 'Enabled';
  }
  if (version.encryption.algorithm === 'AES256') return true;
  return rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled';
}
