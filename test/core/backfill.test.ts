import { expect, test } from 'vitest';
import {
  type BackfillChoices,
  backfillRecordsIn,
  backfillState,
  backfillsOfNewJob,
  backfillTagKey,
  type DeclaredBackfill,
  declaredBackfills,
  jobReport,
  manifestFilter,
  nextDecision,
  observeBackfill,
} from '../../src/core/backfill.ts';
import {
  APPROVAL_REASON,
  type BatchJobState,
  backfillDescription,
  currentDecision,
  formatRecord,
  type JobRecord,
  jobToken,
  type ObservedJob,
  parseBackfillDescription,
  reencryptionDescription,
  SUPERSEDED_REASON,
  TOO_MANY_OBJECTS_REASON,
} from '../../src/core/batch-job.ts';
import { pairOf, pairsOf, tax, together } from '../spec/support.ts';

const DIGEST = '0123456789abcdef';
const OTHER_DIGEST = 'fedcba9876543210';

const job = (status: string, fields: Partial<ObservedJob> = {}): ObservedJob => ({
  id: `${status}-1`,
  description: backfillDescription('tax', [DIGEST], 'acme-tax'),
  status,
  createdAtMs: Date.parse('2026-11-30T12:00:00Z'),
  succeeded: 0,
  failed: 0,
  ...fields,
});

const RECORD: JobRecord = {
  digest: DIGEST,
  completedAt: '2026-11-30T13:00:00Z',
  succeeded: 1_488,
  failed: 12,
};
// S3 User Guide, "Job statuses".
const COMPLETE = job('Complete', {
  endedAtMs: Date.parse('2026-11-30T13:00:00.400Z'),
  total: 1_500,
  succeeded: 1_488,
  failed: 12,
});
const later = (index: number, status: string, fields: Partial<ObservedJob> = {}) =>
  job(status, {
    id: `${status}-${index}`,
    createdAtMs: Date.parse('2026-11-30T12:00:00Z') + index,
    ...fields,
  });

