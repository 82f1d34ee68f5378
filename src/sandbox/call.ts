import type { EventLog } from './cloudtrail/event-log.ts';
import type { FaultSettings } from './faults.ts';
import type { KeyService } from './kms/key-service.ts';
import type { Caller } from './parse-request.ts';
import type { ServiceName } from './protocol/operations.ts';
import type { Replicator } from './s3/replicator.ts';
import type { SessionState } from './state.ts';
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
