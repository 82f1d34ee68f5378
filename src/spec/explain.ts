import type * as z from 'zod';
import { type Parsed, problem, variableAt, writtenAt } from './document.ts';
import { quoted } from './excerpt.ts';
import { exampleAt, keysAt, placesOf } from './known-keys.ts';
import { formatPath, type Path, textAt, valueAt } from './path.ts';
import { suggest } from './suggest.ts';
import type { Problem } from './types.ts';

type Issue = z.core.$ZodIssue;

/** What the schema found wrong, in our words: what was expected, what stands there, and what to write instead. */
export function explain(issues: readonly Issue[], parsed: Parsed, schema: z.ZodType): Problem[] {
  const misspelt = new Set(issues.flatMap((issue) => meantBy(issue, schema).map(formatPath)));
  return issues
    .filter(({ path }) => valueAt(parsed.value, path) !== undefined || !misspelt.has(formatPath(path)))
    .flatMap((issue) => explainOne(issue, { path: issue.path, parsed, schema }));
}

/** The fields that misspelt keys stand for: what is there under another name is not missing too. */
export function meantBy(issue: Issue, schema: z.ZodType): Path[] {
  if (issue.code !== 'unrecognized_keys') return [];
  const known = keysAt(schema, issue.path);
  return issue.keys.flatMap((key) => {
    const meant = suggest(key, known);
    return meant === undefined ? [] : [[...issue.path, meant]];
  });
}

/** What a problem is about. */
interface Field {
  path: Path;
  parsed: Parsed;
  schema: z.ZodType;
}

function explainOne(issue: Issue, field: Field): Problem[] {
  const { parsed, path } = field;
  const isMissing = valueAt(parsed.value, path) === undefined;
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(key, field));
    case 'invalid_union':
      return isMissing ? [missing(field)] : branch(issue, field);
    case 'invalid_type':
      return [isMissing ? missing(field) : wrongType(issue.expected, field)];
    case 'invalid_value':
      return [isMissing ? missing(field, words(issue.values)) : wrongValue(issue.values, field)];
    case 'invalid_key':
      return [
        problem(
          parsed,
          path,
          `the key will not do: ${issue.issues.map(({ message }) => message).join('; ')}`,
          undefined,
          true,
        ),
      ];
    case 'too_small':
      return [
        problem(
          parsed,
          path,
          'the list is empty',
          path.at(-1) === 'rules'
            ? 'declare at least one rule, or remove the spec'
            : 'remove it, or say something in it',
        ),
      ];
    case 'too_big':
      return [
        path.at(-1) === 'rules'
          ? problem(parsed, path, 'there are more than 1,000 rules', 'S3 allows 1,000 rules a bucket')
          : problem(parsed, path, `there are more than ${issue.maximum} of these`, 'declare fewer'),
      ];
    default:
      // A check of a single value gives the reason itself.
      return [problem(parsed, path, `${describe(field)} will not do: ${issue.message}`)];
  }
}

function unknownKey(key: string, { parsed, path, schema }: Field): Problem {
  const known = keysAt(schema, path);
  const meant = suggest(key, known);
  const elsewhere = placesOf(schema, key).map((place) => (place === '' ? 'at the top' : `in ${place}`));
  const hint =
    SPECIAL.get(key) ??
    (meant !== undefined
      ? `did you mean ${meant}?`
      : elsewhere.length > 0
        ? `${key} belongs ${elsewhere.join(' or ')}: check the indentation`
        : key === 'defaults'
          ? 'Defaults take none of others: write out here what those say'
          : `known here: ${known.join(', ')}`);
  return problem(parsed, [...path, key], 'unknown field', hint, true);
}

/** Words that people bring along from elsewhere. */
const SPECIAL: ReadonlyMap<string, string> = new Map([
  [
    'existingObjectReplication',
    'S3 refuses this element (MalformedXML): live replication covers new objects only, and existing ones need an S3 Batch Replication job',
  ],
  ['namespace', 'specs have no namespace'],
  [
    'status',
    'status is what the tool reports, not what a spec declares; to pause a rule write enabled: false',
  ],
]);

