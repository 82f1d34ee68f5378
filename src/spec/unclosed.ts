import type { Finding } from './source.ts';

/** Where a quote or bracket was opened that nothing closes. */
export interface Unclosed {
  offset: number;
  finding: Finding;
}

/**
 * Follows the lexer, for quotes and brackets that are never closed: the parser notices them only where the text or
 * the indentation ends, which is far from where the second half is missing.
 */
export function followBrackets(): {
  found: Unclosed[];
  next(lexeme: string, offset: number): void;
  end(): void;
} {
  const found: Unclosed[] = [];
  const open: { character: string; offset: number }[] = [];
  let isScalar = false;

  const end = () => {
    const last = open.pop();
    open.length = 0;
    if (!last) return;
    const { character, offset } = last;
    const missing = character === '[' ? ']' : '}';
    const message = `the bracket ${character} that opens here is not closed`;
    const hint = `add ${missing}; a text that starts with ${character} needs quotes`;
    found.push({ offset, finding: { message, hint } });
  };

  return {
    found,
    end,
    next(lexeme, offset) {
      const isText = isScalar;
      isScalar = lexeme === SCALAR;
      if (isText) return;
      if (lexeme === '[' || lexeme === '{') open.push({ character: lexeme, offset });
      if (lexeme === ']' || lexeme === '}') open.pop();
      if (lexeme === FLOW_BROKEN_OFF) end();
      const quote = lexeme.charAt(0);
      if ((quote !== '"' && quote !== "'") || isClosed(lexeme)) return;
      open.length = 0;
      const message = 'the quote that opens here is not closed';
      found.push({ offset, finding: { message, hint: `add ${quote} at the end of the text` } });
    },
  };
}

/** What the lexer says before a text without quotes, and when lines go back to the left before a bracket is closed. */
const SCALAR = '\u001F';
const FLOW_BROKEN_OFF = '\u0018';

/** In single quotes a quote is written twice, in double quotes it follows a backslash. */
function isClosed(lexeme: string): boolean {
  if (lexeme.startsWith("'")) return lexeme.length > 1 && (lexeme.split("'").length - 1) % 2 === 0;
  if (lexeme.length < 2 || !lexeme.endsWith('"')) return false;
  let escapes = 0;
  while (lexeme.at(-2 - escapes) === '\\') escapes += 1;
  return escapes % 2 === 0;
}
