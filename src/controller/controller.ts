import type { AwsClient } from '../aws/client.ts';
import type { CloudTrailModule } from '../aws/cloudtrail.ts';
import { runCanaries } from '../canary/canary.ts';
import type { Thresholds } from '../core/guard.ts';
import type { Kind } from '../core/kind.ts';
import type { Id } from '../core/resource.ts';
import { measureReplicationLag } from '../facts/object-sample.ts';
import { createDedupedLog, type Log } from '../log.ts';
import type { Outcome } from '../reconcile/pass.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import { formatProblemLine, formatProblems } from '../spec/format-problems.ts';
import type { ChangeLimits, Problem, Specs } from '../spec/types.ts';
import type { VariableInput } from '../spec/variables.ts';
import { backoffMs, type Clock, withJitter } from '../util/clock.ts';
import { createKeyedMutex } from '../util/mutex.ts';
import { createAttributor } from './attribution.ts';
import { isDrift } from './conditions.ts';
import { type LastKnownGood, selectLastKnownGood } from './last-known-good.ts';
import { createWorkQueue } from './queue.ts';
import type { SpecFiles } from './spec-watcher.ts';
import {
  afterAttribution,
  afterCanaries,
  afterError,
  afterPass,
  type ControllerStatus,
  declaredFields,
  formatLastChange,
  initialStatus,
  type PairStatus,
} from './status.ts';
import { sharedResources, toWorkItems, type WorkItem } from './work-items.ts';

export interface ControllerOptions {
  kinds: ReadonlyMap<string, Kind>;
  /** A door for some accounts; kept until the accounts are others. */
  connect(specs: Specs): { aws: AwsClient; close(): void };
  /** What variables of the specs take their values from. */
  variableInput?: VariableInput;
  clock: Clock;
  /** From 0 up to 1. */
  random: () => number;
  log: Log;
  /** Milliseconds between two passes over a pair that is well. */
  intervalMs: number;
  /** Milliseconds between canaries; absent: none. */
  verifyIntervalMs?: number;
  /** How many pairs are worked on at a time. */
  workers: number;
  /** How long to wait for what was written to be seen, in milliseconds. */
  waitMs: number;
  allow: readonly string[];
  allowUnproven: boolean;
  thresholds(limits: ChangeLimits): Thresholds;
  /** Whether this process may write to this pair now: whether it leads. Asked before every attempt of every call. */
  isLeaderFor(item: WorkItem): boolean;
  /** What asks CloudTrail who changed what drifted, loaded when there is something to ask; absent: nobody is asked. */
  loadCloudTrail?(): Promise<Pick<CloudTrailModule, 'lookUp'>>;
  /** Whether this process looks after this pair at all. */
  isAssigned?(item: WorkItem): boolean;
  observer?: ControllerObserver;
  /** Told how a pair fares, each time that it was looked at. */
  onStatusUpdate?: (after: PairStatus, before: PairStatus) => void;
  /** Set when it is told to stop: then nothing new is changed. */
  signal?: AbortSignal;
}

/** Told of what happens, for metrics. */
export interface ControllerObserver {
  onReconcile?(event: {
    key: string;
    result: 'success' | 'error' | 'requeue';
    ms: number;
    waitedMs: number;
  }): void;
  onVerify?(event: { key: string; latencyMs: number[]; failures: number }): void;
  /** Somebody else changed what a pair is about. */
  onDrift?(key: string): void;
  onReload?(ok: boolean): void;
}

export interface Controller {
  /** What is written now; what is wrong with it is reported, and its last good state kept. */
  update(specFiles: SpecFiles): void;
  /** Look at every pair now; and see anew which are for this process. */
  resync(): void;
  /** Start nothing more, and wait for what is in flight. */
  drain(): Promise<void>;
  status(): ControllerStatus;
}

/**
 * Keep AWS as declared, for as long as it runs: each pair is looked at as a whole, again and again and whenever its spec
 * changes; a pair that fails or is slow delays no other.
 */
