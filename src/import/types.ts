import type { ReplicationRule } from '@aws-sdk/client-s3';

/** What an import reads of a bucket. */
export interface DiscoveredBucket {
  name: string;
  region: string;
  /** Twelve digits; absent where the bucket belongs to somebody else, or cannot be asked. */
  account?: string;
  versioningEnabled: boolean;
  encryption: {
    algorithm: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
    /** ARN of the default key; absent for SSE-S3, and for the key that AWS manages. */
    keyArn?: string;
    bucketKey: boolean;
  };
}

/** A replication configuration with everything around it that specs speak of. */
export interface DiscoveredReplication {
  source: DiscoveredBucket;
  roleArn: string;
  rules: ReplicationRule[];
  /** By bucket name; undefined where it is not there, or cannot be read. */
  destinations: ReadonlyMap<string, DiscoveredBucket | undefined>;
  /** Aliases of keys, by ARN: what a reader knows them by. */
  aliases: ReadonlyMap<string, string>;
}

/** The bucket that a rule replicates to. */
export const destinationBucketName = (rule: ReplicationRule | undefined): string =>
  (rule?.Destination?.Bucket ?? '').split(':::')[1] ?? '';
