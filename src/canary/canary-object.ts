import {
  DeleteObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type ReplicationStatus,
} from '@aws-sdk/client-s3';
import type { AwsClient } from '../aws/client.ts';
import { formatAwsError, isAccessDenied } from '../aws/errors.ts';
import { retry } from '../aws/retry.ts';
import { locationOfSide } from '../core/ids.ts';
import type { Location } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { exclusionReason } from '../spec/rule-fields.ts';
import type { Rule, Side } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { awsCli } from '../util/aws-cli.ts';

/**
 * Name of the user metadata of a canary: the time from which no run uses it, in ISO 8601. S3 copies it to the replicas. It
 * shows that replikey wrote the version, and that its run has ended.
 */
const EXPIRY_METADATA = 'replikey-canary-expires';

/** The encryption of a canary. */
export interface CanaryEncryption {
  /** Whether the object uses an S3 Bucket Key. */
  bucketKey: boolean;
  /** `AES256` under a rule that does not select encrypted objects. */
  sseAlgorithm: 'aws:kms' | 'AES256';
}

/** The version id of an object that was written without versioning. */
export const NULL_VERSION_ID = 'null';

/** Returns the prefix of the keys of canaries under a rule. */
export const canaryPrefixOf = ({ prefix }: Pick<Rule, 'prefix'>): string => `${prefix}.replikey-canary/`;

/** Returns the tags of canaries under a rule: their own, and those that the rule requires. */
export const canaryTagsOf = ({ tags }: Pick<Rule, 'tags'>): Record<string, string> => ({
  'replikey:canary': 'true',
  ...tags,
});

/** Returns the reason why a rule excludes its canaries, if it does. */
export function canaryExclusionReason(rule: Rule): string | undefined {
  const tags = canaryTagsOf(rule);
  return exclusionReason(rule.exclude, canaryPrefixOf(rule), (name, value) => tags[name] === value);
}

/** A canary to write. */
export interface NewCanary {
  key: string;
  encryption: CanaryEncryption;
  keyArn: string;
  tags: Rule['tags'];
  /** Time from which no run uses the canary, in milliseconds since 1970. A later run then removes what is left of it. */
  expiresAt: number;
}

/**
 * Writes a canary exactly once. If the response is lost, it checks whether the object exists, so that no version of it
 * is left behind.
 */
export async function putCanary(
  side: Side,
  { key, encryption: { sseAlgorithm, bucketKey }, keyArn, tags, expiresAt }: NewCanary,
  aws: AwsClient,
): Promise<string> {
  const location = locationOfSide(side);
  const command = new PutObjectCommand({
    Bucket: side.bucket,
    Key: key,
    Body: 'replikey canary\n',
    ExpectedBucketOwner: await aws.accountId(location.account),
    ServerSideEncryption: sseAlgorithm,
    ...(sseAlgorithm === 'AES256' ? {} : { SSEKMSKeyId: keyArn, BucketKeyEnabled: bucketKey }),
    // A retry after a lost response would create another version.
    IfNoneMatch: '*',
    Tagging: new URLSearchParams(canaryTagsOf({ tags })).toString(),
    Metadata: { [EXPIRY_METADATA]: new Date(expiresAt).toISOString() },
  });
  try {
    return (await aws.send(location, command)).VersionId ?? NULL_VERSION_ID;
  } catch (error) {
    const reason = formatAwsError(error);
    const existing = isDefinitelyNotWritten(error)
      ? undefined
      : await findAfterLostResponse(side, key, reason, aws.uninterruptible());
    if (existing) return existing.VersionId ?? NULL_VERSION_ID;
    throw new Error(reason, { cause: error });
  }
}

/** Whether a write was certainly not carried out. A status of 412 means that an earlier attempt was carried out. */
function isDefinitelyNotWritten(error: unknown): boolean {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
  return error instanceof UserError || (status >= 400 && status < 500 && status !== 412);
}

async function findAfterLostResponse(
  side: Side,
  key: string,
  reason: string,
  aws: AwsClient,
): Promise<HeadObjectCommandOutput | undefined> {
  try {
    return await headCanary(side, key, undefined, aws);
  } catch (error) {
    throw new UncertainWriteError(side, key, reason, error);
  }
}

/** The error of a write for which replikey cannot determine whether it was carried out. */
export class UncertainWriteError extends Error {
  readonly description: string;

