/** Time, as the controller sees it; tests drive their own. */
export interface Clock {
  /** Milliseconds since 1970: what a person reads, and what an administrator may set back or forward. */
  now(): number;
  /** Milliseconds since whenever, that only ever go on: for how long something takes. */
  monotonicNow(): number;
  /** Call back once after some milliseconds; the result calls it off. */
  schedule(ms: number, callback: () => void): () => void;
}

/** Node counts no longer: what is due later is looked at again by then. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  monotonicNow: () => performance.now(),
  schedule(ms, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), MAX_TIMEOUT_MS));
    return () => clearTimeout(timer);
  },
};

/** Wait for some milliseconds, or until the signal. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = () => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.schedule(ms, finish);
    signal?.addEventListener('abort', finish);
  });
}

/** The first wait after a failure, and the longest, in milliseconds: no failure is final, and none is tried in a storm. */
const INITIAL_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 15 * 60_000;

/** A wait that differs from others by up to a fifth, so that what fell together does not come together again. */
export const withJitter = (ms: number, random: number): number => Math.round(ms * (0.8 + 0.4 * random));

/** How long to wait after a number of failures in a row, in milliseconds. `chance`: from 0 up to 1. */
export const backoffMs = (failures: number, random: number): number =>
  withJitter(Math.min(INITIAL_BACKOFF_MS * 2 ** Math.max(failures - 1, 0), MAX_BACKOFF_MS), random);
