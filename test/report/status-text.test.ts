import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { type StatusRow, statusScreen, statusTable } from '../../src/report/status-text.ts';
import { createColors } from '../../src/report/style.ts';

const NOW = Date.parse('2026-11-30T20:00:00Z');

const condition = (type: string, status: 'True' | 'False' | 'Unknown', reason = 'Reason') => ({
  type,
  status,
  reason,
  message: '',
  since: '2026-11-30T00:00:00.000Z',
});

const bucket = (name: string, region: string) => ({ bucket: name, region });
const side = {
  source: bucket('acme-tax', 'us-east-1'),
  destination: bucket('acme-tax-replica', 'us-west-2'),
};

/** A pair of which nothing is known yet. */
const UNKNOWN: StatusRow = {
  name: 'unknown',
  state: 'pending',
  labels: {},
  sides: [side],
  conditions: ['Ready', 'Proven', 'Drifted'].map((type) => condition(type, 'Unknown', 'Pending')),
};

/** A pair with a value in each column. */
const FULL: StatusRow = {
  name: 'tax',
  state: 'failing',
  message: '4,112 operations failed',
  labels: {},
  sides: [side],
  conditions: [condition('Ready', 'True'), condition('Proven', 'False'), condition('Drifted', 'True')],
  replication: {
    at: '2026-11-30T20:00:00.000Z',
    state: 'available',
    failed: 4112,
    failedSince: '2026-11-30T09:40:00.000Z',
    latencySeconds: 192.4,
    pendingOperations: 17,
    pendingBytes: 1_234_567,
  },
  canary: { at: '2026-11-30T19:55:00.000Z', result: 'replicated', latencyMs: 812 },
};

const table = (rows: StatusRow[], wide = false) =>
  statusTable(rows, { wide, now: NOW, paint: createColors(false) });
const cellsOf = (line: string | undefined) => line?.split(/ {3,}/);

test('status table: has aligned columns, as kubectl get', () => {
  const { header, lines } = table([FULL, UNKNOWN]);
  expect([header, ...lines]).toEqual([
    'NAME      READY   PROVEN   PENDING   LAG     FAILED                           CANARY                     DRIFT',
    'tax       True    False    17        3m12s   4112 (since 2026-11-30T09:40Z)   replicated 0.8s (5m ago)   True',
    'unknown   -       -        -         -       -                                -                          -',
  ]);
});

// S3 User Guide, "Amazon S3 CloudWatch metrics": rules that replicate nothing have no datapoints, and AWS recommends to
// treat missing data of replication metrics as `ignore`.
test('status table: no datapoint is -, and a datapoint of 0 is 0', () => {
  const [noData, none] = table([
    { ...FULL, replication: { at: '', state: 'noData' } },
    {
      ...FULL,
      replication: { at: '', state: 'available', failed: 0, pendingOperations: 0, latencySeconds: 0 },
    },
  ]).lines;
  expect(cellsOf(noData)?.slice(3, 6)).toEqual(['-', '-', '-']);
  expect(cellsOf(none)?.slice(3, 6)).toEqual(['0', '0s', '0']);
});

test('status table: a condition that was evaluated without a result is Unknown, not -', () => {
  const unreadable = { ...UNKNOWN, conditions: [condition('Ready', 'Unknown', 'Unreadable')] };
  expect(cellsOf(table([unreadable]).lines[0])?.[1]).toBe('Unknown');
});

test('status table, wide: adds Regions, buckets, pending bytes and the reason', () => {
  const twoWay = { ...UNKNOWN, sides: [side, { source: side.destination, destination: side.source }] };
  const { header, lines } = table([FULL, twoWay], true);
  expect(cellsOf(header)?.slice(8)).toEqual(['REGIONS', 'BUCKETS', 'PENDING BYTES', 'MESSAGE']);
  expect(cellsOf(lines[0])?.slice(8)).toEqual([
    'us-east-1 -> us-west-2',
    'acme-tax -> acme-tax-replica',
    '1234567',
    '4,112 operations failed',
  ]);
  expect(cellsOf(lines[1])?.slice(8)).toEqual([
    'us-east-1 <-> us-west-2',
    'acme-tax <-> acme-tax-replica',
    '-',
    '-',
  ]);
});

test('status table: escapes control characters from a server', () => {
  const hostile = { ...FULL, name: 'tax\x1b[2J', message: 'a\nb\x9b31m' };
  expect(table([hostile], true).lines.join('')).toBe(
    table([{ ...FULL, name: 'tax\\u001b[2J', message: 'a\\u000ab\\u009b31m' }], true).lines.join(''),
  );
});

test.each([
  [0.2, '0s'],
  [59.6, '1m'],
  [3_600, '1h'],
  [7_512, '2h5m'],
  [90_000, '1d1h'],
])('status table: a lag of %d seconds is %s', (latencySeconds, text) => {
  const replication = { at: '', state: 'available' as const, latencySeconds };
  expect(cellsOf(table([{ ...FULL, replication }]).lines[0])?.[4]).toBe(text);
});

test('status screen: cuts lines and rows to the terminal, and counts the others', () => {
  const rows = Array.from({ length: 30 }, (_, index) => ({ ...FULL, name: `tax-${index}` }));
  const screen = statusScreen('title', table(rows), { columns: 40, rows: 10 });
  const lines = stripVTControlCharacters(screen).trimEnd().split('\n');
  expect(lines).toHaveLength(9);
  expect(lines.at(-1)).toBe('and 25 more pairs');
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(40);
  expect(lines[2]).toMatch(/^NAME.*…$/);
});
