import {
  DeleteObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  PutObjectCommand,
  type ReplicationStatus,
} from '@aws-sdk/client-s3';
import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { retry } from '../aws/retry.ts';
import { locationOfSide } from '../core/ids.ts';
import type { Location } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { exclusionReason } from '../spec/rule-fields.ts';
import type { Rule, Side } from '../spec/types.ts';

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

/**
 * Writes a canary exactly once. If the response is lost, it checks whether the object exists, so that no version of it
 * is left behind.
 */
export async function putCanary(
  side: Side,
  key: string,
  { sseAlgorithm, bucketKey }: CanaryEncryption,
  keyArn: string,
  tags: Rule['tags'],
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
}

/**
 * Removes a version from every bucket of its route, and replicas that arrive during the removal. It deletes the source
 * first, so that S3 starts no other replication of it. S3 never replicates the deletion of a version, and the deletion
 * of a missing version succeeds. Returns a description of each version that could not be removed.
 */
export async function removeCanary(
  { source, destinations, retaining }: CanaryRoute,
  canary: CanaryVersion,
  { aws: client, mayStillArrive, lateReplicaMs, signal }: RemovalOptions,
): Promise<string[]> {
  // The canary is an object of this run alone, so its removal conflicts with no other process.
  const aws = client.uninterruptible().fenced(() => {});
  const isRemovable = ({ bucket }: CanarySide) => !retaining.has(bucket);
  const failures = await deleteVersion([source].filter(isRemovable), canary, aws);
  let missing = destinations.filter(isRemovable);
  if (!mayStillArrive) return [...failures, ...(await deleteVersion(missing, canary, aws))];
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
 * Whether a replica can still arrive. COMPLETED is the result of all rules, so every replica exists. FAILED is final for
 * one destination, and another destination may still receive its replica.
 */
export const mayReplicaArrive = (
  status: ReplicationStatus | undefined,
  { destinations }: Pick<CanaryRoute, 'destinations'>,
): boolean => {
  if (status === 'FAILED') return destinations.length > 1;
  return status !== 'COMPLETED' && status !== 'COMPLETE';
};

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
      try {
        await aws.send(
          side,
          new DeleteObjectCommand({
            Bucket: side.bucket,
            Key: key,
            VersionId: version,
            ExpectedBucketOwner: await aws.accountId(side.account),
          }),
        );
        return undefined;
      } catch (error) {
        return `${side.bucket}/${key} version ${version}: ${formatAwsError(error)}`;
      }
    }),
  );
  return failures.filter((failure) => failure !== undefined);
}

/** Describes the versions that stay, because a person allowed canaries that replikey cannot remove. */
export const retainedVersions = ({ retaining }: CanaryRoute, { key, version }: CanaryVersion): string[] =>
  [...retaining].map(([bucket, reason]) => `${bucket}/${key} version ${version}: ${reason}`);
