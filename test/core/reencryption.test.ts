import { describe, expect, test } from 'vitest';
import {
  type JobRecord,
  type ObservedJob,
  parseReencryptionDescription,
  reencryptionDescription,
} from '../../src/core/batch-job.ts';
import {
  nextReencryption,
  observeReencryption,
  type Reencryption,
  type ReencryptionChoices,
  reencryptionDigest,
  reencryptionFilter,
  reencryptionTagKey,
} from '../../src/core/reencryption.ts';

const MINUTE = 60_000;
const DRAIN = 15 * MINUTE;
const OLD = 'arn:aws:kms:us-east-1:111122223333:key/11111111-1111-1111-1111-111111111111';
const NEW = 'arn:aws:kms:us-east-1:111122223333:key/22222222-2222-2222-2222-222222222222';
const REENCRYPTION: Reencryption = { bucket: 'acme-tax', replacedKey: OLD, key: NEW };
/** S3 User Guide, "Troubleshooting replication", Batch Replication errors. */
const NO_OBJECTS = 'Manifest generation found no keys matching the filter criteria.';

const choices = (overrides: Partial<ReencryptionChoices> = {}): ReencryptionChoices => ({
  reencryption: REENCRYPTION,
  ofBucket: [REENCRYPTION],
  drainMs: DRAIN,
  start: 'Confirmed',
  ...overrides,
});

let count = 0;
const job = (status: string, fields: Partial<ObservedJob> = {}, encryption?: 'DSSE-KMS'): ObservedJob => ({
  id: `job-${count++}`,
  description: reencryptionDescription('acme-tax', reencryptionDigest(REENCRYPTION, encryption)),
  status,
  createdAtMs: 0,
  succeeded: 0,
  failed: 0,
  ...fields,
});
const empty = (createdAtMs: number, encryption?: 'DSSE-KMS') =>
  job('Failed', { createdAtMs, failureReasons: [NO_OBJECTS] }, encryption);

/** Returns the state, the next decision, and the encryption that a new job counts. */
function next(
  jobs: readonly ObservedJob[],
  {
    nowMs = 60 * MINUTE,
    records = [] as JobRecord[],
    defaultKey = NEW as string | undefined,
    ...overrides
  }: Partial<ReencryptionChoices> & {
    nowMs?: number;
    records?: JobRecord[];
    defaultKey?: string | undefined;
  } = {},
) {
  const options = choices(overrides);
  const observed = observeReencryption(options, { records, jobs, nowMs, ...(defaultKey && { defaultKey }) });
  const other = (reencryption: Reencryption) =>
    observeReencryption({ ...options, reencryption }, { records, jobs, nowMs }).state;
  return {
    ...nextReencryption(observed, options, other),
    state: observed.state.state,
    encryption: observed.encryption,
  };
}

