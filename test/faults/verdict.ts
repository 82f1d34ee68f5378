import { isDeepStrictEqual } from 'node:util';
import { EXIT, UserError } from '../../src/errors.ts';
import type { Ran } from './drive.ts';
import { foreignIn, pieceOf, type State, strangers } from './state.ts';

/** How a run with a fault ended, and the two after it. */
export interface Ended {
  before: State;
  /** What a run without a fault would have left. */
  goal: State;
  ran: Ran;
  after: State;
  /** The next run, without a fault, and what it left. */
  next: Ran;
  healed: State;
  /** A dry run after that. */
  last: Ran;
}

/** A line of a stack trace. */
const TRACE = /^\s+at .+:\d+:\d+\)?$/m;

/** What is wrong with how it ended, in words; nothing is as it should be. */
export function wrongWith({ before, goal, ran, after, next, healed, last }: Ended): string[] {
  const isThere = isDeepStrictEqual(after, goal);
  const untrue = ran.applied.filter((id) => !isDeepStrictEqual(pieceOf(after, id), pieceOf(goal, id)));
  return [
    ...wrong(ran.error !== undefined && !(ran.error instanceof UserError), `it crashed: ${ran.error}`),
    ...wrong(ran.exitCode === EXIT.ok && !isThere, 'it said that it succeeded, but not all is there'),
    ...wrong(ran.exitCode !== EXIT.ok && ran.said.trim() === '', 'it failed without a word'),
    ...wrong(TRACE.test(ran.said), 'it printed a stack trace'),
    ...untrue.map((id) => `it said that it applied ${id}, which is not as declared`),
    ...wrong(
      !isDeepStrictEqual(foreignIn(before, before, goal), foreignIn(after, before, goal)),
      'it touched what others have',
    ),
    ...strangers(after, before, goal).map((name) => `it made ${name}, which nobody declared`),
    ...wrong(next.exitCode !== EXIT.ok, `the next run failed: ${next.said}`),
    ...wrong(!isDeepStrictEqual(healed, goal), 'the next run left another state than an undisturbed run'),
    ...wrong(
      last.exitCode !== EXIT.ok || last.outcome?.plan.waves.length !== 0,
      'a run after that plans something',
    ),
  ];
}

const wrong = (is: boolean, what: string): string[] => (is ? [what] : []);

/** How a case came out, for the table. */
export type Verdict = 'recovered' | 'told';

export const verdictOf = ({ ran }: Pick<Ended, 'ran'>): Verdict =>
  ran.exitCode === EXIT.ok ? 'recovered' : 'told';
