import { removedEntryPaths } from '../core/diff.ts';
import { countRemovals, type Refusal } from '../core/guard.ts';
import { jobStatusText } from '../core/job-status.ts';
import type { Plan } from '../core/resource.ts';
import { allowanceOf, RISKS } from '../core/resource.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { BucketReplication, Variable } from '../spec/types.ts';
import { escapeUnprintable, shellQuote } from '../util/escape.ts';
import { formatPointer } from '../util/json-pointer.ts';
import { planDiagram } from './diagram.ts';
import {
  countActions,
  groupByReason,
  minimumDurationText,
  type PlanSection,
  planSections,
  planSummary,
  priceText,
  variablesText,
} from './plan-text.ts';
import { basisText, proofSummary, unprovenText } from './proof-text.ts';
import { housekeepingLines } from './retained-text.ts';
import { PLAIN_STYLE } from './style.ts';

/** The contents of a plan comment on a pull request. */
export interface PlanReport {
  plan: Plan;
  pairs: readonly BucketReplication[];
  proof: readonly RuleVerdict[];
  refusals: readonly Refusal[];
  /** The command that applies exactly this plan. */
  command: string;
  variables?: readonly Variable[];
  /** A description of the target if it is not AWS itself: a snapshot with its age, or a sandbox. */
  nonAwsTarget?: string;
}

/** A GitHub comment holds 65,536 characters. The rest is room for the text that a workflow adds. */
const MAX_COMMENT_LENGTH = 60_000;

/** Maximum number of items of each type; the command line shows the remaining items. */
const MAX_COMMENT_ITEMS = { pairs: 50, problems: 20, ids: 5, proofs: 10 };

/**
 * Maximum number of characters of a foreign message and of a proof. A longer text is a document rather than a message.
 */
const MAX_COMMENT_TEXT_LENGTH = { words: 500, proof: 1_000 };

/** The marker by which a workflow finds its own comment, to edit it in place. */
const COMMENT_MARKER = '<!-- replikey: plan -->';

const { paint, width } = PLAIN_STYLE;

/**
 * Returns a plan as a comment on a pull request: the important parts first, a diagram, and the details of each pair
 * folded. If the comment is too long, it drops details before meaning: first fields, then the diagram, then whole
 * pairs, and then the fixes of rules that would not replicate. It always keeps the reasons that prevent apply, and the
 * command.
 */
export function planMarkdown(report: PlanReport): string {
  const sections = planSections(report.plan, report.pairs, PLAIN_STYLE);
  const briefSections = limitItems(
    MAX_COMMENT_ITEMS.pairs,
    sections.map(briefSection),
    (more) => `…and ${more} more pairs: \`reconcile --dry-run\` shows them.`,
  );
  const variants: (() => DetailLevel)[] = [
    () => ({ details: sections.map(foldedSection), withDiagram: true }),
    () => ({ details: sections.map(briefSection), withDiagram: true }),
    () => ({ details: sections.map(briefSection) }),
    () => ({ details: briefSections }),
    () => ({ details: briefSections, short: true }),
    () => ({ details: [], short: true }),
  ];
  for (const variant of variants) {
    const text = renderComment(report, sections, variant());
    if (text.length <= MAX_COMMENT_LENGTH) return text;
  }
  return renderComment(report, sections, { details: [], short: true }).slice(0, MAX_COMMENT_LENGTH);
}

/** The level of detail of a plan. */
interface DetailLevel {
  details: readonly string[];
  withDiagram?: true;
  /** Shows only the beginning of the reasons why a rule would not replicate. */
  short?: true;
}

