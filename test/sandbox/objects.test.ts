import { DisableKeyCommand, EnableKeyCommand } from '@aws-sdk/client-kms';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { testEnv } from '../support/env.ts';
import { clientOf, EAST, keyOf, put, SOURCE } from './support.ts';

const Bucket = 'acme-tax';
let sandbox: Sandbox;
let client: AwsClient;
beforeEach(async () => {
  sandbox = await startSandbox();
  client = clientOf(sandbox, '111122223333', 0);
  await client.send(EAST, new CreateBucketCommand({ Bucket }));
});
afterEach(() => sandbox.close());

const write = (Key: string, Body: string | Uint8Array = Key, overrides: object = {}) =>
  client.send(EAST, new PutObjectCommand({ Bucket, Key, Body, ...overrides }));
const read = async (Key: string, VersionId?: string) => {
  const { Body } = await client.send(
    EAST,
    new GetObjectCommand({ Bucket, Key, ...(VersionId ? { VersionId } : {}) }),
  );
  return Body?.transformToString();
};
const versioned = () =>
  client.send(
    EAST,
    new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
  );

describe('objects', () => {
  test('a get returns the bytes of the put, for any key', async () => {
    // S3 accepts any key that is valid Unicode. Clients normalise segments of one or two dots.
    const key = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
      .filter((text) => !/(^|\/)\.{1,2}(\/|$)/.test(text) && !text.startsWith('/'));
    await fc.assert(
      fc.asyncProperty(key, fc.uint8Array({ maxLength: 200 }), async (name, bytes) => {
        await write(name, bytes);
        const { Body } = await client.send(EAST, new GetObjectCommand({ Bucket, Key: name }));
        expect(await Body?.transformToByteArray()).toEqual(bytes);
      }),
      { numRuns: 60 },
    );
  });

  test('listings are paged, in byte order, with common prefixes', async () => {
    const keys = ['a/1', 'a/2', 'b', 'c/ü', 'c/日本', 'd&<>', 'Z', 'é'];
    await Promise.all(keys.map((key) => write(key)));
    const listedKeys: string[] = [];
    const folders: string[] = [];
    let token: string | undefined;
    do {
      const page = await client.send(
        EAST,
        new ListObjectsV2Command({
          Bucket,
          MaxKeys: 2,
          Delimiter: '/',
          ...(token ? { ContinuationToken: token } : {}),
        }),
      );
      expect((page.Contents?.length ?? 0) + (page.CommonPrefixes?.length ?? 0)).toBeLessThanOrEqual(2);
      listedKeys.push(...(page.Contents ?? []).map(({ Key = '' }) => Key));
      folders.push(...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix));
      token = page.NextContinuationToken;
    } while (token);
    expect(listedKeys).toEqual(['Z', 'b', 'd&<>', 'é']);
    expect(folders).toEqual(['a/', 'c/']);
  });

  test('a delete adds a delete marker, and deleting a version removes it', async () => {
    await versioned();
    const first = await write('k', 'one');
    const second = await write('k', 'two');
    const marker = await client.send(EAST, new DeleteObjectCommand({ Bucket, Key: 'k' }));
    expect(marker.DeleteMarker).toBe(true);
    await expect(read('k')).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect(await read('k', first.VersionId)).toBe('one');
    await client.send(EAST, new DeleteObjectCommand({ Bucket, Key: 'k', VersionId: marker.VersionId }));
    expect(await read('k')).toBe('two');
    await client.send(EAST, new DeleteObjectCommand({ Bucket, Key: 'k', VersionId: second.VersionId }));
    expect(await read('k')).toBe('one');
    const { Versions, DeleteMarkers } = await client.send(EAST, new ListObjectVersionsCommand({ Bucket }));
    expect(Versions?.map(({ VersionId, IsLatest }) => [VersionId, IsLatest])).toEqual([
      [first.VersionId, true],
    ]);
    expect(DeleteMarkers ?? []).toEqual([]);
  });

  test('If-None-Match and If-Match: a put fails if the object exists or changed', async () => {
    const { ETag } = await write('k', 'one', { IfNoneMatch: '*' });
    await expect(write('k', 'two', { IfNoneMatch: '*' })).rejects.toMatchObject({
      name: 'PreconditionFailed',
    });
    await write('k', 'two', { IfMatch: ETag });
    await expect(write('k', 'three', { IfMatch: ETag })).rejects.toMatchObject({
      name: 'PreconditionFailed',
    });
    expect(await read('k')).toBe('two');
  });

  test('a multipart upload joins its parts, and has a multipart ETag', async () => {
    const { UploadId } = await client.send(EAST, new CreateMultipartUploadCommand({ Bucket, Key: 'big' }));
    const bytes = [new Uint8Array(5 * 1024 * 1024).fill(97), new Uint8Array(3).fill(98)];
    const Parts = await Promise.all(
      bytes.map(async (Body, index) => {
        const part = { Bucket, Key: 'big', UploadId, PartNumber: index + 1, Body };
        return { PartNumber: index + 1, ETag: (await client.send(EAST, new UploadPartCommand(part))).ETag };
      }),
    );
    const upload = { Bucket, Key: 'big', UploadId, MultipartUpload: { Parts } };
    const { ETag } = await client.send(EAST, new CompleteMultipartUploadCommand(upload));
    expect(ETag).toMatch(/^"[0-9a-f]{32}-2"$/);
    const text = await read('big');
    expect(text?.length).toBe(5 * 1024 * 1024 + 3);
    expect(text?.endsWith('abbb')).toBe(true);
  });

  test('a copy keeps tags, and requires read access', async () => {
    await write('k', 'one', { Tagging: 'tier=gold' });
    await client.send(EAST, new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/k` }));
    const { TagSet } = await client.send(EAST, new GetObjectTaggingCommand({ Bucket, Key: 'copy' }));
    expect(TagSet).toEqual([{ Key: 'tier', Value: 'gold' }]);
    const otherClient = clientOf(sandbox, '444455556666', 0);
    await otherClient.send(EAST, new CreateBucketCommand({ Bucket: 'foreign-bucket' }));
    await expect(
      otherClient.send(
        EAST,
        new CopyObjectCommand({ Bucket: 'foreign-bucket', Key: 'copy', CopySource: `${Bucket}/k` }),
      ),
    ).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  test('DeleteObjects: checks the policy for each key', async () => {
    await write('a');
    await write('b');
    await client.send(
      EAST,
      new PutBucketPolicyCommand({
        Bucket,
        Policy: JSON.stringify({
          Version: '2012-10-17',
          Statement: [
            {
              Effect: 'Deny',
              Principal: '*',
              Action: 's3:DeleteObject',
              Resource: `arn:aws:s3:::${Bucket}/b`,
            },
          ],
        }),
      }),
    );
    const response = await client.send(
      EAST,
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'a' }, { Key: 'b' }] } }),
    );
    expect(response.Deleted?.map(({ Key }) => Key)).toEqual(['a']);
    expect(response.Errors?.map(({ Key, Code }) => [Key, Code])).toEqual([['b', 'AccessDenied']]);
  });
});

describe('object encryption', () => {
  test('a get fails while the KMS key is disabled', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const version = await put(env);
    expect(version?.encryption.algorithm).toBe('aws:kms');
    const KeyId = await keyOf(env.client, EAST);
    const get = () => env.client.send(EAST, new GetObjectCommand({ Bucket: SOURCE, Key: 'Tax/2026.pdf' }));
    await env.client.send(EAST, new DisableKeyCommand({ KeyId }));
    await expect(get()).rejects.toMatchObject({ name: 'KMS.DisabledException' });
    await env.client.send(EAST, new EnableKeyCommand({ KeyId }));
    expect(await (await get()).Body?.transformToString()).toBe('numbers');
  });

  test('a put uses the bucket default, unless the request overrides it', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const byDefault = await put(env);
    expect(byDefault?.encryption).toMatchObject({ algorithm: 'aws:kms', bucketKey: true });
    expect(byDefault?.encryption.context).toEqual({ 'aws:s3:arn': `arn:aws:s3:::${SOURCE}` });
    const overridden = await put(env, { BucketKeyEnabled: false, ServerSideEncryption: 'aws:kms' });
    expect(overridden?.encryption.context).toEqual({ 'aws:s3:arn': `arn:aws:s3:::${SOURCE}/Tax/2026.pdf` });
    expect((await put(env, { ServerSideEncryption: 'AES256' }))?.encryption.algorithm).toBe('AES256');
  });
});
