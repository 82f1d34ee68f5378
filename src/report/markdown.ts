import type { Refusal } from '../core/guard.ts';
import type { Plan } from '../core/resource.ts';
import { RISKS } from '../core/risks.ts';
import type { RuleProof } from '../proof/types.ts';
import type { BucketReplication, Variable } from '../spec/types.ts';
import { visible } from '../visible.ts';
import { byReason } from './by-reason.ts';
import { drawing } from './drawing.ts';
import { proofSummary, unprovenText } from './proof-text.ts';
import { type PlanSection, planSections } from './sections.ts';
import { PLAIN } from './style.ts';
import { counts, leastTimeText, summary, variablesText } from './text.ts';

/** What a pull request is told of a plan. */
export interface PlanReport {
  plan: Plan;
  pairs: readonly BucketReplication[];
  proof: readonly RuleProof[];
  refusals: readonly Refusal[];
  /** The command that applies exactly this plan. */
  command: string;
  variables?: readonly Variable[];
  /** In words, where it was made from an observation: how old that is. */
  observed?: string;
}

/** A comment on GitHub holds 65,536 characters; what a workflow adds around it needs room too. */
const MOST = 60_000;

/** More than this many of a kind are looked for with the command line. */
const MANY = { pairs: 50, problems: 20, proofs: 10 };

/** By this a workflow finds its own comment again, to edit it in place. */
const MARKER = '<!-- replikey: plan -->';

const { paint, width } = PLAIN;

/**
 * A plan as a comment on a pull request: what matters first and always, a drawing, and the details of each pair folded.
 * Where it would be too long, details are dropped before meaning: fields first, then the drawing, then whole pairs.
 */
export function planMarkdown(report: PlanReport): string {
  const sections = planSections(report.plan, report.pairs, PLAIN);
  const few = atMost(
    MANY.pairs,
    sections.map(brief),
    (more) => `…and ${more} more pairs: \`reconcile --dry-run\` shows them.`,
  );
  const forms: (() => string)[] = [
    () => whole(report, sections, sections.map(folded), true),
    () => whole(report, sections, sections.map(brief), true),
    () => whole(report, sections, sections.map(brief), false),
    () => whole(report, sections, few, false),
  ];
  for (const form of forms) {
    const text = form();
    if (text.length <= MOST) return text;
  }
  return whole(report, sections, [], false).slice(0, MOST);
}

function whole(
  report: PlanReport,
  sections: readonly PlanSection[],
  details: readonly string[],
  withDrawing: boolean,
): string {
  const { plan, pairs, proof, variables = [], observed } = report;
  const changes = plan.waves.length > 0;
  return [
    MARKER,
    `### replikey: ${summary(plan, paint).replace(/^Plan: /, '')}`,
    ...(proof.length > 0 ? [`Proof: ${proofSummary(proof, paint)}`] : []),
    ...leastTimeText(plan).map(text),
    ...(observed === undefined ? [] : [`${text(observed)}.`]),
    ...(variables.length > 0 ? [text(variablesText(variables))] : []),
    ...warnings(report),
    ...handovers(plan),
    ...(sections.length > 1 && changes ? [table(sections, proof)] : []),
    ...(withDrawing ? drawing(plan, pairs) : []),
    ...details,
    ...(changes ? [howToApply(report)] : []),
  ].join('\n\n');
}

/** Whatever keeps the plan from being applied as it is, and what would not replicate; before all else. */
function warnings({ plan, proof, refusals }: PlanReport): string[] {
  // What would not replicate is told with its causes.
  const refused = refusals
    .filter(({ id }) => id !== 'unproven')
    .map(
      ({ id, step, message }) => `- **${id}**${step === undefined ? '' : ` ${code(step)}`}: ${text(message)}`,
    );
  const blocked = byReason(plan.blocked).map(
    ([why, ids]) => `- **blocked** ${ids.map(code).join(', ')}: ${text(why)}`,
  );
  const problems = [...refused, ...blocked];
  const unproven = unprovenText(proof, paint, width).map((one) => fenced(one.split('\n')));
  if (problems.length + unproven.length === 0) return [];
  return [
    `> [!WARNING]\n> ${worst({ plan, refusals })}`,
    ...(problems.length > 0
      ? [atMost(MANY.problems, problems, (more) => `- …and ${more} more`).join('\n')]
      : []),
    ...atMost(MANY.proofs, unproven, (more) => `…and ${more} more rules that are not proven.`),
  ];
}

function worst({ plan, refusals }: Pick<PlanReport, 'plan' | 'refusals'>): string {
  if (plan.waves.length > 0 && refusals.length > 0) return 'This plan is refused as it stands.';
  if (plan.blocked.length > 0) return 'Some of this cannot be done before somebody acts.';
  if (refusals.length > 0) return 'What is there is as declared, but does not all replicate.';
  return 'It is not known whether all of this will replicate.';
}

/** What owners of other accounts have to do, by account; the details say what. */
function handovers({ handover }: Plan): string[] {
  if (handover.length === 0) return [];
  const accounts = [...new Set(handover.map(({ account }) => account))].map((account) => {
    const count = handover.filter((one) => one.account === account).length;
    return `the owner of account ${account} has ${count} ${count === 1 ? 'thing' : 'things'} to do`;
  });
  return [
    `> [!IMPORTANT]\n> There are no credentials for all accounts: ${accounts.join(', ')}. The details say what.`,
  ];
}

