import { stripVTControlCharacters } from 'node:util';
import { KMS_QUOTAS } from '../aws/command.ts';
import type { Action, Blocked, Handover, Note, Plan, Step, Withheld } from '../core/resource.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { BucketReplication, Side, Variable } from '../spec/types.ts';
import { escapeUnprintable } from '../util/escape.ts';
import { alarmsPriceText, QUERY_ALARM_PRICE_TEXT, RULE_METRICS_PRICE_TEXT } from '../util/prices.ts';
import { valueText } from './change-text.ts';
import { basisText, proofSummary, unprovenText } from './proof-text.ts';
import { housekeepingLines } from './retained-text.ts';
import { stepLines } from './step-text.ts';
import { type Paint, PLAIN_STYLE, type PlanStyle, wrapText } from './style.ts';

/**
 * Returns a plan for a terminal: a heading for each pair, each change with its fields and reasons, and a summary line.
 */
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
    ...(unchanged.length > 0 ? wrapText('', `Pairs without changes: ${limitNames(unchanged)}.`, width) : []),
    ...summaryLines(plan, style),
    ...[...minimumDurationText(plan), ...priceText(plan), ...housekeepingLines(plan)].flatMap((line) =>
      wrapText('', line, width),
    ),
    ...(proof.length > 0
      ? [`Proof: ${proofSummary(proof, paint)}`, ...wrapText('', basisText(proof), width)]
      : []),
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

/** Maximum number of names in a sentence. */
const MAX_LISTED_NAMES = 10;

const limitNames = (names: readonly string[]): string => {
  const more = names.length - MAX_LISTED_NAMES;
  return [...names.slice(0, MAX_LISTED_NAMES), ...(more > 0 ? [`and ${more} more`] : [])].join(', ');
};

/** Returns one line: the number of changes in the plan. */
export function planSummary(plan: Plan, paint: Paint): string {
  const count = countActions(plan.waves.flat());
  if (isEmptyPlan(plan)) {
    const uncheckedText =
      plan.handover.length > 0 ? ` ${plan.handover.length} in other accounts were not checked.` : '';
    return `${paint.green('Nothing to do')}: ${plan.unchanged} resources are as declared.${uncheckedText}`;
  }
  const deletedText = count.delete > 0 ? `, ${paint.red(`${count.delete} to delete`)}` : '';
  const blockedText = plan.blocked.length > 0 ? `, ${paint.red(`${plan.blocked.length} blocked`)}` : '';
  return `Plan: ${count.create} to create, ${count.update} to update${deletedText}${blockedText}, ${plan.unchanged} unchanged.`;
}

const isEmptyPlan = ({ waves, blocked }: Plan): boolean => waves.length + blocked.length === 0;

/** Returns `Apply takes at least 40 s: …`, or no line if the minimum duration is short. */
export function minimumDurationText(plan: Plan): string[] {
  const minimum = minimumDuration(plan);
  if (!minimum) return [];
  const { seconds, keyCount: keys, location: at } = minimum;
  const reason = `KMS allows ${KMS_QUOTAS.CreateKey} CreateKey calls per second, and the plan creates ${keys} keys in ${at}`;
  return [`Apply takes at least ${seconds} s: ${reason}.`];
}

/** Returns what the new alarms cost, or no line without alarms. A query over all rules has no fixed price. */
export function priceText(plan: Plan): string[] {
  const created = plan.waves
    .flat()
    .filter(({ action, calls }) => action === 'create' && calls.includes('cloudwatch:PutMetricAlarm'));
  const onRules = created.filter(({ desired }) => (desired as { metricName?: string }).metricName).length;
  const prices = [
    ...(onRules > 0 ? [`${alarmsPriceText(onRules)} for ${onRules} new alarms`] : []),
    ...(created.length > onRules
      ? [`${QUERY_ALARM_PRICE_TEXT} for ${created.length - onRules} alarms on all rules`]
      : []),
  ];
  if (prices.length === 0) return [];
  return [`CloudWatch charges ${prices.join(' and ')}, beside ${RULE_METRICS_PRICE_TEXT}.`];
}

