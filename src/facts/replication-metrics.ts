import { formatAwsError } from '../aws/errors.ts';
import {
  type Datapoint,
  type MetricRange,
  type MetricSeries,
  type MetricStat,
  readMetricData,
} from '../aws/metric-data.ts';
import type { Aws, Location } from '../core/resource.ts';
import { omitUndefined, toSortedSet } from '../util/canonical-json.ts';

/**
 * The replication of the rules of a pair, as CloudWatch measured it. A value without a datapoint is absent: nothing was
 * replicated, which is not zero.
 */
export interface ReplicationMetrics {
  /** ISO 8601: the time of the read. */
  at: string;
  /**
   * `available`: at least one datapoint; `noData`: none; `notEnabled`: no rule has metrics; `unreadable`: AWS refused a
   * read. The values of the other reads are present then.
   */
  state: 'available' | 'noData' | 'notEnabled' | 'unreadable';
  /** Why the metrics are unreadable. */
  reason?: string;
  /** Number of rules without metrics; absent: none. */
  rulesWithoutMetrics?: number;
  /** Numbers of operations, and of failed operations, in the last 24 hours. */
  operations?: number;
  failed?: number;
  /**
   * ISO 8601: the start of the first, and the end of the last metric period with a failure in these 24 hours. The start is to
   * the minute, the end to 5 minutes.
   */
  failedSince?: string;
  failedUntil?: string;
  /** ISO 8601: the end of the last metric period in which an operation succeeded, in these 24 hours. */
  replicatedUntil?: string;
  /** Whether a rule has failures in these 24 hours, and no operation succeeded after the period of the last of them. */
  unrecovered?: true;
  /** Largest latency of the last 15 minutes, in seconds. */
  latencySeconds?: number;
  /** Largest numbers of pending operations and bytes of the last 15 minutes. Those of several rules are added up. */
  pendingOperations?: number;
  pendingBytes?: number;
  /** The last 24 hours, one value an hour, oldest first; null: no datapoint. */
  history: { failed: (number | null)[]; latencySeconds: (number | null)[] };
}

/** A replication rule with the locations of its metrics. */
export interface MeasuredRule {
  /** ID of the rule in S3. */
  id: string;
  source: { bucket: string; location: Location };
  /** Without the Region, if it is not known. */
  destination: { bucket: string; region?: string };
}

/**
 * The metrics of a rule: the Region that has them, and the statistic. All are in the account of the source.
 *
 * The Regions are those that users observed (prometheus-community/yet-another-cloudwatch-exporter#1188): S3 documents
 * none. SampleCount of the failed operations is the number of operations (S3 User Guide, "Metrics and dimensions").
 */
const METRIC_DEFINITIONS = {
  failed: { side: 'source', name: 'OperationsFailedReplication', statistic: 'Sum' },
  operations: { side: 'source', name: 'OperationsFailedReplication', statistic: 'SampleCount' },
  latencySeconds: { side: 'destination', name: 'ReplicationLatency', statistic: 'Maximum' },
  pendingBytes: { side: 'destination', name: 'BytesPendingReplication', statistic: 'Maximum' },
  pendingOperations: { side: 'destination', name: 'OperationsPendingReplication', statistic: 'Maximum' },
} as const;

export type MetricName = keyof typeof METRIC_DEFINITIONS;

/** The metrics to read, with the length of a period in seconds. */
export type MetricPeriods = Partial<Record<MetricName, number>>;

/** One metric of one rule in a call. */
export interface MetricQuery {
  rule: MeasuredRule;
  metric: MetricName;
  periodSeconds: number;
}

/** One call of GetMetricData. */
export interface MetricCall {
  location: Location;
  range: MetricRange;
  queries: MetricQuery[];
}

/** What was read about a rule. */
export interface RuleReading {
  rule: MeasuredRule;
  /** By metric, in the order of time. A metric that could not be read is absent. */
  series: Partial<Record<MetricName, Datapoint[]>>;
  /** Why metrics of the rule could not be read, each reason once. */
  unread: string[];
}

