import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ConditionType } from './conditions.ts';
import type { Controller, ControllerObserver } from './controller.ts';

/** Metrics for Prometheus. Names are those of controller-runtime where it has a metric for the same thing. */
export interface Metrics {
  observer: Required<ControllerObserver>;
  /** Counts an attempt that AWS throttled. */
  countThrottle(operation: string): void;
  setLeader(lease: string, leads: boolean): void;
  /** Renders the current values as text. */
  render(controller: Controller): Promise<string>;
  contentType: string;
}

export interface MetricsOptions {
  version: string;
  /** Name of the queue. */
  name: string;
  workers: number;
}

const CONTROLLER_LABELS = { controller: 'bucketreplication' };

export function createMetrics({ version, name, workers }: MetricsOptions): Metrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  collectDefaultMetrics({ register: registry });
  const counter = (metric: string, help: string, ...labelNames: string[]) =>
    new Counter({ name: metric, help, labelNames, registers });
  const gauge = (metric: string, help: string, ...labelNames: string[]) =>
    new Gauge({ name: metric, help, labelNames, registers });
  const histogram = (metric: string, help: string, buckets: number[], ...labelNames: string[]) =>
    new Histogram({ name: metric, help, buckets, labelNames, registers });

  const reconcileTotal = counter(
    'controller_runtime_reconcile_total',
    'Passes over pairs, by how they ended.',
    'controller',
    'result',
  );
  const reconcileErrors = counter(
    'controller_runtime_reconcile_errors_total',
    'Passes that ended with an error.',
    'controller',
  );
  const reconcileSeconds = histogram(
    'controller_runtime_reconcile_time_seconds',
    'How long a pass took.',
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    'controller',
  );
  const terminalErrors = counter(
    'controller_runtime_terminal_reconcile_errors_total',
    'Passes that ended with what only a person or another spec can mend.',
    'controller',
  );
  const maxConcurrent = gauge(
    'controller_runtime_max_concurrent_reconciles',
    'How many pairs are worked on at a time at most.',
    'controller',
  );
  const activeWorkers = gauge('controller_runtime_active_workers', 'Pairs that are worked on.', 'controller');
  const queueDepth = gauge('workqueue_depth', 'Pairs that wait for a worker.', 'name');
  const queueSeconds = histogram(
    'workqueue_queue_duration_seconds',
    'How long pairs waited for a worker.',
    [0.001, 0.01, 0.1, 1, 10, 60],
    'name',
  );
  const workSeconds = histogram(
    'workqueue_work_duration_seconds',
    'How long pairs were worked on.',
    [0.001, 0.01, 0.1, 1, 10, 60, 300],
    'name',
  );
  const queueAdds = counter('workqueue_adds_total', 'Pairs that were put into the queue.', 'name');
  const queueRetries = counter('workqueue_retries_total', 'Pairs that are tried again sooner.', 'name');
  const unfinishedWork = gauge(
    'workqueue_unfinished_work_seconds',
    'For how long the pairs that are worked on have been, together.',
    'name',
  );
  const longestWork = gauge(
    'workqueue_longest_running_processor_seconds',
    'For how long the pair that is worked on longest has been.',
    'name',
  );
  const leaderStatus = gauge(
    'leader_election_master_status',
    'Whether this process leads by a lease: 1, or 0.',
    'name',
  );
  const conditionStatus = gauge(
    'replikey_condition',
    'Whether a condition of a pair is true (1), false (0) or not known (-1).',
    'pair',
    'type',
  );
  const lastSuccess = gauge(
    'replikey_last_success_timestamp_seconds',
    'When a pair was last seen to be as declared.',
    'pair',
  );
  const consecutiveErrors = gauge(
    'replikey_consecutive_errors',
    'Passes over a pair in a row that did not end well.',
    'pair',
  );
  const canaryLatency = histogram(
    'replikey_canary_latency_seconds',
    'How long the replica of a canary took.',
    [0.1, 1, 5, 15, 60, 300, 900],
    'pair',
  );
  const canaryFailures = counter('replikey_canary_failures_total', 'Canaries that did not arrive.', 'pair');
  const objectCount = gauge(
    'replikey_objects',
    'The newest objects of a pair, by replication status.',
    'pair',
    'status',
  );
  const oldestPending = gauge(
    'replikey_oldest_pending_object_timestamp_seconds',
    'When the oldest of the newest objects that wait for replication was written.',
    'pair',
  );
  const driftTotal = counter('replikey_drift_total', 'Changes by somebody else that were found.', 'pair');
  const reloadSuccess = gauge(
    'replikey_config_last_reload_successful',
    'Whether everything that is written is right: 1, or 0.',
  );
  const reloadSuccessTime = gauge(
    'replikey_config_last_reload_success_timestamp_seconds',
    'When everything that is written was last right.',
  );
  const awsRequests = counter('replikey_aws_requests_total', 'Attempts of calls to AWS.', 'operation');
  const awsThrottles = counter(
    'replikey_aws_throttles_total',
    'Attempts that AWS asked to repeat more slowly.',
    'operation',
  );
  gauge('replikey_build_info', 'The version that runs.', 'version').set({ version }, 1);
  for (const result of ['success', 'error', 'requeue'])
    reconcileTotal.inc({ ...CONTROLLER_LABELS, result }, 0);
  for (const metric of [reconcileErrors, terminalErrors]) metric.inc(CONTROLLER_LABELS, 0);
  maxConcurrent.set(CONTROLLER_LABELS, workers);

  /** By counter: the count at the last scrape. The AWS client and the queue keep their own counts. */
  const lastCounts = new Map<string, number>();
  const increaseOf = (counterKey: string, count: number): number => {
    const before = lastCounts.get(counterKey) ?? 0;
    lastCounts.set(counterKey, count);
    // A lower count comes from a new AWS client, after a change of accounts: it starts at zero.
    return count >= before ? count - before : count;
  };
  /** The pairs with counters. */
  const countedPairs = new Set<string>();
  const CONDITION_VALUES = { True: 1, False: 0, Unknown: -1 };

  function scrape(controller: Controller): void {
    const status = controller.status();
    activeWorkers.set(CONTROLLER_LABELS, status.queue.active);
    queueDepth.set({ name }, status.queue.depth);
    queueAdds.inc({ name }, increaseOf('', status.queue.adds));
    unfinishedWork.set({ name }, status.queue.unfinishedMs / 1000);
    longestWork.set({ name }, status.queue.longestMs / 1000);
    // Removes the metrics of removed pairs.
    const names = new Set(status.pairs.map((pair) => pair.name));
    for (const pair of countedPairs) {
      if (names.has(pair)) continue;
      countedPairs.delete(pair);
      for (const metric of [canaryLatency, canaryFailures, driftTotal]) metric.remove({ pair });
    }
    for (const metric of [conditionStatus, lastSuccess, consecutiveErrors, objectCount, oldestPending])
      metric.reset();
    for (const pair of status.pairs) {
      // Prometheus sees no increase if a counter first appears as 1: so each counter starts at 0.
      countedPairs.add(pair.name);
      for (const metric of [canaryFailures, driftTotal]) metric.inc({ pair: pair.name }, 0);
      for (const [type, { status: value }] of Object.entries(pair.conditions))
        conditionStatus.set({ pair: pair.name, type: type as ConditionType }, CONDITION_VALUES[value]);
      consecutiveErrors.set({ pair: pair.name }, pair.failures);
      if (pair.lastSuccess !== undefined)
        lastSuccess.set({ pair: pair.name }, Date.parse(pair.lastSuccess) / 1000);
      for (const [status, count] of Object.entries(pair.objects?.byStatus ?? {}))
        objectCount.set({ pair: pair.name, status }, count);
      if (pair.objects?.oldestPending !== undefined)
        oldestPending.set({ pair: pair.name }, Date.parse(pair.objects.oldestPending) / 1000);
    }
    for (const [operation, count] of Object.entries(status.calls.byOperation))
      awsRequests.inc({ operation }, increaseOf(operation, count));
  }

  return {
    observer: {
      onReconcile({ result, ms, waitedMs }) {
        reconcileTotal.inc({ ...CONTROLLER_LABELS, result });
        if (result === 'error') {
          reconcileErrors.inc(CONTROLLER_LABELS);
          queueRetries.inc({ name });
        }
        if (result === 'requeue') terminalErrors.inc(CONTROLLER_LABELS);
        reconcileSeconds.observe(CONTROLLER_LABELS, ms / 1000);
        workSeconds.observe({ name }, ms / 1000);
        queueSeconds.observe({ name }, waitedMs / 1000);
      },
      onDrift(pair) {
        countedPairs.add(pair);
        driftTotal.inc({ pair });
      },
      onVerify({ key, latencyMs, failures }) {
        countedPairs.add(key);
        for (const ms of latencyMs) canaryLatency.observe({ pair: key }, ms / 1000);
        canaryFailures.inc({ pair: key }, failures);
      },
      onReload(ok) {
        reloadSuccess.set(ok ? 1 : 0);
        if (ok) reloadSuccessTime.setToCurrentTime();
      },
    },
    countThrottle: (operation) => awsThrottles.inc({ operation }),
    setLeader: (lease, leads) => leaderStatus.set({ name: lease }, leads ? 1 : 0),
    contentType: registry.contentType,
    render(controller) {
      scrape(controller);
      return registry.metrics();
    },
  };
}
