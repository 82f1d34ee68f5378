import type { CanaryResult } from '../canary/canary.ts';
import { jobsAfterPass } from '../core/job-status.ts';
import type { Endpoint, Id, JobStatus, Step } from '../core/resource.ts';
import type { ReplicationLag } from '../facts/object-sample.ts';
import type { ReplicationMetrics } from '../facts/replication-metrics.ts';
import type { FixCommand } from '../proof/fix-commands.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { Outcome } from '../reconcile/pass.ts';
import type { Position, Problem, Side } from '../spec/types.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import type { LastChange } from './audit-record.ts';
import {
  BACKFILL_CONDITION,
  backfillCondition,
  type Condition,
  type ConditionState,
  EVENTS_CONDITION,
  isDrift,
  type PairConditions,
  provenCondition,
  type RetryKind,
  readyCondition,
  setCondition,
  verifiedCondition,
} from './conditions.ts';
import type { WorkItem } from './work-items.ts';

/** A change that replikey applied, or would have applied. */
export interface PairChange {
  /** ISO 8601 */
  at: string;
  /** The cause of the change: a new or changed spec, or drift in AWS. */
  cause: 'spec' | 'drift' | 'unknown';
  steps: ChangeStep[];
  /** Number of further steps; absent: none. */
  omittedSteps?: number;
  result: 'applied' | 'failed' | 'refused' | 'pending';
}

export type ChangeStep = Pick<Step, 'id' | 'action' | 'patch' | 'before' | 'why'> & {
  /** The last change by another caller, if it is known by now. */
  lastChange?: LastChange;
  /** Whether the history omits `patch`, `before` and `why`, because they are too large. */
  isShortened?: true;
};

/** A bucket and its location. */
export interface StatusBucket {
  bucket: string;
  region: string;
  account?: string;
}

/** The status of one pair. Plain data, shown as it is. */
export interface PairStatus {
  name: string;
  /** The directions of replication: one, or two. */
  sides: { source: StatusBucket; destination: StatusBucket }[];
  from?: Position;
  labels: Record<string, string>;
  conditions: PairConditions;
  /** Digests of the spec of the last pass, and of the spec that AWS last matched. */
  generation: string;
  convergedGeneration?: string;
  /** Digest of the current spec. It differs from `generation` until a pass has handled the current spec. */
  declaredGeneration: string;
  /** ISO 8601 */
  lastRun?: string;
  lastSuccess?: string;
  nextRun?: string;
  /** Number of consecutive passes that did not succeed. */
  failures: number;
  retry: RetryKind;
  /** The last changes, newest first, up to the limits of `limitHistory`. */
  changes: PairChange[];
  proof: RuleVerdict[];
  /** Replaced permissions that stay for objects in flight; absent: none. */
  retained?: RetainedStatus;
  /** The batch jobs that the pair declares; absent: none. */
  jobs?: JobStatus[];
  /** Measured with each canary run. */
  objects?: ReplicationLag;
  /** The replication of the pair's rules, as CloudWatch measured it; absent: not read yet. */
  replication?: ReplicationMetrics;
  /** Bursts of failure events, newest first; absent: none, or `--failures` is not set. */
  failureBursts?: FailureBurst[];
  /** The last run of canaries; absent: none yet. */
  canary?: CanaryStatus;
}

/** The last run of canaries of a pair. */
export interface CanaryStatus {
  /** ISO 8601 */
  at: string;
  /** The worst result of the pair's rules; `skipped`: no rule was tested. */
  result: CanaryResult['result'];
  /** Milliseconds until the slowest replica arrived; absent: none arrived. */
  latencyMs?: number;
}

/**
 * Consecutive failures of one rule with one reason, from the events of S3. Failed deletions are bursts of their own. It
 * ends after 15 minutes without a failure.
 */
