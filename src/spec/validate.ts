import { z } from 'zod';
import type { Parsed } from './parse.ts';
import { documents, type WrittenAccount, type WrittenReplication } from './schema.ts';
import { suggest } from './suggest.ts';
import type { Problem } from './types.ts';

/** A document that has the right form, with its positions. */
export type Valid =
  | { kind: 'BucketReplication'; written: WrittenReplication; parsed: Parsed }
  | { kind: 'Account'; written: WrittenAccount; parsed: Parsed };

/** Check the form of one document against the schema. */
export function validate(parsed: Parsed): { valid?: Valid; problems: Problem[] } {
  const { value } = parsed;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return {
      problems: [
        problem(parsed, [], 'a spec is a mapping of fields', 'begin with apiVersion: replikey.dev/v1'),
      ],
    };
  }
  const { kind } = value as { kind?: unknown };
  if (kind === 'BucketReplication') {
    const result = documents.BucketReplication.safeParse(value, { reportInput: true });
    if (result.success) return { valid: { kind, written: result.data, parsed }, problems: [] };
    return { problems: issues(result.error, parsed, documents.BucketReplication) };
  }
  if (kind === 'Account') {
    const result = documents.Account.safeParse(value, { reportInput: true });
    if (result.success) return { valid: { kind, written: result.data, parsed }, problems: [] };
    return { problems: issues(result.error, parsed, documents.Account) };
  }
  const known = Object.keys(documents);
  if (kind === undefined) {
    return {
      problems: [problem(parsed, [], 'the field kind is missing', `add one of: ${known.join(', ')}`)],
    };
  }
  return {
    problems: [problem(parsed, ['kind'], `unknown kind ${show(kind)}`, expectedOneOf(show(kind), known))],
  };
}

type Path = readonly (string | number)[];

function issues(error: z.ZodError, parsed: Parsed, schema: z.ZodType): Problem[] {
  return error.issues.flatMap((issue) => explain(issue, [], parsed, schema));
}

function explain(issue: z.core.$ZodIssue, base: Path, parsed: Parsed, schema: z.ZodType): Problem[] {
  const path: Path = [...base, ...(issue.path as (string | number)[])];
  const at = (message: string, hint?: string, key = false) => [problem(parsed, path, message, hint, key)];

  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((name) => unknownKey(parsed, path, name, schema));
    case 'invalid_union': {
      // `key:` is a string or a mapping: a mapping is judged as one, by the branch that looks into it.
      const looksInside = (errors: z.core.$ZodIssue[]) =>
        errors.some(({ code, path: inner }) => inner.length > 0 || code === 'unrecognized_keys');
      const branch = isMapping(parsed, path) ? issue.errors.find(looksInside) : undefined;
      if (branch) return branch.flatMap((inner) => explain(inner, path, parsed, schema));
      return at(
        `expected a string or a mapping, found ${found(parsed, path)}`,
        'write an alias, an ARN, or the long form',
      );
    }
    case 'invalid_type': {
      if (valueAt(parsed.value, path) === undefined) {
        return at(
          `the field ${String(path.at(-1))} is missing`,
          `add it: expected ${article(issue.expected)}`,
        );
      }
      const source = parsed.sourceOf(path);
      const quote = issue.expected === 'string' && source !== undefined ? `quote it: "${source}"` : undefined;
      return at(`expected ${article(issue.expected)}, found ${found(parsed, path)}`, quote);
    }
    case 'invalid_value': {
      const values = issue.values.map(String);
      if (valueAt(parsed.value, path) === undefined) {
        return at(`the field ${String(path.at(-1))} is missing`, `add ${values.join(' or ')}`);
      }
      return at(
        `expected ${values.join(', ')}, found ${found(parsed, path)}`,
        expectedOneOf(String(valueAt(parsed.value, path)), values),
      );
    }
    case 'too_big':
      return at(
        `${found(parsed, path)} is too ${issue.origin === 'string' ? 'long' : 'large'}: at most ${String(issue.maximum)}`,
      );
    case 'too_small':
      if (issue.origin === 'array') return at('the list is empty', 'declare at least one');
      return at(
        `${found(parsed, path)} is too ${issue.origin === 'string' ? 'short' : 'small'}: at least ${String(issue.minimum)}`,
      );
    case 'invalid_format':
      return at(
        `${found(parsed, path)} is not an ARN of a role`,
        'it looks like arn:aws:iam::111122223333:role/name',
      );
    default:
      return at(`${found(parsed, path)}: ${issue.message}`);
  }
}

