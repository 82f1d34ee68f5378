import { quoteValue } from './code-frame.ts';
import { type ParsedDocument, positionOf, problemAtPath, rawTextAt } from './document.ts';
import { type Path, valueAtPath } from './path.ts';
import type { VariableDeclaration } from './schema.ts';
import { formatPosition } from './source-file.ts';
import type { Position, Problem, Variable, VariableValue } from './types.ts';
import { type CheckedVariables, isValidAt } from './validate.ts';
import {
  checkVariableValue,
  type InputValue,
  parseAssignments,
  parseVariableValue,
  VARIABLE_TYPE_LABELS,
  type VariableInput,
} from './variable-input.ts';

/** A variable that some document declares. */
export interface DeclaredVariable {
  position: Position;
  /** Absent where something is wrong with it, or with the value that was given; that was told. */
  settings?: VariableDeclaration;
  /** Absent where none was given. */
  resolution?: VariableResolution;
}

export type VariableResolution = Pick<Variable, 'value' | 'from'>;

/** Everything that is declared, with its value: from --var, else from the environment where the declaration names it, else the default. */
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

/** Every name with its first declaration, also in documents that are wrong otherwise, so that no use of it is called undeclared. */
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
          problemAtPath(parsed, path, message, 'a variable is declared once: remove one of the two', true),
        );
      } else names.set(name, { parsed, path });
    }
  }
  return { names, problems };
}

/** What in a declaration does not fit its type. */
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
      const hint = `write ${value}, or declare type: string and quote it`;
      return [problemAtPath(parsed, valuePath, `${rawText} would be written as ${value} in a text`, hint)];
    }
    if (typeof value === type) return [];
    const actual = typeof value === 'string' ? quoteValue(value) : `the ${typeof value} ${value}`;
    const hint = `the variable is declared with type: ${type}`;
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
  const hint = 'write a value as --var could give it';
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
    const hint = `set ${env} to something else, or take it out of the environment`;
    return {
      problems: [
        problemAtPath(parsed, [...path, 'env'], `${env} in the environment: ${parseResult.reason}`, hint),
      ],
    };
  }
  return {
    ...(defaultValue === undefined ? {} : { resolution: { value: defaultValue, from: 'default' } }),
    problems: [],
  };
}
