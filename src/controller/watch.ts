import { createHash } from 'node:crypto';
import { type File, readFiles } from '../spec/files.ts';
import type { Problem } from '../spec/types.ts';
import type { Clock } from './clock.ts';
import { watchPlaces } from './places.ts';

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
  /** Read now, and believe what is read at once: whoever asks for it has written all of it. */
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

/**
 * How long changes of a folder are gathered before it is read, and how long what is read must stay as it is before it is
 * told, in milliseconds: one release writes many files, and an editor writes a file in pieces. Half a file can be a valid
 * spec with half of its rules.
 */
const SETTLE_MS = 100;

/**
 * Watch what is written at some paths, by reading it every so often and comparing. The system's own notices only make it
 * look sooner: not every file system has them.
 */
export async function watchSpecs(paths: readonly string[], options: WatchOptions): Promise<Watching> {
  const { clock, everyMs, onChange } = options;
  let known: string | undefined;
  let unsettled: { hash: string; since: number } | undefined;
  let closed = false;
  let callOff = () => {};
  let reading = Promise.resolve();
  const places = watchPlaces(() => soon());

  const read = async (asked: boolean): Promise<void> => {
    if (closed) return;
    let written = await readFiles(paths, async () => '');
    const names = written.files.map(({ file }) => file);
    if (await places.follow(paths, names)) written = await readFiles(paths, async () => '');
    const hash = hashOf(written);
    if (closed) return;
    if (hash === known) {
      unsettled = undefined;
      return;
    }
    if (hash !== unsettled?.hash) unsettled = { hash, since: clock.now() };
    if (!asked && clock.now() - unsettled.since < SETTLE_MS) {
      soon();
      return;
    }
    known = hash;
    onChange(written);
  };
  /** One look at a time, and the next some time after it. */
  const look = (asked: boolean): Promise<void> => {
    callOff();
    reading = reading
      .then(() => read(asked))
      .then(() => {
        callOff();
        if (!closed) callOff = clock.after(everyMs, () => void look(false));
      });
    return reading;
  };
  let callOffSoon: (() => void) | undefined;
  /** Not later because another notice comes: where there is no end of them, it would be never. */
  function soon(): void {
    if (closed) return;
    callOffSoon ??= clock.after(SETTLE_MS, () => {
      callOffSoon = undefined;
      void look(false);
    });
  }
  const reload = () => look(true);
  await reload();
  return {
    reload,
    close() {
      closed = true;
      callOff();
      callOffSoon?.();
      places.close();
    },
  };
}

/** The same for what is written in the same words. */
export function hashOf({ files, problems }: Written): string {
  const hash = createHash('sha256');
  for (const { file, bytes } of files) hash.update(`${file}\0${bytes.length}\0`).update(bytes);
  return hash.update(JSON.stringify(problems)).digest('hex');
}
