import { createHash } from 'node:crypto';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { computeCrc32 } from '../protocol/body.ts';
import type { BucketState, VersionState } from '../state.ts';
import { checkBucketAccess, getAuthorizedBucket, invalidArgumentError, noSuchBucketError } from './access.ts';
import { checkTagSet } from './bucket-settings.ts';
import { chooseEncryption, decryptObject, encryptObject, toEncryptionOutput } from './encryption.ts';
import { addVersion, getReadableVersion, nextVersionId } from './versions.ts';

/** Object properties that a put, a copy and a multipart upload can set. */
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

/** Stores a new version, and schedules its replication. */
export function storeObject(
  call: Call,
  bucket: BucketState,
  key: string,
  body: Buffer,
  request: ObjectRequest,
  precomputed: { checksums: Record<string, string>; etag?: string },
) {
  if (Buffer.byteLength(key) > 1024) {
    throw new AwsError(400, 'KeyTooLongError', 'Your key is too long', {
      Size: String(Buffer.byteLength(key)),
      MaxSizeAllowed: '1024',
    });
  }
  const tags = parseTaggingHeader(request.Tagging);
  const encryptionChoice = chooseEncryption(request, bucket, call.keyService, call.caller.account);
  const { blob, encryption } = encryptObject(
    call.store,
    call.keyService,
    bucket,
    key,
    body,
    encryptionChoice,
    call.caller.arn,
  );
  const version: VersionState = {
    key,
    versionId: nextVersionId(bucket),
    deleteMarker: false,
    modified: call.now,
    size: body.length,
    etag: precomputed.etag ?? computeEtag(body, encryption.algorithm),
    blob,
    ...(request.StorageClass === undefined ? {} : { storageClass: request.StorageClass }),
    contentType: request.ContentType ?? 'binary/octet-stream',
    headers: Object.fromEntries(
      SYSTEM_HEADERS.flatMap((name) => (request[name] === undefined ? [] : [[name, request[name]]])),
    ),
    metadata: request.Metadata ?? {},
    tags,
    encryption,
    checksums: precomputed.checksums,
  };
  addVersion(call.store, bucket, version);
  call.replicator.enqueue(bucket, version);
  return {
    ETag: version.etag,
    ...version.checksums,
    ...(Object.keys(version.checksums).length > 0 ? { ChecksumType: 'FULL_OBJECT' } : {}),
    ...toEncryptionOutput(version),
    ...(bucket.versioning?.Status === 'Enabled' ? { VersionId: version.versionId } : {}),
  };
}

const SYSTEM_HEADERS = ['CacheControl', 'ContentDisposition', 'ContentEncoding', 'ContentLanguage'] as const;

/** Returns the ETag: the MD5 of the bytes for SSE-S3. For KMS encryption it is random and unrelated to an MD5. */
function computeEtag(body: Buffer, algorithm: string): string {
  const hash = createHash('md5').update(body);
  if (algorithm !== 'AES256') hash.update(String(Math.random()));
  return `"${hash.digest('hex')}"`;
}

function parseTaggingHeader(header: string | undefined): Map<string, string> {
  const pairs = [...new URLSearchParams(header ?? '')];
  const tagSet = pairs.map(([Key, Value]) => ({ Key, Value }));
  if (new Set(pairs.map(([key]) => key)).size < pairs.length) {
    throw invalidArgumentError(
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
      'x-amz-tagging',
      header,
    );
  }
  checkTagSet(tagSet, 10);
  return new Map(pairs);
}

/** Returns the checksums of the request headers by API member name. If the client sent none, computes the CRC32. */
export function checksumsOf(body: Buffer, headers: Record<string, string>): Record<string, string> {
  const headerChecksums = Object.entries(CHECKSUM_MEMBERS).flatMap(([header, name]) =>
    headers[header] ? [[name, headers[header]]] : [],
  );
  if (headerChecksums.length > 0) return Object.fromEntries(headerChecksums);
  return { ChecksumCRC32: computeCrc32(body) };
}

const CHECKSUM_MEMBERS = {
  'x-amz-checksum-crc32': 'ChecksumCRC32',
  'x-amz-checksum-crc32c': 'ChecksumCRC32C',
  'x-amz-checksum-crc64nvme': 'ChecksumCRC64NVME',
  'x-amz-checksum-sha1': 'ChecksumSHA1',
  'x-amz-checksum-sha256': 'ChecksumSHA256',
};

export const copyHandlers: Handlers = {
  CopyObject(call, input) {
    const destination = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    const { bucket: source, version, body } = readCopySource(call, input.CopySource);
    const copiedMetadata =
      input.MetadataDirective === 'REPLACE'
        ? {}
        : { Metadata: version.metadata, ContentType: version.contentType };
    const tagging =
      input.TaggingDirective === 'REPLACE'
        ? input.Tagging
        : new URLSearchParams([...version.tags]).toString();
    const output = storeObject(
      call,
      destination,
      input.Key,
      body,
      { ...input, ...copiedMetadata, Tagging: tagging },
      { checksums: version.checksums },
    );
    const { VersionId, ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled, ETag } = output;
    return {
      VersionId,
      ServerSideEncryption,
      SSEKMSKeyId,
      BucketKeyEnabled,
      ...(source.versioning ? { CopySourceVersionId: version.versionId } : {}),
      CopyObjectResult: { ETag, LastModified: new Date(call.now) },
    };
  },
};

/**
 * Returns the source version of a copy, with its decrypted bytes.
 *
 * @throws AwsError when the caller is not allowed to read the source, or the source does not exist.
 */
export function readCopySource(
  call: Call,
  header: string,
): { bucket: BucketState; version: VersionState; body: Buffer } {
  const [path = '', versionId] = header.replace(/^\//, '').split('?versionId=');
  const [, name = '', key = ''] = /^([^/]+)\/(.+)$/s.exec(decodeCopySource(path)) ?? [];
  if (name === '') {
    const message = 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey';
    throw invalidArgumentError(message, 'x-amz-copy-source', header);
  }
  const bucket = call.store.bucket(name);
  if (!bucket) throw noSuchBucketError(name);
  checkBucketAccess(call, bucket, versionId ? 's3:GetObjectVersion' : 's3:GetObject', key);
  const version = getReadableVersion(bucket, key, versionId || undefined, false);
  return {
    bucket,
    version,
    body: decryptObject(call.store, call.keyService, bucket, version, call.caller.arn),
  };
}

function decodeCopySource(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new AwsError(400, 'InvalidURI', "Couldn't parse the specified URI.");
  }
}
