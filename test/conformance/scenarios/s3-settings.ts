import type { OwnershipControls, ServerSideEncryptionRule, Tag } from '@aws-sdk/client-s3';
import type { Aws } from '../aws.ts';
import { bucket, FOREIGN_ACCOUNT, key, policy, type Scenarios, unique } from '../support.ts';

const ENCRYPTION = 'localstack/s3.put_bucket_encryption/';
const C7N_ENCRYPTION = 'c7n/test_s3_bucket_encryption_filter_kms/s3.GetBucketEncryption_';
const PUT_POLICY = 'localstack/s3.put_bucket_policy/';
const PUT_TAGS = 'localstack/s3.put_bucket_tagging/';

export const s3Settings: Scenarios = {
  [`${ENCRYPTION}test_s3_sse_bucket_key_default#put-bucket-encryption`]: async (aws) =>
    encrypt(aws, await bucket(aws), [kms((await key(aws)).KeyId, true)]),
  [`${ENCRYPTION}test_s3_sse_default_kms_key#put-bucket-encryption-default-kms-s3-key`]: async (aws) =>
    encrypt(aws, await bucket(aws), [kms(undefined, true)]),
  [`${ENCRYPTION}test_s3_default_bucket_encryption_exc#put-bucket-encryption-no-rules`]: async (aws) =>
    encrypt(aws, await bucket(aws), []),
  [`${ENCRYPTION}test_s3_default_bucket_encryption_exc#put-bucket-encryption-two-rules`]: async (aws) =>
    encrypt(aws, await bucket(aws), [
      kms(undefined, true),
      { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } },
    ]),
  [`${ENCRYPTION}test_s3_default_bucket_encryption_exc#put-bucket-encryption-kms-with-aes`]: async (aws) =>
    encrypt(aws, await bucket(aws), [
      { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256', KMSMasterKeyID: 'randomkeyid' } },
    ]),
  'localstack/s3.delete_bucket_encryption/test_s3_default_bucket_encryption#delete-bucket-encryption': async (
    aws,
  ) => aws.s3.deleteBucketEncryption({ Bucket: await bucket(aws) }),
  'localstack/s3.get_bucket_encryption/test_s3_sse_default_kms_key#get-bucket-encryption-default-kms-s3-key':
    (aws) => encryption(aws, kms(undefined, true)),
  'localstack/s3.get_bucket_encryption/test_s3_bucket_encryption_sse_kms_aws_managed_key#get-bucket-enc': (
    aws,
  ) => encryption(aws, kms(undefined, true)),
  'localstack/s3.get_bucket_encryption/test_s3_bucket_encryption_sse_kms#get-bucket-enc': async (aws) => {
    const { KeyId } = await key(aws);
    const read = await encryption(aws, kms(KeyId, true));
    const [only] = read.ServerSideEncryptionConfiguration?.Rules ?? [];
    return { ...read, asSpelled: only?.ApplyServerSideEncryptionByDefault?.KMSMasterKeyID === KeyId };
  },
  [`${C7N_ENCRYPTION}2`]: (aws) =>
    encryption(aws.as(RECORDED), kms(`arn:aws:kms:us-east-1:${RECORDED}:alias/aws/s3`)),
  [`${C7N_ENCRYPTION}3`]: (aws) => encryption(aws.as(RECORDED), kms()),
  [`${C7N_ENCRYPTION}4`]: (aws) =>
    encryption(aws.as(RECORDED), kms(`arn:aws:kms:us-east-1:${RECORDED}:key/${KEY}`)),
  [`${C7N_ENCRYPTION}5`]: (aws) => encryption(aws.as(RECORDED), kms(KEY)),
  'c7n/test_s3_encryption_audit/s3.GetBucketEncryption_3': async (aws) => {
    const Bucket = await bucket(aws, 'c7n-aws-s3-encryption-audit-test-c');
    await aws.s3.deleteBucketEncryption({ Bucket });
    return aws.s3.getBucketEncryption({ Bucket });
  },

  'localstack/s3.get_bucket_policy/test_get_bucket_policy#get-bucket-policy-no-such-bucket-policy': async (
    aws,
  ) => aws.s3.getBucketPolicy({ Bucket: await bucket(aws) }),
  'localstack/s3.get_bucket_policy/test_get_bucket_policy#get-bucket-policy': async (aws) => {
    const Bucket = await openBucket(aws);
    await putPolicy(aws, Bucket);
    return aws.s3.getBucketPolicy({ Bucket });
  },
  'localstack/s3.get_bucket_policy/test_get_bucket_policy#get-bucket-policy-with-expected-bucket-owner-error':
    async (aws) => getPolicyOf(aws, '000000000002'),
  'localstack/s3.get_bucket_policy/test_get_bucket_policy_invalid_account_id[0000000000020]#get-bucket-policy-invalid-bucket-owner':
    (aws) => getPolicyOf(aws, '0000000000020'),
  [`${PUT_POLICY}test_put_bucket_policy#put-bucket-policy`]: async (aws) =>
    putPolicy(aws, await openBucket(aws)),
  [`${PUT_POLICY}test_put_bucket_policy_expected_bucket_owner#put-bucket-policy-with-expected-bucket-owner-error`]:
    (aws) => putPolicyOf(aws, FOREIGN_ACCOUNT),
  [`${PUT_POLICY}test_put_bucket_policy_expected_bucket_owner#put-bucket-policy-with-expected-bucket-owner`]:
    (aws) => putPolicyOf(aws, aws.account),
  [`${PUT_POLICY}test_put_bucket_policy_invalid_account_id[0000]#put-bucket-policy-invalid-bucket-owner`]: (
    aws,
  ) => putPolicyOf(aws, '0000'),
  [`${PUT_POLICY}test_put_bucket_policy_invalid_account_id[0000000000020]#put-bucket-policy-invalid-bucket-owner`]:
    (aws) => putPolicyOf(aws, '0000000000020'),
  [`${PUT_POLICY}test_put_bucket_policy_invalid_account_id[abcd]#put-bucket-policy-invalid-bucket-owner`]: (
    aws,
  ) => putPolicyOf(aws, 'abcd'),
  [`${PUT_POLICY}test_bucket_policy_exc#put-empty-bucket-policy`]: async (aws) =>
    aws.call('s3', 'PutBucketPolicy', { Bucket: await bucket(aws), Policy: '{}' }, { body: '' }),
  [`${PUT_POLICY}test_bucket_policy_exc#put-bucket-policy-empty-json`]: async (aws) =>
    aws.s3.putBucketPolicy({ Bucket: await bucket(aws), Policy: '{}' }),
  'localstack/s3.delete_bucket_policy/test_delete_bucket_policy_expected_bucket_owner#delete-bucket-policy-with-expected-bucket-owner-error':
    (aws) => deletePolicyOf(aws, FOREIGN_ACCOUNT),
  'localstack/s3.delete_bucket_policy/test_delete_bucket_policy_expected_bucket_owner#delete-bucket-policy-invalid-bucket-owner':
    (aws) => deletePolicyOf(aws, 'invalid'),
  'localstack/s3.delete_bucket_policy/test_delete_bucket_policy_expected_bucket_owner#delete-bucket-policy-with-expected-bucket-owner':
    (aws) => deletePolicyOf(aws, aws.account),

  'localstack/s3.get_bucket_tagging/test_bucket_tagging_crud#get-bucket-tags-empty': async (aws) =>
    aws.s3.getBucketTagging({ Bucket: await bucket(aws) }),
  'localstack/s3.get_bucket_tagging/test_bucket_tagging_crud#get-bucket-tags-overwritten': async (aws) => {
    const Bucket = await tagged(aws);
    await tag(aws, Bucket, { Key: 'tag3', Value: 'tag3' });
    return aws.s3.getBucketTagging({ Bucket });
  },
  'localstack/s3.delete_bucket_tagging/test_bucket_tagging_crud#delete-bucket-tags': async (aws) =>
    aws.s3.deleteBucketTagging({ Bucket: await tagged(aws) }),
  [`${PUT_TAGS}test_bucket_tagging_crud#put-bucket-tags`]: async (aws) =>
    tag(aws, await bucket(aws), { Key: 'tag1', Value: 'tag1' }, { Key: 'tag2', Value: '' }),
  [`${PUT_TAGS}test_bucket_tagging_crud#put-bucket-tags-overwrite`]: async (aws) =>
    tag(aws, await tagged(aws), { Key: 'tag3', Value: 'tag3' }),
  [`${PUT_TAGS}test_bucket_tagging_crud#put-bucket-tags-empty`]: async (aws) => tag(aws, await tagged(aws)),
  [`${PUT_TAGS}test_put_bucket_tagging_none_value#put-bucket-tags-origin`]: async (aws) =>
    tag(aws, await bucket(aws), { Key: 'tag1', Value: 'value1' }),
  [`${PUT_TAGS}test_tagging_validation#put-bucket-tags-duplicate-keys`]: async (aws) =>
    tag(aws, await bucket(aws), { Key: 'Key1', Value: 'Val1' }, { Key: 'Key1', Value: 'Val1' }),
  [`${PUT_TAGS}test_tagging_validation#put-bucket-tags-invalid-key`]: async (aws) =>
    tag(aws, await bucket(aws), { Key: 'Key1,Key2', Value: 'Val1' }),
  [`${PUT_TAGS}test_tagging_validation#put-bucket-tags-none-key`]: async (aws) =>
    tag(aws, await bucket(aws), { Key: undefined, Value: 'Val1' }),
  [`${PUT_TAGS}test_tagging_validation#put-bucket-tags-aws-prefixed`]: async (aws) =>
    tag(aws, await bucket(aws), { Key: 'aws:prefixed', Value: 'Val1' }),
  'moto/bucket-tags-dup': async (aws) =>
    tag(aws, await bucket(aws), { Key: 'key', Value: 'one' }, { Key: 'key', Value: 'two' }),
  'moto/bucket-tags-aws': async (aws) => tag(aws, await bucket(aws), { Key: 'aws:sometag', Value: 'value' }),
  'moto/bucket-tags-aws-inside': async (aws) =>
    tag(aws, await bucket(aws), { Key: 'something:aws:stuff', Value: 'value' }),

  'localstack/s3.get_bucket_ownership_controls/test_crud_bucket_ownership_controls#default-ownership': async (
    aws,
  ) => aws.s3.getBucketOwnershipControls({ Bucket: await bucket(aws) }),
  'localstack/s3.put_bucket_ownership_controls/test_crud_bucket_ownership_controls#put-ownership': async (
    aws,
  ) => own(aws, await bucket(aws), 'ObjectWriter'),
  'localstack/s3.get_bucket_ownership_controls/test_crud_bucket_ownership_controls#get-ownership': async (
    aws,
  ) => {
    const Bucket = await bucket(aws);
    await own(aws, Bucket, 'ObjectWriter');
    return aws.s3.getBucketOwnershipControls({ Bucket });
  },
  'localstack/s3.delete_bucket_ownership_controls/test_crud_bucket_ownership_controls#delete-ownership':
    async (aws) => aws.s3.deleteBucketOwnershipControls({ Bucket: await bucket(aws) }),
  'localstack/s3.get_bucket_ownership_controls/test_crud_bucket_ownership_controls#get-ownership-at-creation':
    async (aws) => {
      const Bucket = unique('bucket');
      await aws.s3.createBucket({ Bucket, ObjectOwnership: 'BucketOwnerPreferred' });
      return aws.s3.getBucketOwnershipControls({ Bucket });
    },
  'localstack/s3.put_bucket_ownership_controls/test_bucket_ownership_controls_exc#put-ownership-multiple-rules':
    async (aws) => own(aws, await bucket(aws), 'BucketOwnerPreferred', 'ObjectWriter'),
  'localstack/s3.put_bucket_ownership_controls/test_bucket_ownership_controls_exc#put-ownership-empty-rule':
    async (aws) => own(aws, await bucket(aws)),
  // A bucket from before April 2023 has no ownership controls, as after a delete.
  'c7n/test_s3_ownership_defined/s3.GetBucketOwnershipControls_1': async (aws) => {
    const Bucket = await bucket(aws.as(RECORDED), 'c7ntest-20211227212502652800000001');
    await aws.as(RECORDED).s3.deleteBucketOwnershipControls({ Bucket });
    return aws.as(RECORDED).s3.getBucketOwnershipControls({ Bucket });
  },

  'localstack/s3.put_public_access_block/test_crud_public_access_block#put-public-access-block': async (
    aws,
  ) =>
    aws.s3.putPublicAccessBlock({
      Bucket: await bucket(aws),
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: false,
        IgnorePublicAcls: false,
        BlockPublicPolicy: false,
      },
    }),
  'localstack/s3.delete_public_access_block/test_crud_public_access_block#delete-public-access-block': async (
    aws,
  ) => aws.s3.deletePublicAccessBlock({ Bucket: await bucket(aws) }),
  'localstack/s3.get_public_access_block/test_crud_public_access_block#get-public-access-block-after-delete':
    async (aws) => {
      const Bucket = await openBucket(aws);
      return aws.s3.getPublicAccessBlock({ Bucket });
    },
  'c7n/test_s3_check_public_block/s3.GetPublicAccessBlock_1': async (aws) => {
    const Bucket = await openBucket(aws.as(RECORDED), `${RECORDED}-us-east-1-s3-logs`);
    return aws.as(RECORDED).s3.getPublicAccessBlock({ Bucket });
  },
};

