import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { normalizeSchema } from '../../src/sandbox/protocol/codec.ts';
import { operations } from '../../src/sandbox/protocol/operations.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { callKms, callQuery, type RawResponse } from '../support/raw-aws.ts';

const ACCOUNT = '111122223333';
const WEST = { accessKeyId: ACCOUNT, region: 'us-west-2' };
const ROLE_ARN = `arn:aws:iam::${ACCOUNT}:role/grantee`;
const DAY_MS = 86_400_000;

let sandbox: Sandbox;
let now = Date.UTC(2026, 10, 30);
const kms = (operation: string, input: object, account?: Parameters<typeof callKms>[3]) =>
  callKms(sandbox.endpoint, operation, input, account);

beforeAll(async () => {
  sandbox = await startSandbox({ clock: () => now });
  await callQuery(sandbox.endpoint, 'iam', 'CreateRole', {
    RoleName: 'grantee',
    AssumeRolePolicyDocument: JSON.stringify({
      Version: '2012-10-17',
      Statement: { Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'sts:AssumeRole' },
    }),
  });
});
afterAll(() => sandbox.close());

interface Metadata {
  KeyId: string;
  Arn: string;
  KeyState: string;
  Enabled: boolean;
  [member: string]: unknown;
}

async function createKey(input: object = {}): Promise<Metadata> {
  return (await kms('CreateKey', input)).json.KeyMetadata as Metadata;
}

const describeKey = async (KeyId: string, account?: typeof WEST): Promise<Metadata> =>
  (await kms('DescribeKey', { KeyId }, account)).json.KeyMetadata as Metadata;

const errorOf = ({ status, code, message }: RawResponse) => ({ status, code, message });
const error = (code: string, message: string) => ({ status: 400, code, message });
const PLAINTEXT = Buffer.from('tax').toString('base64');

// AWS KMS API Reference, DryRun: "Checks if your request will succeed. DryRun is an optional parameter."
// AWS KMS Developer Guide, "Test your permissions": the message of the error.
describe('DryRun', () => {
  const SUCCESS = error(
    'DryRunOperationException',
    'The request would have succeeded, but the DryRun option is set.',
  );

  test('each operation with DryRun: fails with DryRunOperationException, and changes nothing', async () => {
    const { KeyId } = await createKey();
    const { CiphertextBlob } = (await kms('Encrypt', { KeyId, Plaintext: PLAINTEXT })).json;
    const grantInput = { KeyId, GranteePrincipal: ROLE_ARN, Operations: ['Decrypt'] };
    const { GrantId } = (await kms('CreateGrant', grantInput)).json;
    const inputs: Record<string, object> = {
      Encrypt: { KeyId, Plaintext: PLAINTEXT },
      Decrypt: { CiphertextBlob },
      ReEncrypt: { CiphertextBlob, DestinationKeyId: KeyId },
      GenerateDataKey: { KeyId, KeySpec: 'AES_256' },
      GenerateDataKeyWithoutPlaintext: { KeyId, KeySpec: 'AES_256' },
      CreateGrant: grantInput,
      RetireGrant: { KeyId, GrantId },
      RevokeGrant: { KeyId, GrantId },
    };
    const withDryRun = [...operations.kms].filter(
      ([, { input }]) =>
        !normalizeSchema(input).isUnitSchema() && normalizeSchema(input).getMemberSchemas().DryRun,
    );
    for (const [operation] of withDryRun) {
      const response = await kms(operation, { KeyId, ...inputs[operation], DryRun: true });
      if (inputs[operation]) expect(errorOf(response), operation).toEqual(SUCCESS);
      else expect(response.status, operation).not.toBe(200);
    }
    expect((await kms('ListGrants', { KeyId })).json.Grants).toHaveLength(1);
  });

  test('a request that would fail: fails with the error of the request', async () => {
    const { KeyId, Arn } = await createKey();
    await kms('DisableKey', { KeyId });
    expect(errorOf(await kms('Encrypt', { KeyId, Plaintext: PLAINTEXT, DryRun: true }))).toEqual(
      error('DisabledException', `${Arn} is disabled.`),
    );
    expect(
      errorOf(await kms('Encrypt', { KeyId, Plaintext: PLAINTEXT, DryRun: true }, '444455556666')),
    ).toMatchObject({ code: 'NotFoundException' });
  });
});

