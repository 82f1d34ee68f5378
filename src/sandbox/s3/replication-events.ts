import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { BucketState, ReplicationState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import type { EventNotifier } from './event-notifier.ts';

/** An object, delete marker or change of tags that S3 replicates by some rules. */
export interface ReplicationOperation {
  bucket: BucketState;
  version: VersionState;
  rules: readonly ReplicationRule[];
  type: 'object' | 'deleteMarker' | 'tags';
}

/** Observes the operations of the replicator. The calls are synchronous, and part of the commit of the operation. */
export interface ReplicationObserver {
  /** An operation waits for replication, also after a restart of the sandbox. */
  pending(operation: ReplicationOperation): void;
  /** An operation has ended, with one attempt for each rule. */
  finished(operation: ReplicationOperation, attempts: readonly Attempt[]): void;
  /** Cancels what waits. */
  stop(): void;
}

type Attempt = ReplicationState['attempts'][number];

/**
 * Values of `s3Operation` in the events. The documentation of AWS contains `OBJECT_PUT` only; the others are inferred.
 */
const S3_OPERATIONS: Record<ReplicationOperation['type'], string> = {
  object: 'OBJECT_PUT',
  deleteMarker: 'OBJECT_DELETE',
  tags: 'OBJECT_PUT_TAGGING',
};

/** S3 Replication Time Control has this threshold only (S3 API Reference, ReplicationTimeValue). */
const THRESHOLD_MINUTES = 15;

/**
 * Sends the events of replication (S3 User Guide, "Receiving replication failure events with Amazon S3 Event
 * Notifications"): failures of rules with metrics, operations that the metrics no longer track, and the threshold of
 * rules with Replication Time Control.
 */
export function createReplicationEvents(options: {
  store: Store;
  notifier: EventNotifier;
  clock: () => number;
  onError: (message: string) => void;
}): ReplicationObserver {
  const { store, notifier, clock, onError } = options;
  const timers = new Set<NodeJS.Timeout>();

  function notify(
    { bucket, version, type }: ReplicationOperation,
    name: string,
    rule: ReplicationRule,
    data: Record<string, string | undefined> = {},
  ): void {
    const { key, size, etag, versionId, replication } = version;
    notifier.notify(bucket, {
      name: `Replication:${name}`,
      key,
      object: {
        size,
        ...(etag === '' ? {} : { eTag: etag.replaceAll('"', '') }),
        versionId,
        hasSequencer: type !== 'tags',
      },
      version: '2.2',
      principalId: 's3.amazonaws.com',
      sourceIp: 's3.amazonaws.com',
      data: {
        replicationEventData: {
          replicationRuleId: rule.ID ?? '',
          destinationBucket: rule.Destination?.Bucket ?? '',
          s3Operation: S3_OPERATIONS[type],
          requestTime: new Date(replication?.requested ?? version.modified).toISOString(),
          ...data,
        },
      },
    });
  }

  const isLate = ({ version }: ReplicationOperation): boolean =>
    clock() - (version.replication?.requested ?? version.modified) >= THRESHOLD_MINUTES * 60_000;

  function missThreshold(operation: ReplicationOperation): void {
    const { replication } = operation.version;
    if (!replication || replication.missedThreshold) return;
    replication.missedThreshold = true;
    for (const rule of operation.rules)
      if (hasTimeControl(rule))
        notify(operation, 'OperationMissedThreshold', rule, { threshold: String(THRESHOLD_MINUTES) });
  }

  /** Sends the event of an operation that is still pending at the threshold. */
  async function checkThreshold(operation: ReplicationOperation): Promise<void> {
    const { bucket, version } = operation;
    const current = store
      .bucket(bucket.name)
      ?.objects.get(version.key)
      ?.find(({ versionId }) => versionId === version.versionId);
    // A pending operation has its rules.
    if (current !== version || !current.replication?.rules) return;
    missThreshold(operation);
    store.markObjectChanged(bucket, version.key);
    await store
      .flush()
      .catch((error: unknown) => onError(`cannot save an event: ${(error as Error).message}`));
  }

  return {
    pending(operation) {
      if (!operation.rules.some(hasTimeControl)) return;
      const requested = operation.version.replication?.requested ?? clock();
      const waitMs = Math.max(0, requested + THRESHOLD_MINUTES * 60_000 - clock());
      const timer = setTimeout(() => {
        timers.delete(timer);
        void checkThreshold(operation);
      }, waitMs);
      timer.unref();
      timers.add(timer);
    },
    finished(operation, attempts) {
      if (isLate(operation)) missThreshold(operation);
      for (const [index, rule] of operation.rules.entries()) {
        const attempt = attempts[index];
        if (!attempt || !isMetricsRule(rule)) continue;
        if (!isTracked(operation.bucket, rule)) notify(operation, 'OperationNotTracked', rule);
        else if (attempt.status === 'FAILED')
          notify(operation, 'OperationFailedReplication', rule, { failureReason: attempt.reason });
        else if (operation.version.replication?.missedThreshold && hasTimeControl(rule))
          notify(operation, 'OperationReplicatedAfterThreshold', rule, {
            threshold: String(THRESHOLD_MINUTES),
            replicationTime: new Date(clock()).toISOString(),
          });
      }
    },
    stop() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

const isMetricsRule = ({ Destination }: ReplicationRule): boolean =>
  Destination?.Metrics?.Status === 'Enabled';

const hasTimeControl = (rule: ReplicationRule): boolean =>
  isMetricsRule(rule) && rule.Destination?.ReplicationTime?.Status === 'Enabled';

/**
 * Returns whether the metrics of a rule still track an operation: the configuration has the rule, enabled and with
 * metrics. Without any configuration, the operation fails for this reason (SrcBucketReplicationConfigMissing). AWS
 * documents the event, but not when it occurs; this is inferred.
 */
function isTracked({ replication }: BucketState, { ID }: ReplicationRule): boolean {
  if (!replication) return true;
  const current = replication.Rules?.find((rule) => rule.ID === ID);
  return current?.Status === 'Enabled' && isMetricsRule(current);
}
