import type { Clock } from '../../src/util/clock.ts';

/** A clock that stands still until it is told to go on. */
export interface FakeClock extends Clock {
  /** Let some milliseconds pass: what is due is called in its order, and promises are settled in between. */
  advance(ms: number): Promise<void>;
  /** Set the time of day forward or back, which nothing that takes its time is to notice. */
  adjustWallTime(ms: number): void;
  /** How much is due later. */
  readonly pending: number;
}

export function fakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  let now = start;
  let ahead = 0;
  let count = 0;
  const timers = new Map<number, { at: number; then: () => void }>();
  const next = (until: number) =>
    [...timers].filter(([, { at }]) => at <= until).sort(([a, one], [b, two]) => one.at - two.at || a - b)[0];
  return {
    now: () => now + ahead,
    monotonicNow: () => now,
    adjustWallTime(ms) {
      ahead += ms;
    },
    schedule(ms, then) {
      const id = count++;
      timers.set(id, { at: now + Math.max(ms, 0), then });
      return () => timers.delete(id);
    },
    async advance(ms) {
      const end = now + ms;
      for (let due = next(end); due; due = next(end)) {
        const [id, { at, then }] = due;
        timers.delete(id);
        now = at;
        then();
        await flushPromises();
      }
      now = end;
      await flushPromises();
    },
    get pending() {
      return timers.size;
    },
  };
}

/** Until promises that wait for nothing but each other are through. */
export const flushPromises = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
