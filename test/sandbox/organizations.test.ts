import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { callKms, callOrganizations, callQuery, callS3 } from '../support/raw-aws.ts';

const [MANAGEMENT, MEMBER, OTHER, OUTSIDER] = [
  '111111111111',
  '222222222222',
  '333333333333',
  '999999999999',
];

let sandbox: Sandbox;

beforeEach(async () => {
  sandbox = await startSandbox();
});
afterEach(() => sandbox.close());

const call = (operation: string, input: object, account = MANAGEMENT) =>
  callOrganizations(sandbox.endpoint, operation, input, account);

/** Sends a request that succeeds, and returns its response. */
async function send(operation: string, input: object, account = MANAGEMENT) {
  const response = await call(operation, input, account);
  expect(response, operation).toMatchObject({ status: 200 });
  // biome-ignore lint/suspicious/noExplicitAny: a response of any operation
  return response.json as any;
}

/** Creates an organization, with invited accounts and both policy types, and returns the id of its root. */
async function createOrganization(...members: string[]): Promise<string> {
  await send('CreateOrganization', {});
  for (const Id of members) {
    const { Handshake } = await send('InviteAccountToOrganization', { Target: { Id, Type: 'ACCOUNT' } });
    await send('AcceptHandshake', { HandshakeId: Handshake.Id }, Id);
  }
  const { Roots } = await send('ListRoots', {});
  const RootId: string = Roots[0].Id;
  for (const PolicyType of ['SERVICE_CONTROL_POLICY', 'RESOURCE_CONTROL_POLICY'])
    await send('EnablePolicyType', { RootId, PolicyType });
  return RootId;
}

async function createPolicy(Type: string, Name: string, statement: object): Promise<string> {
  const Content = JSON.stringify({ Version: '2012-10-17', Statement: statement });
  const { Policy } = await send('CreatePolicy', { Type, Name, Description: Name, Content });
  return Policy.PolicySummary.Id;
}

const DENY_BUCKETS = { Sid: 'NoBuckets', Effect: 'Deny', Action: 's3:CreateBucket', Resource: '*' };

const createBucket = (account: string, name = `acme-${account}`) =>
  callS3(sandbox.endpoint, 'PUT', `/${name}`, { account });

