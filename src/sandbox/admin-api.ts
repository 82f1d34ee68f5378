import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';
import { type FaultSettings, partialFaultSettingsSchema } from './faults.ts';
import { readRequestBytes } from './protocol/body.ts';
import type { RequestLog } from './request-log.ts';
import type { Store } from './store.ts';

/**
 * What AWS has no API for, under /_sandbox/ as JSON: the knobs (GET, PUT), the request log (GET, DELETE), and why an
 * object replicated or not (GET /_sandbox/replication?bucket=…&key=…).
 */
export async function handleAdminRequest(
  request: IncomingMessage,
  response: ServerResponse,
  { knobs: faultSettings, log, store }: { knobs: FaultSettings; log: RequestLog; store: Store },
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
      const parseResult = partialFaultSettingsSchema.safeParse(
        parseJsonOrUndefined((await readRequestBytes(request)).toString()),
      );
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
      const bucket = store.bucket(url.searchParams.get('bucket') ?? '');
      const versions = bucket?.objects.get(url.searchParams.get('key') ?? '');
      if (!versions) return void respond(404, { error: 'there is no such object' });
      return void respond(
        200,
        versions.map(({ versionId, deleteMarker, replication }) => ({
          versionId,
          deleteMarker,
          replication,
        })),
      );
    }
    default:
      return void respond(404, { error: 'known: /_sandbox/health, knobs, log, replication' });
  }
}

/** Undefined where it is not JSON, which no knob is. */
function parseJsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
