import { derivedRoleArn, keyResourceId, MANAGED_BY_TAG, roleResourceId, SPEC_TAG } from '../core/ids.ts';
import { AlreadyExistsError, type TransientError } from '../core/kind.ts';
import { ref } from '../core/ref.ts';
import type { Id, Ref } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';

/** Returns the result of a read, or undefined for an error that means that the resource does not exist. */
export async function ignoreErrors<T>(promise: Promise<T>, ...errorNames: string[]): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof Error && errorNames.includes(error.name)) return undefined;
    throw error;
  }
}

/**
 * Sends a call that creates a bucket, key or role.
 *
 * @throws AlreadyExistsError for an error of this name
 */
export async function orAlreadyExists<T>(
  promise: Promise<T>,
  errorName: string,
  leftBehind?: AlreadyExistsError['leftBehind'],
): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw error instanceof Error && error.name === errorName ? new AlreadyExistsError(leftBehind) : error;
  }
}

/**
 * Returns the tags of everything that replikey creates: that replikey manages it, and for which specs it was created.
 */
export function ownershipTags(specNames: readonly string[]): { Key: string; Value: string }[] {
  return [
    { Key: MANAGED_BY_TAG, Value: 'replikey' },
    // Every service allows tag values of 256 characters. The first names are enough.
    { Key: SPEC_TAG, Value: specNames.join(' ').slice(0, 256) },
  ];
}

/** Returns tags as a map, from the list in which S3 and IAM return them. */
export const toTagMap = (
  tags: readonly { Key?: string | undefined; Value?: string | undefined }[] = [],
): Record<string, string> => Object.fromEntries(tags.map(({ Key = '', Value = '' }) => [Key, Value]));

/**
 * Errors that S3 returns because it does not see a new bucket everywhere immediately, and processes one change of a
 * bucket at a time.
 */
export const bucketTransientErrors: TransientError[] = [
  { code: 'NoSuchBucket', waitsFor: 'S3 to see the new bucket' },
  { code: 'OperationAborted', waitsFor: 'S3 to finish another change of the bucket' },
];

/** Returns the ARN of a key, or the reference to it while only its alias is known. */
export const keyArnOrRef = (side: Side): string | Ref =>
  'arn' in side.key ? side.key.arn : ref(keyResourceId('kms.key', side));

/** Returns the ARN of a role, or the reference to it while only its name is known. */
export function roleArnOrRef(pair: BucketReplication): string | Ref {
  if ('arn' in pair.role) return pair.role.arn;
  // A role of an account that is not managed cannot be read.
  return pair.source.managed ? ref(roleResourceId('iam.role', pair)) : derivedRoleArn(pair);
}

/**
 * Returns the ids of roles given by ARN, which must exist before a policy names them. A role given by name is a
 * reference, which sets the order.
 */
export const externalRoleIds = (pairs: readonly BucketReplication[]): Id[] =>
  pairs
    .filter(({ role, source }) => 'arn' in role && source.managed)
    .map((pair) => roleResourceId('iam.role', pair));

/** The attribute of the root element of an S3 document, for a document that S3 has not returned. */
export const S3_NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
