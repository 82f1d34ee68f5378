import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { callQuery, type RawResponse } from '../support/raw-aws.ts';

const ACCOUNT = '111122223333';

let sandbox: Sandbox;
let count = 0;

beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.close());

const iam = (operation: string, input: Record<string, string>, region = 'us-east-1') =>
  callQuery(sandbox.endpoint, 'iam', operation, input, { accessKeyId: ACCOUNT, region });
const errorOf = ({ status, code, message }: RawResponse) => ({ status, code, message });
const malformed = (message: string) => ({ status: 400, code: 'MalformedPolicyDocument', message });
const policy = (...statements: object[]) => JSON.stringify({ Version: '2012-10-17', Statement: statements });
const TRUST = { Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'sts:AssumeRole' };
const LIST = { Effect: 'Allow', Action: 's3:ListBucket', Resource: 'arn:aws:s3:::acme-tax' };

const createPolicy = (PolicyDocument: string, input: Record<string, string> = {}, region?: string) =>
  iam('CreatePolicy', { PolicyName: `policy-${count++}`, PolicyDocument, ...input }, region);
const createRole = (AssumeRolePolicyDocument: string, input: Record<string, string> = {}) =>
  iam('CreateRole', { RoleName: `role-${count++}`, AssumeRolePolicyDocument, ...input });

const { refused, accepted } = JSON.parse(
  readFileSync(path.join(import.meta.dirname, 'identity-policies.json'), 'utf8'),
) as { refused: [message: string, document: string][]; accepted: string[] };

// identity-policies.json names its source.
describe('identity policies', () => {
  test.each(refused)('refuses with "%s": %s', async (message, document) => {
    expect(errorOf(await createPolicy(document))).toEqual(malformed(message));
  });

  test.each(accepted)('accepts %s', async (document) => {
    expect(errorOf(await createPolicy(document))).toEqual({ status: 200, code: '', message: '' });
  });

  // IAM User Guide, "IAM JSON policy elements": Principal, Sid; the messages are those of the console and of reports.
  test.each([
    ['a principal', [{ ...LIST, Principal: '*' }], 'Policy document should not specify a principal.'],
    ['NotPrincipal', [{ ...LIST, NotPrincipal: '*' }], 'Policy document should not specify a principal.'],
    [
      'a Sid with other characters',
      [{ ...LIST, Sid: 'List the bucket' }],
      'Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*',
    ],
  ])('refuses %s', async (_, statements, message) => {
    expect(errorOf(await createPolicy(policy(...statements)))).toEqual(malformed(message));
  });

  test('refuses an object with two equal keys', async () => {
    const document = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Effect":"Allow","Action":"*","Resource":"*"}}`;
    expect(errorOf(await createPolicy(document))).toEqual(malformed('Syntax errors in policy.'));
  });

  // aws-facts-operations.md, 2.8: IAM's refusal of an ARN of another partition.
  test('refuses an ARN of another partition', async () => {
    const document = policy({ ...LIST, Resource: 'arn:aws:s3:::acme-tax' });
    expect(errorOf(await createPolicy(document, {}, 'cn-north-1'))).toEqual(
      malformed('Partition "aws" is not valid for resource "arn:aws:s3:::acme-tax".'),
    );
  });

  test('PutRolePolicy and CreatePolicyVersion: check the grammar, too', async () => {
    const RoleName = `role-${count++}`;
    await iam('CreateRole', { RoleName, AssumeRolePolicyDocument: policy(TRUST) });
    const document = policy({ Effect: 'Allow', Action: 's3:ListBucket' });
    const expected = malformed('Policy statement must contain resources.');
    const inline = { RoleName, PolicyName: 'p', PolicyDocument: document };
    expect(errorOf(await iam('PutRolePolicy', inline))).toEqual(expected);
    const created = await createPolicy(policy(LIST));
    const PolicyArn = /<Arn>([^<]+)/.exec(created.body)?.[1] ?? '';
    expect(errorOf(await iam('CreatePolicyVersion', { PolicyArn, PolicyDocument: document }))).toEqual(
      expected,
    );
  });
});

