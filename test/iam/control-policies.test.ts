import { describe, expect, test } from 'vitest';
import { evaluate } from '../../src/iam/evaluate.ts';
import type {
  AccessRequest,
  ControlPolicyLevel,
  ControlPolicyType,
  Policies,
  Statement,
} from '../../src/iam/types.ts';

const ACCOUNT = '111122223333';
const KEY = `arn:aws:kms:us-east-1:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`;
const ROLE = `arn:aws:iam::${ACCOUNT}:role/replikey-acme-tax`;
const decrypt: AccessRequest = {
  principal: `arn:aws:sts::${ACCOUNT}:assumed-role/replikey-acme-tax/s3-replication`,
  action: 'kms:Decrypt',
  resource: KEY,
  resourceAccount: ACCOUNT,
};
const assume: AccessRequest = {
  principal: 's3.amazonaws.com',
  action: 'sts:AssumeRole',
  resource: ROLE,
  resourceAccount: ACCOUNT,
};
const linkedRole = (request: AccessRequest): AccessRequest => ({
  ...request,
  context: { 'aws:PrincipalArn': `arn:aws:iam::${ACCOUNT}:role/aws-service-role/x.amazonaws.com/X` },
});

const level = (name: string, ...statements: Statement[]): ControlPolicyLevel => ({
  name,
  policies: statements.map((statement, index) => ({
    name: `policy ${index + 1} of ${name}`,
    policy: { Version: '2012-10-17', Statement: statement },
  })),
});
const allow = (Action: string): Statement => ({ Effect: 'Allow', Action, Resource: '*' });
const deny = (Action: string, Resource = '*'): Statement => ({
  Sid: 'Perimeter',
  Effect: 'Deny',
  Action,
  Resource,
});
const forAll = (statement: Statement): Statement => ({ ...statement, Principal: '*' });

/** Policies that allow every request of this file. */
const OWN_POLICIES: Policies = {
  identity: [{ name: 'role policy', policy: { Statement: allow('*') } }],
  resource: {
    name: 'policy of the resource',
    policy: { Statement: { Effect: 'Allow', Principal: '*', Action: '*', Resource: '*' } },
  },
};

const ALLOWED = { allowed: true };
const deniedBy = (controlPolicy: ControlPolicyType, kind: 'explicitDeny' | 'implicitDeny') => ({
  allowed: false,
  kind,
  controlPolicy,
});

type Row = [condition: string, AccessRequest, Pick<Policies, 'scps' | 'rcps'>, expected: object];

const FULL_SCP = level('root', allow('*'));
const FULL_RCP = level('root', forAll(allow('*')));

const rows: Row[] = [
  ['an SCP of each level allows', decrypt, { scps: [FULL_SCP, level('account', allow('kms:*'))] }, ALLOWED],
  [
    'no SCP of one level allows',
    decrypt,
    { scps: [FULL_SCP, level('OU', allow('s3:*')), FULL_SCP] },
    deniedBy('scp', 'implicitDeny'),
  ],
  ['a level has no SCP', decrypt, { scps: [FULL_SCP, level('account')] }, deniedBy('scp', 'implicitDeny')],
  [
    'an SCP of one level denies',
    decrypt,
    { scps: [level('root', allow('*'), deny('kms:Decrypt')), FULL_SCP] },
    deniedBy('scp', 'explicitDeny'),
  ],
  ['an SCP denies, and the principal is a service', assume, { scps: [level('root', deny('*'))] }, ALLOWED],
  [
    'an SCP denies, and the principal is a service-linked role',
    linkedRole(decrypt),
    { scps: [level('root', deny('*'))] },
    ALLOWED,
  ],
  [
    'an RCP denies a service',
    assume,
    { rcps: [FULL_RCP, level('account', forAll(allow('*')), forAll(deny('sts:AssumeRole')))] },
    deniedBy('rcp', 'explicitDeny'),
  ],
  [
    'an RCP denies another role',
    assume,
    { rcps: [level('root', forAll(allow('*')), forAll(deny('sts:AssumeRole', `${ROLE}-2`)))] },
    ALLOWED,
  ],
  [
    'an RCP denies a service-linked role',
    linkedRole(decrypt),
    { rcps: [level('root', forAll(deny('*')))] },
    ALLOWED,
  ],
  [
    'an RCP denies an action of a service without RCPs',
    { ...decrypt, action: 'sns:Publish' },
    { rcps: [level('root', forAll(deny('*')))] },
    ALLOWED,
  ],
  [
    'an RCP denies kms:RetireGrant',
    { ...decrypt, action: 'kms:RetireGrant' },
    { rcps: [level('root', forAll(allow('*')), forAll(deny('kms:*')))] },
    ALLOWED,
  ],
  [
    'both deny: the SCP is reported',
    decrypt,
    {
      scps: [level('root', deny('*'))],
      rcps: [level('root', forAll(deny('*')))],
    },
    deniedBy('scp', 'explicitDeny'),
  ],
];

describe('evaluate: control policies', () => {
  test.each(rows)('%s', (_, request, controlPolicies, expected) => {
    expect(evaluate(request, { ...OWN_POLICIES, ...controlPolicies })).toMatchObject(expected);
  });

  test('a control policy grants nothing', () => {
    const decision = evaluate(decrypt, { scps: [FULL_SCP], rcps: [FULL_RCP] });
    expect(decision).toMatchObject({ allowed: false, missingAllow: 'resource' });
    expect(decision.controlPolicy).toBeUndefined();
  });

  test('a policy of principal or resource denies as well: it is reported, because a fix can change it', () => {
    const decision = evaluate(decrypt, {
      ...OWN_POLICIES,
      boundary: [{ name: 'boundary', policy: { Statement: deny('kms:*') } }],
      scps: [level('root', deny('*'))],
    });
    expect(decision.controlPolicy).toBeUndefined();
    expect(decision.reason).toContain('boundary denies');
  });

  test('reason: names policy, level and statement', () => {
    const scps = [level('root r-ab12', deny('kms:*'))];
    expect(evaluate(decrypt, { ...OWN_POLICIES, scps }).reason).toBe(
      `policy 1 of root r-ab12 denies kms:Decrypt on ${KEY} (Perimeter)`,
    );
    expect(evaluate(decrypt, { ...OWN_POLICIES, rcps: [level('OU ou-ab12-11111111')] }).reason).toBe(
      `no RCP attached to OU ou-ab12-11111111 allows kms:Decrypt on ${KEY}`,
    );
  });
});