describe('grants', () => {
  const grant = (KeyId: string, input: object = {}) =>
    kms('CreateGrant', { KeyId, GranteePrincipal: ROLE_ARN, Operations: ['Decrypt'], ...input });

  // AWS KMS API Reference, CreateGrant, GranteePrincipal: an ARN of an account, user, role, session or federated user.
  // hashicorp/terraform-provider-aws#13994 reports the refusal of a service principal, aws/aws-cdk#573 of a group.
  test.each([
    ['a role that does not exist', `arn:aws:iam::${ACCOUNT}:role/missing`],
    ['a group', `arn:aws:iam::${ACCOUNT}:group/admins`],
    ['a service principal', 'rds.amazonaws.com'],
    ['an ARN of another service', 'arn:aws:s3:::acme-tax'],
  ])('CreateGrant: refuses %s as grantee', async (_, GranteePrincipal) => {
    const { KeyId } = await createKey();
    expect(errorOf(await grant(KeyId, { GranteePrincipal }))).toEqual(
      error('InvalidArnException', `ARN does not refer to a valid principal: ${GranteePrincipal}`),
    );
  });

  // AWS KMS API Reference, CreateGrant, Operations: "Each operation in the grant must be supported on the KMS key".
  test('CreateGrant: refuses operations that the key usage does not support', async () => {
    const { KeyId } = await createKey();
    expect(await grant(KeyId, { Operations: ['Sign'] })).toMatchObject({
      status: 400,
      code: 'ValidationException',
    });
    const signing = await createKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
    expect(await grant(signing.KeyId, { Operations: ['Decrypt'] })).toMatchObject({ status: 400 });
    expect(await grant(signing.KeyId, { Operations: ['Sign', 'GetPublicKey'] })).toMatchObject({
      status: 200,
    });
  });

  // Quoted in ansible/ansible#31960.
  test('CreateGrant: refuses a grant of CreateGrant alone', async () => {
    const { KeyId } = await createKey();
    expect(errorOf(await grant(KeyId, { Operations: ['CreateGrant'] }))).toEqual(
      error('ValidationException', 'Grants must not contain only the CreateGrant operation.'),
    );
  });

  // AWS KMS API Reference, CreateGrant, Name.
  test('CreateGrant: a repeated request with a name returns the same grant and another token', async () => {
    const { KeyId } = await createKey();
    const [first, second, other, unnamed] = [
      await grant(KeyId, { Name: 'replication' }),
      await grant(KeyId, { Name: 'replication' }),
      await grant(KeyId, { Name: 'replication', Operations: ['Encrypt'] }),
      await grant(KeyId),
    ].map(({ json }) => json as { GrantId: string; GrantToken: string });
    expect(second?.GrantId).toBe(first?.GrantId);
    expect(second?.GrantToken).not.toBe(first?.GrantToken);
    expect(new Set([first, other, unnamed].map((created) => created?.GrantId)).size).toBe(3);
    expect(await grant(KeyId, { Name: 'not a name' })).toMatchObject({ code: 'ValidationException' });
    for (const token of [first, second].map((created) => created?.GrantToken))
      expect(await kms('DescribeKey', { KeyId, GrantTokens: [token] })).toMatchObject({ status: 200 });
    expect(await kms('DescribeKey', { KeyId, GrantTokens: ['none'] })).toMatchObject({
      code: 'InvalidGrantTokenException',
    });
  });

  // AWS KMS API Reference, GrantConstraints.
  test('CreateGrant: refuses encryption context constraints of more than 8 pairs, and on asymmetric keys', async () => {
    const { KeyId } = await createKey();
    const pairs = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`key${index}`, 'value']));
    expect(await grant(KeyId, { Constraints: { EncryptionContextSubset: pairs } })).toMatchObject({
      code: 'ValidationException',
    });
    const asymmetric = await createKey({ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' });
    expect(
      await grant(asymmetric.KeyId, { Constraints: { EncryptionContextEquals: { a: 'b' } } }),
    ).toMatchObject({ code: 'ValidationException' });
  });

  // AWS KMS Developer Guide, "Condition keys for AWS KMS": kms:GranteePrincipal, kms:GrantOperations.
  test('CreateGrant: carries its parameters as condition keys', async () => {
    const root = { AWS: `arn:aws:iam::${ACCOUNT}:root` };
    const { KeyId } = await createKey({
      Policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Principal: root, Action: 'kms:*', Resource: '*' },
          {
            Effect: 'Deny',
            Principal: '*',
            Action: 'kms:CreateGrant',
            Resource: '*',
            Condition: { 'ForAnyValue:StringEquals': { 'kms:GrantOperations': 'Decrypt' } },
          },
        ],
      }),
    });
    expect(await grant(KeyId)).toMatchObject({ code: 'AccessDeniedException' });
    expect(await grant(KeyId, { Operations: ['Encrypt'] })).toMatchObject({ status: 200 });
  });

  // AWS KMS API Reference, ListRetirableGrants and RetireGrant.
  test('ListRetirableGrants: returns the grants of a retiring principal in pages', async () => {
    const { KeyId, Arn } = await createKey();
    const RetiringPrincipal = `arn:aws:iam::${ACCOUNT}:root`;
    for (const Operations of [['Decrypt'], ['Encrypt'], ['DescribeKey']])
      await grant(KeyId, { Operations, RetiringPrincipal });
    const list = (input: object) => kms('ListRetirableGrants', { RetiringPrincipal, ...input });
    const first = await list({ Limit: 2 });
    expect(first.json).toMatchObject({ Truncated: true, Grants: [{ KeyId: Arn }, { KeyId: Arn }] });
    const second = await list({ Limit: 2, Marker: first.json.NextMarker });
    expect(second.json).toMatchObject({ Truncated: false, Grants: [{ Operations: ['DescribeKey'] }] });
    expect(await list({ Marker: 'none' })).toMatchObject({ code: 'InvalidMarkerException' });
    expect(await list({ Limit: 0 })).toMatchObject({ code: 'ValidationException' });
    expect(await kms('RetireGrant', {})).toMatchObject({ code: 'ValidationException' });
  });

  test('RetireGrant: finds the grant of a key of another account by its token', async () => {
    const { KeyId } = await createKey();
    const { GrantToken } = (
      await grant(KeyId, {
        GranteePrincipal: 'arn:aws:iam::444455556666:root',
        RetiringPrincipal: 'arn:aws:iam::444455556666:root',
      })
    ).json;
    expect(await kms('RetireGrant', { GrantToken }, '444455556666')).toMatchObject({ status: 200 });
    expect((await kms('ListGrants', { KeyId })).json.Grants).toEqual([]);
  });
});

