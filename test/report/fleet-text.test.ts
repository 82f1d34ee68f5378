import { expect, test } from 'vitest';
import type { NewBucket } from '../../src/fleet/bucket-report.ts';
import { assembleReport } from '../../src/fleet/report.ts';
import { fleetProgressText, fleetText } from '../../src/report/fleet-text.ts';
import { PLAIN_STYLE } from '../../src/report/style.ts';

const { paint } = PLAIN_STYLE;
const ACCOUNT = '111122223333';
const AT = '2026-11-01T00:00:00.000Z';

const bucketWith = (name: string): NewBucket => ({
  name,
  account: ACCOUNT,
  region: 'us-east-1',
  verdict: 'proven',
  rules: [{ id: '', destination: 'replica', verdict: 'proven' }],
  findings: [
    {
      category: 'v1-rules',
      severity: 'warning',
      code: 'RK1009',
      title: 'the rule uses configuration version V1',
      message: 'the rule has no Filter\u001b[31m',
      rule: '',
      destination: 'replica',
    },
  ],
});
const reportOf = (count: number, error?: string) =>
  assembleReport(
    {
      startedAt: AT,
      endedAt: AT,
      accounts: [
        {
          id: ACCOUNT,
          name: 'finance',
          access: 'profile finance',
          totals: { total: 1_200, replicating: count, withoutReplication: 1_200 - count, unknown: 0 },
          ...(error !== undefined && { error }),
        },
      ],
      buckets: Array.from({ length: count }, (_, index) =>
        bucketWith(`bucket-${String(index).padStart(2, '0')}`),
      ),
    },
    undefined,
  );

test('fleetText: lists 20 buckets of a category, all with --verbose, and escapes what AWS returned', () => {
  const text = fleetText(reportOf(23), false, paint);
  expect(text.match(/^ {2}bucket-/gm)).toHaveLength(20);
  expect(text).toContain('V1 rules: 23 buckets\n');
  expect(text).toContain('\n  and 3 buckets more; -v shows all\n');
  expect(text).toContain('(rule without ID) → replica\n');
  expect(text).not.toContain('\u001b');
  expect(text).toContain('1,200 buckets of 1 account: 23 with replication, 1,177 without, 0 unknown');
  expect(fleetText(reportOf(23), true, paint).match(/^ {2}bucket-/gm)).toHaveLength(23);
});

test('fleetText: an account that could not be read is listed with its reason, and limits the totals', () => {
  const text = fleetText(reportOf(0, 'AccessDenied: no'), false, paint);
  expect(text).toContain('? account 111122223333 (finance) could not be read: AccessDenied: no\n');
  expect(text).toContain('1 account could not be read completely, so the numbers do not include all');
  expect(text).toContain('unknown because of: 1 × AccessDenied');
});

test.each([
  [{ listedAccounts: 3 }, 'listing buckets: 3 of 20 accounts'],
  [{ done: 0, elapsedMs: 900 }, 'surveyed 0 of 10,000 buckets, 12 of 20 accounts'],
  // 4,000 buckets of this run took 100 s, and 5,000 remain.
  [
    { done: 5_000, doneBefore: 1_000 },
    'surveyed 5,000 of 10,000 buckets, 12 of 20 accounts, about 3 minutes left',
  ],
  [{ done: 9_900 }, 'surveyed 9,900 of 10,000 buckets, 12 of 20 accounts, about 2 seconds left'],
  [{ done: 10_000 }, 'surveyed 10,000 of 10,000 buckets, 12 of 20 accounts'],
])('fleetProgressText: %j', (progress, text) => {
  const defaults = { accounts: 20, finishedAccounts: 12, listedAccounts: 20, buckets: 10_000, doneBefore: 0 };
  expect(fleetProgressText({ ...defaults, done: 0, elapsedMs: 100_000, ...progress })).toBe(text);
});
