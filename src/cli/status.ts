import { createStatusReader, type ShownStatus, toStatusRows } from '../controller/read-status.ts';
import { declaredFields } from '../controller/status.ts';
import { toWorkItems } from '../controller/work-items.ts';
import { EXIT, UserError } from '../errors.ts';
import { kinds } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import { createLog } from '../log.ts';
import { type StatusRow, statusScreen, statusTable } from '../report/status-text.ts';
import { createPaint, isColourEnabled } from '../report/style.ts';
import { parseLabelSelector, type Selection, SelectionError } from '../spec/select.ts';
import type { Specs } from '../spec/types.ts';
import { toSortedSet } from '../util/canonical-json.ts';
import { type Clock, createAbortController, sleep, systemClock } from '../util/clock.ts';
import { escapeUnprintable, safeJson } from '../util/escape.ts';
import type { Io } from './command-model.ts';
import type { GlobalOptions, SpecOptions } from './options.ts';
import { showProgress } from './progress.ts';
import { loadSelectedSpecs, openSession } from './session.ts';
import { readServerStatus } from './status-server.ts';

export interface StatusOptions extends SpecOptions, Pick<GlobalOptions, 'sandbox' | 'logLevel' | 'debug'> {
  output: 'text' | 'json' | 'wide';
  watch?: true;
  /** In seconds. */
  interval?: number;
  server?: URL;
  detailedExitcode?: true;
}

/** Where the status comes from. */
interface StatusSource {
  name: 'aws' | 'sandbox' | 'server';
  read(): Promise<ShownStatus[]>;
  close(): Promise<void>;
}

/** Default time between two reads with `--watch`, in seconds. A read of AWS makes about a dozen calls for each pair. */
const SERVER_INTERVAL = 10;
const AWS_INTERVAL = 60;

/** `reconcile status`: prints the status of pairs, once or until a signal stops it. */
export async function runStatus(
  paths: readonly string[],
  options: StatusOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  rejectContradiction(paths, options);
  const log = createLog(io.stderr, { level: options.logLevel, colour: isColourEnabled(io.stderr, io.env) });
  const source = await openSource(paths, options, io, log, signal);
  try {
    const printer = createPrinter(source.name, options, io);
    const warnUnreadable = createUnreadableWarning(log);
    const read = async (): Promise<StatusRow[]> => {
      const rows = toStatusRows(await source.read());
      warnUnreadable(rows);
      return rows;
    };
    if (!options.watch) {
      const rows = await read();
      printer.print(rows, Date.now());
      return options.detailedExitcode && rows.some(({ state }) => state !== 'ready') ? EXIT.changes : EXIT.ok;
    }
    const seconds = options.interval ?? (options.server ? SERVER_INTERVAL : AWS_INTERVAL);
    // A closed terminal or pipe has no reader.
    const closed = createAbortController();
    io.stdout.on('error', () => closed.abort());
    await watchStatus({
      read,
      printer,
      log,
      clock: systemClock,
      intervalMs: seconds * 1000,
      signal: AbortSignal.any([signal, closed.signal]),
    });
    return EXIT.ok;
  } finally {
    await source.close();
  }
}

/** Returns a function that logs why metrics could not be read, when the reasons change: `-` alone would not show it. */
function createUnreadableWarning(log: Pick<Log, 'warn'>): (rows: readonly StatusRow[]) => void {
  let lastText = '';
  return (rows) => {
    const unreadable = rows.filter(({ replication }) => replication?.state === 'unreadable');
    const reasons = toSortedSet(unreadable.flatMap(({ replication }) => replication?.reason ?? []));
    const more = reasons.length > 1 ? ` (and ${reasons.length - 1} other reasons)` : '';
    const text =
      unreadable.length === 0
        ? ''
        : `cannot read metrics of ${unreadable.length} of ${rows.length} pairs: ${escapeUnprintable(reasons[0] ?? '')}${more}; \`reconcile permissions\` prints the required permissions`;
    if (text !== '' && text !== lastText) log.warn(text);
    lastText = text;
  };
}

