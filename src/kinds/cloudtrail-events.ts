import type { AuditEvents } from '../core/kind.ts';
import { globalRegionOf } from '../util/arn.ts';

/** Events of a bucket. An event has the name of its operation, unless S3 gives it another. */
export const bucketAuditEvents = (events: AuditEvents['eventNamesByPath']): AuditEvents => ({
  eventNamesByPath: events,
  matches: ({ bucketName }, identifiers) => matchesAny(bucketName, identifiers),
});

/** Events of a role, which IAM records in one Region of each partition. `inlinePolicy` selects those of one policy. */
export const roleAuditEvents = (
  events: AuditEvents['eventNamesByPath'],
  inlinePolicy?: string,
): AuditEvents => ({
  eventNamesByPath: events,
  eventRegion: (region) => iamRegionOf(region),
  matches: ({ roleName, policyName }, identifiers) =>
    matchesAny(roleName, identifiers) && (inlinePolicy === undefined || policyName === inlinePolicy),
});

/** Returns the Region of IAM in the partition of a Region. In China it differs from that of the other global services. */
export const iamRegionOf = (region: string): string =>
  region.startsWith('cn-') ? 'cn-north-1' : globalRegionOf(region);

/** Events of a key. A caller may refer to it by its id, its ARN or its alias. */
export const keyAuditEvents = (
  events: AuditEvents['eventNamesByPath'],
  fetchAliases: NonNullable<AuditEvents['fetchAliases']>,
): AuditEvents => ({
  eventNamesByPath: events,
  fetchAliases,
  matches: ({ keyId, aliasName }, identifiers) =>
    matchesAny(keyId, identifiers) || matchesAny(aliasName, identifiers),
});

/** Events of an alarm. Some operations name several alarms. */
export const alarmAuditEvents = (events: AuditEvents['eventNamesByPath']): AuditEvents => ({
  eventNamesByPath: events,
  // The names of alarms are case-sensitive.
  matches: ({ alarmName, alarmNames }, identifiers) =>
    [alarmName, alarmNames].flat().some((name) => typeof name === 'string' && identifiers.includes(name)),
});

/** Events of batch jobs, by the bucket whose objects they process. */
export const jobAuditEvents: AuditEvents = {
  eventNamesByPath: { '': [], '/': ['CreateJob', 'UpdateJobStatus'] },
  matches: (parameters, identifiers) =>
    identifiers.some((bucket) => JSON.stringify(parameters).includes(`:s3:::${bucket}"`)),
};

/**
 * Whether a value is among the candidates, without regard to case. IAM compares role names in this way; names of
 * buckets and keys have one case only.
 */
const matchesAny = (value: unknown, candidates: readonly string[]): boolean =>
  typeof value === 'string' &&
  candidates.some((candidate) => candidate.toLowerCase() === value.toLowerCase());
