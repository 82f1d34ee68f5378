import { isDeepStrictEqual } from 'node:util';
import { EXIT, UserError } from '../../src/errors.ts';
import type { RunResult } from './run-pass.ts';
import { foreignStateOf, resourceStateOf, type State, unexpectedResources } from './state.ts';

/** What is there after a run that was disturbed, and after the two that follow it. */
export interface DisturbedResults {
  before: State;
  /** What a run without a fault would have left. */
  expected: State;
  afterDisturbed: State;
  /** The next run, without a fault, and what it left. */
  recovery: RunResult;
  afterRecovery: State;
  /** A dry run after that. */
  dryRun: RunResult;
}

/** A line of a stack trace. */
export const STACK_TRACE_LINE = /^\s+at .+:\d+:\d+\)?$/m;

/** What went wrong with a call is told with its name: what could not be read may be there all the same. */
const FAILED_CALL = /\b(s3|iam|kms|sts):[A-Z]\w+ in /;

/** What is wrong with a run that was disturbed and with what came of it, in words; nothing is as it should be. */
export const findViolations = (results: DisturbedResults & { ran: RunResult }): string[] => [
  ...findFalseClaims(results),
  ...findForeignChanges(results),
  ...findUnrecovered(results),
];

/** What a run said that is not so. */
function findFalseClaims({
  expected,
  ran: result,
  afterDisturbed,
}: DisturbedResults & { ran: RunResult }): string[] {
  const isComplete = isDeepStrictEqual(afterDisturbed, expected);
  const missingIds = result.applied.filter(
    (id) => !isDeepStrictEqual(resourceStateOf(afterDisturbed, id), resourceStateOf(expected, id)),
  );
  return [
    ...violationIf(
      result.error !== undefined && !(result.error instanceof UserError),
      `it crashed: ${result.error}`,
    ),
    ...violationIf(
      result.exitCode === EXIT.ok && !isComplete,
      'it said that it succeeded, but not all is there',
    ),
    ...violationIf(result.exitCode !== EXIT.ok && result.output.trim() === '', 'it failed without a word'),
    ...violationIf(
      result.exitCode !== EXIT.ok && isComplete && !FAILED_CALL.test(result.output),
      'it failed though all is there, and named no call that failed',
    ),
    ...violationIf(
      result.exitCode !== EXIT.ok && /^Converged/m.test(result.output),
      'it failed and said that it converged',
    ),
    ...violationIf(STACK_TRACE_LINE.test(result.output), 'it printed a stack trace'),
    ...missingIds.map((id) => `it said that it applied ${id}, which is not as declared`),
  ];
}

/** What was touched that is nobody's business. */
export const findForeignChanges = ({ before, expected, afterDisturbed }: DisturbedResults): string[] => [
  ...violationIf(
    !isDeepStrictEqual(
      foreignStateOf(before, before, expected),
      foreignStateOf(afterDisturbed, before, expected),
    ),
    'it touched what others have',
  ),
  ...unexpectedResources(afterDisturbed, before, expected).map(
    (name) => `it made ${name}, which nobody declared`,
  ),
];

/** What the next run did not mend. */
export const findUnrecovered = ({
  expected,
  recovery,
  afterRecovery,
  dryRun,
}: DisturbedResults): string[] => [
  ...violationIf(recovery.exitCode !== EXIT.ok, `the next run failed: ${recovery.output}`),
  ...violationIf(
    !isDeepStrictEqual(afterRecovery, expected),
    'the next run left another state than an undisturbed run',
  ),
  ...violationIf(
    dryRun.exitCode !== EXIT.ok || dryRun.outcome?.plan.waves.length !== 0,
    'a run after that plans something',
  ),
];

const violationIf = (isViolated: boolean, message: string): string[] => (isViolated ? [message] : []);

/** How a case came out, for the table. */
export type CaseOutcome = 'recovered' | 'told';

export const caseOutcomeOf = (result: RunResult): CaseOutcome =>
  result.exitCode === EXIT.ok ? 'recovered' : 'told';
