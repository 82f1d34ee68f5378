import { randomUUID } from 'node:crypto';
import type { Aws } from '../aws.ts';
import { key, type Scenarios } from '../support.ts';

const OTHER = 'eu-central-1';
const CONTEXT = { context: 'encryption' };
const PLAINTEXT = Buffer.from('test message 123 !%$@ 1234567890');

export const kms: Scenarios = {
  'localstack/kms.describe_key/test_get_key_in_different_region#describe-key-diff-region-with-id': async (
    aws,
  ) => describe(aws, (await key(aws.in(OTHER))).KeyId),
  'localstack/kms.describe_key/test_get_key_in_different_region#describe-key-diff-region-with-arn': async (
    aws,
  ) => describe(aws, (await key(aws.in(OTHER))).Arn),
  'localstack/kms.describe_key/test_get_key_in_different_region#describe-key-same-specific-region-with-id':
    async (aws) => describe(aws.in(OTHER), (await key(aws.in(OTHER), 'test key 123')).KeyId),
  'localstack/kms.describe_key/test_get_key_in_different_region#describe-key-same-specific-region-with-arn':
    async (aws) => describe(aws.in(OTHER), (await key(aws.in(OTHER), 'test key 123')).Arn),
  'localstack/kms.describe_key/test_get_key_does_not_exist#describe-nonexistent-with-arn': (aws) =>
    describe(aws, `arn:aws:kms:us-east-1:${aws.account}:key/${randomUUID()}`),
  'localstack/kms.describe_key/test_get_key_does_not_exist#describe-key-with-valid-id-mrk': (aws) =>
    describe(aws, `mrk-${randomUUID().replaceAll('-', '')}`),
  'localstack/kms.describe_key/test_get_key_invalid_uuid#describe-key-with-invalid-uuid': (aws) =>
    describe(aws, 'fake-key-id'),
  'localstack/kms.describe_key/test_get_key_invalid_uuid#describe-key-with-invalid-uuid-2': (aws) =>
    describe(aws, '134f2428cec14b25a1ae9048164dba47'),
  'localstack/kms.describe_key/test_get_key_invalid_uuid#describe-key-with-invalid-uuid-mrk': (aws) =>
    describe(aws, 'mrk-fake-key-id'),
  'localstack/kms.describe_key/test_replicate_key#describe-key-from-different-region': async (aws) =>
    describe(aws.in('ap-southeast-1'), await multiRegion(aws)),
  'localstack/kms.describe_key/test_replicate_key#describe-key-from-region': async (aws) => {
    const KeyId = await multiRegion(aws);
    await aws.kms.replicateKey({ KeyId, ReplicaRegion: 'ap-southeast-1' });
    return describe(aws, KeyId);
  },
  'localstack/kms.describe_key/test_key_rotation_updates_current_key_material_id_for_aws_symmetric_keys#describe-key-before-rotation':
    async (aws) => describe(aws, (await key(aws, 'test-key')).KeyId),
  'localstack/kms.describe_key/test_key_rotation_updates_current_key_material_id_for_aws_symmetric_keys#describe-key-after-rotation':
    async (aws) => {
      const { KeyId } = await key(aws, 'test-key');
      await aws.kms.rotateKeyOnDemand({ KeyId });
      return describe(aws, KeyId);
    },

  'localstack/kms.encrypt/test_encrypt_decrypt_encryption_context#encrypt_response': async (aws) =>
    encrypt(aws, (await key(aws)).KeyId),
  'localstack/kms.decrypt/test_encrypt_decrypt_encryption_context#decrypt_response_with_encryption_context':
    async (aws) => {
      const { KeyId } = await key(aws);
      const { CiphertextBlob } = await encrypt(aws, KeyId);
      return aws.kms.decrypt({ KeyId, CiphertextBlob, EncryptionContext: CONTEXT });
    },
  'localstack/kms.decrypt/test_encrypt_decrypt_encryption_context#decrypt_response_without_encryption_context':
    async (aws) => {
      const { KeyId } = await key(aws);
      const { CiphertextBlob } = await encrypt(aws, KeyId);
      return aws.kms.decrypt({ KeyId, CiphertextBlob });
    },
  'moto/kms-encrypt-empty': async (aws) =>
    aws.kms.encrypt({ KeyId: (await key(aws)).KeyId, Plaintext: Buffer.of() }),
  'localstack/kms.generate_data_key/disabled': async (aws) => {
    const { KeyId } = await key(aws);
    await aws.kms.disableKey({ KeyId });
    return aws.kms.generateDataKey({ KeyId, KeySpec: 'AES_256' });
  },
  'localstack/kms.generate_data_key/pending-deletion': async (aws) =>
    aws.kms.generateDataKey({ KeyId: await condemned(aws), KeySpec: 'AES_256' }),

  'localstack/kms.create_key/test_create_key_with_too_many_tags_raises_error#invalid-tag-key': (aws) =>
    aws.kms.createKey({
      Description: 'test key 123',
      KeyUsage: 'ENCRYPT_DECRYPT',
      Tags: Array.from({ length: 51 }, (_, n) => ({ TagKey: `key${n}`, TagValue: `value${n}` })),
    }),
  'localstack/kms.create_key/test_create_key_with_invalid_tag_key[too_long_key]#invalid-tag-key': (aws) =>
    aws.kms.createKey({
      Description: 'test key 123',
      KeyUsage: 'ENCRYPT_DECRYPT',
      Tags: [{ TagKey: 'a'.repeat(129), TagValue: 'value' }],
    }),
  'localstack/kms.tag_resource/test_tag_existing_key_with_invalid_tag_key#invalid-tag-key': async (aws) =>
    aws.kms.tagResource({
      KeyId: (await key(aws)).KeyId,
      Tags: [{ TagKey: 'aws:key1', TagValue: 'value1' }],
    }),

  'localstack/kms.get_key_rotation_status/test_key_enable_rotation_status[90]#match_response': (aws) =>
    rotation(aws, 90),
  'localstack/kms.get_key_rotation_status/test_key_enable_rotation_status[180]#match_response': (aws) =>
    rotation(aws, 180),
  'localstack/kms.get_key_rotation_status/test_rotate_key_on_demand_with_symmetric_key_and_automatic_rotation_disabled#rotation-status-response-after-rotation':
    async (aws) => {
      const { KeyId } = await key(aws);
      await aws.kms.rotateKeyOnDemand({ KeyId });
      return aws.kms.getKeyRotationStatus({ KeyId });
    },
  'localstack/kms.get_key_rotation_status/test_rotate_key_on_demand_with_symmetric_key_and_automatic_rotation_enabled#rotation-status-response-after-rotation':
    async (aws) => {
      const { KeyId } = await key(aws);
      await aws.kms.enableKeyRotation({ KeyId });
      await aws.kms.rotateKeyOnDemand({ KeyId });
      return aws.kms.getKeyRotationStatus({ KeyId });
    },

  'localstack/kms.schedule_key_deletion/twice': async (aws) =>
    aws.kms.scheduleKeyDeletion({ KeyId: await condemned(aws) }),
  'c7n/test_cross_account_kms_condition_keys_1/kms.ScheduleKeyDeletion_1': async (aws) => {
    const recorded = aws.as('644160558196').in('af-south-1');
    return recorded.kms.scheduleKeyDeletion({ KeyId: (await key(recorded)).KeyId, PendingWindowInDays: 7 });
  },
  'c7n/test_kms_remove_named/kms.GetKeyPolicy_1': async (aws) => {
    const { KeyId } = await key(aws);
    await aws.kms.putKeyPolicy({ KeyId, PolicyName: 'default', Policy: COMPACT });
    return aws.kms.getKeyPolicy({ KeyId, PolicyName: 'default' });
  },
};

const COMPACT = JSON.stringify({
  Version: '2008-10-17',
  Statement: ['DefaultRoot', 'RemoveMe'].map((Sid) => ({
    Sid,
    Effect: 'Allow',
    Principal: '*',
    Action: 'kms:*',
    Resource: '*',
  })),
});

function describe(aws: Aws, KeyId: string) {
  return aws.kms.describeKey({ KeyId });
}

async function multiRegion(aws: Aws): Promise<string> {
  const { KeyMetadata } = await aws.kms.createKey({ MultiRegion: true, Description: 'test replicated key' });
  return KeyMetadata?.KeyId ?? '';
}

function encrypt(aws: Aws, KeyId: string) {
  return aws.kms.encrypt({ KeyId, Plaintext: PLAINTEXT, EncryptionContext: CONTEXT });
}

async function rotation(aws: Aws, RotationPeriodInDays: number) {
  const { KeyId } = await key(aws);
  await aws.kms.enableKeyRotation({ KeyId, RotationPeriodInDays });
  return aws.kms.getKeyRotationStatus({ KeyId });
}

async function condemned(aws: Aws): Promise<string> {
  const { KeyId } = await key(aws);
  await aws.kms.scheduleKeyDeletion({ KeyId });
  return KeyId;
}
