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
