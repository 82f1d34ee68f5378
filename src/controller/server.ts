import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { safeJson } from '../util/escape.ts';
import { disallowedHost, disallowedHostMessage, isLoopback } from '../util/host-check.ts';
import { gateRequests } from './request-gate.ts';
import { createResponseBodies, type ResponseBodies, type ResponseBody } from './response-bodies.ts';

/** The response at a path. No request changes any state. */
export type RouteResponse = { status: number; type: string; body: string; csp?: string };

/** The handler of a path. */
export interface Route {
  /** Names of the query parameters that it uses. It ignores others. */
  parameters?: readonly string[];
  /** Whether requests that arrive in the same second share a response. For large responses. */
  isShared?: true;
  respond(query: URLSearchParams): RouteResponse | Promise<RouteResponse>;
}

export interface ControllerServer {
  /** `http://127.0.0.1:8080` */
  url: string;
  close(): Promise<void>;
}

/** The default policy of every response: a browser may load nothing. A page can set its own policy. */
const DENY_ALL_CSP = "default-src 'none'; frame-ancestors 'none'";

/** Limits for clients; a scrape is short. */
export interface ServerLimits {
  /** Milliseconds until all headers have arrived. */
  headersMs: number;
  /** Milliseconds until the whole request has arrived. */
  requestMs: number;
  /** Milliseconds without traffic: between two requests, or while a client does not read the response. */
  idleMs: number;
  /** Milliseconds until the client has received the whole response, even if it reads all the time. */
  responseMs: number;
  /** Maximum number of concurrent connections; the server drops further connections. */
  maxConnections: number;
  /** Maximum number of bytes, of all connections, of requests that wait for the response to an earlier request. */
  maxPipelinedBytes: number;
  /** Maximum number of bytes of all responses in memory, unless a single response is larger. */
  maxResponseBytes: number;
}

const DEFAULT_SERVER_LIMITS: ServerLimits = {
  headersMs: 5_000,
  requestMs: 10_000,
  idleMs: 10_000,
  responseMs: 30_000,
  maxConnections: 100,
  maxPipelinedBytes: 1024 * 1024,
  maxResponseBytes: 2 * 1024 * 1024,
};

/**
 * Starts the HTTP server of the controller. It responds to the requests of a connection one by one: it renders a
 * response when the client has received the one before. It disconnects clients that are slow or have too many requests
 * waiting, and rejects long headers and methods other than GET and HEAD. On loopback it also rejects requests with a
 * disallowed host.
 *
 * @throws Error if the server cannot listen on the address.
 */
export async function startControllerServer(
  routes: ReadonlyMap<string, Route>,
  { host, port }: { host: string; port: number },
  limits: Partial<ServerLimits> = {},
): Promise<ControllerServer> {
  const { headersMs, requestMs, idleMs, responseMs, maxConnections, maxPipelinedBytes, maxResponseBytes } = {
    ...DEFAULT_SERVER_LIMITS,
    ...limits,
  };
  const bodies = createResponseBodies({ maxBytes: maxResponseBytes });
  let isLocal = true;
  const server = createServer(
    {
      maxHeaderSize: 8 * 1024,
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      keepAliveTimeout: Math.min(5_000, idleMs),
      // By default, Node checks for late clients every 30 s.
      connectionsCheckingInterval: Math.min(1_000, headersMs),
    },
    (request, response) => {
      const { socket } = request;
      response.once('close', () => passNextRequest(socket));
      respond(request, response, { routes, bodies, responseMs, isLocal }).catch(() => socket.destroy());
    },
  );
  const passNextRequest = gateRequests(server, maxPipelinedBytes);
  server.timeout = idleMs;
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const { address, family, port: boundPort } = server.address() as AddressInfo;
  isLocal = isLoopback(address);
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${boundPort}`,
    close: () => closeServer(server),
  };
}

interface RespondOptions {
  routes: ReadonlyMap<string, Route>;
  bodies: ResponseBodies;
  responseMs: number;
  /** Whether only this machine can reach the server. */
  isLocal: boolean;
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  { routes, bodies, responseMs, isLocal }: RespondOptions,
): Promise<void> {
  const rejectedHost = isLocal ? disallowedHost(request) : undefined;
  const body =
    rejectedHost === undefined
      ? await bodyOf(request, routes, bodies)
      : toBody(textResponse(421, disallowedHostMessage(rejectedHost)));
  const { socket } = request;
  if (socket.destroyed) return;
  const abort = () => socket.destroy();
  const timer = setTimeout(abort, responseMs);
  const release = bodies.hold(body, abort);
  response.once('close', () => {
    clearTimeout(timer);
    release();
  });
  const isUnchanged = body.etag !== undefined && requestedEtags(request).includes(body.etag);
  response.writeHead(isUnchanged ? 304 : body.status, {
    'content-type': body.type,
    ...(isUnchanged ? {} : { 'content-length': body.bytes.length }),
    ...(body.etag === undefined ? {} : { etag: body.etag }),
    'content-security-policy': body.csp ?? DENY_ALL_CSP,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
    ...(body.status === 405 ? { allow: 'GET, HEAD' } : {}),
    // The server reads no body: it closes the connection instead.
    ...(hasBody(request) ? { connection: 'close' } : {}),
  });
  // A string would be copied for each response.
  response.end(request.method === 'HEAD' || isUnchanged ? undefined : body.bytes);
}

/** Returns the ETags of the responses that the client has. */
const requestedEtags = ({ headers }: IncomingMessage): string[] =>
  headers['if-none-match']?.split(',').map((etag) => etag.trim()) ?? [];

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';

export const textResponse = (status: number, body: string): RouteResponse => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
});

export const jsonResponse = (status: number, value: unknown): RouteResponse => ({
  status,
  type: 'application/json',
  body: `${safeJson(value, 2)}\n`,
});

/** Adds the ETag of a successful response: clients that poll receive it again only when it differs. */
const withEtag = (body: ResponseBody): ResponseBody =>
  body.status === 200
    ? { ...body, etag: `"${createHash('sha256').update(body.bytes).digest('base64url').slice(0, 22)}"` }
    : body;

const toBody = ({ body, ...rest }: RouteResponse): ResponseBody => ({ ...rest, bytes: Buffer.from(body) });

async function bodyOf(
  { method = '', url = '', socket }: IncomingMessage,
  routes: ReadonlyMap<string, Route>,
  bodies: ResponseBodies,
): Promise<ResponseBody> {
  const [path = '', search] = url.split(/\?(.*)/s);
  const route = routes.get(path);
  if (!route) return toBody(textResponse(404, 'not found'));
  if (method !== 'GET' && method !== 'HEAD')
    return toBody(textResponse(405, 'method not allowed: use GET or HEAD'));
  const { parameters = [] } = route;
  const query = new URLSearchParams(
    [...new URLSearchParams(search)].filter(([name]) => parameters.includes(name)),
  );
  const render = async () => toBody(await route.respond(query));
  try {
    return await (route.isShared
      ? bodies.get(
          `${path}?${query}`,
          async () => withEtag(await render()),
          () => !socket.destroyed,
        )
      : render());
  } catch {
    // Internal errors are not for clients that can reach the port.
    return toBody(textResponse(500, 'internal error'));
  }
}

function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  return closed;
}
