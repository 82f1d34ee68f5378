import { describe, expect, test } from 'vitest';
import { byCodeUnit, defined, sortedSet, sortKeys, stableJson } from '../src/canonical.ts';

describe('a normal form', () => {
  test('has its keys in order, at every depth, and leaves out what is undefined', () => {
    expect(stableJson({ b: [{ d: 1, c: undefined }], a: null })).toBe('{"a":null,"b":[{"d":1}]}');
    expect(stableJson(undefined)).toBe('null');
    expect(Object.keys(sortKeys({ b: 1, c: undefined, a: 2 }))).toEqual(['a', 'b']);
  });
  test('is the same on every machine: letters go by their code units', () => {
    expect(['ä', 'Z', 'a', 'B'].sort(byCodeUnit)).toEqual(['B', 'Z', 'a', 'ä']);
    expect(sortedSet(['b', 'a', 'b'])).toEqual(['a', 'b']);
  });
  test('keeps false, zero and the empty text', () => {
    expect(defined({ a: undefined, b: false, c: 0, d: '' })).toEqual({ b: false, c: 0, d: '' });
  });
});
