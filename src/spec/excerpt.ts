import { visible } from '../visible.ts';
import type { Position } from './types.ts';

/** How much of a long line is shown on either side of the caret. */
const REACH = 60;

/** A line of YAML with a caret under a column, ready to print: long lines are trimmed around the caret. */
export function excerpt(line: string, { line: number, column }: Pick<Position, 'line' | 'column'>): string {
  const at = Math.min(column - 1, line.length);
  const start = at <= REACH ? 0 : wholeCharacter(line, at - REACH);
  const end = line.length - at <= REACH ? line.length : wholeCharacter(line, at + REACH);
  const before = (start > 0 ? '…' : '') + rendered(line.slice(start, at));
  const after = rendered(line.slice(at, end)) + (end < line.length ? '…' : '');
  const gutter = `  ${number} |`;
  const blank = `  ${' '.repeat(String(number).length)} |`;
  return `${`${gutter} ${before}${after}`.trimEnd()}\n${blank} ${' '.repeat(width(before))}^`;
}

/** A value from a spec inside a sentence: quoted, and cut when it is long. */
export function quoted(value: string): string {
  const characters = [...value.slice(0, 120)];
  const short = characters.length > 60 ? `${characters.slice(0, 60).join('')}…` : value;
  return `"${visible(short)}"`;
}

/** Tabs are shown, since they cannot be told from spaces otherwise. */
const rendered = (text: string): string => text.split('\t').map(visible).join('→');

/** Columns on a terminal, as well as can be told without a table of all characters. */
function width(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (/\p{Mn}/u.test(character)) continue;
    columns += WIDE.test(character) ? 2 : 1;
  }
  return columns;
}

const WIDE =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\p{Emoji_Presentation}]/u;

/** Not between the two halves of a surrogate pair. */
const wholeCharacter = (line: string, at: number): number =>
  /[\uDC00-\uDFFF]/.test(line.charAt(at)) && /[\uD800-\uDBFF]/.test(line.charAt(at - 1)) ? at - 1 : at;
