import type { CanaryResult } from '../canary/canary.ts';
import { jobStatusText, mostUrgentJobs } from '../core/job-status.ts';
import type { JobStatus } from '../core/resource.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { Outcome } from '../reconcile/pass.ts';

/** A condition of a pair, in the form of a Kubernetes condition. */
export interface Condition {
  status: 'True' | 'False' | 'Unknown';
  /** One word, for machines. */
  reason: string;
  /** A message for people. */
  message: string;
  /** ISO 8601: the time of the last change of the status. */
  since: string;
}

/**
 * - `Ready`: AWS is as declared.
 * - `Proven`: the proof shows that S3 may make every request it needs.
 * - `Verified`: canaries arrived under the declared keys.
 * - `Replicating`: S3 replicated objects, and none failed, by the metrics of CloudWatch and the failure events.
 * - `Drifted`: a caller other than replikey changed a resource that had been as declared.
 */
export const CONDITION_TYPES = ['Ready', 'Proven', 'Verified', 'Replicating', 'Drifted'] as const;

export type ConditionType = (typeof CONDITION_TYPES)[number];

/** The condition of a pair that declares a backfill: S3 has replicated its existing objects. */
export const BACKFILL_CONDITION = 'BackfillComplete';

/** The condition of every pair with `--changes`: the change events of its resources arrive. */
export const EVENTS_CONDITION = 'Events';

/** All condition types, in their order. */
export const ALL_CONDITION_TYPES = [...CONDITION_TYPES, BACKFILL_CONDITION, EVENTS_CONDITION] as const;

/** The conditions of a pair. Only a pair that declares a backfill has `BackfillComplete`. */
export type PairConditions = Record<ConditionType, Condition> & {
  [BACKFILL_CONDITION]?: Condition;
  [EVENTS_CONDITION]?: Condition;
};

/**
 * How a pair that is not ready is retried. `recoverable`: with backoff. `terminal`: with the next resync, because a
 * person or a new spec must resolve it.
 */
export type RetryKind = 'none' | 'recoverable' | 'terminal';

export type ConditionState = Omit<Condition, 'since'>;

/** Replaces a condition. `since` restarts only if the status changes, not if only the reason or message changes. */
export const setCondition = (
  before: Condition | undefined,
  next: ConditionState,
  now: string,
): Condition => ({
  ...next,
  since: before?.status === next.status ? before.since : now,
});

/** A resource, or a document that a proof needs (RK1901), which replikey could not read. The next read may succeed. */
const UNREAD_CAUSE = /^cannot be read|^the proof of the rule \S+ is undecided: RK1901 /;

/** A refusal because the control policies of a rule could not be read. */
const UNREAD_REFUSAL = /^\S+ is not proven: RK1901 /;

export function readyCondition({ plan, refusals, results, remaining }: Outcome): [ConditionState, RetryKind] {
  const notReady = (reason: string, message: string, retry: RetryKind): [ConditionState, RetryKind] => [
    { status: 'False', reason, message },
    retry,
  ];
  const [refusal] = refusals;
  if (refusal?.id === 'wrong-account') return notReady('WrongAccount', refusal.message, 'recoverable');
  if (refusal && UNREAD_REFUSAL.test(refusal.message))
    return notReady('Unreadable', refusal.message, 'recoverable');
  if (refusal) return notReady('Refused', refusal.message, 'terminal');
  const failed = results.filter(({ result }) => result === 'failed');
  if (failed.length > 0) return notReady('ApplyFailed', `${failed[0]?.id}: ${failed[0]?.why}`, 'recoverable');
  const [blocked] = remaining?.blocked ?? plan.blocked;
  if (blocked) {
    const isUnread = UNREAD_CAUSE.test(blocked.why);
    return notReady(
      isUnread ? 'Unreadable' : 'Blocked',
      `${blocked.id}: ${blocked.why}`,
      isUnread ? 'recoverable' : 'terminal',
    );
  }
  const skipped = results.find(({ result }) => result === 'skipped');
  if (skipped) return notReady('ApplyIncomplete', `${skipped.id}: ${skipped.why}`, 'recoverable');
  if (remaining && remaining.waves.length > 0)
    return notReady(
      'NotConverged',
      `${remaining.waves[0]?.[0]?.id} still differs after apply`,
      'recoverable',
    );
  const pending = plan.waves.flat().length;
  if (pending > 0 && results.length === 0)
    return notReady(
      'ChangesPending',
      pending === 1 ? '1 change is pending' : `${pending} changes are pending`,
      'recoverable',
    );
  return [
    {
      status: 'True',
      reason: 'Converged',
      message: `${plan.unchanged + results.length} resources are as declared`,
    },
    'none',
  ];
}

