import { type FieldChange, fieldChangesOf } from '../core/diff.ts';
import { MISSING_REASON } from '../core/plan.ts';
import type { Action, Step } from '../core/resource.ts';
import { escapeUnprintable } from '../util/escape.ts';
import { changeText } from './change-text.ts';
import { retainedLines } from './retained-text.ts';
import { type PlanStyle, wrapText } from './style.ts';

/** Returns the lines of a step: the change, its reasons, its fields and its risks. */
export function stepLines(step: Step, style: PlanStyle): string[] {
  const { paint, width, explain } = style;
  const id = escapeUnprintable(step.id);
  const mark = { create: paint.green('+'), update: paint.yellow('~'), delete: paint.red('-') }[step.action];
  return [
    ...stepHeadLines(
      `${mark} ${id}`,
      id.length + 4,
      step.why.filter(isNotableReason).map(escapeUnprintable),
      style,
    ),
    ...(explain ? [`      ${paint.dim(`→ ${step.calls.join(', ')} in ${step.at.region}`)}`] : []),
    ...fieldChangesOf(step)
      .filter((change) => !isRedundantField(step, change))
      .flatMap((change) => changeText(change, style)),
    ...(step.retains ? retainedLines(step.retains, style) : []),
    ...step.risks.flatMap(({ id, message }) =>
      wrapText('      ! ', `${paint.red(`risk ${id}`)}: ${escapeUnprintable(message)}`, width),
    ),
  ];
}

/** Returns false for the reason that a resource is missing: the mark of the step shows that already. */
const isNotableReason = (reason: string): boolean => reason !== MISSING_REASON;

/** Returns a step with its reasons: on one line if they fit, otherwise with a line for each reason. */
function stepHeadLines(
  head: string,
  columns: number,
  why: readonly string[],
  { paint, width }: PlanStyle,
): string[] {
  const [only = '', ...more] = why;
  if (more.length === 0 && columns + only.length + 4 <= width)
    return [`  ${head}${only && paint.dim(`  # ${only}`)}`];
  const reasons = why.flatMap((reason) =>
    wrapText(`      ${paint.dim('#')} `, reason, width, { paint: paint.dim }),
  );
  return [`  ${head}`, ...reasons];
}

/**
 * Returns true for fields without new information: replikey's own comparison fields, and fields that the id, the
 * heading or the mark already shows.
 */
function isRedundantField({ id, action }: Step, change: FieldChange): boolean {
  const value = change.type === 'elements' ? undefined : (change.after ?? change.before);
  return REDUNDANT_FIELDS.some(
    (field) =>
      field.path === change.path &&
      (field.action ?? action) === action &&
      (!field.inId || (typeof value === 'string' && id.includes(value))),
  );
}

const REDUNDANT_FIELDS: { path: string; action?: Action; inId?: true }[] = [
  { path: '/foreignRules' },
  { path: '/removable', action: 'delete' },
  { path: '/leaves', action: 'delete' },
  { path: '/region', action: 'create' },
  { path: '/alias', action: 'create', inId: true },
  { path: '/bucket', action: 'create', inId: true },
  { path: '/name', action: 'create', inId: true },
  { path: '/role', action: 'create', inId: true },
];
