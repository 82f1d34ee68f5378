import { escapeUnprintable } from '../util/escape.ts';
import { codeFrame } from './code-frame.ts';
import type { Position, Problem } from './types.ts';

/** The text of one file, and where its lines start. */
export interface SourceFile {
  file: string;
  text: string;
  lineStarts: readonly number[];
}

export function createSourceFile(file: string, text: string): SourceFile {
  const lineStarts = [0];
  for (let index = text.indexOf('\n'); index !== -1; index = text.indexOf('\n', index + 1))
    lineStarts.push(index + 1);
  return { file, text, lineStarts };
}

/** Line and column of an offset; columns count UTF-16 units, as editors and language servers do. */
export function positionAt({ file, text, lineStarts }: SourceFile, offset: number): Position {
  const clampedOffset = Math.max(0, Math.min(offset, text.length));
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((lineStarts[middle] ?? 0) <= clampedOffset) low = middle;
    else high = middle - 1;
  }
  return { file, line: low + 1, column: clampedOffset - (lineStarts[low] ?? 0) + 1 };
}

/** A place, for a message. */
export const formatPosition = ({ file, line, column }: Position): string => `${file}:${line}:${column}`;

/** A problem at a place in a text, with its excerpt. */
export function problemAtOffset(source: SourceFile, offset: number, details: ProblemDetails): Problem {
  const position = positionAt(source, offset);
  return {
    ...fileProblem(position, details),
    excerpt: codeFrame(lineTextOf(source, position.line), position),
  };
}

/** A problem of a file or folder as such, where there is no line to show. */
export function fileProblem(
  fileOrPosition: string | Position,
  { path, message, hint }: ProblemDetails,
): Problem {
  const position =
    typeof fileOrPosition === 'string' ? { file: fileOrPosition, line: 1, column: 1 } : fileOrPosition;
  return {
    position,
    ...(path ? { path: escapeUnprintable(path) } : {}),
    message: escapeUnprintable(message),
    ...(hint === undefined ? {} : { hint: escapeUnprintable(hint) }),
  };
}

/** What is wrong, before it is known where. */
export interface ProblemDetails {
  path?: string;
  message: string;
  hint?: string | undefined;
}

function lineTextOf({ text, lineStarts }: SourceFile, line: number): string {
  const end = lineStarts[line] ?? text.length + 1;
  return text.slice(lineStarts[line - 1] ?? 0, end - 1);
}
