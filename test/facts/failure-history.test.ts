import type { GetMetricDataCommandInput } from '@aws-sdk/client-cloudwatch';
import { expect, test } from 'vitest';
import type { Aws, Command } from '../../src/core/resource.ts';
import { type FailureHistory, readFailureHistory } from '../../src/facts/failure-history.ts';

/*
 * CloudWatch User Guide, "Metrics retention": values of a minute are available for 15 days, of 5 minutes for 63 days, of an
 * hour for 455 days. S3 User Guide, "Amazon S3 metrics and dimensions": SampleCount is the number of operations.
 */

const NOW = Date.parse('2026-11-30T10:02:30Z');
const DAY_MS = 24 * 3_600_000;
const RULE = {
  id: 'replikey/tax/tax',
  source: { bucket: 'acme-tax', location: { region: 'us-east-1' } },
  destination: { bucket: 'acme-tax-replica', region: 'us-west-2' },
};

/** The operations of a minute: all of them, and those that failed. */
type Minute = [iso: string, operations: number, failed: number];

/** Returns an AWS client that adds the minutes of each period up, and the periods of its requests by their start. */
function cloudWatch(minutes: Minute[], isDenied = (_period: number) => false) {
  const requests: [start: string, period: number][] = [];
  const aws: Aws = {
    accountId: async () => '111122223333',
    now: () => 0,
    async send<O>(_: unknown, command: Command<O>): Promise<O> {
      const { input } = command as unknown as { input: GetMetricDataCommandInput };
      const { MetricDataQueries = [], StartTime, EndTime } = input;
      requests.push([(StartTime as Date).toISOString(), MetricDataQueries[0]?.MetricStat?.Period ?? 0]);
      const MetricDataResults = MetricDataQueries.map(({ Id, MetricStat }) => {
        const periodMs = (MetricStat?.Period ?? 0) * 1000;
        if (isDenied(periodMs / 1000)) throw Object.assign(new Error('no'), { name: 'AccessDenied' });
        const sums = new Map<number, number>();
        for (const [iso, operations, failed] of minutes) {
          const atMs = Date.parse(iso);
          if (atMs < Number(StartTime) || atMs >= Number(EndTime)) continue;
          const start = Math.floor(atMs / periodMs) * periodMs;
          sums.set(start, (sums.get(start) ?? 0) + (MetricStat?.Stat === 'Sum' ? failed : operations));
        }
        const Timestamps = [...sums.keys()].map((ms) => new Date(ms));
        return { Id, StatusCode: 'Complete', Timestamps, Values: [...sums.values()] };
      });
      return { $metadata: {}, MetricDataResults } as O;
    },
  };
  return { aws, requests };
}

const read = async (aws: Aws, windowMs = DAY_MS): Promise<Omit<FailureHistory, 'rule'>> => {
  const [history] = await readFailureHistory(aws, [RULE], { nowMs: NOW, windowMs });
  const { rule: _, ...rest } = history as FailureHistory;
  return rest;
};

test('readFailureHistory: no operation: every count is absent, with one call', async () => {
  const { aws, requests } = cloudWatch([]);
  expect(await read(aws)).toEqual({ days: 14, unread: [], recent: {} });
  expect(requests).toEqual([['2026-11-16T11:00:00.000Z', 3600]]);
});

test('readFailureHistory: no failure: counts operations, and reads no minutes', async () => {
  const { aws, requests } = cloudWatch([['2026-11-30T09:41:00Z', 7, 0]]);
  const counts = { operations: 7, failed: 0 };
  expect(await read(aws)).toEqual({ days: 14, unread: [], ...counts, recent: counts });
  expect(requests).toHaveLength(1);
});

test('readFailureHistory: failures for days: finds the minute of the first, also within the window', async () => {
  const { aws, requests } = cloudWatch([
    ['2026-11-20T08:00:00Z', 50, 0],
    ['2026-11-22T09:41:00Z', 4_012, 4_000],
    // One minute before the window, in the hour in which it begins.
    ['2026-11-29T10:01:00Z', 10, 10],
    ['2026-11-30T09:41:00Z', 102, 2],
    ['2026-11-30T10:01:00Z', 100, 100],
  ]);
  expect(await read(aws)).toMatchObject({
    operations: 4_274,
    failed: 4_112,
    failedSince: '2026-11-22T09:41:00.000Z',
    recent: { operations: 202, failed: 102, failedSince: '2026-11-30T09:41:00.000Z' },
  });
  expect(requests.slice(1).sort()).toEqual([
    ['2026-11-22T09:00:00.000Z', 60],
    ['2026-11-29T10:00:00.000Z', 60],
    ['2026-11-30T09:00:00.000Z', 60],
  ]);
});

test('readFailureHistory: all failures are before the window: none of them is recent', async () => {
  const { aws } = cloudWatch([
    ['2026-11-30T09:40:00Z', 5, 5],
    ['2026-11-30T09:59:00Z', 1, 0],
  ]);
  expect(await read(aws, 10 * 60_000)).toMatchObject({ failed: 5, recent: { operations: 1, failed: 0 } });
});

test('readFailureHistory: a window of 30 days: reads 30 days, and 5 minutes where minutes are not kept', async () => {
  const { aws, requests } = cloudWatch([['2026-11-02T09:41:00Z', 5, 5]]);
  expect(await read(aws, 30 * DAY_MS)).toMatchObject({
    days: 30,
    failed: 5,
    failedSince: '2026-11-02T09:40:00.000Z',
    recent: { failed: 5 },
  });
  expect(requests.slice(1)).toEqual([['2026-11-02T09:00:00.000Z', 300]]);
});

test('readFailureHistory: the minutes cannot be read: keeps the counts and the hour, with the reason', async () => {
  const { aws } = cloudWatch([['2026-11-30T09:41:00Z', 5, 5]], (period) => period === 60);
  expect(await read(aws)).toMatchObject({
    failed: 5,
    failedSince: '2026-11-30T09:00:00.000Z',
    recent: { failed: 5 },
    unread: [expect.stringContaining('AccessDenied')],
  });
});

test.each([
  ['the minute in which the window begins', '2026-11-30T09:52:00Z', 1],
  ['the minute before', '2026-11-30T09:51:00Z', undefined],
])('readFailureHistory: a failure in %s', async (_, minute, failed) => {
  const { aws } = cloudWatch([[minute, 1, 1]]);
  // The window begins at 09:52:30, so an operation that failed at 09:52:45 is within it.
  expect((await read(aws, 10 * 60_000)).recent.failed).toBe(failed);
});

test('readFailureHistory: the minutes of the hour in which the window begins cannot be read: its failures are recent', async () => {
  const { aws } = cloudWatch([['2026-11-30T09:55:00Z', 5, 5]], (period) => period === 60);
  expect((await read(aws, 10 * 60_000)).recent).toMatchObject({ failed: 5 });
});

test('readFailureHistory: a window of 0: nothing is recent', async () => {
  const { aws } = cloudWatch([['2026-11-30T10:02:00Z', 5, 5]]);
  expect(await read(aws, 0)).toMatchObject({ failed: 5, recent: {} });
});
