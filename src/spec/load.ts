import { check } from './checks/index.ts';
import { decode } from './decode.ts';
import type { Parsed } from './document.ts';
import { type File, readFiles } from './files.ts';
import { MAX_PROBLEMS_PER_FILE } from './limits.ts';
import { parse } from './parse.ts';
import { byPlace } from './report.ts';
import { resolve } from './resolve.ts';
import { fileProblem } from './source.ts';
import type { Problem, Specs } from './types.ts';
import { type Valid, validate } from './validate.ts';

/** What was found: the specs if there is nothing wrong with any, and everything that is wrong. */
export interface Loaded {
  specs?: Specs;
  problems: Problem[];
  /** How many files and documents were read. */
  files: number;
  documents: number;
}

/** Load, validate and resolve everything that the paths name. No problem is thrown; all of all files come back at once. */
export async function loadSpecs(
  paths: readonly string[],
  stdin: () => Promise<string | Uint8Array> = async () => '',
): Promise<Loaded> {
  const { files, problems } = await readFiles(paths, stdin);
  return loadFiles(files, problems, paths[0]);
}

/** The same of files that were read; pure. `found`: what is wrong already, with paths or with files. */
export function loadFiles(files: readonly File[], found: readonly Problem[] = [], root = '.'): Loaded {
  const problems = [...found];
  const documents: Parsed[] = [];
  const valid: Valid[] = [];
  for (const { file, bytes } of files) {
    const read = readSpecs(file, bytes);
    documents.push(...read.documents);
    valid.push(...read.valid);
    problems.push(...read.problems);
  }
  problems.push(...check(valid, documents));
  const counts = { files: files.length, documents: documents.length };
  if (problems.length > 0) return { problems: problems.sort(byPlace), ...counts };
  if (!valid.some(({ kind }) => kind === 'BucketReplication')) {
    const message = 'no BucketReplication is declared';
    const hint =
      'a run that finds nothing to look after is taken for a mistake: name the folder of your specs';
    return { problems: [fileProblem(root, { message, hint })], ...counts };
  }
  return { specs: resolve(valid), problems, ...counts };
}

/** One file by itself: its documents, those of the right form, and what is wrong so far. Pure. */
export function readSpecs(
  file: string,
  bytes: Uint8Array,
): { documents: Parsed[]; valid: Valid[]; problems: Problem[] } {
  const decoded = decode(file, bytes);
  if ('problem' in decoded) return { documents: [], valid: [], problems: [decoded.problem] };
  const { documents, problems } = parse(decoded.source);
  const checked = documents.map(validate);
  return {
    documents,
    valid: checked.flatMap(({ valid }) => valid ?? []),
    problems: firstOnes(file, [...problems, ...checked.flatMap((one) => one.problems)]),
  };
}

function firstOnes(file: string, problems: Problem[]): Problem[] {
  const more = problems.length - MAX_PROBLEMS_PER_FILE;
  if (more <= 0) return problems;
  const message = `${more} more problems in this file are not shown`;
  return [...problems.slice(0, MAX_PROBLEMS_PER_FILE), fileProblem(file, { message })];
}
