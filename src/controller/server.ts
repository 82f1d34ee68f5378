import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { forStrangers, isLoopback, strangerOf } from '../http/strangers.ts';
import { jsonText } from '../report/json-text.ts';

/** What is answered at a path: nothing here changes anything. */
export type Answer = { status: number; type: string; body: string; policy?: string };
export type Route = () => Answer | Promise<Answer>;

export interface Surfaces {
  /** `http://127.0.0.1:8080` */
  url: string;
  close(): Promise<void>;
}

/** What a browser may do with anything from here, where a page does not say otherwise: nothing. */
const NOTHING = "default-src 'none'; frame-ancestors 'none'";

/** How long a client may take: a scrape is short. */
export interface Limits {
  /** Milliseconds until all headers are there. */
  headersMs: number;
  /** Milliseconds until the whole request is there. */
  requestMs: number;
  /** Milliseconds in which nothing goes either way: between two requests, or where nobody reads the answer. */
  idleMs: number;
  /** At a time; whoever comes when there are as many is turned away. */
  connections: number;
}

const LIMITS: Limits = { headersMs: 5_000, requestMs: 10_000, idleMs: 10_000, connections: 200 };

/**
 * Serve what can be looked at. Whoever is slow, sends long headers or asks for anything but GET and HEAD is shown the door
 * early, and so is, on loopback, whoever was sent by a stranger.
 *
 * @throws Error where the address cannot be listened on.
 */
export async function serveSurfaces(
  routes: ReadonlyMap<string, Route>,
  { host, port }: { host: string; port: number },
  { headersMs, requestMs, idleMs, connections }: Limits = LIMITS,
): Promise<Surfaces> {
  const server = createServer(
    {
      maxHeaderSize: 8 * 1024,
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      keepAliveTimeout: Math.min(5_000, idleMs),
      // Node looks for those who are late every 30 s by default.
      connectionsCheckingInterval: Math.min(1_000, headersMs),
    },
    (request, response) => void answer(routes, request, response, isLoopback(bound().address)),
  );
  const bound = () => server.address() as AddressInfo;
  server.timeout = idleMs;
  server.maxConnections = connections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const { address, family, port: taken } = bound();
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`,
    close: () => closing(server),
  };
}

async function answer(
  routes: ReadonlyMap<string, Route>,
  request: IncomingMessage,
  response: ServerResponse,
  isLocal: boolean,
): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?');
  const stranger = isLocal ? strangerOf(request) : undefined;
  const found =
    stranger === undefined
      ? await answerOf(request.method ?? '', routes.get(path))
      : plainText(421, forStrangers(stranger));
  response.writeHead(found.status, {
    'content-type': found.type,
    'content-length': Buffer.byteLength(found.body),
    'content-security-policy': found.policy ?? NOTHING,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
    ...(found.status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : found.body);
}

const text = (status: number, body: string): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
});

async function answerOf(method: string, route: Route | undefined): Promise<Answer> {
  if (!route) return text(404, 'not found');
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'only GET: nothing is changed here');
  try {
    return await route();
  } catch {
    // What went wrong inside is for the log, and not for whoever can reach the port.
    return text(500, 'internal error');
  }
}

function closing(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  return closed;
}

export const plainText = text;

export const json = (status: number, value: unknown): Answer => ({
  status,
  type: 'application/json',
  body: `${jsonText(value, 2)}\n`,
});
