import type { AwsClient } from '../aws/client.ts';
import type { CloudTrailModule } from '../aws/cloudtrail.ts';
import { runCanaries } from '../canary/canary.ts';
import { desiredResources } from '../core/desired.ts';
import type { Thresholds } from '../core/guard.ts';
import { JOB_PROBLEMS } from '../core/job-status.ts';
import type { Kind } from '../core/kind.ts';
import type { Id, JobStatus, PlanTarget } from '../core/resource.ts';
import { measureReplicationLag } from '../facts/object-sample.ts';
import { createDedupedLog, type Log } from '../log.ts';
import type { Outcome } from '../reconcile/pass.ts';
import { createPropagation } from '../reconcile/propagation.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import { formatProblemLine, formatProblems } from '../spec/format-problems.ts';
import { type Selection, selectionProblems } from '../spec/select.ts';
import type { ChangeLimits, Problem, Specs } from '../spec/types.ts';
import type { VariableInput } from '../spec/variables.ts';
import { backoffMs, type Clock, withJitter } from '../util/clock.ts';
import { createKeyedMutex } from '../util/mutex.ts';
import { createAttributor } from './attribution.ts';
import { type ChangeResult, createChangeMonitor } from './change-monitor.ts';
import { isDrift } from './conditions.ts';
import type { QueueSource } from './event-queue.ts';
import { createFailureMonitor } from './failure-monitor.ts';
import { type LastKnownGood, selectLastKnownGood } from './last-known-good.ts';
import { createWorkQueue } from './queue.ts';
import { afterReplication } from './replicating.ts';
import { createReplicationReader, pairRulesOf, type RuleMeasurement } from './replication-reader.ts';
import type { SpecFiles } from './spec-watcher.ts';
import {
  afterAttribution,
  afterCanaries,
  afterError,
  afterEvents,
  afterPass,
  type ControllerStatus,
  declaredFields,
  formatLastChange,
  initialStatus,
  type PairStatus,
  type ProcessStatus,
} from './status.ts';
import { sharedResources, toWorkItems, type WorkItem } from './work-items.ts';

export interface ControllerOptions {
  kinds: ReadonlyMap<string, Kind>;
  /** Creates an AWS client for the accounts of the specs. The controller keeps it until the accounts change. */
  connect(specs: Specs): { aws: AwsClient; close(): void };
  /** The sources of values for the variables of the specs. */
  variableInput?: VariableInput;
  clock: Clock;
  /** Returns a number from 0 up to, but not including, 1. */
  random: () => number;
  log: Log;
  /** Milliseconds between two passes over a pair that is ready. */
  intervalMs: number;
  /** Milliseconds between canaries; absent: no canaries. */
  verifyIntervalMs?: number;
  /** Milliseconds between two reads of the metrics of all pairs; absent: they are not read. */
  metricsIntervalMs?: number;
  /** Number of pages of 1,000 versions to list under each prefix for the sample of newest objects; default: 1. */
  samplePages?: number;
  /** Maximum number of pairs reconciled concurrently. */
  workers: number;
  /** How long to wait until AWS returns written values, in milliseconds. */
  waitMs: number;
  allow: readonly string[];
  allowUnproven: boolean;
  /** Name of the account that reads the organization; absent: control policies are not read. */
  organizationAccount?: string | undefined;
  thresholds(limits: ChangeLimits): Thresholds;
  /** Overrides the drain of all specs, in milliseconds. */
  drainMs?: number;
  /** Time before rules depend on changed permissions, in milliseconds; default: no wait. */
  propagationWaitMs?: number;
  /** Test the changed rules of all specs with canaries, in place of those with `rollout: canary`. */
  canaryFirst?: boolean;
  /**
   * Whether this process may write to this pair now, as its leader. Checked before every attempt of every call that
   * writes.
   */
  isLeaderFor(item: WorkItem): boolean;
  /** Returns the role of this process in leader election; default: `single`. */
  role?(): Pick<ProcessStatus, 'role' | 'leases'>;
  /** Loads the CloudTrail client when the first drift needs it; absent: drift is not attributed. */
  loadCloudTrail?(): Promise<Pick<CloudTrailModule, 'lookUp'>>;
  /** The queues of failure events; absent: none. */
  failures?: QueueSource;
  /** The queues of change events; absent: none. */
  changes?: QueueSource;
  /** Whether this process handles this pair at all. */
  isAssigned?(item: WorkItem): boolean;
  /** The selection of `isAssigned`. A selection that matches no spec is a problem, like an invalid spec. */
  selection?: Selection;
  /** Whether the controller handles no pair before the selection is valid for the first time. */
  requireSelection?: boolean;
  observer?: ControllerObserver;
  /** Receives the status of a pair after each update. */
  onStatusUpdate?: (after: PairStatus, before: PairStatus) => void;
  /** Aborts when the process must stop: then the controller starts no further change. */
  signal?: AbortSignal;
}

