import * as z from 'zod';
import { type AuditRecord, auditRecordSchema } from './audit-record.ts';

/** A change in AWS, as CloudTrail recorded it and EventBridge delivered it. */
export interface ChangeEvent extends AuditRecord {
  /** The same in each delivery of the event. */
  eventID: string;
  /** `s3.amazonaws.com` */
  eventSource: string;
  awsRegion: string;
  /** The account that received the event, 12 digits. With a call across accounts, each of them receives one. */
  recipientAccountId: string;
}

/** The contents of a message of the queue. */
export type ChangeMessage = { type: 'event'; event: ChangeEvent } | { type: 'unknown'; why: string };

const changeEventSchema = auditRecordSchema.extend({
  eventID: z.string().min(1).max(100),
  eventSource: z.string(),
  awsRegion: z.string(),
  recipientAccountId: z.string().regex(/^\d{12}$/),
});

/**
 * The envelope of EventBridge (Amazon EventBridge Events Reference, "Event structure", and "AWS service events delivered
 * via AWS CloudTrail"). Only AWS services can send events whose source begins with `aws.`.
 */
const eventBridgeSchema = z.object({
  'detail-type': z.literal('AWS API Call via CloudTrail'),
  source: z.string().startsWith('aws.'),
  detail: changeEventSchema,
});

/** Longest value of a parameter that is kept, in characters of JSON. Documents are longer, and not needed. */
const MAX_KEPT_LENGTH = 1_024;

/** Parses the body of a message. Pure; throws nothing. */
export function parseChangeMessage(body: string): ChangeMessage {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { type: 'unknown', why: 'it is not JSON' };
  }
  const envelope = eventBridgeSchema.safeParse(value);
  if (!envelope.success) return { type: 'unknown', why: 'it is no event of EventBridge about an API call' };
  const { requestParameters, ...detail } = envelope.data.detail;
  const parameters = Object.entries(requestParameters ?? {}).filter(
    ([, parameter]) => JSON.stringify(parameter).length <= MAX_KEPT_LENGTH,
  );
  return { type: 'event', event: { ...detail, requestParameters: Object.fromEntries(parameters) } };
}
