import { S3 } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';

const Bucket = 'acme-tax';

let sandbox: Sandbox;
let s3: S3;

beforeAll(async () => {
  sandbox = await startSandbox();
  const credentials = { accessKeyId: '111122223333', secretAccessKey: 'test' };
  s3 = new S3({ endpoint: sandbox.endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
  await s3.createBucket({ Bucket });
  await s3.putBucketVersioning({ Bucket, VersioningConfiguration: { Status: 'Enabled' } });
});
afterAll(() => sandbox.close());

// Source of all: moto's tests/test_s3 (test_copy_object_in_place_*, test_put_object_with_tagging,
// test_list_object_versions_with_paging_and_delimiter), which the moto project verified against AWS.
describe('CopyObject of an object to itself', () => {
  const CopySource = `${Bucket}/k`;
  const copy = (changes: object = {}) => s3.copyObject({ Bucket, Key: 'k', CopySource, ...changes });

  test.each([
    ['nothing changes', {}],
    ['only the metadata is given, without a directive', { Metadata: { a: 'b' } }],
  ])('is refused when %s', async (_, changes) => {
    await s3.putObject({ Bucket, Key: 'k', Body: 'numbers' });
    await expect(copy(changes)).rejects.toMatchObject({
      name: 'InvalidRequest',
      message:
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    });
  });

  test('creates a version when it changes metadata, storage class or encryption, or names a version', async () => {
    const { VersionId } = await s3.putObject({ Bucket, Key: 'k', Body: 'numbers' });
    await copy({ MetadataDirective: 'REPLACE' });
    await copy({ StorageClass: 'STANDARD' });
    await copy({ ServerSideEncryption: 'AES256' });
    await copy({ CopySource: `${CopySource}?versionId=${VersionId}` });
    const { Versions = [] } = await s3.listObjectVersions({ Bucket, Prefix: 'k' });
    expect(Versions.findIndex((version) => version.VersionId === VersionId)).toBe(4);
  });
});

// LocalStack's test_s3_copy_object_in_place_with_bucket_encryption, validated against AWS.
test('CopyObject of an object to itself is accepted in a bucket whose encryption the owner set', async () => {
  await s3.createBucket({ Bucket: 'acme-encrypted' });
  await s3.putObject({ Bucket: 'acme-encrypted', Key: 'k', Body: 'numbers' });
  const copy = () => s3.copyObject({ Bucket: 'acme-encrypted', Key: 'k', CopySource: 'acme-encrypted/k' });
  await expect(copy()).rejects.toMatchObject({ name: 'InvalidRequest' });
  const Rules = [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' as const } }];
  await s3.putBucketEncryption({
    Bucket: 'acme-encrypted',
    ServerSideEncryptionConfiguration: { Rules },
  });
  expect(await copy()).toMatchObject({ ServerSideEncryption: 'AES256' });
});

test('PutObject: has a message of its own for a tag with the prefix aws:', async () => {
  await expect(s3.putObject({ Bucket, Key: 'k', Body: 'x', Tagging: 'aws:team=tax' })).rejects.toMatchObject({
    name: 'InvalidTag',
    message: 'Your TagKey cannot be prefixed with aws:',
  });
});

test('ListObjectVersions: a page that ends with a common prefix has that prefix as marker, and no version', async () => {
  for (const Key of ['a/1', 'a/2', 'b', 'c/1']) await s3.putObject({ Bucket, Key: `list/${Key}`, Body: 'x' });
  const list = (KeyMarker?: string) =>
    s3.listObjectVersions({ Bucket, Prefix: 'list/', Delimiter: '/', MaxKeys: 1, KeyMarker });
  const first = await list();
  expect([first.NextKeyMarker, first.NextVersionIdMarker]).toEqual(['list/a/', undefined]);
  const second = await list(first.NextKeyMarker);
  expect(second.Versions?.map(({ Key }) => Key)).toEqual(['list/b']);
  expect([second.NextKeyMarker, second.NextVersionIdMarker]).toEqual([
    'list/b',
    second.Versions?.[0]?.VersionId,
  ]);
});
