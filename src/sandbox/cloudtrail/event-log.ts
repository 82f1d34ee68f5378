import type { ParsedRequest } from '../parse-request.ts';
import { toCamelCase } from '../protocol/codec.ts';
import type { Store } from '../store.ts';

/** What CloudTrail remembers: every change of a setting, by whom and when, carried out or refused. */
export interface EventLog {
  add(call: LoggedCall): void;
  /** Those of an account in a Region that are told by then, newest first. */
  events(account: string, region: string, until: number): EventLogEntry[];
}

/** A call, as much of it as is remembered. */
type LoggedCall = Pick<ParsedRequest, 'service' | 'name' | 'operation' | 'caller' | 'region' | 'headers'> & {
  input: Record<string, unknown>;
  /** Milliseconds since the epoch. */
  at: number;
  requestId: string;
  /** Why it was refused, if it was. */
  code: string | undefined;
};

export interface EventLogEntry {
  accounts: string[];
  region: string;
  at: number;
  name: string;
  source: string;
  username: string;
  /** What it is about, as it can be looked up. */
  resources: string[];
  /** The event as CloudTrail tells it, which is a JSON text there. */
  record: { eventID: string; [field: string]: unknown };
}

/** A sandbox that runs for long remembers the newest. */
const MAX_EVENTS = 10_000;

export function createEventLog(store: Store): EventLog {
  const entries: EventLogEntry[] = [];
  return {
    add(call) {
      if (!isManagementEvent(call)) return;
      entries.push(toEventLogEntry(call, store));
      if (entries.length > MAX_EVENTS) entries.splice(0, entries.length - MAX_EVENTS);
    },
    events: (account, region, until) =>
      entries
        .filter((entry) => entry.accounts.includes(account) && entry.region === region && entry.at <= until)
        .reverse(),
  };
}

/** What changes a setting; not what reads, nor what is done with objects and with keys. */
function isManagementEvent({ service, name, operation }: LoggedCall): boolean {
  if (!operation || service === 'sts' || /^(Get|List|Head|Lookup|Describe|Simulate)/.test(name)) return false;
  if (service === 's3') return !operation.http[1].includes('{Key+}') && name !== 'DeleteObjects';
  return service !== 'kms' || !/crypt$|^GenerateDataKey/.test(name);
}

/** Where S3 calls an event by another name than the operation. */
const EVENT_NAMES: Record<string, string> = {
  PutPublicAccessBlock: 'PutBucketPublicAccessBlock',
  DeletePublicAccessBlock: 'DeleteBucketPublicAccessBlock',
};

function toEventLogEntry(
  { service, name, caller, region, headers, input, at, requestId, code }: LoggedCall,
  store: Store,
) {
  const parameters = requestParametersOf(input);
  const { bucketName, roleName, policyName, keyId, aliasName } = parameters;
  const bucketOwner = bucketName === undefined ? undefined : store.bucket(bucketName)?.owner;
  const [, session] = /:assumed-role\/[^/]+\/(.*)$/.exec(caller.arn) ?? [];
  const eventName = EVENT_NAMES[name] ?? name;
  const eventRegion = service === 'iam' ? 'us-east-1' : region;
  const keyArn = keyId?.startsWith('arn:') ? keyId : `arn:aws:kms:${region}:${caller.account}:key/${keyId}`;
  return {
    accounts: [...new Set([caller.account, bucketOwner ?? caller.account])],
    region: eventRegion,
    at,
    name: eventName,
    source: `${service}.amazonaws.com`,
    username: session ?? 'root',
    resources: [bucketName, roleName, policyName, aliasName, keyId && keyArn].filter(
      (resource) => resource !== undefined,
    ),
    record: {
      eventVersion: '1.11',
      userIdentity: {
        type: session === undefined ? 'Root' : 'AssumedRole',
        arn: caller.arn,
        accountId: caller.account,
      },
      eventTime: formatEventTime(at),
      eventSource: `${service}.amazonaws.com`,
      eventName,
      awsRegion: eventRegion,
      sourceIPAddress: '127.0.0.1',
      // S3 writes it in brackets.
      userAgent: service === 's3' ? `[${headers['user-agent'] ?? ''}]` : (headers['user-agent'] ?? ''),
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

/** The parameters that say what a call is about, by the names that CloudTrail gives them. */
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
    ...stringParameter('TargetKeyId'),
  };
}

/** Times of CloudTrail have whole seconds. */
const formatEventTime = (at: number): string => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
