import type { Aws, Location } from '../core/resource.ts';
import { type FailureCount, type FailureHistory, readFailureHistory } from '../facts/failure-history.ts';
import {
  DAY_PERIODS,
  lastDay,
  type MeasuredRule,
  type RuleMetrics,
  readRuleMetrics,
  summarizeRule,
} from '../facts/replication-metrics.ts';
import { createFinding, type Finding } from '../proof/findings.ts';
import type { RuleContext } from '../proof/rule-context.ts';
import { durationText } from '../util/clock.ts';

/** What CloudWatch measured about the objects of one rule. */
export interface RuleMetricsReport
  extends FailureCount,
    Pick<RuleMetrics, 'latencySeconds' | 'pendingOperations' | 'pendingBytes'> {
  /** The source bucket. */
  bucket: string;
  destination: string;
  /** ID of the rule. */
  rule: string;
  /** `broken`: operations failed recently; `unknown`: no operation, or its result cannot be read. */
  verdict: 'healthy' | 'broken' | 'unknown';
  state: RuleMetrics['state'];
  /** Length of the history in days. */
  days: number;
  /** The operations that decide the verdict. */
  recent: FailureCount;
  findings: Finding[];
}

export interface RuleMetricsOptions {
  /** Milliseconds since 1970, by the clock of AWS. */
  nowMs: number;
  /** Failures within this time decide the verdict, in milliseconds. */
  failedSinceMs: number;
  locationOf(bucket: string): Location;
  /** Returns the Region of a destination that the facts do not contain. */
  regionOf(bucket: string): string | undefined;
}

/** Reads the metrics of rules, and reports which of them failed. */
export async function diagnoseRuleMetrics(
  aws: Aws,
  contexts: readonly RuleContext[],
  options: RuleMetricsOptions,
): Promise<RuleMetricsReport[]> {
  const { nowMs, failedSinceMs } = options;
  const entries = contexts.map((context) => ({ context, rule: measuredRuleOf(context, options) }));
  const rules = entries.flatMap(({ context, rule }) => (hasEnabledMetrics(context) ? rule : []));
  const { failed: _, operations: __, ...destinationPeriods } = DAY_PERIODS;
  const [histories, latest] = await Promise.all([
    readFailureHistory(aws, rules, { nowMs, windowMs: failedSinceMs }),
    readRuleMetrics(aws, rules, destinationPeriods, lastDay(nowMs)),
  ]);
  const historyByRule = new Map(histories.map((history) => [history.rule, history]));
  const latestByRule = new Map(latest.map((reading) => [reading.rule, reading]));
  return entries.map(({ rule }) => {
    const [history, reading] = [historyByRule.get(rule), latestByRule.get(rule)];
    return reportRuleMetrics(rule, history, reading && summarizeRule(reading, nowMs), failedSinceMs);
  });
}

/** Whether S3 has metrics of a rule. */
const hasEnabledMetrics = ({ rule }: RuleContext): boolean => rule.Destination?.Metrics?.Status === 'Enabled';

function measuredRuleOf(
  { rule, source, destination, unreadDestination, destinationName }: RuleContext,
  { locationOf, regionOf }: RuleMetricsOptions,
): MeasuredRule {
  const region = destination?.region ?? regionOf(destinationName) ?? unreadDestination?.region ?? '';
  return {
    id: rule.ID ?? '',
    source: { bucket: source.name, location: locationOf(source.name) },
    destination: { bucket: destinationName, ...(region !== '' && { region }) },
  };
}

/**
 * Reports the metrics of one rule. Pure.
 *
 * @param history absent: the rule has no metrics
 * @param latest the metrics in the Region of the destination
 */
export function reportRuleMetrics(
  { id, source, destination }: MeasuredRule,
  history: FailureHistory | undefined,
  latest: RuleMetrics | undefined,
  failedSinceMs: number,
): RuleMetricsReport {
  const names = { bucket: source.bucket, destination: destination.bucket, rule: id };
  if (!history)
    return { ...names, verdict: 'unknown', state: 'notEnabled', days: 0, recent: {}, findings: [] };
  const { rule: _, unread, recent, ...counts } = history;
  const { latencySeconds, pendingOperations, pendingBytes, reason } = latest ?? {};
  const reasons = [...new Set([...unread, ...(reason === undefined ? [] : [reason])])];
  const hasFailed = (recent.failed ?? 0) > 0;
  return {
    ...names,
    verdict: hasFailed ? 'broken' : unread.length > 0 || !counts.operations ? 'unknown' : 'healthy',
    state: reasons.length > 0 ? 'unreadable' : counts.operations === undefined ? 'noData' : 'available',
    ...counts,
    recent,
    ...(latencySeconds !== undefined && { latencySeconds }),
    ...(pendingOperations !== undefined && { pendingOperations }),
    ...(pendingBytes !== undefined && { pendingBytes }),
    findings: [
      ...((counts.failed ?? 0) > 0
        ? [createFinding('RK1405', failedOperationsText(history, failedSinceMs))]
        : []),
      ...reasons.map((unreadReason) =>
        createFinding('RK1901', `cannot read the metrics of the rule ${id}: ${unreadReason}`),
      ),
    ],
  };
}

function failedOperationsText({ recent, days, ...counts }: FailureHistory, failedSinceMs: number): string {
  const window = durationText(failedSinceMs / 1000);
  const older = countsText(counts, `${days} days`);
  if (!recent.failed) return `${older}; none of them within ${window}`;
  const text = countsText(recent, window);
  return recent.failed === counts.failed ? text : `${text}; ${older}`;
}

/** Returns the counts with the start: `100 of 1,110 operations within 24 hours failed, the first at 2026-11-30T09:41Z`. */
function countsText(
  { failed = 0, operations = failed, failedSince = '' }: FailureCount,
  window: string,
): string {
  const first = failedSince.replace(/:\d\d\.\d+Z$/, 'Z');
  return `${failed.toLocaleString('en')} of ${operations.toLocaleString('en')} operations within ${window} failed, the first at ${first}`;
}
