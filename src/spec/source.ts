import { visible } from '../visible.ts';
import { excerpt } from './excerpt.ts';
import type { Position, Problem } from './types.ts';

/** The text of one file, and where its lines start. */
export interface Source {
  file: string;
  text: string;
  lineStarts: readonly number[];
}

export function makeSource(file: string, text: string): Source {
  const lineStarts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lineStarts.push(at + 1);
  return { file, text, lineStarts };
}

/** Line and column of an offset; columns count UTF-16 units, as editors and language servers do. */
export function positionAt({ file, text, lineStarts }: Source, offset: number): Position {
  const inside = Math.max(0, Math.min(offset, text.length));
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((lineStarts[middle] ?? 0) <= inside) low = middle;
    else high = middle - 1;
  }
  return { file, line: low + 1, column: inside - (lineStarts[low] ?? 0) + 1 };
}

/** A place, for a message. */
export const at = ({ file, line, column }: Position): string => `${file}:${line}:${column}`;

/** A problem at a place in a text, with its excerpt. */
export function problemAt(source: Source, offset: number, found: Finding): Problem {
  const position = positionAt(source, offset);
  return { ...fileProblem(position, found), excerpt: excerpt(lineOf(source, position.line), position) };
}

/** A problem of a file or folder as such, where there is no line to show. */
export function fileProblem(at: string | Position, { path, message, hint }: Finding): Problem {
  const position = typeof at === 'string' ? { file: at, line: 1, column: 1 } : at;
  return {
    position,
    ...(path ? { path: visible(path) } : {}),
    message: visible(message),
    ...(hint === undefined ? {} : { hint: visible(hint) }),
  };
}

/** What is wrong, before it is known where. */
export interface Finding {
  path?: string;
  message: string;
  hint?: string | undefined;
}

function lineOf({ text, lineStarts }: Source, line: number): string {
  const end = lineStarts[line] ?? text.length + 1;
  return text.slice(lineStarts[line - 1] ?? 0, end - 1);
}