/** `key:` is a text or a mapping, and is judged as what it is; the default of a variable, as what it may be. */
function branch(issue: z.core.$ZodIssueInvalidUnion, field: Field): Problem[] {
  const isOfOtherType = ({ code, path }: Issue) => code === 'invalid_type' && path.length === 0;
  const meant = issue.errors.find((errors) => !errors.some(isOfOtherType));
  if (!meant) {
    const forms = issue.errors.flatMap((errors) => errors.find(isOfOtherType) ?? []);
    const message = `expected ${words(forms.map((form) => expectedBy(form)))}, found ${describe(field)}`;
    return [problem(field.parsed, field.path, message, `write ${example(field)}`)];
  }
  return meant.flatMap((inner) => explainOne(inner, { ...field, path: [...field.path, ...inner.path] }));
}

function wrongType(expected: string, field: Field): Problem {
  const isNumber = typeof valueAt(field.parsed.value, field.path) === 'number';
  const message =
    expected === 'number' && isNumber
      ? `${describe(field)} is beyond all numbers`
      : `expected ${EXPECTED.get(expected) ?? expected}, found ${describe(field)}`;
  return problem(field.parsed, field.path, message, hintFor(expected, field));
}

const expectedBy = (issue: Issue): string =>
  'expected' in issue ? (EXPECTED.get(issue.expected) ?? issue.expected) : '';

const EXPECTED: ReadonlyMap<string, string> = new Map([
  ['string', 'a text'],
  ['boolean', 'true or false'],
  ['number', 'a number'],
  ['array', 'a list'],
  ['object', 'a mapping'],
  ['record', 'a mapping'],
]);

function hintFor(expected: string, field: Field): string | undefined {
  const { parsed, path, schema } = field;
  const value = valueAt(parsed.value, path);
  const known = keysAt(schema, path);
  if (known.length > 0) return `write a mapping with ${known.join(', ')}`;
  const variable = variableAt(parsed, path);
  if (variable !== undefined) return variable;
  if (value === null) {
    return `write ${exampleAt(schema, path) === undefined ? 'a value' : example(field)}, or remove the field`;
  }
  const written = writtenAt(parsed, path);
  if (expected === 'string') return written === undefined ? undefined : `quote it: "${written}"`;
  if (expected === 'boolean')
    return `write ${MEANT.get(textAt(parsed.value, path).toLowerCase()) ?? 'true or false'}`;
  if (expected === 'number')
    return typeof value === 'number' ? 'write a whole number' : 'write a whole number, without quotes';
  return expected === 'array' ? 'begin each item with a dash: - prefix: Tax/' : undefined;
}

/** YAML 1.1 read these as booleans; YAML 1.2 reads words. */
const MEANT: ReadonlyMap<string, string> = new Map([
  ...['yes', 'on', 'y', '1', 'true', 'enabled'].map((word) => [word, 'true'] as const),
  ...['no', 'off', 'n', '0', 'false', 'disabled'].map((word) => [word, 'false'] as const),
]);

function wrongValue(values: readonly unknown[], field: Field): Problem {
  const known = values.map(String);
  const meant = suggest(textAt(field.parsed.value, field.path), known);
  const message = `expected ${words(values)}, found ${describe(field)}`;
  return problem(
    field.parsed,
    field.path,
    message,
    meant && known.length > 1 ? `did you mean ${meant}?` : undefined,
  );
}

function missing(field: Field, value?: string): Problem {
  const { parsed, path, schema } = field;
  const known = keysAt(schema, path);
  const hint =
    value !== undefined
      ? `add ${String(path.at(-1))}: ${value}`
      : exampleAt(schema, path) === undefined && known.length > 0
        ? `add ${String(path.at(-1))}: with ${known.join(', ')}`
        : `add ${example(field)}`.replace(/: $/, '');
  return problem(parsed, path, 'this field is missing', hint);
}

function example({ path, schema }: Field): string {
  const value = exampleAt(schema, path) ?? '';
  return `${String(path.at(-1))}: ${/^\d+$/.test(value) ? `"${value}"` : value}`;
}

/** What stands there, as it was written. */
function describe({ parsed, path }: Field): string {
  const value = valueAt(parsed.value, path);
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return quoted(value);
  return `the ${typeof value} ${writtenAt(parsed, path) ?? String(value)}`;
}

const words = (values: readonly unknown[]): string =>
  values.length === 1 ? String(values[0]) : `${values.slice(0, -1).join(', ')} or ${String(values.at(-1))}`;
