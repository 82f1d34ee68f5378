import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { EXIT, systemErrorReason, UserError } from '../errors.ts';
import type { BucketResult } from './survey.ts';

/** Results of a survey in a file, one JSON document a line, so that an interrupted run can continue. */
export interface SurveyJournal {
  /** ISO 8601: the start of the survey, also when this run continues it. */
  startedAt: string;
  /** Results of the interrupted run, by account id and bucket name. */
  done: ReadonlyMap<string, ReadonlyMap<string, BucketResult>>;
  /** Why the results of an earlier run were discarded. */
  discarded?: string;
  /** Appends a result. One in which something is unknown is not kept, so that the next run reads the bucket again. */
  add(result: BucketResult): void;
  /**
   * Waits until the results are written, and closes the file. Every journal must be closed or removed: Node 26 ends a
   * process that loses an open file.
   *
   * @throws UserError if a result could not be written
   */
  close(): Promise<void>;
  /** Closes and deletes the file. */
  remove(): Promise<void>;
}

/** The first line of the file. */
interface Header {
  format: 1;
  scope: string;
  startedAt: string;
  pid: number;
  host: string;
}

/** Older results no longer describe the present state. */
const MAX_JOURNAL_AGE_MS = 24 * 3_600_000;

/**
 * Opens a journal, and reads the results of an interrupted run of the same survey.
 *
 * @param scope what the survey depends on; results of another scope are discarded
 *
 * @throws UserError when the file cannot be written, or another process writes it.
 */
export async function openSurveyJournal(
  file: string,
  { scope, startedAt, nowMs }: { scope: string; startedAt: string; nowMs: number },
): Promise<SurveyJournal> {
  const earlier = await readJournal(file);
  if (earlier) rejectConcurrentRun(file, earlier.header);
  const discarded = earlier && discardReason(earlier.header, scope, nowMs);
  const continued = discarded === undefined ? earlier : undefined;
  const header: Header = {
    format: 1,
    scope,
    startedAt: continued?.header.startedAt ?? startedAt,
    pid: process.pid,
    host: hostname(),
  };
  const results = continued?.results ?? [];
  const done = new Map<string, Map<string, BucketResult>>();
  for (const result of results) {
    const ofAccount = done.get(result.account) ?? new Map<string, BucketResult>();
    done.set(result.account, ofAccount.set(result.name, result));
  }
  // A crash may have left half a line, so the file is written again. The results are its owner's only.
  const temporaryFile = `${file}.tmp`;
  const handle = await orCannotWrite(file, async () => {
    await rm(temporaryFile, { force: true });
    const created = await open(temporaryFile, 'wx', 0o600);
    try {
      await created.appendFile([header, ...results].map(toLine).join(''));
      await rename(temporaryFile, file);
      return created;
    } catch (error) {
      await created.close();
      throw error;
    }
  });
  const writer = createWriter(handle, file);
  return {
    startedAt: header.startedAt,
    done,
    ...(discarded === undefined ? {} : { discarded }),
    add(result) {
      writer.assertWritable();
      if (isDecided(result)) writer.write(toLine(result));
    },
    close: writer.close,
    async remove() {
      await writer.close();
      await orCannotWrite(file, () => rm(file, { force: true }));
    },
  };
}

const isDecided = (result: BucketResult): boolean =>
  !('report' in result) || result.report.findings.every(({ category }) => category !== 'unknown');

const toLine = (value: object): string => `${JSON.stringify(value)}\n`;

function createWriter(
  handle: FileHandle,
  file: string,
): { assertWritable(): void; write(line: string): void; close(): Promise<void> } {
  let pending = '';
  let failure: unknown;
  let writing: Promise<void> | undefined;
  const flush = async (): Promise<void> => {
    while (pending !== '') {
      const text = pending;
      pending = '';
      await handle.appendFile(text);
    }
  };
  const throwFailure = (): void => {
    if (failure !== undefined) throw cannotWrite(file, failure);
  };
  const startWriting = (): void => {
    writing ??= flush()
      .catch((error: unknown) => {
        failure = error;
        pending = '';
      })
      .finally(() => {
        writing = undefined;
        // A line may arrive after the last one was written, and before this callback.
        if (pending !== '') startWriting();
      });
  };
  return {
    assertWritable: throwFailure,
    write(line) {
      pending += line;
      startWriting();
    },
    async close() {
      while (writing) await writing;
      await handle.close();
      throwFailure();
    },
  };
}

async function readJournal(
  file: string,
): Promise<{ header: Partial<Header>; results: BucketResult[] } | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UserError(EXIT.usage, `cannot read ${file}: ${systemErrorReason(error as Error)}`, {
      cause: error,
    });
  }
  const [header, ...results] = text.split('\n').map(parseLine);
  return {
    header: (header ?? {}) as Partial<Header>,
    results: results.filter((result): result is BucketResult => isResult(result)),
  };
}

/** Returns the value of a line; undefined for half a line, whose bucket is read again. */
function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const isResult = (value: unknown): boolean => {
  const { account, name, status } = (value ?? {}) as Partial<BucketResult>;
  return typeof account === 'string' && typeof name === 'string' && typeof status === 'string';
};

function rejectConcurrentRun(file: string, { pid, host }: Partial<Header>): void {
  if (host !== hostname() || pid === undefined || pid === process.pid || !isRunning(pid)) return;
  throw new UserError(
    EXIT.failed,
    `cannot save the results: the running process ${pid} writes ${file}; wait for it, use another --save, or delete the file if the process is another program`,
  );
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // The process of another user exists.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function discardReason(header: Partial<Header>, scope: string, nowMs: number): string | undefined {
  if (header.format !== 1 || header.startedAt === undefined) return 'it is not a journal of this version';
  if (header.scope !== scope) return 'it is of other accounts, Regions, specs or options';
  if (nowMs - Date.parse(header.startedAt) > MAX_JOURNAL_AGE_MS)
    return `it began at ${header.startedAt}, more than 24 hours ago`;
  return undefined;
}

async function orCannotWrite<T>(file: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    throw cannotWrite(file, error);
  }
}

const cannotWrite = (file: string, error: unknown): UserError =>
  new UserError(EXIT.failed, `cannot write ${file}: ${systemErrorReason(error as Error)}`, { cause: error });
