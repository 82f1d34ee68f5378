import { CloudTrailClient, type Event, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import { pages } from '../core/pages.ts';
import type { Aws, Place } from '../core/resource.ts';

/** What asks CloudTrail: a module of its own, since only drift needs it, and loads it then. */
export interface CloudTrail {
  CloudTrailClient: typeof CloudTrailClient;
  lookUp: typeof lookUp;
}

export { CloudTrailClient };

/** Events of one name, in milliseconds since 1970. */
export interface Sought {
  event: string;
  from: number;
  to: number;
}

/** Where so much happens, who did one thing of it is not worth the calls: two a second are all that an account has. */
const MOST_PAGES = 20;

/**
 * The management events of one name in one Region, newest first. By name and not by resource: a key's events are above
 * all its uses, and a bucket's its reads.
 */
export async function lookUp(aws: Aws, at: Place, { event, from, to }: Sought): Promise<Event[]> {
  const found: Event[] = [];
  let count = 0;
  const all = pages(
    (NextToken) =>
      aws.send(
        at,
        new LookupEventsCommand({
          LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: event }],
          // Times of events have whole seconds.
          StartTime: new Date(Math.floor(from / 1000) * 1000),
          EndTime: new Date(to),
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
      ),
    ({ NextToken }) => ({ more: NextToken !== undefined, marker: NextToken }),
  );
  for await (const { Events = [] } of all) {
    found.push(...Events);
    count += 1;
    if (count === MOST_PAGES) break;
  }
  return found;
}
