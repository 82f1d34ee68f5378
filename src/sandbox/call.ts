import type { Grant } from '../iam/grants.ts';
import type { AccessRequest, Decision, NamedPolicy } from '../iam/types.ts';
import { authorize } from './authorize.ts';
import type { EventLog } from './cloudtrail/event-log.ts';
import type { AlarmEvaluator } from './cloudwatch/alarm-evaluator.ts';
import type { MetricRecorder } from './cloudwatch/metrics.ts';
import type { FaultSettings } from './faults.ts';
import type { KeyService } from './kms/keys.ts';
import type { Caller } from './parse-request.ts';
import type { ServiceName } from './protocol/operations.ts';
import { globalConditionKeysOf, type RequestOrigin } from './request-context.ts';
import type { EventNotifier } from './s3/event-notifier.ts';
import type { Replicator } from './s3/replicator.ts';
import type { JobRunner } from './s3control/types.ts';
import type { TopicService } from './sns/topic-service.ts';
import type { QueueService } from './sqs/queue-service.ts';
import type { AccountState, SessionState } from './state.ts';
import type { Store } from './store.ts';

/** Context of one decoded request, which a handler receives in addition to the input. */
export interface Call {
  service: ServiceName;
  operation: string;
  caller: Caller;
  /** Region of the credential scope; S3 bucket operations compare it with the Region of the bucket. */
  region: string;
  /** Start of the request, in milliseconds since the epoch. */
  now: number;
  /** Returns the time, for an operation that waits. */
  clock: () => number;
  /** Aborted when the client disconnects or the sandbox closes. */
  disconnected: AbortSignal;
  requestId: string;
  headers: Record<string, string>;
  /** Headers of the response, of success or failure, that the model of the SDK does not contain. */
  responseHeaders: Record<string, string>;
  origin: RequestOrigin;
  /** Decoded input, from which the condition keys of the request follow. */
  input: Record<string, unknown>;
  store: Store;
  keyService: KeyService;
  faultSettings: FaultSettings;
  replicator: Replicator;
  jobRunner: JobRunner;
  queues: QueueService;
  topics: TopicService;
  notifier: EventNotifier;
  eventLog: EventLog;
  metricRecorder: MetricRecorder;
  alarmEvaluator: AlarmEvaluator;
  /** Session that signed the request; absent if an account signed it. */
  session?: SessionState;
}

/** Handler of an operation. Its types are the SDK's, so the compiler checks the output against what clients read. */
// biome-ignore lint/suspicious/noExplicitAny: the table of handlers holds every operation's own types
export type Handler<I = any, O = any> = (call: Call, input: I) => O | Promise<O>;

/** Handlers of a service by operation name (`PutBucketReplication`). Other operations return HTTP status 501. */
export type Handlers = Record<string, Handler>;

export const callerAccountOf = ({ store, caller }: Call): AccountState => store.account(caller.account);

/** Marks the caller's account as changed, and returns the output of the operation that changed it. */
export function markAccountChanged<T>(call: Call, output: T): T {
  call.store.markChanged(callerAccountOf(call));
  return output;
}

/** Evaluates whether the caller may use a resource. By default the account of the caller owns the resource. */
export const authorizeCaller = (
  call: Call,
  request: Omit<AccessRequest, 'principal' | 'resourceAccount'> & {
    resourceAccount?: string;
    resourcePolicy?: NamedPolicy;
    grants?: readonly Grant[];
  },
): Decision =>
  authorize(
    call.store,
    {
      resourceAccount: call.caller.account,
      ...request,
      context: { ...globalConditionKeysOf(call), ...request.context },
      principal: call.caller.arn,
      ...(call.session === undefined ? {} : { session: call.session }),
    },
    call.now,
  );

/** Returns one page of a list, and the marker of the next page. */
export function pageOf<T>(
  items: readonly T[],
  limit: number,
  marker: string | undefined,
): { items: T[]; next?: string } {
  const start = marker === undefined ? 0 : Number(Buffer.from(marker, 'base64url').toString()) || 0;
  const end = start + limit;
  const next = end < items.length ? { next: Buffer.from(String(end)).toString('base64url') } : {};
  return { items: items.slice(start, end), ...next };
}
