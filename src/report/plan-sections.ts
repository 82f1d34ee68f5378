import type { Blocked, Handover, Note, Plan, Step } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { escapeUnprintable } from '../util/escape.ts';
import { groupByReason } from './by-reason.ts';
import { stepLines } from './step-text.ts';
import type { PlanStyle } from './style.ts';
import { wrapText } from './wrap-text.ts';

/** What a plan says of one pair, or of what is left of one. */
export interface PlanSection {
  name: string;
  /** `acme-tax` */
  buckets?: [source: string, destination: string];
  /** `acme-tax (us-east-1)`; both absent where no spec of this name is given any more. */
  sides?: [source: string, destination: string];
  /** `spec.yaml:1` */
  declaredAt?: string;
  steps: Step[];
  lines: string[];
}

/** A section for each pair that there is something to say of; what several pairs share stands with the first of them. */
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

/** The pairs of which a plan says nothing: they are as declared. */
export function unchangedPairs(plan: Plan, pairs: readonly BucketReplication[]): string[] {
  const changedNames = new Set(planEntries(plan).flatMap((entry) => entry.pairs));
  return pairs.map(({ name }) => name).filter((name) => !changedNames.has(name));
}

const planEntries = ({ waves, blocked, notes, handover }: Plan): (Step | Blocked | Note | Handover)[] => [
  ...waves.flat(),
  ...blocked,
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

/** Name, both sides and where it is declared; on lines of their own where they are long. */
export function sectionHeading(
  { name, sides, declaredAt }: PlanSection,
  { paint, width }: PlanStyle,
): string {
  const head = paint.bold(escapeUnprintable(name));
  if (!sides) return `${head}  no spec of this name is given any more`;
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
    ...plan.notes
      .filter(isInSection)
      .flatMap(({ id, message }) => [
        `  ${paint.yellow('·')} ${escapeUnprintable(id)}`,
        ...wrapText('      ', escapeUnprintable(message), width),
      ]),
    ...plan.handover.filter(isInSection).flatMap((item) => handoverText(item, style)),
  ];
}

/** What somebody else has to do, ready to be handed over. */
function handoverText({ account, what, document, command }: Handover, { paint, width }: PlanStyle): string[] {
  const json =
    document === undefined ? [] : JSON.stringify(document, null, 2).split('\n').map(escapeUnprintable);
  return [
    ...wrapText(
      `  ${paint.yellow('?')} `,
      `account ${account} cannot be seen from here; its owner must ${escapeUnprintable(what)}:`,
      width,
    ),
    ...json.map((line) => `      ${line}`),
    `      ${paint.dim('$')} ${escapeUnprintable(command)}`,
  ];
}
