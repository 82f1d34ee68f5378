import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { callQuery, callS3, callWithoutHeader, presign, toTimestamp } from '../support/raw-aws.ts';

// S3 API Reference, "Authenticating Requests: Using Query Parameters", and "Error responses"; messages as S3 returns them.

const ACCOUNT = { accessKeyId: '111122223333', secretAccessKey: 'any' };
const PATH = '/acme-tax/Tax/2026%20%C3%A4.pdf';
const MINUTE_MS = 60_000;

let sandbox: Sandbox;
let session: { accessKeyId: string; secretAccessKey: string; sessionToken: string };

const s3 = (method: string, target: string, options?: Parameters<typeof callS3>[3]) =>
  callS3(sandbox.endpoint, method, target, options);
const get = (target: string, options?: Parameters<typeof callWithoutHeader>[3]) =>
  callWithoutHeader(sandbox.endpoint, 'GET', target, options);
const urlOf = (options: Partial<Parameters<typeof presign>[1]> = {}) =>
  presign(sandbox.endpoint, { path: PATH, credentials: ACCOUNT, ...options });

beforeAll(async () => {
  sandbox = await startSandbox();
  await s3('PUT', '/acme-tax');
  await s3('PUT', PATH, { body: 'numbers' });
  const iam = (operation: string, input: Record<string, string>) =>
    callQuery(sandbox.endpoint, 'iam', operation, input);
  const policyOf = (statement: object) =>
    JSON.stringify({ Version: '2012-10-17', Statement: { Effect: 'Allow', ...statement } });
  const RoleName = 'reader';
  await iam('CreateRole', {
    RoleName,
    AssumeRolePolicyDocument: policyOf({ Principal: { AWS: '111122223333' }, Action: 'sts:AssumeRole' }),
  });
  await iam('PutRolePolicy', {
    RoleName,
    PolicyName: 'read',
    PolicyDocument: policyOf({ Action: ['s3:GetObject', 'kms:Decrypt'], Resource: '*' }),
  });
  const { body } = await callQuery(
    sandbox.endpoint,
    'sts',
    'AssumeRole',
    { RoleArn: `arn:aws:iam::111122223333:role/${RoleName}`, RoleSessionName: 'session' },
    { accessKeyId: 'AKIA111122223333' },
  );
  const element = (name: string) => new RegExp(`<${name}>([^<]*)`).exec(body)?.[1] ?? '';
  session = {
    accessKeyId: element('AccessKeyId'),
    secretAccessKey: element('SecretAccessKey'),
    sessionToken: element('SessionToken'),
  };
});
afterAll(() => sandbox.close());

