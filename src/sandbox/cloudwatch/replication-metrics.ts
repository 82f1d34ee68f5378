import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { BucketState, ReplicationState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import {
  type MetricIdentity,
  type MetricRecorder,
  MINUTE_MS,
  type StatisticValues,
  singleValue,
} from './metrics.ts';

/** Operation of one rule that waits for its replication. */
export interface PendingOperation {
  rule: PendingRule;
  /** Milliseconds since the epoch. */
  since: number;
  bytes: number;
}

/** Pending operations of one rule with metrics. */
interface PendingRule {
  bucket: string;
  id: string;
  identityOf: (metric: keyof typeof METRICS) => MetricIdentity | undefined;
  operations: Set<PendingOperation>;
  bytes: number;
  /** Last minute with a datapoint of the pending operations, in minutes since the epoch. */
  sampledMinute: number;
}

/** Metrics of a rule with their units (S3 User Guide, "Amazon CloudWatch metrics": "S3 replication metrics"). */
const METRICS = {
  OperationsFailedReplication: 'Count',
  ReplicationLatency: 'Seconds',
  BytesPendingReplication: 'Bytes',
  OperationsPendingReplication: 'Count',
} as const;

/**
 * Records the replication metrics of rules that enable them. S3 keeps the failed operations in the Region of the source,
 * and the others in the Region of the destination. fact: yet-another-cloudwatch-exporter#1188. The account is that of the
 * source in both. A rule without operations has no datapoints.
 */
export interface ReplicationMetricsRecorder {
  /** Counts an operation as pending, for each rule with metrics. `since`: milliseconds since the epoch. */
  begin(
    bucket: BucketState,
    version: VersionState,
    rules: readonly ReplicationRule[],
    since: number,
  ): PendingOperation[];
  /** Records the result of an operation that was pending since a time, in milliseconds since the epoch. */
  record(
    bucket: BucketState,
    rule: ReplicationRule,
    status: ReplicationState['attempts'][number]['status'],
    since: number,
  ): void;
  /**
   * Records the result of an operation of a batch job: it has no latency (S3 User Guide, "S3 replication metrics"; S3 Batch
   * Replication counts in the failed operations only).
   */
  recordFailure(bucket: BucketState, rule: ReplicationRule, hasFailed: boolean): void;
  /** Counts operations as no longer pending. */
  end(operations: readonly PendingOperation[]): void;
  /** Records the pending operations of all rules for the minutes since the last datapoint. */
  sample(): void;
}

export function createReplicationMetricsRecorder({
  store,
  clock,
  recorder,
}: {
  store: Store;
  clock: () => number;
  recorder: MetricRecorder;
}): ReplicationMetricsRecorder {
  const rulesByKey = new Map<string, PendingRule>();

  const record = (
    rule: Pick<PendingRule, 'identityOf'>,
    metric: keyof typeof METRICS,
    at: number,
    values: StatisticValues,
  ) => {
    const identity = rule.identityOf(metric);
    if (identity) recorder.record(identity, at, values);
  };

  const identityOf =
    ({ name, owner, region }: BucketState, rule: ReplicationRule): PendingRule['identityOf'] =>
    (metric) => {
      const destination = (rule.Destination?.Bucket ?? '').split(':::')[1] ?? '';
      const metricRegion =
        metric === 'OperationsFailedReplication' ? region : store.bucket(destination)?.region;
      if (metricRegion === undefined) return undefined;
      return {
        account: owner,
        region: metricRegion,
        namespace: 'AWS/S3',
        name: metric,
        dimensions: [
          ['DestinationBucket', destination],
          ['RuleId', rule.ID ?? ''],
          ['SourceBucket', name],
        ],
        unit: METRICS[metric],
      };
    };

  function findPendingRule(bucket: BucketState, rule: ReplicationRule, now: number): PendingRule {
    const key = JSON.stringify([bucket.name, rule.ID, rule.Destination?.Bucket]);
    const pendingRule = rulesByKey.get(key) ?? {
      bucket: bucket.name,
      id: rule.ID ?? '',
      identityOf: identityOf(bucket, rule),
      operations: new Set(),
      bytes: 0,
      sampledMinute: Math.floor(now / MINUTE_MS),
    };
    rulesByKey.set(key, pendingRule);
    return pendingRule;
  }

  /** Returns whether the configuration still has the rule. S3 has no metrics of a rule that was removed. */
  const isConfigured = ({ bucket, id }: PendingRule): boolean =>
    store.bucket(bucket)?.replication?.Rules?.some((rule) => rule.ID === id && hasMetrics(rule)) ?? false;

  /** Records the pending operations of a rule for the minutes since the last datapoint, up to the minute of now. */
  function sampleRule(rule: PendingRule, now: number): void {
    const minute = Math.floor(now / MINUTE_MS);
    if (minute <= rule.sampledMinute) return;
    const first = rule.sampledMinute + 1;
    rule.sampledMinute = minute;
    if (rule.operations.size === 0 || !isConfigured(rule)) return;
    let oldest = now;
    for (const { since } of rule.operations) oldest = Math.min(oldest, since);
    for (let sampled = first; sampled <= minute; sampled++) {
      const at = Math.min(now, (sampled + 1) * MINUTE_MS - 1);
      record(rule, 'OperationsPendingReplication', at, singleValue(rule.operations.size));
      record(rule, 'BytesPendingReplication', at, singleValue(rule.bytes));
      record(rule, 'ReplicationLatency', at, singleValue(Math.max(0, at - oldest) / 1000));
    }
  }

  function recordFailure(bucket: BucketState, rule: ReplicationRule, hasFailed: boolean): void {
    // The sum is the number of failures, the sample count the number of operations, and the average the failure rate.
    if (hasMetrics(rule))
      record(
        { identityOf: identityOf(bucket, rule) },
        'OperationsFailedReplication',
        clock(),
        singleValue(hasFailed ? 1 : 0),
      );
  }

  return {
    begin(bucket, version, rules, since) {
      const now = clock();
      return rules.filter(hasMetrics).map((configuredRule) => {
        const rule = findPendingRule(bucket, configuredRule, now);
        sampleRule(rule, now);
        const operation = { rule, since, bytes: version.size };
        rule.operations.add(operation);
        rule.bytes += operation.bytes;
        record(rule, 'OperationsPendingReplication', now, singleValue(rule.operations.size));
        record(rule, 'BytesPendingReplication', now, singleValue(rule.bytes));
        return operation;
      });
    },
    record(bucket, configuredRule, status, since) {
      if (!hasMetrics(configuredRule)) return;
      recordFailure(bucket, configuredRule, status === 'FAILED');
      if (status !== 'COMPLETED') return;
      const now = clock();
      const rule = { identityOf: identityOf(bucket, configuredRule) };
      record(rule, 'ReplicationLatency', now, singleValue(Math.max(0, now - since) / 1000));
    },
    recordFailure,
    end(operations) {
      const now = clock();
      for (const operation of operations) {
        const { rule } = operation;
        sampleRule(rule, now);
        if (rule.operations.delete(operation)) rule.bytes -= operation.bytes;
      }
    },
    sample() {
      for (const [key, rule] of rulesByKey) {
        sampleRule(rule, clock());
        if (rule.operations.size === 0) rulesByKey.delete(key);
      }
    },
  };
}

const hasMetrics = ({ Destination }: ReplicationRule): boolean => Destination?.Metrics?.Status === 'Enabled';
