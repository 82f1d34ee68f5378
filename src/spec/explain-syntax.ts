import type { ErrorCode, YAMLError } from 'yaml';
import type { ProblemDetails, SourceFile } from './source-file.ts';

/** Explains a syntax error in the words of a spec author. */
export function explainSyntaxError(error: YAMLError, { text }: SourceFile): ProblemDetails {
  const [offset] = error.pos;
  if (text[offset] === '\t' || error.code === 'TAB_AS_INDENT') return TAB_INDENTATION;
  if (text[offset - 1] === '$' && text.startsWith('{var.', offset)) return UNQUOTED_VARIABLE;
  return SYNTAX_ERROR_DETAILS[error.code] ?? { message: 'invalid YAML' };
}

const TAB_INDENTATION: ProblemDetails = {
  message: 'a tab is used for indentation',
  hint: 'indent with spaces; YAML does not allow tabs in indentation',
};

const UNQUOTED_VARIABLE: ProblemDetails = {
  message: 'inside { } and [ ], a variable needs quotes',
  hint: `quote the string: { name: "tax-\${var.stage}" }`,
};

/** Errors that cause further errors in later lines. */
export const CASCADING_ERRORS: readonly ProblemDetails[] = [TAB_INDENTATION, UNQUOTED_VARIABLE];

export const UNKNOWN_TAG: ProblemDetails = {
  message: 'the tag is unknown, or does not match the value',
  hint: 'remove the tag, or quote a string that starts with !',
};

const BAD_INDENTATION: ProblemDetails = {
  message: 'the indentation does not match the lines around it',
  hint: 'start all keys of a mapping in the same column, and indent nested lines further',
};

const SYNTAX_ERROR_DETAILS: Partial<Record<ErrorCode, ProblemDetails>> = {
  ALIAS_PROPS: {
    message: 'an alias cannot have an anchor or a tag',
    hint: 'remove one of the two',
  },
  BAD_ALIAS: {
    message: 'an alias or anchor needs a name',
    hint: 'quote a string that starts with * or &',
  },
  BAD_COLLECTION_TYPE: { message: 'the tag does not match the value that follows', hint: 'remove the tag' },
  BAD_DIRECTIVE: {
    message: 'YAML reads this line as a directive',
    hint: 'quote a string that starts with %',
  },
  BAD_DQ_ESCAPE: {
    message: 'invalid escape sequence in double quotes',
    hint: "write \\\\ for a backslash, or use single quotes: 'a\\b'",
  },
  BAD_INDENT: BAD_INDENTATION,
  BAD_PROP_ORDER: { message: 'the tag or anchor is in the wrong place', hint: 'remove it' },
  BAD_SCALAR_START: {
    message: 'an unquoted string cannot start with this character',
    hint: 'quote the string',
  },
  BLOCK_AS_IMPLICIT_KEY: {
    message: 'the line has two colons, or a key in the middle',
    hint: 'put each key on its own line, and quote a string that contains ": "',
  },
  BLOCK_IN_FLOW: {
    message: 'a list or mapping of several lines is not allowed inside brackets',
    hint: 'close the bracket first, or separate the items inside the brackets with commas',
  },
  IMPOSSIBLE: { message: 'invalid YAML' },
  KEY_OVER_1024_CHARS: {
    message: 'a key is longer than 1024 characters',
    hint: 'check for a missing quote or colon',
  },
  MISSING_CHAR: {
    message: 'a colon, a comma, a closing quote or a bracket is missing',
    hint: 'add a colon and a space after a key, and close each quote and bracket',
  },
  MULTILINE_IMPLICIT_KEY: {
    message: 'a key must end on the line where it starts',
    hint: 'add the missing colon after the key, or the missing quote at the end of a string',
  },
  MULTIPLE_ANCHORS: { message: 'a value can have one anchor only', hint: 'remove one' },
  MULTIPLE_TAGS: { message: 'a value can have one tag only', hint: 'remove both' },
  NON_STRING_KEY: { message: 'a key must be a string', hint: 'quote a key that starts with [ or {' },
  RESOURCE_EXHAUSTION: { message: 'the document is nested too deeply', hint: 'check for a stray bracket' },
  TAG_RESOLVE_FAILED: UNKNOWN_TAG,
  UNEXPECTED_TOKEN: {
    message: 'unexpected character or word',
    hint: 'check for a missing colon, quote or bracket just before, and quote a string with special characters',
  },
};

/** The offset of a quote or bracket that is never closed. */
export interface UnclosedBracket {
  offset: number;
  details: ProblemDetails;
}

/**
 * Tracks lexemes to find quotes and brackets that are never closed. The parser reports them only at the end of the text
 * or indentation, far from the opening character.
 */
export function trackBrackets(): {
  unclosed: UnclosedBracket[];
  next(lexeme: string, offset: number): void;
  end(): void;
} {
  const unclosed: UnclosedBracket[] = [];
  const openBrackets: { character: string; offset: number }[] = [];
  let isScalarNext = false;

  const end = () => {
    const last = openBrackets.pop();
    openBrackets.length = 0;
    if (!last) return;
    const { character, offset } = last;
    const closing = character === '[' ? ']' : '}';
    const message = `the bracket ${character} is not closed`;
    const hint = `add ${closing}, or quote a string that starts with ${character}`;
    unclosed.push({ offset, details: { message, hint } });
  };

  return {
    unclosed,
    end,
    next(lexeme, offset) {
      const isScalarText = isScalarNext;
      isScalarNext = lexeme === SCALAR_MARKER;
      if (isScalarText) return;
      if (lexeme === '[' || lexeme === '{') openBrackets.push({ character: lexeme, offset });
      if (lexeme === ']' || lexeme === '}') openBrackets.pop();
      if (lexeme === FLOW_ERROR_END) end();
      const quote = lexeme.charAt(0);
      if ((quote !== '"' && quote !== "'") || isClosedQuote(lexeme)) return;
      openBrackets.length = 0;
      const message = 'the quote is not closed';
      unclosed.push({ offset, details: { message, hint: `add ${quote} at the end of the string` } });
    },
  };
}

/**
 * Control characters of the lexer: before a plain scalar, and when the indentation decreases inside an open bracket.
 */
const SCALAR_MARKER = '\u001F';
const FLOW_ERROR_END = '\u0018';

/**
 * Returns whether a quoted lexeme is closed. In single quotes, a quote is escaped by doubling; in double quotes, by a
 * backslash.
 */
function isClosedQuote(lexeme: string): boolean {
  if (lexeme.startsWith("'")) return lexeme.length > 1 && (lexeme.split("'").length - 1) % 2 === 0;
  if (lexeme.length < 2 || !lexeme.endsWith('"')) return false;
  let escapes = 0;
  while (lexeme.at(-2 - escapes) === '\\') escapes += 1;
  return escapes % 2 === 0;
}
