import type { Clock } from '../../src/util/clock.ts';

/** A clock that only a test advances. */
export interface FakeClock extends Clock {
  /** Advances the time. Calls the due timers in order, and settles promises after each of them. */
  advance(ms: number): Promise<void>;
  /** Changes the wall clock, which must not affect timers and durations. */
  adjustWallTime(ms: number): void;
  /** The number of timers that are not due yet. */
  readonly pending: number;
}

export function fakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  let now = start;
  let ahead = 0;
  let count = 0;
  const timers = new Map<number, { at: number; then: () => void }>();
  const next = (until: number) =>
    [...timers]
      .filter(([, { at }]) => at <= until)
      .sort(([idA, timerA], [idB, timerB]) => timerA.at - timerB.at || idA - idB)[0];
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

/** Waits until all promises without pending timers or I/O have settled. */
export const flushPromises = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
