import type { CanaryResult } from '../canary/canary.ts';
import type { Id, Step } from '../core/resource.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { Outcome } from '../reconcile/reconcile.ts';
import type { Position, Side } from '../spec/types.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import type { LastChange } from './last-change.ts';
import type { ReplicationLag } from './replication-lag.ts';
import type { WorkItem } from './work-items.ts';

/** What is true of a pair, as Kubernetes writes it. */
export interface Condition {
  status: 'True' | 'False' | 'Unknown';
  /** One word, for machines. */
  reason: string;
  /** For people. */
  message: string;
  /** ISO 8601: since when the status is what it is. */
  since: string;
}

/**
 * - `Ready`: AWS is as declared.
 * - `Proven`: every request that S3 will make is allowed.
 * - `Verified`: canaries arrived under the declared keys.
 * - `Drifted`: somebody else changed what had been as declared.
 */
export type ConditionType = 'Ready' | 'Proven' | 'Verified' | 'Drifted';

/** When a pair that is not ready is tried again: soon, or with the next resync since a person or the spec must change. */
export type RetryKind = 'none' | 'recoverable' | 'terminal';

/** Something that was changed, or that would have been. */
export interface PairChange {
  /** ISO 8601 */
  at: string;
  /** Why it was necessary: the spec is new or another, or the world is. */
  cause: 'spec' | 'drift' | 'unknown';
  steps: ChangeStep[];
  result: 'applied' | 'failed' | 'refused' | 'pending';
}

export type ChangeStep = Pick<Step, 'id' | 'action' | 'patch' | 'before' | 'why'> & {
  /** Who somebody else is, where that is known by now. */
  lastChange?: LastChange;
};

/** A bucket, and where it lies. */
export interface StatusBucket {
  bucket: string;
  region: string;
  account?: string;
}

/** How one pair fares. Plain data, shown as it is. */
export interface PairStatus {
  name: string;
  /** Where objects go: one way, or two. */
  sides: { source: StatusBucket; destination: StatusBucket }[];
  from?: Position;
  conditions: Record<ConditionType, Condition>;
  /** Digest of the spec that was last looked at, and of the one that AWS was last seen to match. */
  generation: string;
  convergedGeneration?: string;
  /** Digest of the spec as it is now: not yet looked at where it is another. */
  declaredGeneration: string;
  /** ISO 8601 */
  lastRun?: string;
  lastSuccess?: string;
  nextRun?: string;
  /** Passes in a row that did not end well. */
  failures: number;
  retry: RetryKind;
  /** The last ones, newest first. */
  changes: PairChange[];
  proof: RuleVerdict[];
  /** Looked at whenever canaries are written. */
  objects?: ReplicationLag;
}

const MAX_CHANGES = 10;
const PENDING_MESSAGE = 'not looked at yet';

/** What is told of a pair before it was looked at. */
export function initialStatus(item: WorkItem, now: string): PairStatus {
  const { key, generation } = item;
  const unknown = (): Condition => ({
    status: 'Unknown',
    reason: 'Pending',
    message: PENDING_MESSAGE,
    since: now,
  });
  return {
    name: key,
    ...declaredFields(item),
    conditions: { Ready: unknown(), Proven: unknown(), Verified: unknown(), Drifted: unknown() },
    generation,
    failures: 0,
    retry: 'none',
    changes: [],
    proof: [],
  };
}

/** What the spec itself says of it. */
export function declaredFields({
  pairs,
  generation,
}: WorkItem): Pick<PairStatus, 'sides' | 'from' | 'declaredGeneration'> {
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
    declaredGeneration: generation,
  };
}

type ConditionState = Omit<Condition, 'since'>;

/** A condition that changes its status begins anew; one that only says it otherwise does not. */
const setCondition = (before: Condition, next: ConditionState, now: string): Condition => ({
  ...next,
  since: before.status === next.status ? before.since : now,
});

/** How a pair fares after a pass. Pure. `generation`: digest of the spec that the pass was about. */
export function afterPass(before: PairStatus, outcome: Outcome, generation: string, now: string): PairStatus {
  const { conditions } = before;
  const [ready, retry] = readyCondition(outcome);
  const isReady = ready.status === 'True';
  const cause = changeCauseOf(before, generation);
  const change = toPairChange(outcome, cause, now, before.changes[0]);
  // What waited waits no more once it is done, by whomever; where not all could be read, nobody knows.
  const doneChanges = before.changes.filter(({ result }) => result !== 'pending');
  const convergedGeneration = isReady ? generation : before.convergedGeneration;
  const lastSuccess = isReady ? now : before.lastSuccess;
  return {
    ...before,
    conditions: {
      ...conditions,
      Ready: setCondition(conditions.Ready, ready, now),
      Proven: setCondition(conditions.Proven, provenCondition(outcome.proof), now),
      Drifted: setCondition(conditions.Drifted, driftedCondition(conditions.Drifted, change, isReady), now),
    },
    generation,
    ...(convergedGeneration === undefined ? {} : { convergedGeneration }),
    lastRun: now,
    ...(lastSuccess === undefined ? {} : { lastSuccess }),
    failures: isReady ? 0 : before.failures + 1,
    retry,
    changes: change ? [change, ...doneChanges].slice(0, MAX_CHANGES) : isReady ? doneChanges : before.changes,
    proof: outcome.proof.map(({ requests: _, ...rest }) => rest),
  };
}

/** How a pair fares after a pass that ended with an error. */
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