// The recorded responses of localstack tests/aws/services/kms/test_kms.snapshot.json, test_import_key_symmetric, and the
// table of AWS KMS Developer Guide, "Key states of AWS KMS keys".
describe('keys of the origin EXTERNAL', () => {
  test('without key material: PendingImport, and no cryptographic operation', async () => {
    const { KeyId, Arn, ...metadata } = await createKey({ Origin: 'EXTERNAL' });
    expect(metadata).toMatchObject({ KeyState: 'PendingImport', Enabled: false, Origin: 'EXTERNAL' });
    expect(metadata).not.toHaveProperty('CurrentKeyMaterialId');
    const pending = error('KMSInvalidStateException', `${Arn} is pending import.`);
    for (const [operation, input] of [
      ['Encrypt', { Plaintext: PLAINTEXT }],
      ['GenerateDataKey', { KeySpec: 'AES_256' }],
      ['CreateGrant', { GranteePrincipal: ROLE_ARN, Operations: ['Decrypt'] }],
      ['EnableKey', {}],
      ['DisableKey', {}],
    ] as const)
      expect(errorOf(await kms(operation, { KeyId, ...input })), operation).toEqual(pending);
    for (const operation of ['EnableKeyRotation', 'DisableKeyRotation', 'GetKeyRotationStatus'])
      expect(errorOf(await kms(operation, { KeyId })), operation).toEqual(
        error(
          'UnsupportedOperationException',
          `${Arn} origin is EXTERNAL which is not valid for this operation.`,
        ),
      );
    expect(await kms('CreateAlias', { AliasName: 'alias/external', TargetKeyId: KeyId })).toMatchObject({
      status: 200,
    });
  });

  test('the import of key material is not implemented', async () => {
    const { KeyId } = await createKey({ Origin: 'EXTERNAL' });
    for (const operation of ['GetParametersForImport', 'ImportKeyMaterial', 'DeleteImportedKeyMaterial'])
      expect(await kms(operation, { KeyId })).toMatchObject({ status: 501, code: 'NotImplemented' });
  });
});

