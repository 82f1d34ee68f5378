import type { ReplicationMetrics } from '../facts/replication-metrics.ts';
import { type ConditionState, setCondition } from './conditions.ts';
import { formatBurst, isDeletion } from './failure-bursts.ts';
import type { FailureBurst, PairStatus } from './status.ts';

/** Failures of this age and younger make a pair `Replicating: False`, in milliseconds. */
const RECENT_FAILURE_MS = 15 * 60_000;

const FAILURES_WINDOW_MS = 24 * 3_600_000;

/**
 * Returns the condition `Replicating` of a pair, from the metrics of its rules and from the events of failures.
 *
 * False: a burst of failure events continues, an operation failed in the last 15 minutes, or none has succeeded since the
 * last failure. Failed delete markers alone are not a reason. Unknown: there is no evidence of either. Pure.
 *
 * @param replication absent: not read yet
 * @param now ISO 8601
 */
export function replicatingCondition(
  replication: ReplicationMetrics | undefined,
  bursts: readonly FailureBurst[],
  now: string,
): ConditionState {
  const openBursts = bursts
    .filter((burst) => !isDeletion(burst) && burst.endedAt === undefined)
    .sort((a, b) => Date.parse(b.until) - Date.parse(a.until));
  const [newest] = openBursts;
  if (newest)
    return {
      status: 'False',
      reason: 'OperationsFailed',
      message: burstText(newest, openBursts.length - 1),
    };
  if (!replication) return { status: 'Unknown', reason: 'Pending', message: 'metrics not read yet' };
  if (isFailing(replication, bursts, now))
    return { status: 'False', reason: 'OperationsFailed', message: failureText(replication) };
  if (replication.state !== 'available') return withoutEvidence(replication);
  const isReplicating = replication.replicatedUntil !== undefined;
  if (!isReplicating) return withoutEvidence({ ...replication, state: 'noData' });
  const { failed = 0, rulesWithoutMetrics = 0 } = replication;
  return {
    status: 'True',
    reason: 'Replicated',
    message: [
      // Without the number of operations, which would change the message with each read.
      'S3 replicated objects in the last 24 hours, and no operation failed in the last 15 minutes',
      ...(failed === 0 ? [] : [`before that, ${failureText(replication)}`]),
      ...(rulesWithoutMetrics === 0 ? [] : [`rules without metrics: ${rulesWithoutMetrics}`]),
    ].join('; '),
  };
}

const isRecent = (time: string, now: string): boolean =>
  Date.parse(now) - Date.parse(time) < RECENT_FAILURE_MS;

function isFailing(
  { failed = 0, failedUntil, unrecovered }: ReplicationMetrics,
  bursts: readonly FailureBurst[],
  now: string,
): boolean {
  if (failed === 0 || failedUntil === undefined) return false;
  const isToday = ({ until }: FailureBurst) => Date.parse(now) - Date.parse(until) < FAILURES_WINDOW_MS;
  const deletions = bursts.filter((burst) => isDeletion(burst) && isToday(burst));
  // The metrics count failed delete markers too.
  if (failed <= deletions.reduce((sum, { count }) => sum + count, 0)) return false;
  return isRecent(failedUntil, now) || unrecovered === true;
}

function withoutEvidence({ state, reason }: ReplicationMetrics): ConditionState {
  if (state === 'unreadable')
    return { status: 'Unknown', reason: 'Unreadable', message: `cannot read the metrics: ${reason}` };
  if (state === 'notEnabled')
    return { status: 'Unknown', reason: 'NotEnabled', message: 'no rule has metrics' };
  return { status: 'Unknown', reason: 'NoData', message: 'S3 replicated nothing in the last 24 hours' };
}

/** The part of 24 hours after which a failure at their start may have begun earlier, in milliseconds. */
const WHOLE_WINDOW_MS = 23.5 * 3_600_000;

function failureText({ at, failed = 0, operations = failed, failedSince = at }: ReplicationMetrics): string {
  const orEarlier = Date.parse(at) - Date.parse(failedSince) > WHOLE_WINDOW_MS ? ' or earlier' : '';
  const counts = `${failed.toLocaleString('en')} of ${operations.toLocaleString('en')}`;
  return `${counts} operations of the last 24 hours failed, since ${failedSince}${orEarlier}; S3 does not retry them`;
}

function burstText(burst: FailureBurst, more: number): string {
  const suffix = more === 0 ? '' : ` (and ${more} more ${more === 1 ? 'burst' : 'bursts'} of failures)`;
  return `${formatBurst(burst)}${suffix}`;
}

/** Returns the status of a pair with new metrics or bursts, and with the condition `Replicating` that follows from them. */
export function afterReplication(
  before: PairStatus,
  evidence: Pick<PairStatus, 'replication' | 'failureBursts'>,
  now: string,
): PairStatus {
  const after = { ...before, ...evidence };
  const condition = replicatingCondition(after.replication, after.failureBursts ?? [], now);
  const { Replicating } = before.conditions;
  return {
    ...after,
    conditions: { ...before.conditions, Replicating: setCondition(Replicating, condition, now) },
  };
}
