import {
  DeleteObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { locationOfSide } from '../core/ids.ts';
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
  side: Side,
  key: string,
  version: string | undefined,
  aws: AwsClient,
): Promise<HeadObjectCommandOutput | undefined> {
  const location = locationOfSide(side);
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

/**
 * Removes the version from every bucket. S3 never replicates the deletion of a version, and the deletion of a missing
 * version succeeds. Returns a description of each version that could not be removed.
 */
export async function removeCanary(
  sides: readonly Pick<Side, 'bucket' | 'account' | 'region'>[],
  key: string,
  version: string,
  aws: AwsClient,
): Promise<string[]> {
  const failures = await Promise.all(
    sides.map(async (side) => {
      const location = locationOfSide(side);
      try {
        await aws.send(
          location,
          new DeleteObjectCommand({
            Bucket: side.bucket,
            Key: key,
            VersionId: version,
            ExpectedBucketOwner: await aws.accountId(location.account),
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