// localstack test_iam_roles.snapshot.json, test_update_assume_role_policy_errors.
describe('trust policies', () => {
  test.each([
    ['text that is no JSON', '{', 'This policy contains invalid Json'],
    ['a resource', policy({ ...TRUST, Resource: '*' }), 'Has prohibited field Resource'],
    [
      'an action of another service',
      policy({ ...TRUST, Action: 's3:GetObject' }),
      'AssumeRole policy may only specify STS AssumeRole actions.',
    ],
    [
      'no principal',
      policy({ Effect: 'Allow', Action: 'sts:AssumeRole' }),
      'Missing required field Principal',
    ],
    [
      'a role that does not exist',
      policy({ ...TRUST, Principal: { AWS: `arn:aws:iam::${ACCOUNT}:role/missing` } }),
      `Invalid principal in policy: "AWS":"arn:aws:iam::${ACCOUNT}:role/missing"`,
    ],
    [
      'a group',
      policy({ ...TRUST, Principal: { AWS: `arn:aws:iam::${ACCOUNT}:group/admins` } }),
      `Invalid principal in policy: "AWS":"arn:aws:iam::${ACCOUNT}:group/admins"`,
    ],
    [
      'a service that does not exist',
      policy({ ...TRUST, Principal: { Service: 's3.amazonaws.con' } }),
      'Invalid principal in policy: "SERVICE":"s3.amazonaws.con"',
    ],
  ])('refuse %s', async (_, document, message) => {
    expect(errorOf(await createRole(document))).toEqual(malformed(message));
  });

  // IAM User Guide, "IAM JSON policy elements: Principal": IAM shows the id of a deleted role.
  test('UpdateAssumeRolePolicy: a deleted role becomes its id, which no new policy may name', async () => {
    const [trusted, trusting] = [`role-${count++}`, `role-${count++}`];
    await iam('CreateRole', { RoleName: trusted, AssumeRolePolicyDocument: policy(TRUST) });
    const document = policy({ ...TRUST, Principal: { AWS: `arn:aws:iam::${ACCOUNT}:role/${trusted}` } });
    await iam('CreateRole', { RoleName: trusting, AssumeRolePolicyDocument: policy(TRUST) });
    expect(
      await iam('UpdateAssumeRolePolicy', { RoleName: trusting, PolicyDocument: document }),
    ).toMatchObject({ status: 200 });
    await iam('DeleteRole', { RoleName: trusted });
    const { body } = await iam('GetRole', { RoleName: trusting });
    const stored = decodeURIComponent(/<AssumeRolePolicyDocument>([^<]+)/.exec(body)?.[1] ?? '');
    const id = (JSON.parse(stored) as { Statement: { Principal: { AWS: string } }[] }).Statement[0]?.Principal
      .AWS;
    expect(id).toMatch(/^AROA[A-Z0-9]{17}$/);
    expect(
      errorOf(await iam('UpdateAssumeRolePolicy', { RoleName: trusting, PolicyDocument: stored })),
    ).toEqual(malformed(`Invalid principal in policy: "AWS":"${id}"`));
  });
});

describe('limits', () => {
  const validation = (message: string) => ({
    status: 400,
    code: 'ValidationError',
    message: `1 validation error detected: ${message}`,
  });
  const tagsOf = (tags: [string, string][]) =>
    Object.fromEntries(
      tags.flatMap(([key, value], index) => [
        [`Tags.member.${index + 1}.Key`, key],
        [`Tags.member.${index + 1}.Value`, value],
      ]),
    );

  // localstack test_iam_roles.snapshot.json, test_role_tag_errors.
  test.each([
    [
      'too many tags',
      Array.from({ length: 51 }, (_, index): [string, string] => [`key${index}`, 'value']),
      validation(
        "Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50",
      ),
    ],
    [
      'a long key',
      [['k'.repeat(129), 'value'] as [string, string]],
      validation(
        "Value at 'tags.1.member.key' failed to satisfy constraint: Member must have length less than or equal to 128",
      ),
    ],
    [
      'a long value',
      [['key', 'v'.repeat(257)] as [string, string]],
      validation(
        "Value at 'tags.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 256",
      ),
    ],
    [
      'an invalid character',
      [['invalid,key', 'value'] as [string, string]],
      validation(
        "Value at 'tags.1.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+",
      ),
    ],
    [
      'keys that differ in case',
      [
        ['Team', 'tax'],
        ['team', 'it'],
      ] as [string, string][],
      {
        status: 400,
        code: 'InvalidInput',
        message: 'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
      },
    ],
  ])('CreateRole and TagRole: refuse %s', async (_, tags, expected) => {
    const RoleName = `role-${count++}`;
    expect(errorOf(await createRole(policy(TRUST), { RoleName, ...tagsOf(tags) }))).toEqual(expected);
    await createRole(policy(TRUST), { RoleName });
    expect(errorOf(await iam('TagRole', { RoleName, ...tagsOf(tags) }))).toEqual(expected);
  });

  // IAM User Guide, "IAM and AWS STS quotas": names, paths, session duration and sizes.
  test.each([
    [
      { RoleName: 'r'.repeat(65) },
      "at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64",
    ],
    [
      { MaxSessionDuration: '3599' },
      "at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600",
    ],
    [
      { MaxSessionDuration: '43201' },
      "at 'maxSessionDuration' failed to satisfy constraint: Member must have value less than or equal to 43200",
    ],
    [{ Path: 'no-slash' }, "at 'path' failed to satisfy constraint"],
    [
      { Description: 'd'.repeat(1001) },
      "at 'description' failed to satisfy constraint: Member must have length less than or equal to 1000",
    ],
  ])('CreateRole: refuses %j', async (input, message) => {
    const response = await createRole(policy(TRUST), input as unknown as Record<string, string>);
    expect(errorOf(response)).toEqual({
      status: 400,
      code: 'ValidationError',
      message: expect.stringContaining(message),
    });
  });

  test('inline policies of a role: 10,240 characters together, without white space', async () => {
    const RoleName = `role-${count++}`;
    await createRole(policy(TRUST), { RoleName });
    const large = (length: number) =>
      policy({ ...LIST, Resource: `arn:aws:s3:::acme-tax/${'x'.repeat(length)}` });
    const put = (PolicyName: string, PolicyDocument: string) =>
      iam('PutRolePolicy', { RoleName, PolicyName, PolicyDocument });
    expect(await put('first', large(6_000))).toMatchObject({ status: 200 });
    expect(errorOf(await put('second', large(6_000)))).toEqual({
      status: 409,
      code: 'LimitExceeded',
      message: `Maximum policy size of 10240 bytes exceeded for role ${RoleName}`,
    });
    expect(await put('first', large(9_000).replace('{', `{${' '.repeat(5_000)}`))).toMatchObject({
      status: 200,
    });
  });
});

