import type {
  GetMetricDataInput,
  GetMetricDataOutput,
  ListMetricsInput,
  ListMetricsOutput,
  MetricDataQuery,
  MetricDataResult,
  MetricDatum,
  PutMetricDataInput,
} from '@aws-sdk/client-cloudwatch';
import { missingFeatureError } from '../aws-error.ts';
import { type Call, type Handlers, pageOf } from '../call.ts';
import type { MetricState } from '../state.ts';
import { requireCloudWatchAccess } from './access.ts';
import { validationError } from './errors.ts';
import {
  datapointsOf,
  findMetrics,
  MINUTE_MS,
  minutesOf,
  STATISTICS,
  type StatisticValues,
  singleValue,
  type TimeRange,
  toDimensions,
} from './metrics.ts';
import { recordBucketSize } from './storage-metrics.ts';

/** Limits of GetMetricData (CloudWatch API Reference, GetMetricData). */
const MAX_QUERIES = 500;
const MAX_DATAPOINTS = 100_800;

/** Largest page of ListMetrics (CloudWatch API Reference, ListMetrics). */
const METRICS_PER_PAGE = 500;

const ONE_DAY_MS = 86_400_000;

/** Handlers that read and write the datapoints of metrics. */
export const metricDataHandlers: Handlers = {
  GetMetricData(call, input: GetMetricDataInput): GetMetricDataOutput {
    requireCloudWatchAccess(call);
    const { MetricDataQueries = [], StartTime, EndTime, ScanBy = 'TimestampDescending', NextToken } = input;
    const { MaxDatapoints = MAX_DATAPOINTS, LabelOptions } = input;
    if (LabelOptions?.Timezone !== undefined) throw missingFeatureError('LabelOptions of GetMetricData');
    checkQueries(MetricDataQueries);
    if (MaxDatapoints < 1 || MaxDatapoints > MAX_DATAPOINTS)
      throw validationError(`MaxDatapoints must be between 1 and ${MAX_DATAPOINTS}.`);
    const range = { start: (StartTime as Date).getTime(), end: (EndTime as Date).getTime() };
    if (range.start >= range.end)
      throw validationError('The parameter StartTime must be less than the parameter EndTime.');
    call.replicator.sampleMetrics();
    for (const bucket of bucketsOfQueries(MetricDataQueries)) recordBucketSize(call, bucket);
    const series = MetricDataQueries.filter(({ ReturnData = true }) => ReturnData).map((query) =>
      readSeries(call, query, range, ScanBy === 'TimestampDescending'),
    );
    return pageOfSeries(series, MaxDatapoints, NextToken);
  },

  /** Returns the metrics with a datapoint in the last two weeks, as CloudWatch lists them. */
  ListMetrics(call, input: ListMetricsInput): ListMetricsOutput {
    requireCloudWatchAccess(call);
    const { Namespace, MetricName, Dimensions = [], RecentlyActive, NextToken } = input;
    call.replicator.sampleMetrics();
    const start = call.now - (RecentlyActive === 'PT3H' ? ONE_DAY_MS / 8 : 14 * ONE_DAY_MS);
    const metrics = [...call.store.metrics.values()].filter(
      (metric) =>
        metric.account === call.caller.account &&
        metric.region === call.region &&
        (Namespace === undefined || metric.namespace === Namespace) &&
        (MetricName === undefined || metric.name === MetricName) &&
        Dimensions.every(({ Name, Value }) =>
          metric.dimensions.some(
            ([name, value]) => name === Name && (Value === undefined || value === Value),
          ),
        ) &&
        !minutesOf(metric, { start, end: visibleUntil(call) }).next().done,
    );
    // Values of several units belong to one metric.
    const listed = new Map(
      metrics.map(({ namespace, name, dimensions }) => [
        JSON.stringify([namespace, name, dimensions]),
        {
          Namespace: namespace,
          MetricName: name,
          Dimensions: dimensions.map(([Name, Value]) => ({ Name, Value })),
        },
      ]),
    );
    const { items, next } = pageOf([...listed.values()], METRICS_PER_PAGE, NextToken);
    return { Metrics: items, ...(next === undefined ? {} : { NextToken: next }) };
  },

  PutMetricData(call, input: PutMetricDataInput): void {
    const { Namespace = '', MetricData = [] } = input;
    requireCloudWatchAccess(call, '*', { 'cloudwatch:namespace': Namespace });
    if (Namespace.startsWith('AWS/'))
      throw validationError('The value AWS/ for parameter Namespace is invalid.');
    for (const datum of MetricData) putDatum(call, Namespace, datum);
    call.alarmEvaluator.evaluateSoon();
  },
};

