import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Statement } from '../../src/iam/types.ts';
import type { Statements } from '../../src/policy/statements.ts';
import { isGranted, lostStatements, parseRetained, toRetained } from '../../src/policy/transitions.ts';

const OBJECTS: Statement = {
  Effect: 'Allow',
  Action: ['s3:ReplicateObject', 's3:ReplicateTags'],
  Resource: ['arn:aws:s3:::acme-old/A/*', 'arn:aws:s3:::acme-old/B/*'],
};
const KEY: Statement = {
  Effect: 'Allow',
  Principal: { AWS: ['arn:aws:iam::111122223333:role/a', 'arn:aws:iam::111122223333:role/b'] },
  Action: ['kms:Decrypt', 'kms:Encrypt'],
  Resource: '*',
  Condition: {
    StringEquals: { 'kms:ViaService': 's3.us-east-1.amazonaws.com' },
    StringLike: {
      'kms:EncryptionContext:aws:s3:arn': ['arn:aws:s3:::acme-old', 'arn:aws:s3:::acme-old/A/*'],
    },
  },
};
const AT = Date.UTC(2026, 11, 1, 10, 14, 30);

describe('lostStatements', () => {
  const lost = (current: Statement, ...desired: Statement[]): Statement | undefined =>
    lostStatements({ Sid: current }, Object.fromEntries(desired.map((item, index) => [`D${index}`, item])))
      .Sid;

  test.each<[string, Statement, Statement[], Partial<Statement> | undefined]>([
    ['returns nothing if the statement is declared', OBJECTS, [OBJECTS], undefined],
    [
      'returns nothing if two statements together grant it',
      OBJECTS,
      [
        { ...OBJECTS, Resource: 'arn:aws:s3:::acme-old/A/*' },
        { ...OBJECTS, Resource: 'arn:aws:s3:::acme-old/B/*' },
      ],
      undefined,
    ],
    [
      'returns nothing if a wider pattern grants it',
      OBJECTS,
      [{ ...OBJECTS, Resource: 'arn:aws:s3:::acme-old/*' }],
      undefined,
    ],
    ['returns the whole statement if nothing grants it', OBJECTS, [], OBJECTS],
    [
      'returns only the lost resource',
      OBJECTS,
      [{ ...OBJECTS, Resource: ['arn:aws:s3:::acme-old/A/*'] }],
      {
        Resource: ['arn:aws:s3:::acme-old/B/*'],
      },
    ],
    [
      'returns only the lost action',
      OBJECTS,
      [{ ...OBJECTS, Action: 's3:ReplicateObject' }],
      {
        Action: ['s3:ReplicateTags'],
      },
    ],
    [
      'returns only the lost principal',
      KEY,
      [{ ...KEY, Principal: { AWS: 'arn:aws:iam::111122223333:role/a' } }],
      {
        Principal: { AWS: ['arn:aws:iam::111122223333:role/b'] },
      },
    ],
    [
      'returns only the lost value of a condition',
      KEY,
      [
        {
          ...KEY,
          Condition: {
            ...KEY.Condition,
            StringLike: { 'kms:EncryptionContext:aws:s3:arn': 'arn:aws:s3:::acme-old' },
          },
        },
      ],
      {
        Condition: {
          StringEquals: { 'kms:ViaService': ['s3.us-east-1.amazonaws.com'] },
          StringLike: { 'kms:EncryptionContext:aws:s3:arn': ['arn:aws:s3:::acme-old/A/*'] },
        },
      },
    ],
    [
      'returns the statement if the desired one has another condition',
      OBJECTS,
      [{ ...OBJECTS, Condition: { Bool: { 'aws:SecureTransport': 'true' } } }],
      OBJECTS,
    ],
    ['ignores the case of actions', OBJECTS, [{ ...OBJECTS, Action: 'S3:Replicate*' }], undefined],
    [
      'takes no statement with a policy variable for a wider one',
      OBJECTS,
      [{ ...OBJECTS, Resource: `arn:aws:s3:::acme-old/${'$'}{aws:username}*` }],
      OBJECTS,
    ],
    [
      'takes no reference for a value',
      OBJECTS,
      [{ ...OBJECTS, Resource: [{ $ref: 's3.bucket/x', attr: 'arn' }] as unknown as string[] }],
      OBJECTS,
    ],
    ['does not retain a Deny', { ...OBJECTS, Effect: 'Deny' }, [], undefined],
  ])('%s', (_, current, desired, expected) => {
    const result = lost(current, ...desired);
    if (expected === undefined) expect(result).toBeUndefined();
    else expect(result).toMatchObject(expected);
  });

  test('the desired statements and the lost parts together grant all that was granted', () => {
    const pattern = fc
      .constantFrom('a/*', 'a/b/*', 'c/*', '*', 'a')
      .map((key) => `arn:aws:s3:::bucket/${key}`);
    const list = <T>(item: fc.Arbitrary<T>) => fc.uniqueArray(item, { minLength: 1, maxLength: 3 });
    const statement = fc.record({
      Effect: fc.constant('Allow' as const),
      Action: list(fc.constantFrom('s3:ReplicateObject', 's3:ReplicateTags', 's3:ReplicateDelete')),
      Resource: list(pattern),
    });
    const statements = fc.dictionary(fc.constantFrom('A', 'B', 'C'), statement) as fc.Arbitrary<Statements>;
    fc.assert(
      fc.property(statements, statements, (current, desired) => {
        const lostParts = lostStatements(current, desired);
        const grants = [...Object.values(desired), ...Object.values(lostParts)];
        for (const before of Object.values(current)) expect(isGranted(before, grants)).toBe(true);
        // It retains no more than there was.
        for (const part of Object.values(lostParts))
          expect(isGranted(part, Object.values(current))).toBe(true);
      }),
    );
  });
});

