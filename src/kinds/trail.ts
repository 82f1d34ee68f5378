import { DescribeKeyCommand } from '@aws-sdk/client-kms';
import { partition } from '../core/permissions.ts';
import type { Trail } from '../core/resource.ts';

import { orAbsent } from './absent.ts';

/** What CloudTrail tells of buckets, roles and keys; an event has the name of its operation unless S3 has another. */
export const bucketTrail = (events: Trail['events']): Trail => ({
  events,
  isAbout: ({ bucketName }, names) => isOneOf(bucketName, names),
});

/** IAM tells in one Region of each partition. `policy`: where only its inline policy of that name counts. */
export const roleTrail = (events: Trail['events'], policy?: string): Trail => ({
  events,
  region: (region) => HOMES[partition(region)] ?? 'us-east-1',
  isAbout: ({ roleName, policyName }, names) =>
    isOneOf(roleName, names) && (policy === undefined || policyName === policy),
});

const HOMES: Record<string, string> = { 'aws-cn': 'cn-north-1', 'aws-us-gov': 'us-gov-west-1' };

/** Whoever changes a key may call it by its id or its ARN; only its alias is declared. */
export const keyTrail = (events: Trail['events']): Trail => ({
  events,
  async aliases(aws, at, name) {
    const key = await orAbsent(aws.send(at, new DescribeKeyCommand({ KeyId: name })), 'NotFoundException');
    return [key?.KeyMetadata?.KeyId, key?.KeyMetadata?.Arn].filter((one) => one !== undefined);
  },
  isAbout: ({ keyId, aliasName }, names) => isOneOf(keyId, names) || isOneOf(aliasName, names),
});

/** Names of roles are compared without regard to case; the others have no letters of both. */
const isOneOf = (value: unknown, names: readonly string[]): boolean =>
  typeof value === 'string' && names.some((name) => name.toLowerCase() === value.toLowerCase());
