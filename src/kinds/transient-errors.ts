import type { TransientError } from '../core/resource.ts';

/** A bucket that was made a moment ago is not seen everywhere at once, and takes one change at a time. */
export const bucketTransientErrors: TransientError[] = [
  { code: 'NoSuchBucket', waitsFor: 'S3 to see the new bucket' },
  { code: 'OperationAborted', waitsFor: 'S3 to finish another change of the bucket' },
];
