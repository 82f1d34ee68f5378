import type { Refusal } from '../core/guard.ts';
import type { Plan } from '../core/resource.ts';
import type { RuleProof } from '../proof/types.ts';
import type { BucketReplication } from '../spec/types.ts';
import { drawing } from './drawing.ts';
import { paintFor } from './paint.ts';
import { proofSummary, unprovenText } from './proof-text.ts';
import { PLAIN, type PlanSection, planSections, summary } from './text.ts';
import { visible } from './visible.ts';

/** What a pull request is told of a plan. */
export interface PlanReport {
  plan: Plan;
  pairs: readonly BucketReplication[];
  proof: readonly RuleProof[];
  refusals: readonly Refusal[];
  /** The command that applies exactly this plan. */
  command: string;
  /** ISO 8601, where it was made from an observation. */
  observedAt?: string;
}

/** A comment on GitHub holds 65,536 characters; what a workflow adds around it needs room too. */
const MOST = 60_000;

/** By this a workflow finds its own comment again, to edit it in place. */
const MARKER = '<!-- replikey: plan -->';

const plain = paintFor({}, { NO_COLOR: '1' });

/**
 * A plan as a comment on a pull request: what matters first and always, a drawing, and the details of each pair folded.
 * Where it would be too long, details are dropped before meaning: fields first, then the drawing, then whole pairs.
 */
export function planMarkdown(report: PlanReport): string {
  const sections = planSections(report.plan, report.pairs, PLAIN);
  const forms: (() => string)[] = [
    () => whole(report, sections.map(folded), true),
    () => whole(report, sections.map(brief), true),
    () => whole(report, sections.map(brief), false),
  ];
  for (const form of forms) {
    const text = form();
    if (text.length <= MOST) return text;
  }
  const few = sections.slice(0, 50).map(brief);
  const rest = `\n…and ${sections.length - few.length} more pairs: \`reconcile --dry-run\` shows them.`;
  return whole(report, [...few, rest], false).slice(0, MOST);
}

function whole(report: PlanReport, details: readonly string[], withDrawing: boolean): string {
  const { plan, pairs, proof, command, observedAt } = report;
  const changes = plan.waves.flat().length > 0;
  return [
    MARKER,
    `### replikey: ${summary(plan, plain).replace(/^Plan: | {2}Checksum .*/g, '')}`,
    ...(proof.length > 0 ? [`Proof: ${proofSummary(proof, plain)}`] : []),
    ...(observedAt === undefined ? [] : [`As observed at ${observedAt}; AWS was not asked.`]),
    ...warnings(report),
    ...(pairs.length > 1 && changes ? [table(report)] : []),
    ...(withDrawing && changes ? [drawing(plan, pairs)] : []),
    ...details,
    ...(changes ? [`Apply exactly this plan with\n\n\`\`\`sh\n${command}\n\`\`\``] : []),
  ].join('\n\n');
}

/** Whatever keeps the plan from being applied as it is, and what would not replicate; before all else. */
function warnings({ plan, proof, refusals }: PlanReport): string[] {
  const refused = refusals
    .filter(({ id }) => id !== 'unproven')
    .map(
      ({ id, step, message }) => `- **${id}** ${step === undefined ? '' : `${code(step)}: `}${text(message)}`,
    );
  const blocked = plan.blocked.map(({ id, why }) => `- **blocked** ${code(id)}: ${text(why)}`);
  const unproven = unprovenText(proof, plain, PLAIN.width);
  if (refused.length + blocked.length + unproven.length === 0) return [];
  const isEmpty = plan.waves.length + plan.blocked.length === 0;
  return [
    `> [!WARNING]\n> ${isEmpty ? 'What is there is as declared, but would not all replicate.' : 'This plan is not applied as it is.'}`,
    ...(refused.length + blocked.length > 0 ? [[...refused, ...blocked].join('\n')] : []),
    ...unproven.map((one) => fenced(one.split('\n'))),
  ];
}

/** More than this many rows are looked for in the details. */
const MOST_ROWS = 50;

/** A row for each pair that changes: how much, and whether it will replicate. */
function table({ plan, pairs, proof }: PlanReport): string {
  const steps = plan.waves.flat();
  const rows = pairs.flatMap(({ name, source, destination }) => {
    const mine = steps.filter((step) => step.pairs[0] === name);
    const verdicts = proof.filter(({ spec }) => spec === name).map(({ verdict }) => verdict);
    if (mine.length === 0) return [];
    const counts = (['create', 'update', 'delete'] as const).map(
      (action) => mine.filter((step) => step.action === action).length || '',
    );
    const isProven = verdicts.every((verdict) => verdict === 'proven' || verdict === 'off');
    const sides = `${code(source.bucket)} → ${code(destination.bucket)}`;
    return [
      `| ${text(name)} | ${sides} | ${counts.join(' | ')} | ${isProven ? 'proven' : '**not proven**'} |`,
    ];
  });
  const more = rows.length - MOST_ROWS;
  return [
    '| pair | source → destination | create | update | delete | proof |',
    '| --- | --- | ---: | ---: | ---: | --- |',
    ...rows.slice(0, MOST_ROWS),
    ...(more > 0 ? [`| …and ${more} more | | | | | |`] : []),
  ].join('\n');
}

/** All of a pair, folded. */
const folded = ({ heading, lines }: PlanSection): string =>
  [
    `<details><summary>${escaped(heading.replaceAll('\n', ' '))}</summary>`,
    fenced(marked(lines)),
    '</details>',
  ].join('\n\n');

/** What changes of a pair, without fields. */
const brief = ({ heading, lines }: PlanSection): string =>
  folded({
    name: '',
    heading,
    lines: lines
      .filter((line) => /^ {2}\S/.test(line))
      .map((line) => line.split('  ', 3).slice(0, 2).join('  ')),
  });

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
function fenced(lines: readonly string[]): string {
  const longest = Math.max(
    2,
    ...lines
      .join('\n')
      .split(/[^`]+/)
      .map((run) => run.length),
  );
  const fence = '`'.repeat(longest + 1);
  return [`${fence}diff`, ...lines, fence].join('\n');
}

const code = (id: string): string => `\`${visible(id).replaceAll('`', "'")}\``;

/** Words that are nobody's markup. */
const text = (words: string): string => visible(words).replace(/[\\`*_{}[\]<>#|@]/g, (mark) => `\\${mark}`);

const escaped = (words: string): string =>
  words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