export interface FailureBurst {
  /** Identifies the burst among those of the pair. */
  id: string;
  /** The source bucket. */
  bucket: string;
  /** Id of the rule: `replikey/tax/tax`. */
  rule: string;
  /** S3's failure reason: `SrcGetObjectNotPermitted`. */
  reason: string;
  /** S3's operation: `OBJECT_PUT`, `OBJECT_DELETE`, … */
  operation: string;
  /** Number of failed operations. */
  count: number;
  /** ISO 8601: the times of the first and the last failed request. */
  since: string;
  until: string;
  /** ISO 8601: when the burst ended; absent: it continues. */
  endedAt?: string;
  /** The last keys, newest first, at most 20. */
  keys: string[];
  /** The cause, as the doctor explains it: the missing statement. */
  cause?: string;
  /** The last change of the document that causes the failures, before the first of them. */
  lastChange?: LastChange;
  /** The correction: an instruction, with the statement to add. */
  fix?: string;
  /** Commands that apply the fix; absent: none, or too long. */
  commands?: FixCommand[];
  /** The change with which replikey corrected the cause. */
  reverted?: { at: string; ids: Id[] };
  /** ISO 8601: when replikey reported the burst, with its cause if it found one. */
  reportedAt?: string;
}

/** Replaced permissions that stay for objects in flight. */
export interface RetainedStatus {
  /** Number of statements that have not expired. */
  statements: number;
  /** ISO 8601: the time after which the first of them is removed. */
  firstExpiry?: string;
  /** Number of statements that have expired, and that the pass did not remove. */
  expired: number;
}

/** The amount of queued and running work. */
export interface QueueStatus {
  /** Numbers of queued pairs and of pairs in progress. */
  depth: number;
  active: number;
  /** Total number of adds. */
  adds: number;
  /** Running times of the pairs in progress: their sum and the longest, in milliseconds. */
  unfinishedMs: number;
  longestMs: number;
}

/** The process, and the endpoint and accounts that it works on. */
export interface ProcessStatus {
  /** ISO 8601 */
  startedAt: string;
  /** The endpoint of AWS calls; absent: no pass is complete yet. */
  endpoint?: Endpoint;
  /**
   * Account ids, twelve digits, by the names of their Account documents; `''` for the ambient credentials. Declared, or
   * verified by a pass.
   */
  accounts: Record<string, string>;
  /**
   * Whether the process may write: `leader` of at least one lease, `standby`, `planOnly`, or `single` without leader
   * election.
   */
  role: 'leader' | 'standby' | 'planOnly' | 'single';
  /** Whether this process holds a lease, by its name; empty without leader election. */
  leases: Record<string, boolean>;
}

/** The status of all pairs and of the control loop. */
export interface ControllerStatus {
  process: ProcessStatus;
  pairs: PairStatus[];
  /** Problems of the current files that are not in effect. */
  problems: Problem[];
  queue: QueueStatus;
  /**
   * Whether a first pass over every pair has been completed at some time. A pair that is added later does not reset
   * it.
   */
  isSynced: boolean;
  /** Milliseconds since 1970 of the last activity of the control loop. */
  lastMove: number;
  calls: { reads: number; writes: number; byOperation: Record<string, number> };
}

/**
 * Limits of the history of a pair: the number of changes, the number of their steps, and the size of the details of these
 * steps, in characters of JSON. The status of every pair is in memory, and its clients do not authenticate.
 */
const MAX_CHANGES = 10;
const MAX_HISTORY_STEPS = 100;
const MAX_HISTORY_LENGTH = 8 * 1024;

/**
 * Returns the status of a pair before its first pass. `canaries`, `metrics` and `events`: whether the controller writes
 * canaries, reads the metrics of CloudWatch, and receives change events.
 */
