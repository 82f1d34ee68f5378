import { ListAliasesCommand } from '@aws-sdk/client-kms';
import {
  GetBucketEncryptionCommand,
  GetBucketReplicationCommand,
  GetBucketVersioningCommand,
  HeadBucketCommand,
  ListBucketsCommand,
} from '@aws-sdk/client-s3';
import type { AwsClient } from '../aws/client.ts';
import { paginate } from '../aws/paginate.ts';
import type { Location } from '../core/resource.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { type DiscoveredBucket, type DiscoveredReplication, destinationBucketName } from './types.ts';

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
  const configuration = await readReplicationConfiguration(aws, source);
  if (!configuration) return undefined;
  const rules = configuration.Rules ?? [];
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
    roleArn: configuration.Role ?? '',
    rules,
    destinations: new Map(destinations),
    aliases: new Map(aliases.flat()),
  };
}

async function readReplicationConfiguration(aws: AwsClient, source: DiscoveredBucket) {
  try {
    const response = await aws.send(
      { region: source.region },
      new GetBucketReplicationCommand({ Bucket: source.name }),
    );
    return response.ReplicationConfiguration;
  } catch (error) {
    if (error instanceof Error && error.name === 'ReplicationConfigurationNotFoundError') return undefined;
    throw error;
  }
}

async function readBucketSettings(
  aws: AwsClient,
  name: string,
  regionHint: string,
): Promise<DiscoveredBucket> {
  const region = await findBucketRegion(aws, name, regionHint);
  const account = await aws.accountId(undefined);
  const location = { region };
  const Bucket = name;
  const [versioning, encryption] = await Promise.all([
    aws.send(location, new GetBucketVersioningCommand({ Bucket, ExpectedBucketOwner: account })),
    aws.send(location, new GetBucketEncryptionCommand({ Bucket, ExpectedBucketOwner: account })),
  ]);
  const [rule] = encryption.ServerSideEncryptionConfiguration?.Rules ?? [];
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

/** S3 names the Region of a bucket in every answer, whoever asks and wherever. */
export async function findBucketRegion(
  aws: Pick<AwsClient, 'send'>,
  name: string,
  regionHint: string,
  account?: string,
): Promise<string> {
  const location = omitUndefined({ account, region: regionHint });
  try {
    const response = await aws.send(location, new HeadBucketCommand({ Bucket: name }));
    return response.BucketRegion ?? regionHint;
  } catch (error) {
    const { $response } = error as { $response?: { headers?: Record<string, string> } };
    const region = $response?.headers?.['x-amz-bucket-region'];
    if (region === undefined || region === regionHint) throw error;
    return region;
  }
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
