import { describe, expect, test } from 'vitest';
import { evaluate } from '../../src/iam/evaluate.ts';
import type { AccessRequest, Policies, Policy, Statement } from '../../src/iam/types.ts';

const ACCOUNT = '111122223333';
const OTHER = '444455556666';
const ROLE = `arn:aws:iam::${ACCOUNT}:role/replikey-acme-tax`;
const SESSION = `arn:aws:sts::${ACCOUNT}:assumed-role/replikey-acme-tax/s3-replication`;
const KEY = `arn:aws:kms:us-east-1:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`;
const OBJECT = 'arn:aws:s3:::acme-tax/Tax/2026.pdf';

const read: AccessRequest = {
  principal: SESSION,
  action: 's3:GetObject',
  resource: OBJECT,
  resourceAccount: ACCOUNT,
};
const decrypt: AccessRequest = { ...read, action: 'kms:Decrypt', resource: KEY };

const policy = (...Statement: Statement[]): Policy => ({ Version: '2012-10-17', Statement });
const allow = (Action: string, more: Partial<Statement> = {}): Statement => ({
  Effect: 'Allow',
  Action,
  Resource: '*',
  ...more,
});
const deny = (Action: string, more: Partial<Statement> = {}): Statement => ({
  ...allow(Action, more),
  Effect: 'Deny',
});

const identity = (...statements: Statement[]): Policies => ({
  identity: [{ name: 'role policy "replikey"', policy: policy(...statements) }],
});
const resource = (...statements: Statement[]): Policies => ({
  resource: { name: 'the policy of acme-tax', policy: policy(...statements) },
});
const toRole = { Principal: { AWS: ROLE } };
const toAccount = (account: string) => ({ Principal: { AWS: `arn:aws:iam::${account}:root` } });

/** A request, the policies, and whether they allow it. */
type Row = [
  name: string,
  request: AccessRequest,
  policies: Policies,
  verdict: 'allow' | 'explicitDeny' | 'implicitDeny',
];