export function initialStatus(
  item: WorkItem,
  now: string,
  { canaries, metrics, events }: { canaries: boolean; metrics: boolean; events: boolean },
): PairStatus {
  const { key, generation } = item;
  const unknown = (reason = 'Pending', message = 'not checked yet'): Condition => ({
    status: 'Unknown',
    reason,
    message,
    since: now,
  });
  const verified = canaries
    ? unknown()
    : unknown('NotEnabled', 'canaries are not enabled: set --verify-interval');
  const replicating = metrics
    ? unknown()
    : unknown('NotEnabled', 'replikey reads no metrics: set --metrics-interval');
  return {
    name: key,
    ...declaredFields(item),
    conditions: {
      Ready: unknown(),
      Proven: unknown(),
      Verified: verified,
      Replicating: replicating,
      Drifted: unknown(),
      ...(events && {
        [EVENTS_CONDITION]: unknown('Pending', 'replikey has not received from the queue yet'),
      }),
    },
    generation,
    failures: 0,
    retry: 'none',
    changes: [],
    proof: [],
  };
}

/** Returns the part of the status that follows from the spec itself. */
export function declaredFields({
  pairs,
  generation,
}: WorkItem): Pick<PairStatus, 'sides' | 'from' | 'labels' | 'declaredGeneration'> {
  const toStatusBucket = ({ bucket, region, account }: Side): StatusBucket => ({
    bucket,
    region,
    ...(account === undefined ? {} : { account }),
  });
  const from = pairs[0]?.positions[''];
  return {
    sides: pairs.map(({ source, destination }) => ({
      source: toStatusBucket(source),
      destination: toStatusBucket(destination),
    })),
    ...(from === undefined ? {} : { from }),
    labels: pairs[0]?.labels ?? {},
    declaredGeneration: generation,
  };
}

/** Returns the status of a pair after a pass over `item`. Pure. */
export function afterPass(
  before: PairStatus,
  outcome: Outcome,
  { generation, pairs }: Pick<WorkItem, 'generation' | 'pairs'>,
  now: string,
): PairStatus {
  const { [BACKFILL_CONDITION]: backfillBefore, ...conditions } = before.conditions;
  const [ready, retry] = readyCondition(outcome);
  const isReady = ready.status === 'True';
  const cause = changeCauseOf(before, generation);
  const change = toPairChange(outcome, cause, now, before.changes[0]);
  // A completed pass ends pending changes, by any caller. If a read failed, the outcome is unknown and they stay.
  const doneChanges = before.changes.filter(({ result }) => result !== 'pending');
  const convergedGeneration = isReady ? generation : before.convergedGeneration;
  const lastSuccess = isReady ? now : before.lastSuccess;
  const { retained: _, jobs: __, ...status } = before;
  const jobs = jobsAfterPass(outcome);
  const retained = retainedStatusOf(outcome);
  return {
    ...status,
    ...(retained && { retained }),
    ...(jobs.length > 0 && { jobs }),
    conditions: {
      ...conditions,
      Ready: setCondition(conditions.Ready, withRetained(ready, retained), now),
      Proven: setCondition(conditions.Proven, provenCondition(outcome.proof), now),
      Drifted: setCondition(conditions.Drifted, driftedCondition(conditions.Drifted, change, isReady), now),
      ...(pairs.some(({ backfill }) => backfill) && {
        [BACKFILL_CONDITION]: setCondition(backfillBefore, backfillCondition(jobs), now),
      }),
    },
    generation,
    ...(convergedGeneration === undefined ? {} : { convergedGeneration }),
    lastRun: now,
    ...(lastSuccess === undefined ? {} : { lastSuccess }),
    failures: isReady ? 0 : before.failures + 1,
    retry,
    changes: change ? limitHistory([change, ...doneChanges]) : isReady ? doneChanges : before.changes,
    proof: outcome.proof.map(({ requests: _, ...rest }) => rest),
  };
}

/**
 * Returns the newest changes within the limits of a history. Steps beyond the size keep their id and action alone; the
 * newest change keeps at least one step. Pure.
 */
