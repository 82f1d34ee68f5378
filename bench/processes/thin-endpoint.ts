/**
 * An endpoint with minimal cost: it returns the recorded responses of one pair for all pairs, each after the same delay.
 * It runs in its own process, so that it does not use the CPU time of the measured process.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type RecordedResponse, type RecordedResponses, requestKey } from '../support/recorded-responses.ts';

/** Numbers of pairs, in names and key ids. */
const NUMBER = /(?<=[pP])\d{7}|(?<=-4000-8000-00000)\d{7}/g;
const ZERO = '0000000';

let delayMs = 50;
let responses = new Map<string, RecordedResponse>();
let roles = 0;
let calls: Record<string, number> = {};
let unknown: string[] = [];
let maxConcurrent = 0;
let inFlight = 0;
let [firstCallAt, lastResponseAt] = [0, 0];

const server = createServer((incoming, outgoing) => {
  const chunks: Buffer[] = [];
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
  incoming.on('end', () => {
    firstCallAt ||= performance.now();
    inFlight += 1;
    maxConcurrent = Math.max(maxConcurrent, inFlight);
    const { method, url, headers } = incoming;
    const body = Buffer.concat(chunks).toString();
    const target = String(headers['x-amz-target'] ?? '');
    const response = respondTo(method, url, target, body);
    setTimeout(() => {
      inFlight -= 1;
      lastResponseAt = performance.now();
      outgoing.writeHead(response.status, response.headers).end(response.body);
    }, delayMs);
  });
});
server.keepAliveTimeout = 60_000;

function respondTo(method = '', url = '', target = '', body = ''): RecordedResponse {
  const key = requestKey(method, url, target, body);
  const index = NUMBER.exec(key)?.[0] ?? ZERO;
  NUMBER.lastIndex = 0;
  const operation =
    /Action=(\w+)/.exec(body)?.[1] ?? (target.split('.')[1] || `${method} ${url.split('?')[1] ?? ''}`);
  calls[operation] = (calls[operation] ?? 0) + 1;
  if (operation === 'GetAccountAuthorizationDetails') return pageOfRoles(body);
  const response = responses.get(key.replace(NUMBER, ZERO));
  if (!response) {
    unknown.push(key);
    return { status: 400, headers: {}, body: '' };
  }
  return { ...response, body: response.body.replace(NUMBER, index) };
}

/** Returns a page of roles: copies of the recorded role, one per pair, a thousand per page. */
function pageOfRoles(body: string): RecordedResponse {
  const [, recorded] = [...responses].find(([key]) => key.includes('GetAccountAuthorizationDetails')) ?? [];
  if (!recorded) throw new Error('no listing of roles was recorded');
  const from = Number(new URLSearchParams(body).get('Marker') ?? 0);
  const to = Math.min(from + 1_000, roles);
  const [, before = '', role = '', after = ''] =
    /^(.*<RoleDetailList>)(.*)(<\/RoleDetailList>.*)$/s.exec(recorded.body) ?? [];
  const roleItems = Array.from({ length: to - from }, (_, offset) =>
    role.replace(NUMBER, String(from + offset).padStart(7, '0')),
  );
  const marker =
    to < roles ? `<IsTruncated>true</IsTruncated><Marker>${to}</Marker>` : '<IsTruncated>false</IsTruncated>';
  return {
    ...recorded,
    body: before + roleItems.join('') + after.replace(/<IsTruncated>.*?<\/IsTruncated>/, marker),
  };
}

/** Inserts the number of the pair into the recorded random key ids, so that they differ between pairs. */
function numberedKeys(recorded: RecordedResponses): [string, RecordedResponse][] {
  let text = JSON.stringify(Object.entries(recorded.responses));
  const shared = JSON.stringify(recorded.sharedKeys ?? {});
  const ids = new Set(text.match(/(?<=key\/)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g));
  let count = 0;
  for (const id of ids) {
    count += 1;
    if (!shared.includes(id))
      text = text.replaceAll(id, `${String(count).padStart(8, '0')}-0000-4000-8000-00000${ZERO}`);
  }
  return JSON.parse(text) as [string, RecordedResponse][];
}

export type EndpointMessage =
  | { type: 'serve'; recorded: RecordedResponses; delayMs: number; roles: number }
  | { type: 'report' };

/** The calls since the last start of serving. */
export interface CallReport {
  calls: Record<string, number>;
  unknown: string[];
  /** The maximum number of concurrent calls. */
  maxConcurrent: number;
  /** Milliseconds from the first call to the last response. */
  ms: number;
}

process.on('message', (message: EndpointMessage) => {
  if (message.type === 'report') {
    process.send?.({
      calls,
      unknown: unknown.slice(0, 5),
      maxConcurrent,
      ms: lastResponseAt - firstCallAt,
    } satisfies CallReport);
    return;
  }
  responses = new Map(numberedKeys(message.recorded));
  ({ delayMs, roles } = message);
  [calls, unknown, maxConcurrent, firstCallAt, lastResponseAt] = [{}, [], 0, 0, 0];
  process.send?.({ ready: true });
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
