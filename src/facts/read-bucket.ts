import {
  GetBucketEncryptionCommand,
  GetBucketOwnershipControlsCommand,
  GetBucketPolicyCommand,
  GetBucketReplicationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  GetPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import { type BucketFacts, type Fact, isUnread } from '../core/facts.ts';
import type { Aws, Location } from '../core/resource.ts';
import { findBucketRegion } from '../import/discover.ts';
import { parsePolicyDocument } from '../kinds/policy-document.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import type { Locations } from './locations.ts';
import { readFact } from './read-fact.ts';

/** What a bucket is looked at for; `either`: what concerns both sides and can stop replication. */
export type BucketFactScope = 'source' | 'destination' | 'either' | 'locks';

/** A bucket by its name, wherever it is. */
export async function readBucketFacts(
  aws: Aws,
  name: string,
  scope: BucketFactScope,
  locations: Locations,
): Promise<Fact<BucketFacts>> {
  if (locations.unmanagedBuckets.has(name)) return { unread: 'there are no credentials for its account' };
  const declared = locations.buckets.get(name);
  const region =
    declared?.region ??
    (await readFact(findBucketRegion(aws, name, locations.region), 's3:HeadBucket', locations, 'NotFound'));
  if (region === null || isUnread(region)) return region;
  const location: Location = { ...declared, region };
  const account = await readFact(aws.accountId(location.account), 'sts:GetCallerIdentity', location);
  if (account === null || isUnread(account)) return account;
  const input = { Bucket: name, ExpectedBucketOwner: account };
  // All at once: of a bucket that is not there, all say so.
  const [versioning, ...factEntries] = await Promise.all([
    readFact(
      aws.send(location, new GetBucketVersioningCommand(input)),
      's3:GetBucketVersioning',
      location,
      'NoSuchBucket',
    ),
    ...READERS_BY_SCOPE[scope].map(async (startRead) => {
      const { operation, absentError, response, field } = startRead(aws, location, input);
      return [
        field,
        await readFact(response, `s3:${operation}`, location, 'NoSuchBucket', absentError),
      ] as const;
    }),
  ]);
  // Whose it is nobody tells; only that it is not ours.
  if (versioning === null || isUnread(versioning)) return versioning;
  return {
    region,
    account,
    versioning: omitUndefined({ Status: versioning.Status }),
    ...(Object.fromEntries(factEntries) as Partial<BucketFacts>),
  };
}

interface BucketFactRead {
  field: keyof BucketFacts;
  operation: string;
  response: Promise<unknown>;
  /** How S3 says that there is none. */
  absentError: string;
}

type BucketFactReader = (
  aws: Aws,
  location: Location,
  input: { Bucket: string; ExpectedBucketOwner: string },
) => BucketFactRead;

const readReplicationFact: BucketFactReader = (aws, location, input) => ({
  field: 'replication',
  operation: 'GetBucketReplication',
  response: aws
    .send(location, new GetBucketReplicationCommand(input))
    .then(({ ReplicationConfiguration: configuration }) => ({
      Role: configuration?.Role ?? '',
      Rules: configuration?.Rules ?? [],
    })),
  absentError: 'ReplicationConfigurationNotFoundError',
});

const readEncryptionFact: BucketFactReader = (aws, location, input) => ({
  field: 'encryption',
  operation: 'GetBucketEncryption',
  response: aws
    .send(location, new GetBucketEncryptionCommand(input))
    .then((output) => ({ Rules: output.ServerSideEncryptionConfiguration?.Rules ?? [] })),
  absentError: 'ServerSideEncryptionConfigurationNotFoundError',
});

const readPolicyFact: BucketFactReader = (aws, location, input) => ({
  field: 'policy',
  operation: 'GetBucketPolicy',
  response: aws
    .send(location, new GetBucketPolicyCommand(input))
    .then(({ Policy = '{"Statement":[]}' }) => parsePolicyDocument(Policy)),
  absentError: 'NoSuchBucketPolicy',
});

const readOwnershipFact: BucketFactReader = (aws, location, input) => ({
  field: 'ownership',
  operation: 'GetBucketOwnershipControls',
  response: aws
    .send(location, new GetBucketOwnershipControlsCommand(input))
    .then((output) => ({ Rules: output.OwnershipControls?.Rules ?? [] })),
  absentError: 'OwnershipControlsNotFoundError',
});

const readObjectLockFact: BucketFactReader = (aws, location, input) => ({
  field: 'objectLock',
  operation: 'GetObjectLockConfiguration',
  response: aws
    .send(location, new GetObjectLockConfigurationCommand(input))
    .then((output) =>
      omitUndefined({ ObjectLockEnabled: output.ObjectLockConfiguration?.ObjectLockEnabled }),
    ),
  absentError: 'ObjectLockConfigurationNotFoundError',
});

const readPublicAccessBlockFact: BucketFactReader = (aws, location, input) => ({
  field: 'publicAccessBlock',
  operation: 'GetPublicAccessBlock',
  response: aws
    .send(location, new GetPublicAccessBlockCommand(input))
    .then(({ PublicAccessBlockConfiguration: configuration }) =>
      omitUndefined({ RestrictPublicBuckets: configuration?.RestrictPublicBuckets }),
    ),
  absentError: 'NoSuchPublicAccessBlockConfiguration',
});

const COMMON_READERS = [readEncryptionFact, readPolicyFact];
const READERS_BY_SCOPE: Record<BucketFactScope, BucketFactReader[]> = {
  either: COMMON_READERS,
  source: [...COMMON_READERS, readObjectLockFact, readReplicationFact, readOwnershipFact],
  destination: [...COMMON_READERS, readObjectLockFact, readPublicAccessBlockFact],
  locks: [readObjectLockFact],
};
