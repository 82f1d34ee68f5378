import { describe, expect, test } from 'vitest';
import { createFailureBursts, formatBurst, limitBursts } from '../../src/controller/failure-bursts.ts';
import type { FailureEvent } from '../../src/controller/failure-events.ts';
import type { FailureBurst } from '../../src/controller/status.ts';

const START = Date.parse('2026-11-30T10:00:00Z');
const MINUTE = 60_000;

const failure = (n: number, overrides: Partial<FailureEvent> = {}): FailureEvent => ({
  bucket: 'acme-tax',
  rule: 'replikey/tax/tax',
  key: `Tax/${n}`,
  versionId: `v${n}`,
  sequencer: String(n),
  operation: 'OBJECT_PUT',
  reason: 'SrcGetObjectNotPermitted',
  requestedAt: START + n,
  ...overrides,
});

/** Returns bursts with a clock that the test sets. */
function testBursts() {
  const time = { ms: START + MINUTE };
  return { time, bursts: createFailureBursts({ now: () => time.ms, wallTime: () => time.ms }) };
}

describe('failure bursts', () => {
  test('failures of one rule and reason: one burst with count, start, end and the last 20 keys', () => {
    const { bursts } = testBursts();
    const results = Array.from({ length: 30 }, (_, n) => bursts.add('tax', failure(n))?.isNew);
    expect(results).toEqual([true, ...Array(29).fill(false)]);
    expect(bursts.of('tax')).toEqual([
      {
        id: '1',
        bucket: 'acme-tax',
        rule: 'replikey/tax/tax',
        reason: 'SrcGetObjectNotPermitted',
        operation: 'OBJECT_PUT',
        count: 30,
        since: '2026-11-30T10:00:00.000Z',
        until: '2026-11-30T10:00:00.029Z',
        keys: Array.from({ length: 20 }, (_, n) => `Tax/${29 - n}`),
      },
    ]);
  });

  test('unordered events: the start is the earliest request', () => {
    const { bursts } = testBursts();
    for (const n of [7, 3, 9]) bursts.add('tax', failure(n));
    expect(bursts.of('tax')).toMatchObject([
      { since: '2026-11-30T10:00:00.003Z', until: '2026-11-30T10:00:00.009Z' },
    ]);
  });

  test('a request time in the future: the time of arrival', () => {
    const { bursts, time } = testBursts();
    bursts.add('tax', failure(1, { requestedAt: START + 86_400_000 }));
    expect(bursts.of('tax')).toMatchObject([{ since: new Date(time.ms).toISOString() }]);
  });

  test('the same event again: not counted', () => {
    const { bursts } = testBursts();
    bursts.add('tax', failure(1));
    expect(bursts.add('tax', failure(1))).toBeUndefined();
    expect(bursts.add('tax', failure(1, { rule: 'replikey/tax/other' }))).toMatchObject({ isNew: true });
    expect(bursts.of('tax').map(({ count }) => count)).toEqual([1, 1]);
  });

  test('another rule, another reason, and deletions: bursts of their own', () => {
    const { bursts } = testBursts();
    bursts.add('tax', failure(1));
    bursts.add('tax', failure(2, { rule: 'replikey/tax/other' }));
    bursts.add('tax', failure(3, { reason: 'DstKmsKeyNotFound' }));
    bursts.add('tax', failure(4, { operation: 'OBJECT_DELETE' }));
    bursts.add('tax', failure(5, { operation: 'OBJECT_TAGGING' }));
    expect(
      bursts
        .of('tax')
        .map(({ count }) => count)
        .sort(),
    ).toEqual([1, 1, 1, 2]);
  });

  test('15 minutes without a failure: the burst ends, and the next failure begins another', () => {
    const { bursts, time } = testBursts();
    bursts.add('tax', failure(1));
    time.ms += 10 * MINUTE;
    bursts.add('tax', failure(2));
    expect(bursts.nextExpiry()).toBe(time.ms + 15 * MINUTE);
    time.ms += 15 * MINUTE - 1;
    expect(bursts.expire()).toEqual([]);
    time.ms += 1;
    expect(bursts.expire()).toEqual(['tax']);
    expect(bursts.of('tax')).toMatchObject([{ count: 2, endedAt: new Date(time.ms).toISOString() }]);
    expect(bursts.nextExpiry()).toBe(time.ms + (24 * 60 - 15) * MINUTE);
    expect(bursts.add('tax', failure(3))).toMatchObject({ isNew: true, burst: { count: 1 } });
    expect(bursts.of('tax')).toHaveLength(1);
  });

  test('24 hours after its last failure: the burst is removed', () => {
    const { bursts, time } = testBursts();
    bursts.add('tax', failure(1));
    time.ms += 15 * MINUTE;
    bursts.expire();
    time.ms += (24 * 60 - 15) * MINUTE - 1;
    expect(bursts.expire()).toEqual([]);
    time.ms += 1;
    expect(bursts.expire()).toEqual(['tax']);
    expect(bursts.of('tax')).toEqual([]);
    expect(bursts.nextExpiry()).toBeUndefined();
  });

  test('old events of a backlog: the burst continues for 15 minutes after the last of them arrived', () => {
    const { bursts, time } = testBursts();
    time.ms += 3 * 60 * MINUTE;
    bursts.add('tax', failure(1));
    expect(bursts.expire()).toEqual([]);
    expect(bursts.of('tax')).toMatchObject([{ since: '2026-11-30T10:00:00.001Z' }]);
  });

  test('50,000 events of 5,000 rules with long keys: less than 150 MB', () => {
    const { bursts } = testBursts();
    const heapUsed = () => {
      global.gc?.();
      return process.memoryUsage().heapUsed;
    };
    const before = heapUsed();
    const padding = 'k'.repeat(1_000);
    for (let n = 0; n < 50_000; n += 1)
      bursts.add(
        `pair-${n % 500}`,
        failure(n, { rule: `replikey/pair-${n % 500}/rule-${n % 5_000}`, key: `${n} ${padding}` }),
      );
    expect((heapUsed() - before) / 1e6).toBeLessThan(150);
    expect(bursts.of('pair-7').reduce((sum, { count }) => sum + count, 0)).toBe(100);
    for (const { keys } of bursts.of('pair-7')) expect(keys.join('').length).toBeLessThan(5_000);
  });
});