function rejectContradiction(
  paths: readonly string[],
  { server, sandbox, watch, interval, detailedExitcode }: StatusOptions,
): void {
  const reject = (message: string): never => {
    throw new UserError(EXIT.usage, message);
  };
  if (server === undefined && paths.length === 0)
    reject('no specs given: use reconcile status specs/, or --server http://127.0.0.1:8080');
  if (server !== undefined && sandbox !== undefined)
    reject('--server reads a controller and not a sandbox: remove --sandbox');
  if (!watch && interval !== undefined) reject('--interval has no effect without --watch: add --watch');
  if (watch && detailedExitcode)
    reject('--detailed-exitcode has no effect with --watch, which ends by a signal: remove it');
}

async function openSource(
  paths: readonly string[],
  options: StatusOptions,
  io: Io,
  log: Log,
  signal: AbortSignal,
): Promise<StatusSource> {
  const specs = paths.length > 0 ? await loadSelectedSpecs(paths, options, io, signal) : undefined;
  if (options.server) return openServerSource(options.server, specs, options, log, signal);
  if (!specs) throw new Error('no specs');
  const session = await openSession(specs, options, io, signal);
  const reader = createStatusReader({ specs, kinds, aws: session.aws, clock: systemClock, signal });
  let isFirst = true;
  return {
    name: session.sandbox ? 'sandbox' : 'aws',
    async read() {
      // Later reads would flicker below the table.
      const progress = isFirst
        ? showProgress({ io, log, clock: systemClock, calls: session.aws.calls })
        : undefined;
      isFirst = false;
      try {
        return await reader.read();
      } finally {
        progress?.end();
      }
    },
    close: () => session.close(),
  };
}

/** @param specs the pairs to show; undefined: those that the selection matches */
function openServerSource(
  server: URL,
  specs: Specs | undefined,
  selection: Selection,
  log: Log,
  signal: AbortSignal,
): StatusSource {
  let lastProblems = 0;
  return {
    name: 'server',
    async read() {
      const { pairs, problems } = await readServerStatus(server, signal);
      if (problems > 0 && problems !== lastProblems)
        log.warn(
          { problems },
          `the specs of ${server.href} have problems: the last valid version stays in effect`,
        );
      lastProblems = problems;
      return specs ? pickDeclared(pairs, specs, server) : selectPairs(pairs, selection, server);
    },
    close: async () => {},
  };
}

/** Returns the pairs of the specs. A pair that the controller does not have gets a row without data. */
function pickDeclared(pairs: readonly ShownStatus[], specs: Specs, server: URL): ShownStatus[] {
  const pairsByName = new Map(pairs.map((pair) => [pair.name, pair]));
  return [...toWorkItems(specs).values()].map((item) => {
    const { labels, sides } = declaredFields(item);
    const message = `${server.href} has no such pair: it reads other specs, or another shard has the pair`;
    const Ready = { status: 'Unknown', reason: 'NotFound', message, since: new Date().toISOString() };
    return pairsByName.get(item.key) ?? { name: item.key, labels, sides, conditions: { Ready } as never };
  });
}

/** @throws UserError if a name or the whole selection matches no pair */
function selectPairs(
  pairs: readonly ShownStatus[],
  { only, selector }: Selection,
  server: URL,
): ShownStatus[] {
  const matchesLabels = selector === undefined ? () => true : parseSelector(selector);
  const unknownName = only.find((wanted) => pairs.every(({ name }) => name !== wanted));
  if (unknownName !== undefined)
    throw new UserError(EXIT.usage, `${server.href} has no pair named ${unknownName}`);
  const selected = pairs.filter(
    ({ name, labels }) => (only.length === 0 || only.includes(name)) && matchesLabels(labels),
  );
  if (selected.length === 0 && pairs.length > 0)
    throw new UserError(EXIT.usage, `the selection matches none of ${pairs.length} pairs of ${server.href}`);
  return selected;
}

function parseSelector(selector: string): (labels: Record<string, string>) => boolean {
  try {
    return parseLabelSelector(selector);
  } catch (error) {
    if (error instanceof SelectionError) throw new UserError(EXIT.usage, error.message);
    throw error;
  }
}

