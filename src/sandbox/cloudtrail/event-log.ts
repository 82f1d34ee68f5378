import { buildKeyArn } from '../kms/keys.ts';
import type { ParsedRequest } from '../parse-request.ts';
import { toCamelCase } from '../protocol/codec.ts';
import type { Store } from '../store.ts';

/** Events of CloudTrail: each successful or rejected change of a setting, with caller and time. */
export interface EventLog {
  /** Adds the event of a call. Returns it; undefined for a call that is no change of a setting. */
  add(call: LoggedCall): EventLogEntry | undefined;
  /** Returns the events of an account in a Region up to the time `until`, newest first. */
  events(account: string, region: string, until: number): EventLogEntry[];
}

/** Properties of a call that the event log uses. */
type LoggedCall = Pick<ParsedRequest, 'service' | 'name' | 'operation' | 'caller' | 'region' | 'headers'> & {
  input: Record<string, unknown>;
  /** Time of the call in milliseconds since the epoch. */
  at: number;
  requestId: string;
  /** Error code of the call; undefined for a successful call. */
  code: string | undefined;
};

export interface EventLogEntry {
  accounts: string[];
  region: string;
  at: number;
  name: string;
  source: string;
  username: string;
  /** Names and ARNs of the affected resources, as LookupEvents filters by them. */
  resources: string[];
  /** Event record, which CloudTrail returns as JSON text. */
  record: { eventID: string; eventTime: string; recipientAccountId: string; [field: string]: unknown };
}

/** Maximum number of events. The log drops the oldest events, which bounds its memory. */
const MAX_EVENTS = 10_000;

export function createEventLog(store: Store): EventLog {
  const entries: EventLogEntry[] = [];
  return {
    add(call) {
      if (!isManagementEvent(call)) return undefined;
      const entry = toEventLogEntry(call, store);
      entries.push(entry);
      if (entries.length > MAX_EVENTS) entries.splice(0, entries.length - MAX_EVENTS);
      return entry;
    },
    events: (account, region, until) =>
      entries
        .filter((entry) => entry.accounts.includes(account) && entry.region === region && entry.at <= until)
        .reverse(),
  };
}

/** Returns whether a call changes a setting. Reads and operations on objects or with keys do not. */
function isManagementEvent({ service, name, operation }: LoggedCall): boolean {
  if (!operation || service === 'sts' || /^(Get|List|Head|Lookup|Describe|Simulate)/.test(name)) return false;
  if (DATA_EVENTS.has(name)) return false;
  if (service === 's3') return !operation.http[1].includes('{Key+}') && name !== 'DeleteObjects';
  return service !== 'kms' || !/crypt$|^GenerateDataKey/.test(name);
}

/** Operations of SQS and SNS with messages, and of CloudWatch with datapoints, which are data events. */
const DATA_EVENTS = new Set([
  'SendMessage',
  'SendMessageBatch',
  'ReceiveMessage',
  'DeleteMessage',
  'DeleteMessageBatch',
  'ChangeMessageVisibility',
  'ChangeMessageVisibilityBatch',
  'Publish',
  'PublishBatch',
  'PutMetricData',
]);

/** Event names of S3 that differ from the name of the operation. */
const EVENT_NAMES: Record<string, string> = {
  PutPublicAccessBlock: 'PutBucketPublicAccessBlock',
  DeletePublicAccessBlock: 'DeleteBucketPublicAccessBlock',
};

/** Names in the event source that differ from the name of the service. */
const EVENT_SOURCES: Partial<Record<LoggedCall['service'], string>> = {
  cloudwatch: 'monitoring',
  s3control: 's3',
};

function toEventLogEntry(
  { service, name, caller, region, headers, input, at, requestId, code }: LoggedCall,
  store: Store,
) {
  const parameters = requestParametersOf(input);
  const { bucketName, roleName, policyName, keyId, aliasName, queueUrl, topicArn, alarmName, jobId } =
    parameters;
  const bucketOwner = bucketName === undefined ? undefined : store.bucket(bucketName)?.owner;
  const [, session] = /:assumed-role\/[^/]+\/(.*)$/.exec(caller.arn) ?? [];
  const eventName = EVENT_NAMES[name] ?? name;
  const eventSource = `${EVENT_SOURCES[service] ?? service}.amazonaws.com`;
  const eventRegion = service === 'iam' || service === 'organizations' ? 'us-east-1' : region;
  const keyArn = keyId?.startsWith('arn:') ? keyId : buildKeyArn(caller.account, region, String(keyId));
  return {
    accounts: [...new Set([caller.account, bucketOwner ?? caller.account])],
    region: eventRegion,
    at,
    name: eventName,
    source: eventSource,
    username: session ?? 'root',
    resources: [
      bucketName,
      roleName,
      policyName,
      aliasName,
      keyId && keyArn,
      queueUrl,
      topicArn,
      alarmName,
      jobId,
    ].filter((resource) => resource !== undefined),
    record: {
      eventVersion: '1.11',
      userIdentity: {
        type: session === undefined ? 'Root' : 'AssumedRole',
        arn: caller.arn,
        accountId: caller.account,
      },
      eventTime: formatEventTime(at),
      eventSource,
      eventName,
      awsRegion: eventRegion,
      sourceIPAddress: '127.0.0.1',
      // S3 writes the user agent in brackets.
      userAgent:
        eventSource === 's3.amazonaws.com'
          ? `[${headers['user-agent'] ?? ''}]`
          : (headers['user-agent'] ?? ''),
      ...(code === undefined ? {} : { errorCode: code }),
      requestParameters: parameters,
      responseElements: null,
      requestID: requestId,
      eventID: requestId,
      readOnly: false,
      eventType: 'AwsApiCall',
      managementEvent: true,
      recipientAccountId: caller.account,
      eventCategory: 'Management',
    },
  };
}

/** Returns the input members that identify the affected resources, by their CloudTrail names. */
function requestParametersOf(input: Record<string, unknown>): Record<string, string | undefined> {
  const stringParameter = (name: string) =>
    typeof input[name] === 'string' ? { [toCamelCase(name)]: input[name] } : {};
  return {
    ...(typeof input.Bucket === 'string' ? { bucketName: input.Bucket } : {}),
    ...stringParameter('RoleName'),
    ...stringParameter('PolicyName'),
    ...stringParameter('PolicyArn'),
    ...stringParameter('KeyId'),
    ...stringParameter('AliasName'),
    ...stringParameter('AlarmName'),
    ...stringParameter('TargetKeyId'),
    ...stringParameter('QueueUrl'),
    ...stringParameter('TopicArn'),
    ...stringParameter('JobId'),
    ...stringParameter('RoleArn'),
  };
}

/** Formats an event time. CloudTrail truncates times to seconds. */
const formatEventTime = (at: number): string => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
