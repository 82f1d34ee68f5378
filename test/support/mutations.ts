import fc from 'fast-check';

/**
 * What becomes of real documents on their way in: bytes changed, pieces doubled, cut out and put elsewhere, values of
 * other types, keys that mean something to JavaScript, and far too much of anything.
 */

const TIMES = Math.max(1, Number(process.env.FUZZ_TIMES ?? 1));

/** How often a property is tried: FUZZ_TIMES as often as in the suite. */
export const fuzzRuns = (runs: number) => ({
  property: { numRuns: runs * TIMES },
  test: { timeout: 60_000 * TIMES },
});

/** How many characters count as very many: as many as there is time for. */
export const MANY_CHARACTERS = TIMES < 10 ? 60_000 : 1_000_000;

/** Nothing that comes in may leave a trace on the prototypes that all objects share. */
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

/** Files as they may have become, by bytes; `words`: what is worth putting in, in their language. */
export function mutatedBytes(
  originals: readonly (string | Uint8Array)[],
  words: readonly (string | number[])[],
): fc.Arbitrary<Uint8Array> {
  const known = originals.map((one) => Buffer.from(one));
  const insert = fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 6 }) },
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        ...words.map((word) => (typeof word === 'string' ? Buffer.from(word) : Buffer.from(word))),
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom(...known) },
  );
  const mutation = fc.record({
    at: fc.nat(),
    length: fc.oneof(fc.constant(0), fc.nat(12), fc.nat(400)),
    insert,
    times: fc.oneof({ weight: 9, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(3_000) }),
    to: fc.nat(),
  });
  return fc
    .tuple(fc.constantFrom(...known), fc.array(mutation, { minLength: 1, maxLength: 5 }))
    .map(([original, mutations]) => mutations.reduce<Uint8Array>(changeBytes, original));
}

/** Take a piece out, put it elsewhere, and something in its place, perhaps many times. */
function changeBytes(bytes: Uint8Array, { at, length, insert, times, to }: ByteMutation): Uint8Array {
  const start = at % (bytes.length + 1);
  const cut = bytes.subarray(start, start + length);
  const put = Array<Uint8Array>(insert.length * times > 200_000 ? 1 : times).fill(insert);
  const changed = Buffer.concat([bytes.subarray(0, start), ...put, bytes.subarray(start + length)]);
  const target = to % (changed.length + 1);
  return to % 2 === 0 ? changed : Buffer.concat([changed.subarray(0, target), cut, changed.subarray(target)]);
}

/** So deep that whoever recurses runs out of stack. */
export const nestedText = (levels: number, open = '[', close = ']'): string =>
  open.repeat(levels) + close.repeat(levels);

/** Values of JSON that nobody expects, as text, since `__proto__` can be a key in text alone. */
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

/** A value as text with one part of it exchanged, left out, doubled or renamed. */
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

/** Documents of JSON as they may have become, as text: each is JSON still, but of another form. */
export const mutatedJson = (originals: readonly unknown[], most = 4): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom(...originals.map((one) => JSON.stringify(one))),
      fc.array(jsonMutation, { minLength: 1, maxLength: most }),
    )
    .map(([original, mutations]) => mutations.reduce(changeJson, original));

/** Where something stands in a document, as text is rewritten: a holder and its key. */
interface JsonLocation {
  holder: Record<string, unknown> | unknown[];
  key: string;
}

/** Stands for a text until the document is text again. */
class RawText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

function changeJson(text: string, { at, how, odd, any, key, from }: JsonMutation): string {
  // What an earlier change put in is left as it is where it is deep.
  if (/(\[|\{"a":){2000}/.test(text)) return text;
  const root = { document: JSON.parse(text) as unknown };
  const spots = spotsOf(root);
  const spot = spots[at % spots.length];
  if (!spot) return text;
  const { holder } = spot;
  const value = Reflect.get(holder, spot.key) as unknown;
  const put = (name: string, what: unknown) =>
    Object.defineProperty(holder, name, {
      value: what,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  const other = spots[from % spots.length];
  if (how === 'odd') put(spot.key, new RawText(odd));
  if (how === 'any') put(spot.key, new RawText(any));
  if (how === 'borrow' && other)
    put(spot.key, new RawText(JSON.stringify(Reflect.get(other.holder, other.key))));
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

/** As `JSON.stringify`, with texts that stand for themselves. */
function stringifyWithRaw(value: unknown): string {
  if (value instanceof RawText) return value.text;
  if (Array.isArray(value)) return `[${value.map(stringifyWithRaw).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  return `{${Object.keys(value)
    .map((key) => `${JSON.stringify(key)}:${stringifyWithRaw(Reflect.get(value, key))}`)
    .join(',')}}`;
}
