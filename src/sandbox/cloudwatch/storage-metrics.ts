import type { Call } from '../call.ts';
import type { BucketState } from '../state.ts';
import { findMetrics, minutesOf, singleValue } from './metrics.ts';

const SIZE_INTERVAL_MS = 86_400_000;

/** The storage type of a storage class (S3 User Guide, "Amazon CloudWatch metrics": dimension StorageType). */
const STORAGE_TYPE_BY_CLASS: Record<string, string> = {
  STANDARD: 'StandardStorage',
  REDUCED_REDUNDANCY: 'ReducedRedundancyStorage',
  STANDARD_IA: 'StandardIAStorage',
  ONEZONE_IA: 'OneZoneIAStorage',
  INTELLIGENT_TIERING: 'IntelligentTieringFAStorage',
  GLACIER: 'GlacierStorage',
  GLACIER_IR: 'GlacierInstantRetrievalStorage',
  DEEP_ARCHIVE: 'DeepArchiveStorage',
};

/**
 * Records the size of a bucket for the present day, unless it is recorded. S3 publishes the storage metrics of a bucket
 * once a day, with the start of the day as their time; the sandbox does so at the first read of the day.
 */
export function recordBucketSize(call: Call, bucketName: string): void {
  const bucket = call.store.bucket(bucketName);
  if (!bucket || bucket.owner !== call.caller.account || bucket.region !== call.region) return;
  const start = Math.floor(call.now / SIZE_INTERVAL_MS) * SIZE_INTERVAL_MS;
  for (const [storageType, bytes] of bytesByStorageType(bucket)) {
    const identity = {
      account: bucket.owner,
      region: bucket.region,
      namespace: 'AWS/S3',
      name: 'BucketSizeBytes',
      dimensions: [
        ['BucketName', bucket.name],
        ['StorageType', storageType],
      ] as [string, string][],
      unit: 'Bytes',
    };
    const isRecorded = findMetrics(call.store, identity).some(
      (metric) => !minutesOf(metric, { start, end: start + SIZE_INTERVAL_MS }).next().done,
    );
    if (!isRecorded) call.metricRecorder.record(identity, start, singleValue(bytes));
  }
}

/** Returns the bytes of all versions, and of the parts of uploads that are not complete. */
function bytesByStorageType({ objects, uploads }: BucketState): Map<string, number> {
  const bytes = new Map<string, number>();
  const add = (storageClass: string | undefined, size: number) => {
    const type = STORAGE_TYPE_BY_CLASS[storageClass ?? 'STANDARD'] ?? 'StandardStorage';
    bytes.set(type, (bytes.get(type) ?? 0) + size);
  };
  for (const versions of objects.values())
    for (const { deleteMarker, storageClass, size } of versions) if (!deleteMarker) add(storageClass, size);
  for (const { parts } of uploads.values()) for (const { size } of parts.values()) add('STANDARD', size);
  return bytes;
}