/** The account of these recordings, and one of its keys. */
const RECORDED = '644160558196';
const KEY = 'e1d7c355-8b0d-4adf-8a26-f9e88d17b5a6';

function kms(KMSMasterKeyID?: string, BucketKeyEnabled?: boolean): ServerSideEncryptionRule {
  return {
    ApplyServerSideEncryptionByDefault: {
      SSEAlgorithm: 'aws:kms',
      ...(KMSMasterKeyID === undefined ? {} : { KMSMasterKeyID }),
    },
    ...(BucketKeyEnabled === undefined ? {} : { BucketKeyEnabled }),
  };
}

function encrypt(aws: Aws, Bucket: string, Rules: ServerSideEncryptionRule[]) {
  return aws.s3.putBucketEncryption({ Bucket, ServerSideEncryptionConfiguration: { Rules } });
}

async function encryption(aws: Aws, rule: ServerSideEncryptionRule) {
  const Bucket = await bucket(aws);
  await encrypt(aws, Bucket, [rule]);
  return aws.s3.getBucketEncryption({ Bucket });
}

/** Creates a bucket without a public access block, which accepts a public policy. */
async function openBucket(aws: Aws, name?: string): Promise<string> {
  const Bucket = await bucket(aws, name);
  await aws.s3.deletePublicAccessBlock({ Bucket });
  return Bucket;
}

