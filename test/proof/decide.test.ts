import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Policy, Statement } from '../../src/iam/types.ts';
import { decide } from '../../src/proof/decide.ts';

const ROLE = 'arn:aws:iam::111122223333:role/replication';
const HEADER = 's3:x-amz-server-side-encryption';

/** Returns whether a role may write the tags of a replica, if S3 may send the encryption header with the request. */
function verdictOf(Effect: Statement['Effect'], Condition: NonNullable<Statement['Condition']>) {
  const Resource = 'arn:aws:s3:::acme-tax-replica/*';
  const conditional: Statement = { Effect, Action: 's3:Replicate*', Resource, Condition };
  const always: Statement = { Effect: 'Allow', Action: 's3:ReplicateTags', Resource };
  const verdict = decide(
    {
      principal: `${ROLE.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/s3`,
      action: 's3:ReplicateTags',
      resource: 'arn:aws:s3:::acme-tax-replica/Tax/2026.pdf',
      resourceAccount: '111122223333',
      context: { 'aws:PrincipalArn': ROLE },
      optionalContext: { [HEADER]: 'aws:kms' },
    },
    {
      identity: [
        { name: 'the policy', policy: { Statement: [conditional, ...(Effect === 'Deny' ? [always] : [])] } },
      ],
    },
  );
  if ('undecided' in verdict) return verdict.undecided.join();
  return verdict.allowed ? 'allowed' : 'denied';
}

const conditions: [string, Statement['Effect'], NonNullable<Statement['Condition']>, string][] = [
  ['IfExists on an optional header', 'Allow', { StringEqualsIfExists: { [HEADER]: 'aws:kms' } }, 'allowed'],
  ['an optional header', 'Allow', { StringEquals: { [HEADER]: 'aws:kms' } }, HEADER],
  ['another value of the optional header', 'Allow', { StringEquals: { [HEADER]: 'AES256' } }, 'denied'],
  ['absence of the optional header', 'Allow', { Null: { [HEADER]: 'true' } }, HEADER],
  ['a Deny of all other values', 'Deny', { StringNotEquals: { [HEADER]: 'aws:kms' } }, HEADER],
  ['a Deny of another value', 'Deny', { StringEquals: { [HEADER]: 'AES256' } }, 'allowed'],
  ['an unknown header', 'Allow', { StringEquals: { 's3:x-amz-acl': 'private' } }, 's3:x-amz-acl'],
  ['an unknown tag', 'Deny', { StringEquals: { 'aws:ResourceTag/stage': 'test' } }, 'aws:ResourceTag/stage'],
  [
    'a key of another service',
    'Allow',
    { StringEquals: { 'kms:ViaService': 's3.us-east-1.amazonaws.com' } },
    'denied',
  ],
  [
    'a VPC endpoint, which S3 does not use',
    'Deny',
    { StringNotEquals: { 'aws:SourceVpce': 'vpce-1' } },
    'denied',
  ],
];

test.each(conditions)(
  'decide: %s (%s) is decided only if every possible value gives the same decision',
  (_, effect, condition, expected) => {
    expect(verdictOf(effect, condition)).toBe(expected);
  },
);

const KEYS = [HEADER, 'S3:X-Amz-Server-Side-Encryption', 's3:x-amz-acl', 'aws:PrincipalArn'];
const statement = fc.record(
  {
    Effect: fc.constantFrom('Allow' as const, 'Deny' as const),
    Action: fc.constantFrom('s3:*', 's3:ReplicateTags'),
    Resource: fc.constantFrom('*', `arn:aws:s3:::acme/\${${HEADER}}/*`, 'arn:aws:s3:::acme/aws:kms/*'),
    Condition: fc.dictionary(
      fc.constantFrom('StringEquals', 'StringNotEquals', 'StringLikeIfExists'),
      fc.dictionary(fc.constantFrom(...KEYS), fc.constantFrom('aws:kms', `\${${HEADER}}`, 'private')),
      { maxKeys: 1 },
    ),
  },
  { requiredKeys: ['Effect', 'Action', 'Resource'] },
);

