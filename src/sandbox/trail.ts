import type { Store } from './store.ts';
import type { Asked } from './understand.ts';

/** What CloudTrail remembers: every change of a setting, by whom and when, carried out or refused. */
export interface Trail {
  add(call: Recorded): void;
  /** Those of an account in a Region that are told by then, newest first. */
  events(account: string, region: string, until: number): TrailEvent[];
}

/** A call, as much of it as is remembered. */
type Recorded = Pick<Asked, 'service' | 'name' | 'operation' | 'caller' | 'region' | 'headers'> & {
  input: Record<string, unknown>;
  /** Milliseconds since the epoch. */
  at: number;
  requestId: string;
  /** Why it was refused, if it was. */
  code: string | undefined;
};

export interface TrailEvent {
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
const KEPT = 10_000;

export function createTrail(store: Store): Trail {
  const kept: TrailEvent[] = [];
  return {
    add(call) {
      if (!isManagement(call)) return;
      kept.push(eventOf(call, store));
      if (kept.length > KEPT) kept.splice(0, kept.length - KEPT);
    },
    events: (account, region, until) =>
      kept
        .filter((one) => one.accounts.includes(account) && one.region === region && one.at <= until)
        .reverse(),
  };
}

/** What changes a setting; not what reads, nor what is done with objects and with keys. */
function isManagement({ service, name, operation }: Recorded): boolean {
  if (!operation || service === 'sts' || /^(Get|List|Head|Lookup|Describe|Simulate)/.test(name)) return false;
  if (service === 's3') return !operation.http[1].includes('{Key+}') && name !== 'DeleteObjects';
  return service !== 'kms' || !/crypt$|^GenerateDataKey/.test(name);
}

/** Where S3 calls an event by another name than the operation. */
const EVENT_NAMES: Record<string, string> = {
  PutPublicAccessBlock: 'PutBucketPublicAccessBlock',
  DeletePublicAccessBlock: 'DeleteBucketPublicAccessBlock',
};

function eventOf(
  { service, name, caller, region, headers, input, at, requestId, code }: Recorded,
  store: Store,
) {
  const parameters = named(input);
  const { bucketName, roleName, policyName, keyId, aliasName } = parameters;
  const owner = bucketName === undefined ? undefined : store.bucket(bucketName)?.owner;
  const [, session] = /:assumed-role\/[^/]+\/(.*)$/.exec(caller.arn) ?? [];
  const eventName = EVENT_NAMES[name] ?? name;
  const where = service === 'iam' ? 'us-east-1' : region;
  const key = keyId?.startsWith('arn:') ? keyId : `arn:aws:kms:${region}:${caller.account}:key/${keyId}`;
  return {
    accounts: [...new Set([caller.account, owner ?? caller.account])],
    region: where,
    at,
    name: eventName,
    source: `${service}.amazonaws.com`,
    username: session ?? 'root',
    resources: [bucketName, roleName, policyName, aliasName, keyId && key].filter((one) => one !== undefined),
    record: {
      eventVersion: '1.11',
      userIdentity: {
        type: session === undefined ? 'Root' : 'AssumedRole',
        arn: caller.arn,
        accountId: caller.account,
      },
      eventTime: inSeconds(at),
      eventSource: `${service}.amazonaws.com`,
      eventName,
      awsRegion: where,
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
function named(input: Record<string, unknown>): Record<string, string | undefined> {
  const text = (name: string) =>
    typeof input[name] === 'string' ? { [uncapitalised(name)]: input[name] } : {};
  return {
    ...(typeof input.Bucket === 'string' ? { bucketName: input.Bucket } : {}),
    ...text('RoleName'),
    ...text('PolicyName'),
    ...text('PolicyArn'),
    ...text('KeyId'),
    ...text('AliasName'),
    ...text('TargetKeyId'),
  };
}

const uncapitalised = (name: string): string => name.slice(0, 1).toLowerCase() + name.slice(1);

/** Times of CloudTrail have whole seconds. */
const inSeconds = (at: number): string => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
