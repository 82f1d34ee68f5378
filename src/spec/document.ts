import { positionAt, problemAtOffset, type SourceFile } from './source-file.ts';
import type { Position, Problem } from './types.ts';

/** A YAML document as plain data, with the position of every value. */
export interface ParsedDocument {
  source: SourceFile;
  value: unknown;
  /** Spans by path in the form of `formatPath`. */
  spans: ReadonlyMap<string, Span>;
  /** Paths of values that are already reported as invalid. Later checks ignore these values. */
  invalidPaths: readonly Path[];
  /** The values from Defaults are unknown, so no field can be reported as missing. */
  isPartial?: true;
}

/** Offsets of a value and its key in the text, and the form in which the value is written. */
export interface Span {
  valueOffset: number;
  keyOffset?: number;
  /** A mapping or list on its own lines. Problems point at its key instead. */
  isBlock: boolean;
  /** A plain scalar as written, `012345678901`. */
  rawText?: string;
  /** The file of the Defaults document from which the value is inherited. */
  defaultsFile?: SourceFile;
  /**
   * The hint for a value that consists of a single variable: its name, its value and the position of its declaration.
   */
  variableHint?: string;
}

/**
 * Returns the position of a path, or of the nearest ancestor in the text. With `atKey`, it returns the position of the
 * key instead of the value.
 */
export function positionOf(parsed: ParsedDocument, path: Path, atKey = false): Position {
  const { source, offset } = locatePath(parsed, path, atKey);
  return positionAt(source, offset);
}

/**
 * Returns a problem at a path, with a code frame. If the value comes from Defaults, the problem also names the spec.
 */
export function problemAtPath(
  parsed: ParsedDocument,
  path: Path,
  message: string,
  hint?: string,
  atKey = false,
): Problem {
  const { source, offset, isFromDefaults } = locatePath(parsed, path, atKey);
  const problem = problemAtOffset(source, offset, { path: formatPath(path), message, hint });
  if (!isFromDefaults) return problem;
  const name = textAtPath(parsed.value, ['metadata', 'name']);
  return { ...problem, takenBy: { name, position: positionOf(parsed, ['metadata', 'name']) } };
}

/** Returns a scalar as written, for numbers that should be strings. */
export const rawTextAt = ({ spans }: ParsedDocument, path: Path): string | undefined =>
  spans.get(formatPath(path))?.rawText;

/** Returns the hint for a value that consists of a single variable. */
export const variableHintAt = ({ spans }: ParsedDocument, path: Path): string | undefined =>
  spans.get(formatPath(path))?.variableHint;

/** Returns the positions of all paths of a document. */
export function positionsByPath({ source, spans }: ParsedDocument): Record<string, Position> {
  return Object.fromEntries(
    [...spans].map(
      ([path, span]) => [path, positionAt(span.defaultsFile ?? source, anchorOffset(span))] as const,
    ),
  );
}

interface SourceOffset {
  source: SourceFile;
  offset: number;
  isFromDefaults?: true;
}

/** Returns the file and offset of a path. A missing value is located in the document itself, never in its Defaults. */
function locatePath({ source, spans }: ParsedDocument, path: Path, atKey: boolean): SourceOffset {
  const span = spans.get(formatPath(path));
  if (span) {
    const offset = atKey ? (span.keyOffset ?? span.valueOffset) : anchorOffset(span);
    return span.defaultsFile
      ? { source: span.defaultsFile, offset, isFromDefaults: true }
      : { source, offset };
  }
  for (let length = path.length - 1; length >= 0; length--) {
    const ancestor = spans.get(formatPath(path.slice(0, length)));
    if (ancestor && !ancestor.defaultsFile) return { source, offset: anchorOffset(ancestor) };
  }
  return { source, offset: 0 };
}

const anchorOffset = ({ keyOffset, valueOffset, isBlock }: Span): number =>
  isBlock ? (keyOffset ?? valueOffset) : valueOffset;

/** The path to a value: keys of mappings and indexes of lists. */
export type Path = readonly PropertyKey[];

/**
 * Formats a path, `spec.rules[0].prefix`. A key with other characters than letters, digits, `_` and `-` is quoted:
 * `metadata.labels["app/part"]`.
 */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^[\w-]+$/.test(String(part))) text += `[${JSON.stringify(String(part))}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}

/** Returns whether the paths are equal, or one is an ancestor of the other. */
export function pathsOverlap(a: Path, b: Path): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return short.every((part, index) => part === long[index]);
}

/** Returns whether the first path is equal to the second, or an ancestor of it. */
export const isPrefixOf = (ancestor: Path, path: Path): boolean =>
  ancestor.every((part, index) => part === path[index]);

/** Returns the value at a path; undefined when there is none. */
export function valueAtPath(value: unknown, path: Path): unknown {
  let current = value;
  for (const part of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, part)) return undefined;
    current = (current as Record<PropertyKey, unknown>)[part];
  }
  return current;
}

/** Returns the value at a path as text; empty for a mapping or list, whose `toString` can be a key of the document. */
export function textAtPath(value: unknown, path: Path): string {
  const target = valueAtPath(value, path);
  return typeof target === 'object' ? '' : String(target);
}

/** Returns a copy of a value with other values at the paths; undefined removes the value. */
export function replaceAtPaths(
  value: unknown,
  paths: readonly Path[],
  replacementFor: (path: Path) => unknown,
): unknown {
  const copy = structuredClone(value);
  for (const path of paths) {
    const container = valueAtPath(copy, path.slice(0, -1));
    const lastPart = path.at(-1);
    if (lastPart === undefined || typeof container !== 'object' || container === null) continue;
    const replacement = replacementFor(path);
    if (replacement === undefined) delete (container as Record<PropertyKey, unknown>)[lastPart];
    else (container as Record<PropertyKey, unknown>)[lastPart] = replacement;
  }
  return copy;
}
