import type { Tag } from '@aws-sdk/client-s3';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { malformedXml } from '../protocol/rest-xml.ts';
import type { BucketState, VersionState } from '../state.ts';
import { ownerId } from './buckets.ts';
import { checksumsOf } from './checksums.ts';
import { decryptObject, encryptionHeaders } from './encryption.ts';
import { checkPreconditions, checkReadConditions } from './preconditions.ts';
import { put } from './put.ts';
import { addressed, bucketOf, checkAccess } from './requests.ts';
import { checkTagSet } from './settings.ts';
import {
  addVersion,
  checkOwner,
  findVersion,
  latest,
  readable,
  removeVersion,
  versionIdFor,
} from './versions.ts';

export const objectHandlers: Handlers = {
  PutObject(call, input) {
    const bucket = bucketOf(call, input, 's3:PutObject', input.Key);
    if (input.Tagging) bucketOf(call, input, 's3:PutObjectTagging', input.Key);
    checkPreconditions(bucket, input);
    const body: Buffer = Buffer.isBuffer(input.Body) ? input.Body : Buffer.from(input.Body ?? '');
    return put(call, bucket, input.Key, body, input, { checksums: checksumsOf(body, call.headers) });
  },

  GetObject(call, input) {
    const bucket = bucketOf(call, input, input.VersionId ? 's3:GetObjectVersion' : 's3:GetObject', input.Key);
    const version = readable(bucket, input.Key, input.VersionId, false);
    checkOwner(call, version);
    checkReadConditions(version, input);
    const body = decryptObject(call.store, call.keys, bucket, version, call.caller.arn);
    const range = rangeOf(input.Range, body.length);
    const shown = {
      ...describe(bucket, version, input.ChecksumMode === 'ENABLED' || range === undefined),
      ...overrides(input),
    };
    if (!range) return { ...shown, Body: body, ContentLength: body.length, ...tagCount(version) };
    return {
      ...shown,
      ...tagCount(version),
      Body: body.subarray(range.from, range.to + 1),
      ContentLength: range.to - range.from + 1,
      ContentRange: `bytes ${range.from}-${range.to}/${body.length}`,
    };
  },

  HeadObject(call, input) {
    const bucket = bucketOf(call, input, input.VersionId ? 's3:GetObjectVersion' : 's3:GetObject', input.Key);
    const version = readable(bucket, input.Key, input.VersionId, true);
    checkOwner(call, version);
    checkReadConditions(version, input);
    return { ...describe(bucket, version, input.ChecksumMode === 'ENABLED'), ContentLength: version.size };
  },

  GetObjectAttributes(call, input) {
    const bucket = bucketOf(call, input, 's3:GetObjectAttributes', input.Key);
    const version = readable(bucket, input.Key, input.VersionId, false);
    return {
      LastModified: new Date(version.modified),
      ...(bucket.versioning ? { VersionId: version.versionId } : {}),
      ETag: version.etag.replaceAll('"', ''),
      ObjectSize: version.size,
      StorageClass: version.storageClass ?? 'STANDARD',
    };
  },

  DeleteObject(call, input) {
    const bucket = bucketOf(
      call,
      input,
      input.VersionId ? 's3:DeleteObjectVersion' : 's3:DeleteObject',
      input.Key,
    );
    if (input.IfMatch !== undefined) checkPreconditions(bucket, input);
    return removeObject(call, bucket, input.Key, input.VersionId);
  },

  DeleteObjects(call, input) {
    const bucket = addressed(call, input);
    const objects: { Key: string; VersionId?: string }[] = input.Delete?.Objects ?? [];
    if (objects.length === 0 || objects.length > 1000 || !objects.every(({ Key }) => Key))
      throw malformedXml();
    const deleted: object[] = [];
    const errors: object[] = [];
    for (const { Key, VersionId } of objects) {
      try {
        checkAccess(call, bucket, VersionId ? 's3:DeleteObjectVersion' : 's3:DeleteObject', Key);
        const answer = removeObject(call, bucket, Key, VersionId);
        deleted.push({
          Key,
          ...(VersionId === undefined ? {} : { VersionId }),
          ...(answer.DeleteMarker ? { DeleteMarker: true, DeleteMarkerVersionId: answer.VersionId } : {}),
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
    const bucket = bucketOf(call, input, 's3:PutObjectTagging', input.Key);
    const version = readable(bucket, input.Key, input.VersionId, false);
    const tags: Tag[] = input.Tagging?.TagSet ?? [];
    checkTagSet(tags, 10);
    version.tags = new Map(tags.map(({ Key = '', Value = '' }) => [Key, Value]));
    call.store.changed(bucket);
    call.replicator.modified(bucket, version);
    return versionHeader(bucket, version);
  },

  GetObjectTagging(call, input) {
    const bucket = bucketOf(call, input, 's3:GetObjectTagging', input.Key);
    const version = readable(bucket, input.Key, input.VersionId, false);
    return {
      TagSet: [...version.tags].map(([Key, Value]) => ({ Key, Value })),
      ...versionHeader(bucket, version),
    };
  },

  DeleteObjectTagging(call, input) {
    const bucket = bucketOf(call, input, 's3:DeleteObjectTagging', input.Key);
    const version = readable(bucket, input.Key, input.VersionId, false);
    version.tags = new Map();
    call.store.changed(bucket);
    call.replicator.modified(bucket, version);
    return versionHeader(bucket, version);
  },

  GetObjectAcl(call, input) {
    const bucket = bucketOf(call, input, 's3:GetObjectAcl', input.Key);
    const version = readable(bucket, input.Key, input.VersionId, false);
    checkOwner(call, version);
    const owner = { ID: ownerId(version.owner ?? bucket.owner) };
    return {
      Owner: owner,
      Grants: [{ Grantee: { Type: 'CanonicalUser', ...owner }, Permission: 'FULL_CONTROL' }],
    };
  },
};

function describe(bucket: BucketState, version: VersionState, withChecksums: boolean) {
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
    ...encryptionHeaders(version),
    ...(version.replication === undefined ? {} : { ReplicationStatus: version.replication.status }),
    ...versionHeader(bucket, version),
  };
}

const versionHeader = (bucket: BucketState, version: VersionState) =>
  bucket.versioning ? { VersionId: version.versionId } : {};

const tagCount = (version: VersionState) => (version.tags.size > 0 ? { TagCount: version.tags.size } : {});

function overrides(input: Record<string, string | undefined>) {
  const names = ['ContentType', 'ContentDisposition', 'CacheControl', 'ContentEncoding', 'ContentLanguage'];
  return Object.fromEntries(
    names.flatMap((name) =>
      input[`Response${name}`] === undefined ? [] : [[name, input[`Response${name}`]]],
    ),
  );
}

function removeObject(
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
    const version = latest(bucket, key);
    if (version) removeVersion(call.store, bucket, version);
    return {};
  }
  const marker: VersionState = {
    key,
    versionId: versionIdFor(bucket),
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
  addVersion(call.store, bucket, marker);
  call.replicator.enqueue(bucket, marker);
  return { DeleteMarker: true, VersionId: marker.versionId };
}

function rangeOf(range: string | undefined, size: number): { from: number; to: number } | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? [];
  if (range === undefined || (first === '' && last === '')) return undefined;
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const to = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (from < size && from <= to) return { from, to };
  throw new AwsError(416, 'InvalidRange', 'The requested range is not satisfiable', {
    RangeRequested: range,
    ActualObjectSize: String(size),
  });
}
