// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policy variables are written like this
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../src/iam/evaluate.ts';
import type { Policy, Statement } from '../../src/iam/types.ts';
import {
  joinPolicy,
  normalizeStatement,
  normalizeStatements,
  omitRedundantStatements,
  type Statements,
  splitPolicy,
} from '../../src/policy/statements.ts';
import { canonicalJson } from '../../src/util/canonical-json.ts';

const MANAGED: Statements = {
  ReplikeySourceKeyTax: { Effect: 'Allow', Action: ['s3:B', 's3:A'], Resource: '*' },
  ReplikeySourceBucketTax: { Effect: 'Allow', Action: 's3:A', Resource: ['b', 'a'] },
};
const FOREIGN: Statement[] = [
  {
    Sid: 'Admin',
    Effect: 'Allow',
    Principal: { AWS: 'arn:aws:iam::1:root' },
    Action: 'kms:*',
    Resource: '*',
  },
  { Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: '*' },
];

const mayRead = (policy: Policy, key: string): boolean =>
  evaluate(
    {
      principal: 'arn:aws:iam::111122223333:user/anna',
      action: 's3:GetObject',
      resource: `arn:aws:s3:::b/${key}`,
      resourceAccount: '111122223333',
      context: { 'aws:username': 'anna' },
    },
    { resource: { name: 'bucket policy', policy } },
  ).allowed;

describe('normalizeStatement', () => {
  const equivalents: [string, Statement, Statement][] = [
    [
      'a single value or a list of one',
      { Effect: 'Allow', Action: 's3:A' },
      { Effect: 'Allow', Action: ['s3:A'] },
    ],
    [
      'the order of a list',
      { Effect: 'Allow', Action: ['s3:A', 's3:B'], Resource: ['b', 'a'] },
      { Effect: 'Allow', Action: ['s3:B', 's3:A'], Resource: ['a', 'b'] },
    ],
    ['a repeated value', { Effect: 'Allow', Action: ['s3:A', 's3:A'] }, { Effect: 'Allow', Action: 's3:A' }],
    [
      'the case of a service prefix',
      { Effect: 'Allow', Action: 'S3:A' },
      { Effect: 'Allow', Action: 's3:A' },
    ],
    [
      'the two forms of the principal *',
      { Effect: 'Deny', Principal: '*' },
      { Effect: 'Deny', Principal: { AWS: '*' } },
    ],
    [
      'the order of principals',
      { Effect: 'Allow', Principal: { AWS: ['b', 'a'], Service: 's' } },
      { Effect: 'Allow', Principal: { Service: ['s'], AWS: ['a', 'b'] } },
    ],
    [
      'the order of conditions and their values',
      { Effect: 'Allow', Condition: { StringLike: { k: ['b', 'a'] }, Bool: { t: 'true' } } },
      { Effect: 'Allow', Condition: { Bool: { t: ['true'] }, StringLike: { k: ['a', 'b'] } } },
    ],
    ['the Sid', { Sid: 'One', Effect: 'Allow' }, { Sid: 'Two', Effect: 'Allow' }],
  ];
  test.each(equivalents)('%s is no difference', (_, left, right) => {
    expect(canonicalJson(normalizeStatement(left))).toBe(canonicalJson(normalizeStatement(right)));
  });

  const different: [string, Statement, Statement][] = [
    ['the effect', { Effect: 'Allow', Action: 's3:A' }, { Effect: 'Deny', Action: 's3:A' }],
    ['Action or NotAction', { Effect: 'Allow', Action: 's3:A' }, { Effect: 'Allow', NotAction: 's3:A' }],
    [
      'the case of a resource',
      { Effect: 'Allow', Resource: 'arn:aws:s3:::a/T' },
      { Effect: 'Allow', Resource: 'arn:aws:s3:::a/t' },
    ],
    [
      'a condition operator',
      { Effect: 'Allow', Condition: { StringLike: { k: 'a' } } },
      { Effect: 'Allow', Condition: { StringEquals: { k: 'a' } } },
    ],
  ];
  test.each(different)('%s is a difference', (_, left, right) => {
    expect(canonicalJson(normalizeStatement(left))).not.toBe(canonicalJson(normalizeStatement(right)));
  });
});

test('normalizeStatement: is idempotent, and does not change its argument', () => {
  const texts = fc.constantFrom('s3:B', 's3:A', 'S3:A', '*', 'arn:aws:s3:::b');
  const textOrList = fc.oneof(texts, fc.array(texts, { minLength: 1, maxLength: 3 }));
  const statement = fc.record(
    {
      Sid: fc.constant('Any'),
      Effect: fc.constantFrom('Allow' as const, 'Deny' as const),
      Principal: fc.oneof(
        fc.constant('*' as const),
        fc.dictionary(fc.constantFrom('Service', 'AWS'), textOrList, { minKeys: 1 }),
      ),
      Action: textOrList,
      NotResource: textOrList,
      Condition: fc.dictionary(fc.constantFrom('StringLike', 'Bool'), fc.dictionary(texts, textOrList)),
    },
    { requiredKeys: ['Effect'] },
  );
  fc.assert(
    fc.property(statement, (input) => {
      const before = JSON.stringify(input);
      const normal = normalizeStatement(input);
      expect(normalizeStatement(normal)).toBe(normal);
      expect(JSON.stringify(input)).toBe(before);
      for (const list of [normal.Action, normal.NotResource].filter((field) => field !== undefined))
        expect(list).toEqual([...new Set(list)].sort());
    }),
  );
});