function renderComment(report: PlanReport, sections: readonly PlanSection[], level: DetailLevel): string {
  const { plan, pairs, proof, variables = [], nonAwsTarget } = report;
  const hasChanges = plan.waves.length > 0;
  return [
    COMMENT_MARKER,
    `### replikey: ${planSummary(plan, paint).replace(/^Plan: /, '')}`,
    ...(proof.length > 0 ? [`Proof: ${proofSummary(proof, paint)} ${escapeMarkdown(basisText(proof))}`] : []),
    ...[...minimumDurationText(plan), ...priceText(plan), ...housekeepingLines(plan)].map(escapeMarkdown),
    ...(nonAwsTarget === undefined ? [] : [`${escapeMarkdown(nonAwsTarget)}.`]),
    ...(variables.length > 0
      ? [escapeMarkdown(truncateText(variablesText(variables), MAX_COMMENT_LENGTH / 10))]
      : []),
    ...planWarnings(report, level),
    ...removalWarning(plan),
    ...handoverNotice(plan),
    ...approvalNotice(plan),
    ...(sections.length > 1 && hasChanges ? [sectionTable(sections, proof)] : []),
    ...(level.withDiagram ? planDiagram(plan, pairs) : []),
    ...level.details,
    ...(hasChanges ? [applyInstructions(report)] : []),
  ].join('\n\n');
}

/** Returns the reasons that prevent apply, and the rules that would not replicate. This is the first section. */
function planWarnings({ plan, proof, refusals }: PlanReport, { short }: DetailLevel): string[] {
  // The proofs below show unproven rules with their causes.
  const refusedItems = refusals
    .filter(({ id }) => id !== 'unproven')
    .map(
      ({ id, step, message }) =>
        `- **${id}**${step === undefined ? '' : ` ${codeSpan(step)}`}: ${foreignText(message)}`,
    );
  const blockedItems = groupByReason(plan.blocked).map(
    ([why, ids]) =>
      `- **blocked** ${limitItems(MAX_COMMENT_ITEMS.ids, ids.map(codeSpan), (more) => `and ${more} more`).join(', ')}: ${foreignText(why)}`,
  );
  const problems = [...refusedItems, ...blockedItems];
  const unproven = proof.filter(({ verdict }) => verdict !== 'proven' && verdict !== 'off');
  if (problems.length + unproven.length === 0) return [];
  return [
    `> [!WARNING]\n> ${warningText({ plan, refusals })}`,
    ...(problems.length > 0
      ? [limitItems(MAX_COMMENT_ITEMS.problems, problems, (more) => `- …and ${more} more`).join('\n')]
      : []),
    ...unprovenText(unproven.slice(0, MAX_COMMENT_ITEMS.proofs), paint, width).map((proofText) =>
      codeFence((short ? truncateText(proofText, MAX_COMMENT_TEXT_LENGTH.proof) : proofText).split('\n')),
    ),
    ...(unproven.length > MAX_COMMENT_ITEMS.proofs
      ? [`…and ${unproven.length - MAX_COMMENT_ITEMS.proofs} more rules that are not proven.`]
      : []),
  ];
}

function warningText({ plan, refusals }: Pick<PlanReport, 'plan' | 'refusals'>): string {
  const isWrongAccount = refusals.some(({ id }) => id === 'wrong-account');
  if (isWrongAccount || (plan.waves.length > 0 && refusals.length > 0))
    return 'replikey refuses to apply this plan.';
  if (plan.blocked.length > 0) return 'Some resources are blocked until a person acts.';
  if (refusals.length > 0) return 'All resources are as declared, but not every rule replicates.';
  return 'replikey cannot prove that every rule replicates.';
}

/** Lists all removals outside the folded details, so that the reader sees them without unfolding. */
function removalWarning({ waves }: Plan): string[] {
  const removedItems = waves
    .flat()
    .flatMap((step) =>
      step.action === 'delete'
        ? [`- ${codeSpan(step.id)}`]
        : removedEntryPaths(step).map((path) => `- ${codeSpan(formatPointer(path))} of ${codeSpan(step.id)}`),
    );
  if (removedItems.length === 0) return [];
  return [
    '> [!CAUTION]\n> This plan removes resources or entries.',
    limitItems(MAX_COMMENT_ITEMS.problems, removedItems, (more) => `- …and ${more} more`).join('\n'),
  ];
}

