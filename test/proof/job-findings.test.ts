import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { JobStatus } from '../../src/core/resource.ts';
import { failureCauseText, jobFindings } from '../../src/proof/job-findings.ts';

const JOB: JobStatus = {
  id: 's3.backfill/acme-tax/tax',
  state: 'tasksFailed',
  jobId: 'j-1',
  total: 1_203_441,
  succeeded: 1_203_429,
  failed: 12,
  since: '2026-12-01T10:00:00.000Z',
  report: 's3://acme-reports/replikey/',
  pairs: ['tax'],
};
const cause = (errorCode: string, count = 1) => ({
  errorCode,
  message: 'a message of S3',
  count,
  keys: ['Tax/1'],
});
const messageOf = (job: JobStatus, report?: Parameters<typeof jobFindings>[1]) =>
  jobFindings(job, report).map(({ code, message }) => `${code} ${message}`);

// S3 User Guide, "Amazon S3 replication failure reasons": the reference page has a row for each reason.
const README = readFileSync('docs/reference/findings/README.md', 'utf8');
const REASONS = [...README.matchAll(/^\| `((?:Src|Dst|Assume|Initiate)\w+)` \|/gm)].map(
  ([, name = '']) => name,
);

test.each(REASONS)('failureCauseText: names a fix or a finding for %s', (reason) => {
  expect(failureCauseText(cause(reason))).not.toContain('a message of S3');
});

test('failureCauseText: has the message of S3 for an unknown code, and no example for a report without keys', () => {
  expect(failureCauseText(cause('NewCode'))).toBe('1 × NewCode, such as Tax/1: a message of S3');
  expect(failureCauseText({ errorCode: '', message: '', count: 2, keys: [] })).toBe(
    '2 × without an error code',
  );
});

test('jobFindings: group failed tasks by cause, the most frequent first, with fixes', () => {
  const causes = [cause('DstObjectHardDeleted', 11), cause('SrcGetTaggingNotPermitted')];
  expect(messageOf(JOB, { causes })).toEqual([
    'RK1601 12 of 1,203,441 objects were not replicated by the job that ended on 2026-12-01T10:00:00Z; s3://acme-reports/replikey/ has the list; 11 × DstObjectHardDeleted, such as Tax/1: the replica was deleted by its version id, and S3 replicates no version twice; copy the object in place at the source, which writes a new version; 1 × SrcGetTaggingNotPermitted, such as Tax/1: see RK1306',
  ]);
});

test.each([
  ['no report', undefined, /the job has no report, so the causes are not known: declare backfill\.report/],
  ['an unreadable report', { unread: 'AccessDenied' }, /the report cannot be read: AccessDenied$/],
])('jobFindings: with %s, have the counts', (_, report, message) => {
  expect(messageOf(JOB, report)).toEqual([expect.stringMatching(message)]);
  expect(messageOf(JOB, report)[0]).toMatch(/^RK1601 12 of 1,203,441 objects/);
});

test('jobFindings: a job that S3 has forgotten has no report that its id names', () => {
  const { jobId: _, ...forgotten } = JOB;
  expect(messageOf(forgotten)).toEqual([expect.stringMatching(/S3 has forgotten the job/)]);
});

test('jobFindings: failed, blocked and unapproved jobs are findings, others are not', () => {
  const codes = (
    ['failed', 'blocked', 'awaitingApproval', 'inProgress', 'preparing', 'succeeded'] as const
  ).map((state) => jobFindings({ ...JOB, state }).map(({ code }) => code));
  expect(codes).toEqual([['RK1602'], ['RK1602'], ['RK1603'], [], [], []]);
});
