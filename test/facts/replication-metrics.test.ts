import type { GetMetricDataCommandInput, GetMetricDataCommandOutput } from '@aws-sdk/client-cloudwatch';
import { describe, expect, test } from 'vitest';
import type { Datapoint } from '../../src/aws/metric-data.ts';
import type { Aws, Command, Location } from '../../src/core/resource.ts';
import {
  combineRuleMetrics,
  DAY_PERIODS,
  lastDay,
  type MeasuredRule,
  planMetricCalls,
  type RuleReading,
  readRuleMetrics,
  summarizeRule,
} from '../../src/facts/replication-metrics.ts';

const NOW = Date.parse('2026-11-30T10:02:30Z');
const at = (iso: string): number => Date.parse(`2026-11-${iso}Z`);

const ruleOf = (index = 0, destinationRegion: string | undefined = 'us-west-2'): MeasuredRule => ({
  id: `replikey/tax/rule-${index}`,
  source: { bucket: 'acme-tax', location: { account: 'main', region: 'us-east-1' } },
  destination: {
    bucket: 'acme-tax-replica',
    ...(destinationRegion !== undefined && { region: destinationRegion }),
  },
});
const rulesOf = (count: number, region?: string) =>
  Array.from({ length: count }, (_, index) => ruleOf(index, region));

describe('planMetricCalls', () => {
  const plan = (rules: readonly MeasuredRule[]) => planMetricCalls(rules, DAY_PERIODS, lastDay(NOW));

  // prometheus-community/yet-another-cloudwatch-exporter#1188: failures are in the Region of the source, the other
  // metrics in that of the destination.
  test('two Regions: reads failures in that of the source, the rest in that of the destination, with one account', () => {
    const calls = plan([ruleOf()]);
    expect(calls.map(({ location, queries }) => [location, queries.map(({ metric }) => metric)])).toEqual([
      [{ account: 'main', region: 'us-east-1' }, ['failed', 'operations']],
      [{ account: 'main', region: 'us-west-2' }, ['latencySeconds', 'pendingBytes', 'pendingOperations']],
    ]);
  });

  // CloudWatch API Reference, "GetMetricData": 500 metrics and 100,800 datapoints.
  test('100 rules within one Region: one call, with 500 metrics and 100,800 datapoints', () => {
    const calls = plan(rulesOf(100, 'us-east-1'));
    expect(calls.map(({ queries }) => queries.length)).toEqual([500]);
    const seconds = ({ startMs, endMs }: { startMs: number; endMs: number }) => (endMs - startMs) / 1000;
    const datapoints =
      calls[0]?.queries.map(({ periodSeconds }) => seconds(lastDay(NOW)) / periodSeconds) ?? [];
    expect(datapoints.reduce((sum, count) => sum + count, 0)).toBe(100_800);
  });

  test('101 rules: two calls for each Region', () => {
    expect(plan(rulesOf(101)).map(({ queries }) => queries.length)).toEqual([200, 2, 300, 3]);
    expect(plan(rulesOf(101, 'us-east-1')).map(({ queries }) => queries.length)).toEqual([500, 5]);
  });

  test('shorter periods: starts a call before the datapoints exceed the limit', () => {
    const calls = planMetricCalls(rulesOf(100), { failed: 60, operations: 60 }, lastDay(NOW));
    expect(calls.map(({ queries }) => queries.length)).toEqual([70, 70, 60]);
  });

  test('an unknown Region of the destination: reads only the metrics of the source', () => {
    const { region: _, ...destination } = ruleOf().destination;
    expect(plan([{ ...ruleOf(), destination }]).map(({ location }) => location.region)).toEqual([
      'us-east-1',
    ]);
  });

  test('the periods of a day are aligned, and the day contains the present period', () => {
    expect(lastDay(NOW)).toEqual({ startMs: at('29T10:10:00'), endMs: at('30T10:10:00') });
    expect(lastDay(at('30T10:10:00'))).toEqual({ startMs: at('29T10:20:00'), endMs: at('30T10:20:00') });
  });
});

type Page = Partial<GetMetricDataCommandOutput>;

/** Returns an AWS client that answers GetMetricData, and its requests. */
function cloudWatch(respond: (input: GetMetricDataCommandInput, location: Location) => Page) {
  const requests: { location: Location; input: GetMetricDataCommandInput }[] = [];
  const aws: Aws = {
    accountId: async () => '111122223333',
    now: () => 0,
    async send<O>(location: Location, command: Command<O>): Promise<O> {
      const { input } = command as unknown as { input: GetMetricDataCommandInput };
      requests.push({ location, input });
      return { $metadata: {}, ...respond(input, location) } as O;
    },
  };
  return { aws, requests };
}

