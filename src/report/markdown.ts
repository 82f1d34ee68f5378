import { type Refusal, removalsIn, removedFrom } from '../core/guard.ts';
import { showPointer } from '../core/pointer.ts';
import type { Plan } from '../core/resource.ts';
import { RISKS } from '../core/risks.ts';
import type { RuleVerdict } from '../proof/types.ts';
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
  proof: readonly RuleVerdict[];
  refusals: readonly Refusal[];
  /** The command that applies exactly this plan. */
  command: string;
  variables?: readonly Variable[];
  /** In words, where AWS itself was not asked: an observation and how old it is, or a sandbox. */
  instead?: string;
}

/** A comment on GitHub holds 65,536 characters; what a workflow adds around it needs room too. */
const MOST = 60_000;

/** More than this many of a kind are looked for with the command line. */
const MANY = { pairs: 50, problems: 20, ids: 5, proofs: 10 };

/** More characters than these are no word of a person, but a document that somebody wrote. */
const LONG = { words: 500, proof: 1_000 };

/** By this a workflow finds its own comment again, to edit it in place. */
const MARKER = '<!-- replikey: plan -->';

const { paint, width } = PLAIN;

/**
 * A plan as a comment on a pull request: what matters first and always, a drawing, and the details of each pair folded.
 * Where it would be too long, details are dropped before meaning: fields first, then the drawing, whole pairs, and what
 * mends a rule that would not replicate; never what keeps the plan from being applied, or the command.
 */
export function planMarkdown(report: PlanReport): string {
  const sections = planSections(report.plan, report.pairs, PLAIN);
  const few = atMost(
    MANY.pairs,
    sections.map(brief),
    (more) => `…and ${more} more pairs: \`reconcile --dry-run\` shows them.`,
  );
  const forms: (() => Shown)[] = [
    () => ({ details: sections.map(folded), drawn: true }),
    () => ({ details: sections.map(brief), drawn: true }),
    () => ({ details: sections.map(brief) }),
    () => ({ details: few }),
    () => ({ details: few, short: true }),
    () => ({ details: [], short: true }),
  ];
  for (const form of forms) {
    const text = whole(report, sections, form());
    if (text.length <= MOST) return text;
  }
  return whole(report, sections, { details: [], short: true }).slice(0, MOST);
}

/** How much of a plan is shown. */
interface Shown {
  details: readonly string[];
  drawn?: true;
  /** Of a rule that would not replicate, only the beginning of why. */
  short?: true;
}

function whole(report: PlanReport, sections: readonly PlanSection[], shown: Shown): string {
  const { plan, pairs, proof, variables = [], instead } = report;
  const changes = plan.waves.length > 0;
  return [
    MARKER,
    `### replikey: ${summary(plan, paint).replace(/^Plan: /, '')}`,
    ...(proof.length > 0 ? [`Proof: ${proofSummary(proof, paint)}`] : []),
    ...leastTimeText(plan).map(text),
    ...(instead === undefined ? [] : [`${text(instead)}.`]),
    ...(variables.length > 0 ? [text(clipped(variablesText(variables), MOST / 10))] : []),
    ...warnings(report, shown),
    ...removals(plan),
    ...handovers(plan),
    ...(sections.length > 1 && changes ? [table(sections, proof)] : []),
    ...(shown.drawn ? drawing(plan, pairs) : []),
    ...shown.details,
    ...(changes ? [howToApply(report)] : []),
  ].join('\n\n');
}

/** Whatever keeps the plan from being applied as it is, and what would not replicate; before all else. */
function warnings({ plan, proof, refusals }: PlanReport, { short }: Shown): string[] {
  // What would not replicate is told with its causes.
  const refused = refusals
    .filter(({ id }) => id !== 'unproven')
    .map(
      ({ id, step, message }) => `- **${id}**${step === undefined ? '' : ` ${code(step)}`}: ${said(message)}`,
    );
  const blocked = byReason(plan.blocked).map(
    ([why, ids]) =>
      `- **blocked** ${atMost(MANY.ids, ids.map(code), (more) => `and ${more} more`).join(', ')}: ${said(why)}`,
  );
  const problems = [...refused, ...blocked];
  const unproven = proof.filter(({ verdict }) => verdict === 'broken' || verdict === 'unknown');
  if (problems.length + unproven.length === 0) return [];
  return [
    `> [!WARNING]\n> ${worst({ plan, refusals })}`,
    ...(problems.length > 0
      ? [atMost(MANY.problems, problems, (more) => `- …and ${more} more`).join('\n')]
      : []),
    ...unprovenText(unproven.slice(0, MANY.proofs), paint, width).map((one) =>
      fenced((short ? clipped(one, LONG.proof) : one).split('\n')),
    ),
    ...(unproven.length > MANY.proofs
      ? [`…and ${unproven.length - MANY.proofs} more rules that are not proven.`]
      : []),
  ];
}

