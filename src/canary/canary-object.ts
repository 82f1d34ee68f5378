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
import type { Rule, Side } from '../spec/types.ts';

/** How a canary is encrypted. */
export interface CanaryEncryption {
  /** With an S3 Bucket Key, or without. */
  bucketKey: boolean;
  /** `AES256` under a rule that does not select encrypted objects. */
  sseAlgorithm: 'aws:kms' | 'AES256';
}

/** The version of an object that was written without versioning. */
export const NULL_VERSION_ID = 'null';

/** Write a canary, once: where the answer is lost, look whether it is there, so that no version of it is left behind. */
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
    // Another attempt after a lost answer would make another version.
    IfNoneMatch: '*',
    Tagging: new URLSearchParams({ 'replikey:canary': 'true', ...tags }).toString(),
  });
  try {
    return (await aws.send(location, command)).VersionId ?? NULL_VERSION_ID;
  } catch (error) {
    const reason = formatAwsError(error, 's3:PutObject', location);
    const existing = isDefinitelyNotWritten(error)
      ? undefined
      : await findAfterLostResponse(side, key, reason, aws.uninterruptible());
    if (existing) return existing.VersionId ?? NULL_VERSION_ID;
    throw new Error(reason, { cause: error });
  }
}

/** Whether a write was certainly not carried out; 412 says that an attempt before it was. */
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

/** An object of which it cannot be told whether it was written. */
export class UncertainWriteError extends Error {
  readonly description: string;

  constructor(side: Side, key: string, reason: string, cause: unknown) {
    super(reason, { cause });
    this.description = `${side.bucket}/${key} of which nobody can say whether it was written: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

/** What S3 says of an object, or of a version of it; undefined where there is none. */
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
    throw new Error(formatAwsError(error, 's3:HeadObject', location), { cause: error });
  }
}

/**
 * Remove the version everywhere; deleting a version is never replicated, and one that is not there is no error. What is
 * left is told.
 */
export async function removeCanary(
  sides: readonly Side[],
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
        return `${side.bucket}/${key} version ${version}: ${formatAwsError(error, 's3:DeleteObject', location)}`;
      }
    }),
  );
  return failures.filter((failure) => failure !== undefined);
}
