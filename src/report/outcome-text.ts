import type { CanaryResult } from '../canary/canary.ts';
import type { Refusal } from '../core/guard.ts';
import { allowanceOf, RISKS } from '../core/resource.ts';
import type { Outcome } from '../reconcile/pass.ts';
import { INTERRUPTED, missingNeedReason } from '../reconcile/step-result.ts';
import { escapeUnprintable, shellQuote } from '../util/escape.ts';
import { groupByReason } from './plan-text.ts';
import { expiryLine, leftByInterruptLines, removedText, stillGrantedLines } from './retained-text.ts';
import type { Paint } from './style.ts';

/**
 * Returns the outcome of apply. The progress output reported each applied step already; this text reports the
 * remaining steps.
 */
export function outcomeText(outcome: Outcome, paint: Paint): string {
  const { plan, results, refusals, remaining: left } = outcome;
  if (refusals.length > 0)
    return [paint.red('Refused: nothing was changed.'), ...refusalLines(refusals, paint)].join('\n');
  const inFlight = results.filter(({ why }) => why === INTERRUPTED.inFlight);
  const failed = results.filter(({ result, why }) => result === 'failed' && why !== INTERRUPTED.inFlight);
  const unapplied = results.filter(({ result }) => result === 'skipped');
  const isInterrupted = inFlight.length > 0 || unapplied.some(({ why }) => why === INTERRUPTED.notStarted);
  // After an interruption, a step is skipped because of a failure only if it names the failed step.
  const failureReasons = new Set(failed.map(({ id }) => missingNeedReason(id)));
  const skipped = isInterrupted ? unapplied.filter(({ why = '' }) => failureReasons.has(why)) : unapplied;
  const notStarted = unapplied.length - skipped.length;
  const applied = results.length - failed.length - unapplied.length - inFlight.length;
  const remaining = left === undefined ? [] : left.waves.flat();
  const unappliedCount = results.length - applied;
  const differingSteps = unappliedCount === 0 ? remaining : [];
  const blockedIds = new Set(plan.blocked.map(({ id }) => id));
  const newlyBlocked =
    unappliedCount === 0 ? (left?.blocked ?? []).filter(({ id }) => !blockedIds.has(id)) : [];
  const problems = [
    ...problemLines('failed', failed, paint),
    ...problemLines('skipped', skipped, paint),
    ...problemLines('in flight', inFlight, paint),
    ...problemLines(
      'differs after apply',
      differingSteps.map(({ id }) => ({ id, why: DIFFERS_REASON })),
      paint,
    ),
    ...problemLines('newly blocked', newlyBlocked, paint),
  ];
  const granted = left
    ? [...stillGrantedLines(left.housekeeping).map(escapeUnprintable), ...expiryLine(left.retained)]
    : leftByInterruptLines(outcome).map(escapeUnprintable);
  if (problems.length + plan.blocked.length + notStarted === 0) {
    const converged =
      results.length === 0
        ? []
        : [paint.green(`Converged: ${applied} applied, and a second read finds no differences.`)];
    return [...converged, ...leftBehindLines(results, paint), ...removedText(plan), ...granted].join('\n');
  }
  const blocked = `${plan.blocked.length} blocked${plan.blocked.length > 0 ? ' (see the plan)' : ''}`;
  const isCauseToFix = failed.length + plan.blocked.length + newlyBlocked.length > 0;
  const countOf = (count: number, label: string) => (count > 0 ? [`${count} ${label}`] : []);
  const summary = isInterrupted
    ? `${paint.yellow('Interrupted')}: ${[
        `${applied} applied`,
        ...countOf(inFlight.length, 'in flight'),
        `${notStarted} not started`,
        ...countOf(failed.length, 'failed'),
        ...countOf(skipped.length, 'skipped'),
        ...countOf(plan.blocked.length, 'blocked (see the plan)'),
      ].join(', ')}.`
    : `${paint.red('Not converged')}: ${applied} applied, ${failed.length} failed, ${skipped.length} skipped, ${blocked}.`;
  return [
    summary,
    ...problems,
    ...leftBehindLines(results, paint),
    ...granted,
    `${isCauseToFix ? 'Fix the cause, then run' : 'Run'} it again: it continues with the remaining changes.`,
  ].join('\n');
}

