import type { CanaryResult } from '../canary/canary.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { Outcome } from '../reconcile/pass.ts';

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

export type ConditionState = Omit<Condition, 'since'>;

/** A condition that changes its status begins anew; one that only says it otherwise does not. */
export const setCondition = (before: Condition, next: ConditionState, now: string): Condition => ({
  ...next,
  since: before.status === next.status ? before.since : now,
});

export function readyCondition({ plan, refusals, results, remaining }: Outcome): [ConditionState, RetryKind] {
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

export function provenCondition(proof: readonly RuleVerdict[]): ConditionState {
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

/** Whether it says that somebody else changed something, put back or not. */
export const isDrift = ({ reason }: Condition): boolean =>
  reason === 'Healed' || reason === 'ChangedElsewhere';
