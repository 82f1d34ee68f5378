import * as z from 'zod';
import type { AuditedCall } from '../core/kind.ts';
import { escapeUnprintable } from '../util/escape.ts';

/** The last change of a document, according to CloudTrail. */
export interface LastChange {
  /** The ARN of the caller, or the service that made the change by itself. */
  by: string;
  /** `PutRolePolicy` */
  event: string;
  /** ISO 8601, in whole seconds. */
  at: string;
}

/** An event as LookupEvents returns it: the JSON text in this field contains most of the record. */
export interface LookupEventsEntry {
  CloudTrailEvent?: string | undefined;
}

/** A record of CloudTrail (AWS CloudTrail User Guide, "CloudTrail record contents"): the fields that name a change. */
export const auditRecordSchema = z.object({
  eventName: z.string(),
  eventTime: z.iso.datetime(),
  userIdentity: z.object({
    arn: z.string().optional(),
    invokedBy: z.string().optional(),
    accountId: z.string().optional(),
  }),
  userAgent: z.string().optional(),
  errorCode: z.string().optional(),
  requestParameters: z.record(z.string(), z.unknown()).nullish(),
  resources: z.array(z.object({ ARN: z.string().optional() })).nullish(),
});
export type AuditRecord = z.output<typeof auditRecordSchema>;

/** The changes of one document to look for, in a period in milliseconds since 1970. */
interface ChangeFilter {
  since: number;
  until: number;
  isAbout(call: AuditedCall): boolean;
}

/**
 * Returns the newest event that changed a document and that replikey did not cause. Returns undefined if no such event
 * is available (yet). Pure.
 */
export function findLastChange(
  records: readonly AuditRecord[],
  { since, until, isAbout }: ChangeFilter,
): LastChange | undefined {
  const [newest] = records
    .filter((record) => {
      const at = Date.parse(record.eventTime);
      return (
        record.errorCode === undefined &&
        !isReplikey(record) &&
        // CloudTrail gives event times in whole seconds.
        at > since - 1_000 &&
        at <= until &&
        isAbout(auditedCallOf(record))
      );
    })
    .sort((a, b) => Date.parse(b.eventTime) - Date.parse(a.eventTime));
  const caller = newest && callerOf(newest);
  return newest && caller !== undefined
    ? { by: escapeUnprintable(caller), event: escapeUnprintable(newest.eventName), at: newest.eventTime }
    : undefined;
}

/** Returns an empty list for an event that does not have the expected form. */
export function parseLookupEntry({ CloudTrailEvent = '' }: LookupEventsEntry): AuditRecord[] {
  try {
    const parsed = auditRecordSchema.safeParse(JSON.parse(CloudTrailEvent));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
}

export const auditedCallOf = ({
  requestParameters,
  resources,
}: Pick<AuditRecord, 'requestParameters' | 'resources'>): AuditedCall => ({
  parameters: requestParameters ?? {},
  resourceArns: (resources ?? []).flatMap(({ ARN }) => ARN ?? []),
});

/**
 * Whether replikey made the call: its user agent says so. S3 reports the user agent in brackets.
 */
export const isReplikey = ({ userAgent = '' }: Pick<AuditRecord, 'userAgent'>): boolean =>
  /^\[?replikey\//.test(userAgent);

/** Returns the caller. For a caller from another account, CloudTrail reports only the account. */
const callerOf = ({ userIdentity: { arn, invokedBy, accountId } }: AuditRecord): string | undefined =>
  arn ?? invokedBy ?? (accountId === undefined ? undefined : `account ${accountId}`);
