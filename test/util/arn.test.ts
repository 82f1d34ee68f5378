import { IAMClient } from '@aws-sdk/client-iam';
import { expect, test } from 'vitest';
import { iamRegionOf } from '../../src/kinds/cloudtrail-events.ts';
import { PARTITION_PREFIX } from '../../src/kubernetes/cel.ts';
import { bucketArn, partitionOfArn, partitionOfRegion, regionOfArn } from '../../src/util/arn.ts';

/** A Region of each partition, by the AWS General Reference and the partitions.json of the SDKs. */
const PARTITIONS = [
  ['us-east-1', 'aws'],
  ['eu-central-2', 'aws'],
  ['mx-central-1', 'aws'],
  ['cn-north-1', 'aws-cn'],
  ['cn-northwest-1', 'aws-cn'],
  ['us-gov-west-1', 'aws-us-gov'],
  ['us-gov-east-1', 'aws-us-gov'],
  ['eusc-de-east-1', 'aws-eusc'],
  ['us-iso-east-1', 'aws-iso'],
  ['us-iso-west-1', 'aws-iso'],
  ['us-isob-east-1', 'aws-iso-b'],
  ['eu-isoe-west-1', 'aws-iso-e'],
  ['us-isof-south-1', 'aws-iso-f'],
] as const;

test.each(PARTITIONS)('partitionOfRegion: %s is in %s', (region, partition) => {
  expect(partitionOfRegion(region)).toBe(partition);
  expect(partitionOfArn(bucketArn('acme-tax', region))).toBe(partition);
});

test('PARTITION_PREFIX: two Regions have the same prefix exactly if they are in the same partition', () => {
  const prefixOf = (region: string) => PARTITION_PREFIX.exec(region)?.[0];
  for (const [region, partition] of PARTITIONS)
    for (const [otherRegion, otherPartition] of PARTITIONS)
      expect([region, otherRegion, prefixOf(region) === prefixOf(otherRegion)]).toEqual([
        region,
        otherRegion,
        partition === otherPartition,
      ]);
});

// The endpoints of IAM have the Region for which requests are signed, and in which CloudTrail records them.
test.each(PARTITIONS)('iamRegionOf: returns the Region of the endpoint of IAM for %s', (Region) => {
  const { endpointProvider } = new IAMClient({ region: Region }).config;
  const endpoint = endpointProvider({ Region, UseDualStack: false, UseFIPS: false });
  const { authSchemes = [] } = endpoint.properties as { authSchemes?: { signingRegion?: string }[] };
  expect(iamRegionOf(Region)).toBe(authSchemes[0]?.signingRegion ?? Region);
});

test('regionOfArn: returns the Region of a key, and nothing for a bucket', () => {
  expect(regionOfArn('arn:aws-cn:kms:cn-north-1:111122223333:key/1234')).toBe('cn-north-1');
  expect(regionOfArn(bucketArn('acme-tax', 'cn-north-1'))).toBe('');
});
