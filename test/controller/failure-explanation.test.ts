import { describe, expect, test } from 'vitest';
import { explainFailure } from '../../src/controller/failure-explanation.ts';
import { emptyFacts } from '../../src/core/facts.ts';
import { createFinding, type Finding, type Fix, summarizeFindings } from '../../src/proof/findings.ts';
import type { RuleProof } from '../../src/proof/types.ts';

const ROLE = 'arn:aws:iam::111122223333:role/path/replikey-acme-tax';
const KEY = 'arn:aws:kms:us-east-1:111122223333:key/1';
const BURST = {
  bucket: 'acme-tax',
  rule: 'replikey/tax/tax',
  reason: 'SrcGetObjectNotPermitted',
  keys: ['Tax/1'],
};

const proofOf = (findings: Finding[], rule = BURST.rule): RuleProof => ({
  bucket: 'acme-tax',
  rule,
  destination: 'acme-tax-replica',
  ...summarizeFindings(findings),
  basis: {
    buckets: ['acme-tax', 'acme-tax-replica'],
    roles: [ROLE],
    keys: [],
    unread: [],
    controlPolicies: { requests: 0, dependent: 0, unread: [] },
  },
  answers: [],
});
const explain = (findings: Finding[], burst: Partial<typeof BURST> = {}) =>
  explainFailure(
    { ...BURST, ...burst },
    [proofOf(findings)],
    emptyFacts(),
    new Map([[KEY, 'alias/acme-tax']]),
  );

const keyFix: Fix = {
  what: `add this statement to the key policy of ${KEY}`,
  policy: { kind: 'key', of: KEY },
  add: {
    Effect: 'Allow',
    Principal: { AWS: ROLE },
    Action: 'kms:Decrypt',
    Resource: '*',
    Condition: {
      StringLike: {
        'kms:EncryptionContext:aws:s3:arn': ['arn:aws:s3:::acme-tax', 'arn:aws:s3:::acme-tax/Tax/*'],
      },
    },
  },
};
const roleFix: Fix = {
  what: `add this statement to the policy replikey of the role ${ROLE}`,
  policy: { kind: 'role', of: ROLE, policy: 'replikey' },
  add: {
    Effect: 'Allow',
    Action: 's3:GetObjectVersionForReplication',
    Resource: 'arn:aws:s3:::acme-tax/Tax/*',
  },
};

describe('explainFailure', () => {
  test('a missing statement: what the policy does not allow, the statement, and the events of the policy', () => {
    expect(explain([createFinding('RK1307', 'denied', [keyFix])])).toMatchObject({
      cause: 'the key policy of alias/acme-tax does not allow kms:Decrypt for arn:aws:s3:::acme-tax/Tax/*',
      fix: expect.stringMatching(
        /^add this statement to the key policy of alias\/acme-tax: \{"Effect":"Allow"/,
      ),
      document: { type: 'key', of: KEY, name: KEY, eventNames: ['PutKeyPolicy'] },
    });
  });

  test('several findings: the one with the reason of S3, and the number of the others', () => {
    const findings = [
      createFinding('RK1312', 'destination', [keyFix]),
      createFinding('RK1304', 'source', [roleFix]),
    ];
    expect(explain(findings)).toMatchObject({
      cause: `the policy replikey of the role ${ROLE} does not allow s3:GetObjectVersionForReplication for arn:aws:s3:::acme-tax/Tax/* (and 1 more finding)`,
      document: {
        type: 'role',
        name: 'replikey-acme-tax',
        eventNames: ['PutRolePolicy', 'DeleteRolePolicy', 'DetachRolePolicy', 'AttachRolePolicy'],
      },
    });
  });

  test('a statement that denies: the policy and the request', () => {
    const deny = { Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: '*' } as const;
    const fix: Fix = {
      what: 'exempt the role from the Deny in the bucket policy of acme-tax-replica',
      policy: { kind: 'bucket', of: 'acme-tax-replica' },
      replace: deny,
      by: { ...deny, Condition: { ArnNotEquals: { 'aws:PrincipalArn': ROLE } } },
    };
    const request = {
      action: 's3:ReplicateObject',
      resource: 'arn:aws:s3:::acme-tax-replica/Tax/1',
      context: {},
    };
    expect(explain([{ ...createFinding('RK1308', 'denied', [fix]), request }])).toMatchObject({
      cause:
        'the bucket policy of acme-tax-replica denies s3:ReplicateObject on arn:aws:s3:::acme-tax-replica/Tax/1',
      document: {
        type: 'bucket',
        of: 'acme-tax-replica',
        eventNames: ['PutBucketPolicy', 'DeleteBucketPolicy'],
      },
    });
  });

  test.each<[string, Fix[], Finding['code'], object]>([
    [
      'suspended versioning',
      [
        {
          what: 'enable versioning',
          call: {
            service: 's3',
            operation: 'PutBucketVersioning',
            region: 'us-west-2',
            input: { Bucket: 'acme-tax-replica' },
          },
        },
      ],
      'RK1104',
      { type: 'bucket', of: 'acme-tax-replica', eventNames: ['PutBucketVersioning'] },
    ],
    [
      'a disabled key',
      [
        {
          what: 'enable the key',
          call: { service: 'kms', operation: 'EnableKey', region: 'us-east-1', input: { KeyId: KEY } },
        },
      ],
      'RK1201',
      { type: 'key', of: KEY, eventNames: ['DisableKey', 'ScheduleKeyDeletion'] },
    ],
    ['a deleted role', [], 'RK1302', { type: 'role', name: 'replikey-acme-tax', eventNames: ['DeleteRole'] }],
    [
      'a deleted bucket',
      [],
      'RK1103',
      { type: 'bucket', of: 'acme-tax-replica', eventNames: ['DeleteBucket'] },
    ],
  ])('%s: the message, and the events that cause it', (_, fixes, code, document) => {
    expect(explain([createFinding(code, 'the message', fixes)])).toMatchObject({
      cause: 'the message',
      document,
    });
  });

  test.each([
    ['SrcVersionNotFound', 'the version was deleted before S3 replicated it'],
    [
      'AssumeRoleNotPermitted',
      'the policies and settings that replikey can read allow every request of S3 now',
    ],
  ])('no error and the reason %s: %s', (reason, cause) => {
    expect(explain([], { reason })).toMatchObject({ cause });
    expect(explain([], { reason })).not.toHaveProperty('document');
  });

  test('a policy that cannot be read: the reason, and no cause that is invented', () => {
    const finding = createFinding('RK1901', 'cannot read the key policy');
    expect(explain([finding])).toEqual({ cause: 'cannot read the key policy', commands: [] });
  });

  test('a proof of another rule as well: only the rule of the burst decides', () => {
    const other = proofOf([createFinding('RK1302', 'other rule')], 'other');
    const own = proofOf([createFinding('RK1307', 'denied', [keyFix])]);
    expect(explainFailure(BURST, [other, own], emptyFacts(), new Map())).toMatchObject({
      document: { type: 'key' },
    });
  });
});
