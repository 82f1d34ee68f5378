import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

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

/**
 * Serve what can be looked at. Whoever is slow, sends long headers or asks for anything but GET and HEAD is shown the door
 * early: a scrape is short.
 *
 * @throws Error where the address cannot be listened on.
 */
export async function serveSurfaces(
  routes: ReadonlyMap<string, Route>,
  { host, port }: { host: string; port: number },
): Promise<Surfaces> {
  const server = createServer(
    { maxHeaderSize: 8 * 1024, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 5_000 },
    (request, response) => void answer(routes, request, response),
  );
  server.maxConnections = 200;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const { address, family, port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    close: () => closing(server),
  };
}

async function answer(
  routes: ReadonlyMap<string, Route>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?');
  const route = routes.get(path);
  const found = await answerOf(request.method ?? '', route);
  response.writeHead(found.status, {
    'content-type': found.type,
    'content-length': Buffer.byteLength(found.body),
    'content-security-policy': found.policy ?? NOTHING,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
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
  body: `${JSON.stringify(value, null, 2)}\n`,
});