/** Receives events of the controller, for metrics. */
export interface ControllerObserver {
  onReconcile?(event: {
    key: string;
    result: 'success' | 'error' | 'requeue';
    ms: number;
    waitedMs: number;
  }): void;
  onVerify?(event: { key: string; latencyMs: number[]; failures: number }): void;
  onMetrics?(event: { key: string; rules: RuleMeasurement[] }): void;
  /** A caller other than replikey changed a resource of a pair. */
  onDrift?(key: string): void;
  onReload?(ok: boolean): void;
  /** S3 reported an event of replication; `pair` is empty if no spec declares its rule. */
  onFailureEvent?(event: { pair: string; reason: string }): void;
  /** A change event arrived. `ageMs`: the time since the change. */
  onChangeEvent?(event: { result: ChangeResult; ageMs: number }): void;
}

/** States in which a batch job proceeds without a change, and the interval of a pair with such a job. */
const OPEN_JOB_STATES: ReadonlySet<JobStatus['state']> = new Set(['notStarted', 'preparing', 'inProgress']);
const OPEN_JOB_INTERVAL_MS = 300_000;

/** Time after an expiry at which the controller removes the permission, so that the clock of AWS has passed it. */
const EXPIRY_MARGIN_MS = 1_000;

export interface Controller {
  /**
   * Takes the current spec files. Reports their problems and keeps the last known good version of an invalid file.
   * Updates take effect in the order of their calls.
   */
  update(specFiles: SpecFiles): Promise<void>;
  /** Queues every pair for a pass now, and determines again which pairs are assigned to this process. */
  resync(): void;
  /** Starts no further work, and waits for the work in flight. */
  drain(): Promise<void>;
  status(): ControllerStatus;
}

/**
 * Keeps AWS as declared until it is drained. Reconciles each pair as a whole, at intervals and whenever its spec
 * changes. A failing or slow pair delays no other pair.
 */
