import type { Id, ManualStep, Step } from '../core/resource.ts';

/** Reasons of steps that an interruption stopped. */
export const INTERRUPTED = {
  notStarted: 'interrupted before it started',
  inFlight: 'interrupted: the call in flight was finished, and the next run continues from the actual state',
} as const;

/** Returns the reason of a step that is skipped because it needs this resource. */
export const missingNeedReason = (need: Id): string => `${need} was not applied`;

/** The result of one step. */
export interface StepResult {
  id: Id;
  action: Step['action'];
  result: 'applied' | 'failed' | 'skipped';
  /** The cause and the remedy, for a failed or skipped step. */
  why?: string;
  /** What the step created and nothing uses, and how a person deletes it. */
  leftBehind?: ManualStep[];
}
