import type { File } from '../spec/files.ts';
import { type Given, NOTHING_GIVEN } from '../spec/given.ts';
import { type Loaded, loadFiles } from '../spec/load.ts';
import type { Problem, Specs } from '../spec/types.ts';
import type { Written } from './watch.ts';

/** What the controller goes by, and what is wrong with what was written since. */
export interface Current {
  specs: Specs;
  /** The files that `specs` came from: the newest that are right. */
  files: ReadonlyMap<string, File>;
  /** Of what is written now and does not count; its last good state does. */
  problems: Problem[];
}

/**
 * The newest specs that are right: where a file is not, it counts as it was when it last was, and the others count as they
 * are. What is wrong with a path itself (gone, empty, unreadable) leaves every file as it was: a folder that vanished is
 * no wish to have nothing.
 */
export function lastGood(
  written: readonly File[],
  problems: readonly Problem[],
  earlier: Current | undefined,
  given: Given = NOTHING_GIVEN,
  mayMiss?: Written['mayMiss'],
): Current | { problems: Problem[] } {
  const load = (files: readonly File[], found: readonly Problem[]) =>
    loadFiles(files, found, undefined, given, mayMiss !== undefined);
  const first = load(written, problems);
  const current = accepted(first, written);
  if (current) return current;
  const before = earlier ?? (mayMiss && NOTHING);
  if (!before) return { problems: first.problems };
  if (problems.length > 0) return { ...before, problems: first.problems };

  const names = new Set(written.map(({ file }) => file));
  let files = [...written];
  let loaded: Loaded = first;
  const reverted = new Set<string>();
  for (;;) {
    const wrong = new Set(loaded.problems.map(({ position }) => position.file));
    const more = [...wrong].filter((file) => names.has(file) && !reverted.has(file));
    // What is wrong with all of them together is nobody's own: then all stay as they were.
    const isMissed = more.some((file) => mayMiss && !before.files.has(file) && !mayMiss(file));
    if (more.length === 0 || isMissed) return { ...before, problems: first.problems };
    for (const file of more) reverted.add(file);
    files = written.flatMap((one) => (reverted.has(one.file) ? (before.files.get(one.file) ?? []) : [one]));
    loaded = load(files, []);
    const good = accepted(loaded, files);
    if (good) return { ...good, problems: first.problems };
  }
}

const NOTHING: Current = {
  specs: { pairs: [], accounts: [], limits: {}, variables: [] },
  files: new Map(),
  problems: [],
};

const accepted = ({ specs, problems }: Loaded, files: readonly File[]): Current | undefined =>
  specs && problems.length === 0
    ? { specs, files: new Map(files.map((one) => [one.file, one])), problems: [] }
    : undefined;