function unknownKey(parsed: Parsed, path: Path, name: string, schema: z.ZodType): Problem {
  const own = SPECIAL[name];
  const known = keysAt(schema, path);
  const meant = suggest(name, known);
  const hint =
    own ??
    (meant ? `did you mean ${meant}?` : known.length > 0 ? `known here: ${known.join(', ')}` : undefined);
  return problem(parsed, [...path, name], `unknown field ${name}`, hint, true);
}

/** Words that people bring along from elsewhere. */
const SPECIAL: Record<string, string> = {
  existingObjectReplication:
    'S3 refuses this element (MalformedXML): live replication covers new objects only, and existing ones need an S3 Batch Replication job',
  namespace: 'specs have no namespace',
  status: 'status is what the tool reports, not what a spec declares; to pause a rule write enabled: false',
};

/** The fields that the schema knows at a path. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let current: z.ZodType | undefined = schema;
  for (const part of path) {
    const object: z.ZodObject | undefined = unwrap(current);
    if (typeof part === 'number') {
      const inner: z.ZodType | undefined = bare(current);
      current = inner instanceof z.ZodArray ? (inner.element as z.ZodType) : undefined;
    } else current = object?.shape[part] as z.ZodType | undefined;
  }
  return Object.keys(unwrap(current)?.shape ?? {});
}

/** A schema without what is wrapped around it: optional, default, prefault. */
function bare(schema: z.ZodType | undefined): z.ZodType | undefined {
  let current = schema;
  while (
    current instanceof z.ZodOptional ||
    current instanceof z.ZodDefault ||
    current instanceof z.ZodPrefault
  ) {
    current = current.unwrap() as z.ZodType;
  }
  return current;
}

function unwrap(schema: z.ZodType | undefined): z.ZodObject | undefined {
  const inner = bare(schema);
  if (inner instanceof z.ZodObject) return inner;
  if (inner instanceof z.ZodUnion) {
    return (inner.options as z.ZodType[]).find(
      (option): option is z.ZodObject => option instanceof z.ZodObject,
    );
  }
  return undefined;
}

export function problem(parsed: Parsed, path: Path, message: string, hint?: string, key = false): Problem {
  const position = parsed.positionOf(path, key);
  return {
    position,
    ...(path.length > 0 ? { path: pathText(path) } : {}),
    message,
    ...(hint === undefined ? {} : { hint }),
    excerpt: parsed.excerptAt(position),
  };
}

export const pathText = (path: Path): string =>
  path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : index > 0 ? `.${part}` : part))
    .join('');

function valueAt(value: unknown, path: Path): unknown {
  let current = value;
  for (const part of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<string | number, unknown>)[part];
  }
  return current;
}

function isMapping(parsed: Parsed, path: Path): boolean {
  const value = valueAt(parsed.value, path);
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What stands there, as it was written. */
function found(parsed: Parsed, path: Path): string {
  const value = valueAt(parsed.value, path);
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const source = parsed.sourceOf(path);
  return typeof value === 'string' ? show(value) : `the ${typeof value} ${source ?? String(value)}`;
}

const show = (value: unknown): string => {
  const text = typeof value === 'string' ? `"${value}"` : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
};

const article = (type: string): string =>
  ({ object: 'a mapping', array: 'a list', record: 'a mapping', int: 'a whole number' })[type] ?? `a ${type}`;

function expectedOneOf(word: string, known: readonly string[]): string {
  const meant = suggest(word, known);
  return meant ? `did you mean ${meant}?` : `one of: ${known.join(', ')}`;
}
