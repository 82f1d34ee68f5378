import { suggestionHint } from './did-you-mean.ts';
import {
  type ParsedDocument,
  type Path,
  positionOf,
  problemAtPath,
  rawTextAt,
  valueAtPath,
} from './document.ts';
import { quoteValue } from './format-problems.ts';
import { MAX_VARIABLE_LENGTH } from './limits.ts';
import type { VariableDeclaration } from './schema.ts';
import { createInputSource, formatPosition, type ProblemDetails, problemAtOffset } from './source-file.ts';
import type { Position, Problem, Variable, VariableValue } from './types.ts';
import { type CheckedVariables, isValidAt } from './validate.ts';

/** Matches `${var.name}`, an incomplete reference, and either of them after a `$`, which makes it literal. */
export const VARIABLE_REFERENCE = /\$?\$\{\s*var\s*\.(?:([A-Za-z][\w-]*)\})?/g;

/** Returns whether a text contains a reference, or an incomplete reference. */
export const hasReference = (text: string): boolean => text.search(VARIABLE_REFERENCE) !== -1;

/** Escapes references in a text, so that a spec contains the text literally. */
export const escapeReferences = (text: string): string => text.replace(VARIABLE_REFERENCE, '$$$&');

/** A variable that a document declares. */
export interface DeclaredVariable {
  position: Position;
  /** Absent when the declaration or the given value is invalid. That problem is already reported. */
  settings?: VariableDeclaration;
  /** Absent when the variable has no value. */
  resolution?: VariableResolution;
}

type VariableResolution = Pick<Variable, 'value' | 'from'>;

/**
 * Resolves all declared variables. The value comes from --var, else from the environment variable that the declaration
 * names, else from the default.
 */
export function resolveVariables(
  documents: readonly ParsedDocument[],
  checkedDocuments: readonly CheckedVariables[],
  input: VariableInput,
): { variables: ReadonlyMap<string, DeclaredVariable>; problems: Problem[] } {
  const { names, problems } = firstDeclarations(documents);
  const { inputs, problems: inputProblems } = parseAssignments(input.assignments, [...names.keys()]);
  problems.push(...inputProblems);
  const byDocument = new Map(checkedDocuments.map((document) => [document.parsed, document]));
  const variables = new Map<string, DeclaredVariable>();
  for (const [name, { parsed, path }] of names) {
    const variable: DeclaredVariable = { position: positionOf(parsed, path, true) };
    variables.set(name, variable);
    const document = byDocument.get(parsed);
    const settings = document && isValidAt(document, path) && document.content.spec.variables[name];
    if (!settings) continue;
    const declaration = { name, settings, parsed, path };
    const declarationProblems = checkDeclaration(declaration);
    const choice =
      declarationProblems.length > 0
        ? { problems: declarationProblems }
        : chooseValue(declaration, inputs.get(name), input);
    problems.push(...choice.problems);
    if (choice.problems.length > 0) continue;
    variable.settings = settings;
    if ('resolution' in choice && choice.resolution) variable.resolution = choice.resolution;
  }
  return { variables, problems };
}

interface LocatedDeclaration {
  name: string;
  settings: VariableDeclaration;
  parsed: ParsedDocument;
  path: Path;
}

/**
 * Returns every name with its first declaration. It includes documents with other problems, so that a reference to
 * their variables is not reported as undeclared.
 */
function firstDeclarations(documents: readonly ParsedDocument[]) {
  const names = new Map<string, { parsed: ParsedDocument; path: Path }>();
  const problems: Problem[] = [];
  for (const parsed of documents) {
    const declarations = valueAtPath(parsed.value, ['spec', 'variables']);
    if (typeof declarations !== 'object' || declarations === null || Array.isArray(declarations)) continue;
    for (const name of Object.keys(declarations)) {
      const path = ['spec', 'variables', name];
      const previous = names.get(name);
      if (previous) {
        const message = `the variable ${name} is already declared at ${formatPosition(positionOf(previous.parsed, previous.path, true))}`;
        problems.push(
          problemAtPath(parsed, path, message, 'declare each variable once; remove one of the two', true),
        );
      } else names.set(name, { parsed, path });
    }
  }
  return { names, problems };
}

/** Reports values of a declaration that do not match its type. */
function checkDeclaration({
  settings: { type, enum: allowedValues, default: defaultValue },
  parsed,
  path,
}: LocatedDeclaration): Problem[] {
  const checkType = (value: VariableValue, valuePath: Path): Problem[] => {
    const rawText = rawTextAt(parsed, valuePath);
    if (
      typeof value === 'number' &&
      type === 'number' &&
      rawText !== undefined &&
      rawText !== String(value)
    ) {
      const hint = `write ${value}, or declare type: string and quote the value`;
      return [problemAtPath(parsed, valuePath, `${rawText} becomes ${value} in a string`, hint)];
    }
    if (typeof value === type) return [];
    const actual = typeof value === 'string' ? quoteValue(value) : `the ${typeof value} ${value}`;
    const hint = `the declaration has type: ${type}`;
    return [
      problemAtPath(parsed, valuePath, `expected ${VARIABLE_TYPE_LABELS[type]}, found ${actual}`, hint),
    ];
  };
  const enumProblems = (allowedValues ?? []).flatMap((value, index) =>
    checkType(value, [...path, 'enum', index]),
  );
  if (defaultValue === undefined || enumProblems.length > 0) return enumProblems;
  const defaultPath = [...path, 'default'];
  const typeProblems = checkType(defaultValue, defaultPath);
  const reason = checkVariableValue(defaultValue, allowedValues);
  if (typeProblems.length > 0 || reason === undefined) return typeProblems;
  const hint = 'use a value that --var would accept';
  return [problemAtPath(parsed, defaultPath, reason, hint)];
}

