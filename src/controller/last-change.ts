import * as z from 'zod';
import { visible } from '../visible.ts';

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
export interface TrailEvent {
  CloudTrailEvent?: string | undefined;
}

const record = z.object({
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
type Told = z.output<typeof record>;

/** What is looked for: changes of one document, in milliseconds since 1970. */
interface Window {
  since: number;
  until: number;
  isAbout(parameters: Record<string, unknown>): boolean;
}

/** The newest of the events that changed a document and was not ours; undefined: not known, or not yet. Pure. */
export function lastChange(
  events: readonly TrailEvent[],
  { since, until, isAbout }: Window,
): LastChange | undefined {
  const [last] = events
    .flatMap(toldIn)
    .filter(({ errorCode, userAgent = '', requestParameters, eventTime }) => {
      const at = Date.parse(eventTime);
      return (
        errorCode === undefined &&
        !isOurs(userAgent) &&
        // Times of events have whole seconds.
        at > since - 1_000 &&
        at <= until &&
        isAbout(requestParameters ?? {})
      );
    })
    .sort((a, b) => Date.parse(b.eventTime) - Date.parse(a.eventTime));
  const by = last && whoIn(last);
  return last && by !== undefined
    ? { by: visible(by), event: visible(last.eventName), at: last.eventTime }
    : undefined;
}

/** What is not of the form of an event tells nothing. */
function toldIn({ CloudTrailEvent = '' }: TrailEvent): Told[] {
  try {
    const told = record.safeParse(JSON.parse(CloudTrailEvent));
    return told.success ? [told.data] : [];
  } catch {
    return [];
  }
}

/** Every call of ours says so; S3 tells it in brackets. */
const isOurs = (userAgent: string): boolean => /^\[?replikey\//.test(userAgent);

/** Of a caller from another account CloudTrail tells only which. */
const whoIn = ({ userIdentity: { arn, invokedBy, accountId } }: Told): string | undefined =>
  arn ?? invokedBy ?? (accountId === undefined ? undefined : `account ${accountId}`);
