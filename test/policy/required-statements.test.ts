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

/** Statements as they are written, every reference resolved. */
const written = (statements: Statements): Statements =>
  resolveRefs(statements, ({ $ref }) =>
    $ref.startsWith('iam.role') ? ROLE : keyArn($ref.includes('us-west-2') ? 'us-west-2' : 'us-east-1'),
  );
const policiesOf = (pair: BucketReplication): Policies => ({
  identity: [{ name: 'role policy', policy: joinPolicy(written(roleStatements([pair]))) }],
});
const actionsOf = (pair: BucketReplication): string[] =>
  [...new Set(Object.values(roleStatements([pair])).flatMap(({ Action }) => Action ?? []))].sort();

const ALWAYS = [
  'kms:Decrypt',
  'kms:Encrypt',
  'kms:GenerateDataKey',
  's3:GetObjectVersionAcl',
  's3:GetObjectVersionForReplication',
  's3:GetObjectVersionTagging',
  's3:GetReplicationConfiguration',
  's3:ListBucket',
  's3:ReplicateObject',
  's3:ReplicateTags',
];

describe('the role may do what the settings need, and no more', () => {
  test('the common case', () => {
    expect(actionsOf(testPair())).toEqual(ALWAYS);
  });
  test('deletes are replicated only where a rule says so', () => {
    expect(actionsOf(testPair({ rules: [{ deleteMarkerReplication: true }] }))).toEqual(
      [...ALWAYS, 's3:ReplicateDelete'].sort(),
    );
    const mixed = testPair({ rules: [{ prefix: 'A/', deleteMarkerReplication: true }, { prefix: 'B/' }] });
    expect(roleStatements([mixed]).ReplikeyDestinationDeletesTax?.Resource).toEqual([
      'arn:aws:s3:::acme-tax-replica/A/*',
    ]);
  });
  test('no key where no rule selects encrypted objects', () => {
    const plain = testPair({ rules: [{ sseKmsEncryptedObjects: false }] });
    expect(actionsOf(plain)).toEqual(ALWAYS.filter((action) => action.startsWith('s3:')));
    const use = { pair: plain, side: 'source', role: ROLE } as const;
    expect(keyPolicyStatements([use])).toEqual({});
  });
  test('the encrypted objects of those rules alone that select them', () => {
    const mixed = testPair({ rules: [{ prefix: 'A/' }, { prefix: 'B/', sseKmsEncryptedObjects: false }] });
    const { ReplikeySourceKeyTax: key, ReplikeySourceObjectsTax: objects } = roleStatements([mixed]);
    expect(JSON.stringify(key?.Condition)).not.toContain('/B/');
    expect(objects?.Resource).toEqual(['arn:aws:s3:::acme-tax/A/*', 'arn:aws:s3:::acme-tax/B/*']);
  });
  test('objects under each further key of the source are decrypted, and nothing is encrypted under it', () => {
    const pair = testPair({ sourceKeys: [{ alias: 'alias/old' }, { arn: keyArn('us-east-1') }] });
    const { ReplikeySourceKeyTax: source, ReplikeyDestinationKeyTax: destination } = roleStatements([pair]);
    expect([source?.Resource].flat()).toHaveLength(3);
    expect(source?.Action).toEqual(['kms:Decrypt']);
    expect([destination?.Resource].flat()).toHaveLength(1);
  });
  test('no statement is for every resource, and no wildcard stands in an action', () => {
    for (const { Action, Resource } of Object.values(roleStatements([testPair()]))) {
      expect([Resource].flat()).not.toContain('*');
      expect([Action].flat().join()).not.toContain('*');
    }
  });
  test('keys are named by ARN, never by alias', () => {
    expect(JSON.stringify(written(roleStatements([testPair()])))).not.toContain(':alias/');
    const given = testPair({ source: { key: { arn: keyArn('us-east-1') } } });
    expect(roleStatements([given]).ReplikeySourceKeyTax?.Resource).toEqual([keyArn('us-east-1')]);
  });
});

describe('across accounts', () => {
  const across = (more: Parameters<typeof testPair>[0] = {}) =>
    testPair({
      ...more,
      source: { account: 'main', accountId: ACCOUNT },
      destination: { account: 'backup', accountId: '444455556666', ...more.destination },
    });

  test('replicas are handed over, unless the spec leaves them to the source', () => {
    expect(actionsOf(across())).toEqual([...ALWAYS, 's3:ObjectOwnerOverrideToBucketOwner'].sort());
    expect(actionsOf(across({ destination: { objectOwner: 'source' } }))).toEqual(ALWAYS);
  });
  test('the policy of the destination lets the role write what the rules ask for, and nothing else', () => {
    const granted = bucketStatements([across({ rules: [{ deleteMarkerReplication: true }] })]);
    const role = { AWS: [{ $ref: 'iam.role/replikey-acme-tax@main', attr: 'arn' }] };
    expect(Object.entries(granted).map(([sid, { Action }]) => [sid, Action])).toEqual([
      ['ReplikeyDestinationObjectsTax', ['s3:ReplicateObject', 's3:ReplicateTags']],
      ['ReplikeyDestinationDeletesTax', ['s3:ReplicateDelete']],
      ['ReplikeyDestinationOwnerTax', ['s3:ObjectOwnerOverrideToBucketOwner']],
    ]);
    for (const { Principal, Resource } of Object.values(granted)) {
      expect(Principal).toEqual(role);
      expect(Resource).toEqual(['arn:aws:s3:::acme-tax-replica/Tax/*']);
    }
  });
  test('is where the two sides have different owners: in one account the destination needs no policy', () => {
    expect(bucketStatements([testPair()])).toEqual({});
    const named = testPair({
      source: { account: 'main', accountId: ACCOUNT },
      destination: { account: 'same', accountId: ACCOUNT },
    });
    expect(bucketStatements([named])).toEqual({});
  });
});

