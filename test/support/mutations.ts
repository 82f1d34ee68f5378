import fc from 'fast-check';

/**
 * Mutations of real documents: changed bytes, pieces that are repeated, removed or moved, values of other types, keys with
 * a meaning in JavaScript, and very large inputs.
 */

const TIMES = Math.max(1, Number(process.env.FUZZ_TIMES ?? 1));

/** Returns the number of runs of a property, multiplied by FUZZ_TIMES, and its timeout. */
export const fuzzRuns = (runs: number) => ({
  property: { numRuns: runs * TIMES },
  test: { timeout: 60_000 * TIMES },
});

/** The number of characters of a very large input, within the time of the suite. */
export const MANY_CHARACTERS = TIMES < 10 ? 60_000 : 1_000_000;

/** Returns properties that an input has added to shared prototypes. */
export const pollutedProperties = (): string[] =>
  [Object.prototype, Array.prototype, Function.prototype].flatMap((prototype) =>
    Object.getOwnPropertyNames(prototype).filter((name) => !PRISTINE.has(name)),
  );

const PRISTINE = new Set(
  [Object.prototype, Array.prototype, Function.prototype].flatMap((prototype) =>
    Object.getOwnPropertyNames(prototype),
  ),
);

interface ByteMutation {
  at: number;
  length: number;
  insert: Uint8Array;
  times: number;
  to: number;
}

/** Generates files with mutated bytes. `words` are tokens of their language to insert. */
export function mutatedBytes(
  originals: readonly (string | Uint8Array)[],
  words: readonly (string | number[])[],
): fc.Arbitrary<Uint8Array> {
  const buffers = originals.map((original) => Buffer.from(original));
  const insert = fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 6 }) },
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        ...words.map((word) => (typeof word === 'string' ? Buffer.from(word) : Buffer.from(word))),
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom(...buffers) },
  );
  const mutation = fc.record({
    at: fc.nat(),
    length: fc.oneof(fc.constant(0), fc.nat(12), fc.nat(400)),
    insert,
    times: fc.oneof({ weight: 9, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(3_000) }),
    to: fc.nat(),
  });
  return fc
    .tuple(fc.constantFrom(...buffers), fc.array(mutation, { minLength: 1, maxLength: 5 }))
    .map(([original, mutations]) => mutations.reduce<Uint8Array>(changeBytes, original));
}

/** Removes a piece, may insert it elsewhere, and inserts another one in its place, perhaps many times. */
function changeBytes(bytes: Uint8Array, { at, length, insert, times, to }: ByteMutation): Uint8Array {
  const start = at % (bytes.length + 1);
  const cut = bytes.subarray(start, start + length);
  const put = Array<Uint8Array>(insert.length * times > 200_000 ? 1 : times).fill(insert);
  const changed = Buffer.concat([bytes.subarray(0, start), ...put, bytes.subarray(start + length)]);
  const target = to % (changed.length + 1);
  return to % 2 === 0 ? changed : Buffer.concat([changed.subarray(0, target), cut, changed.subarray(target)]);
}

/** Returns nested brackets, deep enough to overflow the stack of a recursive parser. */
export const nestedText = (levels: number, open = '[', close = ']'): string =>
  open.repeat(levels) + close.repeat(levels);

/** Unexpected JSON values. They are text, because `__proto__` can be a key only in text. */
const UNEXPECTED_VALUES: readonly string[] = [
  'null',
  'true',
  '0',
  '-1',
  '1e400',
  '1e-7',
  '9007199254740993',
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '"\\u001b[2J\\u202e"',
  '"__proto__"',
  JSON.stringify(
    ['aws:username', '*', '']
      .map((name) => `\${${name}}`)
      .join('')
      .slice(0, -1),
  ),
  JSON.stringify('*?'.repeat(3_000)),
  JSON.stringify('x'.repeat(100_000)),
  JSON.stringify('%'),
  '[]',
  '{}',
  '[[]]',
  '[null]',
  '[{}]',
  '["a",5,null,{"a":[]}]',
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"toString":1,"valueOf":null,"hasOwnProperty":"x","length":-1}',
  '{"unread":"x"}',
  '{"then":1}',
  nestedText(3_000),
  `${'{"a":'.repeat(3_000)}1${'}'.repeat(3_000)}`,
];

