import { formatPath, type Path, textAt } from './path.ts';
import { positionAt, problemAt, type Source } from './source.ts';
import type { Position, Problem } from './types.ts';

/** One YAML document as plain data, which remembers where everything stands. */
export interface Parsed {
  source: Source;
  value: unknown;
  /** By path, as `formatPath` writes it. */
  places: ReadonlyMap<string, Place>;
  /** What was found wrong already: nothing more is said of it, and what stands there means nothing. */
  wrong: readonly Path[];
  /** What it takes from Defaults is not known, so that nothing can be called missing. */
  isPartial?: true;
}

/** Where a value stands in the text, where its key does, and how it is written there. */
export interface Place {
  value: number;
  key?: number;
  /** A mapping or list in lines of its own: its key is the better place to point at. */
  isBlock: boolean;
  /** A plain scalar as it is written, `012345678901`. */
  written?: string;
  /** The text in which it stands, where that is of the Defaults it was taken from. */
  taken?: Source;
  /** The variable that is the whole value, and where that is declared. */
  variable?: string;
}

/** Position of a path, or of the nearest one around it that is written; with `key`, of the key rather than the value. */
export function positionOf(parsed: Parsed, path: Path, key = false): Position {
  const { source, offset } = spotOf(parsed, path, key);
  return positionAt(source, offset);
}

/** A problem at a path, with its excerpt, and with the spec that it is about where it stands in Defaults. */
export function problem(parsed: Parsed, path: Path, message: string, hint?: string, key = false): Problem {
  const { source, offset, isTaken } = spotOf(parsed, path, key);
  const found = problemAt(source, offset, { path: formatPath(path), message, hint });
  if (!isTaken) return found;
  const name = textAt(parsed.value, ['metadata', 'name']);
  return { ...found, takenBy: { name, position: positionOf(parsed, ['metadata', 'name']) } };
}

/** A scalar as it was written, for numbers that should have been strings. */
export const writtenAt = ({ places }: Parsed, path: Path): string | undefined =>
  places.get(formatPath(path))?.written;

/** The variable that is the whole value at a path, and where it is declared. */
export const variableAt = ({ places }: Parsed, path: Path): string | undefined =>
  places.get(formatPath(path))?.variable;

/** Every path of a document with its position. */
export function positions({ source, places }: Parsed): Record<string, Position> {
  return Object.fromEntries(
    [...places].map(([path, place]) => [path, positionAt(place.taken ?? source, pointOf(place))] as const),
  );
}

interface Spot {
  source: Source;
  offset: number;
  isTaken?: true;
}

/** What is not written anywhere is missing in the document itself, never in the Defaults that it takes. */
function spotOf({ source, places }: Parsed, path: Path, key: boolean): Spot {
  const place = places.get(formatPath(path));
  if (place) {
    const offset = key ? (place.key ?? place.value) : pointOf(place);
    return place.taken ? { source: place.taken, offset, isTaken: true } : { source, offset };
  }
  for (let length = path.length - 1; length >= 0; length--) {
    const around = places.get(formatPath(path.slice(0, length)));
    if (around && !around.taken) return { source, offset: pointOf(around) };
  }
  return { source, offset: 0 };
}

const pointOf = ({ key, value, isBlock }: Place): number => (isBlock ? (key ?? value) : value);
