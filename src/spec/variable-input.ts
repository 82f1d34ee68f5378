import { quoteValue } from './code-frame.ts';
import { suggest } from './did-you-mean.ts';
import { hasReference } from './interpolate.ts';
import { MAX_VARIABLE_LENGTH } from './limits.ts';
import type { VariableDeclaration } from './schema.ts';
import { createSourceFile, type ProblemDetails, problemAtOffset } from './source-file.ts';
import type { Problem, VariableValue } from './types.ts';

/** What a run is given from outside. */
export interface VariableInput {
  /** `name=value`, as --var has it. */
  assignments: readonly string[];
  /** Of this, only what a declaration names is read. */
  environment: Readonly<Record<string, string | undefined>>;
}

export const NO_VARIABLE_INPUT: VariableInput = { assignments: [], environment: {} };

/** A value from the command line, and how to say what is wrong with it. */
export interface InputValue {
  text: string;
  toProblem: (details: ProblemDetails) => Problem;
}

/** What --var says, by name. Its place in a problem is `--var:2:7`: the second of them, at the seventh character. */
export function parseAssignments(
  assignments: readonly string[],
  declaredNames: readonly string[],
): { inputs: ReadonlyMap<string, InputValue>; problems: Problem[] } {
  const source = createSourceFile(
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

const MISSING_VALUE: ProblemDetails = { message: 'there is no value', hint: 'write --var name=value' };

function checkAssignedName(
  name: string,
  declaredNames: readonly string[],
  previous: ReadonlyMap<string, unknown>,
): ProblemDetails | undefined {
  if (previous.has(name)) return { message: `${name} is given twice`, hint: 'keep one of the two' };
  if (declaredNames.includes(name)) return undefined;
  const suggestion = suggest(name, declaredNames);
  const hint =
    suggestion === undefined
      ? declaredNames.length === 0
        ? 'no document of kind: Variables was read: name its file too'
        : `declared: ${declaredNames.slice(0, 20).join(', ')}`
      : `did you mean ${suggestion}?`;
  return { message: `no document declares a variable ${quoteValue(name)}`, hint };
}

/** The value that a text from outside stands for, or what is wrong with it. */
export function parseVariableValue(
  text: string,
  { type, enum: allowedValues }: VariableDeclaration,
): { value: VariableValue } | { reason: string } {
  const value = VALUE_PARSERS[type](text);
  if (value === undefined)
    return { reason: `expected ${VARIABLE_TYPE_LABELS[type]}, found ${quoteValue(text)}` };
  const reason = checkVariableValue(value, allowedValues);
  return reason === undefined ? { value } : { reason };
}

/** Why a value of the right type is not allowed. */
export function checkVariableValue(
  value: VariableValue,
  allowedValues: VariableDeclaration['enum'],
): string | undefined {
  if (String(value).length > MAX_VARIABLE_LENGTH)
    return `a variable has at most ${MAX_VARIABLE_LENGTH} characters`;
  if (typeof value === 'string' && hasReference(value)) return 'a variable is not made of others';
  if (allowedValues === undefined || allowedValues.some((allowed) => allowed === value)) return undefined;
  return `expected ${allowedValues.join(' or ')}, found ${typeof value === 'string' ? quoteValue(value) : value}`;
}

export const VARIABLE_TYPE_LABELS = {
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
} as const;

const VALUE_PARSERS: Record<VariableDeclaration['type'], (text: string) => VariableValue | undefined> = {
  string: (text) => text,
  // Only what is written back the same: an account id would lose its zeros in front.
  number: (text) =>
    Number.isFinite(Number(text)) && String(Number(text)) === text ? Number(text) : undefined,
  boolean: (text) => ({ true: true, false: false })[text],
};
