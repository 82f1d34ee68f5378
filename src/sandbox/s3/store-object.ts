import { createHash } from 'node:crypto';
import { AwsError, invalidRequestError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { checksumAlgorithmOf, checksumOfHeaders, DEFAULT_CHECKSUM_ALGORITHM } from '../protocol/checksums.ts';
import type { BucketState, CompletedUpload, ObjectChecksum, ObjectPart, VersionState } from '../state.ts';
import {
  checkBucketAccess,
  getAuthorizedBucket,
  invalidArgumentError,
  noSuchBucketError,
  objectAction,
  readUnlessHidden,
} from './access.ts';
import { type AclRequest, checkObjectAcl, ownerOfNewObject } from './acls.ts';
import { checkTagSet } from './bucket-settings.ts';
import {
  type CustomerKeyInput,
  createCustomerDataKey,
  customerKeyOfRead,
  customerKeyOfWrite,
  toCustomerKeyOutput,
} from './customer-keys.ts';
import {
  chooseEncryption,
  type DataKey,
  decryptObject,
  encryptObject,
  toEncryptionOutput,
} from './encryption.ts';
import { objectLockOfRequest } from './object-lock.ts';
import { checkCopySourceConditions, checkWriteConditions } from './preconditions.ts';
import { checkStorageClass, requireNotArchived } from './storage-classes.ts';
import {
  addVersion,
  getReadableVersion,
  nextVersionId,
  type ObjectLock,
  withDefaultRetention,
} from './versions.ts';

/** Object properties that a put, a copy and a multipart upload can set. */
export interface ObjectRequest extends AclRequest {
  ContentType?: string;
  Metadata?: Record<string, string>;
  StorageClass?: VersionState['storageClass'];
  Tagging?: string;
  CacheControl?: string;
  ContentDisposition?: string;
  ContentEncoding?: string;
  ContentLanguage?: string;
  Expires?: string;
  WebsiteRedirectLocation?: string;
  ServerSideEncryption?: string;
  SSEKMSKeyId?: string;
  BucketKeyEnabled?: boolean;
  SSEKMSEncryptionContext?: string;
}

/** What a write has computed already. */
interface StoredContent {
  checksum: ObjectChecksum;
  etag?: string;
  parts?: ObjectPart[];
  upload?: CompletedUpload;
  /** Data key under a key of the caller, for SSE-C. */
  customerDataKey?: DataKey | undefined;
  /** Retention and legal hold of the request. The default retention of the bucket is added. */
  lock?: ObjectLock;
}

/** Stores a new version, and schedules its replication. */
export function storeObject(
  call: Call,
  bucket: BucketState,
  key: string,
  body: Buffer,
  request: ObjectRequest,
  content: StoredContent,
) {
  if (Buffer.byteLength(key) > 1024) {
    throw new AwsError(400, 'KeyTooLongError', 'Your key is too long', {
      Size: String(Buffer.byteLength(key)),
      MaxSizeAllowed: '1024',
    });
  }
  const tags = parseTaggingHeader(request.Tagging);
  checkMetadataSize(request.Metadata);
  checkStorageClass(request.StorageClass);
  const encryptionChoice = chooseEncryption(
    request,
    bucket,
    call.keyService,
    call.caller.account,
    content.customerDataKey,
  );
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
    ...ownerOfNewObject(call, bucket, request),
    versionId: nextVersionId(bucket),
    deleteMarker: false,
    modified: call.now,
    size: body.length,
    etag: content.etag ?? computeEtag(body, encryption),
    blob,
    ...(request.StorageClass === undefined ? {} : { storageClass: request.StorageClass }),
    contentType: request.ContentType ?? 'binary/octet-stream',
    headers: systemHeadersOf(request),
    metadata: request.Metadata ?? {},
    tags,
    encryption,
    checksum: content.checksum,
    ...(content.parts === undefined ? {} : { parts: content.parts }),
    ...(content.upload === undefined ? {} : { upload: content.upload }),
    ...withDefaultRetention(bucket, content.lock ?? {}, call.now),
  };
  addVersion(call.store, bucket, version);
  call.replicator.enqueue(bucket, version);
  return toStoredOutput(bucket, version);
}

/** Returns the output of a write for the version that it stored. */
export const toStoredOutput = (bucket: BucketState, version: VersionState) => ({
  ETag: version.etag,
  ...(version.checksum && toChecksumOutput(version.checksum)),
  ...toEncryptionOutput(version),
  ...(bucket.versioning?.Status === 'Enabled' ? { VersionId: version.versionId } : {}),
});

