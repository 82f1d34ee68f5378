import { stripVTControlCharacters } from 'node:util';
import type { CanaryResult } from '../canary/canary.ts';
import { JOB_PROBLEMS, mostUrgentJobs } from '../core/job-status.ts';
import type { JobStatus } from '../core/resource.ts';
import type { ReplicationMetrics } from '../facts/replication-metrics.ts';
import { escapeUnprintable } from '../util/escape.ts';
import type { Paint } from './style.ts';

/** The status of one pair, as `reconcile status` prints it. */
export interface StatusRow {
  name: string;
  state: 'failing' | 'drifted' | 'pending' | 'ready';
  /** The reason of the state, from the condition that explains it best. */
  message?: string;
  labels: Record<string, string>;
  /** The directions of replication: one, or two. */
  sides: { source: StatusRowBucket; destination: StatusRowBucket }[];
  conditions: StatusRowCondition[];
  /** Absent: not read. */
  replication?: Omit<ReplicationMetrics, 'history'>;
  /** Absent: no run of canaries is known. */
  canary?: { at: string; result: CanaryResult['result']; latencyMs?: number };
  /** The batch jobs that the pair declares; absent: none. */
  jobs?: JobStatus[];
}

export interface StatusRowBucket {
  bucket: string;
  region: string;
  account?: string;
}

export interface StatusRowCondition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  /** ISO 8601 */
  since: string;
}

export interface StatusTableOptions {
  /** Whether to add the columns of `-o wide`. */
  wide: boolean;
  /** Milliseconds since 1970. */
  now: number;
  paint: Paint;
}

/** A cell without data. It is never 0: a pair without datapoints has replicated nothing, and failed nothing. */
const NO_DATA = '-';

interface Column {
  title: string;
  isWide?: true;
  /** Whether a table has the column; absent: always. */
  isRelevant?(rows: readonly StatusRow[]): boolean;
  text(row: StatusRow, now: number): string;
  /** Whether the cell reports a failure. */
  isFailure?(row: StatusRow): boolean;
}

const COLUMNS: readonly Column[] = [
  { title: 'NAME', text: ({ name }) => escapeUnprintable(name) },
  conditionColumn('READY', 'Ready', 'False'),
  conditionColumn('PROVEN', 'Proven', 'False'),
  { title: 'PENDING', text: ({ replication }) => countCell(replication?.pendingOperations) },
  { title: 'LAG', text: ({ replication }) => durationOf(replication?.latencySeconds) },
  {
    title: 'FAILED',
    text: ({ replication }) => failedText(replication ?? {}),
    isFailure: ({ replication }) => (replication?.failed ?? 0) > 0,
  },
  {
    title: 'CANARY',
    text: ({ canary }, now) => canaryCell(canary, now),
    isFailure: ({ canary }) => canary?.result === 'failed' || canary?.result === 'timeout',
  },
  conditionColumn('DRIFT', 'Drifted', 'True'),
  {
    ...conditionColumn('EVENTS', 'Events', 'False'),
    isRelevant: (rows) => rows.some(({ conditions }) => conditions.some(({ type }) => type === 'Events')),
  },
  {
    title: 'BACKFILL',
    isRelevant: (rows) => rows.some(({ jobs }) => jobs !== undefined),
    text: ({ jobs }) => backfillCell(jobs),
    isFailure: ({ jobs = [] }) => jobs.some(({ state }) => JOB_PROBLEMS.has(state)),
  },
  { title: 'REGIONS', isWide: true, text: (row) => routeText(row, ({ region }) => region) },
  { title: 'BUCKETS', isWide: true, text: (row) => routeText(row, ({ bucket }) => bucket) },
  {
    title: 'PENDING BYTES',
    isWide: true,
    text: ({ replication }) => countCell(replication?.pendingBytes),
  },
  { title: 'MESSAGE', isWide: true, text: ({ message }) => escapeUnprintable(message ?? NO_DATA) },
];

function conditionColumn(title: string, type: string, failure: StatusRowCondition['status']): Column {
  const conditionOf = ({ conditions }: StatusRow) => conditions.find((condition) => condition.type === type);
  return {
    title,
    text(row) {
      const { status, reason } = conditionOf(row) ?? {};
      return status === undefined || (status === 'Unknown' && reason === 'Pending') ? NO_DATA : status;
    },
    isFailure: (row) => conditionOf(row)?.status === failure,
  };
}

const countCell = (count: number | undefined): string => (count === undefined ? NO_DATA : String(count));

function failedText({ failed, failedSince }: Pick<ReplicationMetrics, 'failed' | 'failedSince'>): string {
  return failedSince === undefined || failed === undefined
    ? countCell(failed)
    : `${failed} (since ${minuteOf(failedSince)})`;
}