const inOneAccount: Row[] = [
  ['no policy', read, {}, 'implicitDeny'],
  ['an identity policy allows', read, identity(allow('s3:GetObject')), 'allow'],
  ['a bucket policy allows the role', read, resource(allow('s3:GetObject', toRole)), 'allow'],
  [
    'a bucket policy allows the session',
    read,
    resource(allow('s3:GetObject', { Principal: { AWS: SESSION } })),
    'allow',
  ],
  [
    'a bucket policy allows every principal',
    read,
    resource(allow('s3:GetObject', { Principal: '*' })),
    'allow',
  ],
  [
    'a bucket policy allows every principal, in the long form',
    read,
    resource(allow('s3:GetObject', { Principal: { AWS: '*' } })),
    'allow',
  ],
  [
    'a bucket policy allows only the account, and there is no identity policy',
    read,
    resource(allow('s3:GetObject', toAccount(ACCOUNT))),
    'implicitDeny',
  ],
  [
    'a bucket policy allows another role',
    read,
    resource(allow('s3:GetObject', { Principal: { AWS: `${ROLE}-2` } })),
    'implicitDeny',
  ],
  [
    'a bucket policy allows a service',
    read,
    resource(allow('s3:GetObject', { Principal: { Service: 's3.amazonaws.com' } })),
    'implicitDeny',
  ],
  ['a deny in the identity policy', read, identity(allow('s3:*'), deny('s3:GetObject')), 'explicitDeny'],
  [
    'a deny in the bucket policy',
    read,
    { ...identity(allow('s3:*')), ...resource(deny('s3:*', { Principal: '*' })) },
    'explicitDeny',
  ],
  [
    'a Deny with an unmet condition',
    read,
    identity(allow('s3:*'), deny('s3:*', { Condition: { Bool: { 'aws:SecureTransport': 'false' } } })),
    'allow',
  ],
  [
    // IAM User Guide, NotPrincipal with Deny: name the account, the role and the session, or the role is denied.
    'a Deny for all principals except the role, its session and its account',
    read,
    {
      ...identity(allow('s3:*')),
      ...resource({ ...deny('s3:*'), NotPrincipal: { AWS: [ROLE, SESSION, ACCOUNT] } }),
    },
    'allow',
  ],
  [
    'a Deny for all principals except the role and its session, without the account',
    read,
    { ...identity(allow('s3:*')), ...resource({ ...deny('s3:*'), NotPrincipal: { AWS: [ROLE, SESSION] } }) },
    'explicitDeny',
  ],
  [
    'a Deny for all principals except the role and its account, without the session',
    read,
    {
      ...identity(allow('s3:*')),
      ...resource({ ...deny('s3:*'), NotPrincipal: { AWS: [ROLE, `arn:aws:iam::${ACCOUNT}:root`] } }),
    },
    'explicitDeny',
  ],
  [
    'a Deny for all principals except the session and its account, without the role',
    read,
    {
      ...identity(allow('s3:*')),
      ...resource({ ...deny('s3:*'), NotPrincipal: { AWS: [SESSION, ACCOUNT] } }),
    },
    'explicitDeny',
  ],
  [
    'a Deny for all principals except everyone',
    read,
    { ...identity(allow('s3:*')), ...resource({ ...deny('s3:*'), NotPrincipal: '*' }) },
    'allow',
  ],
  [
    'a Deny for all principals except a user and its account, for the user',
    { ...read, principal: `arn:aws:iam::${ACCOUNT}:user/jane` },
    {
      ...identity(allow('s3:*')),
      ...resource({
        ...deny('s3:*'),
        NotPrincipal: { AWS: [`arn:aws:iam::${ACCOUNT}:user/jane`, ACCOUNT] },
      }),
    },
    'allow',
  ],
  [
    'a Deny for all principals except the account, without a principal of the account',
    read,
    {
      ...identity(allow('s3:*')),
      ...resource({ ...deny('s3:*'), NotPrincipal: toAccount(ACCOUNT).Principal }),
    },
    'explicitDeny',
  ],
  [
    'a Deny for all principals except the account, for its root',
    { ...read, principal: `arn:aws:iam::${ACCOUNT}:root` },
    resource({ ...deny('s3:*'), NotPrincipal: { AWS: ACCOUNT } }),
    'allow',
  ],
  [
    'a Deny for all principals except a role with a boundary',
    read,
    {
      ...identity(allow('s3:*')),
      ...resource({ ...deny('s3:*'), NotPrincipal: { AWS: [ROLE, SESSION, ACCOUNT] } }),
      boundary: [{ name: 'b', policy: policy(allow('*')) }],
    },
    'explicitDeny',
  ],
  [
    'an Allow for all principals except the account',
    read,
    resource({ ...allow('s3:*'), NotPrincipal: toAccount(ACCOUNT).Principal }),
    'implicitDeny',
  ],
  [
    'a bucket policy that allows a role with a path, for a session of the role',
    read,
    resource(
      allow('s3:*', { Principal: { AWS: `arn:aws:iam::${ACCOUNT}:role/service-role/replikey-acme-tax` } }),
    ),
    'allow',
  ],
  [
    'a bucket policy that allows another session of the role',
    read,
    resource(allow('s3:*', { Principal: { AWS: `${SESSION}-2` } })),
    'implicitDeny',
  ],
  [
    'a boundary that does not, and a bucket policy that allows the user',
    { ...read, principal: `arn:aws:iam::${ACCOUNT}:user/ana` },
    {
      ...resource(allow('s3:*', { Principal: { AWS: `arn:aws:iam::${ACCOUNT}:user/ana` } })),
      boundary: [{ name: 'b', policy: policy(allow('s3:Put*')) }],
    },
    'allow',
  ],
  [
    'a resource with the account of the caller',
    { ...read, resource: `arn:aws:s3:::logs-${ACCOUNT}/x` },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a policy variable
    identity(allow('s3:*', { Resource: 'arn:aws:s3:::logs-${aws:PrincipalAccount}/*' })),
    'allow',
  ],
  [
    'a resource with the account of the caller, and a bucket of another account',
    { ...read, resource: `arn:aws:s3:::logs-${OTHER}/x` },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a policy variable
    identity(allow('s3:*', { Resource: 'arn:aws:s3:::logs-${aws:PrincipalAccount}/*' })),
    'implicitDeny',
  ],
  [
    'a statement with NotAction',
    read,
    identity({ Effect: 'Allow', NotAction: 's3:PutObject', Resource: '*' }),
    'allow',
  ],
  [
    'a statement with NotAction that names it',
    read,
    identity({ Effect: 'Allow', NotAction: 's3:Get*', Resource: '*' }),
    'implicitDeny',
  ],
  [
    'a statement with NotResource',
    read,
    identity({ Effect: 'Allow', Action: 's3:*', NotResource: 'arn:aws:s3:::other/*' }),
    'allow',
  ],
  [
    'a statement with NotResource that covers it',
    read,
    identity({ Effect: 'Allow', Action: 's3:*', NotResource: 'arn:aws:s3:::acme-tax/*' }),
    'implicitDeny',
  ],
  [
    'a resource of three pieces, which AWS completes',
    read,
    identity(allow('s3:*', { Resource: 'arn:aws:s3' })),
    'allow',
  ],
  [
    'a resource of three pieces that names another service',
    read,
    identity(allow('s3:*', { Resource: 'arn:aws:kms' })),
    'implicitDeny',
  ],
  [
    'a star that ends a resource and reaches over the colons',
    decrypt,
    {
      ...identity(allow('kms:*', { Resource: 'arn:aws:kms:us-*' })),
      ...resource(allow('kms:*', toAccount(ACCOUNT))),
    },
    'allow',
  ],
  [
    'a star that ends a resource of a bucket policy',
    read,
    resource(allow('s3:*', { ...toRole, Resource: 'arn:aws:s3:*' })),
    'allow',
  ],
  [
    'a resource of three pieces in a bucket policy, which AWS does not complete',
    read,
    resource(allow('s3:*', { ...toRole, Resource: 'arn:aws:s3' })),
    'implicitDeny',
  ],
  ['an action in another letter case', read, identity(allow('S3:getobject')), 'allow'],
  ['an action with wildcards', read, identity(allow('s3:Get?bjec*')), 'allow'],
  [
    'a resource in another letter case',
    read,
    identity(allow('s3:*', { Resource: OBJECT.toUpperCase() })),
    'implicitDeny',
  ],
  [
    'a boundary that allows the action',
    read,
    { ...identity(allow('s3:*')), boundary: [{ name: 'b', policy: policy(allow('s3:Get*')) }] },
    'allow',
  ],
  [
    'a boundary that does not allow the action',
    read,
    { ...identity(allow('s3:*')), boundary: [{ name: 'b', policy: policy(allow('s3:Put*')) }] },
    'implicitDeny',
  ],
  [
    'a boundary that does not, and a bucket policy that allows the role',
    read,
    {
      ...resource(allow('s3:GetObject', toRole)),
      boundary: [{ name: 'b', policy: policy(allow('s3:Put*')) }],
    },
    'implicitDeny',
  ],
  [
    'a boundary that does not, and a bucket policy that allows the session by its own ARN',
    read,
    {
      ...resource(allow('s3:GetObject', { Principal: { AWS: SESSION } })),
      boundary: [{ name: 'b', policy: policy(allow('s3:Put*')) }],
    },
    'allow',
  ],
  ['a boundary alone', read, { boundary: [{ name: 'b', policy: policy(allow('s3:*')) }] }, 'implicitDeny'],
  ['the root of the account', { ...read, principal: `arn:aws:iam::${ACCOUNT}:root` }, {}, 'allow'],
  [
    'the root of the account, denied by the bucket',
    { ...read, principal: `arn:aws:iam::${ACCOUNT}:root` },
    resource(deny('s3:*', { Principal: '*' })),
    'explicitDeny',
  ],
];

