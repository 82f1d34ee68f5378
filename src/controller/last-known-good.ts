import type { SpecFile } from '../spec/files.ts';
import { type LoadOptions, type LoadResult, loadSpecFiles } from '../spec/load.ts';
import type { Problem, Specs } from '../spec/types.ts';
import type { SpecFiles } from './spec-watcher.ts';

/** The specs that the controller uses, and the problems of the current files. */
export interface LastKnownGood {
  specs: Specs;
  /** The files that `specs` came from: the newest valid version of each. */
  files: ReadonlyMap<string, SpecFile>;
  /** Problems of the current files. The last valid version of an invalid file stays in effect. */
  problems: Problem[];
}

/**
 * Selects the newest valid specs. An invalid file is replaced by its last valid version; the other files count as they
 * are. If a path itself has a problem (missing, empty, unreadable), every file stays as it was: a folder that
 * disappeared does not mean that the user wants no pairs.
 */
export async function selectLastKnownGood(
  { files: inputFiles, problems: inputProblems, canSkip }: SpecFiles,
  previous: LastKnownGood | undefined,
  options: LoadOptions = {},
): Promise<LastKnownGood | { problems: Problem[] }> {
  const load = (files: readonly SpecFile[], problems: readonly Problem[]) =>
    loadSpecFiles(files, { ...options, problems, allowEmpty: canSkip !== undefined });
  const initial = await load(inputFiles, inputProblems);
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
    // A problem of all files together belongs to no single file: then all files stay as they were.
    const lacksFallback = newlyInvalid.some((file) => canSkip && !fallback.files.has(file) && !canSkip(file));
    if (newlyInvalid.length === 0 || lacksFallback) return { ...fallback, problems: initial.problems };
    for (const file of newlyInvalid) revertedFiles.add(file);
    files = inputFiles.flatMap((input) =>
      revertedFiles.has(input.file) ? (fallback.files.get(input.file) ?? []) : [input],
    );
    loaded = await load(files, []);
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
