import { stripVTControlCharacters } from 'node:util';
import { KMS_QUOTAS, leastTime } from '../core/least-time.ts';
import type { Action, Plan, Step } from '../core/resource.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { BucketReplication, Variable } from '../spec/types.ts';
import type { Paint } from './paint.ts';
import { proofSummary, unprovenText } from './proof-text.ts';
import { headingText, planSections, untold } from './sections.ts';
import { PLAIN, type PlanStyle } from './style.ts';
import { showValue } from './value.ts';
import { wrapped } from './wrapped.ts';

/** A plan for a terminal: a heading a pair, each change with the fields that differ and why, and a summary line. */
export function planText(
  plan: Plan,
  pairs: readonly BucketReplication[],
  proof: readonly RuleVerdict[] = [],
  style: PlanStyle = PLAIN,
  variables: readonly Variable[] = [],
): string {
  const { paint, width } = style;
  const sections = planSections(plan, pairs, style).map((section) =>
    [headingText(section, style), ...section.lines].join('\n'),
  );
  const others = sections.length === 0 ? [] : untold(plan, pairs);
  const end = [
    ...(others.length > 0 ? wrapped('', `As declared already: ${listed(others)}.`, width) : []),
    ...summaryLines(plan, style),
    ...leastTimeText(plan).flatMap((line) => wrapped('', line, width)),
    ...(proof.length > 0 ? [`Proof: ${proofSummary(proof, paint)}`] : []),
  ];
  return [
    ...(variables.length > 0 ? [wrapped('', variablesText(variables), width).join('\n')] : []),
    ...sections,
    ...unprovenText(proof, paint, width),
    end.join('\n'),
  ].join('\n\n');
}

/** `Variables: stage=prod (--var), region=eu-west-1 (default)` */
export const variablesText = (variables: readonly Variable[]): string =>
  `Variables: ${variables.map(({ name, value, from }) => `${name}=${showValue(value)} (${from})`).join(', ')}`;

/** As many names as are read at a glance. */
const MOST_NAMES = 10;

const listed = (names: readonly string[]): string => {
  const more = names.length - MOST_NAMES;
  return [...names.slice(0, MOST_NAMES), ...(more > 0 ? [`and ${more} more`] : [])].join(', ');
};

/** One line: what the plan would do. */
export function summary(plan: Plan, paint: Paint): string {
  const count = counts(plan.waves.flat());
  if (isEmpty(plan)) {
    const unseen =
      plan.handover.length > 0 ? ` ${plan.handover.length} of other accounts could not be checked.` : '';
    return `${paint.green('Nothing to do')}: ${plan.unchanged} resources are as declared.${unseen}`;
  }
  const deleted = count.delete > 0 ? `, ${paint.red(`${count.delete} to delete`)}` : '';
  const blocked = plan.blocked.length > 0 ? `, ${paint.red(`${plan.blocked.length} blocked`)}` : '';
  return `Plan: ${count.create} to create, ${count.update} to update${deleted}${blocked}, ${plan.unchanged} unchanged.`;
}

const isEmpty = ({ waves, blocked }: Plan): boolean => waves.length + blocked.length === 0;

/** `It takes 40 s at least: …`, or nothing where nothing takes long. */
export function leastTimeText(plan: Plan): string[] {
  const least = leastTime(plan);
  if (!least) return [];
  const { seconds, keys, at } = least;
  const why = `KMS makes ${KMS_QUOTAS.CreateKey} keys a second, and ${keys} are to be made in ${at}`;
  return [`It takes ${seconds} s at least: ${why}.`];
}

/** The checksum behind the summary, or below it where that is long. */
function summaryLines(plan: Plan, { paint, width }: PlanStyle): string[] {
  const line = summary(plan, paint);
  if (isEmpty(plan)) return [line];
  const checksum = `Checksum ${plan.digest.slice(0, 16)}`;
  const isShort = stripVTControlCharacters(line).length + checksum.length + 2 <= width;
  return isShort ? [`${line}  ${paint.dim(checksum)}`] : [line, paint.dim(checksum)];
}

/** How many of each. */
export function counts(steps: readonly Step[]): Record<Action, number> {
  const count = (action: Action) => steps.filter((step) => step.action === action).length;
  return { create: count('create'), update: count('update'), delete: count('delete') };
}
