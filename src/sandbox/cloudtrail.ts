import type { Event, LookupEventsRequest, LookupEventsResponse } from '@aws-sdk/client-cloudtrail';
import { authorize } from './authorize.ts';
import { AwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import { page } from './page.ts';
import type { TrailEvent } from './trail.ts';

/** The API of CloudTrail (JSON 1.1), as much of it as tells who changed something. */
export const cloudTrailHandlers: Handlers = {
  LookupEvents(call, input: LookupEventsRequest): LookupEventsResponse {
    demand(call);
    const { LookupAttributes = [], StartTime, EndTime, MaxResults = 50, NextToken } = input;
    if (LookupAttributes.length > 1)
      throw refused('InvalidLookupAttributesException', 'You can only specify one lookup attribute.');
    if (StartTime && EndTime && StartTime > EndTime)
      throw refused('InvalidTimeRangeException', 'The start time is after the end time.');
    if (MaxResults < 1 || MaxResults > 50)
      throw refused('InvalidMaxResultsException', 'MaxResults must be between 1 and 50.');
    const [{ AttributeKey = '', AttributeValue = '' } = {}] = LookupAttributes;
    const found = call.trail
      .events(call.caller.account, call.region, call.now - call.knobs.trailDelayMs)
      .filter((event) => {
        // Times of events have whole seconds.
        const at = Math.floor(event.at / 1000) * 1000;
        if ((StartTime && at < StartTime.getTime()) || (EndTime && at > EndTime.getTime())) return false;
        return AttributeKey === '' || attributesOf(event)[AttributeKey]?.includes(AttributeValue);
      });
    const { items, next } = page(found, MaxResults, NextToken);
    return { Events: items.map(shown), ...(next === undefined ? {} : { NextToken: next }) };
  },
};

function demand(call: Call): void {
  const action = `cloudtrail:${call.operation}`;
  const decision = authorize(
    call.store,
    { principal: call.caller.arn, action, resource: '*', resourceAccount: call.caller.account },
    call.now,
  );
  if (decision.allowed) return;
  throw refused(
    'AccessDeniedException',
    `User: ${call.caller.arn} is not authorized to perform: ${action} because ${decision.reason}`,
  );
}

/** What an event can be looked up by. */
const attributesOf = ({
  name,
  source,
  username,
  resources,
  record,
}: TrailEvent): Record<string, string[]> => ({
  EventId: [record.eventID],
  EventName: [name],
  EventSource: [source],
  ReadOnly: ['false'],
  ResourceName: resources,
  Username: [username],
});

const shown = ({ at, name, source, username, resources, record }: TrailEvent): Event => ({
  EventId: record.eventID,
  EventName: name,
  ReadOnly: 'false',
  EventTime: new Date(Math.floor(at / 1000) * 1000),
  EventSource: source,
  Username: username,
  Resources: resources.map((ResourceName) => ({ ResourceName })),
  CloudTrailEvent: JSON.stringify(record),
});

const refused = (code: string, message: string): AwsError => new AwsError(400, code, message);