export function afterCanaries(before: PairStatus, results: readonly CanaryResult[], now: string): PairStatus {
  return {
    ...before,
    conditions: {
      ...before.conditions,
      Verified: setCondition(before.conditions.Verified, verifiedCondition(results), now),
    },
  };
}

function readyCondition({ plan, refusals, results, remaining }: Outcome): [ConditionState, RetryKind] {
  const notReady = (reason: string, message: string, retry: RetryKind): [ConditionState, RetryKind] => [
    { status: 'False', reason, message },
    retry,
  ];
  const [refusal] = refusals;
  if (refusal) return notReady('Refused', refusal.message, 'terminal');
  const failed = results.filter(({ result }) => result === 'failed');
  if (failed.length > 0) return notReady('ApplyFailed', `${failed[0]?.id}: ${failed[0]?.why}`, 'recoverable');
  const [blocked] = remaining?.blocked ?? plan.blocked;
  if (blocked) {
    const isTransient = blocked.why.startsWith('cannot be read');
    return notReady(
      isTransient ? 'Unreadable' : 'Blocked',
      `${blocked.id}: ${blocked.why}`,
      isTransient ? 'recoverable' : 'terminal',
    );
  }
  const skipped = results.find(({ result }) => result === 'skipped');
  if (skipped) return notReady('ApplyIncomplete', `${skipped.id}: ${skipped.why}`, 'recoverable');
  if (remaining && remaining.waves.length > 0)
    return notReady(
      'NotConverged',
      `${remaining.waves[0]?.[0]?.id} differs again after it was applied`,
      'recoverable',
    );
  const pending = plan.waves.flat().length;
  if (pending > 0 && results.length === 0)
    return notReady('ChangesPending', `${pending} changes wait to be applied`, 'recoverable');
  return [
    {
      status: 'True',
      reason: 'Converged',
      message: `${plan.unchanged + results.length} resources are as declared`,
    },
    'none',
  ];
}

function provenCondition(proof: readonly RuleVerdict[]): ConditionState {
  const broken = proof.filter(({ verdict }) => verdict === 'broken');
  const [worst] = broken;
  if (worst) {
    const finding = worst.findings.find(({ severity }) => severity === 'error');
    const suffix = broken.length > 1 ? ` (and ${broken.length - 1} more rules)` : '';
    return {
      status: 'False',
      reason: finding?.code ?? 'NotAllowed',
      message: `${worst.rule}: ${finding?.message ?? 'it would not replicate'}${suffix}`,
    };
  }
  const unknown = proof.find(({ verdict }) => verdict === 'unknown');
  if (unknown)
    return {
      status: 'Unknown',
      reason: 'Unreadable',
      message: `${unknown.rule}: not everything could be read`,
    };
  if (proof.length === 0)
    return { status: 'Unknown', reason: 'NoRules', message: 'there is no rule to prove' };
  return {
    status: 'True',
    reason: 'AllRequestsAllowed',
    message: `${proof.length} of ${proof.length} rules proven`,
  };
}

/** What the changes of a pass come from: a spec that is the same as when AWS matched it has not changed by itself. */
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
  if (isReady) return { status: 'False', reason: 'AsDeclared', message: 'nothing was changed by others' };
  return before;
}

function formatDrift({ steps, at }: PairChange, isHealed: boolean): string {
  const ids = steps.map(({ id }) => id);
  const idText = ids.length > 3 ? `${ids.slice(0, 3).join(', ')} and ${ids.length - 3} more` : ids.join(', ');
  const changes = steps.flatMap(({ lastChange }) => lastChange ?? []);
  const [newest] = changes.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  return [
    `${idText}: changed by somebody else${isHealed ? `, and put back at ${at}` : ''}`,
    ...(newest ? [formatLastChange(newest)] : []),
  ].join('; ');
}

export const formatLastChange = ({ by, event, at }: LastChange): string =>
  `last changed by ${by} with ${event} at ${at}`;

/** How a pair fares once it is known who changed one of its documents. */
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

/** Whether it says that somebody else changed something, put back or not. */
export const isDrift = ({ reason }: Condition): boolean =>
  reason === 'Healed' || reason === 'ChangedElsewhere';

/** What was still not put back is what it was, and by whom. */
function toChangeSteps(plan: Outcome['plan'], previous: PairChange | undefined): ChangeStep[] {
  const previousSteps = previous?.cause === 'drift' && previous.result !== 'applied' ? previous.steps : [];
  return plan.waves.flat().map(({ id, action, patch, before, why }) => {
    const previousStep = previousSteps.find(
      (step) => step.id === id && canonicalJson(step.patch) === canonicalJson(patch),
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

function verifiedCondition(results: readonly CanaryResult[]): ConditionState {
  const failure = results.find(({ result }) => result === 'failed' || result === 'timeout');
  if (failure) {
    const reason = failure.result === 'failed' ? 'ReplicationFailed' : 'ReplicationSlow';
    return {
      status: 'False',
      reason,
      message: `${failure.pair}/${failure.rule}: ${failure.why ?? failure.result}`,
    };
  }
  const replicated = results.filter(({ result }) => result === 'replicated');
  if (replicated.length === 0)
    return { status: 'Unknown', reason: 'Skipped', message: results[0]?.why ?? 'there is no rule to verify' };
  const slowest = Math.max(...replicated.map(({ latencyMs = 0 }) => latencyMs));
  return {
    status: 'True',
    reason: 'Replicated',
    message: `${replicated.length} canaries arrived, the slowest after ${slowest} ms`,
  };
}