const ROWS: [title: string, records: JobRecord[], jobs: ObservedJob[], expected: object][] = [
  ['no job and no record', [], [], { state: 'absent', attempt: 0 }],
  ['a record', [RECORD], [], { state: 'done', record: RECORD }],
  ['a record, and its job', [RECORD], [COMPLETE], { state: 'done', record: RECORD }],
  ['a record, and a later job of another caller', [RECORD], [job('Suspended')], { state: 'done' }],
  ['a record of another digest', [{ ...RECORD, digest: OTHER_DIGEST }], [], { state: 'absent', attempt: 0 }],
  ...['New', 'Preparing', 'Ready', 'Active', 'Pausing', 'Paused', 'Completing', 'Failing', 'Cancelling'].map(
    (status): (typeof ROWS)[number] => [`a job in ${status}`, [], [job(status)], { state: 'running' }],
  ),
  ['a job in a status that replikey does not know', [], [job('Resting')], { state: 'running' }],
  ['a suspended job', [], [job('Suspended')], { state: 'suspended', job: { id: 'Suspended-1' } }],
  ['a complete job', [], [COMPLETE], { state: 'complete', record: RECORD }],
  [
    // S3 User Guide, "Troubleshooting replication", Batch Replication errors.
    'a job that found no objects',
    [],
    [job('Failed', { failureReasons: ['Manifest generation found no keys matching the filter criteria.'] })],
    {
      state: 'complete',
      record: { digest: DIGEST, completedAt: '2026-11-30T12:00:00Z', succeeded: 0, failed: 0 },
    },
  ],
  ['a failed job', [], [job('Failed')], { state: 'absent', attempt: 1, lastJob: { status: 'Failed' } }],
  ['a cancelled job', [], [job('Cancelled')], { state: 'absent', attempt: 1 }],
  ['a failed job and its successor', [], [later(2, 'Active'), job('Failed')], { state: 'running' }],
  [
    'three failed jobs, and the reason of the last',
    [],
    [job('Failed'), later(3, 'Failed', { failureReasons: ['third'] }), later(2, 'Cancelled')],
    { state: 'exhausted', lastJob: { failureReasons: ['third'] } },
  ],
  [
    // S3 keeps the reason of the last status update.
    'three failed jobs that replikey approved',
    [],
    [1, 2, 3].map((index) => later(index, 'Failed', { statusUpdateReason: APPROVAL_REASON })),
    { state: 'exhausted', lastJob: { id: 'Failed-3' } },
  ],
  [
    'jobs that replikey cancelled for another spec, which are no failures',
    [],
    [1, 2, 3, 4].map((index) => later(index, 'Cancelled', { statusUpdateReason: SUPERSEDED_REASON })),
    { state: 'absent', attempt: 4 },
  ],
  [
    'a job with too many objects',
    [],
    [job('Cancelled', { total: 1_001, statusUpdateReason: TOO_MANY_OBJECTS_REASON })],
    { state: 'tooLarge', lastJob: { total: 1_001 } },
  ],
  [
    // AWS does not document whether an ended job has its number of tasks.
    'a job with too many objects, of which S3 reports no number any more',
    [],
    [job('Cancelled', { statusUpdateReason: TOO_MANY_OBJECTS_REASON })],
    { state: 'tooLarge' },
  ],
  [
    'a job with too many objects, after the limit was raised',
    [],
    [job('Cancelled', { total: 1_000, statusUpdateReason: TOO_MANY_OBJECTS_REASON })],
    { state: 'absent', attempt: 1 },
  ],
  [
    'a job of another digest',
    [],
    [job('Active', { description: backfillDescription('tax', [OTHER_DIGEST], 'acme-tax') })],
    { state: 'absent', attempt: 0 },
  ],
  ['a job of another tool', [], [job('Active', { description: 'nightly' })], { state: 'absent', attempt: 0 }],
  [
    'a job without a description',
    [],
    [{ ...job('Active'), description: '' }],
    { state: 'absent', attempt: 0 },
  ],
];

test.each(ROWS)('backfillState: %s', (_, records, jobs, expected) => {
  const state: BatchJobState = backfillState(DIGEST, records, jobs, 1_000);
  expect(state).toMatchObject(expected);
  // AWS documents no order of ListJobs.
  expect(backfillState(DIGEST, records, jobs.toReversed(), 1_000)).toEqual(state);
});

test('backfillRecordsIn: reads what formatRecord writes, and ignores other tags', () => {
  const text = formatRecord(RECORD);
  expect(text).toBe('0123456789abcdef 2026-11-30T13:00:00Z ok=1488 failed=12');
  // IAM allows letters, digits, spaces and _ . : / = + - @ in tags (IAM User Guide, "Tags for IAM resources").
  expect(text).toMatch(/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,256}$/u);
  expect(
    backfillRecordsIn({ 'replikey:backfill:tax': text, 'replikey:backfill:books': 'soon', team: text }),
  ).toEqual([RECORD]);
});

const declaredAs = (specName: string, digest: string, objectsDigest = 'same'): DeclaredBackfill => ({
  specName,
  digest,
  prefix: 'Tax/',
  objectsDigest,
  isOnly: true,
});

test('backfillTagKey: each job of a spec has its own key, within the limit of IAM', () => {
  expect(backfillTagKey(declaredAs('tax', DIGEST))).toBe('replikey:backfill:tax');
  const keys = ['Tax/', 'Ledgers/'].map((prefix) =>
    backfillTagKey({ ...declaredAs('x'.repeat(63), DIGEST), prefix, isOnly: false }),
  );
  expect(new Set(keys).size).toBe(2);
  expect(Math.max(...keys.map(({ length }) => length))).toBeLessThanOrEqual(128);
});

