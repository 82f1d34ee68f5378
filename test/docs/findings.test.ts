import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { FINDING_CODES, type FindingDefinition } from '../../src/proof/findings.ts';

const definitions = Object.entries(FINDING_CODES as Record<string, FindingDefinition>);
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
const reasons = new Map(rows.map(([reason, answer]) => [reason, answer]));

/** Failure reasons that AWS documents, for events of failed replication and reports of Batch Replication. */
const PUBLISHED_REASONS = [
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

test('findings: each code has a page with its title', async () => {
  const pages = (await readdir('docs/reference/findings')).filter((file) => file.startsWith('RK')).sort();
  expect(pages).toEqual(definitions.map(([code]) => `${code}.md`).sort());
  for (const [code, { title, failureReason }] of definitions) {
    const text = await readFile(`docs/reference/findings/${code}.md`, 'utf8');
    expect(text.split('\n')[0]).toBe(`# ${code}: ${title}`);
    if (failureReason !== undefined) expect(text, code).toContain(`\`${failureReason}\``);
  }
});

test('findings: the index has the title, severity and failure reason of each code', () => {
  const indexRows = rows.filter(([code = '']) => /^RK\d{4}$/.test(code));
  expect(indexRows).toEqual(
    definitions.map(([code, { title, severity, failureReason }]) => [
      code,
      title,
      severity,
      failureReason ?? '–',
    ]),
  );
});

test('findings: the index maps each published failure reason to codes, or explains why it has none', () => {
  for (const reason of PUBLISHED_REASONS)
    expect(reasons.get(reason), reason).toMatch(
      /RK\d{4}|^(not computed|cannot be known before|nothing is wrong|of S3 Batch Replication alone)/,
    );
  for (const [code, { failureReason }] of definitions)
    if (failureReason !== undefined) expect(reasons.get(failureReason), failureReason).toContain(code);
});