/** Limits of GetMetricData (CloudWatch API Reference), and the number of rules whose five metrics fit. */
const MAX_CALL_QUERIES = 500;
const MAX_CALL_DATAPOINTS = 100_800;
const MAX_CALL_RULES = 100;

/** Groups the metrics of rules into calls, by the location that has them. Pure. */
export function planMetricCalls(
  rules: readonly MeasuredRule[],
  periods: MetricPeriods,
  range: MetricRange,
): MetricCall[] {
  const rulesByLocation = new Map<string, { location: Location; queriesByRule: MetricQuery[][] }>();
  for (const rule of rules) {
    const queriesByLocation = new Map<string, { location: Location; queries: MetricQuery[] }>();
    for (const [metric, periodSeconds] of periodEntries(periods)) {
      const location = metricLocationOf(rule, metric);
      if (!location) continue;
      const key = JSON.stringify([location.account, location.region]);
      const group = queriesByLocation.get(key) ?? { location, queries: [] };
      group.queries.push({ rule, metric, periodSeconds });
      queriesByLocation.set(key, group);
    }
    for (const [key, { location, queries }] of queriesByLocation) {
      const group = rulesByLocation.get(key) ?? { location, queriesByRule: [] };
      group.queriesByRule.push(queries);
      rulesByLocation.set(key, group);
    }
  }
  return [...rulesByLocation.values()].flatMap(({ location, queriesByRule }) =>
    splitCalls(queriesByRule, range).map((queries) => ({ location, range, queries })),
  );
}

/** Splits the queries of rules where a call reaches a limit. All queries of a rule stay in one call. */
function splitCalls(queriesByRule: readonly MetricQuery[][], range: MetricRange): MetricQuery[][] {
  const calls: MetricQuery[][] = [];
  let ruleCount = 0;
  let datapointCount = 0;
  for (const queries of queriesByRule) {
    const datapoints = queries.reduce((sum, query) => sum + datapointCountOf(query, range), 0);
    const call = calls.at(-1);
    const fits =
      call !== undefined &&
      ruleCount < MAX_CALL_RULES &&
      call.length + queries.length <= MAX_CALL_QUERIES &&
      datapointCount + datapoints <= MAX_CALL_DATAPOINTS;
    if (fits) call.push(...queries);
    else calls.push([...queries]);
    ruleCount = fits ? ruleCount + 1 : 1;
    datapointCount = fits ? datapointCount + datapoints : datapoints;
  }
  return calls;
}

const datapointCountOf = ({ periodSeconds }: MetricQuery, { startMs, endMs }: MetricRange): number =>
  Math.ceil((endMs - startMs) / (periodSeconds * 1000));

const periodEntries = (periods: MetricPeriods): [MetricName, number][] =>
  Object.entries(periods) as [MetricName, number][];

/** Returns where a metric of a rule is: always with the credentials of the source's account. */
function metricLocationOf({ source, destination }: MeasuredRule, metric: MetricName): Location | undefined {
  if (METRIC_DEFINITIONS[metric].side === 'source') return source.location;
  return destination.region === undefined ? undefined : { ...source.location, region: destination.region };
}

/** Reads metrics of rules. A read that AWS refuses is a reason in the readings of its rules. */
export async function readRuleMetrics(
  aws: Aws,
  rules: readonly MeasuredRule[],
  periods: MetricPeriods,
  range: MetricRange,
): Promise<RuleReading[]> {
  const readings = new Map(
    rules.map((rule): [MeasuredRule, RuleReading] => [rule, { rule, series: {}, unread: [] }]),
  );
  const addReason = (rule: MeasuredRule, reason: string): void => {
    const reading = readings.get(rule);
    if (reading && !reading.unread.includes(reason)) reading.unread.push(reason);
  };
  const metrics = periodEntries(periods).map(([metric]) => metric);
  for (const rule of rules)
    if (metrics.some((metric) => metricLocationOf(rule, metric) === undefined))
      addReason(rule, `the Region of ${rule.destination.bucket} is not known`);
  await Promise.all(
    planMetricCalls(rules, periods, range).map(async (call) => {
      try {
        for (const [{ rule, metric }, result] of await sendMetricCall(aws, call)) {
          if ('unread' in result) addReason(rule, result.unread);
          else Object.assign(readings.get(rule)?.series ?? {}, { [metric]: result.datapoints });
        }
      } catch (error) {
        for (const { rule } of call.queries) addReason(rule, formatAwsError(error));
      }
    }),
  );
  return [...readings.values()];
}