export function provenCondition(proof: readonly RuleVerdict[]): ConditionState {
  const broken = proof.filter(({ verdict }) => verdict === 'broken');
  const [worst] = broken;
  if (worst) {
    const finding = worst.findings.find(({ severity }) => severity === 'error');
    const suffix = broken.length > 1 ? ` (and ${broken.length - 1} more rules)` : '';
    return {
      status: 'False',
      reason: finding?.code ?? 'NotAllowed',
      message: `${worst.rule}: ${finding?.message ?? 'S3 would not replicate its objects'}${suffix}`,
    };
  }
  const unknown = proof.find(({ verdict }) => verdict === 'unknown');
  if (unknown)
    return {
      status: 'Unknown',
      reason: 'Unreadable',
      message: `${unknown.rule}: replikey cannot read all settings that the proof needs`,
    };
  if (proof.length === 0) return { status: 'Unknown', reason: 'NoRules', message: 'no rules to prove' };
  return {
    status: 'True',
    reason: 'AllRequestsAllowed',
    message: `${proof.length} of ${proof.length} rules proven`,
  };
}

/** The reasons of the condition, by the state of a job. */
const BACKFILL_REASONS: Readonly<Record<JobStatus['state'], string>> = {
  blocked: 'Blocked',
  failed: 'Failed',
  tasksFailed: 'TasksFailed',
  awaitingApproval: 'AwaitingApproval',
  preparing: 'Preparing',
  inProgress: 'InProgress',
  notStarted: 'NotStarted',
  succeeded: 'Succeeded',
};

/** Returns the condition of a pair that declares a backfill, from the jobs of its prefixes. */
export function backfillCondition(jobs: readonly JobStatus[]): ConditionState {
  const urgent = mostUrgentJobs(jobs);
  const [first] = urgent;
  if (!first)
    return {
      status: 'Unknown',
      reason: 'Unreadable',
      message: 'the jobs of the backfill are not known, because they cannot be read, or the pair is blocked',
    };
  return {
    status: first.state === 'succeeded' ? 'True' : 'False',
    reason: BACKFILL_REASONS[first.state],
    message: [...new Set(urgent.map(jobStatusText))].join('; '),
  };
}

export function verifiedCondition(results: readonly CanaryResult[]): ConditionState {
  const failure = results.find(({ result }) => result === 'failed' || result === 'timeout');
  if (failure) {
    const reason = failure.result === 'failed' ? 'ReplicationFailed' : 'ReplicationSlow';
    return {
      status: 'False',
      reason,
      message: `${failure.pair}/${failure.rule}: ${failure.why ?? failure.result}`,
    };
  }
  const refused = results.find(({ result }) => result === 'refused');
  if (refused)
    return {
      status: 'Unknown',
      reason: 'Refused',
      message: `${refused.pair}/${refused.rule}: ${refused.why ?? refused.result}`,
    };
  const replicated = results.filter(({ result }) => result === 'replicated');
  if (replicated.length === 0)
    return { status: 'Unknown', reason: 'Skipped', message: results[0]?.why ?? 'no rules to verify' };
  const slowest = Math.max(...replicated.map(({ latencyMs = 0 }) => latencyMs));
  return {
    status: 'True',
    reason: 'Replicated',
    message: `${replicated.length} canaries arrived, the slowest after ${slowest} ms`,
  };
}

/** Whether the condition reports a change by another caller, reverted or not. */
export const isDrift = ({ reason }: Condition): boolean =>
  reason === 'Healed' || reason === 'ChangedElsewhere';