export function limitHistory(changes: readonly PairChange[]): PairChange[] {
  let length = 0;
  let stepCount = 0;
  return changes.slice(0, MAX_CHANGES).map(({ steps, omittedSteps = 0, ...change }) => {
    const keptSteps: ChangeStep[] = [];
    for (const step of steps) {
      if (stepCount === MAX_HISTORY_STEPS) break;
      stepCount += 1;
      const stepLength = JSON.stringify(step).length;
      const fits = length + stepLength <= MAX_HISTORY_LENGTH;
      if (fits) length += stepLength;
      keptSteps.push(fits ? step : shortenStep(step));
    }
    const omitted = omittedSteps + steps.length - keptSteps.length;
    return { ...change, steps: keptSteps, ...(omitted > 0 && { omittedSteps: omitted }) };
  });
}

const shortenStep = ({ id, action, lastChange }: ChangeStep): ChangeStep => ({
  id,
  action,
  patch: [],
  before: {},
  why: [],
  ...(lastChange && { lastChange }),
  isShortened: true,
});

function retainedStatusOf({ plan, remaining }: Outcome): RetainedStatus | undefined {
  const { retained, housekeeping } = remaining ?? plan;
  const [firstExpiry] = retained.map(({ expiresAt }) => expiresAt).sort();
  const expired = housekeeping.flatMap(({ action, sids }) => (action === 'expire' ? sids : [])).length;
  if (retained.length + expired === 0) return undefined;
  return { statements: retained.length, ...(firstExpiry !== undefined && { firstExpiry }), expired };
}

/** Adds the retained permissions to the message of a pair that is ready. */
function withRetained(ready: ConditionState, retained: RetainedStatus | undefined): ConditionState {
  if (!retained || ready.status !== 'True') return ready;
  const { statements, firstExpiry, expired } = retained;
  const message = [
    ready.message,
    ...(firstExpiry === undefined
      ? []
      : [
          `replaced permissions that stay for objects in flight: ${statements}, the first until ${firstExpiry}`,
        ]),
    ...(expired === 0 ? [] : [`replaced permissions that have expired: ${expired}`]),
  ].join('; ');
  return { ...ready, message };
}

/** Returns the status of a pair after a pass that ended with an error. */
export function afterError(before: PairStatus, message: string, generation: string, now: string): PairStatus {
  const ready: ConditionState = { status: 'False', reason: 'Failed', message };
  return {
    ...before,
    conditions: { ...before.conditions, Ready: setCondition(before.conditions.Ready, ready, now) },
    generation,
    lastRun: now,
    failures: before.failures + 1,
    retry: 'recoverable',
  };
}

/** Returns the status of a pair after a run of canaries. */
export function afterCanaries(before: PairStatus, results: readonly CanaryResult[], now: string): PairStatus {
  const canary = canaryStatusOf(results, now);
  return {
    ...before,
    ...(canary && { canary }),
    conditions: {
      ...before.conditions,
      Verified: setCondition(before.conditions.Verified, verifiedCondition(results), now),
    },
  };
}

/** Returns the status of a pair with the condition `Events`; the same object if it has that condition already. */
export function afterEvents(before: PairStatus, condition: ConditionState, now: string): PairStatus {
  const { [EVENTS_CONDITION]: previous } = before.conditions;
  if (previous?.reason === condition.reason && previous.message === condition.message) return before;
  const next = setCondition(previous, condition, now);
  return { ...before, conditions: { ...before.conditions, [EVENTS_CONDITION]: next } };
}

/** The results of canaries, worst first. A disabled rule is skipped, and hides no result of another rule. */
const RESULTS: readonly CanaryResult['result'][] = ['failed', 'timeout', 'refused', 'replicated', 'skipped'];

function canaryStatusOf(results: readonly CanaryResult[], at: string): CanaryStatus | undefined {
  const result = RESULTS.find((candidate) => results.some((canary) => canary.result === candidate));
  if (result === undefined) return undefined;
  const latencies = results.flatMap(({ latencyMs }) => latencyMs ?? []);
  return { at, result, ...(latencies.length > 0 && { latencyMs: Math.max(...latencies) }) };
}

