/** The partition of AWS that a Region belongs to, as ARNs name it; S3 replicates within one partition only. */
export function partitionOfRegion(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  if (region.startsWith('us-gov-')) return 'aws-us-gov';
  return 'aws';
}

/** The ARN of a bucket, which names no account and no Region. */
export const bucketArn = (bucket: string, region: string): string =>
  `arn:${partitionOfRegion(region)}:s3:::${bucket}`;

/** The partition in an ARN. */
export const partitionOfArn = (arn: string): string => arn.split(':')[1] ?? '';

/** The Region in an ARN; empty where it names none. */
export const regionOfArn = (arn: string): string => arn.split(':')[3] ?? '';
