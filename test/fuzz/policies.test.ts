import fc from 'fast-check';
import { expect, test } from 'vitest';
import { evaluate } from '../../src/iam/evaluate.ts';
import { PolicyError, parsePolicy } from '../../src/iam/parse.ts';
import type { Policy } from '../../src/iam/types.ts';
import { parsePolicyDocument } from '../../src/kinds/policy-document.ts';
import { normalizeStatements, splitPolicy } from '../../src/policy/statements.ts';
import { keyArnsInPolicies } from '../../src/proof/object-cases.ts';
import type { RuleContext } from '../../src/proof/rule-context.ts';
import {
  fuzzRuns,
  MANY_CHARACTERS,
  mutatedBytes,
  mutatedJson,
  nestedText,
  pollutedProperties,
} from '../support/mutations.ts';

const ROLE = 'arn:aws:iam::111122223333:role/replikey-acme-tax';
const originals = [
  {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'ReplikeySourceKeyTax',
        Effect: 'Allow',
        Principal: { AWS: ROLE },
        Action: ['kms:Decrypt'],
        Resource: '*',
        Condition: {
          StringEquals: { 'kms:ViaService': 's3.us-east-1.amazonaws.com' },
          StringLike: { 'kms:EncryptionContext:aws:s3:arn': ['arn:aws:s3:::acme-tax/Tax/*'] },
        },
      },
      {
        Effect: 'Deny',
        NotPrincipal: { AWS: [ROLE, '111122223333'] },
        NotAction: 's3:Get*',
        NotResource: ['*'],
      },
    ],
  },
  {
    Version: '2008-10-17',
    Statement: {
      Effect: 'Allow',
      Principal: { Service: 's3.amazonaws.com' },
      Action: 'sts:AssumeRole',
      Condition: { Bool: { 'aws:SecureTransport': true }, NumericLessThan: { 's3:max-keys': 10 } },
    },
  },
];
const WORDS = [
  ...['{', '}', '[', ']', '"', ':', ',', '\\', '\\u0000', '\\ud800', 'null', '1e999', '%7B', '%', '*', '?'],
  ...['"Statement":', '"__proto__":{}', '"Effect":"Deny"', '\ufeff', '\u0000', nestedText(5_000)],
  [0xff],
];

/** Checks that a text is rejected with a reason, or is a policy that can be normalized and evaluated. */
function checkPolicy(text: string, read: (text: string) => Policy): void {
  let policy: Policy;
  try {
    policy = read(text);
  } catch (error) {
    expect(error).toBeInstanceOf(PolicyError);
    expect((error as Error).message).not.toBe('');
    return;
  } finally {
    expect(pollutedProperties()).toEqual([]);
  }
  const { managed } = splitPolicy(policy, ['tax']);
  expect(normalizeStatements(managed)).toEqual(managed);
  for (const action of ['kms:Decrypt', 'sts:AssumeRole', 's3:GetObject']) {
    const decision = evaluate(
      { principal: ROLE, action, resource: 'arn:aws:s3:::acme-tax/Tax/a', resourceAccount: '111122223333' },
      { identity: [{ name: 'identity', policy }], resource: { name: 'resource', policy } },
    );
    expect(decision.reason).not.toBe('');
  }
}

test.each([
  ['plain', parsePolicy],
  ['URL-encoded', parsePolicyDocument],
])('policy (%s): mutated JSON is rejected with a reason or can be evaluated', (_, read) => {
  fc.assert(
    fc.property(mutatedJson(originals), (text) => checkPolicy(text, read)),
    fuzzRuns(800).property,
  );
});

test.each([
  ['plain', parsePolicy],
  ['URL-encoded', parsePolicyDocument],
])('policy (%s): mutated bytes are rejected with a reason or can be evaluated', (_, read) => {
  const texts = originals.map((policy) => JSON.stringify(policy));
  fc.assert(
    fc.property(mutatedBytes([...texts, ...texts.map(encodeURIComponent)], WORDS), (bytes) =>
      checkPolicy(Buffer.from(bytes).toString(), read),
    ),
    fuzzRuns(800).property,
  );
});

test.each<[string, unknown]>([
  ['statements', { Statement: Array(MANY_CHARACTERS / 100).fill(originals[0]?.Statement) }],
  [
    'stars in an action',
    { Statement: { Effect: 'Allow', Action: `s3:${'*a'.repeat(MANY_CHARACTERS / 4)}`, Resource: '*' } },
  ],
  [
    'stars in a resource',
    {
      Statement: {
        Effect: 'Allow',
        Action: '*',
        Resource: `arn:aws:s3:::${'*?'.repeat(MANY_CHARACTERS / 4)}`,
      },
    },
  ],
  [
    'variables',
    {
      Version: '2012-10-17',
      Statement: { Effect: 'Allow', Action: '*', Resource: '$'.repeat(MANY_CHARACTERS) },
    },
  ],
  ['colons', { Statement: { Effect: 'Allow', Action: '*', Resource: ':*'.repeat(MANY_CHARACTERS / 2) } }],
])('policy: very many %s take linear time', (_, policy) => {
  checkPolicy(JSON.stringify(policy), parsePolicyDocument);
});

test('keyArnsInPolicies: a resource that repeats the start of a key ARN a million times contains none', () => {
  // Long enough that backtracking exceeds the timeout of the test.
  const Resource = `arn:aws:kms:${':key/'.repeat(1_000_000)}*`;
  const policy = parsePolicyDocument(
    JSON.stringify({ Statement: { Effect: 'Allow', Action: 'kms:Decrypt', Resource } }),
  );
  const facts = { roles: { [ROLE]: { policies: { inline: policy } } } };
  expect(
    keyArnsInPolicies({
      facts,
      role: ROLE,
      source: { region: 'us-east-1' },
    } as unknown as RuleContext),
  ).toEqual([]);
});