/** Returns the cause of the changes of a pass. With the spec that AWS matched before, a difference is drift. */
const changeCauseOf = (before: PairStatus, generation: string): PairChange['cause'] =>
  before.convergedGeneration === undefined
    ? 'unknown'
    : before.convergedGeneration === generation
      ? 'drift'
      : 'spec';

function driftedCondition(
  before: Condition,
  change: PairChange | undefined,
  isReady: boolean,
): ConditionState {
  if (change?.cause === 'drift')
    return isReady
      ? { status: 'False', reason: 'Healed', message: formatDrift(change, true) }
      : { status: 'True', reason: 'ChangedElsewhere', message: formatDrift(change, false) };
  if (isReady && before.reason === 'Healed') return before;
  if (isReady) return { status: 'False', reason: 'AsDeclared', message: 'no changes outside replikey' };
  return before;
}

function formatDrift({ steps, omittedSteps = 0, at }: PairChange, isReverted: boolean): string {
  const ids = steps.map(({ id }) => id);
  const count = ids.length + omittedSteps;
  const idText = count > 3 ? `${ids.slice(0, 3).join(', ')} and ${count - 3} more` : ids.join(', ');
  const changes = steps.flatMap(({ lastChange }) => lastChange ?? []);
  const [newest] = changes.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  return [
    `${idText}: changed outside replikey${isReverted ? `, and reverted at ${at}` : ''}`,
    ...(newest ? [formatLastChange(newest)] : []),
  ].join('; ');
}

export const formatLastChange = ({ by, event, at }: LastChange): string =>
  `last changed by ${by} with ${event} at ${at}`;

/** Returns the status of a pair after the attribution of a change to one of its documents. */
export function afterAttribution(before: PairStatus, id: Id, lastChange: LastChange): PairStatus {
  const isMatch = ({ cause, steps }: PairChange) => cause === 'drift' && steps.some((step) => step.id === id);
  const index = before.changes.findIndex(isMatch);
  const changes = before.changes.map((change, i) =>
    i === index
      ? { ...change, steps: change.steps.map((step) => (step.id === id ? { ...step, lastChange } : step)) }
      : change,
  );
  const { Drifted } = before.conditions;
  const newestDrift = changes.find(({ cause }) => cause === 'drift');
  const message =
    newestDrift && isDrift(Drifted) ? formatDrift(newestDrift, Drifted.reason === 'Healed') : Drifted.message;
  return { ...before, changes, conditions: { ...before.conditions, Drifted: { ...Drifted, message } } };
}

/** Returns the steps of a plan. Drift that is still not reverted keeps its attribution. */
function toChangeSteps(plan: Outcome['plan'], previous: PairChange | undefined): ChangeStep[] {
  const previousSteps = previous?.cause === 'drift' && previous.result !== 'applied' ? previous.steps : [];
  return plan.waves.flat().map(({ id, action, patch, before, why }) => {
    const previousStep = previousSteps.find(
      (step) => step.id === id && (step.isShortened || canonicalJson(step.patch) === canonicalJson(patch)),
    );
    return {
      id,
      action,
      patch,
      before,
      why,
      ...(previousStep?.lastChange && { lastChange: previousStep.lastChange }),
    };
  });
}

function toPairChange(
  { plan, refusals, results }: Outcome,
  cause: PairChange['cause'],
  at: string,
  previous: PairChange | undefined,
): PairChange | undefined {
  const steps = toChangeSteps(plan, previous);
  if (steps.length === 0) return undefined;
  const result =
    refusals.length > 0
      ? 'refused'
      : results.length === 0
        ? 'pending'
        : results.every((step) => step.result === 'applied')
          ? 'applied'
          : 'failed';
  return {
    at,
    cause,
    steps,
    result,
  };
}
