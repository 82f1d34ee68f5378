import { describe, expect, test } from 'vitest';
import type { NewBucket, NewFinding } from '../../src/fleet/bucket-report.ts';
import { assembleReport, type SurveyResult } from '../../src/fleet/report.ts';
import type { FleetAccount, FleetReport } from '../../src/fleet/types.ts';
import { fleetText } from '../../src/report/fleet-text.ts';
import { PLAIN_STYLE } from '../../src/report/style.ts';

const MAIN = '111122223333';
const BACKUP = '444455556666';
const FIRST = '2026-11-01T00:00:00.000Z';
const SECOND = '2026-11-02T00:00:00.000Z';

const account = (id: string, error?: string): FleetAccount => ({
  id,
  access: 'ambient credentials',
  ...(error !== undefined && { error }),
  totals: { total: 2, replicating: 1, withoutReplication: 1, unknown: 0 },
});
const finding = (overrides: Partial<NewFinding> = {}): NewFinding => ({
  category: 'not-proven',
  severity: 'error',
  code: 'RK1308',
  title: 'the role cannot write replicas',
  message: 'the policy lacks s3:ReplicateObject',
  rule: 'tax',
  destination: 'acme-tax-replica',
  ...overrides,
});
const V1 = finding({ category: 'v1-rules', severity: 'warning', code: 'RK1009', message: 'no Filter' });
const bucket = (name: string, findings: NewFinding[], overrides: Partial<NewBucket> = {}): NewBucket => ({
  name,
  account: MAIN,
  region: 'us-east-1',
  verdict: 'broken',
  rules: [{ id: 'tax', destination: 'acme-tax-replica', verdict: 'broken' }],
  findings,
  ...overrides,
});
const result = (buckets: NewBucket[], overrides: Partial<SurveyResult> = {}): SurveyResult => ({
  startedAt: SECOND,
  endedAt: SECOND,
  accounts: [account(BACKUP), account(MAIN)],
  buckets,
  ...overrides,
});
const firstReport = (...buckets: NewBucket[]): FleetReport =>
  assembleReport(result(buckets, { startedAt: FIRST }), undefined);