describe('multi-Region keys', () => {
  const replicate = (KeyId: string, input: object = {}, account?: typeof WEST) =>
    kms('ReplicateKey', { KeyId, ReplicaRegion: 'us-west-2', ...input }, account);

  // localstack test_kms.snapshot.json, test_replicate_key; KMS Developer Guide, "Create multi-Region replica keys":
  // "This key state changes to Enabled after a few seconds. While the key state is Creating, you can manage key, but
  // you cannot yet use it in cryptographic operations."
  test('ReplicateKey: the replica is Creating for some seconds, then Enabled', async () => {
    const { KeyId } = await createKey({ MultiRegion: true });
    const replica = (await replicate(KeyId)).json.ReplicaKeyMetadata as Metadata;
    expect(replica).toMatchObject({ KeyState: 'Creating', Enabled: false });
    const encrypt = () => kms('Encrypt', { KeyId, Plaintext: PLAINTEXT }, WEST);
    expect(errorOf(await encrypt())).toEqual(
      error('KMSInvalidStateException', `${replica.Arn} is creating.`),
    );
    expect(await kms('CreateAlias', { AliasName: 'alias/replica', TargetKeyId: KeyId }, WEST)).toMatchObject({
      status: 200,
    });
    expect(await kms('TagResource', { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] }, WEST)).toMatchObject({
      status: 200,
    });
    now += sandbox.faultSettings.keyCreationMs;
    expect(await describeKey(KeyId, WEST)).toMatchObject({ KeyState: 'Enabled', Enabled: true });
    expect(await encrypt()).toMatchObject({ status: 200 });
  });

  // localstack test_kms.snapshot.json, test_replicate_replica_key_should_fail; the second message is quoted in
  // pulumi/pulumi-aws-native#184.
  test('ReplicateKey: refuses single-Region keys, replica keys and a second replica in one Region', async () => {
    const single = await createKey();
    expect(errorOf(await replicate(single.KeyId))).toEqual(
      error('UnsupportedOperationException', `${single.Arn} is not a multi-region primary key.`),
    );
    const { KeyId, Arn } = await createKey({ MultiRegion: true });
    expect(await replicate(KeyId)).toMatchObject({ status: 200 });
    const twice = error(
      'AlreadyExistsException',
      'You can create only one replica of each primary key in each AWS Region.',
    );
    expect(errorOf(await replicate(KeyId))).toEqual(twice);
    expect(errorOf(await replicate(KeyId, { ReplicaRegion: 'us-east-1' }))).toEqual(twice);
    now += sandbox.faultSettings.keyCreationMs;
    expect(errorOf(await replicate(KeyId, { ReplicaRegion: 'eu-west-1' }, WEST))).toEqual(
      error(
        'UnsupportedOperationException',
        `${Arn.replace('us-east-1', 'us-west-2')} is not a multi-region primary key.`,
      ),
    );
    expect(await replicate(KeyId, { ReplicaRegion: 'us_west' })).toMatchObject({
      code: 'ValidationException',
    });
    expect(await replicate(KeyId, { ReplicaRegion: 'cn-north-1' })).toMatchObject({
      code: 'ValidationException',
    });
  });

  // KMS Developer Guide, "Deleting multi-Region keys".
  test('ScheduleKeyDeletion: a primary key waits for its replica keys', async () => {
    const { KeyId, Arn } = await createKey({ MultiRegion: true });
    await replicate(KeyId);
    const primary = await kms('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
    expect(primary.json).toMatchObject({ KeyState: 'PendingReplicaDeletion', PendingWindowInDays: 7 });
    expect(primary.json).not.toHaveProperty('DeletionDate');
    expect(errorOf(await kms('Encrypt', { KeyId, Plaintext: PLAINTEXT }))).toEqual(
      error('KMSInvalidStateException', `${Arn} is pending replica deletion.`),
    );
    now += 100 * DAY_MS;
    expect(await describeKey(KeyId)).toMatchObject({ PendingDeletionWindowInDays: 7 });
    await kms('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 10 }, WEST);
    now += 10 * DAY_MS;
    expect(await kms('DescribeKey', { KeyId }, WEST)).toMatchObject({ code: 'NotFoundException' });
    expect(await describeKey(KeyId)).toMatchObject({ KeyState: 'PendingDeletion' });
    now += 7 * DAY_MS;
    expect(await kms('DescribeKey', { KeyId })).toMatchObject({ code: 'NotFoundException' });
  });

  // KMS Developer Guide, "Rotating multi-Region keys": a property that related keys share, set on the primary key.
  test('EnableKeyRotation: applies to the replica keys, and is refused on them', async () => {
    const { KeyId } = await createKey({ MultiRegion: true });
    await replicate(KeyId);
    now += sandbox.faultSettings.keyCreationMs;
    await kms('EnableKeyRotation', { KeyId, RotationPeriodInDays: 180 });
    expect((await kms('GetKeyRotationStatus', { KeyId }, WEST)).json).toMatchObject({
      KeyRotationEnabled: true,
      RotationPeriodInDays: 180,
    });
    expect(await kms('DisableKeyRotation', { KeyId }, WEST)).toMatchObject({
      code: 'UnsupportedOperationException',
    });
  });
});

describe('CreateKey', () => {
  // KMS API Reference, CreateKey, KeyUsage; message: localstack services/kms/models.py.
  test.each([
    ['SYMMETRIC_DEFAULT', 'SIGN_VERIFY'],
    ['ECC_NIST_P256', 'ENCRYPT_DECRYPT'],
    ['HMAC_256', 'SIGN_VERIFY'],
    ['RSA_2048', 'KEY_AGREEMENT'],
  ])('refuses the key spec %s with the usage %s', async (KeySpec, KeyUsage) => {
    expect(errorOf(await kms('CreateKey', { KeySpec, KeyUsage }))).toEqual(
      error('ValidationException', `KeyUsage ${KeyUsage} is not compatible with KeySpec ${KeySpec}`),
    );
  });

  // localstack test_kms.snapshot.json, test_hmac_create_key and test_import_key_asymmetric.
  test.each([
    ['HMAC_256', 'GENERATE_VERIFY_MAC', { MacAlgorithms: ['HMAC_SHA_256'] }],
    ['ECC_NIST_P256', 'SIGN_VERIFY', { SigningAlgorithms: ['ECDSA_SHA_256'] }],
  ])('returns the algorithms of %s', async (KeySpec, KeyUsage, algorithms) => {
    expect(await createKey({ KeySpec, KeyUsage })).toMatchObject(algorithms);
  });

  test('refuses custom key stores with 501', async () => {
    expect(await kms('CreateKey', { Origin: 'AWS_CLOUDHSM', CustomKeyStoreId: 'cks-1' })).toMatchObject({
      status: 501,
    });
    expect(await kms('CreateKey', { Origin: 'EXTERNAL_KEY_STORE' })).toMatchObject({ status: 501 });
  });

  // localstack test_kms.snapshot.json, test_error_messaging_for_invalid_keys.
  test('Encrypt: names the usage of the key and the operation, and never encrypts under another spec', async () => {
    const signing = await createKey({ KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' });
    expect(errorOf(await kms('Encrypt', { KeyId: signing.KeyId, Plaintext: PLAINTEXT }))).toEqual(
      error(
        'InvalidKeyUsageException',
        `${signing.Arn} key usage is SIGN_VERIFY which is not valid for Encrypt.`,
      ),
    );
    const rsa = await createKey({ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' });
    expect(await kms('Encrypt', { KeyId: rsa.KeyId, Plaintext: PLAINTEXT })).toMatchObject({
      code: 'InvalidKeyUsageException',
    });
    expect(
      await kms('Encrypt', {
        KeyId: rsa.KeyId,
        Plaintext: PLAINTEXT,
        EncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
      }),
    ).toMatchObject({ status: 501 });
  });
});

describe('aliases', () => {
  // KMS API Reference, UpdateAlias: the current and the new key must be the same type and have the same usage.
  test('UpdateAlias: refuses a key of another type, and records the time of the change', async () => {
    const [first, second] = [await createKey(), await createKey()];
    const mac = await createKey({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' });
    const AliasName = 'alias/tax';
    await kms('CreateAlias', { AliasName, TargetKeyId: first.KeyId });
    expect(await kms('UpdateAlias', { AliasName, TargetKeyId: mac.KeyId })).toMatchObject({ status: 400 });
    now += 1_000;
    expect(await kms('UpdateAlias', { AliasName, TargetKeyId: second.KeyId })).toMatchObject({ status: 200 });
    const { Aliases } = (await kms('ListAliases', { KeyId: second.KeyId })).json as {
      Aliases: { CreationDate: number; LastUpdatedDate: number }[];
    };
    expect((Aliases[0]?.LastUpdatedDate ?? 0) - (Aliases[0]?.CreationDate ?? 0)).toBe(1);
  });

  test.each([
    ['tax', 'ValidationException'],
    ['alias/aws/s3x', 'NotAuthorizedException'],
    // moto's test_kms.py, and terraform-provider-aws#12891 for the colon.
    ['alias/a b', 'ValidationException'],
    ['alias/a:b', 'ValidationException'],
  ])('CreateAlias: refuses the name %s', async (AliasName, code) => {
    const { KeyId } = await createKey();
    expect(await kms('CreateAlias', { AliasName, TargetKeyId: KeyId })).toMatchObject({ status: 400, code });
  });

  // KMS Developer Guide, "Resource quotas": aliases per KMS key.
  test('CreateAlias: refuses the 51st alias of a key', async () => {
    const { KeyId } = await createKey();
    for (let index = 0; index < 50; index++)
      await kms('CreateAlias', { AliasName: `alias/many-${index}`, TargetKeyId: KeyId });
    expect(await kms('CreateAlias', { AliasName: 'alias/many-50', TargetKeyId: KeyId })).toMatchObject({
      code: 'LimitExceededException',
    });
  });

  // KMS Developer Guide, "Deleting AWS KMS keys": KMS deletes the key and its aliases.
  test('after the waiting period: the key and its aliases do not exist', async () => {
    const { KeyId, Arn } = await createKey();
    await kms('CreateAlias', { AliasName: 'alias/doomed', TargetKeyId: KeyId });
    await kms('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
    now += 7 * DAY_MS;
    expect(errorOf(await kms('DescribeKey', { KeyId }))).toEqual(
      error('NotFoundException', `Key '${Arn}' does not exist`),
    );
    const { Aliases } = (await kms('ListAliases', {})).json as { Aliases: { AliasName: string }[] };
    expect(Aliases.map(({ AliasName }) => AliasName)).not.toContain('alias/doomed');
    const { KeyId: other } = await createKey();
    expect(await kms('CreateAlias', { AliasName: 'alias/doomed', TargetKeyId: other })).toMatchObject({
      status: 200,
    });
  });
});

describe('PutKeyPolicy', () => {
  const put = (KeyId: string, statement: object, input: object = {}) =>
    kms('PutKeyPolicy', {
      KeyId,
      Policy: JSON.stringify({ Version: '2012-10-17', Statement: [statement] }),
      ...input,
    });
  const ALL = { Effect: 'Allow', Action: 'kms:*', Resource: '*' };

  // aws-samples/aws-blog-codepipeline-third-party-git-build-status#6 quotes the message.
  test('refuses principals that do not exist', async () => {
    const { KeyId } = await createKey();
    for (const AWS of [`arn:aws:iam::${ACCOUNT}:role/missing`, 'AROAJQABLZS4A3QDU576Q', 'tax'])
      expect(errorOf(await put(KeyId, { ...ALL, Principal: { AWS } })), AWS).toEqual(
        error(
          'MalformedPolicyDocumentException',
          'Policy contains a statement with one or more invalid principals.',
        ),
      );
  });

  // KMS API Reference, PutKeyPolicy, BypassPolicyLockoutSafetyCheck.
  test('refuses a policy that locks the caller out, unless the request bypasses the check', async () => {
    const { KeyId } = await createKey();
    const statement = { ...ALL, Action: 'kms:Decrypt', Principal: { AWS: ACCOUNT } };
    expect(errorOf(await put(KeyId, statement))).toEqual(
      error(
        'MalformedPolicyDocumentException',
        'The new key policy will not allow you to update the key policy in the future.',
      ),
    );
    expect(await put(KeyId, statement, { BypassPolicyLockoutSafetyCheck: true })).toMatchObject({
      status: 200,
    });
    expect(await kms('GetKeyPolicy', { KeyId })).toMatchObject({ code: 'AccessDeniedException' });
  });

  test('accepts no other policy name than default', async () => {
    const { KeyId } = await createKey();
    expect(await put(KeyId, { ...ALL, Principal: '*' }, { PolicyName: 'other' })).toMatchObject({
      status: 400,
    });
    expect(await kms('GetKeyPolicy', { KeyId, PolicyName: 'other' })).toMatchObject({
      code: 'NotFoundException',
    });
  });
});
