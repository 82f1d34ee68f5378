import { DescribeKeyCommand } from '@aws-sdk/client-kms';
import type { AuditEvents } from '../core/resource.ts';
import { partitionOfRegion } from '../util/arn.ts';

import { ignoreErrors } from './helpers.ts';

/** What CloudTrail tells of buckets, roles and keys; an event has the name of its operation unless S3 has another. */
export const bucketAuditEvents = (events: AuditEvents['eventNamesByPath']): AuditEvents => ({
  eventNamesByPath: events,
  matches: ({ bucketName }, identifiers) => matchesAny(bucketName, identifiers),
});

/** IAM tells in one Region of each partition. `policy`: where only its inline policy of that name counts. */
export const roleAuditEvents = (
  events: AuditEvents['eventNamesByPath'],
  inlinePolicy?: string,
): AuditEvents => ({
  eventNamesByPath: events,
  eventRegion: (region) => IAM_HOME_REGIONS[partitionOfRegion(region)] ?? 'us-east-1',
  matches: ({ roleName, policyName }, identifiers) =>
    matchesAny(roleName, identifiers) && (inlinePolicy === undefined || policyName === inlinePolicy),
});

const IAM_HOME_REGIONS: Record<string, string> = { 'aws-cn': 'cn-north-1', 'aws-us-gov': 'us-gov-west-1' };

/** Whoever changes a key may call it by its id or its ARN; only its alias is declared. */
export const keyAuditEvents = (events: AuditEvents['eventNamesByPath']): AuditEvents => ({
  eventNamesByPath: events,
  async fetchAliases(aws, location, name) {
    const key = await ignoreErrors(
      aws.send(location, new DescribeKeyCommand({ KeyId: name })),
      'NotFoundException',
    );
    return [key?.KeyMetadata?.KeyId, key?.KeyMetadata?.Arn].filter((identifier) => identifier !== undefined);
  },
  matches: ({ keyId, aliasName }, identifiers) =>
    matchesAny(keyId, identifiers) || matchesAny(aliasName, identifiers),
});

/** Names of roles are compared without regard to case; the others have no letters of both. */
const matchesAny = (value: unknown, candidates: readonly string[]): boolean =>
  typeof value === 'string' &&
  candidates.some((candidate) => candidate.toLowerCase() === value.toLowerCase());