describe('foreign statements', () => {
  test('joinPolicy: keeps them unchanged and in order, before the managed ones', () => {
    const policy = joinPolicy(MANAGED, FOREIGN);
    expect(policy.Statement).toEqual([
      ...FOREIGN,
      { Sid: 'ReplikeySourceBucketTax', ...MANAGED.ReplikeySourceBucketTax },
      { Sid: 'ReplikeySourceKeyTax', ...MANAGED.ReplikeySourceKeyTax },
    ]);
  });

  test('omitRedundantStatements: omits a managed statement that a foreign one equals', () => {
    const foreign: Statement[] = [
      { Sid: 'Foreign', Effect: 'Allow', Action: ['s3:A'], Resource: ['a', 'b'] },
    ];
    expect(Object.keys(omitRedundantStatements(MANAGED, foreign))).toEqual(['ReplikeySourceKeyTax']);
  });

  test('splitPolicy: a second statement with the same replikey Sid is foreign', () => {
    const duplicate: Statement = { Sid: 'ReplikeySourceBucketTax', Effect: 'Deny', Action: 's3:*' };
    const { managed, foreign } = splitPolicy(
      { Statement: [{ Sid: 'ReplikeySourceBucketTax', Effect: 'Allow' }, duplicate] },
      ['tax'],
    );
    expect(Object.keys(managed)).toEqual(['ReplikeySourceBucketTax']);
    expect(foreign).toEqual([duplicate]);
  });

  test('splitPolicy: statements of specs outside the run are foreign, and not redundant', () => {
    const books: Statement = {
      Sid: 'ReplikeySourceBucketBooks',
      ...MANAGED.ReplikeySourceBucketTax,
      Effect: 'Allow',
    };
    const policy = joinPolicy(MANAGED, [books]);
    expect(splitPolicy(policy, ['tax']).foreign).toEqual([books]);
    expect(splitPolicy(policy, ['books']).foreign).toHaveLength(2);
    expect(splitPolicy(policy, ['tax', 'books']).foreign).toEqual([]);
    expect(Object.keys(omitRedundantStatements(MANAGED, [books]))).toHaveLength(2);
    // A spec whose name is a suffix of another name is a different spec.
    expect(splitPolicy(policy, ['x']).foreign).toHaveLength(3);
  });

  test('joinPolicy: keeps the meaning of statements of policy version 2008-10-17, which has no variables', () => {
    const foreignStatement: Statement = {
      Effect: 'Allow',
      Principal: '*',
      Action: 's3:GetObject',
      Resource: 'arn:aws:s3:::b/${aws:username}/*',
    };
    for (const Version of ['2008-10-17', undefined]) {
      const old = { ...(Version ? { Version } : {}), Statement: [foreignStatement] };
      const joined = joinPolicy(MANAGED, splitPolicy(old, ['tax']).foreign);
      for (const key of ['${aws:username}/x', 'anna/x']) {
        const [before, after] = [old, joined].map((policy) => mayRead(policy, key));
        expect([before, after], key).toEqual([key !== 'anna/x', key !== 'anna/x']);
      }
    }
  });

  test('splitPolicy: statements with variables differ from the desired ones in version 2008-10-17', () => {
    const desired = {
      ReplikeySourceBucketTax: { Effect: 'Allow', Resource: 'arn:aws:s3:::b/a${*}b/*' } as const,
    };
    const policy = joinPolicy(desired);
    expect(splitPolicy(policy, ['tax']).managed).toEqual(normalizeStatements(desired));
    expect(splitPolicy({ ...policy, Version: '2008-10-17' }, ['tax']).managed).not.toEqual(
      normalizeStatements(desired),
    );
  });

  test('joinPolicy and splitPolicy: keep random foreign statements unchanged', () => {
    const statement = fc.record(
      {
        Sid: fc.option(fc.stringMatching(/^[A-Z][A-Za-z0-9]{0,12}$/), { nil: undefined }),
        Effect: fc.constantFrom('Allow' as const, 'Deny' as const),
        Action: fc.oneof(fc.string(), fc.array(fc.string(), { minLength: 1, maxLength: 3 })),
        Condition: fc.dictionary(fc.string(), fc.dictionary(fc.string(), fc.string()), { maxKeys: 2 }),
      },
      { requiredKeys: ['Effect'] },
    );
    fc.assert(
      fc.property(fc.array(statement, { maxLength: 4 }), (statements) => {
        const foreign = statements.filter(({ Sid }) => !Sid?.startsWith('Replikey')) as Statement[];
        const text = JSON.stringify(joinPolicy(MANAGED, foreign));
        const split = splitPolicy(JSON.parse(text), ['tax']);
        expect(split.foreign).toEqual(JSON.parse(JSON.stringify(foreign)));
        expect(Object.keys(split.managed)).toEqual(['ReplikeySourceBucketTax', 'ReplikeySourceKeyTax']);
      }),
    );
  });
});
