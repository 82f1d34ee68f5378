import { NOT_YET } from '../core/plan.ts';
import type { Action, Step } from '../core/resource.ts';
import { visible } from '../visible.ts';
import { changeText } from './change-text.ts';
import type { PlanStyle } from './style.ts';
import { wrapped } from './wrapped.ts';

/** What changes, why, and at what risk. */
export function stepText(step: Step, style: PlanStyle): string[] {
  const { paint, width, explain } = style;
  const id = visible(step.id);
  const mark = { create: paint.green('+'), update: paint.yellow('~'), delete: paint.red('-') }[step.action];
  return [
    ...headText(`${mark} ${id}`, id.length + 4, step.why.filter(isNews).map(visible), style),
    ...(explain ? [`      ${paint.dim(`→ ${step.calls.join(', ')} in ${step.at.region}`)}`] : []),
    ...step.patch
      .filter(({ path }) => !isSaid(step, path))
      .flatMap((operation) => changeText(operation, step.before[operation.path], style)),
    ...step.risks.flatMap(({ id, message }) =>
      wrapped('      ! ', `${paint.red(`risk ${id}`)}: ${visible(message)}`, width),
    ),
  ];
}

/** That something is not there yet is what its mark says. */
const isNews = (reason: string): boolean => reason !== NOT_YET;

/** A step and why it is made: on one line where that is short, otherwise a line for each reason. */
function headText(
  head: string,
  columns: number,
  why: readonly string[],
  { paint, width }: PlanStyle,
): string[] {
  const [only = '', ...more] = why;
  if (more.length === 0 && columns + only.length + 4 <= width)
    return [`  ${head}${only && paint.dim(`  # ${only}`)}`];
  const reasons = why.flatMap((reason) =>
    wrapped(`      ${paint.dim('#')} `, reason, width, { paint: paint.dim }),
  );
  return [`  ${head}`, ...reasons];
}

/** Fields that say nothing to the reader: how a kind compares, and what the id, the heading or the mark has said. */
function isSaid({ id, action, patch, before }: Step, path: string): boolean {
  const operation = patch.find((one) => one.path === path);
  const value = operation && 'value' in operation ? operation.value : before[path];
  return SAID.some(
    (one) =>
      one.path === path &&
      (one.action ?? action) === action &&
      (!one.inId || (typeof value === 'string' && id.includes(value))),
  );
}

const SAID: { path: string; action?: Action; inId?: true }[] = [
  { path: '/foreignRules' },
  { path: '/removable', action: 'delete' },
  { path: '/region', action: 'create' },
  { path: '/alias', action: 'create', inId: true },
  { path: '/bucket', action: 'create', inId: true },
  { path: '/name', action: 'create', inId: true },
  { path: '/role', action: 'create', inId: true },
];
