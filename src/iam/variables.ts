import type { RequestContext } from './context.ts';
import { tokenize } from './wildcard.ts';

/**
 * Put policy variables in: `${aws:username}`, with a default `${aws:username, 'nobody'}`, and `${*}`, `${?}`, `${$}` for
 * the characters themselves. Policies of version 2008-10-17 have none. The result is a pattern: what a variable brings
 * is matched as it stands. A variable without a value matches nothing (undefined).
 */
export function substituteVariables(
  text: string,
  context: RequestContext,
  version: string | undefined,
): string[] | undefined {
  const parts = resolveVariableParts(text, context, version);
  return parts?.flatMap((part, index) => (index % 2 === 0 ? tokenize(part) : [...part]));
}

/** The same as plain text, for operators that know no wildcards. */
export const substituteAsText = (
  text: string,
  context: RequestContext,
  version: string | undefined,
): string | undefined => resolveVariableParts(text, context, version)?.join('');

// Without `{` inside, so that an unclosed one is not looked for again and again.
const VARIABLE_PATTERN = /\$\{([^{}]*)\}/;

/** In turn what is written and what a variable brings. */
function resolveVariableParts(
  text: string,
  context: RequestContext,
  version: string | undefined,
): string[] | undefined {
  if (version !== '2012-10-17') return [text];
  const parts = text
    .split(VARIABLE_PATTERN)
    .map((part, index) => (index % 2 === 0 ? part : variableValue(part, context)));
  return parts.every((part) => part !== undefined) ? parts : undefined;
}

function variableValue(name: string, context: RequestContext): string | undefined {
  if (name === '*' || name === '?' || name === '$') return name;
  const [, key = name, fallback] = /^\s*([^,\s]+)\s*,\s*'(.*)'\s*$/s.exec(name) ?? [];
  const values = context.get(key.trim().toLowerCase());
  // A multi-valued key cannot be a variable.
  return values?.length === 1 ? values[0] : fallback;
}
