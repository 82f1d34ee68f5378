import { stableJson } from '../canonical.ts';
import type { Id, Step } from '../core/resource.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { Outcome } from '../reconcile.ts';
import type { Position, Side } from '../spec/types.ts';
import type { CanaryResult } from '../steps/canary.ts';
import type { Keyed } from './keys.ts';
import type { LastChange } from './last-change.ts';
import type { ObjectsSeen } from './objects.ts';

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
export type Retry = 'none' | 'recoverable' | 'terminal';

/** Something that was changed, or that would have been. */
export interface Change {
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
export interface Bucket {
  bucket: string;
  region: string;
  account?: string;
}

/** How one pair fares. Plain data, shown as it is. */
export interface PairStatus {
  name: string;
  /** Where objects go: one way, or two. */
  sides: { source: Bucket; destination: Bucket }[];
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
  retry: Retry;
  /** The last ones, newest first. */
  changes: Change[];
  proof: RuleVerdict[];
  /** Looked at whenever canaries are written. */
  objects?: ObjectsSeen;
}

const KEPT_CHANGES = 10;
const NOT_YET = 'not looked at yet';

/** What is told of a pair before it was looked at. */
export function firstStatus(keyed: Keyed, now: string): PairStatus {
  const { key, generation } = keyed;
  const unknown = (): Condition => ({ status: 'Unknown', reason: 'Pending', message: NOT_YET, since: now });
  return {
    name: key,
    ...declared(keyed),
    conditions: { Ready: unknown(), Proven: unknown(), Verified: unknown(), Drifted: unknown() },
    generation,
    failures: 0,
    retry: 'none',
    changes: [],
    proof: [],
  };
}

/** What the spec itself says of it. */
export function declared({
  pairs,
  generation,
}: Keyed): Pick<PairStatus, 'sides' | 'from' | 'declaredGeneration'> {
  const bucketOf = ({ bucket, region, account }: Side): Bucket => ({
    bucket,
    region,
    ...(account === undefined ? {} : { account }),
  });
  const from = pairs[0]?.positions[''];
  return {
    sides: pairs.map(({ source, destination }) => ({
      source: bucketOf(source),
      destination: bucketOf(destination),
    })),
    ...(from === undefined ? {} : { from }),
    declaredGeneration: generation,
  };
}

type Judged = Omit<Condition, 'since'>;

/** A condition that changes its status begins anew; one that only says it otherwise does not. */
const set = (before: Condition, judged: Judged, now: string): Condition => ({
  ...judged,
  since: before.status === judged.status ? before.since : now,
});

/** How a pair fares after a pass. Pure. `generation`: digest of the spec that the pass was about. */
export function afterPass(before: PairStatus, outcome: Outcome, generation: string, now: string): PairStatus {
  const { conditions } = before;
  const [ready, retry] = readiness(outcome);
  const isReady = ready.status === 'True';
  const cause = causeOf(before, generation);
  const change = changeOf(outcome, cause, now, before.changes[0]);
  // What waited waits no more once it is done, by whomever; where not all could be read, nobody knows.
  const made = before.changes.filter(({ result }) => result !== 'pending');
  const convergedGeneration = isReady ? generation : before.convergedGeneration;
  const lastSuccess = isReady ? now : before.lastSuccess;
  return {
    ...before,
    conditions: {
      ...conditions,
      Ready: set(conditions.Ready, ready, now),
      Proven: set(conditions.Proven, provenness(outcome.proof), now),
      Drifted: set(conditions.Drifted, drift(conditions.Drifted, change, isReady), now),
    },
    generation,
    ...(convergedGeneration === undefined ? {} : { convergedGeneration }),
    lastRun: now,
    ...(lastSuccess === undefined ? {} : { lastSuccess }),
    failures: isReady ? 0 : before.failures + 1,
    retry,
    changes: change ? [change, ...made].slice(0, KEPT_CHANGES) : isReady ? made : before.changes,
    proof: outcome.proof.map(({ requests: _, ...rest }) => rest),
  };
}

/** How a pair fares after a pass that ended with an error. */
export function afterError(before: PairStatus, message: string, generation: string, now: string): PairStatus {
  const ready: Judged = { status: 'False', reason: 'Failed', message };
  return {
    ...before,
    conditions: { ...before.conditions, Ready: set(before.conditions.Ready, ready, now) },
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
      Verified: set(before.conditions.Verified, verification(results), now),
    },
  };
}

function readiness({ plan, refusals, results, left }: Outcome): [Judged, Retry] {
  const not = (reason: string, message: string, retry: Retry): [Judged, Retry] => [
    { status: 'False', reason, message },
    retry,
  ];
  const [refusal] = refusals;
  if (refusal) return not('Refused', refusal.message, 'terminal');
  const failed = results.filter(({ result }) => result === 'failed');
  if (failed.length > 0) return not('ApplyFailed', `${failed[0]?.id}: ${failed[0]?.why}`, 'recoverable');
  const [blocked] = left?.blocked ?? plan.blocked;
  if (blocked) {
    const passing = blocked.why.startsWith('cannot be read');
    return not(
      passing ? 'Unreadable' : 'Blocked',
      `${blocked.id}: ${blocked.why}`,
      passing ? 'recoverable' : 'terminal',
    );
  }
  const skipped = results.find(({ result }) => result === 'skipped');
  if (skipped) return not('ApplyIncomplete', `${skipped.id}: ${skipped.why}`, 'recoverable');
  if (left && left.waves.length > 0)
    return not('NotConverged', `${left.waves[0]?.[0]?.id} differs again after it was applied`, 'recoverable');
  const pending = plan.waves.flat().length;
  if (pending > 0 && results.length === 0)
    return not('ChangesPending', `${pending} changes wait to be applied`, 'recoverable');
  return [
    {
      status: 'True',
      reason: 'Converged',
      message: `${plan.unchanged + results.length} resources are as declared`,
    },
    'none',
  ];
}

