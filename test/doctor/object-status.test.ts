import type { ReplicationRule } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { reportObjectStatus } from '../../src/doctor/object-status.ts';
import type { SampledObject } from '../../src/facts/object-sample.ts';

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

const skippedIn = (objects: SampledObject[], rules = [RULE]) =>
  reportObjectStatus('acme-tax', objects, NOW, rules).findings;

// S3 User Guide, "Replication status": S3 sets a status for every object that a rule selects when it is written.
test('reportObjectStatus: objects without a status that a rule selects are a warning, with count and example', () => {
  const objects = [sampled('Tax/1', 'COMPLETED'), sampled('Tax/2'), sampled('Tax/3'), sampled('Notes/1')];
  expect(skippedIn(objects)).toMatchObject([{ code: 'RK1404', severity: 'warning' }]);
  expect(skippedIn(objects)[0]?.message).toMatch(
    /^2 of 4 sampled objects have no replication status although a rule selects them, for example Tax\/2: /,
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
