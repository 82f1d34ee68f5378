import type * as z from 'zod';
import {
  isPrefixOf,
  type ParsedDocument,
  type Path,
  pathsOverlap,
  problemAtPath,
  replaceAtPaths,
  valueAtPath,
} from './document.ts';
import { explainIssues, suggestedPaths } from './explain-issues.ts';
import { quoteValue } from './format-problems.ts';
import {
  type AccountDocument,
  type DefaultsDocument,
  documentSchemas,
  envelopeSchema,
  type GuardrailsDocument,
  partialReplicationSchema,
  type ReplicationDocument,
  type VariablesDocument,
} from './schema.ts';
import { exampleAt } from './schema-keys.ts';
import type { Problem } from './types.ts';

/**
 * A document that matches the schema, with its positions and invalid paths. At an invalid path, `content` has an
 * example of the schema or no value.
 */
export interface CheckedDocumentOf<Kind, Content> {
  kind: Kind;
  content: Content;
  parsed: ParsedDocument;
  invalidPaths: readonly Path[];
}

export type CheckedReplication = CheckedDocumentOf<'BucketReplication', ReplicationDocument>;
export type CheckedAccount = CheckedDocumentOf<'Account', AccountDocument>;
export type CheckedGuardrails = CheckedDocumentOf<'Guardrails', GuardrailsDocument>;
export type CheckedDefaults = CheckedDocumentOf<'Defaults', DefaultsDocument>;
export type CheckedVariables = CheckedDocumentOf<'Variables', VariablesDocument>;
export type CheckedDocument =
  | CheckedReplication
  | CheckedAccount
  | CheckedGuardrails
  | CheckedDefaults
  | CheckedVariables;

/**
 * Validates a document against the schema. A document with invalid fields is returned as well, if it is valid with the
 * schema's examples in their place. The checks of all specs can then report problems of the other fields in the same
 * run.
 */
export function validateDocument(parsed: ParsedDocument): { checked?: CheckedDocument; problems: Problem[] } {
  const { value } = parsed;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const actual = Array.isArray(value) ? 'a list' : quoteValue(String(value));
    return {
      problems: [
        problemAtPath(
          parsed,
          [],
          `expected a mapping with apiVersion, kind, metadata and spec, found ${actual}`,
          'begin with apiVersion: replikey.dev/v1',
        ),
      ],
    };
  }
  const { kind } = value as { kind?: unknown };
  if (kind === 'BucketReplication' && parsed.isPartial)
    return { problems: validateAgainst(partialReplicationSchema, kind, parsed).problems };
  if (kind === 'BucketReplication') return validateAgainst(documentSchemas.BucketReplication, kind, parsed);
  if (kind === 'Account') return validateAgainst(documentSchemas.Account, kind, parsed);
  if (kind === 'Guardrails') return validateAgainst(documentSchemas.Guardrails, kind, parsed);
  if (kind === 'Defaults') return validateAgainst(documentSchemas.Defaults, kind, parsed);
  if (kind === 'Variables') return validateAgainst(documentSchemas.Variables, kind, parsed);
  const { error } = envelopeSchema.safeParse(value);
  return { problems: explainIssues(error?.issues ?? [], parsed, envelopeSchema) };
}

/** Returns whether no problem is known at the paths, inside them or in their ancestors. */
export const isValidAt = ({ invalidPaths }: CheckedDocument, ...paths: readonly Path[]): boolean =>
  invalidPaths.length === 0 ||
  !paths.some((path) => invalidPaths.some((invalidPath) => pathsOverlap(invalidPath, path)));

function validateAgainst<Kind extends CheckedDocument['kind']>(
  schema: z.ZodType,
  kind: Kind,
  parsed: ParsedDocument,
): { checked?: Extract<CheckedDocument, { kind: Kind }>; problems: Problem[] } {
  const toChecked = (content: unknown, invalidPaths: readonly Path[]) =>
    ({ kind, content, parsed, invalidPaths }) as unknown as Extract<CheckedDocument, { kind: Kind }>;
  const withExamples = (paths: readonly Path[]) =>
    paths.length === 0
      ? parsed.value
      : replaceAtPaths(parsed.value, paths, (path) => exampleAt(schema, path));

  const reportedPaths = parsed.invalidPaths.map((path) => toWholeList(path, parsed.value));
  const { success, data, error } = schema.safeParse(withExamples(reportedPaths));
  if (success) return { checked: toChecked(data, reportedPaths), problems: [] };
  const issues = error.issues.filter(
    ({ path }) => !reportedPaths.some((reportedPath) => isPrefixOf(reportedPath, path)),
  );
  const problems = explainIssues(issues, parsed, schema);
  const invalidPaths = [
    ...reportedPaths,
    ...issues.flatMap((issue) => invalidPathsOf(issue, parsed.value, schema)),
  ];
  const secondResult = schema.safeParse(withExamples(invalidPaths));
  return secondResult.success
    ? { checked: toChecked(secondResult.data, invalidPaths), problems }
    : { problems };
}

function invalidPathsOf(issue: z.core.$ZodIssue, value: unknown, schema: z.ZodType): Path[] {
  if (issue.code === 'unrecognized_keys') {
    return [...issue.keys.map((key) => [...issue.path, key]), ...suggestedPaths(issue, schema)];
  }
  return [toWholeList(issue.path, value)];
}

/**
 * Returns the path of the whole list for an invalid list item. Without the item, the indexes of the others would
 * change.
 */
function toWholeList(path: Path, value: unknown): Path {
  const itemIndex = path.findLastIndex((part) => typeof part === 'number');
  const isItem = itemIndex === path.length - 1 && Array.isArray(valueAtPath(value, path.slice(0, itemIndex)));
  return isItem ? path.slice(0, itemIndex) : path;
}