const acrossAccounts: Row[] = [
  [
    'only the identity policy allows',
    { ...read, resourceAccount: OTHER },
    identity(allow('s3:*')),
    'implicitDeny',
  ],
  [
    'only the bucket policy allows',
    { ...read, resourceAccount: OTHER },
    resource(allow('s3:*', toRole)),
    'implicitDeny',
  ],
  [
    'both allow, the bucket policy the role',
    { ...read, resourceAccount: OTHER },
    { ...identity(allow('s3:*')), ...resource(allow('s3:*', toRole)) },
    'allow',
  ],
  [
    'both allow, the bucket policy the account',
    { ...read, resourceAccount: OTHER },
    { ...identity(allow('s3:*')), ...resource(allow('s3:*', toAccount(ACCOUNT))) },
    'allow',
  ],
  [
    'both allow, the bucket policy the account by its number',
    { ...read, resourceAccount: OTHER },
    { ...identity(allow('s3:*')), ...resource(allow('s3:*', { Principal: { AWS: ACCOUNT } })) },
    'allow',
  ],
  [
    'the bucket policy allows its own account only',
    { ...read, resourceAccount: OTHER },
    { ...identity(allow('s3:*')), ...resource(allow('s3:*', toAccount(OTHER))) },
    'implicitDeny',
  ],
];

