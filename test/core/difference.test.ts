import fc from 'fast-check';
import jsonPatch from 'fast-json-patch';
import { describe, expect, test } from 'vitest';
import { diffJson } from '../../src/core/difference.ts';

describe('what differs', () => {
  test.each([
    ['nothing', { a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }, []],
    ['a field', { a: 1, b: 2 }, { a: 1, b: 3 }, [{ op: 'replace', path: '/b', value: 3 }]],
    ['one that is new', {}, { a: { b: 1 } }, [{ op: 'add', path: '/a', value: { b: 1 } }]],
    ['one that goes', { a: 1 }, {}, [{ op: 'remove', path: '/a' }]],
    [
      'one far below',
      { a: { b: { c: 1 } } },
      { a: { b: { c: 2 } } },
      [{ op: 'replace', path: '/a/b/c', value: 2 }],
    ],
    [
      'a list, as a whole',
      { a: [1, 2] },
      { a: [0, 1, 2] },
      [{ op: 'replace', path: '/a', value: [0, 1, 2] }],
    ],
    ['another sort of value', { a: {} }, { a: [] }, [{ op: 'replace', path: '/a', value: [] }]],
    ['a name with a slash', {}, { 'a/b~c': 1 }, [{ op: 'add', path: '/a~1b~0c', value: 1 }]],
    ['the order of names is none', { a: 1, b: 2 }, { b: 2, a: 1 }, []],
  ])('%s', (_, before, after, expected) => {
    expect(diffJson(before, after)).toEqual(expected);
  });

  test('is a JSON Patch that leads from one to the other', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        fc.integer({ max: 3 }),
        fc.constantFrom('a', ''),
        tie('list'),
        tie('map'),
      ),
      list: fc.array(tie('any'), { maxLength: 3 }),
      map: fc.dictionary(fc.constantFrom('a', 'b', 'a/b', '~', ''), tie('any'), { maxKeys: 3 }),
    })).map;
    fc.assert(
      fc.property(value, value, (before, after) => {
        const patch = diffJson(before, after);
        expect(jsonPatch.applyPatch(structuredClone(before), structuredClone(patch)).newDocument).toEqual(
          after,
        );
      }),
    );
  });
});
