import type { Clock } from '../../src/controller/clock.ts';

/** A clock that stands still until it is told to go on. */
export interface FakeClock extends Clock {
  /** Let some milliseconds pass: what is due is called in its order, and promises are settled in between. */
  pass(ms: number): Promise<void>;
  /** Set the time of day forward or back, which nothing that takes its time is to notice. */
  set(ms: number): void;
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
    elapsed: () => now,
    set(ms) {
      ahead += ms;
    },
    after(ms, then) {
      const id = count++;
      timers.set(id, { at: now + Math.max(ms, 0), then });
      return () => timers.delete(id);
    },
    async pass(ms) {
      const end = now + ms;
      for (let due = next(end); due; due = next(end)) {
        const [id, { at, then }] = due;
        timers.delete(id);
        now = at;
        then();
        await settled();
      }
      now = end;
      await settled();
    },
    get pending() {
      return timers.size;
    },
  };
}

/** Until promises that wait for nothing but each other are through. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
