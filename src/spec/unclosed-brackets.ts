import type { ProblemDetails } from './source-file.ts';

/** Where a quote or bracket was opened that nothing closes. */
export interface UnclosedBracket {
  offset: number;
  details: ProblemDetails;
}

/**
 * Follows the lexer, for quotes and brackets that are never closed: the parser notices them only where the text or
 * the indentation ends, which is far from where the second half is missing.
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

/** What the lexer says before a text without quotes, and when lines go back to the left before a bracket is closed. */
const SCALAR_MARKER = '\u001F';
const FLOW_ERROR_END = '\u0018';

/** In single quotes a quote is written twice, in double quotes it follows a backslash. */
function isClosedQuote(lexeme: string): boolean {
  if (lexeme.startsWith("'")) return lexeme.length > 1 && (lexeme.split("'").length - 1) % 2 === 0;
  if (lexeme.length < 2 || !lexeme.endsWith('"')) return false;
  let escapes = 0;
  while (lexeme.at(-2 - escapes) === '\\') escapes += 1;
  return escapes % 2 === 0;
}
