import type { RequestContext } from './context.ts';

/**
 * Match `*` (any run of characters) and `?` (any one). Linear in the text for each star, without regular expressions,
 * so that no pattern can make it slow.
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
 * Whether a pattern could match at all: the text must begin as the pattern does before its first wildcard or variable.
 * Cheap, and false for nearly all patterns of a policy.
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
 * Whether a pattern has no wildcard but a `*` at its end, and no variable: with the `*` it matches all that it could
 * match, and without it only itself. Characters of two code units are left to the matching character by character.
 */
export const isPrefixPattern = (pattern: string): boolean => /^[^*?$\ud800-\udfff]*\*?$/.test(pattern);

/** The same of an ARN of all its pieces, whose `*` is in the last. */
export const isPrefixArnPattern = (pattern: string): boolean =>
  /^(?:[^:*?$\ud800-\udfff]*:){5}[^*?$\ud800-\udfff]*\*?$/.test(pattern);

/** Wildcards as tokens that no character equals, so that an escaped `*` can stand beside a wildcard one. */
const ANY_RUN = 'any';
const ANY_CHARACTER = 'one';

/** A pattern's characters, with its wildcards as tokens. */
export function tokenize(pattern: string): string[] {
  return [...pattern].map((character) =>
    character === '*' ? ANY_RUN : character === '?' ? ANY_CHARACTER : character,
  );
}

/**
 * Match an ARN piece by piece: a wildcard does not reach over the first five colons. The sixth piece, the resource,
 * is matched as a whole.
 */
export function matchArn(pattern: readonly string[], arn: string): boolean {
  const patternPieces = splitTokens(pattern, 6);
  const arnPieces = splitText(arn, 6);
  if (patternPieces.length < 6 || arnPieces.length < 6) return false;
  return patternPieces.every((piece, index) => matchWildcard(piece, arnPieces[index] ?? ''));
}

/**
 * AWS completes an ARN of too few pieces by wildcards: any in an identity policy, elsewhere one that ends in `*`, which
 * then reaches over the colons.
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
