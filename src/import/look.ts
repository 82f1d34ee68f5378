import { ListAliasesCommand } from '@aws-sdk/client-kms';
import {
  GetBucketEncryptionCommand,
  GetBucketReplicationCommand,
  GetBucketVersioningCommand,
  HeadBucketCommand,
  ListBucketsCommand,
} from '@aws-sdk/client-s3';
import type { Door } from '../aws/door.ts';
import { defined } from '../canonical.ts';
import { pages } from '../core/pages.ts';
import type { Place } from '../core/resource.ts';
import { destinationOf, type FoundBucket, type FoundReplication } from './found.ts';

/** Names of all buckets of the account, page by page. */
export async function allBuckets(door: Pick<Door, 'send'>, at: Place): Promise<string[]> {
  const names: string[] = [];
  const all = pages(
    (token) =>
      door.send(at, new ListBucketsCommand(defined({ MaxBuckets: 1_000, ContinuationToken: token }))),
    ({ ContinuationToken: marker }) => ({ more: marker !== undefined, marker }),
  );
  for await (const page of all) names.push(...(page.Buckets ?? []).flatMap(({ Name }) => Name ?? []));
  return names;
}

/**
 * The replication configuration of a bucket and what belongs to it; undefined where there is none.
 *
 * @throws an error of AWS where the bucket itself cannot be read.
 */
export async function look(door: Door, name: string, region: string): Promise<FoundReplication | undefined> {
  const source = await bucket(door, name, region);
  const configuration = await configurationOf(door, source);
  if (!configuration) return undefined;
  const rules = configuration.Rules ?? [];
  const names = [...new Set(rules.map(destinationOf))];
  const destinations = await Promise.all(
    // A destination of somebody else need not let itself be read, and one that is gone cannot.
    names.map(async (one) => [one, await bucket(door, one, region).catch(() => undefined)] as const),
  );
  const found = [source, ...destinations.flatMap(([, one]) => one ?? [])];
  const regions = new Set(found.map((one) => one.region));
  const aliases = await Promise.all([...regions].map((one) => aliasesIn(door, one)));
  return {
    source,
    roleArn: configuration.Role ?? '',
    rules,
    destinations: new Map(destinations),
    aliases: new Map(aliases.flat()),
  };
}

async function configurationOf(door: Door, source: FoundBucket) {
  try {
    const answer = await door.send(
      { region: source.region },
      new GetBucketReplicationCommand({ Bucket: source.name }),
    );
    return answer.ReplicationConfiguration;
  } catch (error) {
    if (error instanceof Error && error.name === 'ReplicationConfigurationNotFoundError') return undefined;
    throw error;
  }
}

async function bucket(door: Door, name: string, near: string): Promise<FoundBucket> {
  const region = await regionOf(door, name, near);
  const account = await door.accountId(undefined);
  const at = { region };
  const Bucket = name;
  const [versioning, encryption] = await Promise.all([
    door.send(at, new GetBucketVersioningCommand({ Bucket, ExpectedBucketOwner: account })),
    door.send(at, new GetBucketEncryptionCommand({ Bucket, ExpectedBucketOwner: account })),
  ]);
  const [rule] = encryption.ServerSideEncryptionConfiguration?.Rules ?? [];
  const byDefault = rule?.ApplyServerSideEncryptionByDefault;
  return {
    name,
    region,
    account,
    versioned: versioning.Status === 'Enabled',
    encryption: defined({
      algorithm: (byDefault?.SSEAlgorithm ?? 'AES256') as FoundBucket['encryption']['algorithm'],
      keyArn: asArn(byDefault?.KMSMasterKeyID, region, account),
      bucketKey: rule?.BucketKeyEnabled ?? false,
    }),
  };
}

/** S3 names the Region of a bucket in every answer, whoever asks and wherever. */
export async function regionOf(
  door: Pick<Door, 'send'>,
  name: string,
  near: string,
  account?: string,
): Promise<string> {
  const at = defined({ account, region: near });
  try {
    const answer = await door.send(at, new HeadBucketCommand({ Bucket: name }));
    return answer.BucketRegion ?? near;
  } catch (error) {
    const { $response } = error as { $response?: { headers?: Record<string, string> } };
    const region = $response?.headers?.['x-amz-bucket-region'];
    if (region === undefined || region === near) throw error;
    return region;
  }
}

async function aliasesIn(door: Door, region: string): Promise<[string, string][]> {
  const found: [string, string][] = [];
  const all = pages(
    (Marker) => door.send({ region }, new ListAliasesCommand(defined({ Limit: 100, Marker }))),
    ({ Truncated, NextMarker }) => ({ more: Truncated, marker: NextMarker }),
  );
  for await (const page of all) {
    for (const { AliasName, AliasArn, TargetKeyId } of page.Aliases ?? []) {
      if (AliasName === undefined || AliasArn === undefined || TargetKeyId === undefined) continue;
      found.push([`${AliasArn.split(':alias/')[0]}:key/${TargetKeyId}`, AliasName]);
    }
  }
  return found;
}

function asArn(key: string | undefined, region: string, account: string): string | undefined {
  if (key === undefined || key.startsWith('arn:')) return key;
  return key.startsWith('alias/') ? undefined : `arn:aws:kms:${region}:${account}:key/${key}`;
}
