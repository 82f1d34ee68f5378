import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Controller, Observer } from './controller.ts';
import type { ConditionType } from './status.ts';

/** What Prometheus scrapes. Names are those of controller-runtime where it has one for the same thing. */
export interface Metrics {
  observer: Required<Observer>;
  /** Told of each attempt that AWS asked to slow down. */
  throttled(operation: string): void;
  leads(lease: string, leads: boolean): void;
  /** As text, of how things stand now. */
  text(controller: Controller): Promise<string>;
  contentType: string;
}

export interface MetricsOptions {
  version: string;
  /** Of the queue. */
  name: string;
  workers: number;
}

const CONTROLLER = { controller: 'bucketreplication' };

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

  const reconciles = counter(
    'controller_runtime_reconcile_total',
    'Passes over pairs, by how they ended.',
    'controller',
    'result',
  );
  const errors = counter(
    'controller_runtime_reconcile_errors_total',
    'Passes that ended with an error.',
    'controller',
  );
  const seconds = histogram(
    'controller_runtime_reconcile_time_seconds',
    'How long a pass took.',
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    'controller',
  );
  const terminal = counter(
    'controller_runtime_terminal_reconcile_errors_total',
    'Passes that ended with what only a person or another spec can mend.',
    'controller',
  );
  const most = gauge(
    'controller_runtime_max_concurrent_reconciles',
    'How many pairs are worked on at a time at most.',
    'controller',
  );
  const active = gauge('controller_runtime_active_workers', 'Pairs that are worked on.', 'controller');
  const depth = gauge('workqueue_depth', 'Pairs that wait for a worker.', 'name');
  const waited = histogram(
    'workqueue_queue_duration_seconds',
    'How long pairs waited for a worker.',
    [0.001, 0.01, 0.1, 1, 10, 60],
    'name',
  );
  const worked = histogram(
    'workqueue_work_duration_seconds',
    'How long pairs were worked on.',
    [0.001, 0.01, 0.1, 1, 10, 60, 300],
    'name',
  );
  const adds = counter('workqueue_adds_total', 'Pairs that were put into the queue.', 'name');
  const retries = counter('workqueue_retries_total', 'Pairs that are tried again sooner.', 'name');
  const unfinished = gauge(
    'workqueue_unfinished_work_seconds',
    'For how long the pairs that are worked on have been, together.',
    'name',
  );
  const longest = gauge(
    'workqueue_longest_running_processor_seconds',
    'For how long the pair that is worked on longest has been.',
    'name',
  );
  const leader = gauge(
    'leader_election_master_status',
    'Whether this process leads by a lease: 1, or 0.',
    'name',
  );
  const condition = gauge(
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
  const failures = gauge(
    'replikey_consecutive_errors',
    'Passes over a pair in a row that did not end well.',
    'pair',
  );
  const latency = histogram(
    'replikey_canary_latency_seconds',
    'How long the replica of a canary took.',
    [0.1, 1, 5, 15, 60, 300, 900],
    'pair',
  );
  const failed = counter('replikey_canary_failures_total', 'Canaries that did not arrive.', 'pair');
  const objects = gauge(
    'replikey_objects',
    'The newest objects of a pair, by replication status.',
    'pair',
    'status',
  );
  const pending = gauge(
    'replikey_oldest_pending_object_timestamp_seconds',
    'When the oldest of the newest objects that wait for replication was written.',
    'pair',
  );
  const drifted = counter('replikey_drift_total', 'Changes by somebody else that were found.', 'pair');
  const reload = gauge(
    'replikey_config_last_reload_successful',
    'Whether everything that is written is right: 1, or 0.',
  );
  const reloadAt = gauge(
    'replikey_config_last_reload_success_timestamp_seconds',
    'When everything that is written was last right.',
  );
  const calls = counter('replikey_aws_requests_total', 'Attempts of calls to AWS.', 'operation');
  const throttles = counter(
    'replikey_aws_throttles_total',
    'Attempts that AWS asked to repeat more slowly.',
    'operation',
  );
  gauge('replikey_build_info', 'The version that runs.', 'version').set({ version }, 1);
  for (const result of ['success', 'error', 'requeue']) reconciles.inc({ ...CONTROLLER, result }, 0);
  for (const one of [errors, terminal]) one.inc(CONTROLLER, 0);
  most.set(CONTROLLER, workers);

  /** What was counted of it at the last scrape: a door and a queue count on their own. */
  const counted = new Map<string, number>();
  const since = (what: string, count: number): number => {
    const before = counted.get(what) ?? 0;
    counted.set(what, count);
    // Other accounts, another door: it begins anew.
    return count >= before ? count - before : count;
  };
  /** Those that something was counted of. */
  const pairs = new Set<string>();
  const VALUES = { True: 1, False: 0, Unknown: -1 };

  function scrape(controller: Controller): void {
    const now = controller.status();
    active.set(CONTROLLER, now.queue.active);
    depth.set({ name }, now.queue.depth);
    adds.inc({ name }, since('', now.queue.adds));
    unfinished.set({ name }, now.queue.unfinishedMs / 1000);
    longest.set({ name }, now.queue.longestMs / 1000);
    // A pair that is gone leaves no number behind.
    const names = new Set(now.pairs.map((pair) => pair.name));
    for (const pair of pairs) {
      if (names.has(pair)) continue;
      pairs.delete(pair);
      for (const one of [latency, failed, drifted]) one.remove({ pair });
    }
    for (const one of [condition, lastSuccess, failures, objects, pending]) one.reset();
    for (const pair of now.pairs) {
      // From nothing to one is no increase, as Prometheus counts: so it begins with none.
      pairs.add(pair.name);
      for (const one of [failed, drifted]) one.inc({ pair: pair.name }, 0);
      for (const [type, { status: is }] of Object.entries(pair.conditions))
        condition.set({ pair: pair.name, type: type as ConditionType }, VALUES[is]);
      failures.set({ pair: pair.name }, pair.failures);
      if (pair.lastSuccess !== undefined)
        lastSuccess.set({ pair: pair.name }, Date.parse(pair.lastSuccess) / 1000);
      for (const [status, count] of Object.entries(pair.objects?.byStatus ?? {}))
        objects.set({ pair: pair.name, status }, count);
      if (pair.objects?.oldestPending !== undefined)
        pending.set({ pair: pair.name }, Date.parse(pair.objects.oldestPending) / 1000);
    }
    for (const [operation, count] of Object.entries(now.calls.byOperation))
      calls.inc({ operation }, since(operation, count));
  }

  return {
    observer: {
      reconciled({ result, ms, waitedMs }) {
        reconciles.inc({ ...CONTROLLER, result });
        if (result === 'error') {
          errors.inc(CONTROLLER);
          retries.inc({ name });
        }
        if (result === 'requeue') terminal.inc(CONTROLLER);
        seconds.observe(CONTROLLER, ms / 1000);
        worked.observe({ name }, ms / 1000);
        waited.observe({ name }, waitedMs / 1000);
      },
      drifted(pair) {
        pairs.add(pair);
        drifted.inc({ pair });
      },
      verified({ key, latencyMs, failed: bad }) {
        pairs.add(key);
        for (const ms of latencyMs) latency.observe({ pair: key }, ms / 1000);
        failed.inc({ pair: key }, bad);
      },
      reloaded(ok) {
        reload.set(ok ? 1 : 0);
        if (ok) reloadAt.setToCurrentTime();
      },
    },
    throttled: (operation) => throttles.inc({ operation }),
    leads: (lease, leads) => leader.set({ name: lease }, leads ? 1 : 0),
    contentType: registry.contentType,
    text(controller) {
      scrape(controller);
      return registry.metrics();
    },
  };
}