describe('an organization', () => {
  test('CreateOrganization: the caller is the management account, and its ids have the documented forms', async () => {
    const { Organization } = await send('CreateOrganization', { FeatureSet: 'ALL' });
    expect(Organization).toMatchObject({
      Id: expect.stringMatching(/^o-[a-z0-9]{10,32}$/),
      MasterAccountId: MANAGEMENT,
      FeatureSet: 'ALL',
    });
    expect(Organization.Arn).toBe(`arn:aws:organizations::${MANAGEMENT}:organization/${Organization.Id}`);
    expect(Organization.MasterAccountArn).toBe(
      `arn:aws:organizations::${MANAGEMENT}:account/${Organization.Id}/${MANAGEMENT}`,
    );
    expect(await call('CreateOrganization', {})).toMatchObject({
      status: 400,
      code: 'AlreadyInOrganizationException',
    });
    expect(await call('DescribeOrganization', {}, MEMBER)).toMatchObject({
      status: 400,
      code: 'AWSOrganizationsNotInUseException',
      message: 'Your account is not a member of an organization.',
    });
  });

  test('ListAccounts: pages of 20, in the order in which the accounts joined', async () => {
    await send('CreateOrganization', {});
    for (let index = 0; index < 24; index++)
      await send('CreateAccount', { Email: `${index}@example.com`, AccountName: `account ${index}` });
    const first = await send('ListAccounts', {});
    expect(first.Accounts).toHaveLength(20);
    expect(first.Accounts[0]).toMatchObject({ Id: MANAGEMENT, Status: 'ACTIVE', JoinedMethod: 'INVITED' });
    const second = await send('ListAccounts', { NextToken: first.NextToken });
    expect(second.Accounts).toHaveLength(5);
    expect(second.Accounts[4]).toMatchObject({ Name: 'account 23', JoinedMethod: 'CREATED' });
    expect(second.NextToken).toBeUndefined();
    expect(await call('ListAccounts', { MaxResults: 21 })).toMatchObject({ code: 'ValidationException' });
  });

  test('CreateAccount: the management account can assume the access role of the new account', async () => {
    await send('CreateOrganization', {});
    const { CreateAccountStatus } = await send('CreateAccount', { Email: 'a@b.c', AccountName: 'new' });
    expect(CreateAccountStatus).toMatchObject({ State: 'IN_PROGRESS', Id: expect.stringMatching(/^car-/) });
    const CreateAccountRequestId = CreateAccountStatus.Id;
    const status = (await send('DescribeCreateAccountStatus', { CreateAccountRequestId }))
      .CreateAccountStatus;
    expect(status).toMatchObject({ State: 'SUCCEEDED', AccountName: 'new' });
    const response = await callQuery(
      sandbox.endpoint,
      'sts',
      'AssumeRole',
      {
        RoleArn: `arn:aws:iam::${status.AccountId}:role/OrganizationAccountAccessRole`,
        RoleSessionName: 'fleet',
      },
      { accessKeyId: `AKIA${MANAGEMENT}` },
    );
    expect(response).toMatchObject({ status: 200 });
  });

  test('ListParents and MoveAccount: an account is in one unit', async () => {
    const root = await createOrganization(MEMBER);
    const unit = (await send('CreateOrganizationalUnit', { ParentId: root, Name: 'tax' })).OrganizationalUnit;
    expect(unit.Id).toMatch(new RegExp(`^ou-${root.slice(2)}-[0-9a-z]{8,32}$`));
    expect((await send('ListParents', { ChildId: MEMBER })).Parents).toEqual([{ Id: root, Type: 'ROOT' }]);
    const move = { AccountId: MEMBER, SourceParentId: root, DestinationParentId: unit.Id };
    await send('MoveAccount', move);
    expect((await send('ListParents', { ChildId: MEMBER })).Parents).toEqual([
      { Id: unit.Id, Type: 'ORGANIZATIONAL_UNIT' },
    ]);
    expect((await send('ListChildren', { ParentId: unit.Id, ChildType: 'ACCOUNT' })).Children).toEqual([
      { Id: MEMBER, Type: 'ACCOUNT' },
    ]);
    expect(await call('MoveAccount', move)).toMatchObject({ code: 'SourceParentNotFoundException' });
    expect(await call('ListParents', { ChildId: OUTSIDER })).toMatchObject({
      code: 'ChildNotFoundException',
    });
  });

  test('state folder: an organization survives a restart', async () => {
    const state = await mkdtemp(path.join(os.tmpdir(), 'replikey-'));
    await sandbox.close();
    sandbox = await startSandbox({ state });
    await createOrganization(MEMBER);
    await sandbox.close();
    sandbox = await startSandbox({ state });
    expect((await send('ListAccounts', {})).Accounts).toHaveLength(2);
    await rm(state, { recursive: true });
  });
});

