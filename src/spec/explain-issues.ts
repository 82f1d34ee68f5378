import type * as z from 'zod';
import { suggest } from './did-you-mean.ts';
import {
  formatPath,
  type ParsedDocument,
  type Path,
  problemAtPath,
  rawTextAt,
  textAtPath,
  valueAtPath,
  variableHintAt,
} from './document.ts';
import { hintForField, normalizeFieldName } from './field-hints.ts';
import { quoteValue } from './format-problems.ts';
import { exampleAt, keysAt, parentsOfKey } from './schema-keys.ts';
import type { Problem } from './types.ts';

type Issue = z.core.$ZodIssue;

/** Translates schema issues into problems: the expected value, the actual value and the fix. */
export function explainIssues(
  issues: readonly Issue[],
  parsed: ParsedDocument,
  schema: z.ZodType,
): Problem[] {
  const suggestedFields = new Set(issues.flatMap((issue) => suggestedPaths(issue, schema).map(formatPath)));
  return issues
    .filter(
      ({ path }) => valueAtPath(parsed.value, path) !== undefined || !suggestedFields.has(formatPath(path)),
    )
    .flatMap((issue) => explainIssue(issue, { path: issue.path, parsed, schema }));
}

/** Returns the fields that misspelt keys most likely mean. These fields are not also reported as missing. */
export function suggestedPaths(issue: Issue, schema: z.ZodType): Path[] {
  if (issue.code !== 'unrecognized_keys') return [];
  const knownKeys = keysAt(schema, issue.path);
  return issue.keys.flatMap((key) => {
    const suggestion = suggest(key, knownKeys);
    return suggestion === undefined ? [] : [[...issue.path, suggestion]];
  });
}

/** The subject of a problem. */
interface IssueContext {
  path: Path;
  parsed: ParsedDocument;
  schema: z.ZodType;
}

function explainIssue(issue: Issue, context: IssueContext): Problem[] {
  const { parsed, path } = context;
  const isMissing = valueAtPath(parsed.value, path) === undefined;
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKeyProblem(key, context));
    case 'invalid_union':
      return isMissing ? [missingFieldProblem(context)] : unionProblems(issue, context);
    case 'invalid_type':
      return [isMissing ? missingFieldProblem(context) : wrongTypeProblem(issue.expected, context)];
    case 'invalid_value':
      return [
        isMissing
          ? missingFieldProblem(context, joinWithOr(issue.values))
          : wrongValueProblem(issue.values, context),
      ];
    case 'invalid_key':
      return [problemAtPath(parsed, path, invalidKeyMessage(issue, String(path.at(-1))), undefined, true)];
    case 'too_small':
      return [
        problemAtPath(
          parsed,
          path,
          'the list is empty',
          path.at(-1) === 'rules'
            ? 'declare at least one rule, or remove the spec'
            : 'add an item, or remove the field',
        ),
      ];
    case 'too_big':
      return [
        path.at(-1) === 'rules'
          ? problemAtPath(
              parsed,
              path,
              'the list has more than 1,000 rules',
              'S3 allows 1,000 rules per bucket',
            )
          : problemAtPath(parsed, path, `the list has more than ${issue.maximum} items`, 'remove some items'),
      ];
    default:
      // The check of a single value provides the subject and the violated rule.
      return [
        problemAtPath(parsed, path, `invalid ${subjectOf(issue)} ${formatValue(context)}: ${issue.message}`),
      ];
  }
}

/** Returns the meaning of an invalid value, as the check of the value gives it. */
const subjectOf = (issue: Issue): string =>
  issue.code === 'custom' ? String(issue.params?.subject ?? 'value') : 'value';

function invalidKeyMessage({ issues }: z.core.$ZodIssueInvalidKey, key: string): string {
  const rules = issues.map(({ message }) => message).join('; ');
  return `invalid ${issues[0] ? subjectOf(issues[0]) : 'key'} ${quoteValue(key)}: ${rules}`;
}

/** Formats a value for a message: a string in quotes, and any other value as written. */
function formatValue({ parsed, path }: IssueContext): string {
  const value = valueAtPath(parsed.value, path);
  return typeof value === 'string' ? quoteValue(value) : (rawTextAt(parsed, path) ?? String(value));
}

function unknownKeyProblem(key: string, { parsed, path, schema }: IssueContext): Problem {
  const knownKeys = keysAt(schema, path);
  // `storage_class` is the same name as storageClass.
  const sameName = (candidate: string) => normalizeFieldName(candidate) === normalizeFieldName(key);
  const spelling = knownKeys.find(sameName);
  const suggestion = spelling ?? suggest(key, knownKeys);
  const otherParents = parentsOfKey(schema, key).map((parent) =>
    parent === '' ? 'at the top level' : `in ${parent}`,
  );
  const hint =
    (spelling === undefined && otherParents.length === 0 ? hintForField(key, path) : undefined) ??
    (suggestion !== undefined
      ? `did you mean ${suggestion}?`
      : otherParents.length > 0
        ? `${key} belongs ${otherParents.join(' or ')}: check the indentation`
        : key === 'defaults'
          ? 'Defaults cannot use other Defaults; write the fields out'
          : `valid fields: ${knownKeys.join(', ')}`);
  return problemAtPath(parsed, [...path, key], 'unknown field', hint, true);
}

