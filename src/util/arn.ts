/** Returns the AWS partition of a Region, as ARNs name it. S3 replicates within one partition only. */
export function partitionOfRegion(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  if (region.startsWith('us-gov-')) return 'aws-us-gov';
  return 'aws';
}

/** Returns the ARN of a bucket, which contains no account and no Region. */
export const bucketArn = (bucket: string, region: string): string =>
  `arn:${partitionOfRegion(region)}:s3:::${bucket}`;

/** Returns the partition in an ARN. */
export const partitionOfArn = (arn: string): string => arn.split(':')[1] ?? '';

/** Returns the Region in an ARN; empty if it names none. */
export const regionOfArn = (arn: string): string => arn.split(':')[3] ?? '';

/** Returns the name of a role or policy, without its path: what follows the last slash of the ARN. */
export const nameInArn = (arn: string): string => arn.slice(arn.lastIndexOf('/') + 1);
