import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { KeyService } from '../kms/keys.ts';
import type { BucketState, ReplicationState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import { attemptReplication, attemptTagReplication } from './replicate-object.ts';

/** Carries out replication, after the put that caused it was answered. */
export interface Replicator {
  /** A new version: taken if a rule takes it, and marked PENDING. */
  enqueue(bucket: BucketState, version: VersionState): void;
  /** The tags of a version have changed: carried over to where it was replicated, or back to where it came from. */
  enqueueTagChange(bucket: BucketState, version: VersionState): void;
  /** Resolves when nothing is left to do. */
  waitUntilIdle(): Promise<void>;
  /** Take up what a restart left PENDING. */
  resume(): void;
  stop(): void;
}

export function createReplicator(options: {
  store: Store;
  keyService: KeyService;
  clock: () => number;
  delayMs: () => number;
}): Replicator {
  const { store, delayMs } = options;
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
        // A disk that is full is told at the next request; the object stays PENDING, as it does when S3 is in trouble.
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

  function replicate(bucket: BucketState, version: VersionState, rules: ReplicationRule[]): void {
    const attempts = rules.map((rule) => attemptReplication(bucket, version, rule, options));
    if (version.replication) version.replication = { status: overallStatusOf(attempts), attempts };
  }

  /** A replica stays a replica; only that its changes could not be carried back shows at it. */
  function syncTags(bucket: BucketState, version: VersionState, rules: ReplicationRule[]): void {
    const isReplica = version.replication?.status === 'REPLICA';
    const attempts = rules.map((rule) => attemptTagReplication(bucket, version, rule, options));
    const status = overallStatusOf(attempts);
    version.replication = { status: isReplica && status === 'COMPLETED' ? 'REPLICA' : status, attempts };
  }

  return {
    enqueue(bucket, version) {
      // Replicas are not replicated again: there is no chain from A over B to C.
      if (version.replication) return;
      const rules = selectReplicationRules(bucket, version);
      if (rules.length === 0) return;
      version.replication = { status: 'PENDING', attempts: rules.map(toPendingAttempt) };
      store.markChanged(bucket);
      schedule(bucket, () => replicate(bucket, version, rules));
    },
    enqueueTagChange(bucket, version) {
      const rules = rulesForTagSync(bucket, version);
      if (rules.length === 0 || !version.replication) return;
      if (version.replication.status !== 'REPLICA') version.replication.status = 'PENDING';
      schedule(bucket, () => syncTags(bucket, version, rules));
    },
    waitUntilIdle: () =>
      pendingCount === 0 ? Promise.resolve() : new Promise((resolve) => idleWaiters.push(resolve)),
    resume() {
      for (const bucket of store.buckets()) {
        for (const version of [...bucket.objects.values()].flat()) {
          if (version.replication?.status !== 'PENDING') continue;
          const ids = version.replication.attempts.map(({ ruleId }) => ruleId);
          const rules = (bucket.replication?.Rules ?? []).filter(({ ID }) => ids.includes(ID ?? ''));
          // What was replicated before has only its tags to follow.
          const isNew = version.replication.attempts.every(({ status }) => status === 'PENDING');
          schedule(bucket, () => (isNew ? replicate : syncTags)(bucket, version, rules));
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

/** COMPLETED when every destination has it; FAILED is final, and nothing is tried again. */
const overallStatusOf = (attempts: ReplicationState['attempts']): 'COMPLETED' | 'FAILED' =>
  attempts.every(({ status }) => status === 'COMPLETED') ? 'COMPLETED' : 'FAILED';

/**
 * The rules that carry a change of tags: for an object those that replicated it, so that none takes it only now; for a
 * replica those that sync modifications.
 */
function rulesForTagSync(bucket: BucketState, version: VersionState): ReplicationRule[] {
  const { status, attempts } = version.replication ?? { status: undefined, attempts: [] };
  if (status === 'REPLICA') {
    return selectReplicationRules(bucket, version).filter(
      (rule) => rule.SourceSelectionCriteria?.ReplicaModifications?.Status === 'Enabled',
    );
  }
  if (status !== 'COMPLETED') return [];
  const ids = new Set(attempts.map(({ ruleId }) => ruleId));
  return (bucket.replication?.Rules ?? []).filter(
    ({ ID, Status }) => Status === 'Enabled' && ids.has(ID ?? ''),
  );
}

/**
 * The rules that take an object: for each destination bucket the one of highest priority among those whose filter
 * matches. Priority is of no concern between different destinations.
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

/** Delete markers only where enabled (always under V1), KMS-encrypted objects only where selected. */
function isReplicable(rule: ReplicationRule, version: VersionState): boolean {
  if (version.deleteMarker) {
    return rule.Filter === undefined || rule.DeleteMarkerReplication?.Status === 'Enabled';
  }
  if (version.encryption.algorithm === 'AES256') return true;
  return rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled';
}