const KEYS = ['__proto__', 'constructor', 'prototype', 'toString', '', '\u001b[31m', '0', 'length'];

/** Replaces, removes, duplicates or renames one part of a JSON value. */
interface JsonMutation {
  at: number;
  how: 'odd' | 'any' | 'remove' | 'rename' | 'double' | 'borrow';
  odd: string;
  any: string;
  key: string;
  from: number;
}

const jsonMutation: fc.Arbitrary<JsonMutation> = fc.record({
  at: fc.nat(),
  how: fc.constantFrom('odd', 'odd', 'any', 'remove', 'rename', 'double', 'borrow'),
  odd: fc.constantFrom(...UNEXPECTED_VALUES),
  any: fc.json({ maxDepth: 2 }),
  key: fc.constantFrom(...KEYS),
  from: fc.nat(),
});

/** Generates JSON documents of another form, as text. */
export const mutatedJson = (originals: readonly unknown[], maxMutations = 4): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom(...originals.map((original) => JSON.stringify(original))),
      fc.array(jsonMutation, { minLength: 1, maxLength: maxMutations }),
    )
    .map(([original, mutations]) => mutations.reduce(changeJson, original));

/** The location of a value in a document: its parent and its key. */
interface JsonLocation {
  holder: Record<string, unknown> | unknown[];
  key: string;
}

/** JSON text that `stringifyWithRaw` inserts as it is. */
class RawText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

function changeJson(text: string, { at, how, odd, any, key, from }: JsonMutation): string {
  // A document that an earlier mutation nested deeply stays as it is.
  if (/(\[|\{"a":){2000}/.test(text)) return text;
  const root = { document: JSON.parse(text) as unknown };
  const spots = spotsOf(root);
  const spot = spots[at % spots.length];
  if (!spot) return text;
  const { holder } = spot;
  const value = Reflect.get(holder, spot.key) as unknown;
  const put = (name: string, newValue: unknown) =>
    Object.defineProperty(holder, name, {
      value: newValue,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  const donor = spots[from % spots.length];
  if (how === 'odd') put(spot.key, new RawText(odd));
  if (how === 'any') put(spot.key, new RawText(any));
  if (how === 'borrow' && donor)
    put(spot.key, new RawText(JSON.stringify(Reflect.get(donor.holder, donor.key))));
  if (how === 'remove' && holder !== root) remove(holder, spot.key);
  if (how === 'double' && Array.isArray(holder)) holder.push(value);
  if (how === 'rename' && !Array.isArray(holder) && holder !== root) {
    remove(holder, spot.key);
    put(key, value);
  }
  return stringifyWithRaw(root.document);
}

function remove(holder: JsonLocation['holder'], key: string): void {
  if (Array.isArray(holder)) holder.splice(Number(key), 1);
  else Reflect.deleteProperty(holder, key);
}

function spotsOf(value: unknown): JsonLocation[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).flatMap((key) => [
    { holder: value as JsonLocation['holder'], key },
    ...spotsOf(Reflect.get(value, key)),
  ]);
}

/** Like `JSON.stringify`, but inserts `RawText` unchanged. */
function stringifyWithRaw(value: unknown): string {
  if (value instanceof RawText) return value.text;
  if (Array.isArray(value)) return `[${value.map(stringifyWithRaw).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  return `{${Object.keys(value)
    .map((key) => `${JSON.stringify(key)}:${stringifyWithRaw(Reflect.get(value, key))}`)
    .join(',')}}`;
}
