import { expect, test } from 'vitest';
import { testEnv } from '../support/env.ts';
import { createRawClient, elementsOf } from './raw-request.ts';
import { changeRules, put, REPLICA, SOURCE, versionOf } from './support.ts';

const classOf = (storageClass: string) => ({ 'x-amz-storage-class': storageClass });

/** Returns an environment with an applied pair, and a function that sends requests to it. */
async function replicatingEnv() {
  const env = await testEnv();
  await env.reconcile();
  return { env, send: createRawClient(env.sandbox.endpoint, { account: '111122223333' }) };
}

// Recorded: localstack test_s3.py::TestS3::test_put_object_storage_class.
test('storage class: an unknown class is rejected with InvalidStorageClass', async () => {
  const { env, send } = await replicatingEnv();
  await using _ = env;
  const copy = { 'x-amz-copy-source': `/${SOURCE}/key` };
  await send('PUT', `/${SOURCE}/key`, { body: 'text' });
  for (const storageClass of ['WARM', 'OUTPOSTS', 'EXPRESS_ONEZONE', 'standard']) {
    for (const [method, path, headers] of [
      ['PUT', 'key', {}],
      ['PUT', 'copy', copy],
      ['POST', 'key?uploads', {}],
    ] as const) {
      const { status, text } = await send(method, `/${SOURCE}/${path}`, {
        headers: { ...headers, ...classOf(storageClass) },
      });
      expect([status, ...elementsOf(text, 'Code')]).toEqual([400, 'InvalidStorageClass']);
      expect(elementsOf(text, 'Message')).toEqual(['The storage class you specified is not valid']);
      expect(elementsOf(text, 'StorageClassRequested')).toEqual([storageClass]);
    }
  }
});

// S3 API Reference, GetObject and HeadObject: "Amazon S3 returns this header for all objects except for S3 Standard".
test('storage class: GET and HEAD return it, except for STANDARD', async () => {
  const { env, send } = await replicatingEnv();
  await using _ = env;
  for (const storageClass of ['STANDARD', 'STANDARD_IA', 'GLACIER_IR']) {
    await send('PUT', `/${SOURCE}/key`, { headers: classOf(storageClass), body: 'text' });
    const expected = storageClass === 'STANDARD' ? undefined : storageClass;
    for (const method of ['GET', 'HEAD']) {
      const { status, headers } = await send(method, `/${SOURCE}/key`);
      expect([status, headers['x-amz-storage-class']]).toEqual([200, expected]);
    }
    const { text } = await send('GET', `/${SOURCE}?list-type=2&prefix=key`);
    expect(elementsOf(text, 'StorageClass')).toEqual([storageClass]);
  }
});

// localstack services/s3/provider.py, compared with S3 in test_s3.py::TestS3::test_s3_object_in_glacier.
test('storage class: an archived object cannot be read or copied, and is not replicated', async () => {
  const { env, send } = await replicatingEnv();
  await using _ = env;
  for (const storageClass of ['GLACIER', 'DEEP_ARCHIVE']) {
    const version = await put(env, { StorageClass: storageClass as 'GLACIER' });
    // S3 User Guide, "What isn't replicated with replication configurations".
    expect(version?.replication).toBeUndefined();
    const read = await send('GET', `/${SOURCE}/Tax/2026.pdf`);
    expect([read.status, ...elementsOf(read.text, 'Code')]).toEqual([403, 'InvalidObjectState']);
    expect(elementsOf(read.text, 'StorageClass')).toEqual([storageClass]);
    const copy = await send('PUT', `/${SOURCE}/copy`, {
      headers: { 'x-amz-copy-source': `/${SOURCE}/Tax/2026.pdf` },
    });
    expect([copy.status, ...elementsOf(copy.text, 'Code')]).toEqual([403, 'InvalidObjectState']);
    const { status, headers } = await send('HEAD', `/${SOURCE}/Tax/2026.pdf`);
    expect([status, headers['x-amz-storage-class']]).toEqual([200, storageClass]);
  }
});

// S3 API Reference, Destination, StorageClass: by default S3 uses the class of the source object.
test('replication: the storage class of the rule overrides that of the object', async () => {
  const { env } = await replicatingEnv();
  await using _ = env;
  const replicaClass = () => versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')?.storageClass;
  await put(env, { StorageClass: 'STANDARD_IA' });
  expect(replicaClass()).toBe('STANDARD_IA');
  const setClass = (StorageClass: 'GLACIER' | 'WARM') =>
    changeRules(env.client, (rules) =>
      rules.map((rule) => ({
        ...rule,
        Destination: {
          ...rule.Destination,
          Bucket: rule.Destination?.Bucket,
          StorageClass: StorageClass as 'GLACIER',
        },
      })),
    );
  await setClass('GLACIER');
  await put(env, { StorageClass: 'STANDARD_IA' });
  expect(replicaClass()).toBe('GLACIER');
  await expect(setClass('WARM')).rejects.toMatchObject({ name: 'MalformedXML' });
});
