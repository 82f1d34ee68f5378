/**
 * The replication of the rules of a pair, as CloudWatch measured it. A value without a datapoint is absent: nothing was
 * replicated, which is not zero.
 */
export interface ReplicationMetrics {
  /** ISO 8601: the time of the read. */
  at: string;
  /**
   * `available`: at least one datapoint; `noData`: none; `notEnabled`: no rule has metrics; `unreadable`: AWS refused a
   * read. The values of the other reads are present then.
   */
  state: 'available' | 'noData' | 'notEnabled' | 'unreadable';
  /** Why the metrics are unreadable. */
  reason?: string;
  /** Number of rules without metrics; absent: none. */
  rulesWithoutMetrics?: number;
  /** Numbers of operations, and of failed operations, in the last 24 hours. */
  operations?: number;
  failed?: number;
  /** ISO 8601: the start of the first, and the end of the last metric period with a failure in these 24 hours. */
  failedSince?: string;
  failedUntil?: string;
  /** ISO 8601: the end of the last metric period in which an operation succeeded, in these 24 hours. */
  replicatedUntil?: string;
  /** Largest latency of the last 15 minutes, in seconds. */
  latencySeconds?: number;
  /** Largest numbers of pending operations and bytes of the last 15 minutes. */
  pendingOperations?: number;
  pendingBytes?: number;
  /** The last 24 hours, one value an hour, oldest first; null: no datapoint. */
  history: { failed: (number | null)[]; latencySeconds: (number | null)[] };
}