const SOURCE_NAMES = { aws: 'AWS', sandbox: 'the sandbox', server: 'a controller' };

/** Prints the rows in an output format. */
export interface StatusPrinter {
  /** Prints all rows. `now`: milliseconds since 1970. */
  print(rows: readonly StatusRow[], now: number): void;
  /** Prints what has changed since the last call, for `--watch`. */
  update(rows: readonly StatusRow[], now: number): void;
}

export function createPrinter(
  source: StatusSource['name'],
  { output, server }: Pick<StatusOptions, 'output' | 'server'>,
  { stdout, env }: Pick<Io, 'stdout' | 'env'>,
): StatusPrinter {
  const paint = createPaint(stdout, env);
  const tableOf = (rows: readonly StatusRow[], now: number) =>
    statusTable(rows, { wide: output === 'wide', now, paint });
  const documentOf = (rows: readonly StatusRow[], now: number) => ({
    format: 1,
    source,
    ...(server && { server: server.href }),
    at: new Date(now).toISOString(),
    pairs: rows,
  });
  let lastKeys: ReadonlyMap<string, string> | undefined;

  function print(rows: readonly StatusRow[], now: number): void {
    if (output === 'json') return void stdout.write(`${safeJson(documentOf(rows, now), 2)}\n`);
    const { header, lines } = tableOf(rows, now);
    stdout.write(rows.length === 0 ? 'No pairs.\n' : `${[header, ...lines].join('\n')}\n`);
  }

  function update(rows: readonly StatusRow[], now: number): void {
    const keys = new Map(rows.map((row) => [row.name, contentKey(row)]));
    const isChanged = ({ name }: StatusRow) => lastKeys?.get(name) !== keys.get(name);
    const isFirst = lastKeys === undefined;
    const hasChanged = isFirst || keys.size !== lastKeys?.size || rows.some(isChanged);
    const table = tableOf(rows, now);
    if (output === 'json') {
      if (hasChanged) stdout.write(`${safeJson(documentOf(rows, now))}\n`);
    } else if (stdout.isTTY && env.TERM !== 'dumb') {
      const { columns = 80, rows: height = 24 } = stdout;
      const pairs = rows.length === 1 ? '1 pair' : `${rows.length} pairs`;
      const title = `${pairs} of ${server?.href ?? SOURCE_NAMES[source]} at ${new Date(now).toISOString()}`;
      stdout.write(`${isFirst ? '\x1b[2J' : ''}${statusScreen(title, table, { columns, rows: height })}`);
    } else {
      const changed = table.lines.filter((_, index) => isChanged(rows[index] as StatusRow));
      const removed = [...(lastKeys?.keys() ?? [])].filter((name) => !keys.has(name));
      const lines = [
        ...(isFirst ? [table.header] : []),
        ...changed,
        ...removed.map((name) => `${escapeUnprintable(name)} removed`),
      ];
      if (lines.length > 0) stdout.write(`${lines.join('\n')}\n`);
    }
    lastKeys = keys;
  }

  return { print, update };
}

/** Returns a text that changes with the content of a row, and not with the time of its read. */
const contentKey = ({ replication, ...row }: StatusRow): string =>
  JSON.stringify({ ...row, replication: { ...replication, at: '' } });

export interface WatchOptions {
  read(): Promise<StatusRow[]>;
  printer: StatusPrinter;
  log: Pick<Log, 'warn'>;
  clock: Clock;
  intervalMs: number;
  signal: AbortSignal;
}

/**
 * Reads and prints the status at an interval until the signal aborts. A read that fails is logged, and the next one
 * follows after the interval.
 *
 * @throws the error of the first read: later reads would fail as well
 */
export async function watchStatus({
  read,
  printer,
  log,
  clock,
  intervalMs,
  signal,
}: WatchOptions): Promise<void> {
  let isFirst = true;
  while (!signal.aborted) {
    try {
      printer.update(await read(), clock.now());
    } catch (error) {
      if (signal.aborted) return;
      if (isFirst || !(error instanceof Error)) throw error;
      log.warn(error.message);
    }
    isFirst = false;
    await sleep(clock, intervalMs, signal);
  }
}
