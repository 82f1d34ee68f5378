import manifest from '../../package.json' with { type: 'json' };
import type { Controller, ControllerOptions } from './controller.ts';
import type { Metrics } from './metrics.ts';
import { PAGE_POLICY, statusPage } from './page.ts';
import { json, plainText, type Route } from './server.ts';

export interface RoutesOptions {
  controller: Controller;
  metrics: Metrics;
  /** Set when it is told to stop. */
  signal: AbortSignal;
  settings: Pick<ControllerOptions, 'clock' | 'intervalMs'>;
}

/** Everything that can be looked at, by path. */
export function routesOf({ controller, metrics, signal, settings }: RoutesOptions): Map<string, Route> {
  const { clock, intervalMs } = settings;
  /** It moves at least once an interval, unless there is nothing to look after. */
  const isLive = () => {
    const { pairs, lastMove } = controller.status();
    return pairs.length === 0 || clock.now() - lastMove < 3 * intervalMs + 60_000;
  };
  return new Map<string, Route>([
    ['/healthz', () => (isLive() ? plainText(200, 'ok') : plainText(503, 'the loop does not move'))],
    [
      '/readyz',
      () => {
        if (signal.aborted) return plainText(503, 'stopping');
        return controller.status().isSynced
          ? plainText(200, 'ok')
          : plainText(503, 'not every pair was looked at yet');
      },
    ],
    [
      '/metrics',
      async () => ({ status: 200, type: metrics.contentType, body: await metrics.text(controller) }),
    ],
    ['/status', () => json(200, { format: 1, version: manifest.version, ...controller.status() })],
    ['/version', () => json(200, { version: manifest.version, node: process.version })],
    [
      '/',
      () => ({
        status: 200,
        type: 'text/html; charset=utf-8',
        body: statusPage(controller.status(), { version: manifest.version, now: clock.now() }),
        policy: PAGE_POLICY,
      }),
    ],
  ]);
}
