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

/** The result of loading: the specs if there is no problem, or all problems. */
export interface LoadResult {
  specs?: Specs;
  problems: Problem[];
  /** The number of files and documents that were read. */
  files: number;
  documents: number;
}

/**
 * Loads, validates and resolves all specs under the paths. It returns the problems of all files together, and throws
 * none.
 */
export async function loadSpecs(
  paths: readonly string[],
  stdin: () => Promise<string | Uint8Array> = async () => '',
  variableInput: VariableInput = NO_VARIABLE_INPUT,
): Promise<LoadResult> {
  const { files, problems } = await readSpecFiles(paths, stdin);
  return loadSpecFiles(files, problems, paths[0], variableInput);
}

/**
 * Validates and resolves files that are already read. Pure.
 *
 * @param earlierProblems Problems already found in paths or files.
 * @param allowEmpty Accepts input without a BucketReplication.
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
    const message = 'no BucketReplication found';
    const hint = 'check the paths; replikey treats a run without specs as a mistake';
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

/** Assembles the final documents: first it substitutes variables, then it merges Defaults into pairs. */
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
): [ofKind: ParsedDocument[], remaining: ParsedDocument[]] {
  const isOfKind = ({ value }: ParsedDocument) => valueAtPath(value, ['kind']) === kind;
  return [documents.filter(isOfKind), documents.filter((document) => !isOfKind(document))];
}

/**
 * Sorts problems by position, and limits their number per file. Within the limit, problems from reading and parsing a
 * file have priority.
 */
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

/** Removes duplicates of problems that a Defaults document causes in many pairs. */
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
