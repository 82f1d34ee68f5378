import type { ReplicationRule } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { reportObjectStatus } from '../../src/doctor/object-status.ts';
import type { SampledObject } from '../../src/facts/object-sample.ts';

const HOUR_MS = 3_600_000;
const NOW = new Date('2026-11-30T10:00:00Z');
const RULE: ReplicationRule = {
  ID: 'tax',
  Priority: 1,
  Status: 'Enabled',
  Filter: { Prefix: 'Tax/' },
  SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
  Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica' },
};

const sampled = (key: string, status?: string, parts: Partial<SampledObject> = {}): SampledObject => ({
  key,
  tags: [],
  deleteMarker: false,
  lastModified: new Date('2026-11-30T09:59:00Z'),
  encryption: {
    algorithm: 'aws:kms',
    keyArn: 'arn:aws:kms:us-east-1:111122223333:key/source',
    bucketKey: true,
  },
  ...(status === undefined ? {} : { status }),
  ...parts,
});

const skippedIn = (objects: SampledObject[], rules = [RULE]) => reportOf(objects, rules).findings;

const reportOf = (objects: SampledObject[], rules = [RULE], failedSinceMs = 24 * HOUR_MS) =>
  reportObjectStatus(
    'acme-tax',
    { objects, coverage: { listed: objects.length, complete: true } },
    { now: NOW, failedSinceMs },
    rules,
  );

// S3 User Guide, "Replication status": S3 sets a status for every object that a rule selects when it is written.
test('reportObjectStatus: objects without a status that a rule selects are a warning, with count and example', () => {
  const objects = [sampled('Tax/1', 'COMPLETED'), sampled('Tax/2'), sampled('Tax/3'), sampled('Notes/1')];
  expect(skippedIn(objects)).toMatchObject([{ code: 'RK1404', severity: 'warning' }]);
  expect(skippedIn(objects)[0]?.message).toMatch(
    /^2 of 4 sampled objects have no replication status although a rule selects them, none of them written between 15 minutes and 24 hours ago, for example Tax\/2: /,
  );
});

test.each<[string, SampledObject, ReplicationRule]>([
  ['a replica', sampled('Tax/1', 'REPLICA'), RULE],
  ['an object with another prefix', sampled('Notes/1'), RULE],
  ['an object of a disabled rule', sampled('Tax/1'), { ...RULE, Status: 'Disabled' }],
  [
    'an object without a required tag',
    sampled('Tax/1'),
    { ...RULE, Filter: { Tag: { Key: 'a', Value: 'b' } } },
  ],
  [
    'an object under KMS that the rule does not select',
    sampled('Tax/1'),
    { ...RULE, SourceSelectionCriteria: undefined },
  ],
])('reportObjectStatus: %s without a status is no finding', (_, object, rule) => {
  expect(skippedIn([object], [rule])).toEqual([]);
});

const minutesAgo = (minutes: number) => ({ lastModified: new Date(Number(NOW) - minutes * 60_000) });

// S3 User Guide, "Enabling versioning on buckets": AWS recommends 15 minutes between the first change of versioning and writes.
test.each<[string, SampledObject, 'healthy' | 'broken']>([
  ['an object that failed 1 minute ago', sampled('Tax/1', 'FAILED'), 'broken'],
  ['an object that failed 23 hours ago', sampled('Tax/1', 'FAILED', minutesAgo(23 * 60)), 'broken'],
  ['an object that failed 25 hours ago', sampled('Tax/1', 'FAILED', minutesAgo(25 * 60)), 'healthy'],
  ['an object passed over 16 minutes ago', sampled('Tax/1', undefined, minutesAgo(16)), 'broken'],
  ['an object without a status for 14 minutes', sampled('Tax/1', undefined, minutesAgo(14)), 'healthy'],
  ['an object passed over 25 hours ago', sampled('Tax/1', undefined, minutesAgo(25 * 60)), 'healthy'],
  ['an old object that no rule selects', sampled('Notes/1', undefined, minutesAgo(60)), 'healthy'],
  ['a replica', sampled('Tax/1', 'REPLICA', minutesAgo(60)), 'healthy'],
  ['a pending object', sampled('Tax/1', 'PENDING', minutesAgo(60)), 'healthy'],
])('reportObjectStatus: %s has the right verdict', (_, object, verdict) => {
  expect(reportOf([sampled('Tax/0', 'COMPLETED'), object]).verdict).toBe(verdict);
});

test('reportObjectStatus: no readable object in an incomplete listing is unknown', () => {
  const sample = { objects: [], coverage: { listed: 1_000, complete: false } };
  const window = { now: NOW, failedSinceMs: HOUR_MS };
  expect(reportObjectStatus('acme-tax', sample, window, [RULE]).verdict).toBe('unknown');
});
