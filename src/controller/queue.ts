import type { Clock } from './clock.ts';

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
  readonly running: number[];
  /** When a key is due, on the steady clock, if it is. */
  dueAt(key: string): number | undefined;
}

export interface QueueOptions {
  clock: Clock;
  /** How many keys are worked on at a time. */
  workers: number;
  /** Must not throw: what failed is added again by whoever knows when. */
  work: (key: string, info: { waitedMs: number }) => Promise<void>;
}

export function createQueue({ clock, workers, work }: QueueOptions): WorkQueue {
  /** In the order of their coming, with the time of it. */
  const waiting = new Map<string, number>();
  /** With the time of their beginning. */
  const running = new Map<string, number>();
  let adds = 0;
  /** Added while they are worked on. */
  const dirty = new Set<string>();
  const later = new Map<string, { at: number; callOff: () => void }>();
  let draining = false;
  let idle: (() => void) | undefined;

  function start(): void {
    for (const [key, since] of waiting) {
      if (draining || running.size >= workers) return;
      waiting.delete(key);
      running.set(key, clock.elapsed());
      void work(key, { waitedMs: clock.elapsed() - since }).finally(() => {
        running.delete(key);
        if (dirty.delete(key)) {
          forget(key);
          waiting.set(key, clock.elapsed());
        }
        start();
        if (draining && running.size === 0) idle?.();
      });
    }
  }

  function add(key: string): void {
    forget(key);
    if (!waiting.has(key) && !dirty.has(key)) adds += 1;
    if (running.has(key)) dirty.add(key);
    else if (!waiting.has(key)) waiting.set(key, clock.elapsed());
    start();
  }

  function forget(key: string): void {
    later.get(key)?.callOff();
    later.delete(key);
  }

  return {
    add,
    addAfter(key, ms) {
      const at = clock.elapsed() + ms;
      const known = later.get(key);
      if (known && known.at <= at) return;
      known?.callOff();
      later.set(key, { at, callOff: clock.after(ms, () => add(key)) });
    },
    forget,
    drain() {
      draining = true;
      for (const { callOff } of later.values()) callOff();
      later.clear();
      waiting.clear();
      if (running.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        idle = resolve;
      });
    },
    get depth() {
      return waiting.size;
    },
    get active() {
      return running.size;
    },
    get adds() {
      return adds;
    },
    get running() {
      return [...running.values()].map((since) => clock.elapsed() - since);
    },
    dueAt: (key) => later.get(key)?.at,
  };
}
