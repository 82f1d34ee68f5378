import { isDeepStrictEqual } from 'node:util';
import { EXIT, UserError } from '../../src/errors.ts';
import type { Ran } from './drive.ts';
import { foreignIn, pieceOf, type State, strangers } from './state.ts';

/** What is there after a run that was disturbed, and after the two that follow it. */
export interface Ended {
  before: State;
  /** What a run without a fault would have left. */
  goal: State;
  after: State;
  /** The next run, without a fault, and what it left. */
  next: Ran;
  healed: State;
  /** A dry run after that. */
  last: Ran;
}

/** A line of a stack trace. */
export const TRACE = /^\s+at .+:\d+:\d+\)?$/m;

/** What went wrong with a call is told with its name: what could not be read may be there all the same. */
const CALL = /\b(s3|iam|kms|sts):[A-Z]\w+ in /;

/** What is wrong with a run that was disturbed and with what came of it, in words; nothing is as it should be. */
export const wrongWith = (ended: Ended & { ran: Ran }): string[] => [
  ...untrue(ended),
  ...harm(ended),
  ...unhealed(ended),
];

/** What a run said that is not so. */
function untrue({ goal, ran, after }: Ended & { ran: Ran }): string[] {
  const isThere = isDeepStrictEqual(after, goal);
  const missing = ran.applied.filter((id) => !isDeepStrictEqual(pieceOf(after, id), pieceOf(goal, id)));
  return [
    ...wrong(ran.error !== undefined && !(ran.error instanceof UserError), `it crashed: ${ran.error}`),
    ...wrong(ran.exitCode === EXIT.ok && !isThere, 'it said that it succeeded, but not all is there'),
    ...wrong(ran.exitCode !== EXIT.ok && ran.said.trim() === '', 'it failed without a word'),
    ...wrong(
      ran.exitCode !== EXIT.ok && isThere && !CALL.test(ran.said),
      'it failed though all is there, and named no call that failed',
    ),
    ...wrong(
      ran.exitCode !== EXIT.ok && /^Converged/m.test(ran.said),
      'it failed and said that it converged',
    ),
    ...wrong(TRACE.test(ran.said), 'it printed a stack trace'),
    ...missing.map((id) => `it said that it applied ${id}, which is not as declared`),
  ];
}

/** What was touched that is nobody's business. */
export const harm = ({ before, goal, after }: Ended): string[] => [
  ...wrong(
    !isDeepStrictEqual(foreignIn(before, before, goal), foreignIn(after, before, goal)),
    'it touched what others have',
  ),
  ...strangers(after, before, goal).map((name) => `it made ${name}, which nobody declared`),
];

/** What the next run did not mend. */
export const unhealed = ({ goal, next, healed, last }: Ended): string[] => [
  ...wrong(next.exitCode !== EXIT.ok, `the next run failed: ${next.said}`),
  ...wrong(!isDeepStrictEqual(healed, goal), 'the next run left another state than an undisturbed run'),
  ...wrong(
    last.exitCode !== EXIT.ok || last.outcome?.plan.waves.length !== 0,
    'a run after that plans something',
  ),
];

const wrong = (is: boolean, what: string): string[] => (is ? [what] : []);

/** How a case came out, for the table. */
export type Verdict = 'recovered' | 'told';

export const verdictOf = (ran: Ran): Verdict => (ran.exitCode === EXIT.ok ? 'recovered' : 'told');
