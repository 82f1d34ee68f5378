import { stableJson } from '../core/canonical.ts';
import type { Operation } from '../core/difference.ts';
import { showPointer } from '../core/pointer.ts';
import { isRef } from '../core/ref.ts';
import type { Handover, Plan, Step } from '../core/resource.ts';
import { RISKS } from '../core/risks.ts';
import type { RuleProof } from '../proof/types.ts';
import type { Outcome } from '../reconcile.ts';
import type { BucketReplication } from '../spec/types.ts';
import type { Paint } from './paint.ts';
import { proofSummary, unprovenText } from './proof-text.ts';
import { isStatement, statementLines } from './statement.ts';
import { fieldLines, showValue } from './value.ts';
import { visible } from './visible.ts';

/** A plan for a terminal: a heading a pair, each change with the fields that differ and why, and a summary line. */
export function planText(
  plan: Plan,
  pairs: readonly BucketReplication[],
  paint: Paint,
  proof: readonly RuleProof[] = [],
): string {
  const sections = planSections(plan, pairs, paint).map(({ heading, lines }) =>
    [heading, ...lines].join('\n'),
  );
  const end = [summary(plan, paint), ...(proof.length > 0 ? [`Proof: ${proofSummary(proof, paint)}`] : [])];
  return [...sections, ...unprovenText(proof, paint), end.join('\n')].join('\n\n');
}

/** What a plan says of one pair, or of what is left of one. */
export interface PlanSection {
  name: string;
  heading: string;
  lines: string[];
}

/** A section for each pair that there is something to say of; what several pairs share stands with the first of them. */
export function planSections(plan: Plan, pairs: readonly BucketReplication[], paint: Paint): PlanSection[] {
  const given = new Set(pairs.map(({ name }) => name));
  const told = [...plan.waves.flat(), ...plan.blocked, ...plan.notes].flatMap((one) => one.pairs[0] ?? []);
  const gone = [...new Set(told)].filter((name) => !given.has(name)).sort();
  const sections = [
    ...pairs.map((pair) => ({ name: pair.name, heading: heading(pair, paint) })),
    ...gone.map((name) => ({
      name,
      heading: `${paint.bold(visible(name))}  no spec of this name is given any more`,
    })),
  ];
  return sections
    .map((section) => ({ ...section, lines: linesOf(plan, section.name, paint) }))
    .filter(({ lines }) => lines.length > 0);
}

function heading({ name, source, destination, positions }: BucketReplication, paint: Paint): string {
  const at = positions[''];
  const sides = `${source.bucket} (${source.region}) → ${destination.bucket} (${destination.region})`;
  return `${paint.bold(name)}  ${sides}${at ? paint.dim(`  ${visible(at.file)}:${at.line}`) : ''}`;
}

function linesOf(plan: Plan, name: string, paint: Paint): string[] {
  const mine = ({ pairs }: { pairs: string[] }) => pairs[0] === name;
  return [
    ...plan.waves
      .flat()
      .filter(mine)
      .flatMap((step) => stepText(step, paint)),
    ...plan.blocked
      .filter(mine)
      .flatMap(({ id, why }) => [`  ${paint.red('!')} ${id}`, `      ${paint.red(visible(why))}`]),
    ...plan.notes.filter(mine).map(({ id, message }) => `  ${paint.yellow('·')} ${id}: ${visible(message)}`),
    ...plan.handover.filter(mine).flatMap((one) => handoverText(one, paint)),
  ];
}

/** What somebody else has to do, ready to be handed over. */
function handoverText({ account, what, document, command }: Handover, paint: Paint): string[] {
  const json = document === undefined ? [] : JSON.stringify(document, null, 2).split('\n').map(visible);
  return [
    `  ${paint.yellow('?')} account ${account} cannot be seen from here; its owner must ${visible(what)}:`,
    ...json.map((line) => `      ${line}`),
    `      ${paint.dim('$')} ${visible(command)}`,
  ];
}

function stepText(step: Step, paint: Paint): string[] {
  const mark = { create: paint.green('+'), update: paint.yellow('~'), delete: paint.red('-') }[step.action];
  return [
    ...headText(`${mark} ${step.id}`, step.id.length + 4, step.why.map(visible), paint),
    ...step.patch.flatMap((operation) => fieldText(operation, step, paint)),
    ...step.risks.map(({ id, message }) => `      ${paint.red('risk')} ${id}: ${visible(message)}`),
  ];
}

/** A step and why it is made: on one line where that is short, otherwise a line for each reason. */
function headText(head: string, width: number, why: readonly string[], paint: Paint): string[] {
  const reasons = why.join('; ');
  if (width + 2 + reasons.length <= COLUMNS) return [`  ${head}${paint.dim(`  ${reasons}`)}`];
  return [`  ${head}`, ...why.map((reason) => `      ${paint.dim(`# ${reason}`)}`)];
}

/** What a terminal shows without wrapping, mostly. */
const COLUMNS = 100;

function fieldText(operation: Operation, step: Step, paint: Paint): string[] {
  const path = visible(showPointer(operation.path));
  const before = step.before[operation.path];
  const after = 'value' in operation ? operation.value : undefined;
  if (operation.op === 'remove') return shown(paint.red('-'), path, before);
  if (operation.op === 'replace' && Array.isArray(before) && Array.isArray(after))
    return listText(path, before, after, paint);
  if (operation.op === 'replace') {
    return [`      ${paint.yellow('~')} ${path}: ${showValue(before)} ${paint.dim('→')} ${showValue(after)}`];
  }
  return added(operation.path, after).flatMap(([name, value]) => shown(paint.green('+'), name, value));
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

/** What is new: what a map holds is named one by one, and an empty list is nothing. */
function added(pointer: string, value: unknown): [name: string, value: unknown][] {
  if (Array.isArray(value) && value.length === 0) return [];
  const isMap = pointer.split('/').length === 2 && isRecord(value) && !isStatement(value);
  if (!isMap) return [[visible(showPointer(pointer)), value]];
  return Object.entries(value).flatMap(([key, item]) =>
    added(`${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, item),
  );
}

/** A field and its value; a statement or a rule takes a line for each of its parts. */
function shown(mark: string, name: string, value: unknown): string[] {
  const parts = isStatement(value) ? statementLines(value) : isRecord(value) ? fieldLines(value) : undefined;
  if (!parts) return [`      ${mark} ${name}: ${showValue(value)}`];
  return [`      ${mark} ${name}:`, ...parts.map((part) => `          ${part}`)];
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
