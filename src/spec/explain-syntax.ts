import type { ErrorCode, YAMLError } from 'yaml';
import type { ProblemDetails, SourceFile } from './source-file.ts';

/** Explains a syntax error in the words of a spec author. */
export function explainSyntaxError(error: YAMLError, { text }: SourceFile): ProblemDetails {
  const [offset] = error.pos;
  if (text[offset] === '\t' || error.code === 'TAB_AS_INDENT') return TAB_INDENTATION;
  if (text[offset - 1] === '$' && text.startsWith('{var.', offset)) return UNQUOTED_VARIABLE;
  return SYNTAX_ERROR_DETAILS[error.code] ?? { message: `this is not YAML: ${firstLine(error.message)}` };
}

const TAB_INDENTATION: ProblemDetails = {
  message: 'a tab is used for indentation',
  hint: 'indent with spaces; YAML does not allow tabs there',
};

const UNQUOTED_VARIABLE: ProblemDetails = {
  message: 'inside { } and [ ], a variable needs quotes',
  hint: `put the text in quotes: { name: "tax-\${var.stage}" }`,
};

/** Errors that cause further errors in later lines. */
export const CASCADING_ERRORS: readonly ProblemDetails[] = [TAB_INDENTATION, UNQUOTED_VARIABLE];

export const UNKNOWN_TAG: ProblemDetails = {
  message: 'this tag is not known here, or does not fit the value',
  hint: 'remove the tag; a text that starts with ! needs quotes',
};

const BAD_INDENTATION: ProblemDetails = {
  message: 'the indentation does not fit the lines around it',
  hint: 'start the keys of one mapping in the same column, and what belongs to a key further right',
};

const SYNTAX_ERROR_DETAILS: Partial<Record<ErrorCode, ProblemDetails>> = {
  ALIAS_PROPS: {
    message: 'an alias cannot have an anchor or a tag of its own',
    hint: 'remove one of the two',
  },
  BAD_ALIAS: {
    message: 'an alias or anchor needs a name',
    hint: 'a text that starts with * or & needs quotes',
  },
  BAD_COLLECTION_TYPE: { message: 'the tag does not fit what follows', hint: 'remove the tag' },
  BAD_DIRECTIVE: {
    message: 'this line is read as a YAML directive',
    hint: 'a text that starts with % needs quotes',
  },
  BAD_DQ_ESCAPE: {
    message: 'this is no escape that YAML knows in double quotes',
    hint: "write \\\\ for a backslash, or use single quotes: 'a\\b'",
  },
  BAD_INDENT: BAD_INDENTATION,
  BAD_PROP_ORDER: { message: 'the tag or anchor stands in the wrong place', hint: 'remove it' },
  BAD_SCALAR_START: { message: 'a text cannot start with this character', hint: 'put the text in quotes' },
  BLOCK_AS_IMPLICIT_KEY: {
    message: 'there are two colons, or a key in the middle of a line',
    hint: 'put each key on its own line; a text with ": " in it needs quotes',
  },
  BLOCK_IN_FLOW: {
    message: 'a list or mapping in lines cannot stand inside brackets',
    hint: 'close the bracket before, or write everything inside the brackets with commas',
  },
  IMPOSSIBLE: { message: 'this is not YAML' },
  KEY_OVER_1024_CHARS: {
    message: 'a key is longer than 1024 characters',
    hint: 'look for a missing quote or colon',
  },
  MISSING_CHAR: {
    message: 'something is missing here: a colon, a comma, a closing quote or a bracket',
    hint: 'a key is followed by a colon and a space; each quote and bracket needs its second half',
  },
  MULTILINE_IMPLICIT_KEY: {
    message: 'a key must end on the line where it starts',
    hint: 'a colon may be missing after the key, or a quote at the end of a text',
  },
  MULTIPLE_ANCHORS: { message: 'a value can have one anchor only', hint: 'remove one' },
  MULTIPLE_TAGS: { message: 'a value can have one tag only', hint: 'remove both' },
  NON_STRING_KEY: { message: 'a key must be a text', hint: 'put a key that starts with [ or { in quotes' },
  RESOURCE_EXHAUSTION: { message: 'the document is nested too deep', hint: 'look for a stray bracket' },
  TAG_RESOLVE_FAILED: UNKNOWN_TAG,
  UNEXPECTED_TOKEN: {
    message: 'this does not belong here',
    hint: 'look for a missing colon, quote or bracket just before; a text with special characters needs quotes',
  },
};

const firstLine = (message: string): string => message.split('\n')[0] ?? '';

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
    const message = `the bracket ${character} that opens here is not closed`;
    const hint = `add ${closing}; a text that starts with ${character} needs quotes`;
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
      const message = 'the quote that opens here is not closed';
      unclosed.push({ offset, details: { message, hint: `add ${quote} at the end of the text` } });
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
