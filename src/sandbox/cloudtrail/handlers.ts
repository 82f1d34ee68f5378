import type { Event, LookupEventsRequest, LookupEventsResponse } from '@aws-sdk/client-cloudtrail';
import { AwsError } from '../aws-error.ts';
import { authorizeCaller, type Call, type Handlers, pageOf } from '../call.ts';
import type { EventLogEntry } from './event-log.ts';

/** Handlers of the CloudTrail API (JSON 1.1 protocol): only LookupEvents, which replikey uses for attribution. */
export const cloudTrailHandlers: Handlers = {
  LookupEvents(call, input: LookupEventsRequest): LookupEventsResponse {
    requireCloudTrailAccess(call);
    const { LookupAttributes = [], StartTime, EndTime, MaxResults = 50, NextToken } = input;
    if (LookupAttributes.length > 1)
      throw cloudTrailError('InvalidLookupAttributesException', 'You can only specify one lookup attribute.');
    if (StartTime && EndTime && StartTime > EndTime)
      throw cloudTrailError('InvalidTimeRangeException', 'The start time is after the end time.');
    if (MaxResults < 1 || MaxResults > 50)
      throw cloudTrailError('InvalidMaxResultsException', 'MaxResults must be between 1 and 50.');
    const [{ AttributeKey = '', AttributeValue = '' } = {}] = LookupAttributes;
    const events = call.eventLog
      .events(call.caller.account, call.region, call.now - call.faultSettings.trailDelayMs)
      .filter((event) => {
        // CloudTrail truncates event times to seconds.
        const eventTimeMs = Math.floor(event.at / 1000) * 1000;
        if ((StartTime && eventTimeMs < StartTime.getTime()) || (EndTime && eventTimeMs > EndTime.getTime()))
          return false;
        return AttributeKey === '' || lookupAttributesOf(event)[AttributeKey]?.includes(AttributeValue);
      });
    const { items, next } = pageOf(events, MaxResults, NextToken);
    return { Events: items.map(toLookupEvent), ...(next === undefined ? {} : { NextToken: next }) };
  },
};

function requireCloudTrailAccess(call: Call): void {
  const action = `cloudtrail:${call.operation}`;
  const decision = authorizeCaller(call, { action, resource: '*' });
  if (decision.allowed) return;
  throw cloudTrailError(
    'AccessDeniedException',
    `User: ${call.caller.arn} is not authorized to perform: ${action} because ${decision.reason}`,
  );
}

/** Returns the values of an event by lookup attribute. */
const lookupAttributesOf = ({
  name,
  source,
  username,
  resources,
  record,
}: EventLogEntry): Record<string, string[]> => ({
  EventId: [record.eventID],
  EventName: [name],
  EventSource: [source],
  ReadOnly: ['false'],
  ResourceName: resources,
  Username: [username],
});

const toLookupEvent = ({ at, name, source, username, resources, record }: EventLogEntry): Event => ({
  EventId: record.eventID,
  EventName: name,
  ReadOnly: 'false',
  EventTime: new Date(Math.floor(at / 1000) * 1000),
  EventSource: source,
  Username: username,
  Resources: resources.map((ResourceName) => ({ ResourceName })),
  CloudTrailEvent: JSON.stringify(record),
});

const cloudTrailError = (code: string, message: string): AwsError => new AwsError(400, code, message);
