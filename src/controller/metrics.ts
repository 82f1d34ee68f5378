import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { JOB_STATES, type JobStatus } from '../core/resource.ts';
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
    'Passes over pairs, by result.',
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
    'Duration of a pass in seconds.',
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    'controller',
  );
  const terminalErrors = counter(
    'controller_runtime_terminal_reconcile_errors_total',
    'Passes that ended with an error that needs a person or a changed spec.',
    'controller',
  );
  const maxConcurrent = gauge(
    'controller_runtime_max_concurrent_reconciles',
    'Maximum number of pairs that are processed concurrently.',
    'controller',
  );
  const activeWorkers = gauge('controller_runtime_active_workers', 'Pairs in progress.', 'controller');
  const queueDepth = gauge('workqueue_depth', 'Pairs in the queue.', 'name');
  const queueSeconds = histogram(
    'workqueue_queue_duration_seconds',
    'Time that a pair waited in the queue, in seconds.',
    [0.001, 0.01, 0.1, 1, 10, 60],
    'name',
  );
  const workSeconds = histogram(
    'workqueue_work_duration_seconds',
    'Time that a worker spent on a pair, in seconds.',
    [0.001, 0.01, 0.1, 1, 10, 60, 300],
    'name',
  );
  const queueAdds = counter('workqueue_adds_total', 'Pairs that were added to the queue.', 'name');
  const queueRetries = counter(
    'workqueue_retries_total',
    'Retries of pairs before the next interval.',
    'name',
  );
  const unfinishedWork = gauge(
    'workqueue_unfinished_work_seconds',
    'Sum of the running times of the pairs in progress, in seconds.',
    'name',
  );
  const longestWork = gauge(
    'workqueue_longest_running_processor_seconds',
    'Longest running time of a pair in progress, in seconds.',
    'name',
  );
  const leaderStatus = gauge(
    'leader_election_master_status',
    'Whether this process holds a lease: 1 or 0.',
    'name',
  );
  const conditionStatus = gauge(
    'replikey_condition',
    'Status of a condition of a pair: 1 (true), 0 (false) or -1 (unknown).',
    'pair',
    'type',
  );
  const lastSuccess = gauge(
    'replikey_last_success_timestamp_seconds',
    'Unix time of the last pass after which a pair was as declared.',
    'pair',
  );
  const consecutiveErrors = gauge(
    'replikey_consecutive_errors',
    'Consecutive passes over a pair without success.',
    'pair',
  );
  const canaryLatency = histogram(
    'replikey_canary_latency_seconds',
    'Time until the replica of a canary arrived, in seconds.',
    [0.1, 1, 5, 15, 60, 300, 900],
    'pair',
  );
  const canaryFailures = counter(
    'replikey_canary_failures_total',
    'Canaries that failed or timed out.',
    'pair',
  );
  const objectCount = gauge(
    'replikey_objects',
    'Objects in the sample of newest objects of a pair, by replication status.',
    'pair',
    'status',
  );
  const oldestPending = gauge(
    'replikey_oldest_pending_object_timestamp_seconds',
    'Unix time at which the oldest pending object of the sample was written.',
    'pair',
  );
  const operationsFailed = counter(
    'replikey_operations_failed_total',
    'Failed replication operations that CloudWatch reported since this process started.',
    'pair',
    'rule',
  );
  const failedOperations = gauge(
    'replikey_failed_operations',
    'Operations of a pair that failed in the last 24 hours, by its metrics.',
    'pair',
  );
  const failedSince = gauge(
    'replikey_failed_operations_since_timestamp_seconds',
    'Unix time of the start of the first metric period with a failure in the last 24 hours.',
    'pair',
  );
  const replicationLatency = gauge(
    'replikey_replication_latency_seconds',
    'Largest replication latency of the last 15 minutes, in seconds.',
    'pair',
    'rule',
  );
  const bytesPending = gauge(
    'replikey_bytes_pending',
    'Largest number of bytes pending replication in the last 15 minutes.',
    'pair',
    'rule',
  );
  const operationsPending = gauge(
    'replikey_operations_pending',
    'Largest number of operations pending replication in the last 15 minutes.',
    'pair',
    'rule',
  );
  const metricsReadable = gauge(
    'replikey_replication_metrics_readable',
    'Whether the last read of the CloudWatch metrics of a pair succeeded: 1 or 0.',
    'pair',
  );
  const retainedStatements = gauge(
    'replikey_retained_statements',
    'Replaced permissions of a pair that stay for objects in flight.',
    'pair',
  );
  const retainedExpiry = gauge(
    'replikey_retained_first_expiry_timestamp_seconds',
    'Unix time after which the first replaced permission of a pair is removed.',
    'pair',
  );
  const backfillObjects = gauge(
    'replikey_backfill_objects',
    'Objects of the backfill of a pair: `succeeded`, `failed`, and those that S3 has not tried yet (`remaining`).',
    'pair',
    'state',
  );
  const backfillJobs = gauge(
    'replikey_backfill_jobs',
    'Backfills of a pair, by the state of their jobs: every state has a value.',
    'pair',
    'state',
  );
  const driftTotal = counter(
    'replikey_drift_total',
    'Changes outside replikey that a pass detected.',
    'pair',
  );
  const failureEvents = counter(
    'replikey_failure_events_total',
    'Failure events of S3, by reason; without a pair for rules that no spec declares.',
    'pair',
    'reason',
  );
  const changeEvents = counter(
    'replikey_change_events_total',
    'Change events of CloudTrail, by what follows: `pass`, or none (`stale`, `own`, `failed`, `unrelated`).',
    'result',
  );
  const changeEventAge = histogram(
    'replikey_change_event_age_seconds',
    'Time from a change that starts a pass to the arrival of its event, in seconds.',
    [1, 2, 5, 10, 30, 60, 300, 900],
  );
  const reloadSuccess = gauge(
    'replikey_config_last_reload_successful',
    'Whether all current specs are valid: 1 or 0.',
  );
  const reloadSuccessTime = gauge(
    'replikey_config_last_reload_success_timestamp_seconds',
    'Unix time of the last load in which all specs were valid.',
  );
  const awsRequests = counter('replikey_aws_requests_total', 'Attempts of AWS calls.', 'operation');
  const awsThrottles = counter(
    'replikey_aws_throttles_total',
    'Attempts of AWS calls that AWS throttled.',
    'operation',
  );
  gauge('replikey_build_info', 'Version of this process.', 'version').set({ version }, 1);
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
  /** The reasons of failure events, by pair. */
  const reasonsByPair = new Map<string, Set<string>>();
  /** The rules with values of CloudWatch, by pair. */
  const measuredRules = new Map<string, string[]>();
  /** Replaces the measured rules of a pair: removes all values of other rules. */
  const setRules = (pair: string, rules: string[]): void => {
    for (const rule of measuredRules.get(pair) ?? [])
      if (!rules.includes(rule))
        for (const metric of [operationsFailed, replicationLatency, bytesPending, operationsPending])
          metric.remove({ pair, rule });
    if (rules.length === 0) measuredRules.delete(pair);
    else measuredRules.set(pair, rules);
  };
  /** Sets a gauge; without a value, removes its series: no data is not zero. */
  const setOrRemove = (metric: Gauge, labels: Record<string, string>, value: number | undefined): void => {
    if (value === undefined) metric.remove(labels);
    else metric.set(labels, value);
  };
  function setBackfill(pair: string, jobs: readonly JobStatus[]): void {
    for (const state of JOB_STATES)
      backfillJobs.set({ pair, state }, jobs.filter((job) => job.state === state).length);
    // While S3 lists the objects, their number is not known, which is not 0.
    if (jobs.every(({ total }) => total === undefined)) return;
    const sum = (countOf: (job: JobStatus) => number) => jobs.reduce((count, job) => count + countOf(job), 0);
    const counts = {
      succeeded: sum(({ succeeded }) => succeeded),
      failed: sum(({ failed }) => failed),
      remaining: sum(({ total, succeeded, failed }) => Math.max(0, (total ?? 0) - succeeded - failed)),
    };
    for (const [state, count] of Object.entries(counts)) backfillObjects.set({ pair, state }, count);
  }

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
      for (const reason of reasonsByPair.get(pair) ?? []) failureEvents.remove({ pair, reason });
      reasonsByPair.delete(pair);
      setRules(pair, []);
    }
    for (const metric of [
      conditionStatus,
      lastSuccess,
      consecutiveErrors,
      objectCount,
      oldestPending,
      metricsReadable,
      retainedStatements,
      retainedExpiry,
      failedOperations,
      failedSince,
      backfillObjects,
      backfillJobs,
    ])
      metric.reset();
    for (const pair of status.pairs) {
      // Prometheus sees no increase if a counter first appears as 1: so each counter starts at 0.
      countedPairs.add(pair.name);
      for (const metric of [canaryFailures, driftTotal]) metric.inc({ pair: pair.name }, 0);
      for (const [type, { status: value }] of Object.entries(pair.conditions))
        conditionStatus.set({ pair: pair.name, type: type as ConditionType }, CONDITION_VALUES[value]);
      consecutiveErrors.set({ pair: pair.name }, pair.failures);
      retainedStatements.set({ pair: pair.name }, pair.retained?.statements ?? 0);
      if (pair.retained?.firstExpiry !== undefined)
        retainedExpiry.set({ pair: pair.name }, Date.parse(pair.retained.firstExpiry) / 1000);
      if (pair.lastSuccess !== undefined)
        lastSuccess.set({ pair: pair.name }, Date.parse(pair.lastSuccess) / 1000);
      if (pair.replication && pair.replication.state !== 'notEnabled')
        metricsReadable.set({ pair: pair.name }, pair.replication.state === 'unreadable' ? 0 : 1);
      const { failed, failedSince: since } = pair.replication ?? {};
      if (failed !== undefined) failedOperations.set({ pair: pair.name }, failed);
      if (since !== undefined) failedSince.set({ pair: pair.name }, Date.parse(since) / 1000);
      if (pair.jobs) setBackfill(pair.name, pair.jobs);
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
      onFailureEvent({ pair, reason }) {
        if (pair !== '') countedPairs.add(pair);
        reasonsByPair.set(pair, (reasonsByPair.get(pair) ?? new Set()).add(reason));
        failureEvents.inc({ pair, reason });
      },
      onChangeEvent({ result, ageMs }) {
        changeEvents.inc({ result });
        if (result === 'pass') changeEventAge.observe(ageMs / 1000);
      },
      onMetrics({ key: pair, rules }) {
        countedPairs.add(pair);
        setRules(
          pair,
          rules.map(({ rule }) => rule),
        );
        for (const { rule, newFailures, latencySeconds, pendingBytes, pendingOperations } of rules) {
          if (newFailures !== undefined) operationsFailed.inc({ pair, rule }, newFailures);
          setOrRemove(replicationLatency, { pair, rule }, latencySeconds);
          setOrRemove(bytesPending, { pair, rule }, pendingBytes);
          setOrRemove(operationsPending, { pair, rule }, pendingOperations);
        }
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
