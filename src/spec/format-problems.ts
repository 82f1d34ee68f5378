import { compareCodeUnits } from '../util/canonical-json.ts';
import { escapeUnprintable } from '../util/escape.ts';
import type { Position, Problem } from './types.ts';

/** Formats problems for the terminal: `file:line:column  path: message`, the line with a caret, and the fix. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.toSorted(compareProblems).map(formatProblem).join('\n\n');
}

/** Formats a problem for a log, on one line: `file:line:column  path: message → what to do`. */
export const formatProblemLine = ({ position, path, message, hint }: Problem): string =>
  `${formatSafePosition(position)}  ${path ? `${path}: ` : ''}${message}${hint ? ` → ${hint}` : ''}`;

/** Compares problems by file, line and column. */
export const compareProblems = ({ position: a }: Problem, { position: b }: Problem): number =>
  compareCodeUnits(a.file, b.file) || a.line - b.line || a.column - b.column;

function formatProblem({ position, path, message, hint, excerpt, takenBy }: Problem): string {
  return [
    `${formatSafePosition(position)}  ${path ? `${path}: ` : ''}${message}`,
    ...(excerpt ? [excerpt] : []),
    ...(takenBy
      ? [
          `  in the spec ${escapeUnprintable(takenBy.name)} (${formatSafePosition(takenBy.position)}), which uses these Defaults`,
        ]
      : []),
    ...(hint ? [`  → ${hint}`] : []),
  ].join('\n');
}

const formatSafePosition = ({ file, line, column }: Position): string =>
  `${safeFileName(file)}:${line}:${column}`;

/** Returns a safe form of a file name. Some CI systems treat `::` at the start of a line, or `##[`, as a command. */
const safeFileName = (file: string): string => escapeUnprintable(/^\s*::/.test(file) ? `./${file}` : file);

/** Maximum number of characters of a long line on either side of the caret. */
const MAX_CONTEXT_CHARACTERS = 60;

/** Returns a line of YAML with a caret under a column, ready to print. Long lines are trimmed around the caret. */
export function codeFrame(line: string, { line: number, column }: Pick<Position, 'line' | 'column'>): string {
  const caretIndex = Math.min(column - 1, line.length);
  const start =
    caretIndex <= MAX_CONTEXT_CHARACTERS ? 0 : toCharacterBoundary(line, caretIndex - MAX_CONTEXT_CHARACTERS);
  const end =
    line.length - caretIndex <= MAX_CONTEXT_CHARACTERS
      ? line.length
      : toCharacterBoundary(line, caretIndex + MAX_CONTEXT_CHARACTERS);
  const before = (start > 0 ? '…' : '') + escapeWithTabs(line.slice(start, caretIndex));
  const after = escapeWithTabs(line.slice(caretIndex, end)) + (end < line.length ? '…' : '');
  const gutter = `  ${number} |`;
  const blank = `  ${' '.repeat(String(number).length)} |`;
  return `${`${gutter} ${before}${after}`.trimEnd()}\n${blank} ${' '.repeat(displayWidth(before))}^`;
}

/** Quotes a value from a spec for a sentence, and shortens a long value. */
export function quoteValue(value: string): string {
  const characters = [...value.slice(0, 120)];
  const shortened = characters.length > 60 ? `${characters.slice(0, 60).join('')}…` : value;
  return `"${escapeUnprintable(shortened)}"`;
}

/** Escapes a text with visible tabs, because tabs look the same as spaces otherwise. */
const escapeWithTabs = (text: string): string => text.split('\t').map(escapeUnprintable).join('→');

/** Estimates the terminal columns of a text, without a full table of character widths. */
function displayWidth(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (/\p{Mn}/u.test(character)) continue;
    columns += WIDE_CHARACTER.test(character) ? 2 : 1;
  }
  return columns;
}

const WIDE_CHARACTER =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\p{Emoji_Presentation}]/u;

/** Returns an index that is not between the two halves of a surrogate pair. */
const toCharacterBoundary = (line: string, index: number): number =>
  /[\uDC00-\uDFFF]/.test(line.charAt(index)) && /[\uD800-\uDBFF]/.test(line.charAt(index - 1))
    ? index - 1
    : index;
