import type * as z from 'zod';
import { type Parsed, problem } from './document.ts';
import { quoted } from './excerpt.ts';
import { explain, meantBy } from './explain.ts';
import { exampleAt } from './known-keys.ts';
import { isAlong, leadsTo, type Path, replaced, valueAt } from './path.ts';
import {
  documents,
  envelope,
  partialReplication,
  type WrittenAccount,
  type WrittenDefaults,
  type WrittenGuardrails,
  type WrittenReplication,
  type WrittenVariables,
} from './schema.ts';
import type { Problem } from './types.ts';

/** A document of the right form, with its positions, and the paths where it is wrong: what is there means nothing. */
export interface Checked<Kind, Written> {
  kind: Kind;
  written: Written;
  parsed: Parsed;
  wrong: readonly Path[];
}

export type CheckedReplication = Checked<'BucketReplication', WrittenReplication>;
export type CheckedAccount = Checked<'Account', WrittenAccount>;
export type CheckedGuardrails = Checked<'Guardrails', WrittenGuardrails>;
export type CheckedDefaults = Checked<'Defaults', WrittenDefaults>;
export type CheckedVariables = Checked<'Variables', WrittenVariables>;
export type Valid =
  | CheckedReplication
  | CheckedAccount
  | CheckedGuardrails
  | CheckedDefaults
  | CheckedVariables;

/**
 * Check the form of one document against the schema. What is wrong in places is returned nonetheless, with examples
 * in those places, so that the checks of all specs together find in the same run what they can in the others.
 */
export function validate(parsed: Parsed): { valid?: Valid; problems: Problem[] } {
  const { value } = parsed;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const written = Array.isArray(value) ? 'a list' : quoted(String(value));
    return {
      problems: [
        problem(
          parsed,
          [],
          `expected a mapping with apiVersion, kind, metadata and spec, found ${written}`,
          'begin with apiVersion: replikey.dev/v1',
        ),
      ],
    };
  }
  const { kind } = value as { kind?: unknown };
  if (kind === 'BucketReplication' && parsed.isPartial)
    return { problems: against(partialReplication, kind, parsed).problems };
  if (kind === 'BucketReplication') return against(documents.BucketReplication, kind, parsed);
  if (kind === 'Account') return against(documents.Account, kind, parsed);
  if (kind === 'Guardrails') return against(documents.Guardrails, kind, parsed);
  if (kind === 'Defaults') return against(documents.Defaults, kind, parsed);
  if (kind === 'Variables') return against(documents.Variables, kind, parsed);
  const { error } = envelope.safeParse(value);
  return { problems: explain(error?.issues ?? [], parsed, envelope) };
}

/** Whether nothing was found wrong at the paths, in them or around them. */
export const isSound = ({ wrong }: Valid, ...paths: readonly Path[]): boolean =>
  wrong.length === 0 || !paths.some((path) => wrong.some((one) => isAlong(one, path)));

function against<Kind extends Valid['kind']>(
  schema: z.ZodType,
  kind: Kind,
  parsed: Parsed,
): { valid?: Extract<Valid, { kind: Kind }>; problems: Problem[] } {
  const given = (written: unknown, wrong: readonly Path[]) =>
    ({ kind, written, parsed, wrong }) as unknown as Extract<Valid, { kind: Kind }>;
  const mended = (paths: readonly Path[]) =>
    paths.length === 0 ? parsed.value : replaced(parsed.value, paths, (path) => exampleAt(schema, path));

  const told = parsed.wrong.map((path) => wholeList(path, parsed.value));
  const { success, data, error } = schema.safeParse(mended(told));
  if (success) return { valid: given(data, told), problems: [] };
  const issues = error.issues.filter(({ path }) => !told.some((one) => leadsTo(one, path)));
  const problems = explain(issues, parsed, schema);
  const wrong = [...told, ...issues.flatMap((issue) => wrongPaths(issue, parsed.value, schema))];
  const second = schema.safeParse(mended(wrong));
  return second.success ? { valid: given(second.data, wrong), problems } : { problems };
}

function wrongPaths(issue: z.core.$ZodIssue, value: unknown, schema: z.ZodType): Path[] {
  if (issue.code === 'unrecognized_keys') {
    return [...issue.keys.map((key) => [...issue.path, key]), ...meantBy(issue, schema)];
  }
  return [wholeList(issue.path, value)];
}

/** A wrong item of a list takes the list with it: without it, the others would be counted otherwise. */
function wholeList(path: Path, value: unknown): Path {
  const item = path.findLastIndex((part) => typeof part === 'number');
  const isItem = item === path.length - 1 && Array.isArray(valueAt(value, path.slice(0, item)));
  return isItem ? path.slice(0, item) : path;
}
