// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policy variables are written like this
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolveRefs } from '../../src/core/ref.ts';
import { evaluate } from '../../src/iam/evaluate.ts';
import type { Policies } from '../../src/iam/types.ts';
import { keyArnOrRef, roleArnOrRef } from '../../src/kinds/helpers.ts';
import {
  bucketPolicyStatements,
  keyPolicyStatements,
  rolePolicyStatements,
  trustPolicyStatements,
} from '../../src/policy/required-statements.ts';
import { joinPolicy, type Statements, toSidName } from '../../src/policy/statements.ts';
import type { BucketReplication } from '../../src/spec/types.ts';
import { testPair } from '../support/pair.ts';

const roleStatements = (pairs: readonly BucketReplication[]) => rolePolicyStatements(pairs, keyArnOrRef);
const bucketStatements = (pairs: readonly BucketReplication[]) => bucketPolicyStatements(pairs, roleArnOrRef);

const ACCOUNT = '111122223333';
const ROLE = `arn:aws:iam::${ACCOUNT}:role/replikey-acme-tax`;
const keyArn = (region: string) =>
  `arn:aws:kms:${region}:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`;

/** Resolves every reference of the statements. */
const resolved = (statements: Statements): Statements =>
  resolveRefs(statements, ({ $ref }) =>
    $ref.startsWith('iam.role') ? ROLE : keyArn($ref.includes('us-west-2') ? 'us-west-2' : 'us-east-1'),
  );
const policiesOf = (pair: BucketReplication): Policies => ({
  identity: [{ name: 'role policy', policy: joinPolicy(resolved(roleStatements([pair]))) }],
});
const actionsOf = (pair: BucketReplication): string[] =>
  [...new Set(Object.values(roleStatements([pair])).flatMap(({ Action }) => Action ?? []))].sort();

const ALWAYS = [
  'kms:Decrypt',
  'kms:Encrypt',
  'kms:GenerateDataKey',
  's3:GetObjectLegalHold',
  's3:GetObjectRetention',
  's3:GetObjectVersionAcl',
  's3:GetObjectVersionAnnotationForReplication',
  's3:GetObjectVersionForReplication',
  's3:GetObjectVersionTagging',
  's3:GetReplicationConfiguration',
  's3:ListBucket',
  's3:ReplicateObject',
  's3:ReplicateTags',
];

describe('rolePolicyStatements: grants only what the settings need', () => {
  test('default settings', () => {
    expect(actionsOf(testPair())).toEqual(ALWAYS);
  });
  test('kms:Decrypt alone for replaced keys of both sides', () => {
    const pair = testPair({
      source: { replacedKeys: [{ alias: 'alias/old' }] },
      destination: { replacedKeys: [{ alias: 'alias/old-replica' }] },
    });
    const { ReplikeySourceKeyTax: source, ReplikeyReplacedKeyTax: replaced } = roleStatements([pair]);
    expect(source).toMatchObject({
      Action: ['kms:Decrypt'],
      Resource: [
        expect.objectContaining({ $ref: 'kms.key/alias/acme-tax@us-east-1' }),
        expect.objectContaining({ $ref: 'kms.key/alias/old@us-east-1' }),
      ],
    });
    expect(replaced).toMatchObject({
      Action: ['kms:Decrypt'],
      Resource: [expect.objectContaining({ $ref: 'kms.key/alias/old-replica@us-west-2' })],
      Condition: { StringEquals: { 'kms:ViaService': 's3.us-west-2.amazonaws.com' } },
    });
  });
  test('s3:ReplicateDelete only for rules with deleteMarkerReplication', () => {
    expect(actionsOf(testPair({ rules: [{ deleteMarkerReplication: true }] }))).toEqual(
      [...ALWAYS, 's3:ReplicateDelete'].sort(),
    );
    const mixed = testPair({ rules: [{ prefix: 'A/', deleteMarkerReplication: true }, { prefix: 'B/' }] });
    expect(roleStatements([mixed]).ReplikeyDestinationDeletesTax?.Resource).toEqual([
      'arn:aws:s3:::acme-tax-replica/A/*',
    ]);
  });
  test('no key actions when no rule selects encrypted objects', () => {
    const pair = testPair({ rules: [{ sseKmsEncryptedObjects: false }] });
    expect(actionsOf(pair)).toEqual(ALWAYS.filter((action) => action.startsWith('s3:')));
    const use = { pair, side: 'source', role: ROLE } as const;
    expect(keyPolicyStatements([use])).toEqual({});
  });
  test('encryption contexts only of rules that select encrypted objects', () => {
    const mixed = testPair({ rules: [{ prefix: 'A/' }, { prefix: 'B/', sseKmsEncryptedObjects: false }] });
    const { ReplikeySourceKeyTax: key, ReplikeySourceObjectsTax: objects } = roleStatements([mixed]);
    expect(JSON.stringify(key?.Condition)).not.toContain('/B/');
    expect(objects?.Resource).toEqual(['arn:aws:s3:::acme-tax/A/*', 'arn:aws:s3:::acme-tax/B/*']);
  });
  test('sourceKeys: decrypt only', () => {
    const pair = testPair({ sourceKeys: [{ alias: 'alias/old' }, { arn: keyArn('us-east-1') }] });
    const { ReplikeySourceKeyTax: source, ReplikeyDestinationKeyTax: destination } = roleStatements([pair]);
    expect([source?.Resource].flat()).toHaveLength(3);
    expect(source?.Action).toEqual(['kms:Decrypt']);
    expect([destination?.Resource].flat()).toHaveLength(1);
  });
  test('no statement has the resource *, and no action has a wildcard', () => {
    for (const { Action, Resource } of Object.values(roleStatements([testPair()]))) {
      expect([Resource].flat()).not.toContain('*');
      expect([Action].flat().join()).not.toContain('*');
    }
  });
  test('keys by ARN, never by alias', () => {
    expect(JSON.stringify(resolved(roleStatements([testPair()])))).not.toContain(':alias/');
    const pairWithKeyArn = testPair({ source: { key: { arn: keyArn('us-east-1') } } });
    expect(roleStatements([pairWithKeyArn]).ReplikeySourceKeyTax?.Resource).toEqual([keyArn('us-east-1')]);
  });
});

