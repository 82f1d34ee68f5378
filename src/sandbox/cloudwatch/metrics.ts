import { StandardUnit } from '@aws-sdk/client-cloudwatch';
import type { MetricState, MinuteStatistics } from '../state.ts';
import { metricKeyOf, type Store } from '../store.ts';

/** Metric without its datapoints. */
export type MetricIdentity = Omit<MetricState, 'chunks'>;

/** Values that CloudWatch has aggregated. */
export interface StatisticValues {
  sum: number;
  count: number;
  minimum: number;
  maximum: number;
}

export const MINUTE_MS = 60_000;

/** Minutes of a chunk. A flush writes the whole chunk, so that a short chunk costs less. */
const CHUNK_MINUTES = 10;

/**
 * Minutes for which datapoints are kept. CloudWatch keeps those of one minute for 15 days (CloudWatch User Guide,
 * "Metrics retention"). The sandbox drops them then; CloudWatch aggregates them to 5 minutes.
 */
const RETENTION_MINUTES = 15 * 24 * 60;

const chunkOf = (minute: number): number => minute - (minute % CHUNK_MINUTES);

/** Writes datapoints. */
export interface MetricRecorder {
  /** Adds values to the datapoint of a minute. `at`: milliseconds since the epoch. */
  record(identity: MetricIdentity, at: number, values: StatisticValues): void;
  /** Number of records since the start. */
  readonly revision: number;
}

export function createMetricRecorder(store: Store): MetricRecorder {
  /** Newest chunk of any metric: with each newer one, the old chunks of all metrics are dropped. */
  let newestChunk = 0;
  let revision = 0;

  function dropOldChunks(): void {
    for (const [key, { chunks }] of store.metrics) {
      for (const start of chunks.keys()) {
        if (start >= newestChunk - RETENTION_MINUTES) continue;
        chunks.delete(start);
        store.markMetricChanged(key, start);
      }
      if (chunks.size === 0) store.metrics.delete(key);
    }
  }

  return {
    get revision() {
      return revision;
    },
    record(identity, at, { sum, count, minimum, maximum }) {
      revision += 1;
      const minute = Math.floor(at / MINUTE_MS);
      const start = chunkOf(minute);
      if (start > newestChunk) {
        newestChunk = start;
        dropOldChunks();
      }
      const key = metricKeyOf(identity);
      const metric = store.metrics.get(key) ?? { ...identity, chunks: new Map() };
      store.metrics.set(key, metric);
      const chunk: MinuteStatistics[] = metric.chunks.get(start) ?? [];
      metric.chunks.set(start, chunk);
      const datapoint = chunk.find(([other]) => other === minute);
      if (datapoint) {
        datapoint[1] += sum;
        datapoint[2] += count;
        datapoint[3] = Math.min(datapoint[3], minimum);
        datapoint[4] = Math.max(datapoint[4], maximum);
      } else {
        chunk.push([minute, sum, count, minimum, maximum]);
        chunk.sort(([a], [b]) => a - b);
      }
      store.markMetricChanged(key, start);
    },
  };
}

/** Returns the values of one measurement. */
export const singleValue = (value: number): StatisticValues => ({
  sum: value,
  count: 1,
  minimum: value,
  maximum: value,
});

export interface TimeRange {
  /** Milliseconds since the epoch; inclusive. */
  start: number;
  /** Milliseconds since the epoch; exclusive. */
  end: number;
}

/** Returns the datapoints of one minute that start in a range, oldest first. */
export function* minutesOf({ chunks }: MetricState, { start, end }: TimeRange): Generator<MinuteStatistics> {
  const first = Math.ceil(start / MINUTE_MS);
  const last = Math.ceil(end / MINUTE_MS) - 1;
  if (last < first) return;
  // A range of years contains more chunks than the metric has.
  const isWide = (last - first) / CHUNK_MINUTES > chunks.size;
  const starts = isWide ? [...chunks.keys()].sort((a, b) => a - b) : chunkStarts(first, last);
  for (const chunk of starts)
    for (const datapoint of chunks.get(chunk) ?? [])
      if (datapoint[0] >= first && datapoint[0] <= last) yield datapoint;
}

function* chunkStarts(first: number, last: number): Generator<number> {
  for (let start = chunkOf(first); start <= last; start += CHUNK_MINUTES) yield start;
}

/** Metrics to read, and the periods of the datapoints to return. */
export interface DatapointQuery extends TimeRange {
  /** The metrics whose values a datapoint aggregates: those of several units, or of a query over several metrics. */
  metrics: readonly MetricState[];
  periodMs: number;
}

/**
 * Returns the datapoints of a query by their start in milliseconds since the epoch, oldest first. The first period begins
 * at the start of the range. A period without values has no datapoint.
 */
export function datapointsOf({
  metrics,
  start,
  end,
  periodMs,
}: DatapointQuery): Map<number, StatisticValues> {
  const datapoints = new Map<number, StatisticValues>();
  for (const metric of metrics)
    for (const [minute, sum, count, minimum, maximum] of minutesOf(metric, { start, end })) {
      const at = start + Math.floor((minute * MINUTE_MS - start) / periodMs) * periodMs;
      const values = datapoints.get(at);
      datapoints.set(
        at,
        values ? mergeValues(values, { sum, count, minimum, maximum }) : { sum, count, minimum, maximum },
      );
    }
  return metrics.length > 1 ? new Map([...datapoints].sort(([a], [b]) => a - b)) : datapoints;
}

const mergeValues = (a: StatisticValues, b: StatisticValues): StatisticValues => ({
  sum: a.sum + b.sum,
  count: a.count + b.count,
  minimum: Math.min(a.minimum, b.minimum),
  maximum: Math.max(a.maximum, b.maximum),
});

/** Statistics that the sandbox computes, by name (CloudWatch User Guide, "CloudWatch statistics definitions"). */
export const STATISTICS: Record<string, ((values: StatisticValues) => number) | undefined> = {
  Sum: ({ sum }) => sum,
  SampleCount: ({ count }) => count,
  Average: ({ sum, count }) => sum / count,
  Minimum: ({ minimum }) => minimum,
  Maximum: ({ maximum }) => maximum,
};

/** Dimensions of a request as `MetricState` has them. */
export const toDimensions = (
  dimensions: readonly { Name?: string | undefined; Value?: string | undefined }[] = [],
): MetricState['dimensions'] =>
  dimensions
    .map(({ Name = '', Value = '' }): [string, string] => [Name, Value])
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));

/** Returns the metrics with a name and exactly these dimensions, of any unit unless it is given. */
export function findMetrics(
  store: Store,
  identity: Omit<MetricIdentity, 'unit'> & { unit?: string | undefined },
): MetricState[] {
  const units = identity.unit === undefined ? UNITS : [identity.unit];
  return units.flatMap((unit) => store.metrics.get(metricKeyOf({ ...identity, unit })) ?? []);
}

const UNITS: readonly string[] = Object.values(StandardUnit);
