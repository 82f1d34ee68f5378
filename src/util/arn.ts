import { partition } from '@aws-sdk/core/client';
import type { QueueName } from './queue-address.ts';

/** The SDK's type omits the Region of the global services. */
type Partition = ReturnType<typeof partition> & { implicitGlobalRegion?: string };

const partitionsByRegion = new Map<string, Partition>();

/** Returns the partition of a Region from the table of the SDK, which compares every Region and pattern. */
function lookUpPartition(region: string): Partition {
  const match: Partition = partitionsByRegion.get(region) ?? partition(region);
  partitionsByRegion.set(region, match);
  return match;
}

/**
 * Returns the AWS partition of a Region, as ARNs name it. S3 replicates within one partition only. An unknown Region is
 * in `aws`.
 */
export const partitionOfRegion = (region: string): string => lookUpPartition(region).name;

/** Returns the Region that the SDK uses for the global services of a partition: `us-east-1` in `aws`. */
export const globalRegionOf = (region: string): string =>
  lookUpPartition(region).implicitGlobalRegion ?? region;

/** Returns the domains of the endpoints of a Region, without and with dual stack. */
export function dnsSuffixesOf(region: string): string[] {
  const { dnsSuffix, dualStackDnsSuffix } = lookUpPartition(region);
  return [dnsSuffix, dualStackDnsSuffix];
}

/** Returns whether the SDK lists a Region by name. It finds the partition of other Regions by the form of their names. */
export const isListedRegion = (region: string): boolean =>
  'description' in lookUpPartition(region) && !region.endsWith('-global');

/** Returns the name of a Region for readers, `US East (N. Virginia)`; the Region itself if the SDK does not list it. */
export function regionNameOf(region: string): string {
  const { description } = lookUpPartition(region) as Partition & { description?: string };
  return description ?? region;
}

/** Returns the ARN of the root user of an account, in the partition of a Region. */
export const accountRootArn = (account: string, region: string): string =>
  `arn:${partitionOfRegion(region)}:iam::${account}:root`;

/** An SQS queue: what a caller needs to receive its messages. */
export interface QueueAddress extends Required<QueueName> {
  arn: string;
}

/** Returns the address of a queue. `endpoint`: the custom endpoint of SQS; absent: that of the Region. */
export function queueAddressOf(queue: QueueName, endpoint?: string): QueueAddress {
  const { region, accountId, name } = queue;
  const origin = endpoint?.replace(/\/$/, '') ?? `https://sqs.${region}.${lookUpPartition(region).dnsSuffix}`;
  return {
    ...queue,
    url: queue.url ?? `${origin}/${accountId}/${name}`,
    arn: `arn:${partitionOfRegion(region)}:sqs:${region}:${accountId}:${name}`,
  };
}

/** Returns the ARN of a bucket, which contains no account and no Region. */
export const bucketArn = (bucket: string, region: string): string =>
  `arn:${partitionOfRegion(region)}:s3:::${bucket}`;

/**
 * Returns the ARN of the related key of a multi-Region key in another Region: the key with the same id there. Returns
 * undefined for a key that is not multi-Region; only ids of multi-Region keys begin with `mrk-` (KMS developer guide).
 */
export function relatedKeyArn(arn: string, region: string): string | undefined {
  const [prefix, partitionName, service, , account, key] = arn.split(':');
  if (!key?.startsWith('key/mrk-')) return undefined;
  return [prefix, partitionName, service, region, account, key].join(':');
}

/** Returns the partition in an ARN. */
export const partitionOfArn = (arn: string): string => arn.split(':')[1] ?? '';

/** Returns the Region in an ARN; empty if it names none. */
export const regionOfArn = (arn: string): string => arn.split(':')[3] ?? '';

/** Returns the name of a role or policy, without its path: what follows the last slash of the ARN. */
export const nameInArn = (arn: string): string => arn.slice(arn.lastIndexOf('/') + 1);