export function createController(options: ControllerOptions): Controller {
  const { kinds, clock, random, log } = options;
  const statuses = new Map<string, PairStatus>();
  const mutex = createKeyedMutex();
  const nowIso = () => new Date(clock.now()).toISOString();
  /** When the last pass began that found a pair as declared. */
  const lastConvergedAt = new Map<string, number>();
  let knownGood: LastKnownGood | undefined;
  let problems: Problem[] = [];
  let items = new Map<string, WorkItem>();
  let sharedIds = new Map<string, Id[]>();
  let connection: { aws: AwsClient; close(): void; accounts: string } | undefined;
  let lastActivity = clock.now();
  let isSynced = false;

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
  const { loadCloudTrail } = options;
  const attributor =
    loadCloudTrail &&
    createAttributor({
      kinds,
      clock,
      log,
      loadCloudTrail,
      client: () => clientFor(currentSpecs()),
      onAttributed(key, id, change) {
        const before = statuses.get(key);
        if (!before) return;
        log.info({ pair: key, id }, `${id}: ${formatLastChange(change)}`);
        setStatus(key, afterAttribution(before, id, change));
      },
    });

  async function reconcileItem(key: string, { waitedMs }: { waitedMs: number }): Promise<void> {
    lastActivity = clock.now();
    const item = items.get(key);
    const before = statuses.get(key);
    if (!item || !before) return;
    const startedMonotonic = clock.monotonicNow();
    const startedAt = clock.now();
    const after = await runPass(item, before);
    lastActivity = clock.now();
    // It may have gone, or become another, meanwhile; then it is looked at again anyway.
    if (!items.has(key)) return;
    if (after.retry === 'none') lastConvergedAt.set(key, startedAt);
    const delayMs =
      after.retry === 'recoverable'
        ? Math.min(backoffMs(after.failures, random()), withJitter(options.intervalMs, random()))
        : withJitter(options.intervalMs, random());
    setStatus(key, { ...after, nextRun: new Date(clock.now() + delayMs).toISOString() });
    const result = after.retry === 'none' ? 'success' : after.retry === 'terminal' ? 'requeue' : 'error';
    options.observer?.onReconcile?.({ key, result, ms: clock.monotonicNow() - startedMonotonic, waitedMs });
    queue.addAfter(key, delayMs);
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

  /** What it writes for a pair goes through here. */
  const fence = (aws: AwsClient, item: WorkItem, onLost = () => {}): AwsClient =>
    aws.fenced(() => {
      if (options.isLeaderFor(item)) return;
      onLost();
      throw new LeaseLostError(item.key);
    });

  /** Read first; only where something differs, take what others also write, read again, and apply. */
  async function runPass(item: WorkItem, before: PairStatus): Promise<PairStatus> {
    /** What became known while the pass went on: of canaries, or of another spec. */
    const latestStatus = () => statuses.get(item.key) ?? before;
    try {
      const preview = await reconcileOnce(item, true);
      const differs = preview.plan.waves.length > 0;
      const outcome = differs && options.isLeaderFor(item) ? await applyExclusively(item) : preview;
      const after = afterPass(latestStatus(), outcome, item.generation, nowIso());
      logTransition(before, after, outcome);
      requestAttribution(after, outcome);
      return after;
    } catch (error) {
      // What fails because it was told to stop is no failure.
      if (options.signal?.aborted) return latestStatus();
      const message = error instanceof Error ? error.message : String(error);
      warnings.add(toWarningCause(message), item.key);
      return afterError(latestStatus(), message, item.generation, nowIso());
    }
  }

  /** Only of drift, and of what is not known yet. */
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

  function reconcileOnce(item: WorkItem, dryRun: boolean): Promise<Outcome> {
    const specs = currentSpecs();
    return reconcile(
      { ...specs, pairs: item.pairs },
      {
        kinds,
        aws: fence(clientFor(specs), item),
        allowedRisks: options.allow,
        allowUnproven: options.allowUnproven,
        thresholds: options.thresholds(specs.limits),
        propagationTimeoutMs: options.waitMs,
        dryRun,
        ...(options.signal && { signal: options.signal }),
      },
    );
  }

  async function verifyItem(key: string): Promise<void> {
    const item = items.get(key);
    const before = statuses.get(key);
    if (!item || !before || options.verifyIntervalMs === undefined) return;
    verifyQueue.addAfter(key, withJitter(options.verifyIntervalMs, random()));
    // A canary is an object: only who leads writes any, and only where replication is thought to work.
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
          pairs: specs.pairs,
          timeoutMs: 15 * 60_000,
          ...(options.signal && { signal: options.signal }),
        }),
      );
      const results = (await Promise.all(canaryRuns)).flat();
      const objects = await measureReplicationLag(aws, item.pairs).catch((error: Error) => {
        warnings.add(`newest objects: ${toWarningCause(error.message)}`, key);
        return undefined;
      });
      const latest = statuses.get(key);
      // What was cut short says nothing of replication; the lease may be here again by now.
      if (!latest || options.signal?.aborted || !options.isLeaderFor(item) || isLeaseLost) return;
      setStatus(key, { ...afterCanaries(latest, results, nowIso()), ...(objects && { objects }) });
      options.observer?.onVerify?.({
        key,
        latencyMs: results.flatMap(({ latencyMs }) => latencyMs ?? []),
        failures: results.filter(({ result }) => result === 'failed' || result === 'timeout').length,
      });
      for (const { result, why } of results)
        if (result === 'failed' || result === 'timeout')
          warnings.add(`canary: ${toWarningCause(why ?? result)}`, key);
    } catch (error) {
      if (options.signal?.aborted) return;
      warnings.add(`canary: ${toWarningCause(error instanceof Error ? error.message : String(error))}`, key);
    }
  }

  /** One line a change of state, and one a change that was made; nothing where nothing happens. */
  function logTransition(before: PairStatus, after: PairStatus, outcome: Outcome): void {
    const [readyBefore, readyAfter] = [before.conditions.Ready, after.conditions.Ready];
    for (const { id, action, result, why } of outcome.results) {
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
    if (after.conditions.Proven.status === 'False' && before.conditions.Proven.status !== 'False')
      warnings.add(`not proven: ${after.conditions.Proven.reason}`, after.name);
  }

  /** Look after what is declared now, as far as it is for this process. */
  function updateItems(specs: Specs): void {
    const allItems = toWorkItems(specs);
    const assignedItems = new Map([...allItems].filter(([, item]) => options.isAssigned?.(item) ?? true));
    sharedIds = sharedResources(specs, kinds);
    for (const key of items.keys()) {
      if (assignedItems.has(key)) continue;
      queue.forget(key);
      verifyQueue.forget(key);
      statuses.delete(key);
      lastConvergedAt.delete(key);
      attributor?.forget(key);
      if (!allItems.has(key)) log.info({ pair: key }, 'is not declared any more: it is left as it is');
    }
    const previousItems = items;
    items = assignedItems;
    for (const [key, item] of assignedItems) {
      const previous = previousItems.get(key);
      const status = statuses.get(key);
      statuses.set(key, status ? { ...status, ...declaredFields(item) } : initialStatus(item, nowIso()));
      if (previous?.generation === item.generation) continue;
      queue.add(key);
      if (options.verifyIntervalMs !== undefined && !previous)
        verifyQueue.addAfter(key, Math.round(options.verifyIntervalMs * random()));
    }
    updateIsSynced();
  }

  function currentSpecs(): Specs {
    if (!knownGood) throw new Error('no specs were ever right');
    return knownGood.specs;
  }

  /** One set of clients for the same accounts, so that connections and credentials are kept. */
  function clientFor(specs: Specs): AwsClient {
    const accounts = JSON.stringify(specs.accounts.map(({ positions: _, ...rest }) => rest));
    if (connection?.accounts === accounts) return connection.aws;
    // What is in flight through the old one finishes there.
    connection = { ...options.connect(specs), accounts };
    return connection.aws;
  }

  function logProblems(specProblems: readonly Problem[], hasKnownGood: boolean): void {
    if (specProblems.length === 0) log.info('all specs are right again');
    else if (hasKnownGood)
      log.error(
        { problems: specProblems.length },
        'specs that are not right do not count; the last good ones do',
      );
    for (const problem of specProblems) log.error({ ...problem.position }, formatProblemLine(problem));
  }

  return {
    update(specFiles) {
      const next = selectLastKnownGood(
        specFiles.files,
        specFiles.problems,
        knownGood,
        options.variableInput,
        specFiles.canSkip,
      );
      const lastLogged = formatProblems(problems);
      problems = next.problems;
      if (formatProblems(problems) !== lastLogged)
        logProblems(problems, 'specs' in next || knownGood !== undefined);
      options.observer?.onReload?.(problems.length === 0);
      if (!('specs' in next)) return;
      knownGood = next;
      updateItems(next.specs);
    },
    resync() {
      if (knownGood) updateItems(knownGood.specs);
      for (const key of items.keys()) queue.add(key);
    },
    async drain() {
      await Promise.all([queue.drain(), verifyQueue.drain(), attributor?.drain()]);
      warnings.close();
      connection?.close();
    },
    status() {
      const { reads = 0, writes = 0, byOperation = new Map<string, number>() } = connection?.aws.calls ?? {};
      return {
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

/** Somebody else may write now. */
class LeaseLostError extends Error {
  constructor(key: string) {
    super(`this process does not lead any more: nothing else of ${key} was changed`);
    this.name = 'LeaseLostError';
  }
}

/** What several pairs can have in common: an error without what is only of this pair, and of this time. */
const toWarningCause = (message: string): string =>
  message.replace(/, request [\w/+=-]+/g, '').replace(/\b(?:s3|kms|iam)\.[a-z-]+\/\S+: /g, '');
