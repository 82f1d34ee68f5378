import type { Datapoint } from '../aws/metric-data.ts';
import type { Aws } from '../core/resource.ts';
import { type MeasuredRule, type RuleReading, readRuleMetrics } from './replication-metrics.ts';

/** Operations of a rule in a time range. A value without a datapoint is absent. */
export interface FailureCount {
  operations?: number;
  failed?: number;
  /** ISO 8601: the start of the first metric period with a failure. */
  failedSince?: string;
}

/** The operations of a rule, as CloudWatch counted them. */
export interface FailureHistory extends FailureCount {
  rule: MeasuredRule;
  /** Length of the history in days. */
  days: number;
  /** The part of the history within the window of the caller. */
  recent: FailureCount;
  /** Why a part of the history could not be read; empty: all of it was. */
  unread: string[];
}

const HOUR_SECONDS = 3_600;
const HOUR_PERIOD_MS = HOUR_SECONDS * 1000;
const DAY_HOURS = 24;

const HISTORY_DAYS = 14;

/** How long CloudWatch has values of an hour, and of a minute (CloudWatch User Guide, "Metrics retention"). */
const MAX_HISTORY_DAYS = 455;
const MINUTE_VALUES_MS = 15 * DAY_HOURS * HOUR_PERIOD_MS;

/**
 * Reads the operations of rules in the last 14 days, or in a longer window. The first read has values of hours. For a rule
 * with failures, the minutes of the hours in which they began, and in which the window begins, are read as well.
 *
 * @param windowMs length of the window for `recent`, which includes the whole period in which it begins: a minute where
 *   minutes can be read. 0: nothing is recent
 */
export async function readFailureHistory(
  aws: Aws,
  rules: readonly MeasuredRule[],
  { nowMs, windowMs }: { nowMs: number; windowMs: number },
): Promise<FailureHistory[]> {
  const windowDays = Math.ceil(windowMs / (DAY_HOURS * HOUR_PERIOD_MS));
  const days = Math.min(Math.max(HISTORY_DAYS, windowDays), MAX_HISTORY_DAYS);
  const endMs = hourOf(nowMs) + HOUR_PERIOD_MS;
  const range = { startMs: endMs - days * DAY_HOURS * HOUR_PERIOD_MS, endMs };
  const readings = await readRuleMetrics(
    aws,
    rules,
    { failed: HOUR_SECONDS, operations: HOUR_SECONDS },
    range,
  );
  const windowStartMs = nowMs - windowMs;
  const rulesByHour = new Map<number, RuleReading[]>();
  for (const reading of readings)
    for (const hour of hoursToRefine(reading, windowStartMs))
      rulesByHour.set(hour, [...(rulesByHour.get(hour) ?? []), reading]);
  const refinements = await Promise.all(
    [...rulesByHour].map(([hour, hourReadings]) => readMinutes(aws, hour, hourReadings, nowMs)),
  );
  return readings.map((reading) => {
    const minutes = refinements.flatMap((refinement) =>
      refinement.filter(({ rule }) => rule === reading.rule),
    );
    const recentStartMs = windowMs === 0 ? nowMs : recentStartOf(windowStartMs, minutes, nowMs);
    return toHistory(refineReading(reading, minutes), days, recentStartMs);
  });
}

/**
 * Returns the start of the period in which the window begins. Its failures may be within the window: CloudWatch does not
 * tell when in a period an operation failed.
 */
function recentStartOf(windowStartMs: number, minutes: readonly HourReading[], nowMs: number): number {
  const hour = hourOf(windowStartMs);
  const isUnread = minutes.some((reading) => reading.hour === hour && !isComplete(reading));
  if (isUnread) return hour;
  const periodMs = minutePeriodOf(hour, nowMs) * 1000;
  return Math.floor(windowStartMs / periodMs) * periodMs;
}

const hourOf = (ms: number): number => Math.floor(ms / HOUR_PERIOD_MS) * HOUR_PERIOD_MS;

/** Returns the hours with the first failure, with the first failure of the window, and with the start of the window. */
function hoursToRefine({ series: { failed = [] } }: RuleReading, windowStartMs: number): number[] {
  const hours = failed.filter(({ value }) => value > 0).map(({ atMs }) => atMs);
  const boundary = hourOf(windowStartMs);
  const candidates = [
    hours[0],
    hours.find((hour) => hour === boundary),
    hours.find((hour) => hour > boundary),
  ];
  return [...new Set(candidates.filter((hour) => hour !== undefined))];
}

/** The periods of one hour of a rule. */
interface HourReading extends RuleReading {
  hour: number;
}

async function readMinutes(
  aws: Aws,
  hour: number,
  readings: readonly RuleReading[],
  nowMs: number,
): Promise<HourReading[]> {
  const period = minutePeriodOf(hour, nowMs);
  const minutes = await readRuleMetrics(
    aws,
    readings.map(({ rule }) => rule),
    { failed: period, operations: period },
    { startMs: hour, endMs: hour + HOUR_PERIOD_MS },
  );
  return minutes.map((reading) => ({ ...reading, hour }));
}

/** Returns the shortest period of an hour for which CloudWatch has values, in seconds. */
const minutePeriodOf = (hour: number, nowMs: number): number => (nowMs - hour < MINUTE_VALUES_MS ? 60 : 300);

const isComplete = ({ series }: HourReading): boolean =>
  series.failed !== undefined && series.operations !== undefined;

/** Replaces hours by their minutes, where these could be read. */
function refineReading(reading: RuleReading, minutes: readonly HourReading[]): RuleReading {
  const unread = [...new Set([...reading.unread, ...minutes.flatMap((hour) => hour.unread)])];
  const refined = minutes.filter(isComplete);
  const refinedHours = new Set(refined.map(({ hour }) => hour));
  const replaceHours = (metric: 'failed' | 'operations'): Datapoint[] | undefined =>
    reading.series[metric]
      ?.filter(({ atMs }) => !refinedHours.has(atMs))
      .concat(refined.flatMap(({ series }) => series[metric] ?? []))
      .sort((a, b) => a.atMs - b.atMs);
  const [failed, operations] = [replaceHours('failed'), replaceHours('operations')];
  return { ...reading, unread, series: { ...(failed && { failed }), ...(operations && { operations }) } };
}

function toHistory(
  { rule, series, unread }: RuleReading,
  days: number,
  recentStartMs: number,
): FailureHistory {
  const { failed = [], operations = [] } = series;
  const countFrom = (startMs: number): FailureCount => {
    const sumOf = (datapoints: readonly Datapoint[]): number | undefined => {
      const selected = datapoints.filter(({ atMs }) => atMs >= startMs);
      return selected.length === 0 ? undefined : selected.reduce((sum, { value }) => sum + value, 0);
    };
    const [failedCount, operationCount] = [sumOf(failed), sumOf(operations)];
    const first = failed.find(({ atMs, value }) => atMs >= startMs && value > 0);
    return {
      ...(operationCount !== undefined && { operations: operationCount }),
      ...(failedCount !== undefined && { failed: failedCount }),
      ...(first && { failedSince: new Date(first.atMs).toISOString() }),
    };
  };
  return { rule, days, unread, ...countFrom(Number.NEGATIVE_INFINITY), recent: countFrom(recentStartMs) };
}
