import fc from 'fast-check';
import { expect, test } from 'vitest';
import { appendToPointer, formatPointer, parsePointer, valueAtPointer } from '../../src/util/json-pointer.ts';

test('formatPointer: writes a path as people do', () => {
  expect(formatPointer('/rules/replikey~1tax~1all/priority')).toBe('rules["replikey/tax/all"].priority');
  expect(formatPointer('/statements/ReplikeySourceKeyTax/Action/0')).toBe(
    'statements.ReplikeySourceKeyTax.Action[0]',
  );
  expect(formatPointer('/tags/a~0b')).toBe('tags["a~b"]');
  expect(formatPointer('')).toBe('');
});

test('parsePointer: returns the keys that a pointer was built from', () => {
  const key = fc.oneof(fc.string(), fc.constantFrom('', '/', '~', '~1', '~01', 'a/b~c'));
  fc.assert(
    fc.property(fc.array(key), (keys) => {
      expect(parsePointer(keys.reduce(appendToPointer, ''))).toEqual(keys);
    }),
  );
});

test.each([
  ['the whole', '', { a: { 'b/c': 1 } }],
  ['a member', '/a/b~1c', 1],
  ['nothing where there is no member', '/a/x', undefined],
  ['nothing below a text', '/a/b~1c/length', undefined],
  ['nothing that every object inherits', '/constructor', undefined],
])('valueAtPointer: returns %s', (_, pointer, expected) => {
  expect(valueAtPointer({ a: { 'b/c': 1 } }, pointer)).toEqual(expected);
});