const complete = ({ MetricDataQueries = [] }: GetMetricDataCommandInput): Page => ({
  MetricDataResults: MetricDataQueries.map(({ Id }) => ({
    Id,
    StatusCode: 'Complete',
    Timestamps: [],
    Values: [],
  })),
});
const read = (aws: Aws, rules: readonly MeasuredRule[] = [ruleOf()]) =>
  readRuleMetrics(aws, rules, DAY_PERIODS, lastDay(NOW));

describe('readRuleMetrics', () => {
  // aws-facts-operations.md 2.2: a set of dimensions without one of the three has no data.
  test('each query has all three dimensions, the statistic, the period and an id of its own', async () => {
    const { aws, requests } = cloudWatch(complete);
    await read(aws);
    const [first] = requests;
    expect(first?.input.MetricDataQueries?.[1]).toEqual({
      Id: 'm1',
      MetricStat: {
        Metric: {
          Namespace: 'AWS/S3',
          MetricName: 'OperationsFailedReplication',
          Dimensions: [
            { Name: 'SourceBucket', Value: 'acme-tax' },
            { Name: 'DestinationBucket', Value: 'acme-tax-replica' },
            { Name: 'RuleId', Value: 'replikey/tax/rule-0' },
          ],
        },
        Period: 300,
        Stat: 'SampleCount',
      },
    });
    expect([first?.input.StartTime, first?.input.EndTime]).toEqual([
      new Date('2026-11-29T10:10:00Z'),
      new Date('2026-11-30T10:10:00Z'),
    ]);
  });

  test('several pages: adds the datapoints of a metric up, in the order of time', async () => {
    const pages: Page[] = [
      {
        NextToken: 'more',
        MetricDataResults: [
          { Id: 'm0', StatusCode: 'PartialData', Timestamps: [new Date(at('30T10:00:00'))], Values: [3] },
        ],
      },
      {
        MetricDataResults: [
          { Id: 'm0', StatusCode: 'Complete', Timestamps: [new Date(at('30T09:55:00'))], Values: [2] },
          { Id: 'm1', StatusCode: 'Complete', Timestamps: [], Values: [] },
        ],
      },
    ];
    const { aws, requests } = cloudWatch((input, { region }) =>
      region === 'us-east-1' ? (pages[input.NextToken === undefined ? 0 : 1] as Page) : complete(input),
    );
    const [reading] = await read(aws);
    expect(reading?.series.failed).toEqual([
      { atMs: at('30T09:55:00'), value: 2 },
      { atMs: at('30T10:00:00'), value: 3 },
    ]);
    expect(reading?.unread).toEqual([]);
    expect(requests.map(({ input }) => input.NextToken)).toEqual([undefined, undefined, 'more']);
  });

  // CloudWatch API Reference, "MetricDataResult": PartialData and InternalError may come without NextToken.
  test.each<[string, (input: GetMetricDataCommandInput) => Page, RegExp]>([
    [
      'PartialData on the last page',
      (input) => ({
        MetricDataResults: complete(input).MetricDataResults?.map((result) => ({
          ...result,
          StatusCode: 'PartialData',
        })),
      }),
      /^CloudWatch returned PartialData$/,
    ],
    [
      'a status with a message',
      (input) => ({
        MetricDataResults: complete(input).MetricDataResults?.map((result) => ({
          ...result,
          StatusCode: 'Forbidden',
          Messages: [{ Code: 'Forbidden', Value: 'not shared' }],
        })),
      }),
      /^CloudWatch returned Forbidden: Forbidden: not shared$/,
    ],
    [
      'no result, and a message about the call',
      () => ({
        MetricDataResults: [],
        Messages: [{ Code: 'X', Value: 'Maximum number of metrics exceeded' }],
      }),
      /^CloudWatch returned no result for a metric: X: Maximum number of metrics exceeded$/,
    ],
    [
      'an error',
      () => {
        throw Object.assign(new Error('not authorized to perform: cloudwatch:GetMetricData'), {
          name: 'AccessDenied',
        });
      },
      /AccessDenied.*lack the permission cloudwatch:GetMetricData$/,
    ],
  ])('%s: the metric is unread, and not 0', async (_, respond, reason) => {
    const { aws } = cloudWatch((input, { region }) =>
      region === 'us-east-1' ? respond(input) : complete(input),
    );
    const [reading] = await read(aws);
    expect(reading?.series).toEqual({ latencySeconds: [], pendingBytes: [], pendingOperations: [] });
    expect(reading?.unread).toEqual([expect.stringMatching(reason)]);
    expect(summarizeRule(reading as RuleReading, NOW)).toMatchObject({ state: 'unreadable' });
  });

  test('credentials of another account: reads nothing', async () => {
    const { aws, requests } = cloudWatch(complete);
    const wrong = { ...aws, accountId: async () => Promise.reject(new Error('wrong account')) };
    expect((await read(wrong))[0]?.unread).toEqual(['wrong account']);
    expect(requests).toEqual([]);
  });
});

