import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../src/iam/evaluate.ts';
import { PolicyError, parsePolicy } from '../../src/iam/parse.ts';
import type { Policy } from '../../src/iam/types.ts';

const statement = (more: object, without: string[] = []) =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: Object.fromEntries(
      Object.entries({ Effect: 'Allow', Action: 's3:*', Resource: '*', ...more }).filter(
        ([key]) => !without.includes(key),
      ),
    ),
  });

const broken: [text: string, words: string][] = [
  ['', 'invalid JSON'],
  ['{"Statement": [', 'invalid JSON'],
  [`${'['.repeat(100_000)}`, 'invalid JSON'],
  ['[]', 'not a JSON object'],
  ['null', 'not a JSON object'],
  ['{}', 'the Statement is missing'],
  ['{"Statement": []}', 'the Statement is missing'],
  ['{"Statement": null}', 'a Statement is not an object'],
  ['{"Statement": ["Allow"]}', 'a Statement is not an object'],
  ['{"Version": "2012-10-18", "Statement": []}', 'invalid Version "2012-10-18": use 2012-10-17'],
  [statement({ Resources: '*' }), 'a Statement has the unknown element Resources'],
  [statement({ Sid: 7 }), 'the Sid of a Statement is not a string'],
  [statement({ Effect: 'allow' }), 'a Statement has no Effect of Allow or Deny'],
  [statement({}, ['Effect']), 'a Statement has no Effect of Allow or Deny'],
  [statement({}, ['Action']), 'a Statement has neither Action nor NotAction'],
  [statement({ NotAction: 's3:Put*' }), 'a Statement has both Action and NotAction'],
  [statement({ NotResource: '*' }), 'a Statement has both Resource and NotResource'],
  [statement({ Principal: '*', NotPrincipal: '*' }), 'a Statement has both Principal and NotPrincipal'],
  [statement({ Action: 1 }), 'the Action of a Statement is not a string or a list of strings'],
  [statement({ Resource: ['*', null] }), 'the Resource of a Statement is not a string or a list of strings'],
  [statement({ Principal: null }), 'the Principal of a Statement is neither "*" nor an object'],
  [statement({ Principal: '111122223333' }), 'the Principal of a Statement is neither "*" nor an object'],
  [statement({ NotPrincipal: { Aws: '*' } }), 'the NotPrincipal of a Statement has the unknown type Aws'],
  [
    statement({ Principal: { AWS: 111122223333 } }),
    'the AWS of a Principal is not a string or a list of strings',
  ],
  [statement({ Condition: [] }), 'the Condition of a Statement is not an object'],
  [statement({ Condition: { StringSounds: {} } }), 'a Condition has the unknown operator StringSounds'],
  [statement({ Condition: { constructor: {} } }), 'a Condition has the unknown operator constructor'],
  [statement({ Condition: { NullIfExists: {} } }), 'a Condition has the unknown operator NullIfExists'],
  [statement({ Condition: { Bool: null } }), 'the Bool of a Condition is not an object'],
  [
    statement({ Condition: { StringLike: { 'aws:x': { a: 'b' } } } }),
    'the StringLike of aws:x is not a value or a list of values',
  ],
];

describe('invalid policies', () => {
  test.each(broken.map(([text, words]) => ({ words, text, start: text.slice(0, 100) })))(
    '$words: $start',
    ({ text, words }) => {
      expect(() => parsePolicy(text)).toThrow(new PolicyError(words));
    },
  );
});

test('parsePolicy: returns the policy unchanged', () => {
  const written = {
    Version: '2012-10-17',
    Id: 'key-default-1',
    Statement: [
      {
        Sid: 'a',
        Effect: 'Deny',
        NotPrincipal: { AWS: ['111122223333'], Service: 's3.amazonaws.com' },
        NotAction: ['kms:Decrypt'],
        NotResource: '*',
        Condition: {
          'ForAnyValue:StringNotLikeIfExists': { 'aws:x': ['a', 'b'] },
          NumericLessThan: { 'aws:y': 5 },
          Bool: { 'aws:z': true },
        },
      },
    ],
  };
  expect(parsePolicy(JSON.stringify(written))).toEqual(written);
});

/** Values of every type, most of them invalid in a statement. */
const anything = fc.constantFrom<unknown>(
  ...['*', 'arn:aws:s3:::a/*', null, 5, [], ['*', null], {}],
  ...[{ AWS: '*' }, { AWS: [5] }, { AWS: null }, { Service: [] }, { constructor: 'x' }],
  ...[
    { StringLike: { 'aws:x': 'y*' } },
    { Null: { 'aws:x': [] } },
    { Bool: null },
    { valueOf: { 'aws:x': 'y' } },
  ],
  ...[{ DateEquals: { 'aws:x': 5 } }, { StringEquals: { 'aws:x': {} } }],
);

const mostly = <T>(...right: T[]) => fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...right) }, anything);

test('parsePolicy: every accepted policy can be evaluated', () => {
  const statements = fc.record(
    {
      Effect: fc.constantFrom('Allow', 'Deny'),
      Action: fc.constantFrom('*', ['s3:*']),
      Principal: mostly<unknown>('*', { AWS: '*' }, { Service: [] }),
      Resource: mostly<unknown>('*', ['arn:aws:s3:::a/*', '*'], []),
      Condition: mostly<unknown>({}, { StringLike: { 'aws:x': 'y*' } }, { DateEquals: { 'aws:x': 5 } }),
    },
    { requiredKeys: ['Effect', 'Action'] },
  );
  const request = {
    principal: 'arn:aws:iam::111122223333:role/reader',
    action: 's3:GetObject',
    resource: 'arn:aws:s3:::a/b',
    resourceAccount: '111122223333',
    context: { 'aws:x': 'y' },
  };
  let read = 0;
  fc.assert(
    fc.property(statements, (Statement) => {
      const policy = readable(JSON.stringify({ Version: '2012-10-17', Statement }));
      if (policy === undefined) return;
      read += 1;
      const named = { name: 'it', policy };
      expect(evaluate(request, { identity: [named], resource: named }).reason).not.toBe('');
    }),
    { numRuns: 5_000 },
  );
  expect(read).toBeGreaterThan(200);
});

/** Returns the policy; undefined if parsePolicy rejects it with a PolicyError. */
function readable(text: string): Policy | undefined {
  try {
    return parsePolicy(text);
  } catch (error) {
    if (error instanceof PolicyError) return undefined;
    throw error;
  }
}
