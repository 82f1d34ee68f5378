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
  if (version !== '2012-10-17' || !text.includes('${')) return tokenize(text);
  const tokens: string[] = [];
  let end = 0;
  for (const match of text.matchAll(/\$\{([^}]*)\}/g)) {
    tokens.push(...tokenize(text.slice(end, match.index)));
    end = match.index + match[0].length;
    const value = variable(match[1] ?? '', context);
    if (value === undefined) return undefined;
    tokens.push(...value);
  }
  return [...tokens, ...tokenize(text.slice(end))];
}

/** The same as plain text, for operators that know no wildcards. */
export function substitutePlain(
  text: string,
  context: Context,
  version: string | undefined,
): string | undefined {
  if (version !== '2012-10-17' || !text.includes('${')) return text;
  let known = true;
  const result = text.replace(/\$\{([^}]*)\}/g, (_, name: string) => {
    const value = variable(name, context);
    if (value === undefined) known = false;
    return value ?? '';
  });
  return known ? result : undefined;
}

function variable(name: string, context: Context): string | undefined {
  if (name === '*' || name === '?' || name === '$') return name;
  const [, key = name, fallback] = /^\s*([^,\s]+)\s*,\s*'(.*)'\s*$/s.exec(name) ?? [];
  const values = context.get(key.trim().toLowerCase());
  // A multi-valued key cannot be a variable.
  return values?.length === 1 ? values[0] : fallback;
}