test('parseBackfillDescription: reads what backfillDescription writes, and nothing else', () => {
  const description = backfillDescription('tax', [DIGEST, OTHER_DIGEST], 'acme-tax');
  expect(parseBackfillDescription(description)).toEqual({
    specName: 'tax',
    digests: [DIGEST, OTHER_DIGEST],
    bucket: 'acme-tax',
  });
  // Hexadecimal digits are a valid name of a bucket.
  expect(parseBackfillDescription(backfillDescription('tax', [DIGEST], OTHER_DIGEST))).toMatchObject({
    digests: [DIGEST],
    bucket: OTHER_DIGEST,
  });
  expect(parseBackfillDescription(undefined)).toBeUndefined();
  expect(parseBackfillDescription(`nightly ${description}`)).toBeUndefined();
});

test('backfillDescription: has as many digests as the limit of S3 Control allows', () => {
  const digests = Array.from({ length: 100 }, (_, index) => index.toString(16).padStart(16, '0'));
  const description = backfillDescription('x'.repeat(63), digests, 'b'.repeat(63));
  // API reference, CreateJob: at most 256 characters.
  expect(description.length).toBeLessThanOrEqual(256);
  expect(description.length).toBeGreaterThan(256 - 17);
  expect(parseBackfillDescription(description)?.digests).toEqual(digests.slice(0, 6));
});

test('jobToken: another attempt or another backfill has another token, within the limit of S3 Control', () => {
  expect(jobToken([DIGEST], 1)).toBe(jobToken([DIGEST], 1));
  expect(jobToken([DIGEST], 1)).not.toBe(jobToken([DIGEST], 2));
  expect(jobToken([DIGEST], 1)).not.toBe(jobToken([DIGEST, OTHER_DIGEST], 1));
  expect(jobToken([DIGEST], 1)).toHaveLength(64);
});

const withBackfill = (settings: string, ...changes: [string, string][]) =>
  tax(['  rules:', `  backfill: { ${settings} }\n  rules:`], ...changes);
const BEFORE = 'before: "2026-01-01T00:00:00Z"';

async function digestsOf(...documents: string[]): Promise<string[]> {
  const pairs = await pairsOf(together(...documents));
  return declaredBackfills(pairs).map(({ digest }) => digest);
}

const NEW_DESTINATION: [string, string][] = [
  ['name: tax', 'name: tax-third'],
  ['acme-tax-replica\n', 'acme-tax-third\n'],
  ['prefix: Tax/', 'prefix: Third/'],
];

test('declaredBackfills: the digest changes with what a job does, and with nothing else', async () => {
  const [digest] = await digestsOf(withBackfill(BEFORE));
  const same = [
    `${BEFORE}, start: Automatic, priority: 3, maxObjects: 7, report: { bucket: acme-reports }, role: { name: batch }`,
    'before: "2026-01-01T02:00:00+02:00"',
    `${BEFORE}, objects: [failed, existing]`,
  ];
  const covered = withBackfill(BEFORE, ['prefix: Tax/', 'prefix: Tax/\n    - prefix: Tax/2026/']);
  expect(await digestsOf(covered)).toEqual([digest]);
  for (const settings of same) expect(await digestsOf(withBackfill(settings))).toEqual([digest]);
  const otherDigests = await Promise.all([
    digestsOf(withBackfill('before: "2026-01-02T00:00:00Z"')),
    digestsOf(withBackfill(`${BEFORE}, after: "2025-01-01T00:00:00Z"`)),
    digestsOf(withBackfill(`${BEFORE}, objects: [failed]`)),
    digestsOf(withBackfill(BEFORE, ['Tax/', 'Tax/2026/'])),
    digestsOf(withBackfill(BEFORE, ['bucket: acme-tax\n', 'bucket: acme-books\n'])),
    digestsOf(withBackfill(BEFORE, ['acme-tax-replica\n', 'acme-tax-third\n'])),
    // The rule selects other objects.
    digestsOf(withBackfill(BEFORE, ['prefix: Tax/', 'filter: { prefix: Tax/, tags: { tier: gold } }'])),
    digestsOf(
      withBackfill(BEFORE, ['prefix: Tax/', 'filter: { prefix: Tax/, exclude: { prefixes: [Tax/Tmp/] } }']),
    ),
  ]);
  expect(new Set([digest, ...otherDigests.flat()]).size).toBe(9);
  // A run with some of the specs must not start another job.
  expect(await digestsOf(withBackfill(BEFORE), tax(...NEW_DESTINATION))).toEqual([digest]);
});

