import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';
import { type Knobs, someKnobs } from './knobs.ts';
import { readAll } from './protocol/body.ts';
import type { RequestLog } from './request-log.ts';
import type { Store } from './store.ts';

/**
 * What AWS has no API for, under /_sandbox/ as JSON: the knobs (GET, PUT), the request log (GET, DELETE), and why an
 * object replicated or not (GET /_sandbox/replication?bucket=…&key=…).
 */
export async function control(
  request: IncomingMessage,
  response: ServerResponse,
  { knobs, log, store }: { knobs: Knobs; log: RequestLog; store: Store },
): Promise<void> {
  const url = new URL(`http://sandbox${request.url ?? '/'}`);
  const answer = (status: number, value: unknown) =>
    response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(`${JSON.stringify(value, null, 2)}\n`);

  switch (`${request.method} ${url.pathname}`) {
    case 'GET /_sandbox/health':
      return void answer(200, { status: 'ok' });
    case 'GET /_sandbox/knobs':
      return void answer(200, knobs);
    case 'PUT /_sandbox/knobs': {
      const turned = someKnobs.safeParse(jsonOf((await readAll(request)).toString()));
      if (!turned.success) return void answer(400, { error: z.prettifyError(turned.error) });
      Object.assign(knobs, turned.data);
      return void answer(200, knobs);
    }
    case 'GET /_sandbox/log':
      return void answer(200, { counts: log.counts(), entries: log.entries });
    case 'DELETE /_sandbox/log':
      log.reset();
      return void answer(200, {});
    case 'GET /_sandbox/replication': {
      const bucket = store.bucket(url.searchParams.get('bucket') ?? '');
      const versions = bucket?.objects.get(url.searchParams.get('key') ?? '');
      if (!versions) return void answer(404, { error: 'there is no such object' });
      return void answer(
        200,
        versions.map(({ versionId, deleteMarker, replication }) => ({
          versionId,
          deleteMarker,
          replication,
        })),
      );
    }
    default:
      return void answer(404, { error: 'known: /_sandbox/health, knobs, log, replication' });
  }
}

/** Undefined where it is not JSON, which no knob is. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