/** Returns the buckets whose size is read. */
const bucketsOfQueries = (queries: readonly MetricDataQuery[]): Set<string> =>
  new Set(
    queries.flatMap(({ MetricStat: { Metric } = { Metric: undefined } }) =>
      Metric?.Namespace === 'AWS/S3' && Metric.MetricName === 'BucketSizeBytes'
        ? (Metric.Dimensions ?? []).flatMap(({ Name, Value }) => (Name === 'BucketName' ? (Value ?? []) : []))
        : [],
    ),
  );

/** Returns the time up to which CloudWatch returns datapoints, exclusive. */
export const visibleUntil = ({ now, faultSettings }: Pick<Call, 'now' | 'faultSettings'>): number =>
  now - faultSettings.metricsDelayMs + 1;

function checkQueries(queries: MetricDataQuery[]): void {
  if (queries.length === 0)
    throw validationError('The parameter MetricDataQueries must contain at least one MetricDataQuery.');
  if (queries.length > MAX_QUERIES)
    throw validationError(
      `The collection MetricDataQueries must not have a size greater than ${MAX_QUERIES}.`,
    );
  const ids = queries.map(({ Id = '' }) => Id);
  if (new Set(ids).size < ids.length)
    throw validationError('The values for parameter id in MetricDataQueries are not unique.');
  for (const query of queries) checkQuery(query);
  if (queries.every(({ ReturnData }) => ReturnData === false))
    throw validationError('At least one of the MetricDataQueries must have ReturnData set to true.');
}

/** @throws AwsError for a query that CloudWatch rejects, or that the sandbox does not implement. */
export function checkQuery({ Id = '', MetricStat, Expression, AccountId, Label }: MetricDataQuery): void {
  if (!/^[a-z][a-zA-Z0-9_]{0,254}$/.test(Id))
    throw validationError(
      `Invalid id ${Id}: it must start with a lower-case letter, and contain only letters, digits and underscores.`,
    );
  if ((MetricStat === undefined) === (Expression === undefined))
    throw validationError(`Exactly one of MetricStat and Expression must be specified for the id ${Id}.`);
  if (Expression !== undefined) throw missingFeatureError('Expression of GetMetricData');
  if (AccountId !== undefined) throw missingFeatureError('AccountId of GetMetricData');
  if (Label?.includes('${')) throw missingFeatureError('dynamic labels of GetMetricData');
  const { Stat = '', Period = 0 } = MetricStat ?? {};
  if (!STATISTICS[Stat]) throw missingFeatureError(`the statistic ${Stat}`);
  checkPeriod(Period);
}

/** @throws AwsError for a period that no metric has (CloudWatch API Reference, MetricStat). */
export function checkPeriod(period: number): void {
  const isHighResolution = [1, 5, 10, 20, 30].includes(period);
  if (!isHighResolution && (period < 60 || period % 60 !== 0))
    throw validationError(
      `The value ${period} for parameter Period is invalid: use 1, 5, 10, 20, 30 or a multiple of 60.`,
    );
}

interface Series {
  id: string;
  label: string;
  /** In the order of the response. */
  datapoints: [at: number, value: number][];
}

