import { AwsError } from '../aws-error.ts';
import type { Call } from '../call.ts';
import type { BucketState, VersionState } from '../state.ts';
import { checkBucketAccess } from './access.ts';
import { latestVersionOf } from './versions.ts';

/** Conditional requests: reads, writes and deletes that depend on ETag or time of an object. */

/** Conditions of a read, or of the source of a copy. */
export interface ReadConditions {
  IfMatch?: string | undefined;
  IfNoneMatch?: string | undefined;
  IfModifiedSince?: Date | undefined;
  IfUnmodifiedSince?: Date | undefined;
}

/**
 * Returns the header of the first condition that an object does not meet. If-Match is stronger than
 * If-Unmodified-Since, and If-None-Match than If-Modified-Since. S3 ignores If-Modified-Since in the future.
 */
function findUnmetCondition(
  version: VersionState,
  { IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince }: ReadConditions,
  now: number,
): 'If-Match' | 'If-Unmodified-Since' | 'If-None-Match' | 'If-Modified-Since' | undefined {
  // HTTP dates have no fraction of a second.
  const modifiedMs = Math.floor(version.modified / 1000) * 1000;
  if (IfMatch !== undefined) {
    if (!matchesEtag(IfMatch, version)) return 'If-Match';
  } else if (isDate(IfUnmodifiedSince) && modifiedMs > IfUnmodifiedSince.getTime())
    return 'If-Unmodified-Since';
  if (IfNoneMatch !== undefined) return matchesEtag(IfNoneMatch, version) ? 'If-None-Match' : undefined;
  if (!isDate(IfModifiedSince) || IfModifiedSince.getTime() > now) return undefined;
  return modifiedMs <= IfModifiedSince.getTime() ? 'If-Modified-Since' : undefined;
}

/** S3 ignores a header that is no date. */
const isDate = (date: Date | undefined): date is Date => date !== undefined && !Number.isNaN(date.getTime());

const matchesEtag = (condition: string, { etag }: VersionState): boolean =>
  condition === '*' || unquoteEtag(condition) === unquoteEtag(etag);

const unquoteEtag = (etag: string): string => etag.replaceAll('"', '');

/**
 * Checks the conditions of a read.
 *
 * @throws AwsError 412 for If-Match and If-Unmodified-Since, 304 for the other two.
 */
export function checkReadConditions(version: VersionState, conditions: ReadConditions, now: number): void {
  const header = findUnmetCondition(version, conditions, now);
  if (header === undefined) return;
  if (header === 'If-Match' || header === 'If-Unmodified-Since') throw preconditionFailedError(header);
  const headers = { etag: version.etag, 'last-modified': new Date(version.modified).toUTCString() };
  throw new AwsError(304, 'NotModified', 'Not Modified', {}, headers);
}

/**
 * Checks the conditions `x-amz-copy-source-if-…` of a copy.
 *
 * @throws AwsError 412 for each of the four.
 */
export function checkCopySourceConditions(
  version: VersionState,
  input: {
    CopySourceIfMatch?: string;
    CopySourceIfNoneMatch?: string;
    CopySourceIfModifiedSince?: Date;
    CopySourceIfUnmodifiedSince?: Date;
  },
  now: number,
): void {
  const conditions = {
    IfMatch: input.CopySourceIfMatch,
    IfNoneMatch: input.CopySourceIfNoneMatch,
    IfModifiedSince: input.CopySourceIfModifiedSince,
    IfUnmodifiedSince: input.CopySourceIfUnmodifiedSince,
  };
  const header = findUnmetCondition(version, conditions, now);
  if (header !== undefined) throw preconditionFailedError(`x-amz-copy-source-${header}`);
}

interface WriteConditions {
  Key: string;
  IfMatch?: string;
  IfNoneMatch?: string;
}

/** State of the key when a multipart upload began. A change since then is a conflict. */
interface UploadStart {
  initiated: number;
  keyExisted?: boolean;
}