describe('bucketPolicyStatements: across accounts', () => {
  const crossAccountPair = (more: Parameters<typeof testPair>[0] = {}) =>
    testPair({
      ...more,
      source: { account: 'main', accountId: ACCOUNT },
      destination: { account: 'backup', accountId: '444455556666', ...more.destination },
    });

  test('the role may transfer the ownership of replicas, unless objectOwner is source', () => {
    expect(actionsOf(crossAccountPair())).toEqual([...ALWAYS, 's3:ObjectOwnerOverrideToBucketOwner'].sort());
    expect(actionsOf(crossAccountPair({ destination: { objectOwner: 'source' } }))).toEqual(ALWAYS);
  });
  test('the destination policy grants the role only the writes of the rules', () => {
    const statements = bucketStatements([crossAccountPair({ rules: [{ deleteMarkerReplication: true }] })]);
    const role = { AWS: [{ $ref: 'iam.role/replikey-acme-tax@main', attr: 'arn' }] };
    expect(Object.entries(statements).map(([sid, { Action }]) => [sid, Action])).toEqual([
      ['ReplikeyDestinationObjectsTax', ['s3:ReplicateObject', 's3:ReplicateTags']],
      ['ReplikeyDestinationDeletesTax', ['s3:ReplicateDelete']],
      ['ReplikeyDestinationOwnerTax', ['s3:ObjectOwnerOverrideToBucketOwner']],
    ]);
    for (const { Principal, Resource } of Object.values(statements)) {
      expect(Principal).toEqual(role);
      expect(Resource).toEqual(['arn:aws:s3:::acme-tax-replica/Tax/*']);
    }
  });
  test('none when both sides have the same account', () => {
    expect(bucketStatements([testPair()])).toEqual({});
    const sameAccountPair = testPair({
      source: { account: 'main', accountId: ACCOUNT },
      destination: { account: 'same', accountId: ACCOUNT },
    });
    expect(bucketStatements([sameAccountPair])).toEqual({});
  });
});

