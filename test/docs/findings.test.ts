import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { FINDING_CODES, type FindingDefinition } from '../../src/proof/findings.ts';

const kinds = Object.entries(FINDING_CODES as Record<string, FindingDefinition>);
const index = await readFile('docs/reference/findings/README.md', 'utf8');
/** The rows of the two tables: cells without their links and backticks. */
const rows = index
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
  .map((line) =>
    line
      .slice(2, -2)
      .split(' | ')
      .map((cell) => cell.replace(/\[([^\]]+)\]\([^)]*\)|`([^`]*)`/g, '$1$2')),
  );
const reasons = new Map(rows.map(([name, what]) => [name, what]));

/** What AWS publishes: events of failed replication, and reports of Batch Replication. */
const PUBLISHED = [
  'AssumeRoleNotPermitted',
  'DstBucketInvalidRegion',
  'DstBucketNotFound',
  'DstBucketObjectLockConfigMissing',
  'DstBucketUnversioned',
  'DstDelObjNotPermitted',
  'DstKmsKeyInvalidState',
  'DstKmsKeyNotFound',
  'DstMultipartCompleteNotPermitted',
  'DstMultipartInitNotPermitted',
  'DstMultipartUploadNotPermitted',
  'DstMultipartPartUploadNotPermitted',
  'DstObjectHardDeleted',
  'DstPutAclNotPermitted',
  'DstPutLegalHoldNotPermitted',
  'DstPutObjectNotPermitted',
  'DstPutRetentionNotPermitted',
  'DstPutTaggingNotPermitted',
  'DstVersionNotFound',
  'InitiateReplicationNotPermitted',
  'SrcBucketInvalidRegion',
  'SrcBucketNotFound',
  'SrcBucketReplicationConfigMissing',
  'SrcGetAclNotPermitted',
  'SrcGetLegalHoldNotPermitted',
  'SrcGetObjectNotPermitted',
  'SrcGetRetentionNotPermitted',
  'SrcGetTaggingNotPermitted',
  'SrcHeadObjectNotPermitted',
  'SrcKeyNotFound',
  'SrcKmsKeyInvalidState',
  'SrcObjectNotEligible',
  'SrcObjectNotFound',
  'SrcReplicationNotPending',
  'SrcVersionNotFound',
];

test('every finding has a page of its own, under its title', async () => {
  const pages = (await readdir('docs/reference/findings')).filter((file) => file.startsWith('RK')).sort();
  expect(pages).toEqual(kinds.map(([code]) => `${code}.md`).sort());
  for (const [code, { title, failureReason }] of kinds) {
    const text = await readFile(`docs/reference/findings/${code}.md`, 'utf8');
    expect(text.split('\n')[0]).toBe(`# ${code}: ${title}`);
    if (failureReason !== undefined) expect(text, code).toContain(`\`${failureReason}\``);
  }
});

test('the index says of every finding what the program says', () => {
  const told = rows.filter(([code = '']) => /^RK\d{4}$/.test(code));
  expect(told).toEqual(
    kinds.map(([code, { title, severity, failureReason }]) => [code, title, severity, failureReason ?? '–']),
  );
});

test('every failure reason that AWS publishes leads to findings, or to why there are none', () => {
  for (const reason of PUBLISHED)
    expect(reasons.get(reason), reason).toMatch(
      /RK\d{4}|^(not computed|cannot be known before|nothing is wrong|of S3 Batch Replication alone)/,
    );
  for (const [code, { failureReason }] of kinds)
    if (failureReason !== undefined) expect(reasons.get(failureReason), failureReason).toContain(code);
});