describe('summarizeRule', () => {
  const points = (...values: [string, number][]): Datapoint[] =>
    values.map(([iso, value]) => ({ atMs: at(iso), value }));
  const summarize = (series: RuleReading['series']) =>
    summarizeRule({ rule: ruleOf(), series, unread: [] }, NOW);

  test('no datapoint: every value is absent, and none is 0', () => {
    const { history, ...rest } = summarize({ failed: [], operations: [], latencySeconds: [] });
    expect(rest).toEqual({ state: 'noData' });
    expect(history).toEqual({ failed: Array(24).fill(null), latencySeconds: Array(24).fill(null) });
  });

  test('failures: counts them, with the start of the first and the end of the last period', () => {
    const metrics = summarize({
      failed: points(['29T12:00:00', 0], ['30T09:40:00', 60], ['30T09:45:00', 40]),
      operations: points(['29T12:00:00', 1_010], ['30T09:40:00', 60], ['30T09:45:00', 40]),
    });
    expect(metrics).toMatchObject({
      state: 'available',
      failed: 100,
      operations: 1_110,
      failedSince: '2026-11-30T09:40:00.000Z',
      failedUntil: '2026-11-30T09:50:00.000Z',
      replicatedUntil: '2026-11-29T12:05:00.000Z',
      unrecovered: true,
    });
    expect(metrics.history.failed).toEqual([null, 0, ...Array(21).fill(null), 100]);
  });

  test('operations succeed after the failures: the rule has recovered', () => {
    const metrics = summarize({
      failed: points(['30T09:40:00', 60], ['30T09:45:00', 0]),
      operations: points(['30T09:40:00', 60], ['30T09:45:00', 1]),
    });
    expect(metrics.unrecovered).toBeUndefined();
  });

  test('latency and pending: the largest values of the last 15 minutes', () => {
    const metrics = summarize({
      latencySeconds: points(
        ['30T09:30:00', 900],
        ['30T09:40:00', 20],
        ['30T09:50:00', 30],
        ['30T10:00:00', 10],
      ),
      pendingBytes: points(['30T09:30:00', 5_000]),
      pendingOperations: points(['30T10:00:00', 0]),
    });
    expect(metrics).toMatchObject({ latencySeconds: 30, pendingOperations: 0 });
    expect(metrics.pendingBytes).toBeUndefined();
    expect(metrics.history.latencySeconds.slice(-2)).toEqual([null, 900]);
  });
});

describe('combineRuleMetrics', () => {
  const history = { failed: Array(24).fill(null), latencySeconds: Array(24).fill(null) };

  test('two rules: adds counts up, and takes the largest latency', () => {
    const hours = (value: number | null) => [...Array(23).fill(null), value];
    const rules = [
      {
        state: 'available' as const,
        failed: 1,
        operations: 10,
        failedSince: '2026-11-30T08:00:00.000Z',
        unrecovered: true as const,
        latencySeconds: 5,
        pendingBytes: 7,
        history: { failed: hours(1), latencySeconds: hours(5) },
      },
      {
        state: 'available' as const,
        failed: 2,
        operations: 20,
        failedSince: '2026-11-30T09:00:00.000Z',
        replicatedUntil: '2026-11-30T10:00:00.000Z',
        latencySeconds: 3,
        pendingBytes: 3,
        history: { failed: hours(2), latencySeconds: hours(3) },
      },
    ];
    expect(combineRuleMetrics(rules, 1, NOW)).toEqual({
      at: '2026-11-30T10:02:30.000Z',
      state: 'available',
      rulesWithoutMetrics: 1,
      failed: 3,
      operations: 30,
      failedSince: '2026-11-30T08:00:00.000Z',
      replicatedUntil: '2026-11-30T10:00:00.000Z',
      unrecovered: true,
      latencySeconds: 5,
      pendingBytes: 10,
      history: { failed: hours(3), latencySeconds: hours(5) },
    });
  });

  test('one rule is unreadable: so is the pair, with the values of the other rule', () => {
    const rules = [
      { state: 'unreadable' as const, reason: 'AccessDenied', history },
      { state: 'available' as const, failed: 2, history },
    ];
    expect(combineRuleMetrics(rules, 0, NOW)).toMatchObject({
      state: 'unreadable',
      reason: 'AccessDenied',
      failed: 2,
    });
  });

  test('no rule has metrics: notEnabled', () => {
    expect(combineRuleMetrics([], 2, NOW)).toEqual({
      at: '2026-11-30T10:02:30.000Z',
      state: 'notEnabled',
      rulesWithoutMetrics: 2,
      history,
    });
  });
});
