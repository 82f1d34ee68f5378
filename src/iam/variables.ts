import type { Context } from './context.ts';
import { tokenize } from './wildcard.ts';

/**
 * Put policy variables in: `${aws:username}`, with a default `${aws:username, 'nobody'}`, and `${*}`, `${?}`, `${$}` for
 * the characters themselves. Policies of version 2008-10-17 have none. The result is a pattern: what a variable brings
 * is matched as it stands. A variable without a value matches nothing (undefined).
 */
export function substitute(
  text: string,
  context: Context,
  version: string | undefined,
): string[] | undefined {
  const parts = resolve(text, context, version);
  return parts?.flatMap((part, index) => (index % 2 === 0 ? tokenize(part) : [...part]));
}

/** The same as plain text, for operators that know no wildcards. */
export const substitutePlain = (
  text: string,
  context: Context,
  version: string | undefined,
): string | undefined => resolve(text, context, version)?.join('');

// Without `{` inside, so that an unclosed one is not looked for again and again.
const VARIABLE = /\$\{([^{}]*)\}/;

/** In turn what is written and what a variable brings. */
function resolve(text: string, context: Context, version: string | undefined): string[] | undefined {
  if (version !== '2012-10-17') return [text];
  const parts = text.split(VARIABLE).map((part, index) => (index % 2 === 0 ? part : variable(part, context)));
  return parts.every((part) => part !== undefined) ? parts : undefined;
}

function variable(name: string, context: Context): string | undefined {
  if (name === '*' || name === '?' || name === '$') return name;
  const [, key = name, fallback] = /^\s*([^,\s]+)\s*,\s*'(.*)'\s*$/s.exec(name) ?? [];
  const values = context.get(key.trim().toLowerCase());
  // A multi-valued key cannot be a variable.
  return values?.length === 1 ? values[0] : fallback;
}
