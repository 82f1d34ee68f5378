import manifest from '../../package.json' with { type: 'json' };
import type { Controller, ControllerOptions } from './controller.ts';
import type { Metrics } from './metrics.ts';
import { jsonResponse, plainTextResponse, type RouteHandler } from './server.ts';
import { PAGE_CSP, renderStatusPage } from './status-page/page.ts';

export interface RoutesOptions {
  controller: Controller;
  metrics: Metrics;
  /** Set when it is told to stop. */
  signal: AbortSignal;
  settings: Pick<ControllerOptions, 'clock' | 'intervalMs'>;
}

/** Everything that can be looked at, by path. */
export function createRoutes({
  controller,
  metrics,
  signal,
  settings,
}: RoutesOptions): Map<string, RouteHandler> {
  const { clock, intervalMs } = settings;
  /** It moves at least once an interval, unless there is nothing to look after. */
  const isLive = () => {
    const { pairs, lastMove } = controller.status();
    return pairs.length === 0 || clock.now() - lastMove < 3 * intervalMs + 60_000;
  };
  return new Map<string, RouteHandler>([
    [
      '/healthz',
      () => (isLive() ? plainTextResponse(200, 'ok') : plainTextResponse(503, 'the loop does not move')),
    ],
    [
      '/readyz',
      () => {
        if (signal.aborted) return plainTextResponse(503, 'stopping');
        return controller.status().isSynced
          ? plainTextResponse(200, 'ok')
          : plainTextResponse(503, 'not every pair was looked at yet');
      },
    ],
    [
      '/metrics',
      async () => ({ status: 200, type: metrics.contentType, body: await metrics.render(controller) }),
    ],
    ['/status', () => jsonResponse(200, { format: 1, version: manifest.version, ...controller.status() })],
    ['/version', () => jsonResponse(200, { version: manifest.version, node: process.version })],
    [
      '/',
      () => ({
        status: 200,
        type: 'text/html; charset=utf-8',
        body: renderStatusPage(controller.status(), { version: manifest.version, now: clock.now() }),
        csp: PAGE_CSP,
      }),
    ],
  ]);
}
