import type { Id, Plan } from '../core/resource.ts';
import type { ApplyEvent } from '../reconcile/apply.ts';
import { escapeUnprintable } from '../util/escape.ts';
import type { Paint } from './style.ts';

/** Progress of an apply by pair, in the order of the plan. */
export type Progress = ReadonlyMap<string, PairProgress>;

interface PairProgress {
  steps: number;
  applied: number;
  /** Number of steps that failed or were skipped. */
  unapplied: number;
  /** Current waits by step. */
  waits: ReadonlyMap<Id, Wait>;
}

interface Wait {
  waitsFor: string;
  /** Milliseconds since 1970, as all times in this file. */
  until: number;
}

/** Additional values in the progress output: the calls so far, and the elapsed time. */
export interface ProgressInfo {
  calls: { reads: number; writes: number };
  since: number;
  now: number;
}

/**
 * Returns the progress before the first step. A step that several pairs share counts for the first pair, as in a plan.
 */
export function initialProgress(plan: Plan): Progress {
  const pairs = new Map<string, PairProgress>();
  for (const step of plan.waves.flat()) {
    const name = step.pairs[0] ?? '';
    pairs.set(name, { steps: (pairs.get(name)?.steps ?? 0) + 1, applied: 0, unapplied: 0, waits: new Map() });
  }
  return pairs;
}

export function updateProgress(progress: Progress, event: ApplyEvent, now: number): Progress {
  const { step } = event;
  const name = step.pairs[0] ?? '';
  const pair = progress.get(name);
  if (!pair) return progress;
  const waits = new Map(pair.waits);
  waits.delete(step.id);
  if (event.type === 'waiting') waits.set(step.id, { waitsFor: event.waitsFor, until: now + event.untilMs });
  const applied = pair.applied + (event.type === 'applied' ? 1 : 0);
  const unapplied = pair.unapplied + (event.type === 'failed' || event.type === 'skipped' ? 1 : 0);
  return new Map(progress).set(name, { ...pair, applied, unapplied, waits });
}

/** Returns a line for each pair in progress, and a line for the total. No line is longer than the width. */
export function progressLines(
  progress: Progress | undefined,
  info: ProgressInfo,
  { width, maxLines, paint }: { width: number; maxLines: number; paint: Paint },
): string[] {
  const activePairs = [...(progress ?? [])].filter(([, pair]) => pair.applied + pair.unapplied < pair.steps);
  const shownPairs = activePairs.slice(0, maxLines);
  const nameWidth = Math.max(...shownPairs.map(([name]) => escapeUnprintable(name).length));
  const lines = shownPairs.map(
    ([name, pair]) =>
      `${escapeUnprintable(name).padEnd(nameWidth)}  ${[appliedText(pair), ...waitText(pair.waits, info.now)].join(', ')}`,
  );
  const more = activePairs.length > maxLines ? [`…and ${activePairs.length - maxLines} more pairs`] : [];
  const totalLine = `${progress ? `${appliedText(totalProgress(progress))}: ` : ''}${elapsedText(info)}`;
  return [
    ...[...lines, ...more].map((line) => truncateLine(line, width)),
    paint.dim(truncateLine(totalLine, width)),
  ];
}

/** Returns the progress as one sentence, for a log. */
export function progressText(progress: Progress | undefined, info: ProgressInfo): string {
  if (!progress) return elapsedText(info);
  const totals = totalProgress(progress);
  return [appliedText(totals), ...waitText(totals.waits, info.now), elapsedText(info)].join(', ');
}

const totalProgress = (progress: Progress): PairProgress =>
  [...progress.values()].reduce(
    (sum, { steps, applied, unapplied, waits }) => ({
      steps: sum.steps + steps,
      applied: sum.applied + applied,
      unapplied: sum.unapplied + unapplied,
      waits: new Map([...sum.waits, ...waits]),
    }),
    { steps: 0, applied: 0, unapplied: 0, waits: new Map() },
  );

const appliedText = ({ steps, applied, unapplied }: PairProgress): string =>
  `${applied} of ${steps} applied${unapplied > 0 ? `, ${unapplied} not` : ''}`;

function waitText(waits: PairProgress['waits'], now: number): string[] {
  const [first, ...more] = [...waits.values()];
  if (!first) return [];
  const moreText = more.length > 0 ? ` and ${more.length} more` : '';
  return [`waiting up to ${secondsText(first.until - now)} for ${first.waitsFor}${moreText}`];
}

const elapsedText = ({ calls, since, now }: ProgressInfo): string =>
  `${calls.reads} reads, ${calls.writes} writes, ${secondsText(now - since)}`;

const secondsText = (ms: number): string => `${Math.max(0, Math.round(ms / 1000))} s`;

const truncateLine = (line: string, width: number): string =>
  line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
