import type { RequestContext } from './context.ts';

/**
 * Matches `*` (any run of characters) and `?` (any single character). The cost is linear in the text for each star. It
 * uses no regular expressions, so no pattern can make it slow.
 */
export function matchWildcard(pattern: readonly string[] | string, text: string): boolean {
  const tokens = typeof pattern === 'string' ? tokenize(pattern) : pattern;
  const characters = [...text];
  let p = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < characters.length) {
    const token = tokens[p];
    if (token === ANY_RUN) {
      star = p++;
      resume = t;
    } else if (token !== undefined && (token === ANY_CHARACTER || token === characters[t])) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (tokens[p] === ANY_RUN) p++;
  return p === tokens.length;
}

/**
 * Returns false when a pattern cannot match: the text must begin as the pattern does before its first wildcard or
 * variable. The check is cheap, and rejects nearly all patterns of a policy.
 */
export function couldMatch(pattern: string, text: string): boolean {
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern.charCodeAt(index);
    if (character === STAR || character === QUESTION_MARK || character === DOLLAR) return true;
    if (character !== text.charCodeAt(index)) return false;
  }
  return true;
}

const [STAR, QUESTION_MARK, DOLLAR] = [...'*?$'].map((character) => character.charCodeAt(0));

/**
 * Returns whether a pattern has no variable and no wildcard except a `*` at its end. After `couldMatch`, such a pattern
 * with the `*` matches, and a pattern without it matches only a text of the same length. Patterns with surrogate pairs
 * are excluded; `matchWildcard` compares them character by character.
 */
export const isPrefixPattern = (pattern: string): boolean => /^[^*?$\ud800-\udfff]*\*?$/.test(pattern);

/**
 * Returns the same for an ARN pattern with all six pieces, whose only wildcard can be a `*` at the end of the last
 * piece.
 */
export const isPrefixArnPattern = (pattern: string): boolean =>
  /^(?:[^:*?$\ud800-\udfff]*:){5}[^*?$\ud800-\udfff]*\*?$/.test(pattern);

/** Tokens for wildcards. They equal no single character, so a literal `*` from an escape differs from the wildcard. */
const ANY_RUN = 'any';
const ANY_CHARACTER = 'one';

/** Returns the characters of a pattern, with tokens for its wildcards. */
export function tokenize(pattern: string): string[] {
  return [...pattern].map((character) =>
    character === '*' ? ANY_RUN : character === '?' ? ANY_CHARACTER : character,
  );
}

/**
 * Matches an ARN piece by piece: a wildcard does not cross the first five colons. The sixth piece, the resource, is
 * matched as a whole.
 */
export function matchArn(pattern: readonly string[], arn: string): boolean {
  const patternPieces = splitTokens(pattern, 6);
  const arnPieces = splitText(arn, 6);
  if (patternPieces.length < 6 || arnPieces.length < 6) return false;
  return patternPieces.every((piece, index) => matchWildcard(piece, arnPieces[index] ?? ''));
}

/**
 * Completes an ARN pattern that has too few pieces with wildcards, as AWS does. In an identity policy AWS completes
 * every such pattern. In other policies it completes only a pattern that ends in `*`, which then crosses the colons.
 */
export function completeArnPattern(pattern: readonly string[], isIdentityPolicy: boolean): readonly string[] {
  const missingPieces = 5 - pattern.filter((token) => token === ':').length;
  if (missingPieces <= 0 || !(isIdentityPolicy || pattern.at(-1) === ANY_RUN)) return pattern;
  return [...pattern, ...Array.from({ length: missingPieces }, () => [':', ANY_RUN]).flat()];
}

function splitTokens(tokens: readonly string[], pieces: number): string[][] {
  const result: string[][] = [[]];
  for (const token of tokens) {
    if (token === ':' && result.length < pieces) result.push([]);
    else result.at(-1)?.push(token);
  }
  return result;
}

function splitText(text: string, pieces: number): string[] {
  const parts = text.split(':');
  return [...parts.slice(0, pieces - 1), parts.slice(pieces - 1).join(':')].slice(
    0,
    Math.min(pieces, parts.length),
  );
}

/**
 * Substitutes policy variables: `${aws:username}`, with a default `${aws:username, 'anonymous'}`, and `${*}`, `${?}`,
 * `${$}` for the literal characters. Policies of version 2008-10-17 have no variables. The result is a pattern in which
 * the value of a variable is literal. Returns undefined when a variable has no value, because the pattern then matches
 * nothing.
 */
export function substituteVariables(
  text: string,
  context: RequestContext,
  version: string | undefined,
): string[] | undefined {
  const parts = resolveVariableParts(text, context, version);
  return parts?.flatMap((part, index) => (index % 2 === 0 ? tokenize(part) : [...part]));
}

/** Returns the same as plain text, for operators that do not support wildcards. */
export const substituteAsText = (
  text: string,
  context: RequestContext,
  version: string | undefined,
): string | undefined => resolveVariableParts(text, context, version)?.join('');

// The name excludes `{`, so that an unclosed `${` does not cause repeated scans.
const VARIABLE_PATTERN = /\$\{([^{}]*)\}/;

/** Returns literal text and values of variables in alternation. */
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
