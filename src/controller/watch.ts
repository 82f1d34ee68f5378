import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { type File, readFiles } from '../spec/files.ts';
import type { Problem } from '../spec/types.ts';
import type { Clock } from './clock.ts';

/** What is written at some paths. */
export interface Written {
  files: File[];
  problems: Problem[];
  /**
   * Whether the rest counts without a file that never was right. Absent: it does not, and to declare nothing is taken for a
   * mistake.
   */
  mayMiss?: (file: string) => boolean;
}

export interface Watching {
  /** Read now, whether anything is known to have changed or not. */
  reload(): Promise<void>;
  close(): void;
}

export interface WatchOptions {
  clock: Clock;
  /** Milliseconds between two looks. */
  everyMs: number;
  /** Called with what is written at first, and whenever it is something else. */
  onChange: (written: Written) => void;
}

/** How long changes of a folder are gathered before it is read, in milliseconds: one release writes many files. */
const SETTLE_MS = 100;

/**
 * Watch what is written at some paths, by reading it every so often and comparing. The system's own notices only make it
 * look sooner: behind the links that ConfigMaps and git-sync swap they come once, or not at all.
 */
export async function watchSpecs(paths: readonly string[], options: WatchOptions): Promise<Watching> {
  const { clock, everyMs, onChange } = options;
  let known: string | undefined;
  let closed = false;
  let callOff = () => {};
  let reading = Promise.resolve();

  const look = async (): Promise<void> => {
    if (closed) return;
    const written = await readFiles(paths, async () => '');
    const hash = hashOf(written);
    if (closed || hash === known) return;
    known = hash;
    onChange(written);
  };
  /** One look at a time, and the next some time after it. */
  const reload = (): Promise<void> => {
    callOff();
    reading = reading.then(look).then(() => {
      callOff();
      if (!closed) callOff = clock.after(everyMs, () => void reload());
    });
    return reading;
  };
  await reload();
  const watchers = closed ? [] : paths.flatMap((path) => watching(path, () => soon()));
  let callOffSoon = () => {};
  function soon(): void {
    callOffSoon();
    callOffSoon = clock.after(SETTLE_MS, () => void reload());
  }
  return {
    reload,
    close() {
      closed = true;
      callOff();
      callOffSoon();
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** A watcher, where the system has one; where not, the looks every so often are enough. */
function watching(path: string, onNotice: () => void): FSWatcher[] {
  try {
    const watcher = watch(path, { persistent: false }, onNotice);
    watcher.on('error', () => watcher.close());
    return [watcher];
  } catch {
    return [];
  }
}

/** The same for what is written in the same words. */
export function hashOf({ files, problems }: Written): string {
  const hash = createHash('sha256');
  for (const { file, bytes } of files) hash.update(`${file}\0${bytes.length}\0`).update(bytes);
  return hash.update(JSON.stringify(problems)).digest('hex');
}