// localstack test_iam_policies.snapshot.json, test_policy_version_errors and test_policy_version_limit.
describe('managed policies', () => {
  const arnOf = ({ body }: RawResponse) => /<Arn>([^<]+)/.exec(body)?.[1] ?? '';

  test('versions: five at most, newest first, and the default version stays', async () => {
    const PolicyArn = arnOf(await createPolicy(policy(LIST)));
    const input = { PolicyArn, PolicyDocument: policy(LIST) };
    for (let index = 0; index < 4; index++) await iam('CreatePolicyVersion', input);
    expect(errorOf(await iam('CreatePolicyVersion', input))).toEqual({
      status: 409,
      code: 'LimitExceeded',
      message:
        'A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.',
    });
    const { body } = await iam('ListPolicyVersions', { PolicyArn });
    expect([...body.matchAll(/<VersionId>(v\d)/g)].map(([, id]) => id)).toEqual([
      'v5',
      'v4',
      'v3',
      'v2',
      'v1',
    ]);
    expect(errorOf(await iam('DeletePolicyVersion', { PolicyArn, VersionId: 'v1' }))).toEqual({
      status: 409,
      code: 'DeleteConflict',
      message: 'Cannot delete the default version of a policy.',
    });
    expect(errorOf(await iam('DeletePolicyVersion', { PolicyArn, VersionId: 'v9' }))).toEqual({
      status: 404,
      code: 'NoSuchEntity',
      message: `Policy ${PolicyArn} version v9 does not exist or is not attachable.`,
    });
    await iam('SetDefaultPolicyVersion', { PolicyArn, VersionId: 'v3' });
    expect((await iam('GetPolicy', { PolicyArn })).body).toContain('<DefaultVersionId>v3</DefaultVersionId>');
    expect(await iam('DeletePolicyVersion', { PolicyArn, VersionId: 'v1' })).toMatchObject({ status: 200 });
    expect((await iam('CreatePolicyVersion', input)).body).toContain('<VersionId>v6</VersionId>');
  });

  // IAM API Reference, DeletePolicy: "Before you can delete a managed policy, you must … delete all versions".
  test('DeletePolicy: refuses a policy that is attached or has other versions', async () => {
    const PolicyArn = arnOf(await createPolicy(policy(LIST)));
    const RoleName = `role-${count++}`;
    await createRole(policy(TRUST), { RoleName });
    await iam('AttachRolePolicy', { RoleName, PolicyArn });
    expect(await iam('DeletePolicy', { PolicyArn })).toMatchObject({ status: 409, code: 'DeleteConflict' });
    expect(await iam('DeleteRole', { RoleName })).toMatchObject({
      status: 409,
      message: 'Cannot delete entity, must detach all policies first.',
    });
    await iam('DetachRolePolicy', { RoleName, PolicyArn });
    await iam('CreatePolicyVersion', { PolicyArn, PolicyDocument: policy(LIST) });
    expect(await iam('DeletePolicy', { PolicyArn })).toMatchObject({ status: 409, code: 'DeleteConflict' });
    await iam('DeletePolicyVersion', { PolicyArn, VersionId: 'v2' });
    expect(await iam('DeletePolicy', { PolicyArn })).toMatchObject({ status: 200 });
  });

  test('CreatePolicy: keeps description and tags; ListPolicies: filters', async () => {
    const input = {
      Path: '/tax/',
      Description: 'reads',
      'Tags.member.1.Key': 'team',
      'Tags.member.1.Value': 'tax',
    };
    const created = await createPolicy(policy(LIST), input);
    expect(created.status, created.body).toBe(200);
    const PolicyArn = arnOf(created);
    const { body } = await iam('GetPolicy', { PolicyArn });
    expect(body).toContain('<Description>reads</Description>');
    expect(body).toContain('<Key>team</Key>');
    expect((await iam('ListPolicies', { PathPrefix: '/tax/' })).body).toContain(PolicyArn);
    expect((await iam('ListPolicies', { PathPrefix: '/other/' })).body).not.toContain(PolicyArn);
    expect((await iam('ListPolicies', { OnlyAttached: 'true' })).body).not.toContain(PolicyArn);
    expect((await iam('ListPolicies', { Scope: 'AWS' })).body).not.toContain(PolicyArn);
  });
});