describe('assembleReport', () => {
  test('puts the most severe bucket first, and counts buckets by category and rules by verdict', () => {
    const proven = bucket('c', [], {
      verdict: 'proven',
      rules: [{ id: 'a', destination: 'd', verdict: 'proven' }],
    });
    const report = firstReport(proven, bucket('a', [V1]), bucket('b', [finding(), finding(), V1]));
    expect(report.buckets.map(({ name }) => name)).toEqual(['b', 'a', 'c']);
    expect(report.accounts.map(({ id }) => id)).toEqual([MAIN, BACKUP]);
    expect(report.totals).toMatchObject({
      accounts: 2,
      total: 4,
      replicating: 2,
      rules: 3,
      byVerdict: { proven: 1, broken: 2, unknown: 0, off: 0 },
      byCategory: { 'not-proven': 1, 'v1-rules': 2, failing: 0 },
    });
    expect(report).not.toHaveProperty('diff');
  });

  test('counts what could not be read by its reason', () => {
    const unread = (name: string, message: string) =>
      bucket(name, [finding({ category: 'unknown', severity: 'unknown', code: 'RK1901', message })], {
        verdict: 'unknown',
        rules: [],
      });
    const message = (code: string) =>
      `the bucket a cannot be read: s3:GetBucketReplication in account main, us-east-1: ${code}: Access Denied, request 1`;
    const { totals } = assembleReport(
      result(
        [unread('a', message('AccessDenied (HTTP 403)')), unread('b', message('AccessDenied (HTTP 403)'))],
        {
          accounts: [account(MAIN), account(BACKUP, 'sts:AssumeRole: ThrottlingException: slow down')],
        },
      ),
      undefined,
    );
    expect(totals.unknownReasons).toEqual({ AccessDenied: 2, ThrottlingException: 1 });
    expect(totals.unreadableAccounts).toBe(1);
  });

  test('control policies that could not be read: the totals and the text name the reasons', () => {
    const rule = (unread?: string[]) => ({
      id: 'tax',
      destination: 'd',
      verdict: 'proven' as const,
      controlPolicies: { requests: 9, dependent: 4, ...(unread && { unread }) },
    });
    const reportOf = (...reasons: (string[] | undefined)[]) =>
      firstReport(...reasons.map((unread, index) => bucket(`b${index}`, [], { rules: [rule(unread)] })));
    const denied = reportOf(['account 1: AccessDenied'], ['account 1: AccessDenied']);
    expect(denied.totals.controlPolicies).toEqual({
      requests: 18,
      dependent: 8,
      unread: ['account 1: AccessDenied'],
    });
    const text = (report: FleetReport) => fleetText(report, false, PLAIN_STYLE.paint);
    expect(text(denied)).toContain('control policies that were not read: account 1: AccessDenied\n'.trim());
    expect(text(denied)).not.toContain('--organization-account');
    expect(text(reportOf(undefined))).toContain('were not read (--organization-account)');
  });

  test('diff: new, changed and resolved findings, and the time since which each exists', () => {
    const previous = firstReport(bucket('a', [finding(), V1]), bucket('b', [finding()]));
    const { diff, buckets } = assembleReport(
      result([bucket('a', [finding({ message: 'the policy lacks kms:Encrypt' })]), bucket('c', [V1])]),
      previous,
    );
    expect(diff).toMatchObject({
      since: FIRST,
      added: [{ bucket: 'c', code: 'RK1009' }],
      changed: [
        {
          before: { bucket: 'a', message: 'the policy lacks s3:ReplicateObject' },
          after: { bucket: 'a', message: 'the policy lacks kms:Encrypt' },
        },
      ],
      resolved: [
        { bucket: 'a', code: 'RK1009' },
        { bucket: 'b', code: 'RK1308' },
      ],
    });
    expect(buckets.flatMap(({ name, findings }) => findings.map(({ since }) => [name, since]))).toEqual([
      ['a', FIRST],
      ['c', SECOND],
    ]);
  });

  test('diff: another request id is no change', () => {
    const message = (id: string) =>
      `cannot be read: AccessDenied, request ${id}; these credentials lack a permission`;
    const previous = firstReport(bucket('a', [finding({ message: message('4442587f-b7d0') })]));
    const { diff } = assembleReport(
      result([bucket('a', [finding({ message: message('1f0c-22') })])]),
      previous,
    );
    expect(diff).toMatchObject({ added: [], changed: [], resolved: [] });
  });

  test.each<[string, Partial<SurveyResult>]>([
    ['of an account that cannot be read now', { accounts: [account(MAIN, 'denied')] }],
    ['of an account that is not surveyed now', { accounts: [account(BACKUP)] }],
    ['of a Region that is not surveyed now', { regions: ['eu-west-1'] }],
    [
      'of a bucket that cannot be read now',
      { buckets: [bucket('a', [], { rules: [], verdict: 'unknown' })] },
    ],
  ])('diff: a finding %s is not resolved', (_, overrides) => {
    const { diff } = assembleReport(result([], overrides), firstReport(bucket('a', [finding()])));
    expect(diff?.resolved).toEqual([]);
  });

  const UNKNOWN = finding({ category: 'unknown', severity: 'unknown', code: 'RK1901', message: 'denied' });
  test.each<[string, NewBucket[], Partial<SurveyResult>]>([
    ['rule is unknown', [bucket('a', [UNKNOWN])], {}],
    ['destination is unknown', [bucket('a', [{ ...UNKNOWN, rule: 'other' }])], {}],
    ['bucket cannot be read', [bucket('a', [UNKNOWN], { rules: [], verdict: 'unknown' })], {}],
    ['account cannot be read', [], { accounts: [account(MAIN, 'denied')] }],
    ['Region is not surveyed', [], { regions: ['eu-west-1'] }],
  ])('diff: a finding whose %s is not resolved, and is not new in the next run', (_, buckets, overrides) => {
    const third = '2026-11-03T00:00:00.000Z';
    const first = firstReport(bucket('a', [finding()]));
    const second = assembleReport(result(buckets, overrides), first);
    expect(second.diff?.resolved).toEqual([]);
    expect(second.unverified).toMatchObject([{ bucket: 'a', code: 'RK1308', since: FIRST }]);
    // The finding is carried over any number of runs.
    const repeated = assembleReport(result(buckets, overrides), second);
    expect(repeated.unverified).toEqual(second.unverified);
    const thirdReport = assembleReport(result([bucket('a', [finding()])], { startedAt: third }), repeated);
    expect(thirdReport.diff).toMatchObject({ added: [], changed: [] });
    expect(thirdReport.buckets[0]?.findings[0]?.since).toBe(FIRST);
    expect(thirdReport).not.toHaveProperty('unverified');
    const repaired = assembleReport(result([bucket('a', [])], { startedAt: third }), repeated);
    expect(repaired.diff?.resolved).toContainEqual(expect.objectContaining({ code: 'RK1308', since: FIRST }));
  });

  test('diff: a finding of another rule, or of a rule that was removed, is resolved although a rule is unknown', () => {
    const other = { rule: 'logs', destination: 'acme-logs-replica' };
    const rules = (...ids: string[]) =>
      ids.map((id) => ({ id, destination: `acme-${id}-replica`, verdict: 'unknown' as const }));
    const first = firstReport(bucket('a', [finding(), finding(other)], { rules: rules('tax', 'logs') }));
    for (const remaining of [rules('tax', 'logs'), rules('tax')]) {
      const { diff } = assembleReport(result([bucket('a', [UNKNOWN], { rules: remaining })]), first);
      expect(diff?.resolved.map(({ rule }) => rule)).toEqual(['logs']);
    }
  });

  test('diff: of several findings of one code, only the ones that are gone are resolved', () => {
    const findings = ['first', 'second', 'third'].map((message) => finding({ message }));
    const { diff } = assembleReport(
      result([bucket('a', [finding({ message: 'second' })])]),
      firstReport(bucket('a', findings)),
    );
    expect(diff?.resolved.map(({ message }) => message)).toEqual(['first', 'third']);
    expect(diff).toMatchObject({ added: [], changed: [] });
  });
});