test('declaredBackfills: specs of one source that ask for the same objects share a job', async () => {
  const pairs = await pairsOf(
    together(
      withBackfill(BEFORE),
      withBackfill(
        BEFORE,
        ['name: tax', 'name: tax-third'],
        ['acme-tax-replica\n', 'acme-tax-third\n'],
        ['prefix: Tax/', 'name: third\n      priority: 9\n      prefix: Tax/'],
      ),
    ),
  );
  const [first, second] = declaredBackfills(pairs);
  expect(first?.objectsDigest).toBe(second?.objectsDigest);
  expect(first?.digest).not.toBe(second?.digest);
});

test('declaredBackfills: a spec with several prefixes has a backfill for each', async () => {
  const pair = await pairOf(withBackfill(BEFORE, ['prefix: Tax/', 'prefix: Tax/\n    - prefix: Ledgers/']));
  expect(declaredBackfills([pair])).toMatchObject([
    { prefix: 'Ledgers/', isOnly: false },
    { prefix: 'Tax/', isOnly: false },
  ]);
});

const choicesOf = (
  ofBucket: readonly DeclaredBackfill[],
  declared: DeclaredBackfill,
  fields: Partial<BackfillChoices> = {},
): BackfillChoices => ({
  bucket: 'acme-tax',
  declared,
  ofBucket,
  start: 'Confirmed',
  isRecorded: true,
  maxObjects: 1_000,
  ...fields,
});

const TAX = declaredAs('tax', DIGEST);
const BOOKS = declaredAs('books', OTHER_DIGEST, 'other');

test('observeBackfill: an unfinished job of an earlier form of the spec is superseded', () => {
  const earlier = job('Active', {
    description: backfillDescription('tax', ['00000000000000aa'], 'acme-tax'),
  });
  const jobs = [
    earlier,
    job('Active'),
    { ...earlier, status: 'Complete' },
    job('Active', { description: backfillDescription('books', ['00000000000000aa'], 'acme-tax') }),
    job('Active', { description: 'nightly' }),
    // A spec of another repository has the same name.
    job('Active', { description: backfillDescription('tax', ['00000000000000aa'], 'acme-books') }),
    // Another spec shares the job.
    job('Active', {
      description: backfillDescription('tax', ['00000000000000aa', OTHER_DIGEST], 'acme-tax'),
    }),
  ];
  expect(observeBackfill(choicesOf([BOOKS, TAX], TAX), [], jobs).superseded).toEqual([earlier.id]);
});

test('observeBackfill: only the first of several prefixes cancels superseded jobs', () => {
  const second = { ...declaredAs('tax', OTHER_DIGEST), prefix: 'Z/' };
  const earlier = job('Active', {
    description: backfillDescription('tax', ['00000000000000aa'], 'acme-tax'),
  });
  const observe = (declared: DeclaredBackfill) =>
    observeBackfill(choicesOf([TAX, second], declared), [], [earlier]).superseded;
  expect([observe(TAX), observe(second)]).toEqual([[earlier.id], []]);
});

test('backfillsOfNewJob: a job does all backfills of the same objects that have no job', () => {
  const third = declaredAs('third', '00000000000000bb');
  const recorded = declaredAs('recorded', '00000000000000cc');
  const records = [{ ...RECORD, digest: recorded.digest }];
  const covered = backfillsOfNewJob(choicesOf([BOOKS, recorded, TAX, third], TAX), records, []);
  expect(covered).toEqual([TAX, third]);
});

