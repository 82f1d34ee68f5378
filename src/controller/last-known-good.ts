import type { SpecFile } from '../spec/files.ts';
import { type LoadResult, loadSpecFiles } from '../spec/load.ts';
import type { Problem, Specs } from '../spec/types.ts';
import { NO_VARIABLE_INPUT, type VariableInput } from '../spec/variables.ts';
import type { SpecFiles } from './spec-watcher.ts';

/** What the controller goes by, and what is wrong with what was written since. */
export interface LastKnownGood {
  specs: Specs;
  /** The files that `specs` came from: the newest that are right. */
  files: ReadonlyMap<string, SpecFile>;
  /** Of what is written now and does not count; its last good state does. */
  problems: Problem[];
}

/**
 * The newest specs that are right: where a file is not, it counts as it was when it last was, and the others count as they
 * are. What is wrong with a path itself (gone, empty, unreadable) leaves every file as it was: a folder that vanished is
 * no wish to have nothing.
 */
export function selectLastKnownGood(
  inputFiles: readonly SpecFile[],
  inputProblems: readonly Problem[],
  previous: LastKnownGood | undefined,
  variableInput: VariableInput = NO_VARIABLE_INPUT,
  canSkip?: SpecFiles['canSkip'],
): LastKnownGood | { problems: Problem[] } {
  const load = (files: readonly SpecFile[], fileProblems: readonly Problem[]) =>
    loadSpecFiles(files, fileProblems, undefined, variableInput, canSkip !== undefined);
  const initial = load(inputFiles, inputProblems);
  const complete = toLastKnownGood(initial, inputFiles);
  if (complete) return complete;
  const fallback = previous ?? (canSkip && NO_SPECS);
  if (!fallback) return { problems: initial.problems };
  if (inputProblems.length > 0) return { ...fallback, problems: initial.problems };

  const fileNames = new Set(inputFiles.map(({ file }) => file));
  let files = [...inputFiles];
  let loaded: LoadResult = initial;
  const revertedFiles = new Set<string>();
  for (;;) {
    const invalidFiles = new Set(loaded.problems.map(({ position }) => position.file));
    const newlyInvalid = [...invalidFiles].filter((file) => fileNames.has(file) && !revertedFiles.has(file));
    // What is wrong with all of them together is nobody's own: then all stay as they were.
    const lacksFallback = newlyInvalid.some((file) => canSkip && !fallback.files.has(file) && !canSkip(file));
    if (newlyInvalid.length === 0 || lacksFallback) return { ...fallback, problems: initial.problems };
    for (const file of newlyInvalid) revertedFiles.add(file);
    files = inputFiles.flatMap((input) =>
      revertedFiles.has(input.file) ? (fallback.files.get(input.file) ?? []) : [input],
    );
    loaded = load(files, []);
    const candidate = toLastKnownGood(loaded, files);
    if (candidate) return { ...candidate, problems: initial.problems };
  }
}

const NO_SPECS: LastKnownGood = {
  specs: { pairs: [], accounts: [], limits: {}, variables: [] },
  files: new Map(),
  problems: [],
};

const toLastKnownGood = (
  { specs, problems }: LoadResult,
  files: readonly SpecFile[],
): LastKnownGood | undefined =>
  specs && problems.length === 0
    ? { specs, files: new Map(files.map((input) => [input.file, input])), problems: [] }
    : undefined;
