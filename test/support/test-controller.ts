import { pino } from 'pino';
import { expect, vi } from 'vitest';
import { type ControllerOptions, createController } from '../../src/controller/controller.ts';
import { kinds } from '../../src/kinds/index.ts';
import type { TestEnv } from './env.ts';
import { fakeClock } from './fake-clock.ts';

/** Milliseconds between two resyncs. */
export const RESYNC_INTERVAL_MS = 300_000;

/** Returns a controller of an environment, with a fake clock and a log in memory. */
export function testController(env: TestEnv, overrides: Partial<ControllerOptions> = {}) {
  const clock = fakeClock();
  const lines: { level: string; msg: string; pairs?: string[] }[] = [];
  const log = pino(
    { level: 'info', formatters: { level: (level) => ({ level }) } },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  );
  const controller = createController({
    kinds,
    connect: () => ({ aws: env.client, close() {} }),
    clock,
    random: () => 0.5,
    log,
    intervalMs: RESYNC_INTERVAL_MS,
    workers: 4,
    waitMs: 2_000,
    allow: [],
    allowUnproven: false,
    thresholds: () => ({ maxRemovals: 10 }),
    isLeaderFor: () => true,
    ...overrides,
  });
  /** Waits until the queue is empty and no pass is active. */
  const untilIdle = () =>
    vi.waitFor(() => expect(controller.status().queue).toMatchObject({ depth: 0, active: 0 }), {
      timeout: 60_000,
      interval: 2,
    });
  return { controller, clock, lines, log, idle: untilIdle };
}