  constructor(side: Side, key: string, reason: string, cause: unknown) {
    super(reason, { cause });
    this.description = `${side.bucket}/${key}, which may have been written: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

/** Returns the metadata of an object or of one version of it; undefined if it does not exist. */
export async function headCanary(
  side: CanarySide,
  key: string,
  version: string | undefined,
  aws: AwsClient,
): Promise<HeadObjectCommandOutput | undefined> {
  const { account, region } = side;
  const location = account === undefined ? { region } : { account, region };
  try {
    return await aws.send(
      location,
      new HeadObjectCommand({
        Bucket: side.bucket,
        Key: key,
        VersionId: version,
        ExpectedBucketOwner: await aws.accountId(location.account),
      }),
    );
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404)
      return undefined;
    throw new Error(formatAwsError(error), { cause: error });
  }
}

export interface CanarySide extends Location {
  bucket: string;
}

/** The buckets that receive a canary, through any rule of the source. */
export interface CanaryRoute {
  source: CanarySide;
  destinations: readonly CanarySide[];
  /** Why a version stays in a bucket, by bucket: its default retention, or missing access. A person allowed it. */
  retaining: ReadonlyMap<string, string>;
  /** Buckets of `retaining` that replikey cannot access. */
  unreachable: readonly string[];
}

/** A version of a canary, which its writer must remove. */
export interface CanaryVersion {
  key: string;
  version: string;
}

/**
 * Time for which replikey removes replicas that arrive after their source version was deleted, in milliseconds. S3 can
 * finish a replication for which it has already read the source.
 */
export const LATE_REPLICA_MS = 60_000;

export interface RemovalOptions {
  aws: AwsClient;
  /** Whether S3 may still write a replica. */
  mayStillArrive: boolean;
  /** In milliseconds. */
  lateReplicaMs: number;
  /** Ends the watch for late replicas, not the removal. */
  signal?: AbortSignal | undefined;
  /** Called when the watch for late replicas begins. */
  onWatch?: () => void;
}

/**
 * Removes a version from every bucket of its route, and replicas that arrive during the removal. It deletes the source
 * first, so that S3 starts no other replication of it. S3 never replicates the deletion of a version, and the deletion
 * of a missing version succeeds. Returns a description of each version that could not be removed.
 */
export async function removeCanary(
  { source, destinations, retaining }: CanaryRoute,
  canary: CanaryVersion,
  { aws: client, mayStillArrive, lateReplicaMs, signal, onWatch }: RemovalOptions,
): Promise<string[]> {
  // The canary is an object of this run alone, so its removal conflicts with no other process.
  const aws = client.uninterruptible().fenced(() => {});
  const isRemovable = ({ bucket }: CanarySide) => !retaining.has(bucket);
  const failures = await deleteVersion([source].filter(isRemovable), canary, aws);
  let missing = destinations.filter(isRemovable);
  if (!mayStillArrive) return [...failures, ...(await deleteVersion(missing, canary, aws))];
  onWatch?.();
  const removeArrived = async (): Promise<void> => {
    const arrived = await findArrived(missing, canary, aws);
    failures.push(...(await deleteVersion(arrived, canary, aws)));
    missing = missing.filter((side) => !arrived.includes(side));
    if (missing.length > 0) throw new LateReplicaError();
  };
  await retry(removeArrived, {
    timeoutMs: lateReplicaMs,
    maxDelayMs: 5_000,
    signal,
    shouldRetry: (error) => error instanceof LateReplicaError,
  }).catch(() => {});
  // A replica that no read has shown.
  return [...failures, ...(await deleteVersion(missing, canary, aws))];
}

/**
 * Whether a replica can still arrive after the deletion of its source. S3 replicates only objects with the status
 * PENDING. COMPLETED is the result of all rules, so every replica exists. FAILED is final for one destination, and
 * another destination may still receive its replica.
 *
 * @param status of the source version; undefined: S3 reported none, so it replicates the version to no bucket
 */
export const mayReplicaArrive = (
  status: ReplicationStatus | undefined,
  { destinations }: Pick<CanaryRoute, 'destinations'>,
): boolean => status === 'PENDING' || (status === 'FAILED' && destinations.length > 1);

/** A replica has not arrived, and may still arrive. */
class LateReplicaError extends Error {}

/** Returns the buckets that contain the version, and those that cannot be read. */
async function findArrived(
  sides: readonly CanarySide[],
  { key, version }: CanaryVersion,
  aws: AwsClient,
): Promise<CanarySide[]> {
  const hasArrived = (side: CanarySide) =>
    headCanary(side, key, version, aws).then(
      (head) => head !== undefined,
      () => true,
    );
  const states = await Promise.all(sides.map(hasArrived));
  return sides.filter((_, index) => states[index]);
}

async function deleteVersion(
  sides: readonly CanarySide[],
  { key, version }: CanaryVersion,
  aws: AwsClient,
): Promise<string[]> {
  const failures = await Promise.all(
    sides.map(async (side) => {
      const ExpectedBucketOwner = await aws.accountId(side.account);
      try {
        await aws.send(
          side,
          new DeleteObjectCommand({ Bucket: side.bucket, Key: key, VersionId: version, ExpectedBucketOwner }),
        );
        return undefined;
      } catch (error) {
        const command = awsCli('s3api delete-object', {
          bucket: side.bucket,
          key,
          'version-id': version,
          'expected-bucket-owner': ExpectedBucketOwner,
          region: side.region,
        });
        return `${side.bucket}/${key} version ${version}: ${formatAwsError(error)}; ${grantAdvice(error, side, key)}remove it: ${command}`;
      }
    }),
  );
  return failures.filter((failure) => failure !== undefined);
}

/** Names the permission that a deletion lacks. `reconcile permissions` prints it only for the buckets of the specs. */
const grantAdvice = (error: unknown, { bucket, region }: CanarySide, key: string): string =>
  isAccessDenied(error)
    ? `grant s3:DeleteObjectVersion on ${bucketArn(bucket, region)}/${key.slice(0, key.lastIndexOf('/') + 1)}*, or `
    : '';

/**
 * Removes what earlier runs left behind under a prefix of canaries: canaries of a killed process, and replicas that
 * arrived after the watch for them. It removes only versions with replikey's metadata whose run has ended. Reports each
 * removal, and each version and bucket for which it failed.
 */
export async function removeOrphanedCanaries(
  { source, destinations, retaining }: CanaryRoute,
  keyPrefix: string,
  aws: AwsClient,
  onNotice?: (line: string) => void,
): Promise<void> {
  const removeFrom = async (side: CanarySide): Promise<void> => {
    if (retaining.has(side.bucket)) return;
    try {
      for (const canary of await findOrphanedCanaries(side, keyPrefix, aws)) {
        const failures = await deleteVersion([side], canary, aws);
        const removed = `removed ${side.bucket}/${canary.key} version ${canary.version}`;
        onNotice?.(`canary of an earlier run: ${failures[0] ?? removed}`);
      }
    } catch (error) {
      onNotice?.(
        `cannot search ${side.bucket}/${keyPrefix} for canaries of earlier runs: ${formatAwsError(error)}; if access is denied, grant s3:ListBucketVersions and s3:GetObjectVersion`,
      );
    }
  };
  // The source first, so that S3 starts no replication of a canary whose replica is already removed.
  await removeFrom(source);
  await Promise.all(destinations.map(removeFrom));
}

/** Returns the expired canaries among the first 1,000 versions under a prefix. */
async function findOrphanedCanaries(
  side: CanarySide,
  keyPrefix: string,
  aws: AwsClient,
): Promise<CanaryVersion[]> {
  const { Versions = [] } = await aws.send(
    side,
    new ListObjectVersionsCommand({
      Bucket: side.bucket,
      Prefix: keyPrefix,
      ExpectedBucketOwner: await aws.accountId(side.account),
    }),
  );
  const canaries = await Promise.all(
    Versions.map(async ({ Key: key, VersionId: version = NULL_VERSION_ID }) => {
      if (key === undefined) return undefined;
      const head = await headCanary(side, key, version, aws);
      const expiresAt = Date.parse(head?.Metadata?.[EXPIRY_METADATA] ?? '');
      return expiresAt <= aws.now() ? { key, version } : undefined;
    }),
  );
  return canaries.filter((canary) => canary !== undefined);
}

/** Describes the versions that stay, because a person allowed canaries that replikey cannot remove. */
export const retainedVersions = ({ retaining }: CanaryRoute, { key, version }: CanaryVersion): string[] =>
  [...retaining].map(([bucket, reason]) => `${bucket}/${key} version ${version}: ${reason}`);
