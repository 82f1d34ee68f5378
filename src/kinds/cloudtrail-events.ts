import type { AuditEvents, Kind } from '../core/kind.ts';
import { globalRegionOf } from '../util/arn.ts';
import { toSortedSet } from '../util/canonical-json.ts';

type EventNames = Pick<AuditEvents, 'eventNamesByPath' | 'proofEventNames'>;

/** Events of a bucket. An event has the name of its operation, unless S3 gives it another. */
export const bucketAuditEvents = (
  events: AuditEvents['eventNamesByPath'],
  names?: string[],
): AuditEvents => ({
  source: 's3.amazonaws.com',
  ...eventNames(events, names),
  namesIn: ({ parameters: { bucketName } }) => lowerCaseNames(bucketName),
  normalizeName: toLowerCase,
});

/** Events of a role, which IAM records in one Region of each partition. `inlinePolicy` selects those of one policy. */
export const roleAuditEvents = (
  events: AuditEvents['eventNamesByPath'],
  { inlinePolicy, proofEventNames }: { inlinePolicy?: string; proofEventNames?: string[] } = {},
): AuditEvents => ({
  source: 'iam.amazonaws.com',
  ...eventNames(events, proofEventNames),
  eventRegion: (region) => iamRegionOf(region),
  // A version of a managed policy names only the policy. Other calls with a policy name the role as well.
  namesIn: ({ parameters: { roleName, policyName, policyArn } }) =>
    inlinePolicy === undefined || policyName === inlinePolicy ? lowerCaseNames(roleName ?? policyArn) : [],
  normalizeName: toLowerCase,
});

/** Returns the Region of IAM in the partition of a Region. In China it differs from that of the other global services. */
export const iamRegionOf = (region: string): string =>
  region.startsWith('cn-') ? 'cn-north-1' : globalRegionOf(region);

/** Events of a key. A caller may refer to it by its id, its ARN or its alias. */
export const keyAuditEvents = (
  events: AuditEvents['eventNamesByPath'],
  fetchAliases: NonNullable<AuditEvents['fetchAliases']>,
  proofEventNames?: string[],
): AuditEvents => ({
  source: 'kms.amazonaws.com',
  ...eventNames(events, proofEventNames),
  fetchAliases,
  namesIn({ parameters: { keyId, aliasName }, resourceArns }) {
    const names = [keyId, aliasName].flatMap((name) => (typeof name === 'string' ? name : []));
    // RetireGrant with a token has no parameters (AWS KMS Developer Guide, "Logging AWS KMS API calls").
    return (names.length > 0 ? names : resourceArns).map(keyNameOf);
  },
  normalizeName: keyNameOf,
});

/** Returns the id of a key, or `alias/NAME`, from itself or from an ARN. */
const keyNameOf = (name: string): string => toLowerCase(name.replace(/^arn:.*?:(key\/|(?=alias\/))/, ''));

/** Events of an alarm. Some operations name several alarms. */
export const alarmAuditEvents = (events: AuditEvents['eventNamesByPath']): AuditEvents => ({
  source: 'monitoring.amazonaws.com',
  eventNamesByPath: events,
  namesIn: ({ parameters: { alarmName, alarmNames } }) =>
    [alarmName, alarmNames].flat().flatMap((name) => (typeof name === 'string' ? name : [])),
  // The names of alarms are case-sensitive.
  normalizeName: (name) => name,
});

/** Events of batch jobs, by the bucket whose objects they process. */
export const jobAuditEvents: AuditEvents = {
  source: 's3.amazonaws.com',
  eventNamesByPath: { '': [], '/': ['CreateJob', 'UpdateJobStatus'] },
  namesIn: ({ parameters }) =>
    [...JSON.stringify(parameters).matchAll(/:s3:::([a-z0-9.-]+)"/g)].map(([, bucket = '']) => bucket),
  normalizeName: toLowerCase,
};

/** Events of a queue. Calls name its URL, whose host differs between endpoints. */
export const queueAuditEvents = (events: AuditEvents['eventNamesByPath']): AuditEvents => ({
  source: 'sqs.amazonaws.com',
  eventNamesByPath: events,
  namesIn: ({ parameters: { queueUrl } }) =>
    typeof queueUrl === 'string' ? [queueUrl.split('/').slice(-2).join('/')] : [],
  normalizeName: (arn) => arn.split(':').slice(-2).join('/'),
});

/** Events of a topic, which calls name by its ARN. */
export const topicAuditEvents = (events: AuditEvents['eventNamesByPath']): AuditEvents => ({
  source: 'sns.amazonaws.com',
  eventNamesByPath: events,
  namesIn: ({ parameters: { topicArn } }) => (typeof topicArn === 'string' ? [topicArn] : []),
  normalizeName: (arn) => arn,
});

/** Returns the names of all events that concern what kinds declare or prove, by event source, sorted. */
export function changeEventNames(kinds: Iterable<Kind>): Map<string, string[]> {
  const namesBySource = new Map<string, string[]>();
  for (const { auditEvents } of kinds) {
    const { source, eventNamesByPath, proofEventNames = [] } = auditEvents;
    const names = [...Object.values(eventNamesByPath).flat(), ...proofEventNames];
    namesBySource.set(source, toSortedSet([...(namesBySource.get(source) ?? []), ...names]));
  }
  return namesBySource;
}

const eventNames = (
  eventNamesByPath: AuditEvents['eventNamesByPath'],
  proofEventNames?: string[],
): EventNames => ({
  eventNamesByPath,
  ...(proofEventNames && { proofEventNames }),
});

/** Names are compared without regard to case. IAM compares role names in this way; those of buckets have one case only. */
function toLowerCase(name: string): string {
  return name.toLowerCase();
}

const lowerCaseNames = (name: unknown): string[] => (typeof name === 'string' ? [toLowerCase(name)] : []);
