import { stableJson } from '../core/canonical.ts';
import type { Operation } from '../core/difference.ts';
import { NOT_YET } from '../core/plan.ts';
import { showPointer } from '../core/pointer.ts';
import { isRef } from '../core/ref.ts';
import type { Handover, Plan, Step } from '../core/resource.ts';
import { RISKS } from '../core/risks.ts';
import type { RuleProof } from '../proof/types.ts';
import type { Outcome } from '../reconcile.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { createColors, type Paint } from './paint.ts';
import { proofSummary, unprovenText } from './proof-text.ts';
import { isStatement, statementLines } from './statement.ts';
import { fieldLines, showValue } from './value.ts';
import { visible } from './visible.ts';
import { wrapped } from './wrapped.ts';

/** How a plan is shown. */
export interface PlanStyle {
  paint: Paint;
  /** Columns after which lines are broken; names that are longer stand on lines of their own. */
  width: number;
  /** Whether to name the API calls that make each change. */
  explain: boolean;
}

/** Without colours, for files and comments. */
export const PLAIN: PlanStyle = { paint: createColors(false), width: 80, explain: false };

/** A plan for a terminal: a heading a pair, each change with the fields that differ and why, and a summary line. */
export function planText(
  plan: Plan,
  pairs: readonly BucketReplication[],
  proof: readonly RuleProof[] = [],
  style: PlanStyle = PLAIN,
): string {
  const { paint } = style;
  const sections = planSections(plan, pairs, style).map(({ heading, lines }) =>
    [heading, ...lines].join('\n'),
  );
  const end = [summary(plan, paint), ...(proof.length > 0 ? [`Proof: ${proofSummary(proof, paint)}`] : [])];
  return [...sections, ...unprovenText(proof, paint, style.width), end.join('\n')].join('\n\n');
}

/** What a plan says of one pair, or of what is left of one. */
export interface PlanSection {
  name: string;
  heading: string;
  lines: string[];
}

/** A section for each pair that there is something to say of; what several pairs share stands with the first of them. */
export function planSections(
  plan: Plan,
  pairs: readonly BucketReplication[],
  style: PlanStyle,
): PlanSection[] {
  const given = new Set(pairs.map(({ name }) => name));
  const told = [...plan.waves.flat(), ...plan.blocked, ...plan.notes].flatMap((one) => one.pairs[0] ?? []);
  const gone = [...new Set(told)].filter((name) => !given.has(name)).sort();
  const sections = [
    ...pairs.map((pair) => ({ name: pair.name, heading: heading(pair, style) })),
    ...gone.map((name) => ({
      name,
      heading: `${style.paint.bold(visible(name))}  no spec of this name is given any more`,
    })),
  ];
  return sections
    .map((section) => ({ ...section, lines: linesOf(plan, section.name, style) }))
    .filter(({ lines }) => lines.length > 0);
}

/** Name, both sides and where it is declared; on lines of their own where they are long. */
function heading(
  { name, source, destination, positions }: BucketReplication,
  { paint, width }: PlanStyle,
): string {
  const at = positions[''];
  const where = at ? `${visible(at.file)}:${at.line}` : '';
  const sides = `${sideText(source)} → ${sideText(destination)}`;
  if (`${name}  ${sides}  ${where}`.length <= width)
    return `${paint.bold(name)}  ${sides}${where && paint.dim(`  ${where}`)}`;
  return [
    `${paint.bold(name)}${where && paint.dim(`  ${where}`)}`,
    ...(sides.length + 2 <= width
      ? [`  ${sides}`]
      : [`  ${sideText(source)}`, `  → ${sideText(destination)}`]),
  ].join('\n');
}

/** `acme-tax (us-east-1)`, `acme-tax (main 111122223333, us-east-1)` */
function sideText({ bucket, region, account, accountId }: Side): string {
  const whose = [account, accountId].filter((one) => one !== undefined).join(' ');
  return `${bucket} (${whose === '' ? '' : `${whose}, `}${region})`;
}