/** Returns the summary with the checksum behind it, or below it if the summary is long. */
function summaryLines(plan: Plan, { paint, width }: PlanStyle): string[] {
  const line = planSummary(plan, paint);
  if (isEmptyPlan(plan)) return [line];
  const checksum = `Checksum ${plan.digest.slice(0, 16)}`;
  const isShort = stripVTControlCharacters(line).length + checksum.length + 2 <= width;
  return isShort ? [`${line}  ${paint.dim(checksum)}`] : [line, paint.dim(checksum)];
}

/** Counts the steps by action. */
export function countActions(steps: readonly Step[]): Record<Action, number> {
  const count = (action: Action) => steps.filter((step) => step.action === action).length;
  return { create: count('create'), update: count('update'), delete: count('delete') };
}

/** A shorter minimum duration is not reported. */
const MIN_REPORTED_SECONDS = 10;

/**
 * Returns the minimum duration of a plan. The KMS quota of CreateKey calls per second and location bounds it. Returns
 * undefined if the duration is short.
 */
export function minimumDuration({
  waves,
}: Plan): { seconds: number; keyCount: number; location: string } | undefined {
  const keysByLocation = new Map<string, number>();
  for (const { calls, at } of waves.flat()) {
    if (!calls.includes('kms:CreateKey')) continue;
    const label = at.account === undefined ? at.region : `${at.account}/${at.region}`;
    keysByLocation.set(label, (keysByLocation.get(label) ?? 0) + 1);
  }
  const [location, keyCount] = [...keysByLocation].sort(([, a], [, b]) => b - a)[0] ?? ['', 0];
  const seconds = Math.ceil(keyCount / KMS_QUOTAS.CreateKey);
  return seconds < MIN_REPORTED_SECONDS ? undefined : { seconds, keyCount: keyCount, location };
}

/** The part of a plan about one pair, or about the orphan of a removed spec. */
export interface PlanSection {
  name: string;
  /** `acme-tax` */
  buckets?: [source: string, destination: string];
  /** `acme-tax (us-east-1)`; `buckets` and `sides` are absent if no current spec has this name. */
  sides?: [source: string, destination: string];
  /** `spec.yaml:1` */
  declaredAt?: string;
  steps: Step[];
  lines: string[];
}

/**
 * Returns a section for each pair that the plan mentions. An entry that several pairs share is in the section of the
 * first pair.
 */
export function planSections(
  plan: Plan,
  pairs: readonly BucketReplication[],
  style: PlanStyle,
): PlanSection[] {
  const declaredNames = new Set(pairs.map(({ name }) => name));
  const removedNames = [...new Set(planEntries(plan).flatMap((entry) => entry.pairs[0] ?? []))].filter(
    (name) => !declaredNames.has(name),
  );
  return [...pairs.map(pairTitle), ...removedNames.sort().map((name) => ({ name }))]
    .map((title) => ({
      ...title,
      steps: plan.waves.flat().filter(({ pairs: [first] }) => first === title.name),
      lines: sectionLines(plan, title.name, style),
    }))
    .filter(({ lines }) => lines.length > 0);
}

/** Returns the pairs that the plan does not mention: they are as declared. */
export function unchangedPairs(plan: Plan, pairs: readonly BucketReplication[]): string[] {
  const changedNames = new Set(planEntries(plan).flatMap((entry) => entry.pairs));
  return pairs.map(({ name }) => name).filter((name) => !changedNames.has(name));
}

const planEntries = ({
  waves,
  blocked,
  withheld,
  notes,
  handover,
}: Plan): (Step | Blocked | Withheld | Note | Handover)[] => [
  ...waves.flat(),
  ...blocked,
  ...withheld,
  ...notes,
  ...handover,
];

function pairTitle({
  name,
  source,
  destination,
  positions,
}: BucketReplication): Pick<PlanSection, 'name' | 'buckets' | 'sides' | 'declaredAt'> {
  const position = positions[''];
  return {
    name,
    buckets: [source.bucket, destination.bucket],
    sides: [sideText(source), sideText(destination)],
    ...(position && { declaredAt: `${escapeUnprintable(position.file)}:${position.line}` }),
  };
}

/** `acme-tax (us-east-1)`, `acme-tax (main 111122223333, us-east-1)` */
function sideText({ bucket, region, account, accountId }: Side): string {
  const accountText = [account, accountId].filter((part) => part !== undefined).join(' ');
  return `${bucket} (${accountText === '' ? '' : `${accountText}, `}${region})`;
}

