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
  insertVersion(store, bucket, version, () => 0);
}

/**
 * Adds a replica among the versions of its key by its time, which is that of its source: the replica of an older version is
 * not the newest version. It replaces a version with the same id.
 */
export function addReplica(store: Store, bucket: BucketState, version: VersionState): void {
  insertVersion(store, bucket, version, (versions) => {
    const index = versions.findIndex(({ modified }) => modified <= version.modified);
    return index < 0 ? versions.length : index;
  });
}

function insertVersion(
  store: Store,
  bucket: BucketState,
  version: VersionState,
  indexOf: (otherVersions: VersionState[]) => number,
): void {
  const previousVersions = bucket.objects.get(version.key) ?? [];
  const otherVersions = previousVersions.filter((previous) => previous.versionId !== version.versionId);
  for (const previous of previousVersions) {
    if (previous.versionId === version.versionId && previous.blob !== undefined)
      store.removeBlob(previous.blob);
  }
  bucket.objects.set(version.key, otherVersions.toSpliced(indexOf(otherVersions), 0, version));
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
  if (version.deleteMarker) throw deleteMarkerError(version, isHead ? 'HEAD' : 'GET');
  return version;
}

/**
 * Returns the version whose tags, retention or legal hold a request concerns. In contrast to a read, S3 answers 405
 * also when a delete marker is the current version and the request names no version.
 * fact: localstack TestS3BucketObjectTagging::test_object_tagging_versioned (recorded from AWS)
 *
 * @throws AwsError 404 when the version is absent, 405 for a delete marker.
 */
export function getVersionFor(
  method: 'GET' | 'PUT' | 'DELETE',
  bucket: BucketState,
  key: string,
  versionId: string | undefined,
): VersionState {
  const version =
    versionId === undefined ? latestVersionOf(bucket, key) : findVersion(bucket, key, versionId);
  if (version?.deleteMarker) throw deleteMarkerError(version, method);
  return version ?? getReadableVersion(bucket, key, versionId, false);
}

const deleteMarkerError = ({ versionId, modified }: VersionState, method: string): AwsError =>
  new AwsError(
    405,
    method === 'HEAD' ? '405' : 'MethodNotAllowed',
    method === 'HEAD' ? 'Method Not Allowed' : 'The specified method is not allowed against this resource.',
    { Method: method, ResourceType: 'DeleteMarker' },
    {
      'x-amz-delete-marker': 'true',
      allow: 'DELETE',
      'x-amz-version-id': versionId,
      'last-modified': new Date(modified).toUTCString(),
    },
  );

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

/** Fields of a version that Object Lock sets. */
export type ObjectLock = Pick<VersionState, 'retention' | 'legalHold'>;

/**
 * Returns the Object Lock of a new version. The default retention of the bucket applies if the request sets none
 * (S3 User Guide, "Locking objects with Object Lock", default retention).
 *
 * @param created creation time of the version in milliseconds, from which the default retention counts
 */
export function withDefaultRetention(
  { objectLock, defaultRetention }: BucketState,
  { retention, legalHold }: ObjectLock,
  created: number,
): ObjectLock {
  const lock = { ...(retention && { retention }), ...(legalHold === undefined ? {} : { legalHold }) };
  if (retention || !objectLock || !defaultRetention) return lock;
  const { Mode, Days, Years = 0 } = defaultRetention;
  const until = new Date(created);
  if (Days === undefined) until.setUTCFullYear(until.getUTCFullYear() + Years);
  else until.setUTCDate(until.getUTCDate() + Days);
  return { ...lock, retention: { mode: Mode ?? 'GOVERNANCE', until: until.getTime() } };
}
