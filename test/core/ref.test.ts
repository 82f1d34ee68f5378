import { describe, expect, test } from 'vitest';
import { isRef, ref, resolveRefs } from '../../src/core/ref.ts';

describe('a reference', () => {
  test('stays until its target is known, wherever it stands', () => {
    const value = { a: [ref('x/1')], b: { c: ref('x/2', 'id') }, d: 'text' };
    const known = ({ $ref, attr }: { $ref: string; attr: string }) =>
      $ref === 'x/1' ? `${$ref}.${attr}` : undefined;
    expect(resolveRefs(value, known)).toEqual({ a: ['x/1.arn'], b: { c: ref('x/2', 'id') }, d: 'text' });
    expect(value.a).toEqual([ref('x/1')]);
  });
  test('is nothing else', () => {
    expect([null, undefined, 'x', {}, [], { ref: 'x/1' }].filter(isRef)).toEqual([]);
  });
});
