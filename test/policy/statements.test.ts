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

const OURS: Statements = {
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

describe('a policy is a set of statements', () => {
  const same: [string, Statement, Statement][] = [
    ['one value or a list of it', { Effect: 'Allow', Action: 's3:A' }, { Effect: 'Allow', Action: ['s3:A'] }],
    [
      'the order of a list',
      { Effect: 'Allow', Action: ['s3:A', 's3:B'], Resource: ['b', 'a'] },
      { Effect: 'Allow', Action: ['s3:B', 's3:A'], Resource: ['a', 'b'] },
    ],
    [
      'a value that stands twice',
      { Effect: 'Allow', Action: ['s3:A', 's3:A'] },
      { Effect: 'Allow', Action: 's3:A' },
    ],
    ['the letters of a service', { Effect: 'Allow', Action: 'S3:A' }, { Effect: 'Allow', Action: 's3:A' }],
    [
      'the two ways to say everybody',
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
    ['its name', { Sid: 'One', Effect: 'Allow' }, { Sid: 'Two', Effect: 'Allow' }],
  ];
  test.each(same)('%s is no difference', (_, one, other) => {
    expect(canonicalJson(normalizeStatement(one))).toBe(canonicalJson(normalizeStatement(other)));
  });

  const different: [string, Statement, Statement][] = [
    ['the effect', { Effect: 'Allow', Action: 's3:A' }, { Effect: 'Deny', Action: 's3:A' }],
    ['Action or NotAction', { Effect: 'Allow', Action: 's3:A' }, { Effect: 'Allow', NotAction: 's3:A' }],
    [
      'the letters of a resource',
      { Effect: 'Allow', Resource: 'arn:aws:s3:::a/T' },
      { Effect: 'Allow', Resource: 'arn:aws:s3:::a/t' },
    ],
    [
      'a condition operator',
      { Effect: 'Allow', Condition: { StringLike: { k: 'a' } } },
      { Effect: 'Allow', Condition: { StringEquals: { k: 'a' } } },
    ],
  ];
  test.each(different)('%s is a difference', (_, one, other) => {
    expect(canonicalJson(normalizeStatement(one))).not.toBe(canonicalJson(normalizeStatement(other)));
  });
});

test('a statement in its normal form stays itself', () => {
  const texts = fc.constantFrom('s3:B', 's3:A', 'S3:A', '*', 'arn:aws:s3:::b');
  const some = fc.oneof(texts, fc.array(texts, { minLength: 1, maxLength: 3 }));
  const statement = fc.record(
    {
      Sid: fc.constant('Any'),
      Effect: fc.constantFrom('Allow' as const, 'Deny' as const),
      Principal: fc.oneof(
        fc.constant('*' as const),
        fc.dictionary(fc.constantFrom('Service', 'AWS'), some, { minKeys: 1 }),
      ),
      Action: some,
      NotResource: some,
      Condition: fc.dictionary(fc.constantFrom('StringLike', 'Bool'), fc.dictionary(texts, some)),
    },
    { requiredKeys: ['Effect'] },
  );
  fc.assert(
    fc.property(statement, (given) => {
      const before = JSON.stringify(given);
      const normal = normalizeStatement(given);
      expect(normalizeStatement(normal)).toBe(normal);
      expect(JSON.stringify(given)).toBe(before);
      for (const list of [normal.Action, normal.NotResource].filter((one) => one !== undefined))
        expect(list).toEqual([...new Set(list)].sort());
    }),
  );
});

describe('statements of other people', () => {
  test('stay as they are and where they are, before ours', () => {
    const policy = joinPolicy(OURS, FOREIGN);
    expect(policy.Statement).toEqual([
      ...FOREIGN,
      { Sid: 'ReplikeySourceBucketTax', ...OURS.ReplikeySourceBucketTax },
      { Sid: 'ReplikeySourceKeyTax', ...OURS.ReplikeySourceKeyTax },
    ]);
  });

  test('that make one of ours word for word are not repeated', () => {
    const foreign: Statement[] = [{ Sid: 'Theirs', Effect: 'Allow', Action: ['s3:A'], Resource: ['a', 'b'] }];
    expect(Object.keys(omitRedundantStatements(OURS, foreign))).toEqual(['ReplikeySourceKeyTax']);
  });

  test('that carry one of our names a second time are not ours', () => {
    const twice: Statement = { Sid: 'ReplikeySourceBucketTax', Effect: 'Deny', Action: 's3:*' };
    const { managed: ours, foreign } = splitPolicy(
      { Statement: [{ Sid: 'ReplikeySourceBucketTax', Effect: 'Allow' }, twice] },
      ['tax'],
    );
    expect(Object.keys(ours)).toEqual(['ReplikeySourceBucketTax']);
    expect(foreign).toEqual([twice]);
  });

  test('of specs that this run was not given stay as well, and are not taken for repeats', () => {
    const books: Statement = {
      Sid: 'ReplikeySourceBucketBooks',
      ...OURS.ReplikeySourceBucketTax,
      Effect: 'Allow',
    };
    const policy = joinPolicy(OURS, [books]);
    expect(splitPolicy(policy, ['tax']).foreign).toEqual([books]);
    expect(splitPolicy(policy, ['books']).foreign).toHaveLength(2);
    expect(splitPolicy(policy, ['tax', 'books']).foreign).toEqual([]);
    expect(Object.keys(omitRedundantStatements(OURS, [books]))).toHaveLength(2);
    // A spec whose name ends like another's is another.
    expect(splitPolicy(policy, ['x']).foreign).toHaveLength(3);
  });

  test('of an older version, in which nothing is a variable, go on meaning what they meant', () => {
    const theirs: Statement = {
      Effect: 'Allow',
      Principal: '*',
      Action: 's3:GetObject',
      Resource: 'arn:aws:s3:::b/${aws:username}/*',
    };
    for (const Version of ['2008-10-17', undefined]) {
      const old = { ...(Version ? { Version } : {}), Statement: [theirs] };
      const joined = joinPolicy(OURS, splitPolicy(old, ['tax']).foreign);
      for (const key of ['${aws:username}/x', 'anna/x']) {
        const [before, after] = [old, joined].map((policy) => mayRead(policy, key));
        expect([before, after], key).toEqual([key !== 'anna/x', key !== 'anna/x']);
      }
    }
  });

  test('of an older version are not ours, where ours need variables that it does not have', () => {
    const ours = {
      ReplikeySourceBucketTax: { Effect: 'Allow', Resource: 'arn:aws:s3:::b/a${*}b/*' } as const,
    };
    const policy = joinPolicy(ours);
    expect(splitPolicy(policy, ['tax']).managed).toEqual(normalizeStatements(ours));
    expect(splitPolicy({ ...policy, Version: '2008-10-17' }, ['tax']).managed).not.toEqual(
      normalizeStatements(ours),
    );
  });

  test('whatever they are, they come through joining and parting unchanged', () => {
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
      fc.property(fc.array(statement, { maxLength: 4 }), (given) => {
        const foreign = given.filter(({ Sid }) => !Sid?.startsWith('Replikey')) as Statement[];
        const text = JSON.stringify(joinPolicy(OURS, foreign));
        const parted = splitPolicy(JSON.parse(text), ['tax']);
        expect(parted.foreign).toEqual(JSON.parse(JSON.stringify(foreign)));
        expect(Object.keys(parted.managed)).toEqual(['ReplikeySourceBucketTax', 'ReplikeySourceKeyTax']);
      }),
    );
  });
});
