import * as z from 'zod';
import { decodeObjectKey } from '../util/escape.ts';

/** A failed replication of one object version by one rule, as an event of S3 reports it. */
export interface FailureEvent {
  /** The source bucket. */
  bucket: string;
  /** Id of the rule. */
  rule: string;
  /** The key of the object, decoded. */
  key: string;
  versionId?: string;
  /** Orders the events of one key. */
  sequencer?: string;
  /** `OBJECT_PUT` */
  operation: string;
  /** `SrcGetObjectNotPermitted` */
  reason: string;
  /** Milliseconds since 1970: when the request was made, and when S3 reported the failure. */
  requestedAt?: number;
  reportedAt?: number;
}

/** The contents of a message of the queue. */
export type FailureMessage =
  | { type: 'events'; failures: FailureEvent[]; notices: ReplicationNotice[] }
  /** S3 sends it when a notification configuration is written. */
  | { type: 'test' }
  | { type: 'unknown'; why: string };

/** An event of replication that is no failure: an object was late, for example. */
export interface ReplicationNotice {
  bucket: string;
  rule: string;
  /** `OperationMissedThreshold` */
  event: string;
}

/** Longest texts of S3, in characters; a message can contain anything. */
const MAX_KEY_LENGTH = 1_024;
const MAX_RULE_LENGTH = 255;
const MAX_WORD_LENGTH = 64;

const text = (maxLength: number) => z.string().transform((value) => value.slice(0, maxLength));

/**
 * A record of an S3 event. Amazon S3 User Guide, "Event message structure" and "Receiving replication failure events":
 * version 2.2 of the structure, and later ones with the same fields.
 */
const recordSchema = z.object({
  eventSource: z.literal('aws:s3'),
  eventName: text(MAX_WORD_LENGTH),
  eventTime: z.string().optional(),
  s3: z.object({
    bucket: z.object({ name: text(MAX_RULE_LENGTH) }),
    object: z.object({
      key: z.string(),
      versionId: text(MAX_KEY_LENGTH).optional(),
      sequencer: text(MAX_WORD_LENGTH).optional(),
    }),
  }),
  replicationEventData: z
    .object({
      replicationRuleId: text(MAX_RULE_LENGTH),
      s3Operation: text(MAX_WORD_LENGTH).optional(),
      requestTime: z.string().optional(),
      failureReason: text(MAX_WORD_LENGTH).optional(),
    })
    .optional(),
});

const notificationSchema = z.object({ Records: z.array(recordSchema).min(1) });
const testEventSchema = z.object({ Event: z.literal('s3:TestEvent') });
/** The envelope of a message that SNS delivers without raw message delivery. */
const snsEnvelopeSchema = z.object({ Type: z.literal('Notification'), Message: z.string() });

const FAILED_EVENT = 'OperationFailedReplication';

/** Parses the body of a message. Pure; throws nothing. */
export function parseFailureMessage(body: string): FailureMessage {
  const value = jsonOf(body);
  const envelope = snsEnvelopeSchema.safeParse(value);
  const payload = envelope.success ? jsonOf(envelope.data.Message) : value;
  if (testEventSchema.safeParse(payload).success) return { type: 'test' };
  if (payload === undefined) return { type: 'unknown', why: 'it is not JSON' };
  const notification = notificationSchema.safeParse(payload);
  if (!notification.success) return { type: 'unknown', why: 'it is no event of S3' };
  const failures: FailureEvent[] = [];
  const notices: ReplicationNotice[] = [];
  for (const record of notification.data.Records) {
    // The user guide shows the name without `s3:`, and names the type of the event with it.
    const [, event] = /^(?:s3:)?Replication:(\w+)$/.exec(record.eventName) ?? [];
    if (event === undefined || record.replicationEventData === undefined)
      return { type: 'unknown', why: 'it is an event of S3 about something else' };
    const { replicationRuleId: rule } = record.replicationEventData;
    if (event === FAILED_EVENT) failures.push(toFailureEvent(record));
    else notices.push({ bucket: record.s3.bucket.name, rule, event });
  }
  return { type: 'events', failures, notices };
}

function toFailureEvent({
  eventTime,
  s3: { bucket, object },
  replicationEventData,
}: z.output<typeof recordSchema>): FailureEvent {
  const { replicationRuleId = '', s3Operation, requestTime, failureReason } = replicationEventData ?? {};
  const requestedAt = eventTimeOf(requestTime);
  const reportedAt = eventTimeOf(eventTime);
  return {
    bucket: bucket.name,
    rule: replicationRuleId,
    key: decodeObjectKey(object.key).slice(0, MAX_KEY_LENGTH),
    ...(object.versionId !== undefined && { versionId: object.versionId }),
    ...(object.sequencer !== undefined && { sequencer: object.sequencer }),
    operation: s3Operation ?? 'unknown',
    reason: failureReason ?? 'unknown',
    ...(requestedAt !== undefined && { requestedAt }),
    ...(reportedAt !== undefined && { reportedAt }),
  };
}

function eventTimeOf(time: string | undefined): number | undefined {
  const ms = Date.parse(time ?? '');
  return Number.isNaN(ms) ? undefined : ms;
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
