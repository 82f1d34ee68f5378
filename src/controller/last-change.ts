import * as z from 'zod';
import { escapeUnprintable } from '../util/escape.ts';

/** Who changed something last, as CloudTrail tells it. */
export interface LastChange {
  /** The ARN of whoever it was, or the service that did it by itself. */
  by: string;
  /** `PutRolePolicy` */
  event: string;
  /** ISO 8601, in whole seconds. */
  at: string;
}

/** An event as LookupEvents answers it: all but a few fields are a JSON text within. */
export interface LookupEventsEntry {
  CloudTrailEvent?: string | undefined;
}

const cloudTrailRecord = z.object({
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
});
type CloudTrailRecord = z.output<typeof cloudTrailRecord>;

/** What is looked for: changes of one document, in milliseconds since 1970. */
interface ChangeFilter {
  since: number;
  until: number;
  isAbout(parameters: Record<string, unknown>): boolean;
}

/** The newest of the events that changed a document and was not ours; undefined: not known, or not yet. Pure. */
export function findLastChange(
  events: readonly LookupEventsEntry[],
  { since, until, isAbout }: ChangeFilter,
): LastChange | undefined {
  const [newest] = events
    .flatMap(parseRecord)
    .filter(({ errorCode, userAgent = '', requestParameters, eventTime }) => {
      const at = Date.parse(eventTime);
      return (
        errorCode === undefined &&
        !isReplikey(userAgent) &&
        // Times of events have whole seconds.
        at > since - 1_000 &&
        at <= until &&
        isAbout(requestParameters ?? {})
      );
    })
    .sort((a, b) => Date.parse(b.eventTime) - Date.parse(a.eventTime));
  const caller = newest && callerOf(newest);
  return newest && caller !== undefined
    ? { by: escapeUnprintable(caller), event: escapeUnprintable(newest.eventName), at: newest.eventTime }
    : undefined;
}

/** What is not of the form of an event tells nothing. */
function parseRecord({ CloudTrailEvent = '' }: LookupEventsEntry): CloudTrailRecord[] {
  try {
    const parsed = cloudTrailRecord.safeParse(JSON.parse(CloudTrailEvent));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
}

/** Every call of ours says so; S3 tells it in brackets. */
const isReplikey = (userAgent: string): boolean => /^\[?replikey\//.test(userAgent);

/** Of a caller from another account CloudTrail tells only which. */
const callerOf = ({ userIdentity: { arn, invokedBy, accountId } }: CloudTrailRecord): string | undefined =>
  arn ?? invokedBy ?? (accountId === undefined ? undefined : `account ${accountId}`);