function worst({ plan, refusals }: Pick<PlanReport, 'plan' | 'refusals'>): string {
  if (plan.waves.length > 0 && refusals.length > 0) return 'This plan is refused as it stands.';
  if (plan.blocked.length > 0) return 'Some of this cannot be done before somebody acts.';
  if (refusals.length > 0) return 'What is there is as declared, but does not all replicate.';
  return 'It is not known whether all of this will replicate.';
}

/** What goes away, wherever it stands below: nobody should have to unfold that. */
function removals({ waves }: Plan): string[] {
  const gone = waves
    .flat()
    .flatMap((step) =>
      step.action === 'delete'
        ? [`- ${code(step.id)}`]
        : removedFrom(step).map((path) => `- ${code(showPointer(path))} of ${code(step.id)}`),
    );
  if (gone.length === 0) return [];
  return [
    '> [!CAUTION]\n> This plan takes something away.',
    atMost(MANY.problems, gone, (more) => `- …and ${more} more`).join('\n'),
  ];
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
function table(sections: readonly PlanSection[], proof: readonly RuleVerdict[]): string {
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
function verdictOf(verdicts: readonly RuleVerdict['verdict'][]): string {
  const words = { broken: '**does not replicate**', unknown: '**not proven**', proven: 'proven', off: 'off' };
  return Object.entries(words).find(([verdict]) => verdicts.some((one) => one === verdict))?.[1] ?? '';
}

/** The command; what it has to be told beside, where the plan is refused as it is. */
function howToApply({ command, plan, refusals }: PlanReport): string {
  const words =
    refusals.length === 0
      ? 'Apply exactly this plan with'
      : 'Once what is said above is mended, plan again. Whoever accepts it as it is applies exactly this plan with';
  const lifted = new Set(refusals.flatMap(({ id }) => lifting(id, plan)));
  return `${words}\n\n${fenced([visible([command, ...lifted].join(' '))], 'sh')}`;
}

/** The option that lifts a refusal. */
function lifting(id: Refusal['id'], plan: Plan): string[] {
  if (id === 'max-changes') return [`--max-changes ${plan.waves.flat().length}`];
  if (id === 'max-removals') return [`--max-removals ${removalsIn(plan)}`];
  if (id === 'unproven') return ['--allow-unproven'];
  return Object.hasOwn(RISKS, id) ? [`--allow ${id}`] : [];
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
 * something that comes or goes comes or goes with it; what stands beside it does not.
 */
function marked(lines: readonly string[]): string[] {
  let above = NOTHING;
  return lines.map((line) => {
    const [, indent = '', mark, rest = ''] = /^( *)([-+~!])( .*)$/.exec(line) ?? [];
    if (mark !== undefined) {
      above = { mark: mark === '~' ? '!' : mark, indent: indent.length };
      return `${above.mark}${indent}${rest}`;
    }
    if (line.search(/\S/) <= above.indent) above = NOTHING;
    const isBelow = above !== NOTHING && !/^ *(#|→)/.test(line);
    return isBelow && (above.mark === '+' || above.mark === '-') ? `${above.mark}${line.slice(1)}` : line;
  });
}

const NOTHING = { mark: ' ', indent: 0 };

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

/** No longer than that: as many whole lines as there is room for, or the beginning of the first. */
function clipped(words: string, most: number): string {
  if (words.length <= most) return words;
  const end = words.lastIndexOf('\n', most);
  return `${words.slice(0, end < 0 ? most : end)}${end < 0 ? '…' : '\n…'}`;
}

/** What a person or AWS said. */
const said = (words: string): string => text(clipped(words, LONG.words));

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
