import { isDeepStrictEqual } from 'node:util';
import { EXIT, UserError } from '../../src/errors.ts';
import type { RunResult } from './run-pass.ts';
import { foreignStateOf, resourceStateOf, type State, unexpectedResources } from './state.ts';

/** The states after a run with a fault and after the two runs that follow it. */
export interface DisturbedResults {
  before: State;
  /** The state after a run without a fault. */
  expected: State;
  afterDisturbed: State;
  /** The next run, without a fault, and the state after it. */
  recovery: RunResult;
  afterRecovery: State;
  /** A dry run after the recovery. */
  dryRun: RunResult;
  /** Objects that S3 did not replicate, although they were written to a source that replicates. */
  lostObjects: string[];
}

/** A line of a stack trace. */
export const STACK_TRACE_LINE = /^\s+at .+:\d+:\d+\)?$/m;

/** The name of a failed call in the output. A resource that could not be read may be as declared. */
const FAILED_CALL = /\b(s3|iam|kms|sts):[A-Z]\w+ in /;

/** Returns the violations of a run with a fault and of the runs after it; empty if there are none. */
export const findViolations = (results: DisturbedResults & { disturbedRun: RunResult }): string[] => [
  ...findFalseClaims(results),
  ...findForeignChanges(results),
  ...findUnrecovered(results),
];

/** Returns false statements in the report of a run. */
function findFalseClaims({
  expected,
  disturbedRun: result,
  afterDisturbed,
}: DisturbedResults & { disturbedRun: RunResult }): string[] {
  const isComplete = isDeepStrictEqual(afterDisturbed, expected);
  const missingIds = result.applied.filter(
    (id) => !isDeepStrictEqual(resourceStateOf(afterDisturbed, id), resourceStateOf(expected, id)),
  );
  return [
    ...violationIf(
      result.error !== undefined && !(result.error instanceof UserError),
      `the run crashed: ${result.error}`,
    ),
    ...violationIf(
      result.exitCode === EXIT.ok && !isComplete,
      'the run reported success, but not all resources are as declared',
    ),
    ...violationIf(
      result.exitCode !== EXIT.ok && result.output.trim() === '',
      'the run failed without output',
    ),
    ...violationIf(
      result.exitCode !== EXIT.ok && isComplete && !FAILED_CALL.test(result.output),
      'the run failed although all resources are as declared, and named no failed call',
    ),
    ...violationIf(
      result.exitCode !== EXIT.ok && /^Converged/m.test(result.output),
      'the run failed and reported that it converged',
    ),
    ...violationIf(STACK_TRACE_LINE.test(result.output), 'the run printed a stack trace'),
    ...missingIds.map((id) => `the run reported ${id} as applied, but it is not as declared`),
  ];
}

/** Returns changes to foreign resources and entries. */
export const findForeignChanges = ({ before, expected, afterDisturbed }: DisturbedResults): string[] => [
  ...violationIf(
    !isDeepStrictEqual(
      foreignStateOf(before, before, expected),
      foreignStateOf(afterDisturbed, before, expected),
    ),
    'the run changed foreign state',
  ),
  ...unexpectedResources(afterDisturbed, before, expected).map(
    (name) => `the run created ${name}, which no spec declares`,
  ),
];

/** Returns what the next run did not recover, and the objects that were lost until then. */
export const findUnrecovered = ({
  expected,
  recovery,
  afterRecovery,
  dryRun,
  lostObjects,
}: DisturbedResults): string[] => [
  ...violationIf(recovery.exitCode !== EXIT.ok, `the next run failed: ${recovery.output}`),
  ...violationIf(
    !isDeepStrictEqual(afterRecovery, expected),
    'the state after the next run differs from that of an undisturbed run',
  ),
  ...violationIf(
    dryRun.exitCode !== EXIT.ok || dryRun.outcome?.plan.waves.length !== 0,
    'the dry run after the recovery plans changes',
  ),
  ...lostObjects,
];

const violationIf = (isViolated: boolean, message: string): string[] => (isViolated ? [message] : []);

/** The outcome of a case, for the table. */
export type CaseOutcome = 'recovered' | 'reported';

export const caseOutcomeOf = (result: RunResult): CaseOutcome =>
  result.exitCode === EXIT.ok ? 'recovered' : 'reported';
