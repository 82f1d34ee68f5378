import { ListAliasesCommand } from '@aws-sdk/client-kms';
import { ListBucketsCommand, type ReplicationRule } from '@aws-sdk/client-s3';
import type { AwsClient } from '../aws/client.ts';
import { paginate } from '../aws/paginate.ts';
import type { Location } from '../core/resource.ts';
import { parseCanaryRule } from '../kinds/canary-rule.ts';
import { fetchBucketRegion } from '../kinds/s3-bucket.ts';
import { s3Encryption } from '../kinds/s3-encryption.ts';
import { s3Replication } from '../kinds/s3-replication.ts';
import { fetchVersioning } from '../kinds/s3-versioning.ts';
import { destinationBucketOf } from '../proof/rule-context.ts';
import { partitionOfRegion } from '../util/arn.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/** Settings of a bucket that an import reads. */
export interface DiscoveredBucket {
  name: string;
  region: string;
  /** Account id (12 digits). */
  account?: string;
  versioningEnabled: boolean;
  encryption: {
    algorithm: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
    /**
     * ARN of the default key; absent for SSE-S3, and for a key that the bucket names by an alias, which includes the
     * key that AWS manages.
     */
    keyArn?: string;
    bucketKey: boolean;
  };
}

/** A replication configuration with the related settings that specs declare. */
export interface DiscoveredReplication {
  source: DiscoveredBucket;
  roleArn: string;
  rules: ReplicationRule[];
  /** By bucket name; undefined if the bucket does not exist or cannot be read. */
  destinations: ReadonlyMap<string, DiscoveredBucket | undefined>;
  /** Aliases of keys, by key ARN, for comments in the YAML. */
  aliases: ReadonlyMap<string, string>;
}

/** Returns the names of all buckets of the account. */
export async function listBucketNames(aws: Pick<AwsClient, 'send'>, location: Location): Promise<string[]> {
  const names: string[] = [];
  const bucketPages = paginate(
    (token) =>
      aws.send(
        location,
        new ListBucketsCommand(omitUndefined({ MaxBuckets: 1_000, ContinuationToken: token })),
      ),
    ({ ContinuationToken: marker }) => ({ hasMore: marker !== undefined, marker }),
  );
  for await (const page of bucketPages) names.push(...(page.Buckets ?? []).flatMap(({ Name }) => Name ?? []));
  return names;
}

/**
 * Returns the replication configuration of a bucket with its related settings, or undefined if the bucket has none.
 *
 * @throws an AWS error if the bucket itself cannot be read.
 */
export async function discoverReplication(
  aws: AwsClient,
  name: string,
  region: string,
): Promise<DiscoveredReplication | undefined> {
  const source = await readBucketSettings(aws, name, region);
  const configuration = await s3Replication.fetch(aws, { region: source.region }, name);
  if (!configuration) return undefined;
  const { Role: roleArn } = configuration;
  const rules = configuration.Rules.filter((rule) => parseCanaryRule(rule) === undefined);
  if (rules.length === 0) return undefined;
  const names = [...new Set(rules.map(destinationBucketOf))];
  const destinations = await Promise.all(
    // A destination in a foreign account may deny reads, and a deleted destination cannot be read.
    names.map(
      async (destination) =>
        [destination, await readBucketSettings(aws, destination, region).catch(() => undefined)] as const,
    ),
  );
  const readableBuckets = [source, ...destinations.flatMap(([, settings]) => settings ?? [])];
  const regions = new Set(readableBuckets.map((settings) => settings.region));
  const aliases = await Promise.all([...regions].map((bucketRegion) => listKeyAliases(aws, bucketRegion)));
  return {
    source,
    roleArn,
    rules,
    destinations: new Map(destinations),
    aliases: new Map(aliases.flat()),
  };
}

async function readBucketSettings(
  aws: AwsClient,
  name: string,
  regionHint: string,
): Promise<DiscoveredBucket> {
  const region = await fetchBucketRegion(aws, name, regionHint);
  const account = await aws.accountId(undefined);
  const location = { region };
  const [versioning, encryption] = await Promise.all([
    fetchVersioning(aws, location, name),
    s3Encryption.fetch(aws, location, name),
  ]);
  const [rule] = encryption?.Rules ?? [];
  const byDefault = rule?.ApplyServerSideEncryptionByDefault;
  return {
    name,
    region,
    account,
    versioningEnabled: versioning.Status === 'Enabled',
    encryption: omitUndefined({
      algorithm: (byDefault?.SSEAlgorithm ?? 'AES256') as DiscoveredBucket['encryption']['algorithm'],
      keyArn: defaultKeyArnOf(byDefault?.KMSMasterKeyID, region, account),
      bucketKey: rule?.BucketKeyEnabled ?? false,
    }),
  };
}

async function listKeyAliases(aws: AwsClient, region: string): Promise<[string, string][]> {
  const aliases: [string, string][] = [];
  const aliasPages = paginate(
    (Marker) => aws.send({ region }, new ListAliasesCommand(omitUndefined({ Limit: 100, Marker }))),
    ({ Truncated, NextMarker }) => ({ hasMore: Truncated, marker: NextMarker }),
  );
  for await (const page of aliasPages) {
    for (const { AliasName, AliasArn, TargetKeyId } of page.Aliases ?? []) {
      if (AliasName === undefined || AliasArn === undefined || TargetKeyId === undefined) continue;
      aliases.push([`${AliasArn.split(':alias/')[0]}:key/${TargetKeyId}`, AliasName]);
    }
  }
  return aliases;
}

function defaultKeyArnOf(key: string | undefined, region: string, account: string): string | undefined {
  if (key === undefined || key.startsWith('arn:')) return key;
  return key.startsWith('alias/')
    ? undefined
    : `arn:${partitionOfRegion(region)}:kms:${region}:${account}:key/${key}`;
}
