import fc from 'fast-check';
import jsonPatch from 'fast-json-patch';
import { describe, expect, test } from 'vitest';
import { desiredResources } from '../../src/core/desired.ts';
import { diffNormalForms, fieldChangesOf, fieldPathOf, keySets } from '../../src/core/diff.ts';
import { ref } from '../../src/core/ref.ts';
import type { Statement } from '../../src/iam/types.ts';
import { kinds } from '../../src/kinds/index.ts';
import { normalizeStatements } from '../../src/policy/statements.ts';
import { isJsonEqual, sortKeys } from '../../src/util/canonical-json.ts';
import { parseSpecs } from '../support/env.ts';
import { specArbitrary } from '../support/spec-arbitraries.ts';

describe('diffNormalForms', () => {
  test.each([
    ['equal values', { a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }, []],
    ['a field', { a: 1, b: 2 }, { a: 1, b: 3 }, [{ op: 'replace', path: '/b', value: 3 }]],
    ['a new field', {}, { a: { b: 1 } }, [{ op: 'add', path: '/a', value: { b: 1 } }]],
    ['a removed field', { a: 1 }, {}, [{ op: 'remove', path: '/a' }]],
    [
      'a nested field',
      { a: { b: { c: 1 } } },
      { a: { b: { c: 2 } } },
      [{ op: 'replace', path: '/a/b/c', value: 2 }],
    ],
    ['a new element', { a: ['x'] }, { a: ['x', 'y/z'] }, [{ op: 'add', path: '/a/y~1z', value: 'y/z' }]],
    [
      'another element',
      { a: ['x'] },
      { a: ['y'] },
      [
        { op: 'remove', path: '/a/x' },
        { op: 'add', path: '/a/y', value: 'y' },
      ],
    ],
    [
      'a reference in a set',
      { a: [] },
      { a: [ref('kms.key/alias/x@us-east-1')] },
      [
        {
          op: 'add',
          path: '/a/kms.key~1alias~1x@us-east-1#arn',
          value: { $ref: 'kms.key/alias/x@us-east-1', attr: 'arn' },
        },
      ],
    ],
    ['another order of elements', { a: ['x', 'y'] }, { a: ['y', 'x'] }, []],
    ['a new set', {}, { a: ['x'] }, [{ op: 'add', path: '/a', value: { x: 'x' } }]],
    ['a set in place of a value', { a: 1 }, { a: [] }, [{ op: 'replace', path: '/a', value: {} }]],
    ['a name with a slash', {}, { 'a/b~c': 1 }, [{ op: 'add', path: '/a~1b~0c', value: 1 }]],
    ['a name of Object.prototype', {}, { constructor: 1 }, [{ op: 'add', path: '/constructor', value: 1 }]],
    [
      'the prototype as an element',
      { a: [] },
      { a: ['__proto__'] },
      [{ op: 'add', path: '/a/__proto__', value: '__proto__' }],
    ],
    ['another order of names', { a: 1, b: 2 }, { b: 2, a: 1 }, []],
  ])('%s', (_, before, after, expected) => {
    expect(diffNormalForms(before, after).patch).toEqual(expected);
  });

  test('orders operations by path in tree order', () => {
    const { patch } = diffNormalForms({ b: 1, a: { y: 1 } }, { 'a-': 1, a: { x: 1 }, b: 2 });
    expect(patch.map(({ op, path }) => `${op} ${path}`)).toEqual([
      'add /a/x',
      'remove /a/y',
      'add /a-',
      'replace /b',
    ]);
  });

  test('returns previous values in the form of the patch, and none for new fields', () => {
    const statement = { Effect: 'Allow', Action: ['s3:B'] };
    const { before } = diffNormalForms(
      { statements: { A: statement, B: statement }, toString: 1 },
      { statements: { A: { ...statement, Action: ['s3:A'] } }, valueOf: 1 },
    );
    expect(before).toEqual({
      '/statements/A/Action/s3:B': 's3:B',
      '/statements/B': { Action: { 's3:B': 's3:B' }, Effect: 'Allow' },
      '/toString': 1,
    });
  });
});

