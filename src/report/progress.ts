import type { Id, Plan } from '../core/resource.ts';
import type { ApplyEvent } from '../steps/apply.ts';
import { visible } from '../visible.ts';
import type { Paint } from './paint.ts';

/** How far a plan is carried out: by pair, in the order of the plan. */
export type Progress = ReadonlyMap<string, PairProgress>;

interface PairProgress {
  steps: number;
  applied: number;
  /** What failed, or was skipped. */
  missed: number;
  /** What is waited for, by step. */
  waits: ReadonlyMap<Id, Wait>;
}

interface Wait {
  waitsFor: string;
  /** Milliseconds since 1970, as is every time here. */
  until: number;
}

/** What is shown beside: calls so far, and the time. */
export interface Around {
  calls: { reads: number; writes: number };
  since: number;
  now: number;
}

/** Nothing is done yet. A step that several pairs share counts with the first, as a plan shows it. */
export function planned(plan: Plan): Progress {
  const pairs = new Map<string, PairProgress>();
  for (const step of plan.waves.flat()) {
    const name = step.pairs[0] ?? '';
    pairs.set(name, { steps: (pairs.get(name)?.steps ?? 0) + 1, applied: 0, missed: 0, waits: new Map() });
  }
  return pairs;
}

export function happened(progress: Progress, event: ApplyEvent, now: number): Progress {
  const { step } = event;
  const name = step.pairs[0] ?? '';
  const pair = progress.get(name);
  if (!pair) return progress;
  const waits = new Map(pair.waits);
  waits.delete(step.id);
  if (event.type === 'waiting') waits.set(step.id, { waitsFor: event.waitsFor, until: now + event.untilMs });
  const applied = pair.applied + (event.type === 'applied' ? 1 : 0);
  const missed = pair.missed + (event.type === 'failed' || event.type === 'skipped' ? 1 : 0);
  return new Map(progress).set(name, { ...pair, applied, missed, waits });
}

/** A line for each pair that is under way, and one for the whole; none is longer than the width. */
export function progressLines(
  progress: Progress | undefined,
  around: Around,
  { width, most, paint }: { width: number; most: number; paint: Paint },
): string[] {
  const open = [...(progress ?? [])].filter(([, pair]) => pair.applied + pair.missed < pair.steps);
  const shown = open.slice(0, most);
  const column = Math.max(...shown.map(([name]) => visible(name).length));
  const lines = shown.map(
    ([name, pair]) =>
      `${visible(name).padEnd(column)}  ${[counted(pair), ...waiting(pair.waits, around.now)].join(', ')}`,
  );
  const more = open.length > most ? [`…and ${open.length - most} more pairs`] : [];
  const whole = `${progress ? `${counted(total(progress))}: ` : ''}${spent(around)}`;
  return [...[...lines, ...more].map((line) => cut(line, width)), paint.dim(cut(whole, width))];
}

/** The same in one sentence, for a log. */
export function progressText(progress: Progress | undefined, around: Around): string {
  if (!progress) return spent(around);
  const all = total(progress);
  return [counted(all), ...waiting(all.waits, around.now), spent(around)].join(', ');
}

const total = (progress: Progress): PairProgress =>
  [...progress.values()].reduce(
    (sum, { steps, applied, missed, waits }) => ({
      steps: sum.steps + steps,
      applied: sum.applied + applied,
      missed: sum.missed + missed,
      waits: new Map([...sum.waits, ...waits]),
    }),
    { steps: 0, applied: 0, missed: 0, waits: new Map() },
  );

const counted = ({ steps, applied, missed }: PairProgress): string =>
  `${applied} of ${steps} applied${missed > 0 ? `, ${missed} not` : ''}`;

function waiting(waits: PairProgress['waits'], now: number): string[] {
  const [first, ...more] = [...waits.values()];
  if (!first) return [];
  const others = more.length > 0 ? ` and ${more.length} more` : '';
  return [`waiting up to ${seconds(first.until - now)} for ${first.waitsFor}${others}`];
}

const spent = ({ calls, since, now }: Around): string =>
  `${calls.reads} reads, ${calls.writes} writes, ${seconds(now - since)}`;

const seconds = (ms: number): string => `${Math.max(0, Math.round(ms / 1000))} s`;

const cut = (line: string, width: number): string =>
  line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
