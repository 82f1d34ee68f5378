import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { KeyService } from '../kms-service.ts';
import type { BucketState, ReplicationState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import { attempt, attemptTags } from './attempt.ts';
import { rulesFor } from './matching.ts';

/** Carries out replication, after the put that caused it was answered. */
export interface Replicator {
  /** A new version: taken if a rule takes it, and marked PENDING. */
  enqueue(bucket: BucketState, version: VersionState): void;
  /** The tags of a version have changed: carried over to where it was replicated, or back to where it came from. */
  modified(bucket: BucketState, version: VersionState): void;
  /** Resolves when nothing is left to do. */
  drained(): Promise<void>;
  /** Take up what a restart left PENDING. */
  resume(): void;
  stop(): void;
}

export function createReplicator(options: {
  store: Store;
  keys: KeyService;
  clock: () => number;
  delayMs: () => number;
}): Replicator {
  const { store, delayMs } = options;
  const timers = new Set<NodeJS.Timeout>();
  const waiting: (() => void)[] = [];
  let open = 0;

  const done = () => {
    open -= 1;
    if (open === 0) for (const resolve of waiting.splice(0)) resolve();
  };

  function schedule(bucket: BucketState, work: () => void): void {
    open += 1;
    const timer = setTimeout(() => {
      timers.delete(timer);
      carryOut(bucket, work)
        // A disk that is full is told at the next request; the object stays PENDING, as it does when S3 is in trouble.
        .catch(() => {})
        .finally(done);
    }, delayMs());
    timers.add(timer);
  }

  async function carryOut(bucket: BucketState, work: () => void): Promise<void> {
    work();
    store.changed(bucket);
    await store.flush();
  }

  function replicate(bucket: BucketState, version: VersionState, rules: ReplicationRule[]): void {
    const attempts = rules.map((rule) => attempt(bucket, version, rule, options));
    if (version.replication) version.replication = { status: outcome(attempts), attempts };
  }

  /** A replica stays a replica; only that its changes could not be carried back shows at it. */
  function sync(bucket: BucketState, version: VersionState, rules: ReplicationRule[]): void {
    const isReplica = version.replication?.status === 'REPLICA';
    const attempts = rules.map((rule) => attemptTags(bucket, version, rule, options));
    const status = outcome(attempts);
    version.replication = { status: isReplica && status === 'COMPLETED' ? 'REPLICA' : status, attempts };
  }

  return {
    enqueue(bucket, version) {
      // Replicas are not replicated again: there is no chain from A over B to C.
      if (version.replication) return;
      const rules = rulesFor(bucket, version);
      if (rules.length === 0) return;
      version.replication = { status: 'PENDING', attempts: rules.map(pending) };
      store.changed(bucket);
      schedule(bucket, () => replicate(bucket, version, rules));
    },
    modified(bucket, version) {
      const rules = rulesToSync(bucket, version);
      if (rules.length === 0 || !version.replication) return;
      if (version.replication.status !== 'REPLICA') version.replication.status = 'PENDING';
      schedule(bucket, () => sync(bucket, version, rules));
    },
    drained: () => (open === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    resume() {
      for (const bucket of store.buckets()) {
        for (const version of [...bucket.objects.values()].flat()) {
          if (version.replication?.status !== 'PENDING') continue;
          const ids = version.replication.attempts.map(({ ruleId }) => ruleId);
          const rules = (bucket.replication?.Rules ?? []).filter(({ ID }) => ids.includes(ID ?? ''));
          // What was replicated before has only its tags to follow.
          const isNew = version.replication.attempts.every(({ status }) => status === 'PENDING');
          schedule(bucket, () => (isNew ? replicate : sync)(bucket, version, rules));
        }
      }
    },
    stop() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

const pending = (rule: ReplicationRule): ReplicationState['attempts'][number] => ({
  ruleId: rule.ID ?? '',
  destination: rule.Destination?.Bucket ?? '',
  status: 'PENDING',
});

/** COMPLETED when every destination has it; FAILED is final, and nothing is tried again. */
const outcome = (attempts: ReplicationState['attempts']): 'COMPLETED' | 'FAILED' =>
  attempts.every(({ status }) => status === 'COMPLETED') ? 'COMPLETED' : 'FAILED';

/**
 * The rules that carry a change of tags: for an object those that replicated it, so that none takes it only now; for a
 * replica those that sync modifications.
 */
function rulesToSync(bucket: BucketState, version: VersionState): ReplicationRule[] {
  const { status, attempts } = version.replication ?? { status: undefined, attempts: [] };
  if (status === 'REPLICA') {
    return rulesFor(bucket, version).filter(
      (rule) => rule.SourceSelectionCriteria?.ReplicaModifications?.Status === 'Enabled',
    );
  }
  if (status !== 'COMPLETED') return [];
  const ids = new Set(attempts.map(({ ruleId }) => ruleId));
  return (bucket.replication?.Rules ?? []).filter(
    ({ ID, Status }) => Status === 'Enabled' && ids.has(ID ?? ''),
  );
}
