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

describe('canonical JSON', () => {
  test('sorts keys at every depth and omits undefined values', () => {
    expect(canonicalJson({ b: [{ d: 1, c: undefined }], a: null })).toBe('{"a":null,"b":[{"d":1}]}');
    expect(canonicalJson(undefined)).toBe('null');
    expect(Object.keys(sortKeys({ b: 1, c: undefined, a: 2 }))).toEqual(['a', 'b']);
  });
  test('sorts by code units, independent of the locale', () => {
    expect(['ä', 'Z', 'a', 'B'].sort(compareCodeUnits)).toEqual(['B', 'Z', 'a', 'ä']);
    expect(toSortedSet(['b', 'a', 'b'])).toEqual(['a', 'b']);
  });
  test('omitUndefined: keeps false, zero and the empty string', () => {
    expect(omitUndefined({ a: undefined, b: false, c: 0, d: '' })).toEqual({ b: false, c: 0, d: '' });
  });

  /** Generates values with keys in any order, including names of inherited properties. */
  const anything = fc.object({
    key: fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom('__proto__', 'constructor', '1')),
    values: [fc.string(), fc.integer(), fc.boolean(), fc.constantFrom(null, undefined)],
    maxDepth: 3,
  });

  test('sortKeys: sorts any value, and returns a sorted value itself', () => {
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
        // Objects list integer keys first, regardless of their insertion order.
        if (!/"\d+":/.test(JSON.stringify(sorted))) expect(sortKeys(sorted)).toBe(sorted);
      }),
    );
  });

  test('mapValues: returns the object itself if no value changes, else a new object', () => {
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
