import { ListAliasesCommand } from '@aws-sdk/client-kms';
import { ListBucketsCommand, type ReplicationRule } from '@aws-sdk/client-s3';
import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { paginate } from '../aws/paginate.ts';
import { type Fact, factValue, isUnread } from '../core/facts.ts';
import type { Location } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { readRoleFacts } from '../facts/read.ts';
import { accountOfArn } from '../iam/context.ts';
import type { Statement } from '../iam/types.ts';
import { parseCanaryRule } from '../kinds/canary-rule.ts';
import { describeKey } from '../kinds/kms-key.ts';
import { bucketRegionIn, fetchBucketRegion } from '../kinds/s3-bucket.ts';
import { s3Encryption, toKeyArn } from '../kinds/s3-encryption.ts';
import { type ObjectLockDoc, s3ObjectLock } from '../kinds/s3-object-lock.ts';
import { type OwnershipDoc, s3Ownership } from '../kinds/s3-ownership.ts';
import { s3PublicAccess } from '../kinds/s3-public-access.ts';
import { s3Replication } from '../kinds/s3-replication.ts';
import { fetchVersioning } from '../kinds/s3-versioning.ts';
import { destinationBucketOf } from '../proof/rule-context.ts';
import { regionOfArn } from '../util/arn.ts';
import { compareCodeUnits, omitUndefined } from '../util/canonical-json.ts';

/** Settings of a bucket that an import reads. */
export interface DiscoveredBucket {
  name: string;
  region: string;
  /** Account id (12 digits). */
  account: string;
  versioningEnabled: boolean;
  encryption: {
    algorithm: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
    /**
     * ARN of the default key; absent for SSE-S3, for the key that S3 uses if the bucket names none, and for an alias that
     * cannot be read.
     */
    keyArn?: string;
    bucketKey: boolean;
  };
  /** The four settings of the public access block; null if the bucket has none. */
  publicAccess: Fact<boolean[]>;
  /** Null: the bucket has no ownership controls. */
  objectOwnership: Fact<OwnershipDoc['Rules'][number]['ObjectOwnership']>;
  /** Null: the bucket has no Object Lock. */
  objectLock: Fact<ObjectLockDoc>;
}

/** A destination whose settings cannot be read. */
export interface UnreadBucket {
  unread: string;
  /** Whether no bucket has this name. */
  isMissing: boolean;
  /** As S3 reports it, also for a bucket of another account. */
  region?: string;
}

/** The role of a configuration, as far as specs declare it. */
export interface DiscoveredRole {
  /** Specs whose `deletion: Remove` a tag of the role records. */
  tags: Record<string, string>;
  /** The statements of all its inline and managed policies. */
  statements: Statement[];
}

