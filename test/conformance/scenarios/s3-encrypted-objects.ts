import type { Aws } from '../aws.ts';
import { bucket, key, putObject, type Scenarios } from '../support.ts';

const PUT = 'localstack/s3.put_object/';
const GET = 'localstack/s3.get_object/';
const HEAD = 'localstack/s3.head_object/';
const WRONG_KEY = 'test_s3_sse_validate_kms_key#';
const KEY_STATE = 'test_s3_sse_validate_kms_key_state#';
const BUCKET_KEY = 'test_s3_sse_bucket_key_default#';
const AWS_KEY = 'test_s3_sse_default_kms_key#';
const SSE_S3 = 'test_s3_bucket_encryption_sse_s3#';
const MANAGED = 'test_s3_bucket_encryption_sse_kms_aws_managed_key#';
const OWN = 'test_s3_bucket_encryption_sse_kms#';
const KMS = { ServerSideEncryption: 'aws:kms' };

export const s3EncryptedObjects: Scenarios = {
  [`${PUT}${WRONG_KEY}put-obj-different-region-kms-key`]: async (aws) =>
    put(aws, await bucket(aws), { ...KMS, SSEKMSKeyId: (await key(aws.in('us-west-2'))).Arn }),
  [`${PUT}${WRONG_KEY}put-obj-different-region-kms-key-no-arn`]: async (aws) =>
    put(aws, await bucket(aws), { ...KMS, SSEKMSKeyId: (await key(aws.in('us-west-2'))).KeyId }),
  [`localstack/s3.create_multipart_upload/${WRONG_KEY}create-multipart-wrong-kms-key`]: async (aws) =>
    aws.s3.createMultipartUpload({
      Bucket: await bucket(aws),
      Key: 'multipart-test-sse-validate-kms-key-no-check',
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'fake-key-id',
    }),
  [`localstack/s3.copy_object/${WRONG_KEY}copy-obj-wrong-kms-key`]: async (aws) => {
    const Bucket = await bucket(aws);
    await put(aws, Bucket);
    return aws.s3.copyObject({
      Bucket,
      Key: 'copy-test-sse-validate-kms-key-no-check',
      CopySource: `${Bucket}/${KEY}`,
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'fake-key-id',
    });
  },

  [`${GET}${KEY_STATE}success-get-object-sse`]: async (aws) => get(aws, (await underKey(aws)).Bucket),
  [`${GET}${KEY_STATE}get-obj-disabled-key`]: async (aws) => {
    const { Bucket, KeyId } = await underKey(aws);
    await aws.kms.disableKey({ KeyId });
    return get(aws, Bucket);
  },
  [`${PUT}${KEY_STATE}put-obj-disabled-key`]: async (aws) => {
    const { Bucket, KeyId } = await underKey(aws);
    await aws.kms.disableKey({ KeyId });
    return put(aws, Bucket, { ...KMS, SSEKMSKeyId: KeyId });
  },
  [`${GET}${KEY_STATE}get-obj-pending-deletion-key`]: async (aws) => {
    const { Bucket, KeyId } = await underKey(aws);
    await aws.kms.scheduleKeyDeletion({ KeyId });
    return get(aws, Bucket);
  },

  [`${PUT}${BUCKET_KEY}put-obj-default-before-setting`]: async (aws) => put(aws, await bucket(aws)),
  [`${PUT}${BUCKET_KEY}put-obj-after-setting`]: async (aws) =>
    put(aws, await encrypted(aws, { KMSMasterKeyID: (await key(aws)).KeyId })),
  [`${GET}${BUCKET_KEY}get-obj-after-setting`]: async (aws) =>
    putAndGet(aws, await encrypted(aws, { KMSMasterKeyID: (await key(aws)).KeyId })),

  [`${GET}${AWS_KEY}get-obj-default-kms-s3-key`]: async (aws) => putAndGet(aws, await bucket(aws), KMS),
  [`${PUT}${AWS_KEY}put-obj-default-kms-s3-key-bucket-2`]: async (aws) => put(aws, await bucket(aws), KMS),
  [`${GET}${AWS_KEY}get-obj-default-kms-s3-key-bucket-2`]: async (aws) =>
    putAndGet(aws, await bucket(aws), KMS),
  [`${PUT}${AWS_KEY}put-obj-default-kms-s3-key-from-bucket`]: async (aws) =>
    put(aws, await encrypted(aws), KMS),
  [`${GET}${AWS_KEY}get-obj-default-kms-s3-key-from-bucket`]: async (aws) =>
    putAndGet(aws, await encrypted(aws), KMS),

  [`${PUT}${SSE_S3}put-object-encrypted`]: async (aws) => put(aws, await sseS3(aws), ENCRYPTED),
  [`${HEAD}${SSE_S3}head-object-encrypted`]: async (aws) => putAndHead(aws, await sseS3(aws), ENCRYPTED),
  [`${GET}${SSE_S3}get-object-encrypted`]: async (aws) => putAndGet(aws, await sseS3(aws), ENCRYPTED),
  [`${PUT}${MANAGED}put-object-encrypted`]: async (aws) => put(aws, await encrypted(aws), ENCRYPTED),
  [`${HEAD}${MANAGED}head-object-encrypted`]: async (aws) => putAndHead(aws, await encrypted(aws), ENCRYPTED),
  [`${PUT}${OWN}put-object-encrypted`]: async (aws) =>
    put(aws, await encrypted(aws, { KMSMasterKeyID: (await key(aws)).KeyId }), ENCRYPTED),
  [`${HEAD}${OWN}head-object-encrypted`]: async (aws) =>
    putAndHead(aws, await encrypted(aws, { KMSMasterKeyID: (await key(aws)).KeyId }), ENCRYPTED),
  [`${GET}${OWN}get-object-encrypted`]: async (aws) =>
    putAndGet(aws, await encrypted(aws, { KMSMasterKeyID: (await key(aws)).KeyId }), ENCRYPTED),
  [`${PUT}${OWN}put-object-encrypted-bucket-key-disabled`]: async (aws) =>
    put(aws, await encrypted(aws, { KMSMasterKeyID: (await key(aws)).KeyId }, false), ENCRYPTED),
};