function publicPolicy(Bucket: string): string {
  return policy({
    Effect: 'Allow',
    Principal: { AWS: '*' },
    Action: 's3:GetObject',
    Resource: `arn:aws:s3:::${Bucket}/*`,
  });
}

function putPolicy(aws: Aws, Bucket: string, overrides: object = {}) {
  return aws.s3.putBucketPolicy({ Bucket, Policy: publicPolicy(Bucket), ...overrides });
}

async function putPolicyOf(aws: Aws, ExpectedBucketOwner: string) {
  return putPolicy(aws, await openBucket(aws), { ExpectedBucketOwner });
}

async function getPolicyOf(aws: Aws, ExpectedBucketOwner: string) {
  const Bucket = await openBucket(aws);
  await putPolicy(aws, Bucket);
  return aws.s3.getBucketPolicy({ Bucket, ExpectedBucketOwner });
}

async function deletePolicyOf(aws: Aws, ExpectedBucketOwner: string) {
  const Bucket = await openBucket(aws);
  await putPolicy(aws, Bucket);
  return aws.s3.deleteBucketPolicy({ Bucket, ExpectedBucketOwner });
}

function tag(aws: Aws, Bucket: string, ...tags: { Key: string | undefined; Value: string }[]) {
  return aws.s3.putBucketTagging({ Bucket, Tagging: { TagSet: tags as Tag[] } });
}

async function tagged(aws: Aws): Promise<string> {
  const Bucket = await bucket(aws);
  await tag(aws, Bucket, { Key: 'tag1', Value: 'tag1' }, { Key: 'tag2', Value: '' });
  return Bucket;
}

function own(aws: Aws, Bucket: string, ...ownerships: string[]) {
  const Rules = ownerships.map((ObjectOwnership) => ({ ObjectOwnership })) as OwnershipControls['Rules'];
  return aws.s3.putBucketOwnershipControls({ Bucket, OwnershipControls: { Rules } });
}