const keys: Row[] = [
  ['the key policy names the role', decrypt, resource(allow('kms:Decrypt', toRole)), 'allow'],
  [
    'the key policy leaves it to the account, and the role may',
    decrypt,
    { ...identity(allow('kms:Decrypt')), ...resource(allow('kms:*', toAccount(ACCOUNT))) },
    'allow',
  ],
  [
    'the key policy leaves it to the account, and the role may not',
    decrypt,
    resource(allow('kms:*', toAccount(ACCOUNT))),
    'implicitDeny',
  ],
  [
    'the role may, but the key policy does not know the account',
    decrypt,
    { ...identity(allow('kms:Decrypt')), ...resource(allow('kms:Encrypt', toRole)) },
    'implicitDeny',
  ],
  [
    'the root itself, which the key policy does not know',
    { ...decrypt, principal: `arn:aws:iam::${ACCOUNT}:root` },
    resource(allow('kms:*', toRole)),
    'implicitDeny',
  ],
  [
    'another account, both sides allow',
    { ...decrypt, resourceAccount: OTHER },
    { ...identity(allow('kms:*')), ...resource(allow('kms:*', toRole)) },
    'allow',
  ],
  [
    'another account, the key policy alone',
    { ...decrypt, resourceAccount: OTHER },
    resource(allow('kms:*', toRole)),
    'implicitDeny',
  ],
];

const assume: AccessRequest = {
  principal: 's3.amazonaws.com',
  action: 'sts:AssumeRole',
  resource: ROLE,
  resourceAccount: ACCOUNT,
};
const trust = (statement: Partial<Statement>): Policies => ({
  resource: {
    name: 'the trust policy',
    policy: policy({ Effect: 'Allow', Action: 'sts:AssumeRole', ...statement }),
  },
});
const trusts: Row[] = [
  ['it trusts S3', assume, trust({ Principal: { Service: 's3.amazonaws.com' } }), 'allow'],
  [
    'it trusts another service',
    assume,
    trust({ Principal: { Service: 'ec2.amazonaws.com' } }),
    'implicitDeny',
  ],
  [
    'it trusts several services',
    assume,
    trust({ Principal: { Service: ['batchoperations.s3.amazonaws.com', 's3.amazonaws.com'] } }),
    'allow',
  ],
  [
    'it trusts S3 for another account',
    assume,
    trust({
      Principal: { Service: 's3.amazonaws.com' },
      Condition: { StringEquals: { 'aws:SourceAccount': OTHER } },
    }),
    'implicitDeny',
  ],
  [
    'it trusts S3 for this account',
    { ...assume, context: { 'aws:SourceAccount': ACCOUNT } },
    trust({
      Principal: { Service: 's3.amazonaws.com' },
      Condition: { StringEquals: { 'aws:SourceAccount': ACCOUNT } },
    }),
    'allow',
  ],
  [
    'it trusts the account, but no identity policy allows',
    { ...assume, principal: `arn:aws:iam::${ACCOUNT}:role/ci` },
    trust(toAccount(ACCOUNT)),
    'implicitDeny',
  ],
  ['there is no trust policy', assume, {}, 'implicitDeny'],
  [
    'it denies everybody, services too',
    assume,
    {
      resource: {
        name: 'the trust policy',
        policy: policy(
          { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 's3.amazonaws.com' } },
          { Effect: 'Deny', Action: 'sts:*', Principal: { AWS: '*' } },
        ),
      },
    },
    'explicitDeny',
  ],
];

