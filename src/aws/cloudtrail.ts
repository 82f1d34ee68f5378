import { type Event, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import type { Aws, Location } from '../core/resource.ts';
import { paginate } from './paginate.ts';

/** The module that calls CloudTrail. Only drift attribution needs it, and loads it on demand. */
export interface CloudTrailModule {
  lookUp: typeof lookUp;
}

/** Selects the events of one name in a time range, in milliseconds since 1970. */
export interface EventQuery {
  eventName: string;
  fromMs: number;
  toMs: number;
}

/**
 * Limits the pages of one lookup. In a busier account, attribution is not worth the calls: CloudTrail allows two a
 * second.
 */
const MAX_EVENT_PAGES = 20;

/**
 * Returns the management events of one name in one Region, newest first. It filters by name and not by resource,
 * because most events of a key are its uses, and most events of a bucket are reads.
 */
export async function lookUp(
  aws: Aws,
  location: Location,
  { eventName, fromMs, toMs }: EventQuery,
): Promise<Event[]> {
  const events: Event[] = [];
  let pageCount = 0;
  const eventPages = paginate(
    (NextToken) =>
      aws.send(
        location,
        new LookupEventsCommand({
          LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: eventName }],
          // CloudTrail records event times in whole seconds.
          StartTime: new Date(Math.floor(fromMs / 1000) * 1000),
          EndTime: new Date(toMs),
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
      ),
    ({ NextToken }) => ({ hasMore: NextToken !== undefined, marker: NextToken }),
  );
  for await (const { Events = [] } of eventPages) {
    events.push(...Events);
    pageCount += 1;
    if (pageCount === MAX_EVENT_PAGES) break;
  }
  return events;
}