const MAX_METADATA_BYTES = 2048;

/**
 * Checks the size of user metadata (S3 User Guide, "Working with object metadata").
 *
 * @throws AwsError when all keys and values together have more than 2 KB in UTF-8.
 */
export function checkMetadataSize(metadata: Record<string, string> = {}): void {
  const size = Buffer.byteLength(Object.entries(metadata).flat().join(''));
  if (size <= MAX_METADATA_BYTES) return;
  throw new AwsError(
    400,
    'MetadataTooLarge',
    'Your metadata headers exceed the maximum allowed metadata size',
    { Size: String(size), MaxSizeAllowed: String(MAX_METADATA_BYTES) },
  );
}

const SYSTEM_HEADERS = [
  'CacheControl',
  'ContentDisposition',
  'ContentEncoding',
  'ContentLanguage',
  'Expires',
  'WebsiteRedirectLocation',
] as const;

/** Returns the system headers of an object. S3 does not store `aws-chunked`, the encoding of the transfer. */
function systemHeadersOf(request: ObjectRequest): Record<string, string> {
  const encodings = (request.ContentEncoding ?? '').split(',').map((encoding) => encoding.trim());
  const ContentEncoding = encodings.filter((encoding) => encoding !== 'aws-chunked').join(',');
  const headers = { ...request, ContentEncoding: ContentEncoding === '' ? undefined : ContentEncoding };
  return Object.fromEntries(
    SYSTEM_HEADERS.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])),
  );
}

/** Returns the ETag: the MD5 of the bytes for SSE-S3. For SSE-KMS and SSE-C it is random and unrelated to an MD5. */
export function computeEtag(
  body: Buffer,
  { algorithm, customerKey }: Pick<VersionState['encryption'], 'algorithm' | 'customerKey'>,
): string {
  const hash = createHash('md5').update(body);
  if (algorithm !== 'AES256' || customerKey) hash.update(String(Math.random()));
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
  // Another message than that of PutObjectTagging (moto's test_put_object_with_tagging, verified against AWS).
  const systemTag = pairs.find(([key]) => key.startsWith('aws:'));
  if (systemTag)
    throw new AwsError(400, 'InvalidTag', 'Your TagKey cannot be prefixed with aws:', {
      TagKey: systemTag[0],
    });
  checkTagSet(tagSet, 10);
  return new Map(pairs);
}

/** Returns the checksum of the request headers. If the client sent none, computes the default one. */
export function checksumOfRequest(body: Buffer, headers: Record<string, string>): ObjectChecksum {
  const checksum = checksumOfHeaders(headers);
  return checksum
    ? { algorithm: checksum.algorithm.name, type: 'FULL_OBJECT', value: checksum.value }
    : computeChecksum(body, DEFAULT_CHECKSUM_ALGORITHM);
}

/** Returns the checksum of the bytes of a whole object. */
export function computeChecksum(body: Buffer, algorithm: string): ObjectChecksum {
  const { name, compute } = checksumAlgorithmOf(algorithm);
  return { algorithm: name, type: 'FULL_OBJECT', value: compute(body) };
}

/** Checks the number of a part in a request. */
export function checkPartNumber(partNumber: number): void {
  if (partNumber >= 1 && partNumber <= 10_000) return;
  throw invalidArgumentError(
    'Part number must be an integer between 1 and 10000, inclusive',
    'partNumber',
    String(partNumber),
  );
}

/** Returns the fields of a response for a checksum. */
export const toChecksumOutput = ({ algorithm, type, value }: ObjectChecksum) => ({
  [`Checksum${algorithm}`]: value,
  ChecksumType: type,
});

