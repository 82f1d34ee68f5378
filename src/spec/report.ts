import { byCodeUnit } from '../canonical.ts';
import { visible } from '../visible.ts';
import type { Position, Problem } from './types.ts';

/** Problems for a person: `file:line:column  path: message`, the line with a caret, and what to do. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.toSorted(byPlace).map(formatProblem).join('\n\n');
}

/** A problem for a log, on one line: `file:line:column  path: message → what to do`. */
export const problemLine = ({ position, path, message, hint }: Problem): string =>
  `${placeOf(position)}  ${path ? `${path}: ` : ''}${message}${hint ? ` → ${hint}` : ''}`;

/** By file, line and column. */
export const byPlace = ({ position: a }: Problem, { position: b }: Problem): number =>
  byCodeUnit(a.file, b.file) || a.line - b.line || a.column - b.column;

function formatProblem({ position, path, message, hint, excerpt, takenBy }: Problem): string {
  return [
    `${placeOf(position)}  ${path ? `${path}: ` : ''}${message}`,
    ...(excerpt ? [excerpt] : []),
    ...(takenBy
      ? [`  in the spec ${visible(takenBy.name)} (${placeOf(takenBy.position)}), which takes these defaults`]
      : []),
    ...(hint ? [`  → ${hint}`] : []),
  ].join('\n');
}

const placeOf = ({ file, line, column }: Position): string => `${fileName(file)}:${line}:${column}`;

/** A line that starts with `::` or `##[` is a command to some CI systems. */
const fileName = (file: string): string => visible(/^\s*::/.test(file) ? `./${file}` : file);
