import { randomBytes } from 'node:crypto';
import type {
  LambdaFunctionConfiguration,
  NotificationConfiguration,
  NotificationConfigurationFilter,
  QueueConfiguration,
  TopicConfiguration,
} from '@aws-sdk/client-s3';
import { bucketArn } from '../../util/arn.ts';
import type { ServiceSender } from '../authorize.ts';
import { HOST_ID } from '../protocol/rest-xml.ts';
import type { SendRefusal, ServiceMessage } from '../sqs/queue-service.ts';
import type { BucketState } from '../state.ts';
import { policyInUse } from '../stored-policies.ts';

/** Queues or topics, to which S3 sends as a service. */
export interface NotificationDestination {
  findRefusal(arn: string, sender: ServiceSender): SendRefusal | undefined;
  sendAs(sender: ServiceSender, arn: string, message: ServiceMessage): SendRefusal | undefined;
}

export type DestinationService = 'sqs' | 'sns';

/** Sends events of buckets to the destinations of their notification configurations. */
export interface EventNotifier {
  destinations: Record<DestinationService, NotificationDestination>;
  /** Sends an event. Synchronous, so that one commit contains the event and the change that it reports. */
  notify(bucket: BucketState, event: BucketEvent): void;
}

export interface BucketEvent {
  /** Without `s3:`, as the message names it: `Replication:OperationFailedReplication`. */
  name: string;
  key: string;
  object: { size?: number; eTag?: string; versionId?: string; hasSequencer: boolean };
  /** Version of the message: 2.2 for events of replication. */
  version: string;
  /** Principal and address that caused the event: `s3.amazonaws.com` for events of replication. */
  principalId: string;
  sourceIp: string;
  /** Data of the type of the event: `replicationEventData`. */
  data: Record<string, unknown>;
}

/** One configuration of a bucket: events of keys for one destination. */
export interface NotificationEntry {
  service: DestinationService | 'lambda';
  arn: string;
  id: string | undefined;
  events: readonly string[];
  filter: NotificationConfigurationFilter | undefined;
}

export function entriesOf(configuration: NotificationConfiguration): NotificationEntry[] {
  const toEntry = (
    service: NotificationEntry['service'],
    arn: string | undefined,
    { Id, Events, Filter }: QueueConfiguration | TopicConfiguration | LambdaFunctionConfiguration,
  ): NotificationEntry => ({ service, arn: arn ?? '', id: Id, events: Events ?? [], filter: Filter });
  return [
    ...(configuration.TopicConfigurations ?? []).map((entry) => toEntry('sns', entry.TopicArn, entry)),
    ...(configuration.QueueConfigurations ?? []).map((entry) => toEntry('sqs', entry.QueueArn, entry)),
    ...(configuration.LambdaFunctionConfigurations ?? []).map((entry) =>
      toEntry('lambda', entry.LambdaFunctionArn, entry),
    ),
  ];
}

/** Returns the value of a rule of a filter; empty without such a rule, which selects every key. */
export const filterValueOf = (
  filter: NotificationConfigurationFilter | undefined,
  name: 'prefix' | 'suffix',
): string => filter?.Key?.FilterRules?.find(({ Name }) => Name?.toLowerCase() === name)?.Value ?? '';

/** Returns S3 as the sender of events of a bucket. */
export const s3SenderOf = ({ name, region, owner }: BucketState): ServiceSender => ({
  service: 's3.amazonaws.com',
  sourceArn: bucketArn(name, region),
  sourceAccount: owner,
});

/** Subject of the messages of S3 to a topic. */
export const S3_SUBJECT = 'Amazon S3 Notification';

export function createEventNotifier(options: {
  destinations: EventNotifier['destinations'];
  clock: () => number;
  /** Callback for an event that a destination rejects. S3 does not report it. */
  onError: (message: string) => void;
}): EventNotifier {
  const { destinations, clock, onError } = options;
  return {
    destinations,
    notify(bucket, event) {
      const { notifications } = bucket;
      if (!notifications) return;
      const now = clock();
      const configuration = policyInUse(notifications.configuration, notifications.superseded, now);
      for (const entry of entriesOf(configuration)) {
        if (entry.service === 'lambda' || !selectsEvent(entry, event)) continue;
        const body = JSON.stringify({ Records: [toEventRecord(bucket, event, entry, now)] });
        const refusal = destinations[entry.service].sendAs(s3SenderOf(bucket), entry.arn, {
          body,
          subject: S3_SUBJECT,
        });
        if (refusal)
          onError(
            `cannot send the event ${event.name} of s3://${bucket.name}/${event.key} to ${entry.arn}: ${refusal.detail}`,
          );
      }
    },
  };
}

/** Returns whether an event type of a configuration (`s3:Replication:*`) contains another one, or an event. */
export const coversEvent = (pattern: string, name: string): boolean =>
  pattern === name || (pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1)));

const selectsEvent = ({ events, filter }: NotificationEntry, { name, key }: BucketEvent): boolean =>
  events.some((pattern) => coversEvent(pattern, `s3:${name}`)) &&
  key.startsWith(filterValueOf(filter, 'prefix')) &&
  key.endsWith(filterValueOf(filter, 'suffix'));

/** S3 User Guide, "Event message structure". */
function toEventRecord(
  bucket: BucketState,
  event: BucketEvent,
  entry: NotificationEntry,
  now: number,
): object {
  const { hasSequencer, ...object } = event.object;
  return {
    eventVersion: event.version,
    eventSource: 'aws:s3',
    awsRegion: bucket.region,
    eventTime: new Date(now).toISOString(),
    eventName: event.name,
    userIdentity: { principalId: event.principalId },
    requestParameters: { sourceIPAddress: event.sourceIp },
    responseElements: {
      'x-amz-request-id': randomBytes(8).toString('hex').toUpperCase(),
      'x-amz-id-2': HOST_ID,
    },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: entry.id,
      bucket: {
        name: bucket.name,
        ownerIdentity: { principalId: bucket.owner },
        arn: bucketArn(bucket.name, bucket.region),
      },
      object: {
        key: encodeEventKey(event.key),
        ...object,
        ...(hasSequencer ? { sequencer: nextSequencer(now) } : {}),
      },
    },
    ...event.data,
  };
}

/** Encodes a key as S3 does in events: `red+flower.jpg`, `a%40b`, and slashes as they are. */
const encodeEventKey = (key: string): string =>
  encodeURIComponent(key)
    .replaceAll('%20', '+')
    .replaceAll('%2F', '/')
    .replace(/[!'()~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

let sequence = 0;

/** Returns 18 hexadecimal digits, which are greater for a later event: the seconds, and a counter. */
function nextSequencer(now: number): string {
  sequence = (sequence + 1) % 0xffffffff;
  const toHex = (value: number, length: number) => value.toString(16).toUpperCase().padStart(length, '0');
  return toHex(Math.floor(now / 1000), 10) + toHex(sequence, 8);
}