/**
 * Sends a call and follows its pages.
 *
 * @throws an AWS error, or a UserError if the credentials are those of another account.
 */
async function sendMetricCall(
  aws: Aws,
  { location, range, queries }: MetricCall,
): Promise<[MetricQuery, MetricSeries][]> {
  const results = await readMetricData(aws, location, queries.map(toMetricStat), range);
  return queries.map((query, index) => [query, results[index] as MetricSeries]);
}

/**
 * Returns a metric with all three dimensions. CloudWatch has no data for other sets of dimensions, and reports no error
 * for them.
 */
const toMetricStat = ({ rule, metric, periodSeconds }: MetricQuery): MetricStat => ({
  Metric: {
    Namespace: 'AWS/S3',
    MetricName: METRIC_DEFINITIONS[metric].name,
    Dimensions: [
      { Name: 'SourceBucket', Value: rule.source.bucket },
      { Name: 'DestinationBucket', Value: rule.destination.bucket },
      { Name: 'RuleId', Value: rule.id },
    ],
  },
  Period: periodSeconds,
  Stat: METRIC_DEFINITIONS[metric].statistic,
});

const HOUR_MS = 3_600_000;
const HISTORY_HOURS = 24;
/** CloudWatch has the metrics of S3 some minutes late. */
const LATEST_MS = HOUR_MS / 4;

/**
 * Periods of 24 hours, in seconds: 1,008 datapoints for the five metrics of a rule, so that 100 rules have as many
 * datapoints as one call may return.
 */
export const DAY_PERIODS = {
  failed: 300,
  operations: 300,
  latencySeconds: 600,
  pendingBytes: 600,
  pendingOperations: 600,
} as const satisfies Record<MetricName, number>;

/** Returns the 24 hours up to the end of the present period. The start is aligned to all periods. */
export function lastDay(nowMs: number): MetricRange {
  const alignmentMs = Math.max(...Object.values(DAY_PERIODS)) * 1000;
  const endMs = (Math.floor(nowMs / alignmentMs) + 1) * alignmentMs;
  return { startMs: endMs - HISTORY_HOURS * HOUR_MS, endMs };
}

/** What was measured about one rule in 24 hours. */
export type RuleMetrics = Omit<ReplicationMetrics, 'at' | 'rulesWithoutMetrics'>;

/** Summarizes the readings of `DAY_PERIODS` in `lastDay`. Pure. */
export function summarizeRule({ series, unread }: RuleReading, nowMs: number): RuleMetrics {
  const {
    failed = [],
    operations = [],
    latencySeconds = [],
    pendingBytes = [],
    pendingOperations = [],
  } = series;
  const { startMs } = lastDay(nowMs);
  const failures = failed.filter(({ value }) => value > 0);
  const failedAt = new Map(failed.map(({ atMs, value }) => [atMs, value]));
  const successes = operations.filter(({ atMs, value }) => value > (failedAt.get(atMs) ?? 0));
  const [lastFailure, lastSuccess] = [failures.at(-1), successes.at(-1)];
  const endOf = (datapoint: Datapoint | undefined): string | undefined =>
    datapoint && toIso(Math.min(datapoint.atMs + DAY_PERIODS.failed * 1000, nowMs));
  const latestOf = (metric: keyof typeof DAY_PERIODS, datapoints: readonly Datapoint[]): number | undefined =>
    largest(datapoints.filter(({ atMs }) => atMs + DAY_PERIODS[metric] * 1000 > nowMs - LATEST_MS));
  const hasData = Object.values(series).some((datapoints) => datapoints.length > 0);
  return omitUndefined({
    state:
      unread.length > 0 ? ('unreadable' as const) : hasData ? ('available' as const) : ('noData' as const),
    reason: unread.length > 0 ? unread.join('; ') : undefined,
    operations: total(operations),
    failed: total(failed),
    failedSince: failures[0] && toIso(failures[0].atMs),
    failedUntil: endOf(lastFailure),
    replicatedUntil: endOf(lastSuccess),
    unrecovered: lastFailure && lastFailure.atMs >= (lastSuccess?.atMs ?? 0) ? true : undefined,
    latencySeconds: latestOf('latencySeconds', latencySeconds),
    pendingOperations: latestOf('pendingOperations', pendingOperations),
    pendingBytes: latestOf('pendingBytes', pendingBytes),
    history: {
      failed: hourly(failed, startMs, total),
      latencySeconds: hourly(latencySeconds, startMs, largest),
    },
  });
}