test('S3 is trusted without a condition, since nobody documents which keys it sends when it assumes the role', () => {
  expect(Object.values(trustPolicyStatements)).toEqual([
    { Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' },
  ]);
});

describe('the encryption context', () => {
  const via = (side: 'source' | 'destination', action: string, context: string) => {
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
            written(
              keyPolicyStatements([{ pair: testPair(), side, role: { $ref: 'iam.role/r', attr: 'arn' } }]),
            ),
          ),
        },
      },
    ).allowed;
  };
  const both = ['source', 'destination'] as const;
  const bucket = { source: 'arn:aws:s3:::acme-tax', destination: 'arn:aws:s3:::acme-tax-replica' };

  test.each(both)('of objects with an S3 Bucket Key is allowed on the %s', (side) => {
    expect(via(side, 'kms:Decrypt', bucket[side])).toBe(true);
  });
  test.each(both)('of objects without is allowed on the %s', (side) => {
    expect(via(side, 'kms:Decrypt', `${bucket[side]}/Tax/2026.pdf`)).toBe(true);
  });
  test.each(both)('of other objects and buckets is not, on the %s', (side) => {
    expect(via(side, 'kms:Decrypt', `${bucket[side]}/Books/2026.pdf`)).toBe(false);
    expect(via(side, 'kms:Decrypt', `${bucket[side]}-other`)).toBe(false);
  });
  test('lets the source be read only, and the destination be written', () => {
    expect(via('source', 'kms:Encrypt', bucket.source)).toBe(false);
    expect(via('destination', 'kms:Encrypt', bucket.destination)).toBe(true);
    expect(via('destination', 'kms:GenerateDataKey', bucket.destination)).toBe(true);
  });
});

describe('prefixes in policies', () => {
  const resourcesOf = (...prefixes: string[]) =>
    roleStatements([testPair({ rules: prefixes.map((prefix) => ({ prefix })) })]).ReplikeySourceObjectsTax
      ?.Resource;

  const rows: [string, string[], string[]][] = [
    ['every object', [''], ['*']],
    ['one that covers another', ['Tax/', 'Tax/2026/'], ['Tax/*']],
    ['several', ['b/', 'a/'], ['a/*', 'b/*']],
    ['wildcards are meant as they stand', ['a*b?/'], ['a${*}b${?}/*']],
    ['a dollar is no variable', ['${aws:username}/'], ['${$}{aws:username}/*']],
    ['letters of Latin-1 can be said', ['Straße/'], ['Straße/*']],
    ['letters beyond it cannot, and end the pattern', ['Tax/日本/2026/'], ['Tax/*']],
    ['and what they end can cover others', ['日本/', 'Tax/'], ['*']],
  ];
  test.each(rows)('%s', (_, prefixes, patterns) => {
    expect(resourcesOf(...prefixes)).toEqual(patterns.map((pattern) => `arn:aws:s3:::acme-tax/${pattern}`));
  });

  test('whatever the prefix, its objects may be read, and policies hold no character that IAM refuses', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 20 }),
        fc.string({ maxLength: 8 }),
        (prefix, rest) => {
          const pair = testPair({ rules: [{ prefix }] });
          const decision = evaluate(
            {
              principal: ROLE,
              action: 's3:GetObjectVersionForReplication',
              resource: `arn:aws:s3:::acme-tax/${prefix}${rest}`,
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

test('each spec has statements of its own, so that a run with some of them takes nothing from the others', () => {
  const other = testPair({
    name: 'books',
    destination: { bucket: 'acme-books', region: 'eu-west-1', key: { alias: 'alias/books' } },
    rules: [{ prefix: 'Books/' }],
  });
  const both = roleStatements([testPair(), other]);
  expect(both).toEqual({ ...roleStatements([testPair()]), ...roleStatements([other]) });
  expect(Object.keys(both).sort()).toEqual(
    ['Books', 'Tax']
      .flatMap((name) =>
        ['DestinationKey', 'DestinationObjects', 'SourceBucket', 'SourceKey', 'SourceObjects'].map(
          (what) => `Replikey${what}${name}`,
        ),
      )
      .sort(),
  );
});

describe('names of specs in statement ids', () => {
  test('are readable, with a hash where they could stand for another name', () => {
    expect(toSidName('acme-tax')).toBe('AcmeTax');
    expect(toSidName('2026-tax')).toBe('2026Tax');
    expect(toSidName('acme--tax')).toMatch(/^AcmeTax[0-9a-f]{8}$/);
  });

  test('two specs never share one, and letters and digits are all that they hold', () => {
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

test('keys and conditions are those of the partition', () => {
  const pair = testPair({ source: { region: 'cn-north-1' }, destination: { region: 'cn-northwest-1' } });
  const { ReplikeySourceKeyTax: key, ReplikeySourceBucketTax: bucket } = roleStatements([pair]);
  expect(bucket?.Resource).toBe('arn:aws-cn:s3:::acme-tax');
  expect(key?.Condition?.StringEquals).toEqual({ 'kms:ViaService': 's3.cn-north-1.amazonaws.com' });
});