test('decide: an optional key matters exactly if the decisions with and without it differ', () => {
  fc.assert(
    fc.property(fc.array(statement, { minLength: 1, maxLength: 3 }), (Statement) => {
      const policy: Policy = { Version: '2012-10-17', Statement };
      const policies = { identity: [{ name: 'the policy', policy }] };
      const request = {
        principal: 'arn:aws:sts::111122223333:assumed-role/replication/s3',
        action: 's3:ReplicateTags',
        resource: 'arn:aws:s3:::acme/aws:kms/2026.pdf',
        resourceAccount: '111122223333',
        context: { 'aws:PrincipalArn': ROLE },
      };
      const [decisionWithout, decisionWith] = [
        request.context,
        { ...request.context, [HEADER]: 'aws:kms' },
      ].map((context) => {
        const verdict = decide({ ...request, context }, policies);
        return 'undecided' in verdict ? 'undecided' : verdict.allowed;
      });
      const verdict = decide({ ...request, optionalContext: { [HEADER]: 'aws:kms' } }, policies);
      const expected = decisionWithout === decisionWith ? decisionWithout : 'undecided';
      expect('undecided' in verdict ? 'undecided' : verdict.allowed).toBe(expected);
    }),
    { numRuns: 2_000 },
  );
});

/** Decides a read by a role outside the organization `o-ours`, under a condition on the organization of the role. */
function outsideVerdict(Effect: Statement['Effect'], Condition: NonNullable<Statement['Condition']>): string {
  const Resource = 'arn:aws:s3:::acme-tax/*';
  const conditional: Statement = { Effect, Action: 's3:GetObject', Resource, Condition };
  const always: Statement = { Effect: 'Allow', Action: 's3:GetObject', Resource };
  const statements = [conditional, ...(Effect === 'Deny' ? [always] : [])];
  const verdict = decide(
    {
      principal: `${ROLE.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/s3`,
      action: 's3:GetObject',
      resource: 'arn:aws:s3:::acme-tax/Tax/2026.pdf',
      resourceAccount: '111122223333',
      context: { 'aws:PrincipalArn': ROLE },
      outsideOrganizations: { Principal: 'o-ours' },
    },
    { identity: [{ name: 'the policy', policy: { Statement: statements } }] },
  );
  if ('undecided' in verdict) return verdict.undecided.join();
  return verdict.allowed ? 'allowed' : 'denied';
}

const ORG_KEYS = 'aws:PrincipalOrgID,aws:PrincipalOrgPaths';
const outsideConditions: [string, Statement['Effect'], NonNullable<Statement['Condition']>, string][] = [
  [
    'an Allow for the known organization',
    'Allow',
    { StringEquals: { 'aws:PrincipalOrgID': 'o-ours' } },
    'denied',
  ],
  [
    'an Allow for another organization',
    'Allow',
    { StringEquals: { 'aws:PrincipalOrgID': 'o-partner' } },
    ORG_KEYS,
  ],
  ['an Allow for any organization', 'Allow', { Null: { 'aws:PrincipalOrgID': 'false' } }, ORG_KEYS],
  [
    'a Deny for all but the known organization',
    'Deny',
    { StringNotEqualsIfExists: { 'aws:PrincipalOrgID': 'o-ours' } },
    'denied',
  ],
  [
    'a Deny for all but the known and another organization',
    'Deny',
    { StringNotEquals: { 'aws:PrincipalOrgID': ['o-ours', 'o-partner'] } },
    ORG_KEYS,
  ],
  [
    'an Allow for a unit of the known organization',
    'Allow',
    { 'ForAnyValue:StringLike': { 'aws:PrincipalOrgPaths': 'o-ours/r-ab12/*' } },
    'denied',
  ],
  [
    'an Allow for a unit of another organization',
    'Allow',
    { 'ForAnyValue:StringLike': { 'aws:PrincipalOrgPaths': 'o-partner/r-ab12/*' } },
    ORG_KEYS,
  ],
];

test.each(outsideConditions)(
  'decide: a role outside the organization, %s',
  (_, effect, condition, expected) => {
    expect(outsideVerdict(effect, condition)).toBe(expected);
  },
);
