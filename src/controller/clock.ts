/** Time, as the controller sees it; tests drive their own. */
export interface Clock {
  /** Milliseconds since 1970: what a person reads, and what an administrator may set back or forward. */
  now(): number;
  /** Milliseconds since whenever, that only ever go on: for how long something takes. */
  elapsed(): number;
  /** Call back once after some milliseconds; the result calls it off. */
  after(ms: number, then: () => void): () => void;
}

/** Node counts no longer: what is due later is looked at again by then. */
const LONGEST_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  elapsed: () => performance.now(),
  after(ms, then) {
    const timer = setTimeout(then, Math.min(Math.max(ms, 0), LONGEST_MS));
    return () => clearTimeout(timer);
  },
};

/** Wait for some milliseconds, or until the signal. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      callOff();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const callOff = clock.after(ms, done);
    signal?.addEventListener('abort', done);
  });
}