function readSeries(call: Call, query: MetricDataQuery, range: TimeRange, newestFirst: boolean): Series {
  const {
    Id = '',
    Label,
    MetricStat: { Metric, Period = 60, Stat = '', Unit } = {},
  } = query as MetricDataQuery & {
    MetricStat: NonNullable<MetricDataQuery['MetricStat']>;
  };
  const statistic = STATISTICS[Stat] as (values: StatisticValues) => number;
  const periodMs = Period * 1000;
  const metrics = findMetrics(call.store, {
    account: call.caller.account,
    region: call.region,
    namespace: Metric?.Namespace ?? '',
    name: Metric?.MetricName ?? '',
    dimensions: toDimensions(Metric?.Dimensions),
    unit: Unit,
  });
  const datapoints = [
    ...datapointsOf({
      metrics,
      periodMs,
      start: roundStart(range.start, call.now, periodMs),
      end: Math.min(range.end, visibleUntil(call)),
    }),
  ].map(([at, values]): [number, number] => [at, statistic(values)]);
  return {
    id: Id,
    label: Label ?? Metric?.MetricName ?? '',
    datapoints: newestFirst ? datapoints.reverse() : datapoints,
  };
}

/**
 * Rounds the start of a range down, as CloudWatch does: to the minute, to 5 minutes if it is more than 15 days ago, and to
 * the hour if it is more than 63 days ago; to the period if that is shorter than a minute (CloudWatch API Reference,
 * GetMetricData, StartTime).
 */
function roundStart(start: number, now: number, periodMs: number): number {
  const age = now - start;
  const unit = age > 63 * ONE_DAY_MS ? 60 * MINUTE_MS : age > 15 * ONE_DAY_MS ? 5 * MINUTE_MS : MINUTE_MS;
  const step = Math.min(unit, periodMs < MINUTE_MS ? periodMs : unit);
  return Math.floor(start / step) * step;
}

/** Returns a page of the datapoints of all series: a token is the number of datapoints of the earlier pages. */
function pageOfSeries(series: Series[], limit: number, token: string | undefined): GetMetricDataOutput {
  const first = token === undefined ? 0 : Number(Buffer.from(token, 'base64url').toString());
  if (!Number.isSafeInteger(first) || first < 0) throw validationError('The NextToken is invalid.');
  const end = first + limit;
  let position = 0;
  const results = series.map(({ id, label, datapoints }): MetricDataResult => {
    const page = datapoints.slice(Math.max(0, first - position), Math.max(0, end - position));
    position += datapoints.length;
    return {
      Id: id,
      Label: label,
      Timestamps: page.map(([at]) => new Date(at)),
      Values: page.map(([, value]) => value),
      StatusCode: position > end ? 'PartialData' : 'Complete',
    };
  });
  return {
    MetricDataResults: results,
    Messages: [],
    ...(position > end ? { NextToken: Buffer.from(String(end)).toString('base64url') } : {}),
  };
}

function putDatum(call: Call, namespace: string, datum: MetricDatum): void {
  const { MetricName = '', Dimensions, Timestamp, Unit = 'None', StorageResolution = 60 } = datum;
  if (StorageResolution !== 60) throw missingFeatureError('StorageResolution of PutMetricData');
  const identity: Omit<MetricState, 'chunks'> = {
    account: call.caller.account,
    region: call.region,
    namespace,
    name: MetricName,
    dimensions: toDimensions(Dimensions),
    unit: Unit,
  };
  const at = Timestamp?.getTime() ?? call.now;
  // CloudWatch API Reference, PutMetricData: at most two weeks in the past and two hours in the future.
  if (at < call.now - 14 * ONE_DAY_MS || at > call.now + 2 * 60 * MINUTE_MS)
    throw validationError(
      'The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks and not more than two hours in the future.',
    );
  for (const values of statisticValuesOf(datum)) call.metricRecorder.record(identity, at, values);
}

function statisticValuesOf({ Value, Values, Counts, StatisticValues }: MetricDatum): StatisticValues[] {
  if (StatisticValues) {
    const { Sum = 0, SampleCount = 0, Minimum = 0, Maximum = 0 } = StatisticValues;
    return [{ sum: Sum, count: SampleCount, minimum: Minimum, maximum: Maximum }];
  }
  if (Values)
    return Values.map((value, index) => {
      const count = Counts?.[index] ?? 1;
      return { sum: value * count, count, minimum: value, maximum: value };
    });
  if (Value === undefined)
    throw validationError(
      'At least one of the parameters Value, Values and StatisticValues must be specified.',
    );
  return [singleValue(Value)];
}
