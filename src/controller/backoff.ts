/** The first wait after a failure, and the longest, in milliseconds: no failure is final, and none is tried in a storm. */
const FIRST_MS = 1_000;
const LONGEST_MS = 15 * 60_000;

/** A wait that differs from others by up to a fifth, so that what fell together does not come together again. */
export const jittered = (ms: number, chance: number): number => Math.round(ms * (0.8 + 0.4 * chance));

/** How long to wait after a number of failures in a row, in milliseconds. `chance`: from 0 up to 1. */
export const backoff = (failures: number, chance: number): number =>
  jittered(Math.min(FIRST_MS * 2 ** Math.max(failures - 1, 0), LONGEST_MS), chance);
