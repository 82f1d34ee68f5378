import { RISKS } from '../core/risks.ts';
import type { Outcome } from '../reconcile.ts';
import { visible } from '../visible.ts';
import { byReason } from './by-reason.ts';
import type { Paint } from './paint.ts';

/** How applying ended. Each applied step was told while it ran; what remains is what was not. */
export function outcomeText(outcome: Outcome, paint: Paint): string {
  const { plan, results, refusals, left } = outcome;
  if (refusals.length > 0) {
    const lines = refusals.map(({ id, step, message }) =>
      step === undefined
        ? `  ${paint.red('!')} ${visible(message)}`
        : `  ${paint.red('!')} ${visible(step)}: ${visible(message)}${Object.hasOwn(RISKS, id) ? `\n      allow it with --allow ${id}` : ''}`,
    );
    return [paint.red('Refused: nothing was changed.'), ...lines].join('\n');
  }
  const failed = results.filter(({ result }) => result === 'failed');
  const skipped = results.filter(({ result }) => result === 'skipped');
  const applied = results.length - failed.length - skipped.length;
  const remaining = left === undefined ? [] : left.waves.flat();
  const missing = failed.length + skipped.length;
  const differing = missing === 0 ? remaining : [];
  const known = new Set(plan.blocked.map(({ id }) => id));
  const unread = missing === 0 ? (left?.blocked ?? []).filter(({ id }) => !known.has(id)) : [];
  const problems = [
    ...problemLines('failed', failed, paint),
    ...problemLines('skipped', skipped, paint),
    ...problemLines(
      'differs again',
      differing.map(({ id }) => ({ id, why: AGAIN })),
      paint,
    ),
    ...problemLines('not seen again', unread, paint),
  ];
  if (problems.length + plan.blocked.length === 0) {
    return results.length === 0
      ? ''
      : paint.green(`Converged: ${applied} applied, and a second reading finds nothing to do.`);
  }
  const blocked = `${plan.blocked.length} blocked${plan.blocked.length > 0 ? ' (the plan says why)' : ''}`;
  const mended = failed.length + plan.blocked.length + unread.length > 0 ? ' once the cause is mended' : '';
  return [
    `${paint.red('Not converged')}: ${applied} applied, ${failed.length} failed, ${skipped.length} skipped, ${blocked}.`,
    ...problems,
    `Run it again${mended}: it goes on where it stands.`,
  ].join('\n');
}

const AGAIN = 'somebody else changes it, or AWS does not show it yet';

/** A line for each reason, and below it what shares it. */
const problemLines = (word: string, items: readonly { id: string; why?: string }[], paint: Paint): string[] =>
  byReason(items).flatMap(([why, ids]) =>
    ids.length === 1
      ? [`  ${paint.red(word)} ${ids.map(visible)}: ${visible(why)}`]
      : [`  ${paint.red(word)}: ${visible(why)}`, ...ids.map((id) => `      ${visible(id)}`)],
  );