const KEY = 'test-sse';
const ENCRYPTED = { Body: 'test-encrypted' };

function put(aws: Aws, Bucket: string, overrides: object = {}) {
  return putObject(aws, { Bucket, Key: KEY, Body: 'test-sse', ...overrides });
}

function get(aws: Aws, Bucket: string) {
  return aws.s3.getObject({ Bucket, Key: KEY });
}

async function putAndGet(aws: Aws, Bucket: string, overrides: object = {}) {
  await put(aws, Bucket, overrides);
  return get(aws, Bucket);
}

async function putAndHead(aws: Aws, Bucket: string, overrides: object = {}) {
  await put(aws, Bucket, overrides);
  return aws.s3.headObject({ Bucket, Key: KEY });
}

/** Creates a bucket with SSE-KMS by default. Without a key it uses alias/aws/s3. */
async function encrypted(
  aws: Aws,
  keySetting: { KMSMasterKeyID?: string } = {},
  BucketKeyEnabled = true,
): Promise<string> {
  const Bucket = await bucket(aws);
  await aws.s3.putBucketEncryption({
    Bucket,
    ServerSideEncryptionConfiguration: {
      Rules: [
        { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', ...keySetting }, BucketKeyEnabled },
      ],
    },
  });
  return Bucket;
}

async function sseS3(aws: Aws): Promise<string> {
  const Bucket = await bucket(aws);
  await aws.s3.putBucketEncryption({
    Bucket,
    ServerSideEncryptionConfiguration: {
      Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
    },
  });
  return Bucket;
}

async function underKey(aws: Aws) {
  const Bucket = await bucket(aws);
  const { KeyId } = await key(aws);
  await put(aws, Bucket, { ...KMS, SSEKMSKeyId: KeyId });
  return { Bucket, KeyId };
}