function provenness(proof: readonly RuleVerdict[]): Judged {
  const broken = proof.filter(({ verdict }) => verdict === 'broken');
  const [worst] = broken;
  if (worst) {
    const finding = worst.findings.find(({ severity }) => severity === 'error');
    const more = broken.length > 1 ? ` (and ${broken.length - 1} more rules)` : '';
    return {
      status: 'False',
      reason: finding?.code ?? 'NotAllowed',
      message: `${worst.rule}: ${finding?.message ?? 'it would not replicate'}${more}`,
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
const causeOf = (before: PairStatus, generation: string): Change['cause'] =>
  before.convergedGeneration === undefined
    ? 'unknown'
    : before.convergedGeneration === generation
      ? 'drift'
      : 'spec';

function drift(before: Condition, change: Change | undefined, isReady: boolean): Judged {
  if (change?.cause === 'drift')
    return isReady
      ? { status: 'False', reason: 'Healed', message: driftMessage(change, true) }
      : { status: 'True', reason: 'ChangedElsewhere', message: driftMessage(change, false) };
  if (isReady && before.reason === 'Healed') return before;
  if (isReady) return { status: 'False', reason: 'AsDeclared', message: 'nothing was changed by others' };
  return before;
}

function driftMessage({ steps, at }: Change, isHealed: boolean): string {
  const ids = steps.map(({ id }) => id);
  const named = ids.length > 3 ? `${ids.slice(0, 3).join(', ')} and ${ids.length - 3} more` : ids.join(', ');
  const changes = steps.flatMap(({ lastChange }) => lastChange ?? []);
  const [last] = changes.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  return [
    `${named}: changed by somebody else${isHealed ? `, and put back at ${at}` : ''}`,
    ...(last ? [lastChangeText(last)] : []),
  ].join('; ');
}

export const lastChangeText = ({ by, event, at }: LastChange): string =>
  `last changed by ${by} with ${event} at ${at}`;

/** How a pair fares once it is known who changed one of its documents. */
export function afterInquiry(before: PairStatus, id: Id, lastChange: LastChange): PairStatus {
  const isOf = ({ cause, steps }: Change) => cause === 'drift' && steps.some((step) => step.id === id);
  const index = before.changes.findIndex(isOf);
  const changes = before.changes.map((change, at) =>
    at === index
      ? { ...change, steps: change.steps.map((step) => (step.id === id ? { ...step, lastChange } : step)) }
      : change,
  );
  const { Drifted } = before.conditions;
  const newest = changes.find(({ cause }) => cause === 'drift');
  const message =
    newest && isDrift(Drifted) ? driftMessage(newest, Drifted.reason === 'Healed') : Drifted.message;
  return { ...before, changes, conditions: { ...before.conditions, Drifted: { ...Drifted, message } } };
}

/** Whether it says that somebody else changed something, put back or not. */
export const isDrift = ({ reason }: Condition): boolean =>
  reason === 'Healed' || reason === 'ChangedElsewhere';

/** What was still not put back is what it was, and by whom. */
function stepsOf(plan: Outcome['plan'], last: Change | undefined): ChangeStep[] {
  const known = last?.cause === 'drift' && last.result !== 'applied' ? last.steps : [];
  return plan.waves.flat().map(({ id, action, patch, before, why }) => {
    const same = known.find((one) => one.id === id && stableJson(one.patch) === stableJson(patch));
    return { id, action, patch, before, why, ...(same?.lastChange && { lastChange: same.lastChange }) };
  });
}

function changeOf(
  { plan, refusals, results }: Outcome,
  cause: Change['cause'],
  at: string,
  last: Change | undefined,
): Change | undefined {
  const steps = stepsOf(plan, last);
  if (steps.length === 0) return undefined;
  const result =
    refusals.length > 0
      ? 'refused'
      : results.length === 0
        ? 'pending'
        : results.every((one) => one.result === 'applied')
          ? 'applied'
          : 'failed';
  return {
    at,
    cause,
    steps,
    result,
  };
}

function verification(results: readonly CanaryResult[]): Judged {
  const bad = results.find(({ result }) => result === 'failed' || result === 'timeout');
  if (bad) {
    const reason = bad.result === 'failed' ? 'ReplicationFailed' : 'ReplicationSlow';
    return { status: 'False', reason, message: `${bad.pair}/${bad.rule}: ${bad.why ?? bad.result}` };
  }
  const arrived = results.filter(({ result }) => result === 'replicated');
  if (arrived.length === 0)
    return { status: 'Unknown', reason: 'Skipped', message: results[0]?.why ?? 'there is no rule to verify' };
  const slowest = Math.max(...arrived.map(({ latencyMs = 0 }) => latencyMs));
  return {
    status: 'True',
    reason: 'Replicated',
    message: `${arrived.length} canaries arrived, the slowest after ${slowest} ms`,
  };
}