describe('diffNormalForms: the patch turns the keyed form of one value into that of the other', () => {
  /** Applies the patch, and checks each previous value. */
  function expectPatchApplies(before: unknown, after: unknown): void {
    const diff = diffNormalForms(before, after);
    const patched = jsonPatch.applyPatch(
      structuredClone(keySets(before)),
      structuredClone(diff.patch),
      true,
      true,
      false,
    );
    expect(patched.newDocument).toEqual(keySets(after));
    const previousValues = diff.patch.map(({ path }) => diff.before[path]);
    expect(previousValues).toEqual([...patched].map(({ removed }) => removed));
    if (isJsonEqual(before, after)) expect(diff.patch).toEqual([]);
  }

  test('for random values', () => {
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
    fc.assert(fc.property(value, value, expectPatchApplies));
  });

  test('for random policies', () => {
    const text = fc.constantFrom('s3:B', 's3:A', 'S3:A', '*', 'arn:aws:s3:::b/~', '7', 'true');
    const texts = fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 }));
    const statement = fc.record(
      {
        Effect: fc.constantFrom('Allow', 'Deny'),
        Principal: fc.oneof(
          fc.constant('*'),
          fc.dictionary(fc.constantFrom('Service', 'AWS'), texts, { minKeys: 1 }),
        ),
        Action: texts,
        NotAction: texts,
        Resource: fc.oneof(
          texts,
          fc.uniqueArray(fc.constantFrom('b', 'a').map((name) => ref(`kms.key/${name}`))),
        ),
        Condition: fc.dictionary(fc.constantFrom('StringLike', 'Bool'), fc.dictionary(text, texts)),
      },
      { requiredKeys: ['Effect'] },
    ) as fc.Arbitrary<unknown> as fc.Arbitrary<Statement>;
    const policy = fc
      .dictionary(fc.constantFrom('ReplikeyA', 'ReplikeyB'), statement)
      .map((statements) => ({ statements: normalizeStatements(statements) }));
    fc.assert(fc.property(policy, policy, expectPatchApplies));
  });

  test('for random specs; fieldChangesOf returns every set as a list again', async () => {
    const normalForms = async (yaml: string) =>
      desiredResources((await parseSpecs(yaml)).pairs, [...kinds.values()]).map(({ kind, spec }) => ({
        kind,
        spec: sortKeys(kinds.get(kind)?.normalize(spec)) as Record<string, unknown>,
      }));
    await fc.assert(
      fc.asyncProperty(specArbitrary, specArbitrary, async (firstSpecs, secondSpecs) => {
        const [first, second] = [await normalForms(firstSpecs), await normalForms(secondSpecs)];
        for (const before of first) {
          const after = second.find(({ kind }) => kind === before.kind);
          if (after) expectPatchApplies(before.spec, after.spec);
          const fields = fieldChangesOf(diffNormalForms({}, before.spec)).map((change) => [
            change.path.slice(1),
            change.type === 'add' ? change.after : undefined,
          ]);
          expect(Object.fromEntries(fields)).toEqual(before.spec);
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe('fieldChangesOf', () => {
  test('groups the elements of one set into one change', () => {
    const statement = (Action: string[], Service: string[]) => ({
      statements: { A: { Effect: 'Allow', Action, Principal: { Service } } },
    });
    const before = statement(['s3:A', 's3:B'], ['s3.amazonaws.com']);
    const after = statement(['s3:A', 's3:C', 's3:D'], ['s3.amazonaws.com', 'x.amazonaws.com']);
    expect(fieldChangesOf(diffNormalForms(before, after))).toEqual([
      { type: 'elements', path: '/statements/A/Action', removed: ['s3:B'], added: ['s3:C', 's3:D'] },
      { type: 'elements', path: '/statements/A/Principal/Service', removed: [], added: ['x.amazonaws.com'] },
    ]);
  });

  test('treats tags as a map, even if a tag has the value of its key', () => {
    expect(fieldChangesOf(diffNormalForms({ tags: {} }, { tags: { team: 'team' } }))).toEqual([
      { type: 'add', path: '/tags/team', before: undefined, after: 'team' },
    ]);
    const tags = { Action: 'Action', Condition: 'Condition' };
    expect(fieldChangesOf(diffNormalForms({}, { tags, rules: { a: { tags } } }))).toMatchObject([
      { path: '/rules', after: { a: { tags } } },
      { path: '/tags', after: tags },
    ]);
  });

  test.each([
    ['/v1Rules/mine', '/v1Rules'],
    ['/removable', '/removable'],
    ['/trust/A/Principal/Service/s3.amazonaws.com', '/trust/A/Principal/Service'],
    ['/statements/A/NotResource/*', '/statements/A/NotResource'],
    ['/statements/A/Condition/StringLike/aws:x/a~1b', '/statements/A/Condition/StringLike/aws:x'],
    ['/statements/A/Condition/StringLike', '/statements/A/Condition/StringLike'],
    ['/rules/a/tags/Action', '/rules/a/tags/Action'],
  ])('fieldPathOf: %s belongs to the field %s', (path, field) => {
    expect(fieldPathOf(path)).toBe(field);
  });
});
