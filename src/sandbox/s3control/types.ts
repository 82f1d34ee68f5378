import type { JobState } from '../state.ts';

/**
 * Runs the batch jobs: it moves them from state to state, generates their manifests, runs their tasks and writes their
 * reports. The state of a job says what is left to do, so that a restart continues it.
 */
export interface JobRunner {
  /** Runs a job that was created, confirmed or cancelled. */
  run(job: JobState): void;
  /** Moves the jobs by the changes of state that are due by the clock. Synchronous. */
  advance(): void;
  /**
   * Resolves when no job can proceed before time passes or a client confirms it.
   *
   * @throws Error of a job that failed because of a bug in the sandbox.
   */
  waitUntilIdle(): Promise<void>;
  /** Continues the jobs that were running before a restart. */
  resume(): void;
  /** Interrupts all jobs, and waits until none runs. The next start continues them. */
  stop(): Promise<void>;
}