// The model of S3 Control (2018-08-20): JobManifestGeneratorFilter, JobReport.
test('manifestFilter, jobReport: are in the form of S3 Control', async () => {
  const { backfill } = await pairOf(
    withBackfill(`${BEFORE}, after: "2025-01-01T00:00:00Z", report: { bucket: acme-reports }`),
  );
  if (!backfill) throw new Error('the spec has no backfill');
  expect(manifestFilter(backfill, 'Tax/')).toEqual({
    EligibleForReplication: true,
    ObjectReplicationStatuses: ['NONE', 'FAILED'],
    CreatedBefore: new Date('2026-01-01T00:00:00Z'),
    CreatedAfter: new Date('2025-01-01T00:00:00Z'),
    KeyNameConstraint: { MatchAnyPrefix: ['Tax/'] },
  });
  expect(manifestFilter(backfill, '')).not.toHaveProperty('KeyNameConstraint');
  expect(jobReport(backfill, 'us-east-1')).toEqual({
    Enabled: true,
    Bucket: 'arn:aws:s3:::acme-reports',
    Prefix: 'replikey',
    Format: 'Report_CSV_20180820',
    ReportScope: 'FailedTasksOnly',
  });
  expect(jobReport({ ...backfill, report: undefined } as never, 'us-east-1')).toEqual({ Enabled: false });
});

/** Returns the current and the next decision about a backfill with these jobs. */
function decisionsOf(
  jobs: ObservedJob[],
  { records = [], ofBucket = [TAX], ...fields }: Partial<BackfillChoices> & { records?: JobRecord[] } = {},
) {
  const choices = choicesOf(ofBucket, TAX, fields);
  const observed = observeBackfill(choices, records, jobs);
  const next = nextDecision(observed, choices, (digest) => backfillState(digest, records, jobs, 1_000));
  return [currentDecision(observed, choices.start), next.decision];
}

const NO_KEYS = job('Failed', {
  failureReasons: ['Manifest generation found no keys matching the filter criteria.'],
});

