import { CreateRoleCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { callKms, callS3 } from '../support/raw-aws.ts';
import { elementsOf } from './raw-request.ts';
import { clientOf, EAST, versionOf } from './support.ts';

/**
 * UpdateObjectEncryption, and its batch operation. The expected values are those of the S3 API Reference,
 * "UpdateObjectEncryption", and of the S3 User Guide, "Updating server-side encryption for existing objects".
 */

const ACCOUNT = '111122223333';
const BUCKET = 'acme-tax';
const OTHER_ACCOUNT_KEY = 'arn:aws:kms:us-east-1:444455556666:key/5ff9e5c1-6c1b-4d38-a3b1-3f0a9bc2d0f1';

let sandbox: Sandbox;
let oldKey = '';
let newKey = '';

const s3 = (method: string, path: string, body?: string, headers: Record<string, string> = {}) =>
  callS3(sandbox.endpoint, method, path, { headers, ...(body === undefined ? {} : { body }) });

const createKey = async () => {
  const { json } = await callKms(sandbox.endpoint, 'CreateKey', {});
  return (json.KeyMetadata as { Arn: string }).Arn;
};

beforeAll(async () => {
  sandbox = await startSandbox();
  await s3('PUT', `/${BUCKET}`, undefined, { 'x-amz-bucket-object-lock-enabled': 'true' });
  await s3(
    'PUT',
    `/${BUCKET}?encryption`,
    '<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>',
  );
  oldKey = await createKey();
  newKey = await createKey();
});
afterAll(() => sandbox.close());

const put = (key: string, headers: Record<string, string> = {}) =>
  s3('PUT', `/${BUCKET}/${key}`, 'numbers', headers);

const kms = (key: string, algorithm = 'aws:kms') => ({
  'x-amz-server-side-encryption': algorithm,
  'x-amz-server-side-encryption-aws-kms-key-id': key,
});

const update = (key: string, keyArn: string, bucketKey = '') =>
  s3(
    'PUT',
    `/${BUCKET}/${key}?encryption`,
    `<ObjectEncryption xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><SSE-KMS><KMSKeyArn>${keyArn}</KMSKeyArn>${bucketKey}</SSE-KMS></ObjectEncryption>`,
  );

describe('UpdateObjectEncryption', () => {
  test.each([
    ['from SSE-S3', 'a', () => ({})],
    ['from another key', 'b', () => kms(oldKey)],
    ['with an S3 Bucket Key', 'c', () => kms(oldKey)],
  ])('%s: the object keeps its bytes, ETag, version and date', async (_, key, headers) => {
    await put(key, headers());
    const before = await s3('HEAD', `/${BUCKET}/${key}`);
    const element = key === 'c' ? '<BucketKeyEnabled>true</BucketKeyEnabled>' : '';
    expect(await update(key, newKey, element)).toMatchObject({ status: 200 });
    const after = await s3('GET', `/${BUCKET}/${key}`);
    expect(after.body).toBe('numbers');
    for (const name of ['etag', 'x-amz-version-id', 'last-modified'])
      expect(after.headers.get(name)).toBe(before.headers.get(name));
    expect(after.headers.get('x-amz-server-side-encryption-aws-kms-key-id')).toBe(newKey);
    expect(after.headers.get('x-amz-server-side-encryption-bucket-key-enabled')).toBe(
      key === 'c' ? 'true' : null,
    );
  });

  test('a disabled old key: KMS.DisabledException, and the object keeps its key', async () => {
    const key = await createKey();
    await put('disabled', kms(key));
    await callKms(sandbox.endpoint, 'DisableKey', { KeyId: key });
    expect(await update('disabled', newKey)).toMatchObject({ status: 400, code: 'KMS.DisabledException' });
    expect(versionOf(sandbox, BUCKET, 'disabled')?.encryption.keyArn).toBe(key);
  });

  test.each([
    [
      'the id of a key',
      () => newKey.split('/')[1],
      400,
      'InvalidRequest',
      'valid AWS KMS key Amazon Resource Name',
    ],
    ['an alias', () => `${newKey.split(':key')[0]}:alias/tax`, 400, 'InvalidRequest', 'valid AWS KMS key'],
    ['no key', () => '', 400, 'InvalidRequest', 'require an AWS KMS key Amazon Resource Name (ARN)'],
    ['a key of another account', () => OTHER_ACCOUNT_KEY, 403, 'AccessDenied', 'owned by the same account'],
  ])('%s: %i %s', async (_, keyArn, status, code, message) => {
    await put('plain');
    const response = await update('plain', keyArn() ?? '');
    expect(response).toMatchObject({ status, code });
    expect(response.message).toContain(message);
  });

  test('an object under DSSE-KMS, under a legal hold, or that does not exist: an error', async () => {
    await put('dsse', kms(oldKey, 'aws:kms:dsse'));
    expect(await update('dsse', newKey)).toMatchObject({
      status: 400,
      code: 'InvalidRequest',
      message: expect.stringContaining('DSSE-KMS or SSE-C'),
    });
    await put('held');
    const hold = (status: string) =>
      s3('PUT', `/${BUCKET}/held?legal-hold`, `<LegalHold><Status>${status}</Status></LegalHold>`);
    await hold('ON');
    expect(await update('held', newKey)).toMatchObject({
      status: 403,
      code: 'AccessDenied',
      message: expect.stringContaining('protected by S3 Object Lock'),
    });
    await hold('OFF');
    expect(await update('held', newKey)).toMatchObject({ status: 200 });
    expect(await update('missing', newKey)).toMatchObject({ status: 404, code: 'NoSuchKey' });
  });
});

describe('S3UpdateObjectEncryption', () => {
  const documentOf = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });

  const control = (method: string, target: string, body?: string) =>
    s3(method, `/v20180820${target}`, body, { 'x-amz-account-id': ACCOUNT });

  async function runJob(token: string) {
    const job = `<CreateJobRequest xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><Operation><S3UpdateObjectEncryption><ObjectEncryption><SSE-KMS><KMSKeyArn>${newKey}</KMSKeyArn></SSE-KMS></ObjectEncryption></S3UpdateObjectEncryption></Operation><Report><Enabled>false</Enabled></Report><ClientRequestToken>${token}</ClientRequestToken><Priority>1</Priority><RoleArn>arn:aws:iam::${ACCOUNT}:role/batch</RoleArn><ManifestGenerator><S3JobManifestGenerator><SourceBucket>arn:aws:s3:::${BUCKET}</SourceBucket><EnableManifestOutput>false</EnableManifestOutput><Filter><MatchAnyObjectEncryption><ObjectEncryption><SSE-KMS><KmsKeyArn>${oldKey}</KmsKeyArn></SSE-KMS></ObjectEncryption></MatchAnyObjectEncryption></Filter></S3JobManifestGenerator></ManifestGenerator></CreateJobRequest>`;
    const created = await control('POST', '/jobs', job);
    await sandbox.waitForJobs();
    const { body } = await control('GET', `/jobs/${elementsOf(created.body, 'JobId')[0]}`);
    const textOf = (name: string) => elementsOf(body, name)[0];
    return {
      status: textOf('Status'),
      reason: textOf('FailureReason'),
      tasks: ['TotalNumberOfTasks', 'NumberOfTasksSucceeded', 'NumberOfTasksFailed'].map(textOf).map(Number),
      filterKey: textOf('KmsKeyArn'),
    };
  }

  test('a job for the objects under the old key: changes these, as the role of the job', async () => {
    await put('job/1', kms(oldKey));
    await put('job/2', kms(oldKey));
    await put('job/other', kms(await createKey()));
    const client = clientOf(sandbox, ACCOUNT);
    const trust = {
      Effect: 'Allow',
      Principal: { Service: 'batchoperations.s3.amazonaws.com' },
      Action: 'sts:AssumeRole',
    };
    await client.send(
      EAST,
      new CreateRoleCommand({ RoleName: 'batch', AssumeRolePolicyDocument: documentOf(trust) }),
    );
    const setActions = (...Action: string[]) =>
      client.send(
        EAST,
        new PutRolePolicyCommand({
          RoleName: 'batch',
          PolicyName: 'p',
          PolicyDocument: documentOf({ Effect: 'Allow', Action, Resource: '*' }),
        }),
      );
    const keysOf = () => ['job/1', 'job/2'].map((key) => versionOf(sandbox, BUCKET, key)?.encryption.keyArn);
    // S3 User Guide, "Updating server-side encryption for existing data", Required permissions. Without one of them, every
    // task fails, and the job is complete.
    const actions = [
      's3:PutInventoryConfiguration',
      ...['s3:PutObject', 's3:UpdateObjectEncryption'],
      ...['kms:Encrypt', 'kms:Decrypt', 'kms:GenerateDataKey', 'kms:ReEncrypt*'],
    ];
    for (const missing of ['kms:ReEncrypt*', 's3:PutObject']) {
      await setActions(...actions.filter((action) => action !== missing));
      expect(await runJob(`1 ${missing}`)).toMatchObject({ tasks: [2, 0, 2], filterKey: oldKey });
      expect(keysOf()).toEqual([oldKey, oldKey]);
    }
    await setActions(...actions);
    expect(await runJob('2')).toMatchObject({ status: 'Complete', tasks: [2, 2, 0] });
    expect(keysOf()).toEqual([newKey, newKey]);
    expect(versionOf(sandbox, BUCKET, 'job/other')?.encryption.keyArn).not.toBe(newKey);
    expect((await s3('GET', `/${BUCKET}/job/1`)).body).toBe('numbers');
    // No object is left under the old key.
    expect(await runJob('3')).toMatchObject({
      status: 'Failed',
      reason: 'Manifest generation found no keys matching the filter criteria.',
    });
  });
});
