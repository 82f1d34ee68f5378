import { createHash, randomBytes } from 'node:crypto';
import { AwsError } from '../aws-error.ts';
import type { Call } from '../call.ts';
import type { BucketState, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import { accessDenied } from './requests.ts';

/** The versions of a bucket's objects: newest first for each key. */

/** Random bytes and their check, by which S3 knows the ids that it gave out: 32 letters. */
function newVersionId(): string {
  const random = randomBytes(18);
  return Buffer.concat([random, check(random)]).toString('base64url');
}

/** fact: localstack/s3.delete_object/test_delete_object_versioned#delete-with-bad-version */
function isVersionId(id: string): boolean {
  const bytes = Buffer.from(id, 'base64url');
  return /^[\w-]{32}$/.test(id) && bytes.subarray(18).equals(check(bytes.subarray(0, 18)));
}

const check = (random: Buffer): Buffer => createHash('sha256').update(random).digest().subarray(0, 6);

/** The id that a new version gets: `null` where versioning was never enabled, or is suspended. */
export const versionIdFor = (bucket: BucketState): string =>
  bucket.versioning?.Status === 'Enabled' ? newVersionId() : 'null';

/** Add a version; one with the id `null` replaces the one before it. */
export function addVersion(store: Store, bucket: BucketState, version: VersionState): void {
  const before = bucket.objects.get(version.key) ?? [];
  const kept = before.filter((one) => one.versionId !== version.versionId);
  for (const one of before) {
    if (one.versionId === version.versionId && one.blob !== undefined) store.removeBlob(one.blob);
  }
  bucket.objects.set(version.key, [version, ...kept]);
  store.changed(bucket);
}

export function removeVersion(store: Store, bucket: BucketState, version: VersionState): void {
  const kept = (bucket.objects.get(version.key) ?? []).filter((one) => one !== version);
  if (kept.length > 0) bucket.objects.set(version.key, kept);
  else bucket.objects.delete(version.key);
  if (version.blob !== undefined) store.removeBlob(version.blob);
  store.changed(bucket);
}

export const latest = (bucket: BucketState, key: string): VersionState | undefined =>
  bucket.objects.get(key)?.[0];

/** The version that a read asks for, or S3's refusal: GET and HEAD of a delete marker are told apart from absence. */
export function readable(
  bucket: BucketState,
  key: string,
  versionId: string | undefined,
  head: boolean,
): VersionState {
  if (versionId === undefined) {
    const version = latest(bucket, key);
    const marker: Record<string, string> = version?.deleteMarker
      ? { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId }
      : {};
    if (version && !version.deleteMarker) return version;
    if (head) throw new AwsError(404, '404', 'Not Found', {}, marker);
    throw new AwsError(404, 'NoSuchKey', 'The specified key does not exist.', { Key: key }, marker);
  }
  const version = findVersion(bucket, key, versionId);
  if (!version) {
    if (head) throw new AwsError(404, '404', 'Not Found');
    throw new AwsError(404, 'NoSuchVersion', 'The specified version does not exist.', {
      Key: key,
      VersionId: versionId,
    });
  }
  if (!version.deleteMarker) return version;
  throw new AwsError(
    405,
    head ? '405' : 'MethodNotAllowed',
    head ? 'Method Not Allowed' : 'The specified method is not allowed against this resource.',
    { Method: head ? 'HEAD' : 'GET', ResourceType: 'DeleteMarker' },
    {
      'x-amz-delete-marker': 'true',
      allow: 'DELETE',
      'x-amz-version-id': version.versionId,
      'last-modified': new Date(version.modified).toUTCString(),
    },
  );
}

/**
 * What somebody else owns in a bucket, the bucket's own account and policy do not give.
 * fact: stackd/cross-acct-owner
 */
export function checkOwner(call: Call, { owner }: VersionState): void {
  if (owner !== undefined && owner !== call.caller.account) throw accessDenied();
}

/** Ids that S3 never gave out are refused, ids that are gone are not. */
export function findVersion(bucket: BucketState, key: string, versionId: string): VersionState | undefined {
  const version = bucket.objects.get(key)?.find((one) => one.versionId === versionId);
  if (version || versionId === 'null' || isVersionId(versionId)) return version;
  throw new AwsError(400, 'InvalidArgument', 'Invalid version id specified', {
    ArgumentName: 'versionId',
    ArgumentValue: versionId,
  });
}
