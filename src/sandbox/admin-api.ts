import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';
import { type FaultSettings, partialFaultSettingsSchema } from './faults.ts';
import { readRequestBytes } from './protocol/body.ts';
import type { Store } from './store.ts';

/**
 * Handles a request of the admin API under /_sandbox/, in JSON. It serves health (GET), the fault settings `knobs`
 * (GET, PUT), the request log (GET, DELETE), and the replication state of an object with its reasons
 * (GET /_sandbox/replication?bucket=…&key=…).
 */
export async function handleAdminRequest(
  request: IncomingMessage,
  response: ServerResponse,
  { faultSettings, log, store }: { faultSettings: FaultSettings; log: RequestLog; store: Store },
): Promise<void> {
  const url = new URL(`http://sandbox${request.url ?? '/'}`);
  const respond = (status: number, value: unknown) =>
    response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(`${JSON.stringify(value, null, 2)}\n`);

  switch (`${request.method} ${url.pathname}`) {
    case 'GET /_sandbox/health':
      return void respond(200, { status: 'ok' });
    case 'GET /_sandbox/knobs':
      return void respond(200, faultSettings);
    case 'PUT /_sandbox/knobs': {
      const value = parseJsonOrUndefined((await readRequestBytes(request)).toString());
      if (value === undefined) return void respond(400, { error: 'invalid JSON: send an object of knobs' });
      const parseResult = partialFaultSettingsSchema.safeParse(value);
      if (!parseResult.success) return void respond(400, { error: z.prettifyError(parseResult.error) });
      Object.assign(faultSettings, parseResult.data);
      return void respond(200, faultSettings);
    }
    case 'GET /_sandbox/log':
      return void respond(200, { counts: log.counts(), entries: log.entries });
    case 'DELETE /_sandbox/log':
      log.reset();
      return void respond(200, {});
    case 'GET /_sandbox/replication': {
      const bucketName = url.searchParams.get('bucket');
      const key = url.searchParams.get('key');
      if (!bucketName || !key) {
        const missing = bucketName ? 'key' : 'bucket';
        return void respond(400, { error: `missing parameter ${missing}: use ?bucket=NAME&key=KEY` });
      }
      const bucket = store.bucket(bucketName);
      if (!bucket) return void respond(404, { error: `no bucket ${bucketName}` });
      const versions = bucket.objects.get(key);
      if (!versions) return void respond(404, { error: `no object ${key} in the bucket ${bucketName}` });
      const states = versions.map(({ versionId, deleteMarker, replication }) => ({
        versionId,
        deleteMarker,
        replication,
      }));
      // A status that a client has seen survives a crash.
      await store.flush();
      return void respond(200, states);
    }
    default:
      return void respond(404, {
        error: `${request.method} ${url.pathname} is not supported; use GET /_sandbox/health, GET or PUT /_sandbox/knobs, GET or DELETE /_sandbox/log, or GET /_sandbox/replication?bucket=NAME&key=KEY`,
      });
  }
}

/** Parses JSON; undefined for invalid JSON. */
function parseJsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Requests that the sandbox received, in order. */
export interface RequestLog {
  entries: RequestEntry[];
  /** Returns the number of calls by operation, for example `s3:GetBucketVersioning`. */
  counts(): Record<string, number>;
  reset(): void;
}

export interface RequestEntry {
  /** Sequence number since the start, from 1. */
  n: number;
  service: string;
  operation: string;
  account: string;
  region: string;
  write: boolean;
  /** HTTP status of the response; absent while the call is handled, and after a dropped connection. */
  status?: number;
  code?: string;
}

/** Maximum number of log entries. The log drops the oldest entries, which bounds its memory. */
const MAX_LOG_ENTRIES = 100_000;
/** Number of entries that a full log drops together: each removal from the start of an array moves all others. */
const DROPPED_LOG_ENTRIES = 10_000;

export function createRequestLog(): RequestLog & {
  add(entry: Omit<RequestEntry, 'n' | 'write'>): RequestEntry;
} {
  let n = 0;
  const entries: RequestEntry[] = [];
  return {
    entries,
    add(fields) {
      const entry = { n: ++n, ...fields, write: !/^(Get|List|Head|Describe|Lookup)/.test(fields.operation) };
      entries.push(entry);
      if (entries.length > MAX_LOG_ENTRIES) entries.splice(0, DROPPED_LOG_ENTRIES);
      return entry;
    },
    counts() {
      const counts: Record<string, number> = {};
      for (const { service, operation } of entries) {
        const name = `${service}:${operation}`;
        counts[name] = (counts[name] ?? 0) + 1;
      }
      return counts;
    },
    reset: () => void entries.splice(0),
  };
}
