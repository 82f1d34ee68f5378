import { stripVTControlCharacters } from 'node:util';
import { KMS_QUOTAS } from '../aws/quotas.ts';
import type { Action, Plan, Step } from '../core/resource.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { BucketReplication, Variable } from '../spec/types.ts';
import { minimumDuration } from './estimate.ts';
import type { Paint } from './paint.ts';
import { planSections, sectionHeading, unchangedPairs } from './plan-sections.ts';
import { proofSummary, unprovenText } from './proof-text.ts';
import { PLAIN_STYLE, type PlanStyle } from './style.ts';
import { valueText } from './value.ts';
import { wrapText } from './wrap-text.ts';

/** A plan for a terminal: a heading a pair, each change with the fields that differ and why, and a summary line. */
export function planText(
  plan: Plan,
  pairs: readonly BucketReplication[],
  proof: readonly RuleVerdict[] = [],
  style: PlanStyle = PLAIN_STYLE,
  variables: readonly Variable[] = [],
): string {
  const { paint, width } = style;
  const sections = planSections(plan, pairs, style).map((section) =>
    [sectionHeading(section, style), ...section.lines].join('\n'),
  );
  const unchanged = sections.length === 0 ? [] : unchangedPairs(plan, pairs);
  const footer = [
    ...(unchanged.length > 0 ? wrapText('', `As declared already: ${limitNames(unchanged)}.`, width) : []),
    ...summaryLines(plan, style),
    ...minimumDurationText(plan).flatMap((line) => wrapText('', line, width)),
    ...(proof.length > 0 ? [`Proof: ${proofSummary(proof, paint)}`] : []),
  ];
  return [
    ...(variables.length > 0 ? [wrapText('', variablesText(variables), width).join('\n')] : []),
    ...sections,
    ...unprovenText(proof, paint, width),
    footer.join('\n'),
  ].join('\n\n');
}

/** `Variables: stage=prod (--var), region=eu-west-1 (default)` */
export const variablesText = (variables: readonly Variable[]): string =>
  `Variables: ${variables.map(({ name, value, from }) => `${name}=${valueText(value)} (${from})`).join(', ')}`;

/** As many names as are read at a glance. */
const MAX_LISTED_NAMES = 10;

const limitNames = (names: readonly string[]): string => {
  const more = names.length - MAX_LISTED_NAMES;
  return [...names.slice(0, MAX_LISTED_NAMES), ...(more > 0 ? [`and ${more} more`] : [])].join(', ');
};

/** One line: what the plan would do. */
export function planSummary(plan: Plan, paint: Paint): string {
  const count = countActions(plan.waves.flat());
  if (isEmptyPlan(plan)) {
    const uncheckedText =
      plan.handover.length > 0 ? ` ${plan.handover.length} of other accounts could not be checked.` : '';
    return `${paint.green('Nothing to do')}: ${plan.unchanged} resources are as declared.${uncheckedText}`;
  }
  const deletedText = count.delete > 0 ? `, ${paint.red(`${count.delete} to delete`)}` : '';
  const blockedText = plan.blocked.length > 0 ? `, ${paint.red(`${plan.blocked.length} blocked`)}` : '';
  return `Plan: ${count.create} to create, ${count.update} to update${deletedText}${blockedText}, ${plan.unchanged} unchanged.`;
}

const isEmptyPlan = ({ waves, blocked }: Plan): boolean => waves.length + blocked.length === 0;

/** `It takes 40 s at least: …`, or nothing where nothing takes long. */
export function minimumDurationText(plan: Plan): string[] {
  const minimum = minimumDuration(plan);
  if (!minimum) return [];
  const { seconds, keyCount: keys, location: at } = minimum;
  const reason = `KMS makes ${KMS_QUOTAS.CreateKey} keys a second, and ${keys} are to be made in ${at}`;
  return [`It takes ${seconds} s at least: ${reason}.`];
}

/** The checksum behind the summary, or below it where that is long. */
function summaryLines(plan: Plan, { paint, width }: PlanStyle): string[] {
  const line = planSummary(plan, paint);
  if (isEmptyPlan(plan)) return [line];
  const checksum = `Checksum ${plan.digest.slice(0, 16)}`;
  const isShort = stripVTControlCharacters(line).length + checksum.length + 2 <= width;
  return isShort ? [`${line}  ${paint.dim(checksum)}`] : [line, paint.dim(checksum)];
}

/** How many of each. */
export function countActions(steps: readonly Step[]): Record<Action, number> {
  const count = (action: Action) => steps.filter((step) => step.action === action).length;
  return { create: count('create'), update: count('update'), delete: count('delete') };
}
