import { check } from './checks/index.ts';
import { decode } from './decode.ts';
import type { Parsed } from './document.ts';
import { type File, readFiles } from './files.ts';
import { type Given, NOTHING_GIVEN } from './given.ts';
import { MAX_PROBLEMS_PER_FILE } from './limits.ts';
import { parse } from './parse.ts';
import { valueAt } from './path.ts';
import { fill } from './references.ts';
import { byPlace } from './report.ts';
import { resolve } from './resolve.ts';
import { at, fileProblem } from './source.ts';
import { takeDefaults } from './take-defaults.ts';
import type { Problem, Specs } from './types.ts';
import { type Valid, validate } from './validate.ts';
import { settle } from './variables.ts';

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
  given: Given = NOTHING_GIVEN,
): Promise<Loaded> {
  const { files, problems } = await readFiles(paths, stdin);
  return loadFiles(files, problems, paths[0], given);
}

/**
 * The same of files that were read; pure. `found`: what is wrong already, with paths or with files. `mayBeNone`: that
 * nothing is declared is no mistake.
 */
export function loadFiles(
  files: readonly File[],
  found: readonly Problem[] = [],
  root = '.',
  given: Given = NOTHING_GIVEN,
  mayBeNone = false,
): Loaded {
  const read = files.map(documentsOf);
  const written = read.flatMap(({ documents }) => documents);
  const { documents, valid, used, problems } = assemble(written, given);
  const reading = [...found, ...read.flatMap((one) => one.problems)];
  const rest = [...problems, ...check(valid, documents)];
  const counts = { files: files.length, documents: written.length };
  if (reading.length + rest.length > 0) return { problems: shown(reading, rest), ...counts };
  if (!mayBeNone && !valid.some(({ kind }) => kind === 'BucketReplication')) {
    const message = 'no BucketReplication is declared';
    const hint =
      'a run that finds nothing to look after is taken for a mistake: name the folder of your specs';
    return { problems: [fileProblem(root, { message, hint })], ...counts };
  }
  return { specs: { ...resolve(valid), variables: used }, problems: [], ...counts };
}

function documentsOf({ file, bytes }: File): { documents: Parsed[]; problems: Problem[] } {
  const decoded = decode(file, bytes);
  return 'problem' in decoded ? { documents: [], problems: [decoded.problem] } : parse(decoded.source);
}

/** Each document as it is meant: first variables take their values, then pairs their defaults. */
function assemble(written: readonly Parsed[], given: Given) {
  const problems: Problem[] = [];
  const judge = (documents: readonly Parsed[]): Valid[] =>
    documents.flatMap((parsed) => {
      const judged = validate(parsed);
      problems.push(...judged.problems);
      return judged.valid ?? [];
    });

  const [declaring, others] = divided(written, 'Variables');
  const declarations = judge(declaring);
  const settled = settle(
    declaring,
    declarations.filter((one) => one.kind === 'Variables'),
    given,
  );
  const filled = fill(others, settled.variables);
  const [defaults, rest] = divided(filled.documents, 'Defaults');
  const shared = judge(defaults);
  const completed = takeDefaults(rest, defaults, shared);
  problems.push(...settled.problems, ...filled.problems, ...completed.problems);
  return {
    documents: [...declaring, ...defaults, ...completed.documents],
    valid: [...declarations, ...shared, ...judge(completed.documents)],
    used: filled.used,
    problems,
  };
}

function divided(documents: readonly Parsed[], kind: string): [those: Parsed[], others: Parsed[]] {
  const isOne = ({ value }: Parsed) => valueAt(value, ['kind']) === kind;
  return [documents.filter(isOne), documents.filter((one) => !isOne(one))];
}

/** By place; of each file no more than anyone reads, and first of all what was met in reading it. */
function shown(reading: readonly Problem[], rest: readonly Problem[]): Problem[] {
  const byFile = new Map<string, Problem[]>();
  for (const problem of [...reading, ...once(rest.toSorted(byPlace))]) {
    const { file } = problem.position;
    const ofFile = byFile.get(file);
    if (ofFile) ofFile.push(problem);
    else byFile.set(file, [problem]);
  }
  return [...byFile.values()].flatMap(firstOnes).sort(byPlace);
}

/** What is wrong with Defaults in the same way for many pairs, once. */
function once(problems: readonly Problem[]): Problem[] {
  const told = new Set<string>();
  return problems.filter(({ position, message, takenBy }) => {
    const key = `${at(position)} ${message}`;
    if (takenBy && told.has(key)) return false;
    told.add(key);
    return true;
  });
}

function firstOnes(problems: readonly Problem[]): readonly Problem[] {
  const first = problems.slice(0, MAX_PROBLEMS_PER_FILE).sort(byPlace);
  const last = first.at(-1);
  const more = problems.length - first.length;
  if (more === 0 || !last) return first;
  return [
    ...first,
    fileProblem(last.position, { message: `${more} more problems in this file are not shown` }),
  ];
}
