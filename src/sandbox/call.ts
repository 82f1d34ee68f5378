import type { AccessRequest, Decision, NamedPolicy } from '../iam/types.ts';
import { authorize } from './authorize.ts';
import type { EventLog } from './cloudtrail/event-log.ts';
import type { FaultSettings } from './faults.ts';
import type { KeyService } from './kms/keys.ts';
import type { Caller } from './parse-request.ts';
import type { ServiceName } from './protocol/operations.ts';
import type { Replicator } from './s3/replicator.ts';
import type { AccountState, SessionState } from './state.ts';
import type { Store } from './store.ts';

/** One request, decoded: what a handler gets beside its input. */
export interface Call {
  service: ServiceName;
  operation: string;
  caller: Caller;
  /** The Region of the credential scope; S3 bucket operations compare it with the bucket's own. */
  region: string;
  /** Milliseconds since the epoch. */
  now: number;
  requestId: string;
  headers: Record<string, string>;
  store: Store;
  keyService: KeyService;
  faultSettings: FaultSettings;
  replicator: Replicator;
  eventLog: EventLog;
  /** The session that signed, if it was one. */
  session?: SessionState;
}

/** An operation: the SDK's own input and output types, so that a handler is checked against what a client will read. */
// biome-ignore lint/suspicious/noExplicitAny: the table of handlers holds every operation's own types
export type Handler<I = any, O = any> = (call: Call, input: I) => O | Promise<O>;

/** Handlers of a service by operation name (`PutBucketReplication`). What is not in the table answers 501. */
export type Handlers = Record<string, Handler>;

export const callerAccountOf = ({ store, caller }: Call): AccountState => store.account(caller.account);

/** Marks the caller's account as changed, and returns the output of the operation that changed it. */
export function markAccountChanged<T>(call: Call, output: T): T {
  call.store.markChanged(callerAccountOf(call));
  return output;
}

/** Decides whether the caller may do something to a resource; the resource belongs to its own account by default. */
export const authorizeCaller = (
  { store, caller, now }: Call,
  request: Omit<AccessRequest, 'principal' | 'resourceAccount'> & {
    resourceAccount?: string;
    resourcePolicy?: NamedPolicy;
  },
): Decision => authorize(store, { resourceAccount: caller.account, ...request, principal: caller.arn }, now);

/** One page of a list, and the marker of the next. */
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
