import { positionAt, problemAtOffset, type SourceFile } from './source-file.ts';
import type { Position, Problem } from './types.ts';

/** One YAML document as plain data, which remembers where everything stands. */
export interface ParsedDocument {
  source: SourceFile;
  value: unknown;
  /** By path, as `formatPath` writes it. */
  spans: ReadonlyMap<string, Span>;
  /** What was found wrong already: nothing more is said of it, and what stands there means nothing. */
  invalidPaths: readonly Path[];
  /** What it takes from Defaults is not known, so that nothing can be called missing. */
  isPartial?: true;
}

/** Where a value stands in the text, where its key does, and how it is written there. */
export interface Span {
  valueOffset: number;
  keyOffset?: number;
  /** A mapping or list in lines of its own: its key is the better place to point at. */
  isBlock: boolean;
  /** A plain scalar as it is written, `012345678901`. */
  rawText?: string;
  /** The text in which it stands, where that is of the Defaults it was taken from. */
  defaultsFile?: SourceFile;
  /** The variable that is the whole value, and where that is declared. */
  variableHint?: string;
}

/** Position of a path, or of the nearest one around it that is written; with `key`, of the key rather than the value. */
export function positionOf(parsed: ParsedDocument, path: Path, atKey = false): Position {
  const { source, offset } = locatePath(parsed, path, atKey);
  return positionAt(source, offset);
}

/** A problem at a path, with its excerpt, and with the spec that it is about where it stands in Defaults. */
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

/** A scalar as it was written, for numbers that should have been strings. */
export const rawTextAt = ({ spans }: ParsedDocument, path: Path): string | undefined =>
  spans.get(formatPath(path))?.rawText;

/** The variable that is the whole value at a path, and where it is declared. */
export const variableHintAt = ({ spans }: ParsedDocument, path: Path): string | undefined =>
  spans.get(formatPath(path))?.variableHint;

/** Every path of a document with its position. */
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

/** What is not written anywhere is missing in the document itself, never in the Defaults that it takes. */
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

/** The way to a value: keys of mappings and indexes of lists. */
export type Path = readonly PropertyKey[];

/** `spec.rules[0].prefix`; a key that is no plain word stands in quotes, `metadata.labels["app/part"]`. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^[\w-]+$/.test(String(part))) text += `[${JSON.stringify(String(part))}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}

/** Whether one path is the other, or leads through it. */
export function pathsOverlap(a: Path, b: Path): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return short.every((part, index) => part === long[index]);
}

/** Whether what stands at the second path is, or is in, what stands at the first. */
export const isPrefixOf = (ancestor: Path, path: Path): boolean =>
  ancestor.every((part, index) => part === path[index]);

/** What stands at a path; undefined where nothing does. */
export function valueAtPath(value: unknown, path: Path): unknown {
  let current = value;
  for (const part of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, part)) return undefined;
    current = (current as Record<PropertyKey, unknown>)[part];
  }
  return current;
}

/** What stands at a path, as text; nothing for a mapping or a list: its `toString` may be a key that somebody wrote. */
export function textAtPath(value: unknown, path: Path): string {
  const target = valueAtPath(value, path);
  return typeof target === 'object' ? '' : String(target);
}

/** The same value with something else at the paths; undefined takes away what is there. */
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