export function createController(options: ControllerOptions): Controller {
  const { kinds, clock, random, log } = options;
  const statuses = new Map<string, PairStatus>();
  const mutex = createKeyedMutex();
  const propagation = createPropagation({ clock, waitMs: options.propagationWaitMs ?? 0 });
  const nowIso = () => new Date(clock.now()).toISOString();
  /** By pair: the start time of the last pass that found the pair as declared. */
  const lastConvergedAt = new Map<string, number>();
  let knownGood: LastKnownGood | undefined;
  let problems: Problem[] = [];
  let declaredItems = new Map<string, WorkItem>();
  let items = new Map<string, WorkItem>();
  let sharedIds = new Map<string, Id[]>();
  let connection: { aws: AwsClient; close(): void; accounts: string } | undefined;
  /** What the passes on this connection have verified. */
  let target: Pick<PlanTarget, 'accounts' | 'endpoint'> | undefined;
  const startedAt = nowIso();
  let lastActivity = clock.now();
  let isSynced = false;
  let lastUpdate = Promise.resolve();

  const warnings = createDedupedLog({
    clock,
    windowMs: 60_000,
    write: (cause, subjects, count) =>
      log.warn(
        { pairs: subjects.length > 20 ? [...subjects.slice(0, 20), '…'] : subjects },
        count > 1 ? `${cause} (${count} times)` : cause,
      ),
  });
  const queue = createWorkQueue({ clock, workers: options.workers, work: reconcileItem });
  const verifyQueue = createWorkQueue({ clock, workers: 4, work: verifyItem });
  const changeMonitor =
    options.changes &&
    createChangeMonitor({
      ...options,
      ...options.changes,
      client: () => clientFor(currentSpecs()),
      specs: () => knownGood?.specs,
      items: () => ({ declared: declaredItems, assigned: items }),
      accountIdOf,
      statusOf: (pair) => statuses.get(pair),
      requestPass: queue.addAfter,
      onCondition(pair, condition) {
        const before = statuses.get(pair);
        const after = before && afterEvents(before, condition, nowIso());
        if (after && after !== before) setStatus(pair, after);
      },
      onEvent: (event) => options.observer?.onChangeEvent?.(event),
    });
  const { loadCloudTrail } = options;
  const receivedEvents = changeMonitor?.receivedEvents;
  const attributor =
    loadCloudTrail &&
    createAttributor({
      kinds,
      clock,
      log,
      loadCloudTrail,
      receivedEvents,
      client: () => clientFor(currentSpecs()),
      onAttributed(key, id, change) {
        const before = statuses.get(key);
        if (!before) return;
        log.info({ pair: key, id }, `${id}: ${formatLastChange(change)}`);
        setStatus(key, afterAttribution(before, id, change));
        failureMonitor?.markReverted(key);
      },
    });

  const failureMonitor =
    options.failures &&
    createFailureMonitor({
      ...options,
      ...options.failures,
      receivedEvents,
      client: () => clientFor(currentSpecs()),
      specs: () => knownGood?.specs,
      items: () => ({ declared: declaredItems, assigned: items }),
      statusOf: (pair) => statuses.get(pair),
      onBursts(pair, failureBursts) {
        const before = statuses.get(pair);
        if (before) setStatus(pair, afterReplication(before, { failureBursts }, nowIso()));
      },
      requestPass: (pair) => queue.add(pair),
      onEvent: (event) => options.observer?.onFailureEvent?.(event),
    });

  const reader =
    options.metricsIntervalMs === undefined
      ? undefined
      : createReplicationReader({
          clock,
          random,
          log,
          intervalMs: options.metricsIntervalMs,
          client: () => clientFor(currentSpecs()),
          rulesByPair: () =>
            new Map(
              [...items].map(([key, { pairs }]) => [key, pairRulesOf(pairs, statuses.get(key)?.proof ?? [])]),
            ),
          onRead(key, metrics, rules) {
            const before = statuses.get(key);
            if (!before) return;
            const after = afterReplication(before, { replication: metrics }, metrics.at);
            logReplicating(before, after);
            setStatus(key, after);
            options.observer?.onMetrics?.({ key, rules });
          },
        });

  async function reconcileItem(key: string, { waitedMs }: { waitedMs: number }): Promise<void> {
    lastActivity = clock.now();
    const item = items.get(key);
    const before = statuses.get(key);
    if (!item || !before) return;
    const startedMonotonic = clock.monotonicNow();
    const passStartedAt = clock.now();
    const { status: after, outcome } = await runPass(item, before);
    lastActivity = clock.now();
    // The pair may have been removed meanwhile. A changed pair is queued again anyway.
    if (!items.has(key)) return;
    if (outcome)
      changeMonitor?.recordPass({
        pair: key,
        // The responses of the pass tell the time of AWS.
        startedAt: clientFor(currentSpecs()).now() - (clock.monotonicNow() - startedMonotonic),
        startedMonotonic,
        outcome,
        status: after,
      });
    if (after.retry === 'none') lastConvergedAt.set(key, passStartedAt);
    const intervalMs = withJitter(intervalMsOf(after), random());
    const delayMs =
      after.retry === 'recoverable'
        ? Math.min(backoffMs(after.failures, random()), intervalMs)
        : Math.min(untilFirstExpiryMs(after), intervalMs);
    const nextRun = new Date(clock.now() + delayMs).toISOString();
    setStatus(key, withEvents({ ...after, nextRun }));
    failureMonitor?.markReverted(key);
    const result = after.retry === 'none' ? 'success' : after.retry === 'terminal' ? 'requeue' : 'error';
    options.observer?.onReconcile?.({ key, result, ms: clock.monotonicNow() - startedMonotonic, waitedMs });
    queue.addAfter(key, delayMs);
  }

  /** Returns the interval of a pair. No change event reports the progress of a batch job. */
  const intervalMsOf = ({ jobs = [] }: PairStatus): number =>
    options.changes && jobs.some(({ state }) => OPEN_JOB_STATES.has(state))
      ? Math.min(options.intervalMs, OPEN_JOB_INTERVAL_MS)
      : options.intervalMs;

  /** Returns the time until the first retained permission of a pair has expired, by the clock of AWS. */
  function untilFirstExpiryMs({ retained }: PairStatus): number {
    if (retained?.firstExpiry === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(0, Date.parse(retained.firstExpiry) - clientFor(currentSpecs()).now()) + EXPIRY_MARGIN_MS;
  }

  function setStatus(key: string, after: PairStatus): void {
    const before = statuses.get(key) ?? after;
    statuses.set(key, after);
    updateIsSynced();
    options.onStatusUpdate?.(after, before);
  }

  function updateIsSynced(): void {
    isSynced ||= [...statuses.values()].every(({ lastRun }) => lastRun !== undefined);
  }

  /** Returns a client that checks the leadership of a pair before each write. */
  const fence = (aws: AwsClient, item: WorkItem, onLost = () => {}): AwsClient =>
    aws.fenced(() => {
      if (options.isLeaderFor(item)) return;
      onLost();
      throw new LeaseLostError(item.key);
    });

  /** Runs a dry run first. If AWS differs, acquires the locks of shared resources, reads again and applies. */
  async function runPass(
    item: WorkItem,
    before: PairStatus,
  ): Promise<{ status: PairStatus; outcome?: Outcome }> {
    /** Returns the current status, which canaries or an update of the spec may have changed during the pass. */
    const latestStatus = () => statuses.get(item.key) ?? before;
    try {
      const preview = await reconcileOnce(item, true);
      const differs = preview.plan.waves.length + preview.plan.housekeeping.length > 0;
      const outcome = differs && options.isLeaderFor(item) ? await applyExclusively(item) : preview;
      const after = afterPass(latestStatus(), outcome, item, nowIso());
      logTransition(before, after, outcome);
      requestAttribution(after, outcome);
      return { status: after, outcome };
    } catch (error) {
      // An error after the stop signal is not a failure.
      if (options.signal?.aborted) return { status: latestStatus() };
      const message = error instanceof Error ? error.message : String(error);
      warnings.add(toWarningCause(message), item.key);
      return { status: afterError(latestStatus(), message, item.generation, nowIso()) };
    }
  }

  /** Requests the attribution of drift, for the resources without a known last change. */
  function requestAttribution({ name, changes: [change] }: PairStatus, { plan }: Outcome): void {
    const since = lastConvergedAt.get(name);
    if (change?.cause !== 'drift' || since === undefined) return;
    const attributedIds = new Set(change.steps.flatMap(({ id, lastChange }) => (lastChange ? id : [])));
    const steps = plan.waves.flat().filter(({ id }) => !attributedIds.has(id));
    attributor?.enqueue(name, steps, { since, until: Date.parse(change.at) });
  }

  async function applyExclusively(item: WorkItem): Promise<Outcome> {
    const release = await mutex.acquire(sharedIds.get(item.key) ?? []);
    try {
      return await reconcileOnce(item, false);
    } finally {
      release();
    }
  }

  async function reconcileOnce(item: WorkItem, dryRun: boolean): Promise<Outcome> {
    const specs = currentSpecs();
    const outcome = await reconcile(
      { ...specs, pairs: item.pairs },
      {
        kinds,
        aws: fence(clientFor(specs), item),
        allowedRisks: options.allow,
        allowUnproven: options.allowUnproven,
        organizationAccount: options.organizationAccount,
        thresholds: options.thresholds(specs.limits),
        propagationTimeoutMs: options.waitMs,
        propagation,
        canaryFirst: options.canaryFirst ?? false,
        ...(options.drainMs === undefined ? {} : { drainMs: options.drainMs }),
        dryRun,
        // A pass that waits for S3 is alive.
        onEvent: () => {
          lastActivity = clock.now();
        },
        ...(options.signal && { signal: options.signal }),
      },
    );
    const { accounts, endpoint } = outcome.plan.target;
    target = { endpoint, accounts: { ...target?.accounts, ...accounts } };
    return outcome;
  }

  async function verifyItem(key: string): Promise<void> {
    const item = items.get(key);
    const before = statuses.get(key);
    if (!item || !before || options.verifyIntervalMs === undefined) return;
    verifyQueue.addAfter(key, withJitter(options.verifyIntervalMs, random()));
    // A canary is an object: only the leader writes canaries, and only for a pair that is ready.
    if (!options.isLeaderFor(item) || before.conditions.Ready.status !== 'True') return;
    const specs = currentSpecs();
    let isLeaseLost = false;
    const aws = fence(clientFor(specs), item, () => {
      isLeaseLost = true;
    });
    try {
      const canaryRuns = item.pairs.map((pair) =>
        runCanaries(pair, {
          aws,
          specs,
          allowedRisks: options.allow,
          timeoutMs: 15 * 60_000,
          onNotice: (line) => log.info({ pair: key }, line),
          ...(options.signal && { signal: options.signal }),
        }),
      );
      const results = (await Promise.all(canaryRuns)).flat();
      const objects = await measureReplicationLag(aws, item.pairs, options.samplePages).catch(
        (error: Error) => {
          warnings.add(`sample of newest objects: ${toWarningCause(error.message)}`, key);
          return undefined;
        },
      );
      const latest = statuses.get(key);
      // An interrupted run is no evidence about replication. The process may hold the lease again by now.
      if (!latest || options.signal?.aborted || !options.isLeaderFor(item) || isLeaseLost) return;
      setStatus(key, { ...afterCanaries(latest, results, nowIso()), ...(objects && { objects }) });
      options.observer?.onVerify?.({
        key,
        latencyMs: results.flatMap(({ latencyMs }) => latencyMs ?? []),
        failures: results.filter(({ result }) => result === 'failed' || result === 'timeout').length,
      });
      for (const { result, why } of results)
        if (result === 'failed' || result === 'timeout' || result === 'refused')
          warnings.add(`canary: ${toWarningCause(why ?? result)}`, key);
    } catch (error) {
      if (options.signal?.aborted) return;
      warnings.add(`canary: ${toWarningCause(error instanceof Error ? error.message : String(error))}`, key);
    }
  }

  /** Logs one line for each change of state and one for each applied change. Without changes, logs nothing. */
  function logTransition(before: PairStatus, after: PairStatus, outcome: Outcome): void {
    const [readyBefore, readyAfter] = [before.conditions.Ready, after.conditions.Ready];
    for (const { id, action, result, why, leftBehind = [] } of outcome.results) {
      for (const { what, command } of leftBehind)
        log.warn({ pair: after.name, id }, `left behind: ${what}: ${command}`);
      if (result === 'applied') log.info({ pair: after.name, id }, `${action}d ${id}`);
      else if (result === 'failed') warnings.add(toWarningCause(why ?? ''), after.name);
    }
    if (
      readyAfter.status === 'False' &&
      (readyBefore.status !== 'False' || readyBefore.reason !== readyAfter.reason)
    )
      warnings.add(toWarningCause(`${readyAfter.reason}: ${readyAfter.message}`), after.name);
    if (readyAfter.status === 'True' && readyBefore.status !== 'True')
      log.info({ pair: after.name }, `ready: ${readyAfter.message}`);
    const driftedAfter = after.conditions.Drifted;
    if (driftedAfter.message !== before.conditions.Drifted.message && isDrift(driftedAfter)) {
      log.warn({ pair: after.name }, `drift: ${driftedAfter.message}`);
      options.observer?.onDrift?.(after.name);
    }
    logBackfill(before, after);
    if (after.conditions.Proven.status === 'False' && before.conditions.Proven.status !== 'False')
      warnings.add(`not proven: ${after.conditions.Proven.reason}`, after.name);
  }

  /** Logs one line when the state of a backfill changes. Its progress alone logs nothing. */
  function logBackfill({ conditions: { BackfillComplete: before } }: PairStatus, after: PairStatus): void {
    const { reason, message } = after.conditions.BackfillComplete ?? {};
    if (reason === undefined || reason === before?.reason) return;
    const isProblem = after.jobs?.some(({ state }) => JOB_PROBLEMS.has(state));
    log[isProblem ? 'warn' : 'info']({ pair: after.name }, `backfill: ${message}`);
  }

  /** Logs one line when operations begin to fail, or replicate again, or when the metrics become unreadable. */
  function logReplicating({ conditions: { Replicating: before } }: PairStatus, after: PairStatus): void {
    const { status, reason, message } = after.conditions.Replicating;
    if (status === before.status && reason === before.reason) return;
    if (status === 'False') log.warn({ pair: after.name }, `not replicating: ${message}`);
    else if (status === 'True' && before.status === 'False')
      log.info({ pair: after.name }, `replicating again: ${message}`);
    else if (reason === 'Unreadable') warnings.add(toWarningCause(message), after.name);
  }

  /** Replaces the work items by those of the specs that are assigned to this process. */
  function updateItems(specs: Specs): void {
    const allItems = toWorkItems(specs);
    const assignedItems = new Map([...allItems].filter(([, item]) => options.isAssigned?.(item) ?? true));
    const resources = desiredResources(specs.pairs, [...kinds.values()]);
    sharedIds = sharedResources(allItems, resources);
    for (const key of items.keys()) {
      if (assignedItems.has(key)) continue;
      queue.forget(key);
      verifyQueue.forget(key);
      statuses.delete(key);
      lastConvergedAt.delete(key);
      attributor?.forget(key);
      failureMonitor?.forget(key);
      changeMonitor?.forget(key);
      if (!allItems.has(key))
        log.info({ pair: key }, 'no longer declared: replikey leaves its AWS resources unchanged');
    }
    const previousItems = items;
    declaredItems = allItems;
    items = assignedItems;
    for (const [key, item] of assignedItems) {
      const previous = previousItems.get(key);
      const status = statuses.get(key);
      const enabled = {
        canaries: options.verifyIntervalMs !== undefined,
        metrics: reader !== undefined,
        events: changeMonitor !== undefined,
      };
      statuses.set(
        key,
        status ? { ...status, ...declaredFields(item) } : initialStatus(item, nowIso(), enabled),
      );
      if (previous?.generation === item.generation) continue;
      queue.add(key);
      if (options.verifyIntervalMs !== undefined && !previous)
        verifyQueue.addAfter(key, Math.round(options.verifyIntervalMs * random()));
    }
    changeMonitor?.update(resources);
    updateIsSynced();
    reader?.start();
  }

  /** Returns the id of an account by the name of its Account document: declared, or verified by a pass. */
  function accountIdOf(name = ''): string | undefined {
    return target?.accounts[name] ?? knownGood?.specs.accounts.find((account) => account.name === name)?.id;
  }

  /** Adds the condition `Events`, which a message of the queue may have changed during a pass. */
  const withEvents = (status: PairStatus): PairStatus =>
    changeMonitor ? afterEvents(status, changeMonitor.conditionOf(status.name), nowIso()) : status;

  function currentSpecs(): Specs {
    if (!knownGood) throw new Error('no valid spec has been loaded');
    return knownGood.specs;
  }

  /** Returns one client as long as the accounts are the same, and so keeps connections and credentials. */
  function clientFor(specs: Specs): AwsClient {
    const accounts = JSON.stringify(specs.accounts.map(({ positions: _, ...rest }) => rest));
    if (connection?.accounts === accounts) return connection.aws;
    // Calls in flight finish on the old connection.
    connection = { ...options.connect(specs), accounts };
    target = undefined;
    return connection.aws;
  }

  function logProblems(specProblems: readonly Problem[], usesKnownGood: boolean): void {
    if (specProblems.length === 0) log.info('all specs are valid again');
    else if (usesKnownGood)
      log.error({ problems: specProblems.length }, 'invalid specs: the last valid version stays in effect');
    for (const problem of specProblems) log.error({ ...problem.position }, formatProblemLine(problem));
  }

  async function updateSpecs(specFiles: SpecFiles): Promise<void> {
    const { variableInput, signal } = options;
    const next = await selectLastKnownGood(specFiles, knownGood, {
      ...(variableInput && { variableInput }),
      signal,
      nowMs: clock.now(),
    });
    const lastLogged = formatProblems(problems);
    const { specs } = 'specs' in next ? next : (knownGood ?? {});
    const unmatched = specs && options.selection ? selectionProblems(specs, options.selection) : [];
    problems = [...next.problems, ...unmatched];
    if (formatProblems(problems) !== lastLogged)
      logProblems(problems, next.problems.length > 0 && specs !== undefined);
    options.observer?.onReload?.(problems.length === 0);
    if (!('specs' in next)) return;
    if (options.requireSelection && unmatched.length > 0 && !knownGood) return;
    knownGood = next;
    updateItems(next.specs);
  }

  return {
    update(specFiles) {
      lastUpdate = lastUpdate
        .catch(() => undefined)
        .then(() => updateSpecs(specFiles))
        .catch((error: unknown) => {
          // A stopping controller needs no specs.
          if (!options.signal?.aborted) throw error;
        });
      return lastUpdate;
    },
    resync() {
      if (knownGood) updateItems(knownGood.specs);
      for (const key of items.keys()) queue.add(key);
    },
    async drain() {
      const background = [
        attributor?.drain(),
        reader?.drain(),
        failureMonitor?.drain(),
        changeMonitor?.drain(),
      ];
      await Promise.all([queue.drain(), verifyQueue.drain(), ...background]);
      warnings.close();
      connection?.close();
    },
    status() {
      const declaredAccounts = knownGood?.specs.accounts.map(({ name, id }) => [name, id]) ?? [];
      const { reads = 0, writes = 0, byOperation = new Map<string, number>() } = connection?.aws.calls ?? {};
      return {
        process: {
          startedAt,
          ...(target && { endpoint: target.endpoint }),
          accounts: { ...Object.fromEntries(declaredAccounts), ...target?.accounts },
          ...(options.role?.() ?? { role: 'single', leases: {} }),
        },
        pairs: [...statuses.values()],
        problems,
        queue: {
          depth: queue.depth,
          active: queue.active,
          adds: queue.adds,
          unfinishedMs: queue.runningMs.reduce((sum, ms) => sum + ms, 0),
          longestMs: Math.max(0, ...queue.runningMs),
        },
        isSynced,
        lastMove: lastActivity,
        calls: { reads, writes, byOperation: Object.fromEntries(byOperation) },
      };
    },
  };
}

/** The process has lost the lease: another process may write now. */
class LeaseLostError extends Error {
  constructor(key: string) {
    super(`lost the lease: this process made no further changes to ${key}`);
    this.name = 'LeaseLostError';
  }
}

/** Returns a message without resource ids and request ids, so that several pairs can share it in one warning. */
const toWarningCause = (message: string): string =>
  message.replace(/, request [\w/+=-]+/g, '').replace(/\b(?:s3|kms|iam)\.[a-z-]+\/\S+: /g, '');
