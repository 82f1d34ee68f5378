import { CloudTrailClient, type Event, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import type { Aws, Location } from '../core/resource.ts';
import { paginate } from './paginate.ts';

/** What asks CloudTrail: a module of its own, since only drift needs it, and loads it then. */
export interface CloudTrailModule {
  CloudTrailClient: typeof CloudTrailClient;
  lookUp: typeof lookUp;
}

export { CloudTrailClient };

/** Events of one name, in milliseconds since 1970. */
export interface EventQuery {
  eventName: string;
  fromMs: number;
  toMs: number;
}

/** Where so much happens, who did one thing of it is not worth the calls: two a second are all that an account has. */
const MAX_EVENT_PAGES = 20;

/**
 * The management events of one name in one Region, newest first. By name and not by resource: a key's events are above
 * all its uses, and a bucket's its reads.
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
          // Times of events have whole seconds.
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
