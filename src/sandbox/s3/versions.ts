import { createHash, randomBytes } from 'node:crypto';
import { AwsError } from '../aws-error.ts';
import type { BucketState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';

/** Versions of the objects of a bucket: for each key, newest first. */

/**
 * Returns a new version id of 32 characters: random bytes and their checksum. S3 recognises by the checksum the ids
 * that it issued.
 */
function generateVersionId(): string {
  const random = randomBytes(18);
  return Buffer.concat([random, versionIdChecksum(random)]).toString('base64url');
}

/**
 * Returns whether an id has the form and the checksum of an issued version id.
 * fact: localstack/s3.delete_object/test_delete_object_versioned#delete-with-bad-version
 */
function isVersionId(id: string): boolean {
  const bytes = Buffer.from(id, 'base64url');
  return /^[\w-]{32}$/.test(id) && bytes.subarray(18).equals(versionIdChecksum(bytes.subarray(0, 18)));
}

const versionIdChecksum = (random: Buffer): Buffer =>
  createHash('sha256').update(random).digest().subarray(0, 6);

/** Returns the id of a new version: `null` if versioning was never enabled or is suspended. */
export const nextVersionId = (bucket: BucketState): string =>
  bucket.versioning?.Status === 'Enabled' ? generateVersionId() : 'null';

/** Adds a version as the newest of its key. It replaces a version with the same id, for example `null`. */
export function addVersion(store: Store, bucket: BucketState, version: VersionState): void {
  const previousVersions = bucket.objects.get(version.key) ?? [];
  const otherVersions = previousVersions.filter((previous) => previous.versionId !== version.versionId);
  for (const previous of previousVersions) {
    if (previous.versionId === version.versionId && previous.blob !== undefined)
      store.removeBlob(previous.blob);
  }
  bucket.objects.set(version.key, [version, ...otherVersions]);
  store.markObjectChanged(bucket, version.key);
}

export function removeVersion(store: Store, bucket: BucketState, version: VersionState): void {
  const remainingVersions = (bucket.objects.get(version.key) ?? []).filter(
    (candidate) => candidate !== version,
  );
  if (remainingVersions.length > 0) bucket.objects.set(version.key, remainingVersions);
  else bucket.objects.delete(version.key);
  if (version.blob !== undefined) store.removeBlob(version.blob);
  store.markObjectChanged(bucket, version.key);
}

export const latestVersionOf = (bucket: BucketState, key: string): VersionState | undefined =>
  bucket.objects.get(key)?.[0];

/**
 * Returns the version that a read requests.
 *
 * @throws AwsError 404 when the version is absent. For a delete marker the error is 404 with marker headers, or 405
 * when the request contains the version id of the marker.
 */
export function getReadableVersion(
  bucket: BucketState,
  key: string,
  versionId: string | undefined,
  isHead: boolean,
): VersionState {
  if (versionId === undefined) {
    const version = latestVersionOf(bucket, key);
    const markerHeaders: Record<string, string> = version?.deleteMarker
      ? { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId }
      : {};
    if (version && !version.deleteMarker) return version;
    if (isHead) throw new AwsError(404, '404', 'Not Found', {}, markerHeaders);
    throw new AwsError(404, 'NoSuchKey', 'The specified key does not exist.', { Key: key }, markerHeaders);
  }
  const version = findVersion(bucket, key, versionId);
  if (!version) {
    if (isHead) throw new AwsError(404, '404', 'Not Found');
    throw new AwsError(404, 'NoSuchVersion', 'The specified version does not exist.', {
      Key: key,
      VersionId: versionId,
    });
  }
  if (!version.deleteMarker) return version;
  throw new AwsError(
    405,
    isHead ? '405' : 'MethodNotAllowed',
    isHead ? 'Method Not Allowed' : 'The specified method is not allowed against this resource.',
    { Method: isHead ? 'HEAD' : 'GET', ResourceType: 'DeleteMarker' },
    {
      'x-amz-delete-marker': 'true',
      allow: 'DELETE',
      'x-amz-version-id': version.versionId,
      'last-modified': new Date(version.modified).toUTCString(),
    },
  );
}

/**
 * Returns the version of that id, or undefined if it does not exist (any more).
 *
 * @throws AwsError InvalidArgument for an id that S3 cannot have issued.
 */
export function findVersion(bucket: BucketState, key: string, versionId: string): VersionState | undefined {
  const version = bucket.objects.get(key)?.find((candidate) => candidate.versionId === versionId);
  if (version || versionId === 'null' || isVersionId(versionId)) return version;
  throw new AwsError(400, 'InvalidArgument', 'Invalid version id specified', {
    ArgumentName: 'versionId',
    ArgumentValue: versionId,
  });
}

/** Checks the conditions of a write: `If-None-Match: *` and `If-Match`. */
export function checkWriteConditions(
  bucket: BucketState,
  input: { Key: string; IfMatch?: string; IfNoneMatch?: string },
): void {
  const { IfMatch, IfNoneMatch } = input;
  if (IfMatch !== undefined && IfNoneMatch !== undefined)
    throw notImplementedError(
      'If-Match,If-None-Match',
      'Multiple conditional request headers present in the request',
    );
  const currentVersion = latestVersionOf(bucket, input.Key);
  const exists = currentVersion !== undefined && !currentVersion.deleteMarker;
  if (IfNoneMatch !== undefined) {
    if (IfNoneMatch !== '*')
      throw notImplementedError(
        'If-None-Match',
        "We don't accept the provided value of If-None-Match header for this API",
      );
    if (exists) throw preconditionFailedError('If-None-Match');
  }
  if (IfMatch !== undefined) {
    if (IfMatch === '*' && exists) return;
    if (!exists)
      throw new AwsError(404, 'NoSuchKey', 'The specified key does not exist.', { Key: input.Key });
    if (unquoteEtag(IfMatch) !== unquoteEtag(currentVersion.etag)) throw preconditionFailedError('If-Match');
  }
}

const notImplementedError = (header: string, detail: string): AwsError =>
  new AwsError(501, 'NotImplemented', 'A header you provided implies functionality that is not implemented', {
    Header: header,
    additionalMessage: detail,
  });

const preconditionFailedError = (header: string): AwsError =>
  new AwsError(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
    Condition: header,
  });

const unquoteEtag = (etag: string): string => etag.replaceAll('"', '');

export interface ReadConditions {
  IfMatch?: string;
  IfNoneMatch?: string;
  IfModifiedSince?: Date;
  IfUnmodifiedSince?: Date;
}

/** Checks the conditions of a read: If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since. */
export function checkReadConditions(version: VersionState, input: ReadConditions): void {
  const { IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince } = input;
  const modifiedMs = Math.floor(version.modified / 1000) * 1000;
  if (IfMatch !== undefined && IfMatch !== '*' && unquoteEtag(IfMatch) !== unquoteEtag(version.etag))
    throw preconditionFailedError('If-Match');
  if (IfUnmodifiedSince !== undefined && IfMatch === undefined && modifiedMs > IfUnmodifiedSince.getTime())
    throw preconditionFailedError('If-Unmodified-Since');
  const isUnchanged =
    IfNoneMatch !== undefined &&
    (IfNoneMatch === '*' || unquoteEtag(IfNoneMatch) === unquoteEtag(version.etag));
  const isNotNewer =
    IfModifiedSince !== undefined && IfNoneMatch === undefined && modifiedMs <= IfModifiedSince.getTime();
  if (isUnchanged || isNotNewer)
    throw new AwsError(304, 'NotModified', 'Not Modified', {}, { etag: version.etag });
}