/** A row for each pair that there is something to say of: how much changes, and whether it will replicate. */
function table(sections: readonly PlanSection[], proof: readonly RuleProof[]): string {
  const rows = sections.map(({ name, buckets, steps }) => {
    const { create, update, delete: gone } = counts(steps);
    const verdicts = proof.filter(({ spec }) => spec === name).map(({ verdict }) => verdict);
    const cells = [
      text(name),
      buckets ? buckets.map(text).join(' → ') : 'not declared any more',
      ...[create, update, gone].map((count) => count || ''),
    ];
    return `| ${[...cells, verdictOf(verdicts)].join(' | ')} |`;
  });
  return [
    '| pair | source → destination | create | update | delete | proof |',
    '| --- | --- | ---: | ---: | ---: | --- |',
    ...atMost(MANY.pairs, rows, (more) => `| …and ${more} more | | | | | |`),
  ].join('\n');
}

/** Of several rules, the worst. */
function verdictOf(verdicts: readonly RuleProof['verdict'][]): string {
  const words = { broken: '**does not replicate**', unknown: '**not proven**', proven: 'proven', off: 'off' };
  return Object.entries(words).find(([verdict]) => verdicts.some((one) => one === verdict))?.[1] ?? '';
}

/** The command; what it has to be told beside, where the plan is refused for its risks. */
function howToApply({ command, refusals }: PlanReport): string {
  const risks = [...new Set(refusals.map(({ id }) => id))].filter((id) => Object.hasOwn(RISKS, id));
  const words =
    refusals.length === 0
      ? 'Apply exactly this plan with'
      : 'Once what is said above is mended, plan again. Whoever accepts it as it is applies exactly this plan with';
  return `${words}\n\n${fenced([visible([command, ...risks.map((id) => `--allow ${id}`)].join(' '))], 'sh')}`;
}

/** All of a pair, folded. */
const folded = (section: PlanSection): string =>
  [`<details><summary>${title(section)}</summary>`, fenced(marked(section.lines)), '</details>'].join('\n\n');

/** What changes of a pair, without fields. */
const brief = (section: PlanSection): string =>
  folded({
    ...section,
    lines: section.lines
      .filter((line) => /^ {2}\S/.test(line))
      .map((line) => line.split('  ', 3).slice(0, 2).join('  ')),
  });

/** What is seen of a pair before it is unfolded. */
function title({ name, sides, where, steps }: PlanSection): string {
  const done = Object.entries(counts(steps)).filter(([, count]) => count > 0);
  const parts = [
    sides ? sides.join(' → ') : 'no spec of this name is given any more',
    ...(done.length > 0 ? [done.map(([action, count]) => `${count} to ${action}`).join(', ')] : []),
    ...(where === undefined ? [] : [where]),
  ];
  return `<b>${escaped(name)}</b>: ${escaped(parts.join(' · '))}`;
}

/** The first of them, and how many more there are. */
const atMost = (most: number, items: readonly string[], rest: (more: number) => string): string[] =>
  items.length <= most ? [...items] : [...items.slice(0, most), rest(items.length - most)];

/**
 * With the mark in the first column, where a diff is coloured by it; a change is coloured by `!`. What stands below
 * something that comes or goes comes or goes with it.
 */
function marked(lines: readonly string[]): string[] {
  let above = { mark: ' ', indent: 0 };
  return lines.map((line) => {
    const [, indent = '', mark, rest = ''] = /^( *)([-+~!])( .*)$/.exec(line) ?? [];
    if (mark !== undefined) {
      above = { mark: mark === '~' ? '!' : mark, indent: indent.length };
      return `${above.mark}${indent}${rest}`;
    }
    const isBelow = line.search(/\S/) > above.indent && !/^ *(#|→)/.test(line);
    return isBelow && (above.mark === '+' || above.mark === '-') ? `${above.mark}${line.slice(1)}` : line;
  });
}

/** A block that nothing inside can end. */
function fenced(lines: readonly string[], language = 'diff'): string {
  const longest = Math.max(
    2,
    ...lines
      .join('\n')
      .split(/[^`]+/)
      .map((run) => run.length),
  );
  const fence = '`'.repeat(longest + 1);
  return [`${fence}${language}`, ...lines, fence].join('\n');
}

const code = (id: string): string => `\`${visible(id).replaceAll('`', "'")}\``;

/** Words that are nobody's markup. */
const text = (words: string): string =>
  unlinked(visible(words).replace(/[\\`*_{}[\]<>&|~]/g, (mark) => `\\${mark}`));

const escaped = (words: string): string =>
  unlinked(visible(words).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'));

/**
 * Words that mention nobody, refer to nothing and link nowhere. GitHub looks for such things in what Markdown made, so that
 * neither a backslash nor an entity keeps them from it; only a comment of nothing between them does.
 */
const unlinked = (words: string): string =>
  words.replace(/[@#]|:(?=\/\/)|\bwww(?=\.)|\bGH(?=-)/gi, (mark) => `${mark}<!-- -->`);
