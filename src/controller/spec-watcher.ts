import { createHash } from 'node:crypto';
import { readSpecFiles, type SpecFile } from '../spec/files.ts';
import type { Problem } from '../spec/types.ts';
import type { Clock } from '../util/clock.ts';
import { watchPaths } from './fs-watcher.ts';

/** What is written at some paths. */
export interface SpecFiles {
  files: SpecFile[];
  problems: Problem[];
  /**
   * Whether the rest counts without a file that never was right. Absent: it does not, and to declare nothing is taken for a
   * mistake.
   */
  canSkip?: (file: string) => boolean;
}

export interface SpecWatcher {
  /** Read now, and believe what is read at once: whoever asks for it has written all of it. */
  reload(): Promise<void>;
  close(): void;
}

export interface SpecWatcherOptions {
  clock: Clock;
  /** Milliseconds between two looks. */
  pollIntervalMs: number;
  /** Called with what is written at first, and whenever it is something else. */
  onChange: (specFiles: SpecFiles) => void;
}

/**
 * How long changes of a folder are gathered before it is read, and how long what is read must stay as it is before it is
 * told, in milliseconds: one release writes many files, and an editor writes a file in pieces. Half a file can be a valid
 * spec with half of its rules.
 */
const FILE_DEBOUNCE_MS = 100;

/**
 * Watch what is written at some paths, by reading it every so often and comparing. The system's own notices only make it
 * look sooner: not every file system has them.
 */
export async function watchSpecs(
  paths: readonly string[],
  options: SpecWatcherOptions,
): Promise<SpecWatcher> {
  const { clock, pollIntervalMs, onChange } = options;
  let lastHash: string | undefined;
  let pendingChange: { hash: string; since: number } | undefined;
  let isClosed = false;
  let cancelPoll = () => {};
  let lastRead = Promise.resolve();
  const pathWatcher = watchPaths(() => scheduleRead());

  const readOnce = async (isForced: boolean): Promise<void> => {
    if (isClosed) return;
    let specFiles = await readSpecFiles(paths, async () => '');
    const fileNames = specFiles.files.map(({ file }) => file);
    if (await pathWatcher.update(paths, fileNames)) specFiles = await readSpecFiles(paths, async () => '');
    const hash = hashSpecFiles(specFiles);
    if (isClosed) return;
    if (hash === lastHash) {
      pendingChange = undefined;
      return;
    }
    if (hash !== pendingChange?.hash) pendingChange = { hash, since: clock.now() };
    if (!isForced && clock.now() - pendingChange.since < FILE_DEBOUNCE_MS) {
      scheduleRead();
      return;
    }
    lastHash = hash;
    onChange(specFiles);
  };
  /** One look at a time, and the next some time after it. */
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
  let cancelDebounce: (() => void) | undefined;
  /** Not later because another notice comes: where there is no end of them, it would be never. */
  function scheduleRead(): void {
    if (isClosed) return;
    cancelDebounce ??= clock.schedule(FILE_DEBOUNCE_MS, () => {
      cancelDebounce = undefined;
      void enqueueRead(false);
    });
  }
  const reload = () => enqueueRead(true);
  await reload();
  return {
    reload,
    close() {
      isClosed = true;
      cancelPoll();
      cancelDebounce?.();
      pathWatcher.close();
    },
  };
}

/** The same for what is written in the same words. */
export function hashSpecFiles({ files, problems }: SpecFiles): string {
  const hash = createHash('sha256');
  for (const { file, bytes } of files) hash.update(`${file}\0${bytes.length}\0`).update(bytes);
  return hash.update(JSON.stringify(problems)).digest('hex');
}
