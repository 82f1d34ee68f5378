import {
  DeleteObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { describeError } from '../aws/describe-error.ts';
import type { Door } from '../aws/door.ts';
import { place } from '../core/names.ts';
import { UserError } from '../errors.ts';
import type { Rule, Side } from '../spec/types.ts';

/** How a canary is encrypted. */
export interface Sort {
  /** With an S3 Bucket Key, or without. */
  bucketKey: boolean;
  /** `AES256` under a rule that does not select encrypted objects. */
  sseAlgorithm: 'aws:kms' | 'AES256';
}

/** The version of an object that was written without versioning. */
export const UNVERSIONED = 'null';

/** Write a canary, once: where the answer is lost, look whether it is there, so that no version of it is left behind. */
export async function putCanary(
  side: Side,
  key: string,
  { sseAlgorithm, bucketKey }: Sort,
  keyArn: string,
  tags: Rule['tags'],
  door: Door,
): Promise<string> {
  const at = place(side);
  const command = new PutObjectCommand({
    Bucket: side.bucket,
    Key: key,
    Body: 'replikey canary\n',
    ExpectedBucketOwner: await door.accountId(at.account),
    ServerSideEncryption: sseAlgorithm,
    ...(sseAlgorithm === 'AES256' ? {} : { SSEKMSKeyId: keyArn, BucketKeyEnabled: bucketKey }),
    // Another attempt after a lost answer would make another version.
    IfNoneMatch: '*',
    Tagging: new URLSearchParams({ 'replikey:canary': 'true', ...tags }).toString(),
  });
  try {
    return (await door.send(at, command)).VersionId ?? UNVERSIONED;
  } catch (error) {
    const why = describeError(error, 's3:PutObject', at);
    const made = isRefusal(error) ? undefined : await lookFor(side, key, why, door.finishing());
    if (made) return made.VersionId ?? UNVERSIONED;
    throw new Error(why, { cause: error });
  }
}

/** Whether a write was certainly not carried out; 412 says that an attempt before it was. */
function isRefusal(error: unknown): boolean {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
  return error instanceof UserError || (status >= 400 && status < 500 && status !== 412);
}

async function lookFor(
  side: Side,
  key: string,
  why: string,
  door: Door,
): Promise<HeadObjectCommandOutput | undefined> {
  try {
    return await headCanary(side, key, undefined, door);
  } catch (error) {
    throw new Unsure(side, key, why, error);
  }
}

/** An object of which it cannot be told whether it was written. */
export class Unsure extends Error {
  readonly what: string;

  constructor(side: Side, key: string, why: string, cause: unknown) {
    super(why, { cause });
    this.what = `${side.bucket}/${key} of which nobody can say whether it was written: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

/** What S3 says of an object, or of a version of it; undefined where there is none. */
export async function headCanary(
  side: Side,
  key: string,
  version: string | undefined,
  door: Door,
): Promise<HeadObjectCommandOutput | undefined> {
  const at = place(side);
  try {
    return await door.send(
      at,
      new HeadObjectCommand({
        Bucket: side.bucket,
        Key: key,
        VersionId: version,
        ExpectedBucketOwner: await door.accountId(at.account),
      }),
    );
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404)
      return undefined;
    throw new Error(describeError(error, 's3:HeadObject', at), { cause: error });
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
  door: Door,
): Promise<string[]> {
  const removed = await Promise.all(
    sides.map(async (side) => {
      const at = place(side);
      try {
        await door.send(
          at,
          new DeleteObjectCommand({
            Bucket: side.bucket,
            Key: key,
            VersionId: version,
            ExpectedBucketOwner: await door.accountId(at.account),
          }),
        );
        return undefined;
      } catch (error) {
        return `${side.bucket}/${key} version ${version}: ${describeError(error, 's3:DeleteObject', at)}`;
      }
    }),
  );
  return removed.filter((one) => one !== undefined);
}
