import { applyDefaults } from './apply-defaults.ts';
import { checkSpecs } from './checks/index.ts';
import { type ParsedDocument, valueAtPath } from './document.ts';
import { readSpecFiles, type SpecFile } from './files.ts';
import { compareProblems } from './format-problems.ts';
import { interpolateVariables } from './interpolate.ts';
import { MAX_PROBLEMS_PER_FILE } from './limits.ts';
import { parseDocuments } from './parse.ts';
import { resolveSpecs } from './resolve.ts';
import { decodeFile, fileProblem, formatPosition } from './source-file.ts';
import type { Problem, Specs } from './types.ts';
import { type CheckedDocument, validateDocument } from './validate.ts';
import { NO_VARIABLE_INPUT, resolveVariables, type VariableInput } from './variables.ts';

/** What was found: the specs if there is nothing wrong with any, and everything that is wrong. */
export interface LoadResult {
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
  variableInput: VariableInput = NO_VARIABLE_INPUT,
): Promise<LoadResult> {
  const { files, problems } = await readSpecFiles(paths, stdin);
  return loadSpecFiles(files, problems, paths[0], variableInput);
}

/**
 * The same of files that were read; pure. `earlierProblems`: what is wrong already, with paths or with files.
 * `allowEmpty`: that nothing is declared is no mistake.
 */
export function loadSpecFiles(
  files: readonly SpecFile[],
  earlierProblems: readonly Problem[] = [],
  root = '.',
  variableInput: VariableInput = NO_VARIABLE_INPUT,
  allowEmpty = false,
): LoadResult {
  const parsedFiles = files.map(parseFile);
  const writtenDocuments = parsedFiles.flatMap(({ documents }) => documents);
  const { documents, checkedDocuments, usedVariables, problems } = assembleDocuments(
    writtenDocuments,
    variableInput,
  );
  const readProblems = [...earlierProblems, ...parsedFiles.flatMap((file) => file.problems)];
  const laterProblems = [...problems, ...checkSpecs(checkedDocuments, documents)];
  const counts = { files: files.length, documents: writtenDocuments.length };
  if (readProblems.length + laterProblems.length > 0)
    return { problems: limitProblems(readProblems, laterProblems), ...counts };
  if (!allowEmpty && !checkedDocuments.some(({ kind }) => kind === 'BucketReplication')) {
    const message = 'no BucketReplication is declared';
    const hint =
      'a run that finds nothing to look after is taken for a mistake: name the folder of your specs';
    return { problems: [fileProblem(root, { message, hint })], ...counts };
  }
  return { specs: { ...resolveSpecs(checkedDocuments), variables: usedVariables }, problems: [], ...counts };
}

function parseFile({ file, bytes }: SpecFile): { documents: ParsedDocument[]; problems: Problem[] } {
  const decoded = decodeFile(file, bytes);
  return 'problem' in decoded
    ? { documents: [], problems: [decoded.problem] }
    : parseDocuments(decoded.source);
}

/** Each document as it is meant: first variables take their values, then pairs their defaults. */
function assembleDocuments(writtenDocuments: readonly ParsedDocument[], variableInput: VariableInput) {
  const problems: Problem[] = [];
  const validateAll = (documents: readonly ParsedDocument[]): CheckedDocument[] =>
    documents.flatMap((parsed) => {
      const result = validateDocument(parsed);
      problems.push(...result.problems);
      return result.checked ?? [];
    });

  const [variablesDocuments, otherDocuments] = splitByKind(writtenDocuments, 'Variables');
  const checkedVariables = validateAll(variablesDocuments);
  const variablesResult = resolveVariables(
    variablesDocuments,
    checkedVariables.filter((document) => document.kind === 'Variables'),
    variableInput,
  );
  const interpolationResult = interpolateVariables(otherDocuments, variablesResult.variables);
  const [defaultsDocuments, remainingDocuments] = splitByKind(interpolationResult.documents, 'Defaults');
  const checkedDefaults = validateAll(defaultsDocuments);
  const defaultsResult = applyDefaults(remainingDocuments, defaultsDocuments, checkedDefaults);
  problems.push(...variablesResult.problems, ...interpolationResult.problems, ...defaultsResult.problems);
  return {
    documents: [...variablesDocuments, ...defaultsDocuments, ...defaultsResult.documents],
    checkedDocuments: [...checkedVariables, ...checkedDefaults, ...validateAll(defaultsResult.documents)],
    usedVariables: interpolationResult.usedVariables,
    problems,
  };
}

function splitByKind(
  documents: readonly ParsedDocument[],
  kind: string,
): [those: ParsedDocument[], others: ParsedDocument[]] {
  const isOfKind = ({ value }: ParsedDocument) => valueAtPath(value, ['kind']) === kind;
  return [documents.filter(isOfKind), documents.filter((document) => !isOfKind(document))];
}

/** By place; of each file no more than anyone reads, and first of all what was met in reading it. */
function limitProblems(readProblems: readonly Problem[], laterProblems: readonly Problem[]): Problem[] {
  const byFile = new Map<string, Problem[]>();
  for (const problem of [
    ...readProblems,
    ...dedupeDefaultsProblems(laterProblems.toSorted(compareProblems)),
  ]) {
    const { file } = problem.position;
    const problemsOfFile = byFile.get(file);
    if (problemsOfFile) problemsOfFile.push(problem);
    else byFile.set(file, [problem]);
  }
  return [...byFile.values()].flatMap(truncateProblems).sort(compareProblems);
}

/** What is wrong with Defaults in the same way for many pairs, once. */
function dedupeDefaultsProblems(problems: readonly Problem[]): Problem[] {
  const problemKeys = new Set<string>();
  return problems.filter(({ position, message, takenBy }) => {
    const key = `${formatPosition(position)} ${message}`;
    if (takenBy && problemKeys.has(key)) return false;
    problemKeys.add(key);
    return true;
  });
}

function truncateProblems(problems: readonly Problem[]): readonly Problem[] {
  const first = problems.slice(0, MAX_PROBLEMS_PER_FILE).sort(compareProblems);
  const last = first.at(-1);
  const more = problems.length - first.length;
  if (more === 0 || !last) return first;
  return [
    ...first,
    fileProblem(last.position, { message: `${more} more problems in this file are not shown` }),
  ];
}
