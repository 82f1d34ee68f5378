import type { JobManifestGeneratorFilter, ObjectEncryptionFilter } from '@aws-sdk/client-s3-control';
import { selectReplicationRules } from '../s3/replicator.ts';
import type { BucketState, VersionState } from '../state.ts';

/** A task of a job: the key and the version id of an object. */
export type TaskTarget = [key: string, versionId: string];

/**
 * Returns the versions of a bucket that a filter of a manifest generator selects, key by key, and those of a key from the
 * oldest. Versions of keys that are added meanwhile may be among them.
 */
export function* generateManifest(
  bucket: BucketState,
  filter: JobManifestGeneratorFilter = {},
): Generator<TaskTarget | undefined> {
  const isSelected = createVersionFilter(bucket, filter);
  for (const [key, versions] of bucket.objects) {
    for (const version of versions.toReversed()) if (isSelected(version)) yield [key, version.versionId];
    // The caller decides after each key whether it has taken too long.
    yield undefined;
  }
}

/**
 * Returns the predicate of a filter. S3 adds each restriction to the others. An archived version and a version that no
 * enabled rule selects are not eligible for replication.
 */
function createVersionFilter(
  bucket: BucketState,
  filter: JobManifestGeneratorFilter,
): (version: VersionState) => boolean {
  const after = filterTimeOf(filter.CreatedAfter) ?? Number.NEGATIVE_INFINITY;
  const before = filterTimeOf(filter.CreatedBefore) ?? Number.POSITIVE_INFINITY;
  const { MatchAnyPrefix, MatchAnySuffix, MatchAnySubstring } = filter.KeyNameConstraint ?? {};
  const minSize = filter.ObjectSizeGreaterThanBytes ?? -1;
  const maxSize = filter.ObjectSizeLessThanBytes ?? Number.POSITIVE_INFINITY;
  const statuses = filter.ObjectReplicationStatuses as string[] | undefined;
  const classes = filter.MatchAnyStorageClass as string[] | undefined;
  const encryptions = filter.MatchAnyObjectEncryption;
  return (version) =>
    version.modified > after &&
    version.modified < before &&
    (MatchAnyPrefix?.some((text) => version.key.startsWith(text)) ?? true) &&
    (MatchAnySuffix?.some((text) => version.key.endsWith(text)) ?? true) &&
    (MatchAnySubstring?.some((text) => version.key.includes(text)) ?? true) &&
    version.size > minSize &&
    version.size < maxSize &&
    (statuses?.includes(version.replication?.status ?? 'NONE') ?? true) &&
    (classes?.includes(version.storageClass ?? 'STANDARD') ?? true) &&
    (encryptions?.some((encryption) => matchesEncryption(version, encryption)) ?? true) &&
    // A delete marker has no bytes, and only replication concerns it.
    (filter.EligibleForReplication ? isEligible(bucket, version) : !version.deleteMarker);
}

const isEligible = (bucket: BucketState, version: VersionState): boolean =>
  selectReplicationRules(bucket, version).length > 0;

/** Returns a time in milliseconds. The folder store returns the dates of a job as text. */
const filterTimeOf = (date: Date | string | undefined): number | undefined =>
  date === undefined ? undefined : new Date(date).getTime();

function matchesEncryption(
  { deleteMarker, encryption }: VersionState,
  { SSES3, SSEKMS, DSSEKMS, SSEC }: ObjectEncryptionFilter,
): boolean {
  const { algorithm, keyArn, bucketKey, customerKey } = encryption;
  if (deleteMarker) return false;
  if (SSES3) return algorithm === 'AES256' && !customerKey;
  if (SSEC) return customerKey === true;
  const hasKey = (filterKey: string | undefined) => filterKey === undefined || filterKey === keyArn;
  if (SSEKMS)
    return (
      algorithm === 'aws:kms' &&
      hasKey(SSEKMS.KmsKeyArn) &&
      (SSEKMS.BucketKeyEnabled === undefined || SSEKMS.BucketKeyEnabled === bucketKey)
    );
  // NOTSSE matches nothing: every object of the sandbox is encrypted.
  return DSSEKMS !== undefined && algorithm === 'aws:kms:dsse' && hasKey(DSSEKMS.KmsKeyArn);
}
