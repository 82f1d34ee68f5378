import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import manifest from '../../package.json' with { type: 'json' };
import { safeJson } from '../util/escape.ts';
import { disallowedHost, disallowedHostMessage, isLoopback } from '../util/host-check.ts';
import type { Controller, ControllerOptions } from './controller.ts';
import type { Metrics } from './metrics.ts';
import { PAGE_CSP, renderStatusPage } from './status-page/page.ts';

/** The response at a path. No request changes any state. */
export type RouteResponse = { status: number; type: string; body: string; csp?: string };
export type RouteHandler = () => RouteResponse | Promise<RouteResponse>;

export interface ControllerServer {
  /** `http://127.0.0.1:8080` */
  url: string;
  close(): Promise<void>;
}

/** The default policy of every response: a browser may load nothing. A page can set its own policy. */
const DENY_ALL_CSP = "default-src 'none'; frame-ancestors 'none'";

/** Time limits for clients; a scrape is short. */
export interface ServerLimits {
  /** Milliseconds until all headers have arrived. */
  headersMs: number;
  /** Milliseconds until the whole request has arrived. */
  requestMs: number;
  /** Milliseconds without traffic: between two requests, or while a client does not read the response. */
  idleMs: number;
  /** Maximum number of concurrent connections; the server drops further connections. */
  maxConnections: number;
}

const DEFAULT_SERVER_LIMITS: ServerLimits = {
  headersMs: 5_000,
  requestMs: 10_000,
  idleMs: 10_000,
  maxConnections: 200,
};

/**
 * Starts the HTTP server of the controller. It disconnects slow clients early and rejects long headers and methods
 * other than GET and HEAD. On loopback it also rejects requests with a disallowed host.
 *
 * @throws Error if the server cannot listen on the address.
 */
export async function startControllerServer(
  routes: ReadonlyMap<string, RouteHandler>,
  { host, port }: { host: string; port: number },
  { headersMs, requestMs, idleMs, maxConnections }: ServerLimits = DEFAULT_SERVER_LIMITS,
): Promise<ControllerServer> {
  const server = createServer(
    {
      maxHeaderSize: 8 * 1024,
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      keepAliveTimeout: Math.min(5_000, idleMs),
      // By default, Node checks for late clients every 30 s.
      connectionsCheckingInterval: Math.min(1_000, headersMs),
    },
    (request, response) => void handleRequest(routes, request, response, isLoopback(boundAddress().address)),
  );
  const boundAddress = () => server.address() as AddressInfo;
  server.timeout = idleMs;
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const { address, family, port: boundPort } = boundAddress();
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${boundPort}`,
    close: () => closeServer(server),
  };
}

async function handleRequest(
  routes: ReadonlyMap<string, RouteHandler>,
  request: IncomingMessage,
  response: ServerResponse,
  isLocal: boolean,
): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?');
  const rejectedHost = isLocal ? disallowedHost(request) : undefined;
  const result =
    rejectedHost === undefined
      ? await runRoute(request.method ?? '', routes.get(path))
      : textResponse(421, disallowedHostMessage(rejectedHost));
  response.writeHead(result.status, {
    'content-type': result.type,
    'content-length': Buffer.byteLength(result.body),
    'content-security-policy': result.csp ?? DENY_ALL_CSP,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
    ...(result.status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : result.body);
}

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

async function runRoute(method: string, route: RouteHandler | undefined): Promise<RouteResponse> {
  if (!route) return textResponse(404, 'not found');
  if (method !== 'GET' && method !== 'HEAD') return textResponse(405, 'method not allowed: use GET or HEAD');
  try {
    return await route();
  } catch {
    // Internal errors are not for clients that can reach the port.
    return textResponse(500, 'internal error');
  }
}

function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  return closed;
}

export interface RoutesOptions {
  controller: Controller;
  metrics: Metrics;
  /** Aborts when the process must stop. */
  signal: AbortSignal;
  settings: Pick<ControllerOptions, 'clock' | 'intervalMs'>;
}

/** Creates the routes of health checks, by path. Probes use them, also on a listener of their own. */
export function createHealthRoutes({
  controller,
  signal,
  settings: { clock, intervalMs },
}: Omit<RoutesOptions, 'metrics'>): Map<string, RouteHandler> {
  /** Whether the control loop is alive: it is active at least once in an interval, unless it has no pairs. */
  const isLive = () => {
    const { pairs, lastMove } = controller.status();
    return pairs.length === 0 || clock.now() - lastMove < 3 * intervalMs + 60_000;
  };
  return new Map<string, RouteHandler>([
    [
      '/healthz',
      () => (isLive() ? textResponse(200, 'ok') : textResponse(503, 'the control loop is not active')),
    ],
    [
      '/readyz',
      () => {
        if (signal.aborted) return textResponse(503, 'stopping');
        return controller.status().isSynced
          ? textResponse(200, 'ok')
          : textResponse(503, 'the first check of all pairs is not complete');
      },
    ],
  ]);
}

/** Creates all routes, by path. */
export function createRoutes(options: RoutesOptions): Map<string, RouteHandler> {
  const { controller, metrics, settings } = options;
  return new Map<string, RouteHandler>([
    ...createHealthRoutes(options),
    [
      '/metrics',
      async () => ({ status: 200, type: metrics.contentType, body: await metrics.render(controller) }),
    ],
    ['/status', () => jsonResponse(200, { format: 2, version: manifest.version, ...controller.status() })],
    ['/version', () => jsonResponse(200, { version: manifest.version, node: process.version })],
    [
      '/',
      () => ({
        status: 200,
        type: 'text/html; charset=utf-8',
        body: renderStatusPage(controller.status(), {
          version: manifest.version,
          now: settings.clock.now(),
        }),
        csp: PAGE_CSP,
      }),
    ],
  ]);
}
