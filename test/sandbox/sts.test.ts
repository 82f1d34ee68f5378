import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import {
  callAsSession,
  callKms,
  callQuery,
  callS3,
  type RawCredentials,
  type RawResponse,
  type SessionCredentials,
} from '../support/raw-aws.ts';

const ACCOUNT = '111122223333';
const USER = { accessKeyId: `AKIA${ACCOUNT}` };

let sandbox: Sandbox;
let now = Date.now();

const iam = (operation: string, input: Record<string, string>) =>
  callQuery(sandbox.endpoint, 'iam', operation, input, ACCOUNT);
const policy = (...statements: object[]) => JSON.stringify({ Version: '2012-10-17', Statement: statements });
const ALLOW_ALL = { Effect: 'Allow', Action: '*', Resource: '*' };

const roleArnOf = (name: string) => `arn:aws:iam::${ACCOUNT}:role/${name}`;

async function createRole(name: string, trust: object = {}, input: Record<string, string> = {}) {
  await iam('CreateRole', {
    RoleName: name,
    AssumeRolePolicyDocument: policy({
      Effect: 'Allow',
      Principal: { AWS: ACCOUNT },
      Action: ['sts:AssumeRole', 'sts:TagSession'],
      ...trust,
    }),
    ...input,
  });
  await iam('PutRolePolicy', { RoleName: name, PolicyName: 'all', PolicyDocument: policy(ALLOW_ALL) });
  return roleArnOf(name);
}

const assume = (name: string, input: Record<string, string> = {}, credentials: RawCredentials = USER) =>
  callQuery(
    sandbox.endpoint,
    'sts',
    'AssumeRole',
    { RoleArn: roleArnOf(name), RoleSessionName: 'session', ...input },
    credentials,
  );

const errorOf = ({ status, code, message }: RawResponse) => ({ status, code, message });
const elementOf = ({ body }: RawResponse, name: string) =>
  new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? '';

/** Returns credentials as the SDK takes them. */
async function sessionOf(name: string, input: Record<string, string> = {}, credentials?: RawCredentials) {
  const response = await assume(name, input, credentials);
  expect(response.status, response.body).toBe(200);
  return {
    accessKeyId: elementOf(response, 'AccessKeyId'),
    secretAccessKey: elementOf(response, 'SecretAccessKey'),
    sessionToken: elementOf(response, 'SessionToken'),
  };
}

const signedFetch = (service: 's3' | 'sts' | 'kms', session: SessionCredentials, operation?: string) =>
  callAsSession(sandbox.endpoint, service, session, operation);

/** Lists buckets with the SDK, whose signature and token the sandbox checks. */
async function listBuckets(credentials: SessionCredentials): Promise<void> {
  const client = new S3Client({ endpoint: sandbox.endpoint, region: 'us-east-1', credentials });
  await client.send(new ListBucketsCommand({}));
  client.destroy();
}

/** Assumes a role as a session, with the SDK. Returns the error as a raw response would show it. */
async function chain(
  name: string,
  credentials: SessionCredentials,
  input: { DurationSeconds?: string } = {},
): Promise<RawResponse> {
  const client = new STSClient({ endpoint: sandbox.endpoint, region: 'us-east-1', credentials });
  const command = new AssumeRoleCommand({
    RoleArn: roleArnOf(name),
    RoleSessionName: 'chained',
    ...(input.DurationSeconds === undefined ? {} : { DurationSeconds: Number(input.DurationSeconds) }),
  });
  const result = await client.send(command).then(
    ({ Credentials }) => ({
      status: 200,
      code: '',
      message: '',
      body: Object.entries(Credentials ?? {})
        .map(([element, text]) => `<${element}>${text}</${element}>`)
        .join(''),
    }),
    (error: Error & { $metadata: { httpStatusCode: number } }) => ({
      status: error.$metadata.httpStatusCode,
      code: error.name,
      message: error.message,
      body: '',
    }),
  );
  client.destroy();
  return { ...result, headers: new Headers(), json: {} };
}