/** A rule's grant on the source key, and the contexts of both sorts of objects. */
const grant = (...contexts: string[]): Policies => ({
  ...identity(
    allow('kms:Decrypt', {
      Resource: KEY,
      Condition: {
        StringEquals: { 'kms:ViaService': 's3.us-east-1.amazonaws.com' },
        StringLike: { 'kms:EncryptionContext:aws:s3:arn': contexts },
      },
    }),
  ),
  ...resource(allow('kms:*', toAccount(ACCOUNT))),
});
const via = (arn: string, region = 'us-east-1'): AccessRequest => ({
  ...decrypt,
  context: { 'kms:ViaService': `s3.${region}.amazonaws.com`, 'kms:EncryptionContext:aws:s3:arn': arn },
});
const BUCKET = 'arn:aws:s3:::acme-tax';
const contexts: Row[] = [
  ['with a Bucket Key, the bucket named', via(BUCKET), grant(BUCKET), 'allow'],
  ['without, the bucket named', via(OBJECT), grant(BUCKET), 'implicitDeny'],
  ['without, the objects named', via(OBJECT), grant(`${BUCKET}/Tax/*`), 'allow'],
  ['with a Bucket Key, the objects named', via(BUCKET), grant(`${BUCKET}/Tax/*`), 'implicitDeny'],
  ['with a Bucket Key, both named', via(BUCKET), grant(BUCKET, `${BUCKET}/Tax/*`), 'allow'],
  ['without, both named', via(OBJECT), grant(BUCKET, `${BUCKET}/Tax/*`), 'allow'],
  ['by way of S3 in another Region', via(OBJECT, 'eu-west-1'), grant(`${BUCKET}/*`), 'implicitDeny'],
  ['not by way of S3', decrypt, grant(`${BUCKET}/*`), 'implicitDeny'],
];

describe.each([
  ['in one account', inOneAccount],
  ['across accounts', acrossAccounts],
  ['of a key', keys],
  ['of a trust policy', trusts],
  ['of an encryption context', contexts],
])('decision %s', (_, rows) => {
  test.each(rows)('%s', (_name, request, policies, verdict) => {
    const decision = evaluate(request, policies);
    expect(decision.kind).toBe(verdict);
    expect(decision.allowed).toBe(verdict === 'allow');
    expect(decision.reason).not.toBe('');
  });
});

