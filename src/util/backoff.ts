/** The first wait after a failure, and the longest, in milliseconds: no failure is final, and none is tried in a storm. */
const INITIAL_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 15 * 60_000;

/** A wait that differs from others by up to a fifth, so that what fell together does not come together again. */
export const withJitter = (ms: number, random: number): number => Math.round(ms * (0.8 + 0.4 * random));

/** How long to wait after a number of failures in a row, in milliseconds. `chance`: from 0 up to 1. */
export const backoffMs = (failures: number, random: number): number =>
  withJitter(Math.min(INITIAL_BACKOFF_MS * 2 ** Math.max(failures - 1, 0), MAX_BACKOFF_MS), random);