/** Returns the jobs that wait for an approval, outside the folded details: no plan starts them without the option. */
function approvalNotice({ jobs = [] }: Plan): string[] {
  const items = jobs
    .filter(({ approval }) => approval !== undefined)
    .map((job) => `- ${codeSpan(job.id)}: ${foreignText(jobStatusText(job))}`);
  if (items.length === 0) return [];
  return [
    '> [!IMPORTANT]\n> Batch jobs wait for an approval.',
    limitItems(MAX_COMMENT_ITEMS.problems, items, (more) => `- …and ${more} more`).join('\n'),
  ];
}

/** Returns the number of manual steps for the owners of other accounts; the details describe the steps. */
function handoverNotice({ handover }: Plan): string[] {
  if (handover.length === 0) return [];
  const accounts = [...new Set(handover.map(({ account }) => account))].map((account) => {
    const count = handover.filter((item) => item.account === account).length;
    return `the owner of account ${account} must do ${count} ${count === 1 ? 'step' : 'steps'}`;
  });
  return [
    `> [!IMPORTANT]\n> replikey has no credentials for some accounts: ${accounts.join(', ')}. The details list the steps.`,
  ];
}

/** Returns a table with a row for each section: the number of changes, and whether the pair will replicate. */
function sectionTable(sections: readonly PlanSection[], proof: readonly RuleVerdict[]): string {
  const rows = sections.map(({ name, buckets, steps }) => {
    const { create, update, delete: remove } = countActions(steps);
    const verdicts = proof.filter(({ spec }) => spec === name).map(({ verdict }) => verdict);
    const cells = [
      escapeMarkdown(name),
      buckets ? buckets.map(escapeMarkdown).join(' → ') : 'no longer declared',
      ...[create, update, remove].map((count) => count || ''),
    ];
    return `| ${[...cells, worstVerdict(verdicts)].join(' | ')} |`;
  });
  return [
    '| pair | source → destination | create | update | delete | proof |',
    '| --- | --- | ---: | ---: | ---: | --- |',
    ...limitItems(MAX_COMMENT_ITEMS.pairs, rows, (more) => `| …and ${more} more | | | | | |`),
  ].join('\n');
}

/** Returns the label of the worst verdict of several rules. */
function worstVerdict(verdicts: readonly RuleVerdict['verdict'][]): string {
  const labels = {
    broken: '**does not replicate**',
    unknown: '**not proven**',
    blocked: '**blocked**',
    proven: 'proven',
    off: 'disabled',
  };
  return Object.entries(labels).find(([verdict]) => verdicts.some((item) => item === verdict))?.[1] ?? '';
}

/** Returns the apply command, with the options that it needs if the plan is refused. */
function applyInstructions({ command, plan, refusals }: PlanReport): string {
  if (plan.target.endpoint === 'snapshot')
    return 'This plan cannot be applied, because a snapshot does not verify the account. Plan again with credentials.';
  const introduction =
    refusals.length === 0
      ? 'To apply exactly this plan, run'
      : 'Fix the problems above, then plan again. To apply exactly this plan in spite of them, run';
  const flags = overrideFlags({ plan, refusals });
  return `${introduction}\n\n${codeFence([escapeUnprintable([command, ...flags].join(' '))], 'sh')}`;
}

/** Returns the options that override the refusals of a plan. */
export const overrideFlags = ({ plan, refusals }: Pick<PlanReport, 'plan' | 'refusals'>): string[] => [
  ...new Set(refusals.flatMap((refusal) => overrideFlag(refusal, plan))),
];

function overrideFlag(refusal: Refusal, plan: Plan): string[] {
  const { id } = refusal;
  if (id === 'max-changes') return [`--max-changes ${plan.waves.flat().length}`];
  if (id === 'max-removals') return [`--max-removals ${countRemovals(plan)}`];
  if (id === 'unproven') return ['--allow-unproven'];
  return Object.hasOwn(RISKS, id) ? [`--allow ${shellQuote(allowanceOf(refusal))}`] : [];
}

/** Returns all details of a pair, folded. */
const foldedSection = (section: PlanSection): string =>
  [
    `<details><summary>${sectionSummary(section)}</summary>`,
    codeFence(toDiffLines(section.lines)),
    '</details>',
  ].join('\n\n');