/**
 * Explains a union from the branch of the value's own type. Examples are `key:`, a string or a mapping, and the default
 * of a variable.
 */
function unionProblems(issue: z.core.$ZodIssueInvalidUnion, context: IssueContext): Problem[] {
  const isOfOtherType = ({ code, path }: Issue) => code === 'invalid_type' && path.length === 0;
  const branchIssues = issue.errors.find((errors) => !errors.some(isOfOtherType));
  if (!branchIssues) {
    const typeIssues = issue.errors.flatMap((errors) => errors.find(isOfOtherType) ?? []);
    const message = `expected ${joinWithOr(typeIssues.map((typeIssue) => expectedTypeOf(typeIssue)))}, found ${describeValue(context)}`;
    return [problemAtPath(context.parsed, context.path, message, `write ${exampleLine(context)}`)];
  }
  return branchIssues.flatMap((branchIssue) =>
    explainIssue(branchIssue, { ...context, path: [...context.path, ...branchIssue.path] }),
  );
}

function wrongTypeProblem(expected: string, context: IssueContext): Problem {
  const isNumber = typeof valueAtPath(context.parsed.value, context.path) === 'number';
  const message =
    expected === 'number' && isNumber
      ? `${describeValue(context)} is out of range`
      : `expected ${TYPE_LABELS.get(expected) ?? expected}, found ${describeValue(context)}`;
  return problemAtPath(context.parsed, context.path, message, typeHint(expected, context));
}

const expectedTypeOf = (issue: Issue): string =>
  'expected' in issue ? (TYPE_LABELS.get(issue.expected) ?? issue.expected) : '';

const TYPE_LABELS: ReadonlyMap<string, string> = new Map([
  ['string', 'a string'],
  ['boolean', 'true or false'],
  ['number', 'a number'],
  ['array', 'a list'],
  ['object', 'a mapping'],
  ['record', 'a mapping'],
]);

function typeHint(expected: string, context: IssueContext): string | undefined {
  const { parsed, path, schema } = context;
  const value = valueAtPath(parsed.value, path);
  const knownKeys = keysAt(schema, path);
  if (knownKeys.length > 0) return `write a mapping with ${knownKeys.join(', ')}`;
  const variableHint = variableHintAt(parsed, path);
  if (variableHint !== undefined) return variableHint;
  if (value === null) {
    return `write ${exampleAt(schema, path) === undefined ? 'a value' : exampleLine(context)}, or remove the field`;
  }
  const rawText = rawTextAt(parsed, path);
  if (expected === 'string') return rawText === undefined ? undefined : `quote it: "${rawText}"`;
  if (expected === 'boolean')
    return `write ${BOOLEAN_WORDS.get(textAtPath(parsed.value, path).toLowerCase()) ?? 'true or false'}`;
  if (expected === 'number')
    return typeof value === 'number' ? 'write a whole number' : 'write a whole number, without quotes';
  return expected === 'array' ? 'begin each item with a dash: - prefix: Tax/' : undefined;
}

/** Words that users write for true and false. YAML 1.1 parses some of them as booleans, and YAML 1.2 does not. */
const BOOLEAN_WORDS: ReadonlyMap<string, string> = new Map([
  ...['yes', 'on', 'y', '1', 'true', 'enabled'].map((word) => [word, 'true'] as const),
  ...['no', 'off', 'n', '0', 'false', 'disabled'].map((word) => [word, 'false'] as const),
]);

function wrongValueProblem(values: readonly unknown[], context: IssueContext): Problem {
  const allowedValues = values.map(String);
  const suggestion = suggest(textAtPath(context.parsed.value, context.path), allowedValues);
  const message = `expected ${joinWithOr(values)}, found ${describeValue(context)}`;
  return problemAtPath(
    context.parsed,
    context.path,
    message,
    suggestion && allowedValues.length > 1 ? `did you mean ${suggestion}?` : undefined,
  );
}

function missingFieldProblem(context: IssueContext, allowedValues?: string): Problem {
  const { parsed, path, schema } = context;
  const knownKeys = keysAt(schema, path);
  const hint =
    allowedValues !== undefined
      ? `add ${String(path.at(-1))}: ${allowedValues}`
      : exampleAt(schema, path) === undefined && knownKeys.length > 0
        ? `add ${String(path.at(-1))}: with ${knownKeys.join(', ')}`
        : `add ${exampleLine(context)}`.replace(/: $/, '');
  return problemAtPath(parsed, path, 'this field is missing', hint);
}

function exampleLine({ path, schema }: IssueContext): string {
  const value = exampleAt(schema, path) ?? '';
  return `${String(path.at(-1))}: ${/^\d+$/.test(value) ? `"${value}"` : value}`;
}

/** Describes the actual value as written. */
function describeValue({ parsed, path }: IssueContext): string {
  const value = valueAtPath(parsed.value, path);
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return quoteValue(value);
  return `the ${typeof value} ${rawTextAt(parsed, path) ?? String(value)}`;
}

const joinWithOr = (values: readonly unknown[]): string =>
  values.length === 1 ? String(values[0]) : `${values.slice(0, -1).join(', ')} or ${String(values.at(-1))}`;
