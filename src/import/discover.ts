import { ListAliasesCommand } from '@aws-sdk/client-kms';
import { ListBucketsCommand, type ReplicationRule } from '@aws-sdk/client-s3';
import type { AwsClient } from '../aws/client.ts';
import { paginate } from '../aws/paginate.ts';
import type { Location } from '../core/resource.ts';
import { fetchBucketRegion } from '../kinds/s3-bucket.ts';
import { s3Encryption } from '../kinds/s3-encryption.ts';
import { s3Replication } from '../kinds/s3-replication.ts';
import { fetchVersioning } from '../kinds/s3-versioning.ts';
import { omitUndefined } from '../util/canonical-json.ts';

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

/** Names of all buckets of the account, page by page. */
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
 * The replication configuration of a bucket and what belongs to it; undefined where there is none.
 *
 * @throws an error of AWS where the bucket itself cannot be read.
 */
export async function discoverReplication(
  aws: AwsClient,
  name: string,
  region: string,
): Promise<DiscoveredReplication | undefined> {
  const source = await readBucketSettings(aws, name, region);
  const configuration = await s3Replication.fetch(aws, { region: source.region }, name);
  if (!configuration) return undefined;
  const { Role: roleArn, Rules: rules } = configuration;
  const names = [...new Set(rules.map(destinationBucketName))];
  const destinations = await Promise.all(
    // A destination of somebody else need not let itself be read, and one that is gone cannot.
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
  return key.startsWith('alias/') ? undefined : `arn:aws:kms:${region}:${account}:key/${key}`;
}