describe('presigned URLs of Signature Version 4', () => {
  test('act as their signer', async () => {
    expect(await get(urlOf())).toMatchObject({ status: 200, body: 'numbers' });
    expect(await get(urlOf({ credentials: session }))).toMatchObject({ status: 200, body: 'numbers' });
    const put = urlOf({ method: 'PUT', path: '/acme-tax/uploaded' });
    expect(await callWithoutHeader(sandbox.endpoint, 'PUT', put, { body: 'x' })).toMatchObject({
      status: 200,
    });
  });

  test('expired: 403, with the times', async () => {
    const response = await get(urlOf({ signedAt: Date.now() - 20 * MINUTE_MS, expires: 900 }));
    expect(response).toMatchObject({ status: 403, code: 'AccessDenied', message: 'Request has expired' });
    expect(response.body).toMatch(
      /<X-Amz-Expires>900<\/X-Amz-Expires><Expires>[\dT:Z-]+<\/Expires><ServerTime>[\dT:Z-]+<\/ServerTime>/,
    );
  });

  test('signed in the future: 403', async () => {
    expect(await get(urlOf({ signedAt: Date.now() + 20 * MINUTE_MS }))).toMatchObject({
      status: 403,
      message: 'Request is not yet valid',
    });
  });

  test.each([
    [
      604_801,
      'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    ],
    [-1, 'X-Amz-Expires must be non-negative'],
    ['soon', 'X-Amz-Expires should be a number'],
  ])('X-Amz-Expires=%s: 400', async (expires, message) => {
    expect(await get(urlOf({ expires }))).toMatchObject({
      status: 400,
      code: 'AuthorizationQueryParametersError',
      message,
    });
  });

  test('without a parameter: 400', async () => {
    expect(await get(urlOf().replace(/X-Amz-Date=[^&]+&/, ''))).toMatchObject({
      status: 400,
      code: 'AuthorizationQueryParametersError',
      message:
        'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
    });
  });

  test('a header x-amz-* that is not signed: 403', async () => {
    const put = urlOf({ method: 'PUT', path: '/acme-tax/uploaded' });
    const headers = { 'x-amz-server-side-encryption': 'AES256' };
    const send = (target: string) =>
      callWithoutHeader(sandbox.endpoint, 'PUT', target, { body: 'x', headers });
    expect(await send(put)).toMatchObject({
      status: 403,
      code: 'AccessDenied',
      message: 'There were headers present in the request which were not signed',
    });
    const signed = urlOf({ method: 'PUT', path: '/acme-tax/uploaded', headers });
    expect(await send(signed)).toMatchObject({ status: 200 });
  });

  test('of a session, for another method, key or query: 403 SignatureDoesNotMatch', async () => {
    const url = urlOf({ credentials: session });
    for (const changed of [url.replace('2026', '2027'), `${url}&versionId=null`])
      expect(await get(changed), changed).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
    expect(await callWithoutHeader(sandbox.endpoint, 'DELETE', url)).toMatchObject({
      status: 403,
      code: 'SignatureDoesNotMatch',
    });
    expect(await get(url)).toMatchObject({ status: 200 });
  });

  test('of a session without its token: 400 InvalidToken', async () => {
    const { accessKeyId, secretAccessKey } = session;
    expect(await get(urlOf({ credentials: { accessKeyId, secretAccessKey } }))).toMatchObject({
      status: 400,
      code: 'InvalidToken',
    });
  });
});

describe('requests with a signature in the Authorization header', () => {
  const signedAt = (time: number, service: string) => {
    const timestamp = toTimestamp(time);
    return {
      'x-amz-date': timestamp,
      authorization: `AWS4-HMAC-SHA256 Credential=111122223333/${timestamp.slice(0, 8)}/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
    };
  };

  test('more than 15 minutes old: the error of each service', async () => {
    const old = Date.now() - 16 * MINUTE_MS;
    const s3Response = await get('/acme-tax', { headers: signedAt(old, 's3') });
    expect(s3Response).toMatchObject({
      status: 403,
      code: 'RequestTimeTooSkewed',
      message: 'The difference between the request time and the current time is too large.',
    });
    expect(s3Response.body).toContain('<MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>');
    expect(
      await get('/?Action=ListRoles&Version=2010-05-08', { headers: signedAt(old, 'iam') }),
    ).toMatchObject({
      status: 403,
      code: 'SignatureDoesNotMatch',
      message: expect.stringMatching(/^Signature expired: \d{8}T\d{6}Z is now earlier than/),
    });
    expect(await get('/', { headers: signedAt(old + 5 * MINUTE_MS, 's3') })).toMatchObject({ status: 200 });
  });
});

// boto3 presigns with Version 2 in us-east-1. S3 User Guide, "Signature Version 2 turned off": Regions since 2014.
describe('presigned URLs of Signature Version 2', () => {
  const version2 = (target: string, expires: number, accessKeyId = '111122223333') =>
    `${target}?AWSAccessKeyId=${accessKeyId}&Signature=c2lnbmF0dXJl&Expires=${Math.floor(expires / 1000)}`;
  const later = () => Date.now() + MINUTE_MS;

  test('act as their signer, until they expire', async () => {
    expect(await get(version2(PATH, later()))).toMatchObject({ status: 200, body: 'numbers' });
    expect(await get(version2(PATH, Date.now() - MINUTE_MS))).toMatchObject({
      status: 403,
      code: 'AccessDenied',
      message: 'Request has expired',
    });
    expect(await get(version2(PATH, later(), 'ASIAMISSINGMISSING12'))).toMatchObject({
      code: 'InvalidAccessKeyId',
    });
  });

  test('of an object under a KMS key: 400', async () => {
    const headers = { 'x-amz-server-side-encryption': 'aws:kms' };
    await s3('PUT', '/acme-tax/encrypted', { body: 'x', headers });
    expect(await get(version2('/acme-tax/encrypted', later()))).toMatchObject({
      status: 400,
      code: 'InvalidArgument',
      message:
        'Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.',
    });
  });

  test('in a Region since 2014: 400', async () => {
    const account = { accessKeyId: '111122223333', region: 'eu-central-1' };
    const configuration =
      '<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>';
    await s3('PUT', '/acme-eu', { body: configuration, account });
    await s3('PUT', '/acme-eu/key', { body: 'x', account });
    expect(await get(version2('/acme-eu/key', later()))).toMatchObject({
      status: 400,
      code: 'InvalidRequest',
      message: 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
    });
  });
});