describe('reencryption: next decision', () => {
  test('without a job: creates the first one', () => {
    expect(next([])).toEqual({
      state: 'absent',
      decision: 'attempt 1',
      action: 'create',
      encryption: 'SSE-KMS',
    });
  });
  test('new objects still under the replaced key: creates no job', () => {
    expect(next([], { defaultKey: OLD })).toMatchObject({ state: 'absent', decision: 'none' });
    expect(next([], { defaultKey: OLD }).action).toBeUndefined();
    expect(next([], { defaultKey: undefined }).action).toBe('create');
  });
  test.each([
    ['New', undefined],
    ['Preparing', undefined],
    ['Active', undefined],
    ['An unknown status', undefined],
    ['Suspended', 'approve'],
  ])('%s: no second job', (status, action) => {
    expect(next([job(status, { total: 3 })]).action).toBe(action);
  });
  test('more objects than allowed: cancels the job, and stays', () => {
    expect(next([job('Suspended', { total: 3 })], { maxObjects: 2 }).action).toBe('cancel');
    const cancelled = job('Cancelled', {
      total: 3,
      statusUpdateReason: 'replikey: the job has more objects than the spec allows',
    });
    expect(next([cancelled], { maxObjects: 2 })).toMatchObject({ state: 'tooLarge' });
    expect(next([cancelled], { maxObjects: 3 }).action).toBe('create');
  });
  test('complete: counts again when no object can be written under the key any more', () => {
    const complete = job('Complete', { total: 3, succeeded: 3 });
    expect(next([complete], { nowMs: DRAIN - 1 })).toEqual({
      state: 'early',
      decision: 'attempt 1, approved',
      encryption: 'SSE-KMS',
    });
    expect(next([complete], { nowMs: DRAIN })).toMatchObject({ decision: 'attempt 2', action: 'create' });
  });
  test('no object found before the end of the drain: does not count', () => {
    const early = [job('Complete', { succeeded: 3 }), empty(DRAIN - 1)];
    expect(next(early)).toMatchObject({ state: 'absent', action: 'create', encryption: 'SSE-KMS' });
  });
  test('no object found: counts the objects with DSSE-KMS, and then records both', () => {
    const jobs = [job('Complete', { succeeded: 3 }), empty(DRAIN)];
    expect(next(jobs)).toMatchObject({ action: 'create', encryption: 'DSSE-KMS' });
    const counted = [...jobs, empty(DRAIN + MINUTE, 'DSSE-KMS')];
    expect(next(counted)).toMatchObject({ state: 'complete', decision: 'recorded', action: 'record' });
    const { state } = observeReencryption(choices(), { records: [], jobs: counted, nowMs: 60 * MINUTE });
    expect(state).toMatchObject({
      record: { completedAt: '1970-01-01T00:15:00Z', succeeded: 3, failed: 0 },
    });
  });
  test('a job without tasks: counts as one that found no object', () => {
    const jobs = [job('Complete', { succeeded: 3 }), job('Complete', { createdAtMs: DRAIN, total: 0 })];
    expect(next(jobs)).toMatchObject({ action: 'create', encryption: 'DSSE-KMS' });
  });
  test('objects with DSSE-KMS: never starts the job, which S3 cannot do', () => {
    const jobs = [empty(0), empty(DRAIN)];
    const suspended = job('Suspended', { createdAtMs: DRAIN + 1, total: 2 }, 'DSSE-KMS');
    expect(next([...jobs, suspended])).toMatchObject({ action: 'cancel' });
    expect(next([...jobs, suspended], { start: 'Automatic' })).toMatchObject({ action: 'cancel' });
    const cancelled = {
      ...suspended,
      status: 'Cancelled',
      statusUpdateReason: 'replikey: S3 cannot re-encrypt objects with DSSE-KMS',
    };
    expect(next([...jobs, cancelled])).toEqual({
      state: 'unsupported',
      decision: 'attempt 3, cancelled',
      encryption: 'SSE-KMS',
    });
  });
  test('failed objects: three jobs at most', () => {
    const withFailures = (createdAtMs: number) => job('Complete', { createdAtMs, succeeded: 2, failed: 1 });
    expect(next([withFailures(0), withFailures(DRAIN)]).action).toBe('create');
    const three = [withFailures(0), withFailures(DRAIN), withFailures(2 * DRAIN)];
    expect(next(three)).toMatchObject({ state: 'exhausted' });
    expect(next(three).action).toBeUndefined();
  });
  test('recorded: nothing, also when S3 has forgotten the jobs; a later countedAfter counts again', () => {
    const records = [{ digest: reencryptionDigest(REENCRYPTION), completedAt: '', succeeded: 3, failed: 0 }];
    expect(next([], { records })).toMatchObject({ state: 'done', decision: 'recorded' });
    const reencryption = { ...REENCRYPTION, countedAfter: '2026-12-01T00:00:00Z' };
    expect(next([], { records, reencryption, ofBucket: [reencryption] }).action).toBe('create');
  });
  test('another unfinished job of the bucket, or an earlier key without a job: waits', () => {
    const backfill = job('Active', { description: 'replikey backfill tax 0123456789abcdef acme-tax' });
    expect(next([backfill]).action).toBeUndefined();
    const other = { ...REENCRYPTION, replacedKey: OLD.replaceAll('1', '3') };
    expect(next([], { ofBucket: [other, REENCRYPTION] }).action).toBeUndefined();
    expect(next([], { ofBucket: [REENCRYPTION, other] }).action).toBe('create');
  });
  test('a job towards another key: cancelled once', () => {
    const other = { ...REENCRYPTION, key: OLD.replaceAll('1', '3') };
    const old = job('Suspended', {
      description: reencryptionDescription('acme-tax', reencryptionDigest(other)),
    });
    expect(observeReencryption(choices(), { records: [], jobs: [old], nowMs: 0 }).superseded).toEqual([
      old.id,
    ]);
    const second = { ...REENCRYPTION, replacedKey: OLD.replaceAll('1', '4') };
    const ofBucket = [REENCRYPTION, second];
    expect(
      observeReencryption(choices({ reencryption: second, ofBucket }), { records: [], jobs: [old], nowMs: 0 })
        .superseded,
    ).toEqual([]);
  });
});

test('reencryption: the limits of descriptions and tags hold for the longest names', () => {
  // API reference: CreateJob, Description; IAM, Tag.
  const bucket = 'a'.repeat(63);
  const text = reencryptionDescription(bucket, reencryptionDigest(REENCRYPTION));
  expect(text.length).toBeLessThanOrEqual(256);
  expect(parseReencryptionDescription(text)).toEqual({ bucket, digest: reencryptionDigest(REENCRYPTION) });
  const tag = reencryptionTagKey({ bucket, replacedKey: OLD });
  expect(tag.length).toBeLessThanOrEqual(128);
  expect(tag).toMatch(/^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$/u);
});

test('reencryptionFilter: one element, because S3 takes one', () => {
  // botocore s3control/2018-08-20, ObjectEncryptionFilterList: max 1.
  expect(reencryptionFilter(REENCRYPTION, 'SSE-KMS')).toEqual({
    MatchAnyObjectEncryption: [{ SSEKMS: { KmsKeyArn: OLD } }],
  });
  expect(reencryptionFilter(REENCRYPTION, 'DSSE-KMS')).toEqual({
    MatchAnyObjectEncryption: [{ DSSEKMS: { KmsKeyArn: OLD } }],
  });
});
