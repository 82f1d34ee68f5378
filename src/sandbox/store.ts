import { randomUUID } from 'node:crypto';
import type { AccountState, BucketState, JobState, MetricState, QueueState } from './state.ts';

/**
 * State of the sandbox. Handlers read and modify the objects that the store returns, and call a `mark` function after a
 * modification. The server flushes changes before it responds, so that an acknowledged write survives a crash.
 *
 * A handler or a job makes all its changes synchronously: a flush saves the changes between two awaits together.
 */
export interface Store {
  /** Returns the account of an id. Every 12-digit id exists: the store creates the account on first use. */
  account(id: string): AccountState;
  accounts(): Iterable<AccountState>;
  bucket(name: string): BucketState | undefined;
  buckets(): Iterable<BucketState>;
  addBucket(bucket: BucketState): void;
  removeBucket(name: string): void;
  /** Returns the queue of an ARN. */
  queue(arn: string): QueueState | undefined;
  queues(): Iterable<QueueState>;
  addQueue(queue: QueueState): void;
  removeQueue(arn: string): void;
  /** Marks an account, or the settings of a bucket or queue. */
  markChanged(state: AccountState | BucketState | QueueState): void;
  /** Marks the versions of a key. */
  markObjectChanged(bucket: BucketState, key: string): void;
  markUploadChanged(bucket: BucketState, uploadId: string): void;
  /** Metrics of CloudWatch by key (`metricKeyOf`). */
  readonly metrics: Map<string, MetricState>;
  markMetricChanged(key: string, chunk: number): void;
  /** Marks a message that was added, changed or removed. */
  markMessageChanged(queue: QueueState, messageId: string): void;
  /** Batch jobs of S3 Control by key (`jobKeyOf`). */
  readonly jobs: Map<string, JobState>;
  /** Marks a job that was added, changed or removed. */
  markJobChanged(job: JobState): void;
  putBlob(bytes: Buffer): string;
  getBlob(id: string): Buffer;
  removeBlob(id: string): void;
  /**
   * Makes all changes durable.
   *
   * @throws Error when they cannot be saved. The store has then undone them, also those of other callers.
   */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Creates a store in memory; its state ends with the process. */
export function createMemoryStore(
  accounts = new Map<string, AccountState>(),
  buckets = new Map<string, BucketState>(),
  metrics = new Map<string, MetricState>(),
  queues = new Map<string, QueueState>(),
  jobs = new Map<string, JobState>(),
): Store {
  const blobs = new Map<string, Buffer>();
  return {
    account(id) {
      const account = accounts.get(id) ?? createEmptyAccount(id);
      accounts.set(id, account);
      return account;
    },
    accounts: () => accounts.values(),
    bucket: (name) => buckets.get(name),
    buckets: () => buckets.values(),
    addBucket: (bucket) => void buckets.set(bucket.name, bucket),
    removeBucket: (name) => void buckets.delete(name),
    queue: (arn) => queues.get(arn),
    queues: () => queues.values(),
    addQueue: (queue) => void queues.set(queue.arn, queue),
    removeQueue: (arn) => void queues.delete(arn),
    markChanged: () => {},
    markObjectChanged: () => {},
    markUploadChanged: () => {},
    metrics,
    markMetricChanged: () => {},
    markMessageChanged: () => {},
    jobs,
    markJobChanged: () => {},
    putBlob(bytes) {
      const id = randomUUID();
      blobs.set(id, bytes);
      return id;
    },
    getBlob: (id) => blobs.get(id) ?? Buffer.alloc(0),
    removeBlob: (id) => void blobs.delete(id),
    flush: async () => {},
    close: async () => {},
  };
}

const createEmptyAccount = (id: string): AccountState => ({
  id,
  roles: new Map(),
  keys: new Map(),
  aliases: new Map(),
  sessions: new Map(),
  policies: new Map(),
});

export const jobKeyOf = ({ account, id }: Pick<JobState, 'account' | 'id'>): string => `${account}/${id}`;

/** Returns the key of a metric: the fields that distinguish it. */
export const metricKeyOf = ({
  account,
  region,
  namespace,
  name,
  dimensions,
  unit,
}: Omit<MetricState, 'chunks'>): string =>
  JSON.stringify([account, region, namespace, name, unit, dimensions]);

/** Returns the metric of a key, without datapoints. */
export function parseMetricKey(key: string): MetricState {
  const [account, region, namespace, name, unit, dimensions] = JSON.parse(key) as [
    string,
    string,
    string,
    string,
    string,
    MetricState['dimensions'],
  ];
  return { account, region, namespace, name, dimensions, unit, chunks: new Map() };
}
