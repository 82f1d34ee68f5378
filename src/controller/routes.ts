import manifest from '../../package.json' with { type: 'json' };
import { compareCodeUnits } from '../util/canonical-json.ts';
import { escapeUnprintable, safeJson } from '../util/escape.ts';
import type { Controller, ControllerOptions } from './controller.ts';
import type { Metrics } from './metrics.ts';
import { jsonResponse, type Route, type RouteResponse, textResponse } from './server.ts';
import type { ControllerStatus, PairStatus } from './status.ts';
import { createDocRoutes } from './status-page/doc-pages.ts';
import { PAGE_CSP } from './status-page/document.ts';
import { renderStatusPage } from './status-page/page.ts';
import { InvalidQueryError, PAGE_PARAMETERS, parsePageQuery } from './status-page/query.ts';

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
}: Omit<RoutesOptions, 'metrics'>): Map<string, Route> {
  /** Whether the control loop is alive: it is active at least once in an interval, unless it has no pairs. */
  const isLive = () => {
    const { pairs, lastMove } = controller.status();
    return pairs.length === 0 || clock.now() - lastMove < 3 * intervalMs + 60_000;
  };
  return new Map<string, Route>([
    [
      '/healthz',
      {
        respond: () =>
          isLive() ? textResponse(200, 'ok') : textResponse(503, 'the control loop is not active'),
      },
    ],
    [
      '/readyz',
      {
        respond() {
          if (signal.aborted) return textResponse(503, 'stopping');
          return controller.status().isSynced
            ? textResponse(200, 'ok')
            : textResponse(503, 'the first check of all pairs is not complete');
        },
      },
    ],
  ]);
}

/** Creates all routes, by path. */
export function createRoutes(options: RoutesOptions): Map<string, Route> {
  const { controller, metrics, settings } = options;
  const { version } = manifest;
  return new Map<string, Route>([
    ...createHealthRoutes(options),
    [
      '/metrics',
      {
        isShared: true,
        respond: async () => ({
          status: 200,
          type: metrics.contentType,
          body: await metrics.render(controller),
        }),
      },
    ],
    [
      '/status',
      {
        isShared: true,
        parameters: ['pair', 'limit', 'continue'],
        respond: (query) => respondStatus(controller.status(), query),
      },
    ],
    ['/version', { respond: () => jsonResponse(200, { version, node: process.version }) }],
    [
      '/',
      {
        isShared: true,
        parameters: PAGE_PARAMETERS,
        respond: (query) => respondPage(controller.status(), query, { version, now: settings.clock.now() }),
      },
    ],
    ...createDocRoutes(),
  ]);
}

/** Number of pairs on a page of `/status`, by default and at most. */
const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 500;

/** Size at which a page ends before it has all of its pairs, in characters. */
const MAX_STATUS_PAGE_LENGTH = 128 * 1024;

/** Maximum number of problems in a response. Later problems often follow from the first ones. */
const MAX_PROBLEMS = 100;

/**
 * Responds with a page of the pairs, by name, as the Kubernetes API pages a list: `continue` is the value for the next
 * request, and `remainingPairs` the number of pairs after this page.
 */
function respondStatus(status: ControllerStatus, query: URLSearchParams): RouteResponse {
  const limitText = query.get('limit');
  const limit = limitText === null ? DEFAULT_PAGE_SIZE : Number(limitText);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE_SIZE)
    return textResponse(
      400,
      `invalid limit "${escapeUnprintable(limitText ?? '')}": use a number from 1 to ${MAX_PAGE_SIZE}`,
    );
  const name = query.get('pair');
  const after = query.get('continue') ?? '';
  const selected =
    name === null
      ? status.pairs.filter((pair) => compareCodeUnits(pair.name, after) > 0)
      : status.pairs.filter((pair) => pair.name === name);
  if (name !== null && selected.length === 0) return unknownPair(name);
  const { lines, next } = takePage(
    selected.sort((a, b) => compareCodeUnits(a.name, b.name)),
    limit,
  );
  const problems = status.problems.slice(0, MAX_PROBLEMS);
  const { pairs: _, ...rest } = status;
  const head = safeJson({
    format: 3,
    version: manifest.version,
    ...rest,
    problems,
    ...(problems.length < status.problems.length && {
      remainingProblems: status.problems.length - problems.length,
    }),
    ...(next !== undefined && { continue: next, remainingPairs: selected.length - lines.length }),
  });
  return {
    status: 200,
    type: 'application/json',
    body: `${head.slice(0, -1)},"pairs":[\n${lines.join(',\n')}\n]}\n`,
  };
}

/**
 * Returns the first pairs as lines of JSON, up to a number and a size, and at least one. `next`: the name of the last
 * pair, if more follow.
 */
function takePage(pairs: readonly PairStatus[], limit: number): { lines: string[]; next?: string } {
  const lines: string[] = [];
  let length = 0;
  for (const [index, pair] of pairs.entries()) {
    const line = index < limit ? safeJson(pair) : '';
    length += line.length;
    if (index === limit || (index > 0 && length > MAX_STATUS_PAGE_LENGTH))
      return { lines, next: pairs[index - 1]?.name ?? '' };
    lines.push(line);
  }
  return { lines };
}

const unknownPair = (name: string): RouteResponse =>
  textResponse(404, `no pair has the name "${escapeUnprintable(name)}"`);

/** Responds with the status page: all pairs, a part of them, or one pair. */
function respondPage(
  status: ControllerStatus,
  parameters: URLSearchParams,
  { version, now }: { version: string; now: number },
): RouteResponse {
  try {
    const query = parsePageQuery(parameters);
    const { pair } = query;
    if (pair !== undefined && !status.pairs.some(({ name }) => name === pair)) return unknownPair(pair);
    return {
      status: 200,
      type: 'text/html; charset=utf-8',
      body: renderStatusPage(status, { version, now, query }),
      csp: PAGE_CSP,
    };
  } catch (error) {
    if (error instanceof InvalidQueryError) return textResponse(400, error.message);
    throw error;
  }
}