test.each<[string, ReturnType<typeof decisionsOf>, string[]]>([
  ['creates a job', decisionsOf([]), ['none', 'attempt 1']],
  [
    'creates no job beside another one of the bucket',
    decisionsOf([job('Active', { description: backfillDescription('books', [OTHER_DIGEST], 'acme-tax') })], {
      ofBucket: [BOOKS, TAX],
    }),
    ['none', 'none'],
  ],
  [
    'creates no job beside that of a spec that the run does not have',
    decisionsOf([job('Active', { description: backfillDescription('books', [OTHER_DIGEST], 'acme-tax') })]),
    ['none', 'none'],
  ],
  [
    'creates a job beside that of a spec with the same name and another bucket',
    decisionsOf([job('Active', { description: backfillDescription('tax', [OTHER_DIGEST], 'acme-books') })]),
    ['none', 'attempt 1'],
  ],
  [
    'creates no job before that of an earlier spec of the bucket',
    decisionsOf([], { ofBucket: [BOOKS, TAX] }),
    ['none', 'none'],
  ],
  [
    'creates a job after that of an earlier spec of the bucket',
    decisionsOf([], { ofBucket: [BOOKS, TAX], records: [{ ...RECORD, digest: OTHER_DIGEST }] }),
    ['none', 'attempt 1'],
  ],
  [
    'creates no job before a superseded one has ended',
    decisionsOf([
      job('Cancelling', { description: backfillDescription('tax', ['00000000000000aa'], 'acme-tax') }),
    ]),
    ['none', 'none'],
  ],
  [
    'leaves a shared job to the first of its specs',
    decisionsOf(
      [job('Suspended', { description: backfillDescription('books', [OTHER_DIGEST, DIGEST], 'acme-tax') })],
      {
        ofBucket: [BOOKS, TAX],
      },
    ),
    ['attempt 1', 'attempt 1'],
  ],
  [
    'cancels a job with too many objects',
    decisionsOf([job('Suspended', { total: 1_001 })]),
    ['attempt 1', 'attempt 1, cancelled'],
  ],
  [
    'cancels a job with too many objects that has started by itself',
    decisionsOf([job('Active', { total: 1_001 })], { start: 'Automatic' }),
    ['attempt 1', 'attempt 1, cancelled'],
  ],
  [
    'creates no other job after such a cancellation',
    decisionsOf([job('Cancelled', { total: 1_001, statusUpdateReason: TOO_MANY_OBJECTS_REASON })]),
    ['attempt 1, cancelled', 'attempt 1, cancelled'],
  ],
  [
    'records nothing in a role given by ARN',
    decisionsOf([COMPLETE], { isRecorded: false }),
    ['attempt 1, approved', 'attempt 1, approved'],
  ],
  [
    'waits for a re-encryption of the bucket, and for no other',
    [
      ...decisionsOf([job('Active', { description: reencryptionDescription('acme-tax', '0'.repeat(16)) })]),
      ...decisionsOf([job('Active', { description: reencryptionDescription('acme-books', '0'.repeat(16)) })]),
    ],
    ['none', 'none', 'none', 'attempt 1'],
  ],
  ['waits for a job that S3 prepares', decisionsOf([job('Preparing')]), ['attempt 1', 'attempt 1']],
  ['approves a prepared job', decisionsOf([job('Suspended')]), ['attempt 1', 'attempt 1, approved']],
  ['waits for a running job', decisionsOf([job('Active')]), ['attempt 1, approved', 'attempt 1, approved']],
  ['records a complete job', decisionsOf([COMPLETE]), ['attempt 1, approved', 'recorded']],
  ['records a job that found no objects', decisionsOf([NO_KEYS]), ['attempt 1', 'recorded']],
  ['does nothing after the record', decisionsOf([], { records: [RECORD] }), ['recorded', 'recorded']],
  ['repeats a failed job', decisionsOf([job('Failed')]), ['attempt 1', 'attempt 2']],
  [
    'repeats a job that was approved and failed before its first task',
    decisionsOf([job('Failed', { statusUpdateReason: APPROVAL_REASON })]),
    ['attempt 1, approved', 'attempt 2'],
  ],
  [
    'repeats no job for the fourth time',
    decisionsOf([job('Failed'), later(1, 'Failed'), later(2, 'Failed')]),
    ['attempt 3', 'attempt 3'],
  ],
  [
    'starts a prepared job that requires no approval any more',
    decisionsOf([job('Suspended')], { start: 'Automatic' }),
    ['attempt 1, suspended', 'attempt 1'],
  ],
  [
    'waits for a job that starts by itself',
    decisionsOf([job('Preparing')], { start: 'Automatic' }),
    ['attempt 1', 'attempt 1'],
  ],
])('nextDecision: %s', (_, decisions, expected) => {
  expect(decisions).toEqual(expected);
});

// A write is verified by a read, and the job may have moved on until then.
test.each<[string, 'Confirmed' | 'Automatic', ObservedJob[], ObservedJob[][]]>([
  ['created', 'Confirmed', [], [[job('New')], [job('Preparing')], [job('Suspended')], [NO_KEYS]]],
  ['created', 'Automatic', [], [[job('New')], [job('Active')], [COMPLETE], [NO_KEYS]]],
  [
    'approved',
    'Confirmed',
    [job('Suspended')],
    [
      [job('Ready')],
      [job('Active')],
      [COMPLETE],
      [job('Failed', { statusUpdateReason: APPROVAL_REASON, failureReasons: ['no role'] })],
    ],
  ],
  [
    'cancelled',
    'Confirmed',
    [job('Suspended', { total: 1_001 })],
    ['Cancelling', 'Cancelled'].map((status) => [
      job(status, { total: 1_001, statusUpdateReason: TOO_MANY_OBJECTS_REASON }),
    ]),
  ],
])('currentDecision: a job that is %s (%s) is as decided, however far it is', (_, start, before, after) => {
  const [, decided] = decisionsOf(before, { start });
  for (const jobs of after) expect(decisionsOf(jobs, { start })[0]).toBe(decided);
});
