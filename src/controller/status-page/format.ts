import { escapeHtml } from '../../util/escape.ts';
import type { PairState, RankedCondition } from '../pair-state.ts';

/** Names of states, each with a sign, so that no information depends on colour alone. */
export const STATE_LABELS: Record<RankedCondition['state'], { sign: string; label: string }> = {
  failing: { sign: '✕', label: 'Failing' },
  drifted: { sign: '≠', label: 'Drifted' },
  pending: { sign: '…', label: 'Pending' },
  ready: { sign: '✓', label: 'Ready' },
  notEnabled: { sign: '–', label: 'not enabled' },
  noData: { sign: '–', label: 'no data' },
};

export const STATE_DESCRIPTIONS: Record<PairState, string> = {
  failing: 'objects fail, or would fail, or replikey cannot make AWS as declared',
  drifted: 'another caller changed the pair, and replikey has not reverted it',
  pending: 'not checked yet, not readable, or with changes that this process may not apply',
  ready: 'AWS is as declared, and nothing that replikey observes fails',
};

export function renderBadge(state: RankedCondition['state'], label = STATE_LABELS[state].label): string {
  return `<span class="badge ${state}"><span aria-hidden="true">${STATE_LABELS[state].sign}</span> ${escapeHtml(label)}</span>`;
}

/** Escapes a text for HTML, and shortens it to a number of characters. */
export const escapeShort = (text: string, length: number): string =>
  escapeHtml(text.length > length ? `${[...text].slice(0, length - 1).join('')}…` : text);

/** Limits of a list on a page: the number of its items, and the length of their HTML in characters. */
export interface RenderLimits {
  count: number;
  length: number;
}

/** Renders the first items within the limits, and at least one. `omitted`: the number of the others. */
export function renderWithin<T>(
  items: readonly T[],
  render: (item: T) => string,
  limits: RenderLimits,
): { html: string[]; omitted: number } {
  const html: string[] = [];
  let length = 0;
  for (const item of items.slice(0, limits.count)) {
    const text = render(item);
    length += text.length;
    if (html.length > 0 && length > limits.length) break;
    html.push(text);
  }
  return { html, omitted: items.length - html.length };
}

const NUMBER_FORMAT = new Intl.NumberFormat('en');
const COMPACT_FORMAT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** Formats a count: `4,112`, and from a million `1.2M`. */
export const formatCount = (count: number): string =>
  (Math.abs(count) < 1e6 ? NUMBER_FORMAT : COMPACT_FORMAT).format(count);

export const pluralize = (count: number, noun: string): string =>
  `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;

/** Formats a size in decimal units: `3.2 GB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const index = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1);
  return `${NUMBER_FORMAT.format(Number((bytes / 1000 ** index).toPrecision(3)))} ${units[index]}`;
}

/** Formats a duration roughly: `36 ms`, `12 s`, `3 h 20 min`, `5 days`. */
export function formatDuration(ms: number): string {
  if (ms > 0 && ms < 1000) return `${Math.ceil(ms)} ms`;
  const seconds = Math.floor(Math.max(ms, 0) / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

/**
 * Renders the age of a time in minutes, so that a page without changes stays the same for a minute. Hovering shows the
 * exact time.
 */
export function renderAge(at: string | undefined, now: number): string {
  if (at === undefined) return '<span class="dim">never</span>';
  const ms = now - Date.parse(at);
  const text = ms < 60_000 ? 'now' : `${formatDuration(ms)} ago`;
  return `<time datetime="${escapeHtml(at)}" title="${escapeHtml(at)}">${text}</time>`;
}

/** Renders a time to the second: `2026-11-26 20:02:11 UTC`. */
export const renderTime = (at: string): string =>
  `<time datetime="${escapeHtml(at)}">${escapeHtml(at.replace(/^([\d-]+)T([\d:]+)(?:\.\d+)?Z$/, '$1 $2 UTC'))}</time>`;

export const formatUntil = (at: string | undefined, now: number): string => {
  const ms = at === undefined ? 0 : Date.parse(at) - now;
  return ms < 60_000 ? 'within a minute' : `in ${formatDuration(ms)}`;
};

/** The values of one hour each, oldest first; null: no data. */
type Hours = readonly (number | null)[];

interface SparklineOptions {
  type: 'bars' | 'line';
  /** What a screen reader reads before the highest value. */
  label: string;
  format: (value: number) => string;
  width?: number;
  height?: number;
}

/**
 * Renders values as a small chart. A zero is a mark on the base line; no data is a gap. Returns an empty text if there is
 * no data at all.
 */
export function renderSparkline(
  values: Hours,
  { type, label, format, width = 60, height = 18 }: SparklineOptions,
): string {
  const numbers = values.flatMap((value) => value ?? []);
  if (numbers.length === 0) return '';
  const peak = Math.max(...numbers);
  const step = width / Math.max(values.length, 1);
  const heightOf = (value: number) => (peak === 0 ? 0 : (value / peak) * (height - 3));
  const path =
    type === 'bars' ? barPath(values, step, height, heightOf) : linePath(values, step, height, heightOf);
  const name = `${label} in the last ${values.length} hours: at most ${format(peak)} in an hour`;
  return `<svg class="${type}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeHtml(name)}"><title>${escapeHtml(name)}</title>${path}</svg>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;

function barPath(values: Hours, step: number, height: number, heightOf: (value: number) => number): string {
  const bars = values.map((value, index) => {
    if (value === null || value === 0) return '';
    const barHeight = round(Math.max(heightOf(value), 2));
    return `M${round(index * step)} ${height - 1}v-${barHeight}h${round(step * 0.7)}v${barHeight}z`;
  });
  const zeros = values.map((value, index) =>
    value === null ? '' : `M${round(index * step)} ${height - 0.5}h${round(step * 0.7)}`,
  );
  return `<path class="base" d="${zeros.join('')}"/>${bars.join('') === '' ? '' : `<path class="bar" d="${bars.join('')}"/>`}`;
}

function linePath(values: Hours, step: number, height: number, heightOf: (value: number) => number): string {
  let isConnected = false;
  const points = values.map((value, index) => {
    if (value === null) {
      isConnected = false;
      return '';
    }
    const point = `${round((index + 0.5) * step)} ${round(height - 1.5 - heightOf(value))}`;
    // A single point between gaps is a dot.
    const command = isConnected ? `L${point}` : `M${point}h.01`;
    isConnected = true;
    return command;
  });
  return `<path d="${points.join('')}"/>`;
}
