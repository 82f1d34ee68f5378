import { formatPath, type Path } from './path.ts';
import { positionAt, problemAt, type Source } from './source.ts';
import type { Position, Problem } from './types.ts';

/** One YAML document as plain data, which remembers where everything stands. */
export interface Parsed {
  source: Source;
  value: unknown;
  /** By path, as `formatPath` writes it. */
  places: ReadonlyMap<string, Place>;
}

/** Where a value stands in the text, where its key does, and how it is written there. */
export interface Place {
  value: number;
  key?: number;
  /** A mapping or list in lines of its own: its key is the better place to point at. */
  isBlock: boolean;
  /** A plain scalar as it is written, `012345678901`. */
  written?: string;
}

/** Position of a path, or of the nearest one around it that is written; with `key`, of the key rather than the value. */
export function positionOf(parsed: Parsed, path: Path, key = false): Position {
  return positionAt(parsed.source, offsetOf(parsed, path, key));
}

/** A problem at a path, with its excerpt. */
export function problem(parsed: Parsed, path: Path, message: string, hint?: string, key = false): Problem {
  return problemAt(parsed.source, offsetOf(parsed, path, key), { path: formatPath(path), message, hint });
}

/** A scalar as it was written, for numbers that should have been strings. */
export const writtenAt = ({ places }: Parsed, path: Path): string | undefined =>
  places.get(formatPath(path))?.written;

/** Every path of a document with its position. */
export function positions({ source, places }: Parsed): Record<string, Position> {
  return Object.fromEntries(
    [...places].map(([path, place]) => [path, positionAt(source, pointOf(place))] as const),
  );
}

function offsetOf({ places }: Parsed, path: Path, key: boolean): number {
  const place = places.get(formatPath(path));
  if (place) return key ? (place.key ?? place.value) : pointOf(place);
  for (let length = path.length - 1; length >= 0; length--) {
    const around = places.get(formatPath(path.slice(0, length)));
    if (around) return pointOf(around);
  }
  return 0;
}

const pointOf = ({ key, value, isBlock }: Place): number => (isBlock ? (key ?? value) : value);