function linesOf(plan: Plan, name: string, style: PlanStyle): string[] {
  const { paint, width } = style;
  const mine = ({ pairs }: { pairs: string[] }) => pairs[0] === name;
  return [
    ...plan.waves
      .flat()
      .filter(mine)
      .flatMap((step) => stepText(step, style)),
    ...plan.blocked
      .filter(mine)
      .flatMap(({ id, why }) => [
        `  ${paint.red('!')} ${id}`,
        ...wrapped('      ', visible(why), width, { paint: paint.red }),
      ]),
    ...plan.notes
      .filter(mine)
      .flatMap(({ id, message }) => [
        `  ${paint.yellow('·')} ${id}`,
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

function stepText(step: Step, style: PlanStyle): string[] {
  const { paint, width, explain } = style;
  const mark = { create: paint.green('+'), update: paint.yellow('~'), delete: paint.red('-') }[step.action];
  return [
    ...headText(`${mark} ${step.id}`, step.id.length + 4, step.why.filter(isNews).map(visible), style),
    ...(explain ? [`      ${paint.dim(`→ ${step.calls.join(', ')} in ${step.at.region}`)}`] : []),
    ...step.patch
      .filter(({ path }) => !isSaid(step, path))
      .flatMap((operation) => fieldText(operation, step, style)),
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

/**
 * Fields that say nothing to the reader: how a kind compares (`foreignRules`), and, of something new, what its id or the
 * heading has said.
 */
function isSaid({ id, action, patch }: Step, path: string): boolean {
  if (path === '/foreignRules') return true;
  if (action !== 'create') return false;
  const operation = patch.find((one) => one.path === path);
  const value = operation && 'value' in operation ? operation.value : undefined;
  return path === '/region' || (NAMES.has(path) && typeof value === 'string' && id.includes(value));
}

const NAMES: ReadonlySet<string> = new Set(['/alias', '/bucket', '/name', '/role']);

function fieldText(operation: Operation, step: Step, style: PlanStyle): string[] {
  const { paint, width } = style;
  const path = visible(showPointer(operation.path));
  const before = step.before[operation.path];
  const after = 'value' in operation ? operation.value : undefined;
  if (operation.op === 'remove')
    return named(operation.path, before).flatMap(([name, value]) =>
      shown(paint.red('-'), name, value, style),
    );
  if (operation.op === 'replace' && Array.isArray(before) && Array.isArray(after))
    return listText(path, before, after, paint);
  if (operation.op === 'replace') {
    const [old, now] = [showValue(before), showValue(after)];
    const head = `      ${paint.yellow('~')} ${path}:`;
    if (path.length + old.length + now.length + 13 <= width)
      return [`${head} ${old} ${paint.dim('→')} ${now}`];
    return [head, ...wrapped('          ', old, width), ...wrapped(`        ${paint.dim('→')} `, now, width)];
  }
  return named(operation.path, after).flatMap(([name, value]) => shown(paint.green('+'), name, value, style));
}

/** A list that differs, as the set that it is: only what comes and what goes. */
function listText(
  path: string,
  before: readonly unknown[],
  after: readonly unknown[],
  paint: Paint,
): string[] {
  const has = (list: readonly unknown[], item: unknown) =>
    list.some((one) => stableJson(one) === stableJson(item));
  const gone = before.filter((item) => !has(after, item));
  const come = after.filter((item) => !has(before, item));
  return [
    `      ${paint.yellow('~')} ${path}:`,
    ...gone.map((item) => `          ${paint.red('-')} ${showValue(item)}`),
    ...come.map((item) => `          ${paint.green('+')} ${showValue(item)}`),
  ];
}

/** What comes or goes: what a map holds is named one by one, and an empty list is nothing. */
function named(pointer: string, value: unknown): [name: string, value: unknown][] {
  if (Array.isArray(value) && value.length === 0) return [];
  const isMap = pointer.split('/').length === 2 && isRecord(value) && !isStatement(value);
  if (!isMap) return [[visible(showPointer(pointer)), value]];
  return Object.entries(value).flatMap(([key, item]) =>
    named(`${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, item),
  );
}

/** A field and its value; a statement or a rule takes a line for each of its parts. */
function shown(mark: string, name: string, value: unknown, { width }: PlanStyle): string[] {
  const parts = isStatement(value) ? statementLines(value) : isRecord(value) ? fieldLines(value) : undefined;
  if (parts)
    return [
      `      ${mark} ${name}:`,
      ...parts.flatMap((part) => wrapped('          ', part, width, { hang: 4 })),
    ];
  const text = showValue(value);
  if (name.length + text.length + 10 <= width) return [`      ${mark} ${name}: ${text}`];
  return [`      ${mark} ${name}:`, ...wrapped('          ', text, width)];
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isRef(value);

/** One line: what the plan would do, and its checksum. */
export function summary(plan: Plan, paint: Paint): string {
  const steps = plan.waves.flat();
  const count = (action: Step['action']) => steps.filter((step) => step.action === action).length;
  if (steps.length === 0 && plan.blocked.length === 0) {
    const unseen =
      plan.handover.length > 0 ? ` ${plan.handover.length} of other accounts could not be checked.` : '';
    return `${paint.green('Nothing to do')}: ${plan.unchanged} resources are as declared.${unseen}`;
  }
  const deleted = count('delete') > 0 ? `, ${paint.red(`${count('delete')} to delete`)}` : '';
  const blocked = plan.blocked.length > 0 ? `, ${paint.red(`${plan.blocked.length} blocked`)}` : '';
  return [
    `Plan: ${count('create')} to create, ${count('update')} to update${deleted}${blocked}, ${plan.unchanged} unchanged.`,
    paint.dim(`Checksum ${plan.digest.slice(0, 16)}`),
  ].join('  ');
}

/** How applying ended. Each applied step was told while it ran; what remains is what was not. */
export function outcomeText(outcome: Outcome, paint: Paint): string {
  const { plan, results, refusals, left } = outcome;
  if (refusals.length > 0) {
    const lines = refusals.map(({ id, step, message }) =>
      step === undefined
        ? `  ${paint.red('!')} ${visible(message)}`
        : `  ${paint.red('!')} ${step}: ${visible(message)}${Object.hasOwn(RISKS, id) ? `\n      allow it with --allow ${id}` : ''}`,
    );
    return [paint.red('Refused: nothing was changed.'), ...lines].join('\n');
  }
  const failed = results.filter(({ result }) => result === 'failed');
  const skipped = results.filter(({ result }) => result === 'skipped');
  const applied = results.length - failed.length - skipped.length;
  const remaining = left === undefined ? [] : left.waves.flat();
  const missing = failed.length + skipped.length;
  const differing = missing === 0 ? remaining : [];
  const problems = [
    ...byReason('failed', failed, paint),
    ...byReason('skipped', skipped, paint),
    ...byReason(
      'differs again',
      differing.map(({ id }) => ({ id, why: AGAIN })),
      paint,
    ),
  ];
  if (problems.length + plan.blocked.length === 0) {
    return results.length === 0
      ? ''
      : paint.green(`Converged: ${applied} applied, and a second reading finds nothing to do.`);
  }
  const blocked = `${plan.blocked.length} blocked${plan.blocked.length > 0 ? ' (the plan says why)' : ''}`;
  const mended = failed.length + plan.blocked.length > 0 ? ' once the cause is mended' : '';
  return [
    `${paint.red('Not converged')}: ${applied} applied, ${failed.length} failed, ${skipped.length} skipped, ${blocked}.`,
    ...problems,
    `Run it again${mended}: it goes on where it stands.`,
  ].join('\n');
}

const AGAIN = 'somebody else changes it, or AWS does not show it yet';

/** A line for each reason, and below it what shares it. */
function byReason(word: string, items: readonly { id: string; why?: string }[], paint: Paint): string[] {
  const reasons = new Map<string, string[]>();
  for (const { id, why = '' } of items) reasons.set(why, [...(reasons.get(why) ?? []), id]);
  return [...reasons].flatMap(([why, ids]) =>
    ids.length === 1
      ? [`  ${paint.red(word)} ${ids[0]}: ${visible(why)}`]
      : [`  ${paint.red(word)}: ${visible(why)}`, ...ids.map((id) => `      ${id}`)],
  );
}
