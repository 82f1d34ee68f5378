import { type Parsed, problem } from './document.ts';
import { MAX_TAKEN } from './limits.ts';
import { keyReference } from './names.ts';
import { formatPath, isAlong, type Path, valueAt } from './path.ts';
import { suggest } from './suggest.ts';
import type { Problem } from './types.ts';
import type { Valid } from './validate.ts';

/** Defaults by name; undefined where they are so wrong that nothing can be taken from them. */
type Known = ReadonlyMap<string, Parsed | undefined>;

/** Pairs with what they take from the Defaults that they name. `valid`: what is known of these. */
export function takeDefaults(
  documents: readonly Parsed[],
  defaults: readonly Parsed[],
  valid: readonly Valid[],
): { documents: Parsed[]; problems: Problem[] } {
  const known = knownDefaults(defaults, valid);
  const problems: Problem[] = [];
  const completed: Parsed[] = [];
  let taken = 0;
  for (const parsed of documents) {
    const { document, found } = complete(parsed, known);
    completed.push(document);
    problems.push(...found);
    taken += document.places.size - parsed.places.size;
    if (taken <= MAX_TAKEN) continue;
    const message = `all specs together take more than ${MAX_TAKEN.toLocaleString('en')} values from Defaults`;
    const hint = 'leave less to Defaults, or give fewer specs at once';
    problems.push(problem(parsed, DEFAULTS, message, hint));
    return { documents: documents.map((one) => ({ ...one, isPartial: true })), problems };
  }
  return { documents: completed, problems };
}

const DEFAULTS: Path = ['spec', 'defaults'];

function complete(parsed: Parsed, known: Known): { document: Parsed; found: Problem[] } {
  const name = valueAt(parsed.value, DEFAULTS);
  if (valueAt(parsed.value, ['kind']) !== 'BucketReplication' || name === undefined)
    return { document: parsed, found: [] };
  const partial: Parsed = { ...parsed, isPartial: true };
  const isTold = typeof name !== 'string' || parsed.wrong.some((path) => isAlong(path, DEFAULTS));
  if (isTold) return { document: partial, found: [] };
  if (!known.has(name)) return { document: partial, found: [unknown(parsed, name, known)] };
  const from = known.get(name);
  return { document: from ? merge(parsed, from) : partial, found: [] };
}

/** The first of a name counts; that there is another is told elsewhere. */
function knownDefaults(defaults: readonly Parsed[], valid: readonly Valid[]): Known {
  const sound = new Map(valid.map(({ parsed, wrong }) => [parsed, wrong]));
  const known = new Map<string, Parsed | undefined>();
  for (const parsed of defaults) {
    const name = valueAt(parsed.value, ['metadata', 'name']);
    if (typeof name !== 'string' || known.has(name)) continue;
    const wrong = sound.get(parsed);
    known.set(name, wrong && { ...parsed, wrong });
  }
  return known;
}

function unknown(parsed: Parsed, name: string, known: Known): Problem {
  const meant = suggest(name, [...known.keys()]);
  const hint =
    meant === undefined
      ? 'add one: kind: Defaults with metadata.name and spec, and name its file too'
      : `did you mean ${meant}?`;
  return problem(parsed, DEFAULTS, `there is no Defaults document named ${name}`, hint);
}

/**
 * Fields of which one says the other: where a pair has one, the other is not taken. A text is short for the first two
 * of a key, so that what Defaults say of its rotation is not lost where a pair writes `key: alias/its-own`.
 */
const EITHER: ReadonlyMap<string, readonly string[]> = new Map([
  ['spec.source.key', ['alias', 'arn']],
  ['spec.destination.key', ['alias', 'arn']],
  ['spec.role', ['name', 'arn']],
]);

type Mapping = Readonly<Record<string, unknown>>;

/** Mappings field by field, down to what the pair writes itself; of lists and single values, its own count as a whole. */
function merge(pair: Parsed, defaults: Parsed): Parsed {
  const places = new Map(pair.places);

  /** The place of something that is taken, and of all that is in it. */
  const take = (value: unknown, path: Path, at = formatPath(path)): unknown => {
    const place = defaults.places.get(at);
    if (place) places.set(formatPath(path), { ...place, taken: defaults.source });
    if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value))
        take(item, [...path, Array.isArray(value) ? Number(key) : key]);
    }
    return value;
  };

  const join = (own: unknown, other: unknown, path: Path): unknown => {
    if (KEY.test(formatPath(path))) {
      if (isKey(own) && isMapping(other)) return joinMappings(long(own, path), other, path);
      if (isMapping(own) && isKey(other)) return joinMappings(own, { [formOf(other)]: other }, path);
    }
    return isMapping(own) && isMapping(other) ? joinMappings(own, other, path) : own;
  };

  /** A key in its short form as a mapping, whose one field stands where the text does. */
  const long = (key: string, path: Path): Mapping => {
    const place = pair.places.get(formatPath(path));
    if (place) places.set(formatPath([...path, formOf(key)]), place);
    return { [formOf(key)]: key };
  };

  const joinMappings = (own: Mapping, other: Mapping, path: Path): Mapping => {
    const place = formatPath(path);
    const either = EITHER.get(place) ?? [];
    const isSaid = either.some((key) => Object.hasOwn(own, key));
    const fields = Object.entries(own).map(([key, value]) => [
      key,
      Object.hasOwn(other, key) ? join(value, other[key], [...path, key]) : value,
    ]);
    const taken = Object.entries(other)
      .filter(([key]) => !Object.hasOwn(own, key) && !(isSaid && either.includes(key)))
      .map(([key, value]) => {
        const inside = [...path, key];
        // The field of a short form has no place of its own.
        return [key, take(value, inside, defaults.places.has(formatPath(inside)) ? undefined : place)];
      });
    return Object.fromEntries([...fields, ...taken]) as Mapping;
  };

  const spec = join(valueAt(pair.value, ['spec']), valueAt(defaults.value, ['spec']), ['spec']);
  const wrong = defaults.wrong.filter(([first]) => first === 'spec');
  return {
    ...pair,
    value: { ...(pair.value as Mapping), spec },
    places,
    wrong: [...pair.wrong, ...wrong.filter((path) => !pair.places.has(formatPath(path)))],
  };
}

const KEY = /^spec\.(source|destination)\.key$/;

/** A key in its short form, if it is one: what is not stays as it is written, and is judged as such. */
const isKey = (value: unknown): value is string =>
  typeof value === 'string' && keyReference(value) === undefined;

const formOf = (key: string): string => (key.startsWith('alias/') ? 'alias' : 'arn');
const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
