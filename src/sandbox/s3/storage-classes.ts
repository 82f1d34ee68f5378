import { AwsError } from '../aws-error.ts';
import type { VersionState } from '../state.ts';

/** Storage classes of general purpose buckets. The other classes of the API belong to directory buckets and Outposts. */
const STORAGE_CLASSES = new Set([
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
]);

/** Storage classes whose objects a caller has to restore before a read. */
const ARCHIVE_CLASSES = new Set(['GLACIER', 'DEEP_ARCHIVE']);

export const isStorageClass = (text: string): boolean => STORAGE_CLASSES.has(text);

export const isArchived = ({ storageClass = 'STANDARD' }: VersionState): boolean =>
  ARCHIVE_CLASSES.has(storageClass);

/** @throws AwsError InvalidStorageClass for a class that a bucket does not have. */
export function checkStorageClass(storageClass: string | undefined): void {
  if (storageClass === undefined || isStorageClass(storageClass)) return;
  throw new AwsError(400, 'InvalidStorageClass', 'The storage class you specified is not valid', {
    StorageClassRequested: storageClass,
  });
}

/** @throws AwsError InvalidObjectState for a read of an archived object, which the sandbox never restores. */
export function requireNotArchived(version: VersionState, isCopySource = false): void {
  if (!isArchived(version)) return;
  throw new AwsError(
    403,
    'InvalidObjectState',
    isCopySource
      ? "Operation is not valid for the source object's storage class"
      : "The operation is not valid for the object's storage class",
    { StorageClass: version.storageClass ?? '' },
  );
}
