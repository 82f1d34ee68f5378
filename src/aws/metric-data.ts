import type { MetricDataResult, MetricStat } from '@aws-sdk/client-cloudwatch';
import type { Aws, Location } from '../core/resource.ts';
import { toSortedSet } from '../util/canonical-json.ts';
import { paginate } from './paginate.ts';

export type { MetricStat };

/** Milliseconds since 1970; without the end. */
export interface MetricRange {
  startMs: number;
  endMs: number;
}

/** The value of one period. */
export interface Datapoint {
  /** Start of the period, in milliseconds since 1970. */
  atMs: number;
  value: number;
}

/** The datapoints of a metric in the order of time, or why they could not be read. */
export type MetricSeries = { datapoints: Datapoint[] } | { unread: string };

/**
 * Reads metrics of CloudWatch with one call of GetMetricData, and follows its pages. The series have the order of the
 * metrics.
 *
 * @throws an AWS error, or a UserError if the credentials are those of another account.
 */
export async function readMetricData(
  aws: Aws,
  location: Location,
  metrics: readonly MetricStat[],
  range: MetricRange,
): Promise<MetricSeries[]> {
  // Rejects the credentials of another account, whose metrics would look like no data.
  await aws.accountId(location.account);
  // Most runs of replikey read no metrics.
  const { GetMetricDataCommand } = await import('@aws-sdk/client-cloudwatch');
  const resultsById = new Map<string, MetricDataResult[]>();
  const messages: string[] = [];
  const pages = paginate(
    (NextToken) =>
      aws.send(
        location,
        new GetMetricDataCommand({
          MetricDataQueries: metrics.map((metric, index) => ({ Id: queryIdOf(index), MetricStat: metric })),
          StartTime: new Date(range.startMs),
          EndTime: new Date(range.endMs),
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
      ),
    ({ NextToken }) => ({ hasMore: NextToken !== undefined, marker: NextToken }),
  );
  for await (const { MetricDataResults = [], Messages = [] } of pages) {
    messages.push(...Messages.map(messageText));
    for (const result of MetricDataResults) {
      const id = result.Id ?? '';
      resultsById.set(id, [...(resultsById.get(id) ?? []), result]);
    }
  }
  return metrics.map((_, index) => toSeries(resultsById.get(queryIdOf(index)), messages));
}

/** A query id begins with a lower-case letter (CloudWatch API Reference, "MetricDataQuery"). */
const queryIdOf = (index: number): string => `m${index}`;

/** Returns the datapoints of all pages. A result that is not complete after the last page is unread: it may hide failures. */
function toSeries(results: readonly MetricDataResult[] | undefined, messages: string[]): MetricSeries {
  const last = results?.at(-1);
  if (!results || !last)
    return { unread: withMessages('CloudWatch returned no result for a metric', messages) };
  if (last.StatusCode !== undefined && last.StatusCode !== 'Complete') {
    const resultMessages = (last.Messages ?? []).map(messageText);
    return {
      unread: withMessages(`CloudWatch returned ${last.StatusCode}`, [...resultMessages, ...messages]),
    };
  }
  const datapoints = results.flatMap(({ Timestamps = [], Values = [] }) =>
    Timestamps.flatMap((timestamp, index) => {
      const value = Values[index];
      return value === undefined ? [] : { atMs: Number(timestamp), value };
    }),
  );
  return { datapoints: datapoints.sort((a, b) => a.atMs - b.atMs) };
}

const messageText = ({ Code, Value }: { Code?: string | undefined; Value?: string | undefined }): string =>
  [Code, Value].filter(Boolean).join(': ');

const withMessages = (text: string, messages: readonly string[]): string =>
  messages.length === 0 ? text : `${text}: ${toSortedSet(messages).join('; ')}`;