/** A replication configuration with the related settings that specs declare. */
export interface DiscoveredReplication {
  source: DiscoveredBucket;
  roleArn: string;
  role: Fact<DiscoveredRole>;
  /** Their replica keys are ARNs of keys, as far as the aliases in the configuration can be read. */
  rules: ReplicationRule[];
  /** By bucket name. */
  destinations: ReadonlyMap<string, DiscoveredBucket | UnreadBucket>;
  /** Aliases of keys, by key ARN. */
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
 * @throws UserError if the bucket itself cannot be read.
 */
export async function discoverReplication(
  aws: AwsClient,
  name: string,
  region: string,
): Promise<DiscoveredReplication | undefined> {
  try {
    return await discoverBucket(aws, name, region);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(EXIT.failed, `cannot read bucket ${name}: ${bucketErrorReason(error)}`, {
      cause: error,
    });
  }
}

/** Returns the reason of a failed read. HEAD responses have no body, so only the status says that there is no bucket. */
function bucketErrorReason(error: unknown): string {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  return status === 404 ? 'it does not exist' : formatAwsError(error);
}

async function discoverBucket(
  aws: AwsClient,
  name: string,
  region: string,
): Promise<DiscoveredReplication | undefined> {
  const source = await readBucketSettings(aws, name, await fetchBucketRegion(aws, name, region));
  const configuration = await s3Replication.fetch(aws, { region: source.region }, name);
  if (!configuration) return undefined;
  const { Role: roleArn } = configuration;
  const lastingRules = configuration.Rules.filter((rule) => parseCanaryRule(rule) === undefined);
  if (lastingRules.length === 0) return undefined;
  const names = [...new Set(lastingRules.map(destinationBucketOf))];
  const [role, ...destinations] = await Promise.all([
    readRole(aws, roleArn, source),
    ...names.map(
      async (bucket) => [bucket, await readDestination(aws, bucket, region)] as [string, Destination],
    ),
  ]);
  const destinationsByName = new Map(destinations);
  const rules = await Promise.all(
    lastingRules.map((rule) =>
      withReplicaKeyArn(aws, rule, source, destinationsByName.get(destinationBucketOf(rule))?.region),
    ),
  );
  const keyRegions = rules.flatMap(
    ({ Destination }) => regionOfArn(Destination?.EncryptionConfiguration?.ReplicaKmsKeyID ?? '') || [],
  );
  const bucketRegions = destinations.flatMap(([, settings]) => settings.region ?? []);
  const regions = new Set([source.region, ...bucketRegions, ...keyRegions]);
  const aliases = await Promise.all([...regions].map((keyRegion) => listKeyAliases(aws, keyRegion)));
  return { source, roleArn, role, rules, destinations: destinationsByName, aliases: new Map(aliases.flat()) };
}

type Destination = DiscoveredBucket | UnreadBucket;

/** Reads a destination. One in another account denies reads, but S3 reports its Region. */
async function readDestination(aws: AwsClient, name: string, regionHint: string): Promise<Destination> {
  let region: string | undefined;
  try {
    region = await fetchBucketRegion(aws, name, regionHint);
    return await readBucketSettings(aws, name, region);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const unread = formatAwsError(error);
    const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
    const isMissing = $metadata?.httpStatusCode === 404;
    return omitUndefined({ unread, isMissing, region: region ?? bucketRegionIn(error) });
  }
}

async function readBucketSettings(aws: AwsClient, name: string, region: string): Promise<DiscoveredBucket> {
  const account = await aws.accountId(undefined);
  const location = { region };
  const [versioning, encryption, publicAccess, ownership, objectLock] = await Promise.all([
    fetchVersioning(aws, location, name),
    s3Encryption.fetch(aws, location, name),
    orUnread(s3PublicAccess.fetch(aws, location, name)),
    orUnread(s3Ownership.fetch(aws, location, name)),
    orUnread(s3ObjectLock.fetch(aws, location, name)),
  ]);
  const [rule] = encryption?.Rules ?? [];
  const byDefault = rule?.ApplyServerSideEncryptionByDefault;
  const key = byDefault?.KMSMasterKeyID;
  return {
    name,
    region,
    account,
    versioningEnabled: versioning.Status === 'Enabled',
    encryption: omitUndefined({
      algorithm: (byDefault?.SSEAlgorithm ?? 'AES256') as DiscoveredBucket['encryption']['algorithm'],
      keyArn: key === undefined || isAlias(key) ? undefined : toKeyArn(key, location, account),
      bucketKey: rule?.BucketKeyEnabled ?? false,
    }),
    publicAccess: isUnread(publicAccess)
      ? publicAccess
      : publicAccess && [
          publicAccess.BlockPublicAcls ?? false,
          publicAccess.IgnorePublicAcls ?? false,
          publicAccess.BlockPublicPolicy ?? false,
          publicAccess.RestrictPublicBuckets ?? false,
        ],
    objectOwnership: isUnread(ownership) ? ownership : (ownership?.Rules[0]?.ObjectOwnership ?? null),
    objectLock:
      factValue(objectLock)?.ObjectLockEnabled === undefined && !isUnread(objectLock) ? null : objectLock,
  };
}

const isAlias = (key: string): boolean => /(^|:)alias\//.test(key);

/** Returns the result of a read; null if the document does not exist; the reason if it cannot be read. */
async function orUnread<T>(read: Promise<T | undefined>): Promise<Fact<T>> {
  return read.then(
    (value) => value ?? null,
    (error) => ({ unread: formatAwsError(error) }),
  );
}

/** Reads the role with its policies. S3 assumes only a role of the source's account. */
async function readRole(
  aws: AwsClient,
  arn: string,
  { account, region }: DiscoveredBucket,
): Promise<Fact<DiscoveredRole>> {
  if (accountOfArn(arn) !== account) return { unread: 'it belongs to another account' };
  const locations = {
    buckets: new Map(),
    accountNames: new Map(),
    unmanagedBuckets: new Set<string>(),
    region,
  };
  const facts = await readRoleFacts(aws, arn, locations);
  if (facts === null || isUnread(facts)) return facts;
  const { tags = {}, policies = {} } = facts;
  if (isUnread(policies)) return policies;
  const statements = Object.values(policies ?? {}).flatMap(({ Statement }) => [Statement].flat());
  return { tags, statements };
}

/** Returns a rule with the ARN of its replica key, which the rule may name by an alias or by its id. */
async function withReplicaKeyArn(
  aws: AwsClient,
  rule: ReplicationRule,
  { account }: DiscoveredBucket,
  region: string | undefined,
): Promise<ReplicationRule> {
  const name = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  if (name === undefined || region === undefined) return rule;
  const location = { region };
  // S3 resolves an alias without an account in the account of the role.
  const ReplicaKmsKeyID = isAlias(name)
    ? (await describeKey(aws, location, name).catch(() => undefined))?.Arn
    : toKeyArn(name, location, account);
  if (ReplicaKmsKeyID === undefined) return rule;
  return {
    ...rule,
    Destination: { Bucket: undefined, ...rule.Destination, EncryptionConfiguration: { ReplicaKmsKeyID } },
  };
}

/** Returns the aliases of a Region by key ARN: of several aliases of a key, the first. */
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
  return aliases.sort(([, first], [, second]) => compareCodeUnits(second, first));
}
