import type { Tag } from '@aws-sdk/client-s3';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { malformedXmlError } from '../protocol/rest-xml.ts';
import type { BucketState, VersionState } from '../state.ts';
import {
  type BucketInput,
  checkBucketAccess,
  getAuthorizedBucket,
  getBucket,
  requireObjectOwner,
} from './access.ts';
import { checkTagSet } from './bucket-settings.ts';
import { canonicalUserIdOf } from './buckets.ts';
import { decryptObject, toEncryptionOutput } from './encryption.ts';
import { checksumsOf, storeObject } from './store-object.ts';
import {
  addVersion,
  checkReadConditions,
  checkWriteConditions,
  findVersion,
  getReadableVersion,
  latestVersionOf,
  nextVersionId,
  type ReadConditions,
  removeVersion,
} from './versions.ts';

export const objectHandlers: Handlers = {
  PutObject(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    if (input.Tagging)
      getAuthorizedBucket(
        call,
        input,
        input.VersionId ? 's3:PutObjectVersionTagging' : 's3:PutObjectTagging',
        input.Key,
      );
    checkWriteConditions(bucket, input);
    const body: Buffer = Buffer.isBuffer(input.Body) ? input.Body : Buffer.from(input.Body ?? '');
    return storeObject(call, bucket, input.Key, body, input, { checksums: checksumsOf(body, call.headers) });
  },

  GetObject(call, input) {
    const { bucket, version } = readVersion(call, input, false);
    const body = decryptObject(call.store, call.keyService, bucket, version, call.caller.arn);
    const range = parseRange(input.Range, body.length);
    const output = {
      ...toObjectOutput(bucket, version, input.ChecksumMode === 'ENABLED' || range === undefined),
      ...responseOverridesOf(input),
    };
    if (!range) return { ...output, Body: body, ContentLength: body.length, ...toTagCountOutput(version) };
    return {
      ...output,
      ...toTagCountOutput(version),
      Body: body.subarray(range.start, range.end + 1),
      ContentLength: range.end - range.start + 1,
      ContentRange: `bytes ${range.start}-${range.end}/${body.length}`,
    };
  },

  HeadObject(call, input) {
    const { bucket, version } = readVersion(call, input, true);
    return {
      ...toObjectOutput(bucket, version, input.ChecksumMode === 'ENABLED'),
      ContentLength: version.size,
      // S3 counts the tags also in a response to HEAD (S3 API Reference, "HeadObject", x-amz-tagging-count).
      ...toTagCountOutput(version),
    };
  },

  GetObjectAttributes(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:GetObjectAttributes', input.Key);
    const version = getReadableVersion(bucket, input.Key, input.VersionId, false);
    return {
      LastModified: new Date(version.modified),
      ...(bucket.versioning ? { VersionId: version.versionId } : {}),
      ETag: version.etag.replaceAll('"', ''),
      ObjectSize: version.size,
      StorageClass: version.storageClass ?? 'STANDARD',
    };
  },

  DeleteObject(call, input) {
    const bucket = getAuthorizedBucket(
      call,
      input,
      input.VersionId ? 's3:DeleteObjectVersion' : 's3:DeleteObject',
      input.Key,
    );
    if (input.IfMatch !== undefined) checkWriteConditions(bucket, input);
    return deleteObject(call, bucket, input.Key, input.VersionId);
  },

  DeleteObjects(call, input) {
    const bucket = getBucket(call, input);
    const objects: { Key: string; VersionId?: string }[] = input.Delete?.Objects ?? [];
    if (objects.length === 0 || objects.length > 1000 || !objects.every(({ Key }) => Key))
      throw malformedXmlError();
    const deleted: object[] = [];
    const errors: object[] = [];
    for (const { Key, VersionId } of objects) {
      try {
        checkBucketAccess(call, bucket, VersionId ? 's3:DeleteObjectVersion' : 's3:DeleteObject', Key);
        const deletion = deleteObject(call, bucket, Key, VersionId);
        deleted.push({
          Key,
          ...(VersionId === undefined ? {} : { VersionId }),
          ...(deletion.DeleteMarker ? { DeleteMarker: true, DeleteMarkerVersionId: deletion.VersionId } : {}),
        });
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        errors.push({ Key, VersionId, Code: error.code, Message: error.message });
      }
    }
    return {
      ...(input.Delete.Quiet ? {} : { Deleted: deleted }),
      ...(errors.length > 0 ? { Errors: errors } : {}),
    };
  },

  PutObjectTagging(call, input) {
    const bucket = getAuthorizedBucket(
      call,
      input,
      input.VersionId ? 's3:PutObjectVersionTagging' : 's3:PutObjectTagging',
      input.Key,
    );
    const version = getReadableVersion(bucket, input.Key, input.VersionId, false);
    const tags: Tag[] = input.Tagging?.TagSet ?? [];
    checkTagSet(tags, 10);
    version.tags = new Map(tags.map(({ Key = '', Value = '' }) => [Key, Value]));
    return saveTags(call, bucket, version);
  },

  GetObjectTagging(call, input) {
    const bucket = getAuthorizedBucket(
      call,
      input,
      input.VersionId ? 's3:GetObjectVersionTagging' : 's3:GetObjectTagging',
      input.Key,
    );
    const version = getReadableVersion(bucket, input.Key, input.VersionId, false);
    return {
      TagSet: [...version.tags].map(([Key, Value]) => ({ Key, Value })),
      ...toVersionIdOutput(bucket, version),
    };
  },

  DeleteObjectTagging(call, input) {
    const bucket = getAuthorizedBucket(
      call,
      input,
      input.VersionId ? 's3:DeleteObjectVersionTagging' : 's3:DeleteObjectTagging',
      input.Key,
    );
    const version = getReadableVersion(bucket, input.Key, input.VersionId, false);
    version.tags = new Map();
    return saveTags(call, bucket, version);
  },

  GetObjectAcl(call, input) {
    const bucket = getAuthorizedBucket(
      call,
      input,
      input.VersionId ? 's3:GetObjectVersionAcl' : 's3:GetObjectAcl',
      input.Key,
    );
    const version = getReadableVersion(bucket, input.Key, input.VersionId, false);
    requireObjectOwner(call, version);
    const owner = { ID: canonicalUserIdOf(version.owner ?? bucket.owner) };
    return {
      Owner: owner,
      Grants: [{ Grantee: { Type: 'CanonicalUser', ...owner }, Permission: 'FULL_CONTROL' }],
    };
  },
};

