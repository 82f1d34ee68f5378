import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { KeyService } from '../kms-service.ts';
import type { BucketState, ReplicationState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import { attempt } from './attempt.ts';
import { rulesFor } from './matching.ts';

/** Carries out replication, after the put that caused it was answered. */
export interface Replicator {
  /** A new version: taken if a rule takes it, and marked PENDING. */
  enqueue(bucket: BucketState, version: VersionState): void;
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

  function schedule(bucket: BucketState, version: VersionState, rules: ReplicationRule[]): void {
    open += 1;
    const timer = setTimeout(() => {
      timers.delete(timer);
      replicate(bucket, version, rules)
        // A disk that is full is told at the next request; the object stays PENDING, as it does when S3 is in trouble.
        .catch(() => {})
        .finally(done);
    }, delayMs());
    timers.add(timer);
  }

  async function replicate(
    bucket: BucketState,
    version: VersionState,
    rules: ReplicationRule[],
  ): Promise<void> {
    const attempts = rules.map((rule) => attempt(bucket, version, rule, options));
    if (version.replication) {
      version.replication.attempts = attempts;
      // COMPLETED when every destination has it; FAILED is final, and nothing is tried again.
      version.replication.status = attempts.every(({ status }) => status === 'COMPLETED')
        ? 'COMPLETED'
        : 'FAILED';
    }
    store.changed(bucket);
    await store.flush();
  }

  return {
    enqueue(bucket, version) {
      // Replicas are not replicated again: there is no chain from A over B to C.
      if (version.replication) return;
      const rules = rulesFor(bucket, version);
      if (rules.length === 0) return;
      version.replication = { status: 'PENDING', attempts: rules.map(pending) };
      store.changed(bucket);
      schedule(bucket, version, rules);
    },
    drained: () => (open === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    resume() {
      for (const bucket of store.buckets()) {
        for (const version of [...bucket.objects.values()].flat()) {
          if (version.replication?.status !== 'PENDING') continue;
          const ids = version.replication.attempts.map(({ ruleId }) => ruleId);
          schedule(
            bucket,
            version,
            (bucket.replication?.Rules ?? []).filter(({ ID }) => ids.includes(ID ?? '')),
          );
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
