import { createPause } from '../util/clock.ts';
import { applyDefaults } from './apply-defaults.ts';
import { checkSpecs } from './checks/index.ts';
import { type ParsedDocument, valueAtPath } from './document.ts';
import { type ReadOptions, readSpecFiles, type SpecFile } from './files.ts';
import { compareProblems } from './format-problems.ts';
import { interpolateVariables } from './interpolate.ts';
import { MAX_PROBLEMS_PER_FILE, MAX_TOTAL_TOKENS } from './limits.ts';
import { type ParsedFile, parseDocuments } from './parse.ts';
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

export interface LoadOptions {
  variableInput?: VariableInput;
  /** The time, in milliseconds since 1970; absent: an instant in the future is no problem. */
  nowMs?: number;
  /** Stops the load. The thrown error is the reason of the signal. */
  signal?: AbortSignal | undefined;
}

/**
 * Loads, validates and resolves all specs under the paths. It returns the problems of all files together, and throws
 * only the reason of the signal.
 */
export async function loadSpecs(
  paths: readonly string[],
  stdin: () => Promise<string | Uint8Array> = async () => '',
  options: LoadOptions & Pick<ReadOptions, 'requireComplete'> = {},
): Promise<LoadResult> {
  const { requireComplete = false, signal } = options;
  const { files, problems } = await readSpecFiles(paths, { stdin, requireComplete, signal });
  return loadSpecFiles(files, { ...options, problems, root: paths[0] ?? '.' });
}

/**
 * Validates and resolves files that are already read. It yields to the event loop, so that a signal can stop it and a
 * server responds meanwhile.
 */
export async function loadSpecFiles(
  files: readonly SpecFile[],
  options: LoadOptions & {
    /** Problems already found in paths or files. */
    problems?: readonly Problem[];
    root?: string;
    /** Accepts input without a BucketReplication. */
    allowEmpty?: boolean;
  } = {},
): Promise<LoadResult> {
  const { variableInput = NO_VARIABLE_INPUT, signal, root = '.', nowMs } = options;
  const pause = createPause(signal);
  const parsed = await parseFiles(files, pause);
  const { documents, checkedDocuments, usedVariables, problems } = await assembleDocuments(
    parsed.documents,
    variableInput,
    pause,
  );
  const readProblems = [...(options.problems ?? []), ...parsed.problems];
  const laterProblems = [...problems, ...checkSpecs(checkedDocuments, documents, nowMs)];
  const counts = { files: files.length, documents: parsed.documents.length };
  if (readProblems.length + laterProblems.length > 0)
    return { problems: limitProblems(readProblems, laterProblems), ...counts };
  if (!options.allowEmpty && !checkedDocuments.some(({ kind }) => kind === 'BucketReplication')) {
    const message = 'no BucketReplication found';
    const hint = 'check the paths; replikey treats a run without specs as a mistake';
    return { problems: [fileProblem(root, { message, hint })], ...counts };
  }
  return { specs: { ...resolveSpecs(checkedDocuments), variables: usedVariables }, problems: [], ...counts };
}

/** Parses files up to a total number of YAML tokens. */
async function parseFiles(
  files: readonly SpecFile[],
  pause: () => Promise<void>,
): Promise<{ documents: ParsedDocument[]; problems: Problem[] }> {
  const documents: ParsedDocument[] = [];
  const problems: Problem[] = [];
  let tokens = 0;
  for (const specFile of files) {
    await pause();
    const parsed = parseFile(specFile);
    tokens += parsed.tokens;
    if (tokens > MAX_TOTAL_TOKENS) {
      const message = `the spec files up to this one have more than ${MAX_TOTAL_TOKENS} YAML tokens`;
      const hint = 'check for generated files, or use several runs; a spec has about 200 tokens';
      return { documents: [], problems: [...problems, fileProblem(specFile.file, { message, hint })] };
    }
    for (const document of parsed.documents) documents.push(document);
    for (const problem of parsed.problems) problems.push(problem);
  }
  return { documents, problems };
}

function parseFile({ file, bytes }: SpecFile): ParsedFile {
  const decoded = decodeFile(file, bytes);
  return 'problem' in decoded
    ? { documents: [], problems: [decoded.problem], tokens: 0 }
    : parseDocuments(decoded.source);
}

/** Returns the number of documents and rules of a file, as far as it is valid YAML. */
export function countRules(specFile: SpecFile): number {
  return parseFile(specFile).documents.reduce((count, { value }) => {
    const rules = valueAtPath(value, ['spec', 'rules']);
    return count + 1 + (Array.isArray(rules) ? rules.length : 0);
  }, 0);
}

/** Assembles the final documents: first it substitutes variables, then it merges Defaults into pairs. */
async function assembleDocuments(
  writtenDocuments: readonly ParsedDocument[],
  variableInput: VariableInput,
  pause: () => Promise<void>,
) {
  const problems: Problem[] = [];
  const validateAll = async (documents: readonly ParsedDocument[]): Promise<CheckedDocument[]> => {
    const checkedDocuments: CheckedDocument[] = [];
    for (const parsed of documents) {
      await pause();
      const result = validateDocument(parsed);
      problems.push(...result.problems);
      if (result.checked) checkedDocuments.push(result.checked);
    }
    return checkedDocuments;
  };

  const [variablesDocuments, otherDocuments] = splitByKind(writtenDocuments, 'Variables');
  const checkedVariables = await validateAll(variablesDocuments);
  const variablesResult = resolveVariables(
    variablesDocuments,
    checkedVariables.filter((document) => document.kind === 'Variables'),
    variableInput,
  );
  const interpolationResult = interpolateVariables(otherDocuments, variablesResult.variables);
  const [defaultsDocuments, remainingDocuments] = splitByKind(interpolationResult.documents, 'Defaults');
  const checkedDefaults = await validateAll(defaultsDocuments);
  const defaultsResult = applyDefaults(remainingDocuments, defaultsDocuments, checkedDefaults);
  problems.push(...variablesResult.problems, ...interpolationResult.problems, ...defaultsResult.problems);
  return {
    documents: [...variablesDocuments, ...defaultsDocuments, ...defaultsResult.documents],
    checkedDocuments: [
      ...checkedVariables,
      ...checkedDefaults,
      ...(await validateAll(defaultsResult.documents)),
    ],
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