function chooseValue(
  { name, settings, parsed, path }: LocatedDeclaration,
  input: InputValue | undefined,
  { environment }: VariableInput,
): { resolution?: VariableResolution; problems: Problem[] } {
  const { env, default: defaultValue } = settings;
  const declaredAt = formatPosition(positionOf(parsed, path, true));
  if (input) {
    const parseResult = parseVariableValue(input.text, settings);
    if ('value' in parseResult)
      return { resolution: { value: parseResult.value, from: '--var' }, problems: [] };
    const hint = `${name} is declared at ${declaredAt}`;
    return { problems: [input.toProblem({ path: name, message: parseResult.reason, hint })] };
  }
  const text = env === undefined ? undefined : environment[env];
  if (text !== undefined) {
    const parseResult = parseVariableValue(text, settings);
    if ('value' in parseResult)
      return { resolution: { value: parseResult.value, from: `environment ${env}` }, problems: [] };
    const hint = `change or unset ${env}`;
    return {
      problems: [
        problemAtPath(
          parsed,
          [...path, 'env'],
          `invalid environment variable ${env}: ${parseResult.reason}`,
          hint,
        ),
      ],
    };
  }
  return {
    ...(defaultValue === undefined ? {} : { resolution: { value: defaultValue, from: 'default' } }),
    problems: [],
  };
}

/** External input of a run. */
export interface VariableInput {
  /** `name=value`, as passed to --var. */
  assignments: readonly string[];
  /** Environment variables. replikey reads only those that a declaration names. */
  environment: Readonly<Record<string, string | undefined>>;
}

export const NO_VARIABLE_INPUT: VariableInput = { assignments: [], environment: {} };

/** A value from the command line, with a function that locates its problems. */
interface InputValue {
  text: string;
  toProblem: (details: ProblemDetails) => Problem;
}

/**
 * Parses the values of --var, by name. A problem has the position `--var:2:7` for the second --var, at its seventh
 * character.
 */
function parseAssignments(
  assignments: readonly string[],
  declaredNames: readonly string[],
): { inputs: ReadonlyMap<string, InputValue>; problems: Problem[] } {
  const source = createInputSource(
    '--var',
    assignments.map((assignment) => assignment.replaceAll('\n', ' ')).join('\n'),
  );
  const inputs = new Map<string, InputValue>();
  const problems: Problem[] = [];
  for (const [index, assignment] of assignments.entries()) {
    const start = source.lineStarts[index] ?? 0;
    const equals = assignment.indexOf('=');
    const name = equals === -1 ? assignment : assignment.slice(0, equals);
    const details = equals === -1 ? MISSING_VALUE : checkAssignedName(name, declaredNames, inputs);
    if (details) problems.push(problemAtOffset(source, start, details));
    else {
      const toProblem = (valueDetails: ProblemDetails) =>
        problemAtOffset(source, start + equals + 1, valueDetails);
      inputs.set(name, { text: assignment.slice(equals + 1), toProblem });
    }
  }
  return { inputs, problems };
}

const MISSING_VALUE: ProblemDetails = { message: 'the value is missing', hint: 'write --var name=value' };

function checkAssignedName(
  name: string,
  declaredNames: readonly string[],
  previous: ReadonlyMap<string, unknown>,
): ProblemDetails | undefined {
  if (previous.has(name)) return { message: `${name} is set twice`, hint: 'keep one of the two' };
  if (declaredNames.includes(name)) return undefined;
  const hint = suggestionHint(
    name,
    declaredNames,
    declaredNames.length === 0
      ? 'the paths contain no document of kind: Variables; include its file'
      : `declared variables: ${declaredNames.slice(0, 20).join(', ')}`,
  );
  return { message: `no document declares a variable ${quoteValue(name)}`, hint };
}

/** Parses an external text into a value, or returns the reason why it is invalid. */
function parseVariableValue(
  text: string,
  { type, enum: allowedValues }: VariableDeclaration,
): { value: VariableValue } | { reason: string } {
  const value = VALUE_PARSERS[type](text);
  if (value === undefined)
    return { reason: `expected ${VARIABLE_TYPE_LABELS[type]}, found ${quoteValue(text)}` };
  const reason = checkVariableValue(value, allowedValues);
  return reason === undefined ? { value } : { reason };
}

/** Returns the reason why a value of the right type is not allowed. */
function checkVariableValue(
  value: VariableValue,
  allowedValues: VariableDeclaration['enum'],
): string | undefined {
  if (String(value).length > MAX_VARIABLE_LENGTH) return `use at most ${MAX_VARIABLE_LENGTH} characters`;
  if (typeof value === 'string' && hasReference(value)) return 'a variable cannot reference another variable';
  if (allowedValues === undefined || allowedValues.some((allowed) => allowed === value)) return undefined;
  return `expected ${allowedValues.join(' or ')}, found ${typeof value === 'string' ? quoteValue(value) : value}`;
}

const VARIABLE_TYPE_LABELS = {
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
} as const;

const VALUE_PARSERS: Record<VariableDeclaration['type'], (text: string) => VariableValue | undefined> = {
  string: (text) => text,
  // Accepts only numbers that format back to the same text: an account id would lose its leading zeros.
  number: (text) =>
    Number.isFinite(Number(text)) && String(Number(text)) === text ? Number(text) : undefined,
  boolean: (text) => ({ true: true, false: false })[text],
};