describe('reason of a decision', () => {
  const reasons: [string, AccessRequest, Policies, string][] = [
    [
      'the statement that allows',
      read,
      identity(allow('s3:GetObject', { Sid: 'ReadSource' })),
      'allowed by role policy "replikey" (ReadSource)',
    ],
    [
      'the statement that denies',
      read,
      { ...identity(allow('s3:*')), ...resource(deny('s3:*', { Principal: '*' })) },
      `the policy of acme-tax denies s3:GetObject on ${OBJECT} (statement 1)`,
    ],
    [
      'the unmet condition of the nearest statement, with expected and actual values',
      via(OBJECT),
      grant(BUCKET),
      `no identity policy of ${ROLE} allows kms:Decrypt on ${KEY}: in role policy "replikey" (statement 1) StringLike kms:EncryptionContext:aws:s3:arn expects ${BUCKET}, but the request has ${OBJECT}`,
    ],
    [
      'a condition key that the request does not carry',
      assume,
      trust({
        Principal: { Service: 's3.amazonaws.com' },
        Condition: { StringEquals: { 'aws:SourceAccount': OTHER } },
      }),
      `the trust policy does not allow sts:AssumeRole on ${ROLE}: in the trust policy (statement 1) StringEquals aws:SourceAccount expects ${OTHER}, but the request has nothing`,
    ],
    [
      'the resource of the nearest statement',
      read,
      identity(allow('s3:GetObject', { Resource: 'arn:aws:s3:::acme-tax/Books/*' })),
      `no identity policy of ${ROLE} allows s3:GetObject on ${OBJECT}: in role policy "replikey" (statement 1) the resource expects arn:aws:s3:::acme-tax/Books/*, but the request has ${OBJECT}`,
    ],
    [
      'the resources that the nearest statement excludes',
      read,
      identity({ Effect: 'Allow', Action: 's3:*', NotResource: OBJECT }),
      `no identity policy of ${ROLE} allows s3:GetObject on ${OBJECT}: in role policy "replikey" (statement 1) the resource expects any value except ${OBJECT}, but the request has ${OBJECT}`,
    ],
    [
      'the values that the nearest statement excludes',
      { ...read, context: { 'aws:RequestedRegion': 'us-east-1' } },
      identity(allow('s3:*', { Condition: { StringNotEquals: { 'aws:RequestedRegion': 'us-east-1' } } })),
      `no identity policy of ${ROLE} allows s3:GetObject on ${OBJECT}: in role policy "replikey" (statement 1) StringNotEquals aws:RequestedRegion expects any value except us-east-1, but the request has us-east-1`,
    ],
    [
      'an Allow of both the key policy and the identity policy',
      decrypt,
      { ...identity(allow('kms:*')), ...resource(allow('kms:*', toAccount(ACCOUNT))) },
      'allowed by role policy "replikey" (statement 1) and the policy of acme-tax (statement 1)',
    ],
    [
      'a permissions boundary without the Allow',
      read,
      { ...identity(allow('s3:*')), boundary: [{ name: 'the boundary', policy: policy(allow('s3:Put*')) }] },
      `the permissions boundary does not allow s3:GetObject on ${OBJECT}`,
    ],
    [
      'the principal of the nearest statement',
      assume,
      trust({ Principal: { Service: 'ec2.amazonaws.com' } }),
      `the trust policy does not allow sts:AssumeRole on ${ROLE}: in the trust policy (statement 1) the principal expects ec2.amazonaws.com, but the request has s3.amazonaws.com`,
    ],
    ['that there is nothing', read, {}, `no identity policy of ${ROLE} allows s3:GetObject on ${OBJECT}`],
    [
      'a missing policy across accounts',
      { ...read, resourceAccount: OTHER },
      identity(allow('s3:*')),
      `the policy of ${OBJECT} (no policy exists) does not allow s3:GetObject on ${OBJECT}`,
    ],
  ];

  test.each(reasons)('%s', (_, request, policies, reason) => {
    expect(evaluate(request, policies).reason).toBe(reason);
  });

  test('near miss: is the statement that matches the most parts', () => {
    const decision = evaluate(
      via(OBJECT),
      identity(
        allow('s3:*'),
        allow('kms:Decrypt', { Resource: 'arn:aws:kms:*:*:key/other' }),
        ...statementsOf(grant(BUCKET)),
      ),
    );
    expect(decision.nearMiss).toBeUndefined();
    const decisionInAccount = evaluate(via(OBJECT), {
      ...identity(
        allow('s3:*'),
        allow('kms:Decrypt', { Resource: 'arn:aws:kms:*:*:key/other' }),
        ...statementsOf(grant(BUCKET)),
      ),
      ...resource(allow('kms:*', toAccount(ACCOUNT))),
    });
    expect(decisionInAccount.nearMiss).toMatchObject({
      index: 2,
      part: 'condition',
      key: 'kms:EncryptionContext:aws:s3:arn',
      expected: [BUCKET],
      actual: [OBJECT],
    });
  });
});

const statementsOf = ({ identity: [only] = [] }: Policies): Statement[] =>
  [only?.policy.Statement ?? []].flat();
