import type { Aws } from '../aws.ts';
import { bucket, putObject, type Scenarios, versioned, versioning } from '../support.ts';

const PUT = 'localstack/s3.put_object/';
const GET = 'localstack/s3.get_object/';
const DELETE = 'localstack/s3.delete_object/';
const VERSIONED = 'test_s3_put_object_versioned#';
const DELETING = 'test_delete_object_versioned#';
const IF_NONE_MATCH = 'test_put_object_if_none_match_versioned_bucket#';
const EMPTY_ETAG = 'd41d8cd98f00b204e9800998ecf8427e';

export const s3Objects: Scenarios = {
  [`${PUT}${VERSIONED}put-pre-versioned`]: async (aws) => put(aws, await bucket(aws), 'non-versioned-key'),
  [`${GET}${VERSIONED}get-pre-versioned`]: async (aws) => {
    const Bucket = await bucket(aws);
    await put(aws, Bucket, 'non-versioned-key');
    return get(aws, Bucket);
  },
  [`${PUT}${VERSIONED}put-obj-versioned-1`]: async (aws) => put(aws, await versioned(aws), 'versioned-key'),
  [`${GET}${VERSIONED}get-obj-versioned`]: async (aws) => {
    const Bucket = await versioned(aws);
    await put(aws, Bucket, 'versioned-key');
    await put(aws, Bucket, 'versioned-key-updated');
    return get(aws, Bucket);
  },
  [`${PUT}${VERSIONED}put-non-versioned-post-disable`]: async (aws) =>
    put(aws, await suspended(aws), 'non-versioned-key-post'),
  [`${GET}${VERSIONED}get-non-versioned-post-disable`]: async (aws) => {
    const Bucket = await suspended(aws);
    await put(aws, Bucket, 'non-versioned-key-post');
    return get(aws, Bucket);
  },

  [`${PUT}${DELETING}put-object`]: async (aws) => put(aws, await versioned(aws), 'test-delete'),
  [`${GET}${DELETING}get-object-with-version`]: async (aws) => {
    const { Bucket, VersionId } = await deleted(aws);
    return get(aws, Bucket, { VersionId });
  },
  [`${GET}${DELETING}get-delete-marker`]: async (aws) => {
    const { Bucket, Marker } = await deleted(aws);
    return get(aws, Bucket, { VersionId: Marker });
  },
  [`${GET}${DELETING}get-deleted-object-with-version`]: async (aws) => {
    const { Bucket, VersionId } = await deleted(aws, 'test-delete');
    await remove(aws, Bucket, { Key: 'test-delete', VersionId });
    return get(aws, Bucket, { Key: 'test-delete', VersionId });
  },
  [`${DELETE}${DELETING}delete-object-2`]: async (aws) => {
    const { Bucket } = await deleted(aws);
    return remove(aws, Bucket);
  },
  [`${DELETE}${DELETING}delete-delete-marker`]: async (aws) => {
    const { Bucket, Marker } = await deleted(aws);
    return remove(aws, Bucket, { VersionId: Marker });
  },
  [`${DELETE}${DELETING}delete-object-version`]: async (aws) => {
    const { Bucket, VersionId } = await deleted(aws);
    return remove(aws, Bucket, { VersionId });
  },
  [`${DELETE}${DELETING}delete-with-bad-version`]: async (aws) => {
    const { Bucket, VersionId } = await deleted(aws);
    return remove(aws, Bucket, { VersionId: `${VersionId.slice(0, -4)}ABCD` });
  },
  'moto/head-delete-marker-version': async (aws) => {
    const { Bucket, Marker } = await deleted(aws);
    return aws.s3.headObject({ Bucket, Key: KEY, VersionId: Marker });
  },
  'moto/head-delete-marker-latest': async (aws) => {
    const { Bucket } = await deleted(aws);
    return aws.s3.headObject({ Bucket, Key: KEY });
  },

  [`${PUT}test_put_object_if_none_match#put-obj-if-none-match`]: async (aws) =>
    put(aws, await bucketWithObject(aws, 'test'), '', { IfNoneMatch: '*' }),
  [`${PUT}${IF_NONE_MATCH}put-obj`]: async (aws) => put(aws, await versioned(aws), '', { IfNoneMatch: '*' }),
  [`${DELETE}${IF_NONE_MATCH}del-obj`]: async (aws) => {
    const Bucket = await versioned(aws);
    await put(aws, Bucket, '', { IfNoneMatch: '*' });
    return remove(aws, Bucket);
  },
  [`${PUT}${IF_NONE_MATCH}put-obj-after-del`]: async (aws) => {
    const { Bucket } = await deleted(aws);
    return put(aws, Bucket, '', { IfNoneMatch: '*' });
  },
  [`localstack/s3.list_object_versions/${IF_NONE_MATCH}list-object-versions`]: async (aws) => {
    const Bucket = await versioned(aws);
    const Key = 'test-precondition';
    await put(aws, Bucket, '', { Key, IfNoneMatch: '*' });
    await remove(aws, Bucket, { Key });
    await put(aws, Bucket, '', { Key, IfNoneMatch: '*' });
    return aws.s3.listObjectVersions({ Bucket, EncodingType: 'url' });
  },
  [`${PUT}test_put_object_if_match#put-obj`]: async (aws) => put(aws, await bucket(aws), 'test'),
  [`${PUT}test_put_object_if_match#put-obj-if-match-wrong-etag`]: async (aws) =>
    put(aws, await bucketWithObject(aws, 'test'), '', { IfMatch: EMPTY_ETAG }),
  [`${PUT}test_put_object_if_match#put-obj-overwrite`]: async (aws) => {
    const Bucket = await bucket(aws);
    const { ETag } = await put(aws, Bucket, 'test');
    return put(aws, Bucket, '', { IfMatch: ETag });
  },
  [`${PUT}test_put_object_if_match_validation#put-obj-if-match-bad-value-2`]: async (aws) =>
    put(aws, await bucket(aws), '', { Key: 'test-precondition-validation', IfMatch: 'bad-char_/' }),
  [`${PUT}test_put_object_if_match_versioned_bucket#put-obj-if-none-match-bad-value`]: async (aws) => {
    const Bucket = await versioned(aws);
    await put(aws, Bucket, 'test');
    return put(aws, Bucket, '', { IfMatch: 'abcdef' });
  },
  [`${PUT}test_put_object_if_match_versioned_bucket#put-obj-after-del-exc`]: async (aws) => {
    const Bucket = await versioned(aws);
    const Key = 'test-precondition';
    const { ETag } = await put(aws, Bucket, '', { Key });
    await remove(aws, Bucket, { Key });
    return put(aws, Bucket, '', { Key, IfMatch: ETag });
  },
  [`${PUT}test_put_object_if_match_versioned_bucket#put-obj-if-match`]: async (aws) => {
    const Bucket = await versioned(aws);
    await put(aws, Bucket, 'first');
    const { ETag } = await put(aws, Bucket, 'second');
    return put(aws, Bucket, 'test-if-match', { IfMatch: ETag });
  },
  [`${PUT}test_put_object_if_match_and_if_none_match_validation#put-obj-both-precondition`]: async (aws) =>
    put(aws, await bucket(aws), '', { IfNoneMatch: '*', IfMatch: 'abcdef' }),
  'moto/put-if-none-match-star': [
    async (aws) => put(aws, await bucketWithObject(aws, 'test'), '', { IfNoneMatch: '*' }),
    async (aws) => {
      const Bucket = await versioned(aws);
      await put(aws, Bucket, 'test');
      return put(aws, Bucket, '', { IfNoneMatch: '*' });
    },
  ],
  'moto/put-if-match-wrong': async (aws) =>
    put(aws, await bucketWithObject(aws, 'test'), '', { IfMatch: `"${EMPTY_ETAG}"` }),
  'moto/put-if-match-unquoted': ['', '"'].map((quote) => async (aws: Aws) => {
    const Bucket = await bucket(aws);
    const { ETag = '' } = await put(aws, Bucket, 'test');
    return put(aws, Bucket, 'again', { IfMatch: `${quote}${ETag.replaceAll('"', '')}` });
  }),
  'moto/put-if-match-absent': async (aws) => put(aws, await bucket(aws), '', { IfMatch: EMPTY_ETAG }),
  'moto/delete-if-match-wrong': async (aws) =>
    remove(aws, await bucketWithObject(aws, 'test'), { IfMatch: `"${EMPTY_ETAG}"` }),
};

const KEY = 'test-key';

function put(aws: Aws, Bucket: string, Body: string, overrides: object = {}) {
  return putObject(aws, { Bucket, Key: KEY, Body, ...overrides });
}

function get(aws: Aws, Bucket: string, overrides: object = {}) {
  return aws.s3.getObject({ Bucket, Key: KEY, ...overrides });
}

function remove(aws: Aws, Bucket: string, overrides: object = {}) {
  return aws.s3.deleteObject({ Bucket, Key: KEY, ...overrides });
}

async function bucketWithObject(aws: Aws, body: string): Promise<string> {
  const Bucket = await bucket(aws);
  await put(aws, Bucket, body);
  return Bucket;
}

async function suspended(aws: Aws): Promise<string> {
  const Bucket = await versioned(aws);
  await versioning(aws, Bucket, 'Suspended');
  return Bucket;
}

/** Creates a versioned bucket with a version and a delete marker. */
async function deleted(aws: Aws, Key = KEY) {
  const Bucket = await versioned(aws);
  const { VersionId = '' } = await put(aws, Bucket, 'test-delete', { Key });
  const { VersionId: Marker = '' } = await remove(aws, Bucket, { Key });
  return { Bucket, VersionId, Marker };
}
