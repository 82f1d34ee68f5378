import type { Clock } from '../util/clock.ts';

/**
 * A work queue as in Kubernetes controllers. A key that is added while it is queued is processed once. A key that is
 * added during its processing is processed again. The queue never processes a key twice concurrently.
 */
export interface WorkQueue {
  add(key: string): void;
  /** Adds a key after some milliseconds, unless it is due earlier. */
  addAfter(key: string, ms: number): void;
  /** Cancels a scheduled add. */
  forget(key: string): void;
  /** Starts no further work, and waits for the work in flight. */
  drain(): Promise<void>;
  /** Numbers of queued keys and of keys in progress. */
  readonly depth: number;
  readonly active: number;
  /** Total number of adds, and the running time of each key in progress, in milliseconds. */
  readonly adds: number;
  readonly runningMs: number[];
  /** Returns when a scheduled key is due, on the monotonic clock; undefined for any other key. */
  dueAt(key: string): number | undefined;
}

export interface WorkQueueOptions {
  clock: Clock;
  /** Maximum number of keys processed concurrently. */
  workers: number;
  /** Must not throw: the caller adds a failed key again. */
  work: (key: string, info: { waitedMs: number }) => Promise<void>;
}

export function createWorkQueue({ clock, workers, work }: WorkQueueOptions): WorkQueue {
  /** Queued keys in order of arrival, with the time of arrival. */
  const queued = new Map<string, number>();
  /** Keys in progress, with the start time. */
  const startTimes = new Map<string, number>();
  let adds = 0;
  /** Keys that were added during their processing. */
  const dirty = new Set<string>();
  const timers = new Map<string, { dueAt: number; cancel: () => void }>();
  let isDraining = false;
  let onIdle: (() => void) | undefined;

  function startWorkers(): void {
    for (const [key, queuedAt] of queued) {
      if (isDraining || startTimes.size >= workers) return;
      queued.delete(key);
      startTimes.set(key, clock.monotonicNow());
      void work(key, { waitedMs: clock.monotonicNow() - queuedAt }).finally(() => {
        startTimes.delete(key);
        if (dirty.delete(key)) {
          forget(key);
          queued.set(key, clock.monotonicNow());
        }
        startWorkers();
        if (isDraining && startTimes.size === 0) onIdle?.();
      });
    }
  }

  function add(key: string): void {
    forget(key);
    if (!queued.has(key) && !dirty.has(key)) adds += 1;
    if (startTimes.has(key)) dirty.add(key);
    else if (!queued.has(key)) queued.set(key, clock.monotonicNow());
    startWorkers();
  }

  function forget(key: string): void {
    timers.get(key)?.cancel();
    timers.delete(key);
  }

  return {
    add,
    addAfter(key, ms) {
      // A timer would keep the process alive. The work in flight schedules its next pass when it ends.
      if (isDraining) return;
      const dueAt = clock.monotonicNow() + ms;
      const timer = timers.get(key);
      if (timer && timer.dueAt <= dueAt) return;
      timer?.cancel();
      timers.set(key, { dueAt, cancel: clock.schedule(ms, () => add(key)) });
    },
    forget,
    drain() {
      isDraining = true;
      for (const { cancel } of timers.values()) cancel();
      timers.clear();
      queued.clear();
      if (startTimes.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        onIdle = resolve;
      });
    },
    get depth() {
      return queued.size;
    },
    get active() {
      return startTimes.size;
    },
    get adds() {
      return adds;
    },
    get runningMs() {
      return [...startTimes.values()].map((startedAt) => clock.monotonicNow() - startedAt);
    },
    dueAt: (key) => timers.get(key)?.dueAt,
  };
}
