import { setMaxListeners } from 'node:events';

/** The source of time of the controller. Tests provide their own. */
export interface Clock {
  /** Wall-clock time in milliseconds since 1970, for display. An administrator may set it back or forward. */
  now(): number;
  /** Milliseconds since an arbitrary start, which never go back, for durations. */
  monotonicNow(): number;
  /** Calls back once after some milliseconds. Returns a function that cancels the call. */
  schedule(ms: number, callback: () => void): () => void;
}

/** Returns a time in UTC, in whole seconds: `2026-11-30T12:00:00Z`. */
export const isoSeconds = (time: Date | number): string => new Date(time).toISOString().replace(/\.\d+/, '');

/** The longest timeout of Node. A callback that is due later runs early, and its caller has to check the time. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  monotonicNow: () => performance.now(),
  schedule(ms, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), MAX_TIMEOUT_MS));
    return () => clearTimeout(timer);
  },
};

/**
 * Creates a controller whose signal any number of waits may listen to: each retry of each call of a pass does. Each wait
 * removes its listener when it ends. Node would otherwise report more than ten listeners as a leak.
 */
export function createAbortController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** Waits for some milliseconds, or until the signal aborts. */
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

/** How long synchronous work may block the event loop, in milliseconds. */
const MAX_BLOCK_MS = 20;

/**
 * Returns a function that long synchronous work calls between its parts. It yields to the event loop when the last yield
 * was 20 ms ago, so that signals, timers and servers run. It then throws the reason of an aborted signal.
 */
export function createPause(signal?: AbortSignal): () => Promise<void> {
  let lastYield = performance.now();
  return async () => {
    if (performance.now() - lastYield < MAX_BLOCK_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
    lastYield = performance.now();
  };
}

/**
 * The shortest and the longest wait after a failure, in milliseconds. Failures are always retried, but never in rapid
 * succession.
 */
const INITIAL_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 15 * 60_000;

/** Returns a wait that is randomized by up to a fifth, so that simultaneous failures are not retried simultaneously. */
export const withJitter = (ms: number, random: number): number => Math.round(ms * (0.8 + 0.4 * random));

/** Returns the wait after a number of consecutive failures, in milliseconds. `random`: from 0 up to 1. */
export const backoffMs = (failures: number, random: number): number =>
  withJitter(Math.min(INITIAL_BACKOFF_MS * 2 ** Math.max(failures - 1, 0), MAX_BACKOFF_MS), random);

/** Returns a duration in words: `15 minutes`, `2 hours`, `90 seconds` */
export function durationText(seconds: number): string {
  const units: [number, string][] = [
    [3_600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ];
  const [size, unit] = units.find(([candidate]) => seconds % candidate === 0) ?? [1, 'second'];
  const count = seconds / size;
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
