import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Statement } from '../../src/iam/types.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, type SendRequest } from './raw-request.ts';

/**
 * Condition keys of KMS, in the JSON protocol without an SDK. Source: AWS KMS Developer Guide, "Condition keys for AWS
 * KMS", which describes each key and its operations.
 */

const ACCOUNT = '111122223333';
const BUCKET = 'acme-kms';

let sandbox: Sandbox;
let send: SendRequest;

beforeAll(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint);
  await send('PUT', `/${BUCKET}`);
});
afterAll(() => sandbox.close());

/** Sends a KMS request as the root user, or as a session. Returns status and error code. */
async function kms(operation: string, input: object, account = ACCOUNT) {
  const response = await fetch(sandbox.endpoint, {
    method: 'POST',
    headers: {
      authorization: `AWS4-HMAC-SHA256 Credential=${account}/20261130/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0`,
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `TrentService.${operation}`,
    },
    body: JSON.stringify(input),
  });
  const output = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  return { status: response.status, code: String(output.__type ?? '').replace(/^.*#/, ''), output };
}

const policyOf = (Action: string | string[], Condition: Statement['Condition']) =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: 'kms:*', Resource: '*' },
      { Effect: 'Deny', Principal: '*', Action, Resource: '*', Condition },
    ],
  });

