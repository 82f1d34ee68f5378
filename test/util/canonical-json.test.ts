import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  canonicalJson,
  compareCodeUnits,
  mapValues,
  omitUndefined,
  sortKeys,
  toSortedSet,
} from '../../src/util/canonical-json.ts';

describe('a normal form', () => {
  test('has its keys in order, at every depth, and leaves out what is undefined', () => {
    expect(canonicalJson({ b: [{ d: 1, c: undefined }], a: null })).toBe('{"a":null,"b":[{"d":1}]}');
    expect(canonicalJson(undefined)).toBe('null');
    expect(Object.keys(sortKeys({ b: 1, c: undefined, a: 2 }))).toEqual(['a', 'b']);
  });
  test('is the same on every machine: letters go by their code units', () => {
    expect(['ä', 'Z', 'a', 'B'].sort(compareCodeUnits)).toEqual(['B', 'Z', 'a', 'ä']);
    expect(toSortedSet(['b', 'a', 'b'])).toEqual(['a', 'b']);
  });
  test('keeps false, zero and the empty text', () => {
    expect(omitUndefined({ a: undefined, b: false, c: 0, d: '' })).toEqual({ b: false, c: 0, d: '' });
  });

  /** Values with keys in any order, also such as an object has by itself. */
  const anything = fc.object({
    key: fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom('__proto__', 'constructor', '1')),
    values: [fc.string(), fc.integer(), fc.boolean(), fc.constantFrom(null, undefined)],
    maxDepth: 3,
  });

  test('says what the value says, in one order, and stays itself where that is its order', () => {
    const ordered = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(ordered);
      if (typeof value !== 'object' || value === null) return value;
      const entries = Object.entries(value).filter(([, item]) => item !== undefined);
      return Object.fromEntries(
        entries.sort(([a], [b]) => compareCodeUnits(a, b)).map(([key, item]) => [key, ordered(item)]),
      );
    };
    fc.assert(
      fc.property(anything, (value) => {
        const sorted = sortKeys(value);
        expect(JSON.stringify(sorted)).toBe(JSON.stringify(ordered(value)));
        expect(JSON.stringify(sortKeys(sorted))).toBe(JSON.stringify(sorted));
        // Keys that are numbers come first in every object, in whatever order they were written.
        if (!/"\d+":/.test(JSON.stringify(sorted))) expect(sortKeys(sorted)).toBe(sorted);
      }),
    );
  });

  test('of an object is itself until a value changes, and then another with every key', () => {
    fc.assert(
      fc.property(anything, (object) => {
        expect(mapValues(object, (item) => item)).toBe(object);
        const before = JSON.stringify(object);
        const changed = mapValues(object, (item, key) => [key, item]);
        expect(Object.entries(changed)).toEqual(
          Object.entries(object).map(([key, item]) => [key, [key, item]]),
        );
        expect(JSON.stringify(object)).toBe(before);
      }),
    );
  });
});
