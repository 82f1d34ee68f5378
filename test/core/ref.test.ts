import { describe, expect, test } from 'vitest';
import { isRef, ref, resolveRefs } from '../../src/core/ref.ts';

describe('ref', () => {
  test('resolveRefs: replaces references at any depth, and keeps those without a known target', () => {
    const value = { a: [ref('x/1')], b: { c: ref('x/2', 'id') }, d: 'text' };
    const lookUp = ({ $ref, attr }: { $ref: string; attr: string }) =>
      $ref === 'x/1' ? `${$ref}.${attr}` : undefined;
    expect(resolveRefs(value, lookUp)).toEqual({ a: ['x/1.arn'], b: { c: ref('x/2', 'id') }, d: 'text' });
    expect(value.a).toEqual([ref('x/1')]);
  });
  test('isRef: rejects other values', () => {
    expect([null, undefined, 'x', {}, [], { ref: 'x/1' }].filter(isRef)).toEqual([]);
  });
});
