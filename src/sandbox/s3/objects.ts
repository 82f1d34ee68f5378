import { createHash } from 'node:crypto';
import type { Tag } from '@aws-sdk/client-s3';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { malformedXml } from '../protocol/rest-xml.ts';
import type { BucketState, VersionState } from '../state.ts';
import { ownerId } from './buckets.ts';
import { checksumsOf } from './checksums.ts';
import { chooseEncryption, decryptObject, encryptObject } from './encryption.ts';
import { bucketOf, invalidArgument } from './requests.ts';
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

  CopyObject(call, input) {
    const target = bucketOf(call, input, 's3:PutObject', input.Key);
    const [path = '', query = ''] = String(input.CopySource).replace(/^\//, '').split('?versionId=');
    const decoded = decodeURIComponent(path);
    const slash = decoded.indexOf('/');
    const source = call.store.bucket(decoded.slice(0, slash));
    if (!source)
      throw new AwsError(404, 'NoSuchBucket', 'The specified bucket does not exist', {
        BucketName: decoded.slice(0, slash),
      });
    const version = readable(source, decoded.slice(slash + 1), query || undefined, false);
    const body = decryptObject(call.store, call.keys, source, version, call.caller.arn);
    const copied =
      input.MetadataDirective === 'REPLACE'
        ? {}
        : { Metadata: version.metadata, ContentType: version.contentType };
    const tagging =
      input.TaggingDirective === 'REPLACE'
        ? input.Tagging
        : new URLSearchParams([...version.tags]).toString();
    const answer = put(
      call,
      target,
      input.Key,
      body,
      { ...input, ...copied, Tagging: tagging },
      { checksums: version.checksums },
    );
    const { VersionId, ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled, ETag } = answer;
    return {
      VersionId,
      ServerSideEncryption,
      SSEKMSKeyId,
      BucketKeyEnabled,
      ...(source.versioning ? { CopySourceVersionId: version.versionId } : {}),
      CopyObjectResult: { ETag, LastModified: new Date(call.now) },
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
    const bucket = bucketOf(call, input, 's3:DeleteObject');
    const objects: { Key: string; VersionId?: string }[] = input.Delete?.Objects ?? [];
    if (objects.length === 0 || objects.length > 1000) throw malformedXml();
    const deleted: object[] = [];
    const errors: object[] = [];
    for (const { Key, VersionId } of objects) {
      try {
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

/** What a put, a copy and a finished upload say of the object. */
export interface ObjectRequest {
  ContentType?: string;
  Metadata?: Record<string, string>;
  StorageClass?: VersionState['storageClass'];
  Tagging?: string;
  CacheControl?: string;
  ContentDisposition?: string;
  ContentEncoding?: string;
  ContentLanguage?: string;
  ServerSideEncryption?: string;
  SSEKMSKeyId?: string;
  BucketKeyEnabled?: boolean;
  SSEKMSEncryptionContext?: string;
}

/** Store a new version, and hand it to replication. */
export function put(
  call: Call,
  bucket: BucketState,
  key: string,
  body: Buffer,
  request: ObjectRequest,
  given: { checksums: Record<string, string>; etag?: string },
) {
  if (Buffer.byteLength(key) > 1024) {
    throw new AwsError(400, 'KeyTooLongError', 'Your key is too long', {
      Size: String(Buffer.byteLength(key)),
      MaxSizeAllowed: '1024',
    });
  }
  const tags = parseTags(request.Tagging);
  const choice = chooseEncryption(request, bucket, call.keys, call.caller.account);
  const { blob, encryption } = encryptObject(
    call.store,
    call.keys,
    bucket,
    key,
    body,
    choice,
    call.caller.arn,
  );
  const version: VersionState = {
    key,
    versionId: versionIdFor(bucket),
    deleteMarker: false,
    modified: call.now,
    size: body.length,
    etag: given.etag ?? etagOf(body, encryption.algorithm),
    blob,
    ...(request.StorageClass === undefined ? {} : { storageClass: request.StorageClass }),
    contentType: request.ContentType ?? 'binary/octet-stream',
    headers: Object.fromEntries(
      SYSTEM_HEADERS.flatMap((name) => (request[name] === undefined ? [] : [[name, request[name]]])),
    ),
    metadata: request.Metadata ?? {},
    tags,
    encryption,
    checksums: given.checksums,
  };
  addVersion(call.store, bucket, version);
  call.replicator.enqueue(bucket, version);
  return {
    ETag: version.etag,
    ...version.checksums,
    ...(Object.keys(version.checksums).length > 0 ? { ChecksumType: 'FULL_OBJECT' } : {}),
    ...encryptionHeaders(version),
    ...(bucket.versioning?.Status === 'Enabled' ? { VersionId: version.versionId } : {}),
  };
}

const SYSTEM_HEADERS = ['CacheControl', 'ContentDisposition', 'ContentEncoding', 'ContentLanguage'] as const;

/** The MD5 of the bytes for SSE-S3; for KMS it is none, and says nothing of them. */
function etagOf(body: Buffer, algorithm: string): string {
  const hash = createHash('md5').update(body);
  if (algorithm !== 'AES256') hash.update(String(Math.random()));
  return `"${hash.digest('hex')}"`;
}

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

const encryptionHeaders = ({ encryption }: VersionState) => ({
  ServerSideEncryption: encryption.algorithm,
  ...(encryption.keyArn === undefined ? {} : { SSEKMSKeyId: encryption.keyArn }),
  ...(encryption.bucketKey ? { BucketKeyEnabled: true } : {}),
});

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

/** If-None-Match: * and If-Match of a write. */
export function checkPreconditions(
  bucket: BucketState,
  input: { Key: string; IfMatch?: string; IfNoneMatch?: string },
): void {
  const { IfMatch, IfNoneMatch } = input;
  if (IfMatch !== undefined && IfNoneMatch !== undefined)
    throw notImplemented(
      'If-Match,If-None-Match',
      'Multiple conditional request headers present in the request',
    );
  const current = latest(bucket, input.Key);
  const exists = current !== undefined && !current.deleteMarker;
  if (IfNoneMatch !== undefined) {
    if (IfNoneMatch !== '*')
      throw notImplemented(
        'If-None-Match',
        "We don't accept the provided value of If-None-Match header for this API",
      );
    if (exists) throw failedCondition('If-None-Match');
  }
  if (IfMatch !== undefined) {
    if (IfMatch === '*' && exists) return;
    if (!exists)
      throw new AwsError(404, 'NoSuchKey', 'The specified key does not exist.', { Key: input.Key });
    if (bare(IfMatch) !== bare(current.etag)) throw failedCondition('If-Match');
  }
}

const notImplemented = (header: string, why: string): AwsError =>
  new AwsError(501, 'NotImplemented', 'A header you provided implies functionality that is not implemented', {
    Header: header,
    additionalMessage: why,
  });

const failedCondition = (name: string): AwsError =>
  new AwsError(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
    Condition: name,
  });

const bare = (etag: string): string => etag.replaceAll('"', '');

function checkReadConditions(version: VersionState, input: Record<string, string | Date | undefined>): void {
  const { IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince } = input;
  const modified = Math.floor(version.modified / 1000) * 1000;
  if (typeof IfMatch === 'string' && IfMatch !== '*' && bare(IfMatch) !== bare(version.etag))
    throw failedCondition('If-Match');
  if (IfUnmodifiedSince instanceof Date && IfMatch === undefined && modified > IfUnmodifiedSince.getTime())
    throw failedCondition('If-Unmodified-Since');
  const unchanged =
    typeof IfNoneMatch === 'string' && (IfNoneMatch === '*' || bare(IfNoneMatch) === bare(version.etag));
  const notNewer =
    IfModifiedSince instanceof Date && IfNoneMatch === undefined && modified <= IfModifiedSince.getTime();
  if (unchanged || notNewer)
    throw new AwsError(304, 'NotModified', 'Not Modified', {}, { etag: version.etag });
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

function parseTags(header: string | undefined): Map<string, string> {
  const pairs = [...new URLSearchParams(header ?? '')];
  const tags = pairs.map(([Key, Value]) => ({ Key, Value }));
  if (new Set(pairs.map(([key]) => key)).size < pairs.length) {
    throw invalidArgument(
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
      'x-amz-tagging',
      header,
    );
  }
  checkTagSet(tags, 10);
  return new Map(pairs);
}