test('trustPolicyStatements: trusts S3 without a condition, because AWS does not document which keys S3 sends', () => {
  expect(Object.values(trustPolicyStatements)).toEqual([
    { Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' },
  ]);
});

describe('keyPolicyStatements: encryption context', () => {
  const isAllowed = (side: 'source' | 'destination', action: string, context: string) => {
    const region = side === 'source' ? 'us-east-1' : 'us-west-2';
    return evaluate(
      {
        principal: ROLE,
        action,
        resource: keyArn(region),
        resourceAccount: ACCOUNT,
        context: {
          'kms:ViaService': `s3.${region}.amazonaws.com`,
          'kms:EncryptionContext:aws:s3:arn': context,
        },
      },
      {
        ...policiesOf(testPair()),
        resource: {
          name: 'key policy',
          policy: joinPolicy(
            resolved(
              keyPolicyStatements([{ pair: testPair(), side, role: { $ref: 'iam.role/r', attr: 'arn' } }]),
            ),
          ),
        },
      },
    ).allowed;
  };
  const sides = ['source', 'destination'] as const;
  const bucket = { source: 'arn:aws:s3:::acme-tax', destination: 'arn:aws:s3:::acme-tax-replica' };

  test.each(sides)('of objects with an S3 Bucket Key is allowed for the %s', (side) => {
    expect(isAllowed(side, 'kms:Decrypt', bucket[side])).toBe(true);
  });
  test.each(sides)('of objects without an S3 Bucket Key is allowed for the %s', (side) => {
    expect(isAllowed(side, 'kms:Decrypt', `${bucket[side]}/Tax/2026.pdf`)).toBe(true);
  });
  test.each(sides)('of other objects and buckets is denied for the %s', (side) => {
    expect(isAllowed(side, 'kms:Decrypt', `${bucket[side]}/Books/2026.pdf`)).toBe(false);
    expect(isAllowed(side, 'kms:Decrypt', `${bucket[side]}-other`)).toBe(false);
  });
  test('allows decryption for the source, and encryption for the destination only', () => {
    expect(isAllowed('source', 'kms:Encrypt', bucket.source)).toBe(false);
    expect(isAllowed('destination', 'kms:Encrypt', bucket.destination)).toBe(true);
    expect(isAllowed('destination', 'kms:GenerateDataKey', bucket.destination)).toBe(true);
  });
});

describe('rolePolicyStatements: prefixes', () => {
  const resourcesOf = (...prefixes: string[]) =>
    roleStatements([testPair({ rules: prefixes.map((prefix) => ({ prefix })) })]).ReplikeySourceObjectsTax
      ?.Resource;

  const rows: [string, string[], string[]][] = [
    ['every object', [''], ['*']],
    ['a prefix that covers another', ['Tax/', 'Tax/2026/'], ['Tax/*']],
    ['several prefixes', ['b/', 'a/'], ['a/*', 'b/*']],
    ['wildcards are escaped', ['a*b?/'], ['a${*}b${?}/*']],
    ['a dollar sign is escaped', ['${aws:username}/'], ['${$}{aws:username}/*']],
    ['Latin-1 characters are kept', ['Straße/'], ['Straße/*']],
    ['the first character outside Latin-1 ends the pattern', ['Tax/日本/2026/'], ['Tax/*']],
    ['a shortened pattern can cover other prefixes', ['日本/', 'Tax/'], ['*']],
  ];
  test.each(rows)('%s', (_, prefixes, patterns) => {
    expect(resourcesOf(...prefixes)).toEqual(patterns.map((pattern) => `arn:aws:s3:::acme-tax/${pattern}`));
  });

  test('random prefixes: their objects are readable, and policies contain only characters that IAM accepts', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 20 }),
        fc.string({ maxLength: 8 }),
        (prefix, suffix) => {
          const pair = testPair({ rules: [{ prefix }] });
          const decision = evaluate(
            {
              principal: ROLE,
              action: 's3:GetObjectVersionForReplication',
              resource: `arn:aws:s3:::acme-tax/${prefix}${suffix}`,
              resourceAccount: ACCOUNT,
            },
            policiesOf(pair),
          );
          expect(decision.allowed, decision.reason).toBe(true);
          expect(JSON.stringify(roleStatements([pair]))).toMatch(/^[\u0020-\u00ff]*$/);
        },
      ),
    );
  });
});

test('rolePolicyStatements: each spec has its own statements, so a run with a subset keeps the others', () => {
  const other = testPair({
    name: 'books',
    destination: { bucket: 'acme-books', region: 'eu-west-1', key: { alias: 'alias/books' } },
    rules: [{ prefix: 'Books/' }],
  });
  const statements = roleStatements([testPair(), other]);
  expect(statements).toEqual({ ...roleStatements([testPair()]), ...roleStatements([other]) });
  expect(Object.keys(statements).sort()).toEqual(
    ['Books', 'Tax']
      .flatMap((name) =>
        ['DestinationKey', 'DestinationObjects', 'SourceBucket', 'SourceKey', 'SourceObjects'].map(
          (subject) => `Replikey${subject}${name}`,
        ),
      )
      .sort(),
  );
});

describe('toSidName', () => {
  test('is readable, with a hash if another name could have the same text', () => {
    expect(toSidName('acme-tax')).toBe('AcmeTax');
    expect(toSidName('2026-tax')).toBe('2026Tax');
    expect(toSidName('acme--tax')).toMatch(/^AcmeTax[0-9a-f]{8}$/);
  });

  test('is unique for random names, and contains only letters and digits', () => {
    const names = fc.stringMatching(/^[a-z0-9][a-z0-9-]{1,20}[a-z0-9]$/);
    fc.assert(
      fc.property(names, names, (a, b) => {
        fc.pre(a !== b);
        expect(toSidName(a)).not.toBe(toSidName(b));
        expect(toSidName(a)).toMatch(/^[A-Za-z0-9]+$/);
      }),
      { numRuns: 1_000 },
    );
  });
});

test('rolePolicyStatements: ARNs and conditions contain the partition of the Region', () => {
  const pair = testPair({ source: { region: 'cn-north-1' }, destination: { region: 'cn-northwest-1' } });
  const { ReplikeySourceKeyTax: key, ReplikeySourceBucketTax: bucket } = roleStatements([pair]);
  expect(bucket?.Resource).toBe('arn:aws-cn:s3:::acme-tax');
  expect(key?.Condition?.StringEquals).toEqual({ 'kms:ViaService': 's3.cn-north-1.amazonaws.com' });
});