/** Returns the changes of a pair, folded and without fields. */
const briefSection = (section: PlanSection): string =>
  foldedSection({
    ...section,
    lines: section.lines
      .filter((line) => /^ {2}\S/.test(line))
      .map((line) => line.split('  ', 3).slice(0, 2).join('  ')),
  });

/** Returns the visible line of a folded pair. */
function sectionSummary({ name, sides, declaredAt, steps }: PlanSection): string {
  const nonZeroCounts = Object.entries(countActions(steps)).filter(([, count]) => count > 0);
  const parts = [
    sides ? sides.join(' → ') : 'no current spec has this name',
    ...(nonZeroCounts.length > 0
      ? [nonZeroCounts.map(([action, count]) => `${count} to ${action}`).join(', ')]
      : []),
    ...(declaredAt === undefined ? [] : [declaredAt]),
  ];
  return `<b>${escapeSummary(name)}</b>: ${escapeSummary(parts.join(' · '))}`;
}

/** Returns the first items, and the number of further items. */
const limitItems = (max: number, items: readonly string[], moreText: (more: number) => string): string[] =>
  items.length <= max ? [...items] : [...items.slice(0, max), moreText(items.length - max)];

/**
 * Moves the mark of each line to the first column, where a diff needs it for its colours; `!` marks a change. Lines
 * below an added or removed item get its mark; lines beside it do not.
 */
function toDiffLines(lines: readonly string[]): string[] {
  let parent = NO_MARK;
  return lines.map((line) => {
    const [, indent = '', mark, rest = ''] = /^( *)([-+~!])( .*)$/.exec(line) ?? [];
    if (mark !== undefined) {
      parent = { mark: mark === '~' ? '!' : mark, indent: indent.length };
      return `${parent.mark}${indent}${rest}`;
    }
    if (line.search(/\S/) <= parent.indent) parent = NO_MARK;
    const isBelow = parent !== NO_MARK && !/^ *(#|→)/.test(line);
    return isBelow && (parent.mark === '+' || parent.mark === '-') ? `${parent.mark}${line.slice(1)}` : line;
  });
}

const NO_MARK = { mark: ' ', indent: 0 };

/** Returns a code block with a fence that no line inside can close. */
function codeFence(lines: readonly string[], language = 'diff'): string {
  const longest = Math.max(
    2,
    ...lines
      .join('\n')
      .split(/[^`]+/)
      .map((backticks) => backticks.length),
  );
  const fence = '`'.repeat(longest + 1);
  return [`${fence}${language}`, ...lines, fence].join('\n');
}

/** Truncates a text: to the whole lines that fit, or to the beginning of the first line. */
function truncateText(value: string, max: number): string {
  if (value.length <= max) return value;
  const end = value.lastIndexOf('\n', max);
  return `${value.slice(0, end < 0 ? max : end)}${end < 0 ? '…' : '\n…'}`;
}

/** Escapes and truncates a text from a person or from AWS. */
const foreignText = (value: string): string =>
  escapeMarkdown(truncateText(value, MAX_COMMENT_TEXT_LENGTH.words));

const codeSpan = (id: string): string => `\`${escapeUnprintable(id).replaceAll('`', "'")}\``;

/** Escapes all Markdown markup. */
const escapeMarkdown = (value: string): string =>
  withoutLinks(escapeUnprintable(value).replace(/[\\`*_{}[\]<>&|~]/g, (mark) => `\\${mark}`));

const escapeSummary = (value: string): string =>
  withoutLinks(
    escapeUnprintable(value).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  );

/**
 * Prevents mentions, references and links. GitHub searches for them in the rendered Markdown, so neither a backslash
 * nor an entity prevents them. Only an empty comment inside them does.
 */
const withoutLinks = (value: string): string =>
  value.replace(/[@#]|:(?=\/\/)|\bwww(?=\.)|\bGH(?=-)/gi, (mark) => `${mark}<!-- -->`);