describe('toRetained', () => {
  const retained = toRetained('ReplikeyDestinationObjectsTax', OBJECTS, AT);

  test('rounds the expiry up to the minute and stops the statement a day later', () => {
    expect(retained.id).toMatch(/^ReplikeyUntil202612011015x[0-9a-f]{6}DestinationObjectsTax$/);
    expect(retained.entry).toMatchObject({
      Sid: retained.id,
      Condition: { DateLessThanIfExists: { 'aws:CurrentTime': ['2026-12-02T10:15:00Z'] } },
    });
    expect(retained.owner).toBe('Tax');
  });

  test('gives two edits within one minute two Sids', () => {
    const other = toRetained(
      'ReplikeyDestinationObjectsTax',
      { ...OBJECTS, Action: 's3:ReplicateObject' },
      AT,
    );
    expect(other.expiresAtMs).toBe(retained.expiresAtMs);
    expect(other.id).not.toBe(retained.id);
  });

  test('returns the same statement for a retained one with a later expiry', () => {
    const renewed = toRetained(retained.replaces, retained.original, AT + 60_000);
    expect(renewed.original).toEqual(OBJECTS);
    expect(renewed.entry.Condition).toEqual({
      DateLessThanIfExists: { 'aws:CurrentTime': ['2026-12-02T10:16:00Z'] },
    });
  });
});

describe('parseRetained', () => {
  const { entry, ...expected } = toRetained('ReplikeyDestinationKeyTax', KEY, AT);

  test('reads what toRetained writes, in the form in which AWS returns it', () => {
    const asAws = { ...entry, Action: [...[entry.Action].flat()].reverse() as string[], Resource: ['*'] };
    expect(parseRetained(asAws)).toMatchObject({
      id: expected.id,
      expiresAtMs: expected.expiresAtMs,
      owner: 'Tax',
    });
  });

  test.each<[string, Partial<Statement>]>([
    ['a statement that a person changed', { Action: 'kms:*' }],
    ['a Deny', { Effect: 'Deny' }],
    ['a declared statement', { Sid: 'ReplikeyDestinationKeyTax' }],
    ['a Sid with another hash', { Sid: 'ReplikeyUntil202612011015x000000DestinationKeyTax' }],
  ])('rejects %s', (_, change) => {
    expect(parseRetained({ ...entry, ...change })).toBeUndefined();
  });
});
