import {
  GetBucketEncryptionCommand,
  GetBucketOwnershipControlsCommand,
  GetBucketPolicyCommand,
  GetBucketReplicationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  GetPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import { defined } from '../canonical.ts';
import { type BucketFacts, type Fact, isUnread } from '../core/observed.ts';
import type { Aws, Place } from '../core/resource.ts';
import { regionOf } from '../import/look.ts';
import { policyOf } from '../kinds/policy-text.ts';
import type { Atlas } from './atlas.ts';
import { fact } from './fact.ts';

/** What a bucket is looked at for; `either`: what concerns both sides and can stop replication. */
export type Aspect = 'source' | 'destination' | 'either' | 'locks';

/** A bucket by its name, wherever it is. */
export async function readBucket(
  aws: Aws,
  name: string,
  aspect: Aspect,
  atlas: Atlas,
): Promise<Fact<BucketFacts>> {
  if (atlas.unmanaged.has(name)) return { unread: 'there are no credentials for its account' };
  const declared = atlas.buckets.get(name);
  const region =
    declared?.region ?? (await fact(regionOf(aws, name, atlas.region), 's3:HeadBucket', atlas, 'NotFound'));
  if (region === null || isUnread(region)) return region;
  const at: Place = { ...declared, region };
  const account = await fact(aws.accountId(at.account), 'sts:GetCallerIdentity', at);
  if (account === null || isUnread(account)) return account;
  const input = { Bucket: name, ExpectedBucketOwner: account };
  // All at once: of a bucket that is not there, all say so.
  const [versioning, ...facts] = await Promise.all([
    fact(aws.send(at, new GetBucketVersioningCommand(input)), 's3:GetBucketVersioning', at, 'NoSuchBucket'),
    ...READERS[aspect].map(async (read) => {
      const { operation, none, answer, as } = read(aws, at, input);
      return [as, await fact(answer, `s3:${operation}`, at, 'NoSuchBucket', none)] as const;
    }),
  ]);
  // Whose it is nobody tells; only that it is not ours.
  if (versioning === null || isUnread(versioning)) return versioning;
  return {
    region,
    account,
    versioning: defined({ Status: versioning.Status }),
    ...(Object.fromEntries(facts) as Partial<BucketFacts>),
  };
}

interface Question {
  as: keyof BucketFacts;
  operation: string;
  answer: Promise<unknown>;
  /** How S3 says that there is none. */
  none: string;
}

type Reader = (aws: Aws, at: Place, input: { Bucket: string; ExpectedBucketOwner: string }) => Question;

const replication: Reader = (aws, at, input) => ({
  as: 'replication',
  operation: 'GetBucketReplication',
  answer: aws
    .send(at, new GetBucketReplicationCommand(input))
    .then(({ ReplicationConfiguration: found }) => ({ Role: found?.Role ?? '', Rules: found?.Rules ?? [] })),
  none: 'ReplicationConfigurationNotFoundError',
});

const encryption: Reader = (aws, at, input) => ({
  as: 'encryption',
  operation: 'GetBucketEncryption',
  answer: aws
    .send(at, new GetBucketEncryptionCommand(input))
    .then((found) => ({ Rules: found.ServerSideEncryptionConfiguration?.Rules ?? [] })),
  none: 'ServerSideEncryptionConfigurationNotFoundError',
});

const policy: Reader = (aws, at, input) => ({
  as: 'policy',
  operation: 'GetBucketPolicy',
  answer: aws
    .send(at, new GetBucketPolicyCommand(input))
    .then(({ Policy = '{"Statement":[]}' }) => policyOf(Policy)),
  none: 'NoSuchBucketPolicy',
});

const ownership: Reader = (aws, at, input) => ({
  as: 'ownership',
  operation: 'GetBucketOwnershipControls',
  answer: aws
    .send(at, new GetBucketOwnershipControlsCommand(input))
    .then((found) => ({ Rules: found.OwnershipControls?.Rules ?? [] })),
  none: 'OwnershipControlsNotFoundError',
});

const objectLock: Reader = (aws, at, input) => ({
  as: 'objectLock',
  operation: 'GetObjectLockConfiguration',
  answer: aws
    .send(at, new GetObjectLockConfigurationCommand(input))
    .then((found) => defined({ ObjectLockEnabled: found.ObjectLockConfiguration?.ObjectLockEnabled })),
  none: 'ObjectLockConfigurationNotFoundError',
});

const publicAccessBlock: Reader = (aws, at, input) => ({
  as: 'publicAccessBlock',
  operation: 'GetPublicAccessBlock',
  answer: aws
    .send(at, new GetPublicAccessBlockCommand(input))
    .then(({ PublicAccessBlockConfiguration: found }) =>
      defined({ RestrictPublicBuckets: found?.RestrictPublicBuckets }),
    ),
  none: 'NoSuchPublicAccessBlockConfiguration',
});

const EITHER = [encryption, policy];
const READERS: Record<Aspect, Reader[]> = {
  either: EITHER,
  source: [...EITHER, objectLock, replication, ownership],
  destination: [...EITHER, objectLock, publicAccessBlock],
  locks: [objectLock],
};
