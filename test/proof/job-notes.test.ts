import { expect, test } from 'vitest';
import type { BucketFacts } from '../../src/core/facts.ts';
import type { Statement } from '../../src/iam/types.ts';
import {
  bytesText,
  type JobFacts,
  lifecycleNotes,
  reportProblem,
  sizeText,
} from '../../src/proof/job-notes.ts';

const SIZE = {
  bucket: 'acme-tax',
  region: 'us-east-1',
  bytes: 309_200_000_000,
  day: '2026-11-29',
  destinationRegions: ['us-west-2'],
};

test.each([
  [0, '0 bytes'],
  [999, '999 bytes'],
  [1_000, '1 KB'],
  [1_234_567, '1.3 MB'],
  [309_200_000_000, '310 GB'],
  [999_999_999_999, '1000 GB'],
  [2_000_000_000_000_000_000, '2000 PB'],
])('size: %i bytes are %s, rounded up', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test('size: the bound names its day, and the price of a transfer between Regions of the United States', () => {
  expect(sizeText({ lifecycles: [], size: SIZE })).toBe(
    'at most 310 GB, the size of acme-tax on 2026-11-29, at most about 6.18 USD for the transfer to us-west-2',
  );
  for (const destinationRegions of [[], ['us-east-1'], ['eu-west-1'], ['us-gov-west-1']])
    expect(sizeText({ lifecycles: [], size: { ...SIZE, destinationRegions } })).toBe(
      'at most 310 GB, the size of acme-tax on 2026-11-29',
    );
  expect(sizeText({ lifecycles: [] })).toBe(undefined);
});

test('lifecycle: enabled rules that delete versions or delete markers are a note, and no others', () => {
  const rules = [
    { ID: 'versions', Status: 'Enabled', NoncurrentVersionExpiration: { NoncurrentDays: 30 } },
    { ID: 'markers', Status: 'Enabled', Expiration: { ExpiredObjectDeleteMarker: true } },
    { ID: 'off', Status: 'Disabled', NoncurrentVersionExpiration: { NoncurrentDays: 1 } },
    { ID: 'current', Status: 'Enabled', Expiration: {} },
  ];
  expect(lifecycleNotes({ lifecycles: [{ bucket: 'acme-tax', rules }] })).toEqual([
    'the lifecycle rules "versions", "markers" of acme-tax may delete versions or delete markers before the job has replicated all of an object; disable them until the job has ended',
  ]);
  expect(
    lifecycleNotes({
      lifecycles: [
        { bucket: 'acme-tax', rules: null },
        { bucket: 'acme-tax-replica', rules: { unread: 'AccessDenied' } },
      ],
    }),
  ).toEqual(['replikey cannot check the lifecycle rules of acme-tax-replica: AccessDenied']);
});

const BUCKET: BucketFacts = { region: 'us-east-1', account: '111122223333', policy: null, objectLock: {} };
const reportOn = (facts: NonNullable<JobFacts['report']>['facts'], isDeclared = false): JobFacts => ({
  lifecycles: [],
  report: {
    bucket: 'acme-reports',
    prefix: 'replikey/',
    region: 'us-east-1',
    account: '111122223333',
    role: 'arn:aws:iam::111122223333:role/replikey-batch-acme-tax',
    facts,
    isDeclared,
  },
});

test('report: a bucket of the Region and account whose policy denies nothing is usable, also one to be created', () => {
  expect(reportProblem(reportOn(BUCKET))).toBe(undefined);
  expect(reportProblem(reportOn(null, true))).toBe(undefined);
  expect(reportProblem({ lifecycles: [] })).toBe(undefined);
});

test.each<[string, Parameters<typeof reportOn>[0], RegExp]>([
  ['is absent', null, /the bucket does not exist; create it in us-east-1, or remove report$/],
  [
    'is in another Region',
    { ...BUCKET, region: 'eu-west-1' },
    /is in eu-west-1, and the job runs in us-east-1; use/,
  ],
  [
    'belongs to another account',
    { ...BUCKET, account: '444455556666' },
    /belongs to the account 444455556666; use/,
  ],
  [
    'cannot be read',
    { unread: 'AccessDenied' },
    /^replikey cannot check .*: AccessDenied; use a bucket of the account/,
  ],
  [
    'has a policy that cannot be read',
    { ...BUCKET, policy: { unread: 'no' } },
    /^replikey cannot check .*: no; allow/,
  ],
  // S3 User Guide, "Troubleshooting Batch Operations".
  [
    'has a default retention',
    {
      ...BUCKET,
      objectLock: {
        ObjectLockEnabled: 'Enabled',
        Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } },
      },
    },
    /no report to a bucket with a default retention; remove/,
  ],
])('report: blocked if the bucket %s', (_, facts, problem) => {
  expect(reportProblem(reportOn(facts))).toMatch(problem);
});

const put = (statement: Partial<Statement>): Statement => ({
  Sid: 'Rule',
  Effect: 'Deny',
  Principal: '*',
  Action: 's3:PutObject',
  Resource: 'arn:aws:s3:::acme-reports/*',
  ...statement,
});
const SSE = 's3:x-amz-server-side-encryption';

// S3 User Guide, "Examples: S3 Batch Operations completion reports": S3 encrypts reports with SSE-S3.
test.each<[string, Partial<Statement>, boolean]>([
  ['requires SSE-KMS', { Condition: { StringNotEquals: { [SSE]: 'aws:kms' } } }, true],
  ['denies other prefixes', { Resource: 'arn:aws:s3:::acme-reports/other/*' }, false],
  ['denies the prefix', { Resource: 'arn:aws:s3:::acme-reports/replikey/*' }, true],
  ['denies requests without TLS', { Condition: { Bool: { 'aws:SecureTransport': 'false' } } }, false],
  [
    'denies other accounts',
    { Condition: { StringNotEquals: { 'aws:PrincipalAccount': '111122223333' } } },
    false,
  ],
  ['denies the role', { Principal: { AWS: 'arn:aws:iam::111122223333:role/replikey-batch-acme-tax' } }, true],
  // AWS does not document whether the request has the header.
  ['requires the header', { Condition: { Null: { [SSE]: 'true' } } }, false],
])('report: a bucket policy that %s: blocked: %3$s', (_, statement, isBlocked) => {
  const facts = { ...BUCKET, policy: { Version: '2012-10-17', Statement: [put(statement)] } };
  const problem = reportProblem(reportOn(facts));
  expect(problem !== undefined).toBe(isBlocked);
  if (isBlocked)
    expect(problem).toMatch(/^S3 cannot write the report .* denies s3:PutObject .*, use another bucket/);
});