export const copyHandlers: Handlers = {
  CopyObject(call, input) {
    const destination = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    checkObjectAcl(call, destination, input.Key, input);
    const lock = objectLockOfRequest(call, destination, input.Key, input);
    const customerKey = customerKeyOfWrite(call, destination, input.Key, input);
    const { bucket: source, version, body } = readCopySource(call, input);
    checkWriteConditions(call, destination, input);
    checkSelfCopy(destination, source, version, input);
    const copiedMetadata =
      input.MetadataDirective === 'REPLACE'
        ? {}
        : {
            Metadata: version.metadata,
            ContentType: version.contentType,
            ...Object.fromEntries(SYSTEM_HEADERS.map((name) => [name, version.headers[name]])),
            // S3 API Reference, CopyObject: this header is not copied.
            WebsiteRedirectLocation: input.WebsiteRedirectLocation,
          };
    const tagging =
      input.TaggingDirective === 'REPLACE'
        ? input.Tagging
        : new URLSearchParams([...version.tags]).toString();
    // S3 User Guide, "Checking object integrity": a copy has a direct checksum of the whole object, also if its source
    // has a composite one.
    const checksum = computeChecksum(
      body,
      input.ChecksumAlgorithm ?? version.checksum?.algorithm ?? DEFAULT_CHECKSUM_ALGORITHM,
    );
    const output = storeObject(
      call,
      destination,
      input.Key,
      body,
      { ...input, ...copiedMetadata, Tagging: tagging },
      { checksum, customerDataKey: customerKey && createCustomerDataKey(customerKey), lock },
    );
    const { VersionId, ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled, ETag } = output;
    return {
      VersionId,
      ServerSideEncryption,
      SSEKMSKeyId,
      BucketKeyEnabled,
      ...toCustomerKeyOutput(customerKey),
      ...(source.versioning ? { CopySourceVersionId: version.versionId } : {}),
      CopyObjectResult: { ETag, LastModified: new Date(call.now), ...toChecksumOutput(checksum) },
    };
  },
};

/**
 * Checks that a copy of an object to itself changes something. A copy of an older version restores it. The
 * message and the conditions are those of LocalStack's provider, from its recordings of AWS.
 */
function checkSelfCopy(
  destination: BucketState,
  source: BucketState,
  version: VersionState,
  input: ObjectRequest & {
    Key: string;
    CopySource: string;
    MetadataDirective?: string;
    SSECustomerAlgorithm?: string;
  },
): void {
  // A source with a version id is no copy to itself, even if it is the newest version (moto's
  // test_copy_object_in_place_with_versioning, verified against AWS).
  const isSelfCopy =
    source === destination && version.key === input.Key && !input.CopySource.includes('?versionId=');
  const isChange =
    input.MetadataDirective === 'REPLACE' ||
    input.StorageClass !== undefined ||
    input.ServerSideEncryption !== undefined ||
    input.SSECustomerAlgorithm !== undefined ||
    input.WebsiteRedirectLocation !== undefined ||
    // LocalStack's test_s3_copy_object_in_place_with_bucket_encryption, validated against AWS: SSE-S3 counts as well.
    destination.encryptionIsSet === true ||
    version.encryption.algorithm !== 'AES256';
  if (!isSelfCopy || isChange) return;
  throw invalidRequestError(
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  );
}

/**
 * Returns the source version of a copy, with its decrypted bytes.
 *
 * @throws AwsError when the caller is not allowed to read the source, the source does not exist, or it does not meet the
 * conditions of the copy.
 */
export function readCopySource(
  call: Call,
  input: CustomerKeyInput & Parameters<typeof checkCopySourceConditions>[1] & { CopySource: string },
): { bucket: BucketState; version: VersionState; body: Buffer } {
  const header = input.CopySource;
  const [path = '', versionId] = header.replace(/^\//, '').split('?versionId=');
  const [, name = '', key = ''] = /^([^/]+)\/(.+)$/s.exec(decodeCopySource(path)) ?? [];
  if (name === '') {
    const message = 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey';
    throw invalidArgumentError(message, 'x-amz-copy-source', header);
  }
  const bucket = call.store.bucket(name);
  if (!bucket) throw noSuchBucketError(name);
  const sourceVersionId = versionId || undefined;
  checkBucketAccess(call, bucket, objectAction('s3:GetObject', sourceVersionId), key, sourceVersionId);
  const version = readUnlessHidden(call, bucket, () =>
    getReadableVersion(bucket, key, sourceVersionId, false),
  );
  const customerKey = customerKeyOfRead(call, version, input, true);
  checkCopySourceConditions(version, input, call.now);
  requireNotArchived(version, true);
  return {
    bucket,
    version,
    body: decryptObject(call.store, call.keyService, bucket, version, call.caller.arn, customerKey?.dataKey),
  };
}

function decodeCopySource(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new AwsError(400, 'InvalidURI', "Couldn't parse the specified URI.");
  }
}
