import type { z } from 'zod';
import { type Parsed, problem } from './document.ts';
import { quoted } from './excerpt.ts';
import { explain } from './explain.ts';
import { exampleAt } from './known-keys.ts';
import { isAlong, type Path, replaced, valueAt } from './path.ts';
import {
  documents,
  envelope,
  type WrittenAccount,
  type WrittenGuardrails,
  type WrittenReplication,
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
export type Valid = CheckedReplication | CheckedAccount | CheckedGuardrails;

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
  if (kind === 'BucketReplication') return against(documents.BucketReplication, kind, parsed);
  if (kind === 'Account') return against(documents.Account, kind, parsed);
  if (kind === 'Guardrails') return against(documents.Guardrails, kind, parsed);
  const { error } = envelope.safeParse(value);
  return { problems: explain(error?.issues ?? [], parsed, envelope) };
}

/** Whether nothing was found wrong at the paths, in them or around them. */
export const isSound = ({ wrong }: Valid, ...paths: readonly Path[]): boolean =>
  !paths.some((path) => wrong.some((one) => isAlong(one, path)));

function against<Kind extends Valid['kind'], Written>(
  schema: z.ZodType<Written>,
  kind: Kind,
  parsed: Parsed,
): { valid?: Extract<Valid, { kind: Kind }>; problems: Problem[] } {
  const given = (written: Written, wrong: readonly Path[]) =>
    ({ kind, written, parsed, wrong }) as unknown as Extract<Valid, { kind: Kind }>;

  const { success, data, error } = schema.safeParse(parsed.value);
  if (success) return { valid: given(data, []), problems: [] };
  const problems = explain(error.issues, parsed, schema);
  const wrong = error.issues.flatMap((issue) => wrongPaths(issue, parsed.value));
  const mended = schema.safeParse(replaced(parsed.value, wrong, (path) => exampleAt(schema, path)));
  return mended.success ? { valid: given(mended.data, wrong), problems } : { problems };
}

function wrongPaths(issue: z.core.$ZodIssue, value: unknown): Path[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => [...issue.path, key]);
  // A wrong item of a list takes the list with it: without it, the others would be counted otherwise.
  const item = issue.path.findLastIndex((part) => typeof part === 'number');
  const isItem = item === issue.path.length - 1 && Array.isArray(valueAt(value, issue.path.slice(0, item)));
  return [isItem ? issue.path.slice(0, item) : issue.path];
}