/** `2026-11-30T19:40Z` */
const minuteOf = (iso: string): string => new Date(iso).toISOString().replace(/:\d\d\.\d{3}Z$/, 'Z');

/** The state of the job that a person must know first, and how far the jobs are: `inProgress 33%`. */
function backfillCell(jobs: readonly JobStatus[] | undefined): string {
  const worst = jobs && mostUrgentJobs(jobs)[0];
  if (!jobs || !worst) return NO_DATA;
  const counts = jobs.map(({ total = 0, succeeded, failed }) => ({
    total,
    done: succeeded + failed,
    failed,
  }));
  const sum = (field: 'total' | 'done' | 'failed') =>
    counts.reduce((value, count) => value + count[field], 0);
  if (worst.state === 'inProgress') return `inProgress ${Math.floor((sum('done') / sum('total')) * 100)}%`;
  return worst.state === 'tasksFailed' ? `${sum('failed')} failed` : worst.state;
}

function canaryCell(canary: StatusRow['canary'], now: number): string {
  if (canary === undefined) return NO_DATA;
  const { result, latencyMs, at } = canary;
  const latency = latencyMs === undefined ? '' : ` ${(latencyMs / 1000).toFixed(1)}s`;
  return `${result}${latency} (${durationOf(Math.max(0, now - Date.parse(at)) / 1000)} ago)`;
}

/** Returns a duration as kubectl does, with its two largest units: `42s`, `3m12s`, `2h5m`, `3d4h`. */
function durationOf(seconds: number | undefined): string {
  if (seconds === undefined) return NO_DATA;
  const whole = Math.round(seconds);
  const units: [string, number][] = [
    ['d', Math.floor(whole / 86_400)],
    ['h', Math.floor(whole / 3_600) % 24],
    ['m', Math.floor(whole / 60) % 60],
    ['s', whole % 60],
  ];
  const first = units.findIndex(([, count]) => count > 0);
  if (first === -1) return '0s';
  return units
    .slice(first, first + 2)
    .flatMap(([unit, count]) => (count > 0 ? `${count}${unit}` : []))
    .join('');
}

function routeText({ sides }: StatusRow, textOf: (bucket: StatusRowBucket) => string): string {
  const [side] = sides;
  if (!side) return NO_DATA;
  const arrow = sides.length > 1 ? '<->' : '->';
  return escapeUnprintable(`${textOf(side.source)} ${arrow} ${textOf(side.destination)}`);
}

/** Aligned lines of a table: the titles, and a line for each row. */
export interface StatusTable {
  header: string;
  lines: string[];
}

/** Returns the table of pairs, in their order, with aligned columns as in `kubectl get`. */
export function statusTable(
  rows: readonly StatusRow[],
  { wide, now, paint }: StatusTableOptions,
): StatusTable {
  const columns = COLUMNS.filter(
    ({ isWide, isRelevant }) => (wide || !isWide) && (isRelevant?.(rows) ?? true),
  );
  const cells = rows.map((row) => columns.map(({ text }) => text(row, now)));
  const widths = columns.map(({ title }, index) =>
    cells.reduce((width, line) => Math.max(width, line[index]?.length ?? 0), title.length),
  );
  const alignCell = (text: string, index: number): string =>
    index === columns.length - 1 ? text : text.padEnd((widths[index] ?? 0) + GAP.length);
  return {
    header: columns.map(({ title }, index) => alignCell(title, index)).join(''),
    lines: rows.map((row, rowIndex) =>
      columns
        .map(({ isFailure }, index) => {
          const cell = alignCell(cells[rowIndex]?.[index] ?? '', index);
          return isFailure?.(row) ? paint.red(cell) : cell;
        })
        .join(''),
    ),
  };
}

const GAP = '   ';

/** The size of a terminal, in characters. */
export interface ScreenSize {
  columns: number;
  rows: number;
}

/**
 * Returns the text that replaces the content of a terminal by a title and the table, without flicker. Cuts lines that
 * are too wide, and rows that do not fit: a longer text would scroll.
 */
export function statusScreen(
  title: string,
  { header, lines }: StatusTable,
  { columns, rows }: ScreenSize,
): string {
  const available = Math.max(1, rows - 4);
  const visibleLines = lines.length > available ? lines.slice(0, available - 1) : lines;
  const omitted = lines.length - visibleLines.length;
  const screen = [title, '', header, ...visibleLines, ...(omitted > 0 ? [`and ${omitted} more pairs`] : [])];
  const fit = (line: string): string => {
    const plain = stripVTControlCharacters(line);
    return plain.length < columns ? line : `${plain.slice(0, Math.max(0, columns - 2))}…`;
  };
  return `\x1b[H${screen.map((line) => `${fit(line)}\x1b[K\n`).join('')}\x1b[J`;
}