/** Returns the value of each hour from the start on. */
function hourly(
  datapoints: readonly Datapoint[],
  startMs: number,
  combine: (datapoints: readonly Datapoint[]) => number | undefined,
): (number | null)[] {
  const hours: Datapoint[][] = Array.from({ length: HISTORY_HOURS }, () => []);
  for (const datapoint of datapoints)
    hours[Math.floor((datapoint.atMs - startMs) / HOUR_MS)]?.push(datapoint);
  return hours.map((hour) => combine(hour) ?? null);
}

const total = (datapoints: readonly Datapoint[]): number | undefined =>
  datapoints.length === 0 ? undefined : datapoints.reduce((sum, { value }) => sum + value, 0);

const largest = (datapoints: readonly Datapoint[]): number | undefined =>
  datapoints.length === 0 ? undefined : Math.max(...datapoints.map(({ value }) => value));

const toIso = (ms: number): string => new Date(ms).toISOString();

/**
 * Combines the metrics of the rules of a pair. Pure.
 *
 * @param rulesWithoutMetrics number of further rules, for which S3 has no metrics
 */
export function combineRuleMetrics(
  rules: readonly RuleMetrics[],
  rulesWithoutMetrics: number,
  nowMs: number,
): ReplicationMetrics {
  const valuesOf = <K extends keyof RuleMetrics>(field: K): NonNullable<RuleMetrics[K]>[] =>
    rules.flatMap((rule) => rule[field] ?? []) as NonNullable<RuleMetrics[K]>[];
  const sum = (field: 'operations' | 'failed' | 'pendingOperations' | 'pendingBytes') =>
    addUp(valuesOf(field));
  const reasons = toSortedSet(valuesOf('reason'));
  const latencies = valuesOf('latencySeconds');
  const hours = (
    field: keyof ReplicationMetrics['history'],
    combine: (values: number[]) => number | undefined,
  ) =>
    Array.from(
      { length: HISTORY_HOURS },
      (_, hour) => combine(rules.flatMap(({ history }) => history[field][hour] ?? [])) ?? null,
    );
  return omitUndefined({
    at: toIso(nowMs),
    state:
      reasons.length > 0
        ? ('unreadable' as const)
        : rules.some(({ state }) => state === 'available')
          ? ('available' as const)
          : rules.length === 0
            ? ('notEnabled' as const)
            : ('noData' as const),
    reason: reasons.length > 0 ? reasons.join('; ') : undefined,
    rulesWithoutMetrics: rulesWithoutMetrics > 0 ? rulesWithoutMetrics : undefined,
    operations: sum('operations'),
    failed: sum('failed'),
    failedSince: valuesOf('failedSince').sort()[0],
    failedUntil: valuesOf('failedUntil').sort().at(-1),
    replicatedUntil: valuesOf('replicatedUntil').sort().at(-1),
    unrecovered: valuesOf('unrecovered')[0],
    latencySeconds: latencies.length === 0 ? undefined : Math.max(...latencies),
    pendingOperations: sum('pendingOperations'),
    pendingBytes: sum('pendingBytes'),
    history: {
      failed: hours('failed', addUp),
      latencySeconds: hours('latencySeconds', (values) =>
        values.length === 0 ? undefined : Math.max(...values),
      ),
    },
  });
}

const addUp = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0);