/**
 * Returns the heading of a section: the name, both sides and the position of the spec, on several lines if they are
 * long.
 */
export function sectionHeading(
  { name, sides, declaredAt }: PlanSection,
  { paint, width }: PlanStyle,
): string {
  const head = paint.bold(escapeUnprintable(name));
  if (!sides) return `${head}  no current spec has this name`;
  const suffix = declaredAt === undefined ? '' : `  ${declaredAt}`;
  const sidesLine = sides.join(' → ');
  if (`${name}  ${sidesLine}${suffix}`.length <= width) return `${head}  ${sidesLine}${paint.dim(suffix)}`;
  const sideLines = sidesLine.length + 2 <= width ? [sidesLine] : [sides[0], `→ ${sides[1]}`];
  return [`${head}${paint.dim(suffix)}`, ...sideLines.map((line) => `  ${line}`)].join('\n');
}

function sectionLines(plan: Plan, name: string, style: PlanStyle): string[] {
  const { paint, width } = style;
  const isInSection = ({ pairs }: { pairs: string[] }) => pairs[0] === name;
  return [
    ...plan.waves
      .flat()
      .filter(isInSection)
      .flatMap((step) => stepLines(step, style)),
    ...groupByReason(plan.blocked.filter(isInSection)).flatMap(([why, ids]) => [
      ...ids.map((id) => `  ${paint.red('!')} ${escapeUnprintable(id)}`),
      ...wrapText('      ', escapeUnprintable(why), width, { paint: paint.red }),
    ]),
    ...withheldLines(plan.withheld.filter(isInSection), style),
    ...plan.notes
      .filter(isInSection)
      .flatMap(({ id, message }) => [
        `  ${paint.yellow('·')} ${escapeUnprintable(id)}`,
        ...wrapText('      ', escapeUnprintable(message), width),
      ]),
    ...plan.handover.filter(isInSection).flatMap((item) => handoverText(item, style)),
  ];
}

/** Returns the changes of blocked pairs in one entry for each cause. */
function withheldLines(withheld: readonly Withheld[], { paint, width }: PlanStyle): string[] {
  const items = withheld.map(({ action, id, because }) => ({
    id: `${action} ${id}`,
    why: because.join(', '),
  }));
  return groupByReason(items).flatMap(([because, changes]) => {
    const count = `${changes.length} ${changes.length === 1 ? 'change' : 'changes'}`;
    const text = `replikey withholds ${count} until ${because} is no longer blocked: ${changes.join(', ')}`;
    return wrapText(`  ${paint.yellow('·')} `, escapeUnprintable(text), width);
  });
}

/** Returns the manual steps for the owner of another account, ready to hand over. */
function handoverText({ account, what, document, command }: Handover, { paint, width }: PlanStyle): string[] {
  const json =
    document === undefined ? [] : JSON.stringify(document, null, 2).split('\n').map(escapeUnprintable);
  return [
    ...wrapText(
      `  ${paint.yellow('?')} `,
      `replikey has no access to account ${account}; its owner must ${escapeUnprintable(what)}:`,
      width,
    ),
    ...json.map((line) => `      ${line}`),
    ...(command === undefined
      ? ['      the next plan shows the command, when the ARN is known']
      : command.split('\n').map((line) => `      ${escapeUnprintable(line)}`)),
  ];
}

/** Groups items by reason, in the order in which the reasons first occur. */
export function groupByReason<I extends string>(
  items: readonly { id: I; why?: string }[],
): [why: string, ids: I[]][] {
  const reasons = new Map<string, I[]>();
  for (const { id, why = '' } of items) reasons.set(why, [...(reasons.get(why) ?? []), id]);
  return [...reasons];
}

/** Returns a line for each variable that the specs use: its name, value and origin, in columns. */
export function variableLines(variables: readonly Variable[]): string[] {
  const rows = variables.map(({ name, value, from }) => ({
    name,
    value: escapeUnprintable(String(value)),
    from,
  }));
  const widest = (column: 'name' | 'value') => Math.max(0, ...rows.map((row) => row[column].length));
  const [nameWidth, valueWidth] = [widest('name'), Math.min(40, widest('value'))];
  return rows.map(
    ({ name, value, from }) => `  ${name.padEnd(nameWidth)} = ${value.padEnd(valueWidth)}  (${from})`,
  );
}
