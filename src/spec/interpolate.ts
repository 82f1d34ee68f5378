import { suggest } from './did-you-mean.ts';
import { formatPath, type ParsedDocument, type Path, problemAtPath, type Span } from './document.ts';
import { quoteValue } from './format-problems.ts';
import { MAX_PROBLEMS_PER_FILE } from './limits.ts';
import { formatPosition, type ProblemDetails } from './source-file.ts';
import type { Problem, Variable, VariableValue } from './types.ts';
import { type DeclaredVariable, hasReference, VARIABLE_REFERENCE } from './variables.ts';

type VariablesByName = ReadonlyMap<string, DeclaredVariable>;

/** Substitutes the values of variables into documents. Each value keeps the position of its reference. */
export function interpolateVariables(
  documents: readonly ParsedDocument[],
  variables: VariablesByName,
): { documents: ParsedDocument[]; problems: Problem[]; usedVariables: Variable[] } {
  const usedVariables = new Map<string, Variable>();
  const results = documents.map((parsed) =>
    mayHaveReference(parsed)
      ? interpolateDocument(parsed, variables, usedVariables)
      : { document: parsed, problems: [] },
  );
  return {
    documents: results.map(({ document }) => document),
    problems: results.flatMap(({ problems }) => problems),
    usedVariables: [...usedVariables.keys()].sort().flatMap((name) => usedVariables.get(name) ?? []),
  };
}

/** Returns false when a file cannot contain a reference. A reference needs a `$`, which can be written as an escape. */
const mayHaveReference = ({ source }: ParsedDocument): boolean => /[$\\]/.test(source.text);

function interpolateDocument(
  parsed: ParsedDocument,
  variables: VariablesByName,
  usedVariables: Map<string, Variable>,
): { document: ParsedDocument; problems: Problem[] } {
  const changedSpans = new Map<string, Span>();
  const invalidPaths: Path[] = [];
  const problems: Problem[] = [];

  const addProblem = (path: Path, toDetails: () => ProblemDetails, atKey = false): void => {
    if (problems.length === MAX_PROBLEMS_PER_FILE) return;
    const { message, hint } = toDetails();
    problems.push(problemAtPath(parsed, path, message, hint, atKey));
  };

  function interpolateValue(value: unknown, path: Path): unknown {
    if (typeof value === 'string') return interpolateText(value, path);
    if (Array.isArray(value)) return value.map((item, index) => interpolateValue(item, [...path, index]));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, interpolateField(key, item, path)]),
    );
  }

  function interpolateField(key: string, value: unknown, path: Path): unknown {
    // `apiVersion` and `kind` must be literal, because they are read before substitution.
    if (path.length === 0 && key !== 'metadata' && key !== 'spec') return value;
    const fieldPath = [...path, key];
    if (hasReference(key)) {
      invalidPaths.push(fieldPath);
      addProblem(fieldPath, () => REFERENCE_IN_KEY, true);
    }
    return interpolateValue(value, fieldPath);
  }

  function interpolateText(text: string, path: Path): VariableValue {
    let wholeVariable: DeclaredVariable | undefined;
    const reportedMatches = new Set<string>();
    const result = text.replace(VARIABLE_REFERENCE, (match: string, name: string | undefined) => {
      if (match.startsWith('$$')) return match.slice(1);
      const variable = match === `\${var.${name}}` ? variables.get(name ?? '') : undefined;
      if (variable?.resolution) {
        usedVariables.set(name ?? '', { name: name ?? '', ...variable.resolution });
        if (match === text) wholeVariable = variable;
        return String(variable.resolution.value);
      }
      if (reportedMatches.size === 0) invalidPaths.push(path);
      // An invalid declaration or value is already reported at the declaration.
      const isReported = variable !== undefined && variable.settings === undefined;
      if (!isReported && !reportedMatches.has(match))
        addProblem(path, () => explainReference(match, name, variable, variables));
      reportedMatches.add(match);
      return match;
    });
    if (wholeVariable?.resolution)
      changedSpans.set(formatPath(path), spanOfVariable(text, path, wholeVariable));
    return wholeVariable?.resolution?.value ?? result;
  }

  function spanOfVariable(text: string, path: Path, { resolution, position }: DeclaredVariable): Span {
    const { rawText: _, ...span } = parsed.spans.get(formatPath(path)) ?? { valueOffset: 0, isBlock: false };
    return {
      ...span,
      variableHint: `${text} is ${resolution?.value}, declared at ${formatPosition(position)}`,
    };
  }

  const value = interpolateValue(parsed.value, []);
  const spans = changedSpans.size === 0 ? parsed.spans : new Map([...parsed.spans, ...changedSpans]);
  return { document: { ...parsed, value, spans, invalidPaths }, problems };
}

const REFERENCE_IN_KEY: ProblemDetails = {
  message: 'variables are allowed in values, not in keys',
  hint: 'write the key out',
};

function explainReference(
  match: string,
  name: string | undefined,
  variable: DeclaredVariable | undefined,
  variables: VariablesByName,
): ProblemDetails {
  if (name === undefined || match !== `\${var.${name}}`) {
    return {
      message: `invalid variable reference ${quoteValue(match)}`,
      hint: `write \${var.name} without spaces, or $\${var. for the literal text`,
    };
  }
  if (variable) {
    const { enum: [example] = [], type, env } = variable.settings ?? {};
    const option = `--var ${name}=${example ?? EXAMPLE_VALUES[type ?? 'string']}`;
    const environment = env ?? `REPLIKEY_${name.toUpperCase().replaceAll('-', '_')}`;
    return {
      message: `${match} has no value: its declaration at ${formatPosition(variable.position)} has no default`,
      hint:
        env === undefined
          ? `set it with ${option}, or add env: ${environment} to its declaration and set that environment variable`
          : `set it with ${option}, or with the environment variable ${environment}`,
    };
  }
  const suggestion = suggest(name, [...variables.keys()]);
  return {
    message: `no document declares a variable ${quoteValue(name)}`,
    hint:
      suggestion === undefined
        ? `declare it in a document of kind: Variables, and include its file in the paths; write $${match} for the literal text`
        : `did you mean \${var.${suggestion}}?`,
  };
}

const EXAMPLE_VALUES = { string: '…', number: '1', boolean: 'true' } as const;
