import { createHash } from 'node:crypto';
import { readSpecFiles, type SpecFile } from '../spec/files.ts';
import { countRules } from '../spec/load.ts';
import type { Problem } from '../spec/types.ts';
import type { Clock } from '../util/clock.ts';
import { watchPaths } from './fs-watcher.ts';

/** The content of some paths. */
export interface SpecFiles {
  files: SpecFile[];
  problems: Problem[];
  /**
   * Whether the other files count without an invalid file that has no valid version. Absent: they do not, and an empty
   * set of specs counts as a mistake.
   */
  canSkip?: (file: string) => boolean;
}

export interface SpecWatcher {
  /** Reads now and accepts the content without a debounce: the caller has written all files. */
  reload(): Promise<void>;
  close(): void;
}

export interface SpecWatcherOptions {
  clock: Clock;
  /** Milliseconds between two polls. */
  pollIntervalMs: number;
  /** Called with the initial content, and with each change of it. */
  onChange: (specFiles: SpecFiles) => void | Promise<void>;
}

/**
 * Debounce in milliseconds: how long events are gathered before a read, and how long the content must stay the same
 * before it is reported. One release writes many files, and an editor writes a file in pieces. Half a file can be a
 * valid spec with half of its rules.
 */
const FILE_DEBOUNCE_MS = 100;

/**
 * How long the content must stay the same when a file became smaller, lost documents or rules, or disappeared, in
 * milliseconds. A half-written file has less content than the complete one, and replikey would remove the missing rules.
 */
const REDUCTION_SETTLE_MS = 2_000;

/**
 * Watches the content of some paths by polling and comparing. File system events only make a poll happen sooner: not
 * every file system has them.
 */
export async function watchSpecs(
  paths: readonly string[],
  options: SpecWatcherOptions,
): Promise<SpecWatcher> {
  const { clock, pollIntervalMs, onChange } = options;
  let accepted: { hash: string; specFiles: SpecFiles } | undefined;
  /** A change that is not accepted yet. Times are monotonic, in milliseconds. */
  let pendingChange: { hash: string; since: number; settleMs: number } | undefined;
  let isClosed = false;
  let cancelPoll = () => {};
  let lastRead = Promise.resolve();
  const pathWatcher = watchPaths(() => scheduleRead());

  const readOnce = async (isForced: boolean): Promise<void> => {
    if (isClosed) return;
    let specFiles = await readSpecFiles(paths, { clock });
    const fileNames = specFiles.files.map(({ file }) => file);
    if (await pathWatcher.update(paths, fileNames)) specFiles = await readSpecFiles(paths, { clock });
    const hash = hashSpecFiles(specFiles);
    if (isClosed) return;
    if (hash === accepted?.hash) {
      pendingChange = undefined;
      return;
    }
    const now = clock.monotonicNow();
    if (hash !== pendingChange?.hash) {
      // With a problem of the paths themselves, every file stays as it was.
      const isReduction =
        accepted !== undefined &&
        specFiles.problems.length === 0 &&
        losesContent(accepted.specFiles, specFiles);
      pendingChange = { hash, since: now, settleMs: isReduction ? REDUCTION_SETTLE_MS : FILE_DEBOUNCE_MS };
    }
    const remainingMs = pendingChange.since + pendingChange.settleMs - now;
    if (!isForced && remainingMs > 0) {
      scheduleRead(remainingMs);
      return;
    }
    accepted = { hash, specFiles };
    pendingChange = undefined;
    await onChange(specFiles);
  };
  /** Runs one read at a time, and schedules the next poll after it. */
  const enqueueRead = (isForced: boolean): Promise<void> => {
    cancelPoll();
    lastRead = lastRead
      .then(() => readOnce(isForced))
      .then(() => {
        cancelPoll();
        if (!isClosed) cancelPoll = clock.schedule(pollIntervalMs, () => void enqueueRead(false));
      });
    return lastRead;
  };
  let nextRead: { at: number; cancel: () => void } | undefined;
  /**
   * Schedules a read, unless an earlier one is scheduled. A further event does not postpone it: with a constant stream
   * of events, the read would never run.
   */
  function scheduleRead(delayMs = FILE_DEBOUNCE_MS): void {
    const at = clock.monotonicNow() + delayMs;
    if (isClosed || (nextRead && nextRead.at <= at)) return;
    nextRead?.cancel();
    const cancel = clock.schedule(delayMs, () => {
      nextRead = undefined;
      void enqueueRead(false);
    });
    nextRead = { at, cancel };
  }
  const reload = () => enqueueRead(true);
  await reload();
  return {
    reload,
    close() {
      isClosed = true;
      cancelPoll();
      nextRead?.cancel();
      pathWatcher.close();
    },
  };
}

/** Returns whether a file disappeared, became smaller, or has fewer documents or rules than before. */
function losesContent(before: SpecFiles, after: SpecFiles): boolean {
  const filesAfter = new Map(after.files.map((specFile) => [specFile.file, specFile]));
  return before.files.some((previous) => {
    const current = filesAfter.get(previous.file);
    if (!current || current.bytes.length < previous.bytes.length) return true;
    return !Buffer.from(current.bytes).equals(previous.bytes) && countRules(current) < countRules(previous);
  });
}

/** Returns the same hash for the same bytes. */
export function hashSpecFiles({ files, problems }: SpecFiles): string {
  const hash = createHash('sha256');
  for (const { file, bytes } of files) hash.update(`${file}\0${bytes.length}\0`).update(bytes);
  return hash.update(JSON.stringify(problems)).digest('hex');
}