/**
 * Checks the conditions of a write: `If-None-Match: *` or `If-Match` with an ETag. Only the current version counts, and
 * a delete marker counts as no object. If-Match needs s3:GetObject, too (S3 User Guide, "Enforce conditional writes").
 *
 * @param upload start of the multipart upload that the request completes
 * @throws AwsError 412 for an unmet condition, 404 for If-Match without an object, 409 for an object that another
 * request changed during the upload, 501 for values that S3 does not implement.
 */
export function checkWriteConditions(
  call: Call,
  bucket: BucketState,
  { Key, IfMatch, IfNoneMatch }: WriteConditions,
  upload?: UploadStart,
): void {
  if (IfMatch !== undefined && IfNoneMatch !== undefined)
    throw unsupportedConditionError(
      'If-Match,If-None-Match',
      'Multiple conditional request headers present in the request',
    );
  const version = currentObjectOf(bucket, Key);
  if (IfNoneMatch !== undefined) {
    if (IfNoneMatch !== '*') throw unsupportedValueError();
    if (version) throw preconditionFailedError('If-None-Match');
    if (upload?.keyExisted) throw conflictError('If-None-Match', Key);
  }
  if (IfMatch !== undefined) {
    if (IfMatch === '*') throw unsupportedValueError();
    checkBucketAccess(call, bucket, 's3:GetObject', Key);
    if (!version) throw noSuchKeyError(Key);
    if (!matchesEtag(IfMatch, version)) throw preconditionFailedError('If-Match');
    if (upload && version.modified > upload.initiated) throw conflictError('If-Match', Key);
  }
}

/**
 * Checks the condition If-Match of a delete, which accepts `*`. With an ETag it needs s3:GetObject, too (S3 User Guide,
 * "How to perform conditional deletes").
 *
 * @throws AwsError 412 for another ETag, 404 without an object, 501 for a delete of a version: "conditional delete
 * evaluations only apply to the current version".
 */
export function checkDeleteConditions(
  call: Call,
  bucket: BucketState,
  { key, versionId, ifMatch }: { key: string; versionId?: string | undefined; ifMatch?: string | undefined },
): void {
  if (ifMatch === undefined) return;
  if (versionId !== undefined)
    throw unsupportedConditionError('If-Match', 'A version id and If-Match are present in the request');
  if (ifMatch !== '*') checkBucketAccess(call, bucket, 's3:GetObject', key);
  const version = currentObjectOf(bucket, key);
  if (!version) throw noSuchKeyError(key);
  if (!matchesEtag(ifMatch, version)) throw preconditionFailedError('If-Match');
}

/** Returns the current version of an object; undefined if there is none or a delete marker. */
export function currentObjectOf(bucket: BucketState, key: string): VersionState | undefined {
  const version = latestVersionOf(bucket, key);
  return version?.deleteMarker ? undefined : version;
}

const noSuchKeyError = (key: string): AwsError =>
  new AwsError(404, 'NoSuchKey', 'The specified key does not exist.', { Key: key });

const preconditionFailedError = (condition: string): AwsError =>
  new AwsError(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
    Condition: condition,
  });

const conflictError = (condition: string, key: string): AwsError =>
  new AwsError(
    409,
    'ConditionalRequestConflict',
    'The conditional request cannot succeed due to a conflicting operation against this resource.',
    { Condition: condition, Key: key },
  );

/** Returns the error for `If-Match: *` and for an ETag in If-None-Match. S3 names If-None-Match in both cases. */
const unsupportedValueError = (): AwsError =>
  unsupportedConditionError(
    'If-None-Match',
    "We don't accept the provided value of If-None-Match header for this API",
  );

const unsupportedConditionError = (header: string, detail: string): AwsError =>
  new AwsError(501, 'NotImplemented', 'A header you provided implies functionality that is not implemented', {
    Header: header,
    additionalMessage: detail,
  });