/** Returns the version for a GET or HEAD request, after checks of access, ownership and the read conditions. */
function readVersion(
  call: Call,
  input: BucketInput & ReadConditions & { Key: string; VersionId?: string },
  isHead: boolean,
) {
  const { Key, VersionId } = input;
  const bucket = getAuthorizedBucket(call, input, VersionId ? 's3:GetObjectVersion' : 's3:GetObject', Key);
  const version = getReadableVersion(bucket, Key, VersionId, isHead);
  requireObjectOwner(call, version);
  checkReadConditions(version, input);
  return { bucket, version };
}

/** Marks a version with changed tags for saving, and schedules the replication of the tags. */
function saveTags(call: Call, bucket: BucketState, version: VersionState) {
  call.store.markObjectChanged(bucket, version.key);
  call.replicator.enqueueTagChange(bucket, version);
  return toVersionIdOutput(bucket, version);
}

function toObjectOutput(bucket: BucketState, version: VersionState, withChecksums: boolean) {
  return {
    AcceptRanges: 'bytes',
    LastModified: new Date(version.modified),
    ETag: version.etag,
    ...(withChecksums ? version.checksums : {}),
    ...(withChecksums && Object.keys(version.checksums).length > 0 ? { ChecksumType: 'FULL_OBJECT' } : {}),
    ContentType: version.contentType,
    ...version.headers,
    Metadata: version.metadata,
    ...(version.storageClass === undefined || version.storageClass === 'STANDARD'
      ? {}
      : { StorageClass: version.storageClass }),
    ...toEncryptionOutput(version),
    ...(version.replication === undefined ? {} : { ReplicationStatus: version.replication.status }),
    ...toVersionIdOutput(bucket, version),
  };
}

const toVersionIdOutput = (bucket: BucketState, version: VersionState) =>
  bucket.versioning ? { VersionId: version.versionId } : {};

const toTagCountOutput = (version: VersionState) =>
  version.tags.size > 0 ? { TagCount: version.tags.size } : {};

function responseOverridesOf(input: Record<string, string | undefined>) {
  const memberNames = [
    'ContentType',
    'ContentDisposition',
    'CacheControl',
    'ContentEncoding',
    'ContentLanguage',
  ];
  return Object.fromEntries(
    memberNames.flatMap((name) =>
      input[`Response${name}`] === undefined ? [] : [[name, input[`Response${name}`]]],
    ),
  );
}

function deleteObject(
  call: Call,
  bucket: BucketState,
  key: string,
  versionId: string | undefined,
): { VersionId?: string; DeleteMarker?: boolean } {
  if (versionId !== undefined) {
    const version = findVersion(bucket, key, versionId);
    if (version) removeVersion(call.store, bucket, version);
    return { VersionId: versionId, ...(version?.deleteMarker ? { DeleteMarker: true } : {}) };
  }
  if (!bucket.versioning) {
    const version = latestVersionOf(bucket, key);
    if (version) removeVersion(call.store, bucket, version);
    return {};
  }
  const deleteMarker: VersionState = {
    key,
    versionId: nextVersionId(bucket),
    deleteMarker: true,
    modified: call.now,
    size: 0,
    etag: '',
    headers: {},
    metadata: {},
    tags: new Map(),
    encryption: { algorithm: 'AES256', bucketKey: false, wrapped: '', context: {}, iv: '', tag: '' },
    checksums: {},
  };
  addVersion(call.store, bucket, deleteMarker);
  call.replicator.enqueue(bucket, deleteMarker);
  return { DeleteMarker: true, VersionId: deleteMarker.versionId };
}

function parseRange(range: string | undefined, size: number): { start: number; end: number } | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? [];
  if (range === undefined || (first === '' && last === '')) return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (start < size && start <= end) return { start, end };
  throw new AwsError(416, 'InvalidRange', 'The requested range is not satisfiable', {
    RangeRequested: range,
    ActualObjectSize: String(size),
  });
}
