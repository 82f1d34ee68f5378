import type { Clock } from '../util/clock.ts';

/**
 * A work queue as controllers have it: a key that is added while it waits is worked on once, one that is added while it
 * is worked on is worked on again, and never twice at a time.
 */
export interface WorkQueue {
  add(key: string): void;
  /** Add it after some milliseconds, unless it is due before. */
  addAfter(key: string, ms: number): void;
  /** Call off what is due later. */
  forget(key: string): void;
  /** Start nothing more, and wait for what is in flight. */
  drain(): Promise<void>;
  /** Keys that wait for a worker, and keys that are worked on. */
  readonly depth: number;
  readonly active: number;
  /** How many were added in all, and for how long each that is worked on has been, in milliseconds. */
  readonly adds: number;
  readonly runningMs: number[];
  /** When a key is due, on the steady clock, if it is. */
  dueAt(key: string): number | undefined;
}

export interface WorkQueueOptions {
  clock: Clock;
  /** How many keys are worked on at a time. */
  workers: number;
  /** Must not throw: what failed is added again by whoever knows when. */
  work: (key: string, info: { waitedMs: number }) => Promise<void>;
}

export function createWorkQueue({ clock, workers, work }: WorkQueueOptions): WorkQueue {
  /** In the order of their coming, with the time of it. */
  const queued = new Map<string, number>();
  /** With the time of their beginning. */
  const startTimes = new Map<string, number>();
  let adds = 0;
  /** Added while they are worked on. */
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