describe('access to an organization', () => {
  const filter = { TargetId: MEMBER, Filter: 'SERVICE_CONTROL_POLICY' };

  test('member account: DescribeOrganization succeeds, and lists are denied', async () => {
    await createOrganization(MEMBER);
    await send('DescribeOrganization', {}, MEMBER);
    for (const [operation, input] of [
      ['ListAccounts', {}],
      ['ListPoliciesForTarget', filter],
      ['DescribePolicy', { PolicyId: 'p-FullAWSAccess' }],
    ] as const)
      expect(await call(operation, input, MEMBER), operation).toMatchObject({
        status: 400,
        code: 'AccessDeniedException',
        message: "You don't have permissions to access this resource.",
      });
  });

  test('delegated administrator: reads, and does not write', async () => {
    const root = await createOrganization(MEMBER, OTHER);
    await send('RegisterDelegatedAdministrator', {
      AccountId: OTHER,
      ServicePrincipal: 'config.amazonaws.com',
    });
    await send('ListPoliciesForTarget', filter, OTHER);
    expect(await call('CreateOrganizationalUnit', { ParentId: root, Name: 'tax' }, OTHER)).toMatchObject({
      code: 'AccessDeniedException',
    });
  });

  test('resource-based delegation policy: allows the actions that it names', async () => {
    await createOrganization(MEMBER, OTHER);
    const Content = JSON.stringify({
      Version: '2012-10-17',
      Statement: {
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${OTHER}:root` },
        Action: 'organizations:ListPoliciesForTarget',
        Resource: '*',
      },
    });
    await send('PutResourcePolicy', { Content });
    await send('ListPoliciesForTarget', filter, OTHER);
    expect(await call('ListAccounts', {}, OTHER)).toMatchObject({ code: 'AccessDeniedException' });
    expect(await call('ListPoliciesForTarget', filter, MEMBER)).toMatchObject({
      code: 'AccessDeniedException',
    });
  });
});

describe('policies of an organization', () => {
  test('EnablePolicyType: attaches the AWS managed policy to the root, units and accounts, also later', async () => {
    const root = await createOrganization(MEMBER);
    const { OrganizationalUnit } = await send('CreateOrganizationalUnit', { ParentId: root, Name: 'tax' });
    for (const TargetId of [root, OrganizationalUnit.Id, MEMBER, MANAGEMENT]) {
      const scps = await send('ListPoliciesForTarget', { TargetId, Filter: 'SERVICE_CONTROL_POLICY' });
      expect(scps.Policies, TargetId).toMatchObject([
        {
          Id: 'p-FullAWSAccess',
          Arn: 'arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess',
          AwsManaged: true,
        },
      ]);
      const rcps = await send('ListPoliciesForTarget', { TargetId, Filter: 'RESOURCE_CONTROL_POLICY' });
      expect(rcps.Policies, TargetId).toMatchObject([{ Id: 'p-RCPFullAWSAccess' }]);
    }
    const { Policy } = await send('DescribePolicy', { PolicyId: 'p-RCPFullAWSAccess' });
    expect(JSON.parse(Policy.Content)).toEqual({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Principal: '*', Action: '*', Resource: '*' }],
    });
  });

  test('DetachPolicy: refuses the last SCP, and RCPFullAWSAccess always', async () => {
    const root = await createOrganization(MEMBER);
    expect(await call('DetachPolicy', { PolicyId: 'p-FullAWSAccess', TargetId: MEMBER })).toMatchObject({
      code: 'ConstraintViolationException',
      json: { Reason: 'MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED' },
    });
    const PolicyId = await createPolicy('RESOURCE_CONTROL_POLICY', 'r', {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:*',
      Resource: '*',
    });
    await send('AttachPolicy', { PolicyId, TargetId: root });
    expect(await call('DetachPolicy', { PolicyId: 'p-RCPFullAWSAccess', TargetId: root })).toMatchObject({
      code: 'ConstraintViolationException',
    });
    expect(await call('AttachPolicy', { PolicyId, TargetId: root })).toMatchObject({
      code: 'DuplicatePolicyAttachmentException',
    });
    expect(await call('AttachPolicy', { PolicyId, TargetId: OUTSIDER })).toMatchObject({
      code: 'TargetNotFoundException',
      message: "You specified a target that doesn't exist.",
    });
  });

  test.each([
    ['an SCP with a principal', 'SERVICE_CONTROL_POLICY', { ...DENY_BUCKETS, Principal: '*' }],
    [
      'an RCP that allows',
      'RESOURCE_CONTROL_POLICY',
      { Effect: 'Allow', Principal: '*', Action: 's3:*', Resource: '*' },
    ],
    ['an RCP for a principal', 'RESOURCE_CONTROL_POLICY', { ...DENY_BUCKETS, Principal: { AWS: MEMBER } }],
  ])('CreatePolicy: refuses %s', async (_, Type, Statement) => {
    await createOrganization();
    const Content = JSON.stringify({ Version: '2012-10-17', Statement });
    const input = { Type, Name: 'p', Description: 'p', Content };
    expect(await call('CreatePolicy', input)).toMatchObject({ code: 'MalformedPolicyDocumentException' });
  });

  test('policy type that is not enabled: AttachPolicy is refused, and DisablePolicyType detaches all', async () => {
    const root = await createOrganization(MEMBER);
    const PolicyId = await createPolicy('SERVICE_CONTROL_POLICY', 'p', DENY_BUCKETS);
    await send('AttachPolicy', { PolicyId, TargetId: root });
    expect((await createBucket(MEMBER)).status).toBe(403);
    await send('DisablePolicyType', { RootId: root, PolicyType: 'SERVICE_CONTROL_POLICY' });
    expect((await createBucket(MEMBER)).status).toBe(200);
    const listed = await send('ListPoliciesForTarget', { TargetId: root, Filter: 'SERVICE_CONTROL_POLICY' });
    expect(listed.Policies).toEqual([]);
    expect(await call('AttachPolicy', { PolicyId, TargetId: root })).toMatchObject({
      code: 'PolicyTypeNotEnabledException',
    });
  });
});

describe('enforcement of SCPs', () => {
  test('SCP of the root: denies member accounts, and neither the management account nor other accounts', async () => {
    const root = await createOrganization(MEMBER);
    const PolicyId = await createPolicy('SERVICE_CONTROL_POLICY', 'p', DENY_BUCKETS);
    await send('AttachPolicy', { PolicyId, TargetId: root });
    expect((await createBucket(MEMBER)).status).toBe(403);
    expect((await createBucket(MANAGEMENT)).status).toBe(200);
    expect((await createBucket(OUTSIDER)).status).toBe(200);
  });

  test('SCPs of every level: all must allow', async () => {
    const root = await createOrganization(MEMBER, OTHER);
    const { OrganizationalUnit } = await send('CreateOrganizationalUnit', { ParentId: root, Name: 'tax' });
    const unit = OrganizationalUnit.Id;
    await send('MoveAccount', { AccountId: MEMBER, SourceParentId: root, DestinationParentId: unit });
    const allowsKms = { Effect: 'Allow', Action: 'kms:*', Resource: '*' };
    const PolicyId = await createPolicy('SERVICE_CONTROL_POLICY', 'kms only', allowsKms);
    await send('AttachPolicy', { PolicyId, TargetId: unit });
    expect((await createBucket(MEMBER, 'before')).status).toBe(200);
    await send('DetachPolicy', { PolicyId: 'p-FullAWSAccess', TargetId: unit });
    expect((await createBucket(MEMBER)).status).toBe(403);
    expect((await callKms(sandbox.endpoint, 'ListKeys', {}, MEMBER)).status).toBe(200);
    expect((await createBucket(OTHER)).status).toBe(200);
  });
});

describe('enforcement of RCPs', () => {
  test('RCP with aws:PrincipalOrgID: denies callers outside the organization that the bucket policy allows', async () => {
    const root = await createOrganization(MEMBER, OTHER);
    const { Organization } = await send('DescribeOrganization', {});
    await createBucket(MEMBER, 'acme-tax');
    const policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: {
        Effect: 'Allow',
        Principal: '*',
        Action: 's3:ListBucket',
        Resource: 'arn:aws:s3:::acme-tax',
      },
    });
    await callS3(sandbox.endpoint, 'DELETE', '/acme-tax?publicAccessBlock', { account: MEMBER });
    const put = await callS3(sandbox.endpoint, 'PUT', '/acme-tax?policy', { account: MEMBER, body: policy });
    expect(put.status).toBe(204);
    const list = async (account: string) =>
      (await callS3(sandbox.endpoint, 'GET', '/acme-tax?list-type=2', { account })).status;
    expect([await list(OTHER), await list(OUTSIDER)]).toEqual([200, 200]);
    const PolicyId = await createPolicy('RESOURCE_CONTROL_POLICY', 'perimeter', {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:*',
      Resource: '*',
      Condition: { StringNotEqualsIfExists: { 'aws:PrincipalOrgID': Organization.Id } },
    });
    await send('AttachPolicy', { PolicyId, TargetId: root });
    expect([await list(MEMBER), await list(OTHER), await list(OUTSIDER)]).toEqual([200, 200, 403]);
  });

  test('RCP for KMS: does not limit AWS managed keys', async () => {
    const root = await createOrganization(MEMBER);
    const { json } = await callKms(sandbox.endpoint, 'CreateKey', {}, MEMBER);
    const { KeyId } = json.KeyMetadata as { KeyId: string };
    const PolicyId = await createPolicy('RESOURCE_CONTROL_POLICY', 'no keys', {
      Effect: 'Deny',
      Principal: '*',
      Action: 'kms:DescribeKey',
      Resource: '*',
    });
    await send('AttachPolicy', { PolicyId, TargetId: root });
    expect((await callKms(sandbox.endpoint, 'DescribeKey', { KeyId }, MEMBER)).code).toBe(
      'AccessDeniedException',
    );
    const managed = await callKms(sandbox.endpoint, 'DescribeKey', { KeyId: 'alias/aws/s3' }, MEMBER);
    expect(managed.status).toBe(200);
  });
});
