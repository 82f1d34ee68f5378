import { compareCodeUnits } from '../util/canonical-json.ts';
import { escapeUnprintable } from '../util/escape.ts';
import type { Position, Problem } from './types.ts';

/** Problems for a person: `file:line:column  path: message`, the line with a caret, and what to do. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.toSorted(compareProblems).map(formatProblem).join('\n\n');
}

/** A problem for a log, on one line: `file:line:column  path: message → what to do`. */
export const formatProblemLine = ({ position, path, message, hint }: Problem): string =>
  `${formatSafePosition(position)}  ${path ? `${path}: ` : ''}${message}${hint ? ` → ${hint}` : ''}`;

/** By file, line and column. */
export const compareProblems = ({ position: a }: Problem, { position: b }: Problem): number =>
  compareCodeUnits(a.file, b.file) || a.line - b.line || a.column - b.column;

function formatProblem({ position, path, message, hint, excerpt, takenBy }: Problem): string {
  return [
    `${formatSafePosition(position)}  ${path ? `${path}: ` : ''}${message}`,
    ...(excerpt ? [excerpt] : []),
    ...(takenBy
      ? [
          `  in the spec ${escapeUnprintable(takenBy.name)} (${formatSafePosition(takenBy.position)}), which takes these defaults`,
        ]
      : []),
    ...(hint ? [`  → ${hint}`] : []),
  ].join('\n');
}

const formatSafePosition = ({ file, line, column }: Position): string =>
  `${safeFileName(file)}:${line}:${column}`;

/** A line that starts with `::` or `##[` is a command to some CI systems. */
const safeFileName = (file: string): string => escapeUnprintable(/^\s*::/.test(file) ? `./${file}` : file);
