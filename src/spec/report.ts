import { visible } from './excerpt.ts';
import type { Problem } from './types.ts';

/** Problems for a person: `file:line:column  path: message`, the line with a caret, and what to do. */
export function formatProblems(problems: readonly Problem[]): string {
  const sorted = [...problems].sort(
    (a, b) =>
      (a.position.file < b.position.file ? -1 : a.position.file > b.position.file ? 1 : 0) ||
      a.position.line - b.position.line ||
      a.position.column - b.position.column,
  );
  return sorted.map(formatProblem).join('\n\n');
}

function formatProblem({ position, path, message, hint, excerpt }: Problem): string {
  const place = `${visible(position.file)}:${position.line}:${position.column}`;
  const subject = path ? `${visible(path)}: ` : '';
  return [
    `${place}  ${subject}${visible(message)}`,
    ...(excerpt ? [excerpt] : []),
    ...(hint ? [`  → ${visible(hint)}`] : []),
  ].join('\n');
}
