import type { Blocked, Handover, Note, Plan, Step } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { visible } from '../visible.ts';
import { byReason } from './by-reason.ts';
import { stepText } from './step-text.ts';
import type { PlanStyle } from './style.ts';
import { wrapped } from './wrapped.ts';

/** What a plan says of one pair, or of what is left of one. */
export interface PlanSection {
  name: string;
  /** `acme-tax` */
  buckets?: [source: string, destination: string];
  /** `acme-tax (us-east-1)`; both absent where no spec of this name is given any more. */
  sides?: [source: string, destination: string];
  /** `spec.yaml:1` */
  where?: string;
  steps: Step[];
  lines: string[];
}

/** A section for each pair that there is something to say of; what several pairs share stands with the first of them. */
export function planSections(
  plan: Plan,
  pairs: readonly BucketReplication[],
  style: PlanStyle,
): PlanSection[] {
  const given = new Set(pairs.map(({ name }) => name));
  const gone = [...new Set(told(plan).flatMap((one) => one.pairs[0] ?? []))].filter(
    (name) => !given.has(name),
  );
  return [...pairs.map(titleOf), ...gone.sort().map((name) => ({ name }))]
    .map((title) => ({
      ...title,
      steps: plan.waves.flat().filter(({ pairs: [first] }) => first === title.name),
      lines: linesOf(plan, title.name, style),
    }))
    .filter(({ lines }) => lines.length > 0);
}

/** The pairs of which a plan says nothing: they are as declared. */
export function untold(plan: Plan, pairs: readonly BucketReplication[]): string[] {
  const names = new Set(told(plan).flatMap((one) => one.pairs));
  return pairs.map(({ name }) => name).filter((name) => !names.has(name));
}

const told = ({ waves, blocked, notes, handover }: Plan): (Step | Blocked | Note | Handover)[] => [
  ...waves.flat(),
  ...blocked,
  ...notes,
  ...handover,
];

function titleOf({
  name,
  source,
  destination,
  positions,
}: BucketReplication): Pick<PlanSection, 'name' | 'buckets' | 'sides' | 'where'> {
  const at = positions[''];
  return {
    name,
    buckets: [source.bucket, destination.bucket],
    sides: [sideText(source), sideText(destination)],
    ...(at && { where: `${visible(at.file)}:${at.line}` }),
  };
}

/** `acme-tax (us-east-1)`, `acme-tax (main 111122223333, us-east-1)` */
function sideText({ bucket, region, account, accountId }: Side): string {
  const whose = [account, accountId].filter((one) => one !== undefined).join(' ');
  return `${bucket} (${whose === '' ? '' : `${whose}, `}${region})`;
}

/** Name, both sides and where it is declared; on lines of their own where they are long. */
export function headingText({ name, sides, where }: PlanSection, { paint, width }: PlanStyle): string {
  const head = paint.bold(visible(name));
  if (!sides) return `${head}  no spec of this name is given any more`;
  const at = where === undefined ? '' : `  ${where}`;
  const both = sides.join(' → ');
  if (`${name}  ${both}${at}`.length <= width) return `${head}  ${both}${paint.dim(at)}`;
  const below = both.length + 2 <= width ? [both] : [sides[0], `→ ${sides[1]}`];
  return [`${head}${paint.dim(at)}`, ...below.map((line) => `  ${line}`)].join('\n');
}

function linesOf(plan: Plan, name: string, style: PlanStyle): string[] {
  const { paint, width } = style;
  const mine = ({ pairs }: { pairs: string[] }) => pairs[0] === name;
  return [
    ...plan.waves
      .flat()
      .filter(mine)
      .flatMap((step) => stepText(step, style)),
    ...byReason(plan.blocked.filter(mine)).flatMap(([why, ids]) => [
      ...ids.map((id) => `  ${paint.red('!')} ${visible(id)}`),
      ...wrapped('      ', visible(why), width, { paint: paint.red }),
    ]),
    ...plan.notes
      .filter(mine)
      .flatMap(({ id, message }) => [
        `  ${paint.yellow('·')} ${visible(id)}`,
        ...wrapped('      ', visible(message), width),
      ]),
    ...plan.handover.filter(mine).flatMap((one) => handoverText(one, style)),
  ];
}

/** What somebody else has to do, ready to be handed over. */
function handoverText({ account, what, document, command }: Handover, { paint, width }: PlanStyle): string[] {
  const json = document === undefined ? [] : JSON.stringify(document, null, 2).split('\n').map(visible);
  return [
    ...wrapped(
      `  ${paint.yellow('?')} `,
      `account ${account} cannot be seen from here; its owner must ${visible(what)}:`,
      width,
    ),
    ...json.map((line) => `      ${line}`),
    `      ${paint.dim('$')} ${visible(command)}`,
  ];
}