test('limitBursts: 10 bursts of at most 16 KB, the continuing ones first', () => {
  const { bursts } = testBursts();
  for (let n = 0; n < 30; n += 1) bursts.add('tax', failure(n, { rule: `rule-${n}`, key: 'k'.repeat(900) }));
  const commands = [{ what: 'x', command: 'c'.repeat(8_000) }];
  const all = bursts.of('tax').map((burst, n) => ({ ...burst, commands, ...(n < 25 && { endedAt: 'x' }) }));
  const limited = limitBursts(all);
  expect(limited).toHaveLength(10);
  expect(limited.slice(0, 5).every(({ endedAt }) => endedAt === undefined)).toBe(true);
  expect(JSON.stringify(limited).length).toBeLessThan(16 * 1_024 + 10 * 2_000);
});

describe('formatBurst', () => {
  const burst: FailureBurst = {
    id: '1',
    bucket: 'acme-tax',
    rule: 'replikey/tax/tax',
    reason: 'SrcGetObjectNotPermitted',
    operation: 'OBJECT_PUT',
    count: 1_214,
    since: '2026-11-30T10:02:00.123Z',
    until: '2026-11-30T10:05:00.000Z',
    keys: [],
  };

  test('without an explanation: rule, count, start and reason', () => {
    expect(formatBurst(burst)).toBe(
      'tax/tax: 1,214 objects since 2026-11-30T10:02:00Z, SrcGetObjectNotPermitted',
    );
  });

  test('with cause, author, reversal and fix: all of them', () => {
    const explained = {
      ...burst,
      count: 1,
      cause: 'the key policy of alias/acme-tax does not allow kms:Decrypt for arn:aws:s3:::acme-tax/Tax/*',
      lastChange: {
        by: 'arn:aws:iam::111122223333:user/jane',
        event: 'PutKeyPolicy',
        at: '2026-11-30T10:01:00Z',
      },
      reverted: { at: '2026-11-30T10:03:00.000Z', ids: ['kms.key-policy/alias/acme-tax@us-east-1'] },
      fix: 'add this statement',
    } satisfies FailureBurst;
    expect(formatBurst(explained)).toBe(
      'tax/tax: 1 object since 2026-11-30T10:02:00Z, SrcGetObjectNotPermitted: the key policy of alias/acme-tax does not allow kms:Decrypt for arn:aws:s3:::acme-tax/Tax/*; last changed by arn:aws:iam::111122223333:user/jane with PutKeyPolicy at 2026-11-30T10:01:00Z; replikey reverted kms.key-policy/alias/acme-tax@us-east-1 at 2026-11-30T10:03:00Z. Fix: add this statement',
    );
  });

  test('a failed deletion: a delete marker', () => {
    expect(formatBurst({ ...burst, operation: 'OBJECT_DELETE', count: 2 })).toContain(
      '2 delete markers since',
    );
  });
});