beforeAll(async () => {
  sandbox = await startSandbox({ clock: () => now });
  await createRole('reader');
});
afterAll(() => sandbox.close());

const validationError = (message: string) => ({ status: 400, code: 'ValidationError', message });
const constraint = (value: string, member: string, rule: string) =>
  validationError(
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must ${rule}`,
  );

describe('AssumeRole', () => {
  // IAM User Guide, "Methods to assume a role": the root user cannot assume a role. Many reports quote the message.
  test('refuses the root user of an account', async () => {
    expect(errorOf(await assume('reader', {}, { accessKeyId: ACCOUNT }))).toEqual({
      status: 403,
      code: 'AccessDenied',
      message: 'Roles may not be assumed by root accounts.',
    });
  });

  // localstack test_sts.snapshot.json, test_assume_role_session_name_too_long and test_sts_invalid_parameters; limits:
  // STS API Reference, AssumeRole.
  test.each([
    [
      { RoleSessionName: 's'.repeat(65) },
      constraint('s'.repeat(65), 'roleSessionName', 'have length less than or equal to 64'),
    ],
    [{ RoleSessionName: 's' }, constraint('s', 'roleSessionName', 'have length greater than or equal to 2')],
    [
      { RoleSessionName: 'Session1:2' },
      constraint('Session1:2', 'roleSessionName', 'satisfy regular expression pattern: [\\w+=,.@-]*'),
    ],
    [
      { DurationSeconds: '899' },
      constraint('899', 'durationSeconds', 'have value greater than or equal to 900'),
    ],
    [
      { DurationSeconds: '43201' },
      constraint('43201', 'durationSeconds', 'have value less than or equal to 43200'),
    ],
    [{ ExternalId: 'x' }, constraint('x', 'externalId', 'have length greater than or equal to 2')],
    [
      { DurationSeconds: '3601' },
      validationError('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.'),
    ],
  ])('refuses %j', async (input, expected) => {
    expect(errorOf(await assume('reader', input as unknown as Record<string, string>))).toEqual(expected);
  });

  // IAM User Guide, "Role chaining": the session lasts at most one hour. The message is quoted by aws-vault.
  test('role chaining: lasts at most one hour', async () => {
    await createRole('long', {}, { MaxSessionDuration: '43200' });
    expect(await assume('long', { DurationSeconds: '43200' })).toMatchObject({ status: 200 });
    const session = await sessionOf('reader');
    expect(errorOf(await chain('long', session, { DurationSeconds: '3601' }))).toEqual(
      validationError(
        'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.',
      ),
    );
  });

  // localstack test_sts.snapshot.json, test_assume_role_tag_validation.
  test('refuses tags with equal keys in another case', async () => {
    const tags = { 'Tags.member.1.Key': 'Team', 'Tags.member.1.Value': 'tax' };
    const twice = { ...tags, 'Tags.member.2.Key': 'team', 'Tags.member.2.Value': 'it' };
    expect(errorOf(await assume('reader', twice))).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message: 'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
    });
  });

  // IAM User Guide, "Pass session tags in AWS STS": the trust policy must allow sts:TagSession.
  test('session tags: require sts:TagSession, and become aws:PrincipalTag', async () => {
    await createRole('untagged', { Action: 'sts:AssumeRole' });
    const tags = { 'Tags.member.1.Key': 'team', 'Tags.member.1.Value': 'tax' };
    expect(errorOf(await assume('untagged', tags))).toEqual({
      status: 403,
      code: 'AccessDenied',
      message: `User: arn:aws:iam::${ACCOUNT}:user/admin is not authorized to perform: sts:TagSession on resource: ${roleArnOf('untagged')}`,
    });
    await createRole('tagged', { Condition: { StringEquals: { 'aws:RequestTag/team': 'tax' } } });
    await iam('PutRolePolicy', {
      RoleName: 'tagged',
      PolicyName: 'all',
      PolicyDocument: policy({
        ...ALLOW_ALL,
        Condition: { StringEquals: { 'aws:PrincipalTag/team': 'tax' } },
      }),
    });
    expect(await assume('tagged', { ...tags, 'Tags.member.1.Value': 'it' })).toMatchObject({ status: 403 });
    expect(await assume('tagged')).toMatchObject({ status: 403 });
    const session = await sessionOf('tagged', tags);
    await listBuckets(session);
  });

  test('transitive tags: pass to the next session', async () => {
    await createRole('second');
    await iam('PutRolePolicy', {
      RoleName: 'second',
      PolicyName: 'all',
      PolicyDocument: policy({
        ...ALLOW_ALL,
        Condition: { StringEquals: { 'aws:PrincipalTag/team': 'tax' } },
      }),
    });
    const tags = {
      'Tags.member.1.Key': 'team',
      'Tags.member.1.Value': 'tax',
      'Tags.member.2.Key': 'mood',
      'Tags.member.2.Value': 'good',
      'TransitiveTagKeys.member.1': 'team',
    };
    const chained = await chain('second', await sessionOf('reader', tags));
    await listBuckets({
      accessKeyId: elementOf(chained, 'AccessKeyId'),
      secretAccessKey: elementOf(chained, 'SecretAccessKey'),
      sessionToken: elementOf(chained, 'SessionToken'),
    });
  });

  // IAM User Guide, "The confused deputy problem".
  test('sts:ExternalId: is a condition key of the trust policy', async () => {
    await createRole('external', { Condition: { StringEquals: { 'sts:ExternalId': 'acme-42' } } });
    expect(await assume('external')).toMatchObject({ status: 403, code: 'AccessDenied' });
    expect(await assume('external', { ExternalId: 'acme-42' })).toMatchObject({ status: 200 });
  });

  // IAM User Guide, "Session policies": the permissions are the intersection of the role's policies and the session policies.
  test('session policies: limit the role, also through S3 to KMS', async () => {
    const Policy = policy({ Effect: 'Allow', Action: 's3:*', Resource: '*' });
    const limited = await assume('reader', { Policy });
    expect(Number(elementOf(limited, 'PackedPolicySize'))).toBeGreaterThan(0);
    const session = await sessionOf('reader', { Policy });
    await listBuckets(session);
    const kms = await signedFetch('kms', session, 'ListKeys');
    expect(kms.body).toContain('no session policy allows the kms:ListKeys action');
    expect(await assume('reader', { Policy: '{"Version":"2012-10-17"}' })).toMatchObject({
      status: 400,
      code: 'MalformedPolicyDocument',
    });
    expect(
      await assume('reader', { 'PolicyArns.member.1.arn': `arn:aws:iam::${ACCOUNT}:policy/none` }),
    ).toMatchObject({ status: 400 });
  });

  test('members that the sandbox does not evaluate: 501', async () => {
    for (const input of [{ SerialNumber: 'arn:aws:iam::1:mfa/x' }, { TokenCode: '123456' }])
      expect(await assume('reader', input as unknown as Record<string, string>)).toMatchObject({
        status: 501,
      });
  });
});

// STS API Reference, GetCallerIdentity; localstack test_sts.snapshot.json,
// test_get_caller_identity_with_assumed_role_credentials.
describe('GetCallerIdentity', () => {
  const identityOf = async (credentials: RawCredentials) => {
    const response = await callQuery(sandbox.endpoint, 'sts', 'GetCallerIdentity', {}, credentials);
    return ['Account', 'Arn', 'UserId'].map((name) => elementOf(response, name));
  };

  test('root user, user', async () => {
    expect(await identityOf({ accessKeyId: ACCOUNT })).toEqual([
      ACCOUNT,
      `arn:aws:iam::${ACCOUNT}:root`,
      ACCOUNT,
    ]);
    const [, arn, userId] = await identityOf(USER);
    expect(arn).toBe(`arn:aws:iam::${ACCOUNT}:user/admin`);
    expect(userId).toMatch(/^AIDA[A-Z0-9]+$/);
  });

  test('session: the id of the role and the name of the session', async () => {
    const session = await sessionOf('reader');
    const { body } = await signedFetch('sts', session, 'GetCallerIdentity');
    expect(body).toMatch(/<UserId>AROA[A-Z0-9]{17}:session<\/UserId>/);
    expect(body).toContain(`<Arn>arn:aws:sts::${ACCOUNT}:assumed-role/reader/session</Arn>`);
  });
});

// S3 API Reference, "Error responses"; STS and KMS API Reference, "Common errors".
describe('credentials of a session', () => {
  test('after the expiration: the error of each service', async () => {
    const session = await sessionOf('reader', { DurationSeconds: '900' });
    now += 901_000;
    expect(await signedFetch('s3', session)).toMatchObject({
      status: 400,
      body: expect.stringContaining(
        '<Code>ExpiredToken</Code><Message>The provided token has expired.</Message>',
      ),
    });
    expect(await signedFetch('sts', session, 'GetCallerIdentity')).toMatchObject({
      status: 403,
      body: expect.stringContaining(
        '<Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message>',
      ),
    });
    expect(await signedFetch('kms', session, 'ListKeys')).toMatchObject({
      status: 400,
      body: expect.stringContaining('"ExpiredTokenException"'),
    });
  });

  test('an access key that does not exist: the error of each service', async () => {
    const missing = { accessKeyId: 'ASIAMISSINGMISSING12' };
    expect(errorOf(await callS3(sandbox.endpoint, 'GET', '/', { account: missing }))).toEqual({
      status: 403,
      code: 'InvalidAccessKeyId',
      message: 'The AWS Access Key Id you provided does not exist in our records.',
    });
    const message = 'The security token included in the request is invalid.';
    expect(errorOf(await callQuery(sandbox.endpoint, 'iam', 'ListRoles', {}, missing))).toEqual({
      status: 403,
      code: 'InvalidClientTokenId',
      message,
    });
    expect(errorOf(await callKms(sandbox.endpoint, 'ListKeys', {}, missing))).toEqual({
      status: 400,
      code: 'UnrecognizedClientException',
      message,
    });
  });

  test('a wrong signature: the error of each service', async () => {
    const session = await sessionOf('reader');
    const { accessKeyId, sessionToken } = session;
    const account = { accessKeyId, sessionToken };
    const response = await callS3(sandbox.endpoint, 'GET', '/', { account });
    expect(errorOf(response)).toEqual({
      status: 403,
      code: 'SignatureDoesNotMatch',
      message:
        'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    });
    expect(elementOf(response, 'AWSAccessKeyId')).toBe(accessKeyId);
    expect(await callQuery(sandbox.endpoint, 'iam', 'ListRoles', {}, account)).toMatchObject({
      status: 403,
      code: 'SignatureDoesNotMatch',
    });
    expect(await callKms(sandbox.endpoint, 'ListKeys', {}, account)).toMatchObject({
      status: 400,
      code: 'InvalidSignatureException',
    });
  });

  test('a wrong token: refused', async () => {
    const session = await sessionOf('reader');
    expect(await signedFetch('s3', { ...session, sessionToken: 'other' })).toMatchObject({
      status: 400,
      body: expect.stringContaining('<Code>InvalidToken</Code>'),
    });
  });

  test('a deleted role: its sessions end, also when a role of the same name is created', async () => {
    await createRole('temporary');
    const session = await sessionOf('temporary');
    await iam('DeleteRolePolicy', { RoleName: 'temporary', PolicyName: 'all' });
    await iam('DeleteRole', { RoleName: 'temporary' });
    await createRole('temporary');
    expect(await signedFetch('sts', session, 'GetCallerIdentity')).toMatchObject({
      status: 403,
      body: expect.stringContaining('InvalidClientTokenId'),
    });
  });
});
