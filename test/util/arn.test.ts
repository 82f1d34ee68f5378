import { expect, test } from 'vitest';
import { bucketArn, partitionOfArn, partitionOfRegion, regionOfArn } from '../../src/util/arn.ts';

test.each([
  ['us-east-1', 'aws'],
  ['eu-central-2', 'aws'],
  ['cn-north-1', 'aws-cn'],
  ['us-gov-west-1', 'aws-us-gov'],
])('partitionOfRegion: %s is in %s', (region, partition) => {
  expect(partitionOfRegion(region)).toBe(partition);
  expect(partitionOfArn(bucketArn('acme-tax', region))).toBe(partition);
});

test('regionOfArn: returns the Region of a key, and nothing for a bucket', () => {
  expect(regionOfArn('arn:aws-cn:kms:cn-north-1:111122223333:key/1234')).toBe('cn-north-1');
  expect(regionOfArn(bucketArn('acme-tax', 'cn-north-1'))).toBe('');
});
