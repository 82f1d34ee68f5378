/**
 * An endpoint that costs next to nothing: it answers what was recorded of one pair for any of them, each call after the
 * same delay. A process of its own, so that whoever is measured has its CPU for itself.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { keyOf, type Recorded, type RecordedAnswer } from '../support/recorded.ts';

/** Numbers of pairs, in names and in ids of keys. */
const NUMBER = /(?<=[pP])\d{7}|(?<=-4000-8000-00000)\d{7}/g;
const ZERO = '0000000';

let delayMs = 50;
let answers = new Map<string, RecordedAnswer>();
let roles = 0;
let calls: Record<string, number> = {};
let unknown: string[] = [];
let most = 0;
let under = 0;
let [first, last] = [0, 0];

const server = createServer((incoming, outgoing) => {
  const chunks: Buffer[] = [];
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
  incoming.on('end', () => {
    first ||= performance.now();
    under += 1;
    most = Math.max(most, under);
    const { method, url, headers } = incoming;
    const body = Buffer.concat(chunks).toString();
    const target = String(headers['x-amz-target'] ?? '');
    const answer = answerTo(method, url, target, body);
    setTimeout(() => {
      under -= 1;
      last = performance.now();
      outgoing.writeHead(answer.status, answer.headers).end(answer.body);
    }, delayMs);
  });
});
server.keepAliveTimeout = 60_000;

function answerTo(method = '', url = '', target = '', body = ''): RecordedAnswer {
  const asked = keyOf(method, url, target, body);
  const index = NUMBER.exec(asked)?.[0] ?? ZERO;
  NUMBER.lastIndex = 0;
  const operation =
    /Action=(\w+)/.exec(body)?.[1] ?? (target.split('.')[1] || `${method} ${url.split('?')[1] ?? ''}`);
  calls[operation] = (calls[operation] ?? 0) + 1;
  if (operation === 'GetAccountAuthorizationDetails') return pageOfRoles(body);
  const found = answers.get(asked.replace(NUMBER, ZERO));
  if (!found) {
    unknown.push(asked);
    return { status: 400, headers: {}, body: '' };
  }
  return { ...found, body: found.body.replace(NUMBER, index) };
}

/** The one role that was recorded, as often as there are pairs, a thousand on a page. */
function pageOfRoles(body: string): RecordedAnswer {
  const [, recorded] = [...answers].find(([key]) => key.includes('GetAccountAuthorizationDetails')) ?? [];
  if (!recorded) throw new Error('no listing of roles was recorded');
  const from = Number(new URLSearchParams(body).get('Marker') ?? 0);
  const to = Math.min(from + 1_000, roles);
  const [, before = '', role = '', after = ''] =
    /^(.*<RoleDetailList>)(.*)(<\/RoleDetailList>.*)$/s.exec(recorded.body) ?? [];
  const listed = Array.from({ length: to - from }, (_, at) =>
    role.replace(NUMBER, String(from + at).padStart(7, '0')),
  );
  const more =
    to < roles ? `<IsTruncated>true</IsTruncated><Marker>${to}</Marker>` : '<IsTruncated>false</IsTruncated>';
  return {
    ...recorded,
    body: before + listed.join('') + after.replace(/<IsTruncated>.*?<\/IsTruncated>/, more),
  };
}

/** Ids of keys are random as they were recorded; with a number in them they differ from pair to pair. */
function numberedKeys(recorded: Recorded): [string, RecordedAnswer][] {
  let text = JSON.stringify(Object.entries(recorded.answers));
  const shared = JSON.stringify(recorded.sharedKeys ?? {});
  const ids = new Set(text.match(/(?<=key\/)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g));
  let count = 0;
  for (const id of ids) {
    count += 1;
    if (!shared.includes(id))
      text = text.replaceAll(id, `${String(count).padStart(8, '0')}-0000-4000-8000-00000${ZERO}`);
  }
  return JSON.parse(text) as [string, RecordedAnswer][];
}

export type ToEndpoint =
  | { type: 'serve'; recorded: Recorded; delayMs: number; roles: number }
  | { type: 'report' };

/** What was asked since it last began to serve. */
export interface Asked {
  calls: Record<string, number>;
  unknown: string[];
  /** Calls that were under way at once, at most. */
  most: number;
  /** From the first call to the last answer, in milliseconds. */
  ms: number;
}

process.on('message', (message: ToEndpoint) => {
  if (message.type === 'report') {
    process.send?.({ calls, unknown: unknown.slice(0, 5), most, ms: last - first } satisfies Asked);
    return;
  }
  answers = new Map(numberedKeys(message.recorded));
  ({ delayMs, roles } = message);
  [calls, unknown, most, first, last] = [{}, [], 0, 0, 0];
  process.send?.({ ready: true });
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