describe('condition key of KMS', () => {
  let keyId = '';
  let alias = '';
  let number = 0;
  beforeEach(async () => {
    const { output } = await kms('CreateKey', { Tags: [{ TagKey: 'team', TagValue: 'tax' }] });
    keyId = (output.KeyMetadata as { KeyId: string }).KeyId;
    number += 1;
    alias = `alias/tax-${number}`;
    await kms('CreateAlias', { AliasName: alias, TargetKeyId: keyId });
  });
  const putPolicy = (policy: string) =>
    kms('PutKeyPolicy', { KeyId: keyId, PolicyName: 'default', Policy: policy });

  const plaintext = Buffer.from('data').toString('base64');

  test.each<[string, Statement['Condition'], boolean]>([
    ['kms:KeySpec', { StringEquals: { 'kms:KeySpec': 'SYMMETRIC_DEFAULT' } }, true],
    ['kms:KeyUsage', { StringEquals: { 'kms:KeyUsage': 'SIGN_VERIFY' } }, false],
    ['kms:KeyOrigin', { StringEquals: { 'kms:KeyOrigin': 'AWS_KMS' } }, true],
    ['kms:MultiRegion', { Bool: { 'kms:MultiRegion': 'false' } }, true],
    ['kms:MultiRegionKeyType', { Null: { 'kms:MultiRegionKeyType': 'true' } }, true],
    ['kms:ResourceAliases', { 'ForAnyValue:StringLike': { 'kms:ResourceAliases': 'alias/tax-*' } }, true],
    [
      'kms:ResourceAliases of another',
      { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/x' } },
      false,
    ],
    ['aws:ResourceTag', { StringEquals: { 'aws:ResourceTag/team': 'tax' } }, true],
    ['kms:EncryptionAlgorithm', { StringEquals: { 'kms:EncryptionAlgorithm': 'SYMMETRIC_DEFAULT' } }, true],
    ['kms:CallerAccount', { StringEquals: { 'kms:CallerAccount': ACCOUNT } }, true],
    ['kms:ViaService of a direct call', { Null: { 'kms:ViaService': 'true' } }, true],
    ['kms:EncryptionContext', { StringEquals: { 'kms:EncryptionContext:app': 'tax' } }, true],
    [
      'kms:EncryptionContextKeys',
      { 'ForAnyValue:StringEquals': { 'kms:EncryptionContextKeys': 'app' } },
      true,
    ],
    ['aws:SourceIp', { IpAddress: { 'aws:SourceIp': '127.0.0.1/32' } }, true],
    ['aws:SecureTransport', { Bool: { 'aws:SecureTransport': 'false' } }, false],
    ['aws:RequestedRegion', { StringEquals: { 'aws:RequestedRegion': 'us-east-1' } }, true],
  ])('%s: decides about Encrypt', async (_, condition, denied) => {
    await putPolicy(policyOf('kms:Encrypt', condition));
    const { status, code } = await kms('Encrypt', {
      KeyId: keyId,
      Plaintext: plaintext,
      EncryptionContext: { app: 'tax' },
    });
    expect([status, code]).toEqual(denied ? [400, 'AccessDeniedException'] : [200, '']);
  });

  test('kms:RequestAlias: is the alias that names the key', async () => {
    await putPolicy(policyOf('kms:Encrypt', { StringEquals: { 'kms:RequestAlias': alias } }));
    const arn = `arn:aws:kms:us-east-1:${ACCOUNT}:${alias}`;
    const codeOf = async (KeyId: string) => (await kms('Encrypt', { KeyId, Plaintext: plaintext })).code;
    expect([await codeOf(alias), await codeOf(arn), await codeOf(keyId)]).toEqual([
      'AccessDeniedException',
      'AccessDeniedException',
      '',
    ]);
  });

  test.each<[string, string, object, object, Statement['Condition']]>([
    [
      'kms:ScheduleKeyDeletionPendingWindowInDays',
      'ScheduleKeyDeletion',
      { PendingWindowInDays: 10 },
      { PendingWindowInDays: 30 },
      { NumericLessThan: { 'kms:ScheduleKeyDeletionPendingWindowInDays': '30' } },
    ],
    [
      'kms:RotationPeriodInDays',
      'EnableKeyRotation',
      { RotationPeriodInDays: 400 },
      { RotationPeriodInDays: 180 },
      { NumericGreaterThan: { 'kms:RotationPeriodInDays': '365' } },
    ],
    [
      'aws:RequestTag',
      'TagResource',
      { Tags: [{ TagKey: 'team', TagValue: 'x' }] },
      { Tags: [{ TagKey: 'team', TagValue: 'tax' }] },
      { StringNotEquals: { 'aws:RequestTag/team': 'tax' } },
    ],
    [
      'aws:TagKeys',
      'UntagResource',
      { TagKeys: ['team'] },
      { TagKeys: ['other'] },
      { 'ForAnyValue:StringEquals': { 'aws:TagKeys': 'team' } },
    ],
  ])('%s: decides about %s', async (_, operation, denied, allowed, condition) => {
    await putPolicy(policyOf(`kms:${operation}`, condition));
    expect((await kms(operation, { KeyId: keyId, ...denied })).code).toBe('AccessDeniedException');
    expect((await kms(operation, { KeyId: keyId, ...allowed })).status).toBe(200);
  });

  // KMS Developer Guide, "kms:BypassPolicyLockoutSafetyCheck".
  test('kms:BypassPolicyLockoutSafetyCheck: decides about PutKeyPolicy', async () => {
    const policy = policyOf('kms:PutKeyPolicy', { Bool: { 'kms:BypassPolicyLockoutSafetyCheck': 'true' } });
    await putPolicy(policy);
    const input = { KeyId: keyId, PolicyName: 'default', Policy: policy };
    expect((await kms('PutKeyPolicy', { ...input, BypassPolicyLockoutSafetyCheck: true })).code).toBe(
      'AccessDeniedException',
    );
    expect((await kms('PutKeyPolicy', input)).status).toBe(200);
  });
});

test('CreateKey: an identity policy sees the parameters of the new key', async () => {
  const account = sandbox.store.account(ACCOUNT);
  const statements = [
    { Effect: 'Allow', Action: 'kms:CreateKey', Resource: '*' },
    {
      Effect: 'Deny',
      Action: 'kms:CreateKey',
      Resource: '*',
      Condition: { Bool: { 'kms:MultiRegion': 'true' } },
    },
  ];
  account.roles.set('creator', {
    name: 'creator',
    path: '/',
    id: 'AROACREATOR',
    arn: `arn:aws:iam::${ACCOUNT}:role/creator`,
    trust: '{}',
    created: 0,
    maxSessionDuration: 3600,
    tags: new Map(),
    inline: new Map([['policy', JSON.stringify({ Version: '2012-10-17', Statement: statements })]]),
    attached: [],
    visibleFrom: 0,
  });
  account.sessions.set('ASIACREATOR', {
    accessKeyId: 'ASIACREATOR',
    roleName: 'creator',
    sessionName: 'alice',
    expires: Date.now() + 3_600_000,
    transitiveTags: [],
  } as never);
  expect((await kms('CreateKey', { MultiRegion: true }, 'ASIACREATOR')).code).toBe('AccessDeniedException');
  expect((await kms('CreateKey', {}, 'ASIACREATOR')).status).toBe(200);
});

// IAM User Guide, "Forward access sessions": S3 calls KMS with the session of the client, and the call says so.
describe('call of S3 to KMS for a client', () => {
  test.each<[string, Statement['Condition'], number]>([
    ['kms:ViaService', { StringNotEquals: { 'kms:ViaService': 's3.us-east-1.amazonaws.com' } }, 200],
    [
      'kms:ViaService of another Region',
      { StringNotEquals: { 'kms:ViaService': 's3.us-west-2.amazonaws.com' } },
      403,
    ],
    ['aws:ViaAWSService', { Bool: { 'aws:ViaAWSService': 'true' } }, 403],
    ['aws:CalledVia', { 'ForAnyValue:StringEquals': { 'aws:CalledVia': 's3.amazonaws.com' } }, 403],
    ['aws:CalledViaFirst', { StringEquals: { 'aws:CalledViaFirst': 's3.amazonaws.com' } }, 403],
    // KMS Developer Guide, "Using the IP address condition": the call does not come from the address of the client.
    ['aws:SourceIp', { IpAddress: { 'aws:SourceIp': '127.0.0.1/32' } }, 200],
    [
      'kms:EncryptionContext:aws:s3:arn',
      { StringEquals: { 'kms:EncryptionContext:aws:s3:arn': `arn:aws:s3:::${BUCKET}/object` } },
      403,
    ],
    ['kms:KeySpec', { StringEquals: { 'kms:KeySpec': 'SYMMETRIC_DEFAULT' } }, 403],
  ])('%s: decides about a put under SSE-KMS', async (_, condition, status) => {
    const { output } = await kms('CreateKey', { Policy: policyOf('kms:GenerateDataKey', condition) });
    const { Arn } = output.KeyMetadata as { Arn: string };
    const response = await send('PUT', `/${BUCKET}/object`, {
      body: 'data',
      headers: {
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-aws-kms-key-id': Arn,
      },
    });
    expect(response.status, response.text).toBe(status);
  });
});