/** Returns the end of a dry run: whether the plan would be refused, and the options that allow it. */
export function dryRunText({ plan, refusals }: Pick<Outcome, 'plan' | 'refusals'>, paint: Paint): string {
  const note = 'Dry run: nothing was changed.';
  if (refusals.length === 0) return plan.waves.length > 0 ? note : '';
  return [
    `${note} ${paint.red('reconcile --once would be refused:')}`,
    ...refusalLines(refusals, paint),
  ].join('\n');
}

/** Returns the reasons of a refusal, with the options that allow the plan. */
const refusalLines = (refusals: readonly Refusal[], paint: Paint): string[] =>
  refusals.map((refusal) => {
    const { id, step, message } = refusal;
    if (step === undefined) return `  ${paint.red('!')} ${escapeUnprintable(message)}`;
    const allowance = Object.hasOwn(RISKS, id)
      ? `\n      allow it with --allow ${escapeUnprintable(shellQuote(allowanceOf(refusal)))}`
      : '';
    return `  ${paint.red('!')} ${escapeUnprintable(step)}: ${escapeUnprintable(message)}${allowance}`;
  });

/** Returns what the run created and nothing uses, each with the command that deletes it. */
const leftBehindLines = (results: Outcome['results'], paint: Paint): string[] =>
  results.flatMap(({ id, leftBehind = [] }) =>
    leftBehind.flatMap(({ what, command }) => [
      `  ${paint.yellow('left behind')} ${escapeUnprintable(id)}: ${escapeUnprintable(what)}`,
      ...(command === undefined ? [] : [`      ${escapeUnprintable(command)}`]),
    ]),
  );

const DIFFERS_REASON = 'a foreign change, or AWS does not show the write yet';

/** Returns a line for each reason, with the resources that share it below. */
const problemLines = (
  label: string,
  items: readonly { id: string; why?: string }[],
  paint: Paint,
): string[] =>
  groupByReason(items).flatMap(([why, ids]) =>
    ids.length === 1
      ? [`  ${paint.red(label)} ${ids.map(escapeUnprintable)}: ${escapeUnprintable(why)}`]
      : [
          `  ${paint.red(label)}: ${escapeUnprintable(why)}`,
          ...ids.map((id) => `      ${escapeUnprintable(id)}`),
        ],
  );

/** Returns one line for each canary. */
export function canaryText(
  { pair, rule, bucketKey, sseAlgorithm, result, latencyMs, why, left, retained, key }: CanaryResult,
  paint: Paint,
): string {
  const name = `${pair}/${rule}`;
  if (result === 'skipped') return `${paint.dim('-')} ${name}: ${why}`;
  if (key === '') return `${paint.red('✗')} ${name}: ${escapeUnprintable(why ?? '')}`;
  const isKms = sseAlgorithm === 'aws:kms';
  const encryptionLabel = isKms ? `${bucketKey ? 'with' : 'without'} a Bucket Key` : 'encrypted with SSE-S3';
  const line =
    result === 'replicated'
      ? `${paint.green('✓')} ${name}, ${encryptionLabel}: replicated${isKms ? ' under the declared key' : ''} in ${latencyMs} ms`
      : `${paint.red('✗')} ${name}, ${encryptionLabel}: ${escapeUnprintable(why ?? '')}`;
  return [
    line,
    ...(left ?? []).map((version) => `    ${paint.yellow('left behind')} ${escapeUnprintable(version)}`),
    ...(retained ?? []).map((version) => `    ${paint.yellow('retained')} ${escapeUnprintable(version)}`),
  ].join('\n');
}
