import type { Tag } from '@aws-sdk/client-s3';
import { AwsError, invalidRequestError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { malformedXmlError } from '../protocol/rest-xml.ts';
import type { BucketState, ObjectChecksum, ObjectPart, VersionState } from '../state.ts';
import {
  type BucketInput,
  checkBucketAccess,
  getAuthorizedBucket,
  getBucket,
  invalidArgumentError,
  objectAction,
  readUnlessHidden,
  requireObjectOwner,
} from './access.ts';
import { checkObjectAcl } from './acls.ts';
import { checkTagSet } from './bucket-settings.ts';
import {
  type CustomerKeyInput,
  createCustomerDataKey,
  customerKeyOfRead,
  customerKeyOfWrite,
  toCustomerKeyOutput,
} from './customer-keys.ts';
import { decryptObject, toEncryptionOutput } from './encryption.ts';
import {
  checkDeletable,
  objectLockOfRequest,
  requireLockChecksum,
  toObjectLockOutput,
} from './object-lock.ts';
import {
  checkDeleteConditions,
  checkReadConditions,
  checkWriteConditions,
  type ReadConditions,
} from './preconditions.ts';
import { requireNotArchived } from './storage-classes.ts';
import { checkPartNumber, checksumOfRequest, storeObject, toChecksumOutput } from './store-object.ts';
import {
  addVersion,
  findVersion,
  getReadableVersion,
  getVersionFor,
  latestVersionOf,
  nextVersionId,
  removeVersion,
} from './versions.ts';

export const objectHandlers: Handlers = {
  PutObject(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    if (input.Tagging) getAuthorizedBucket(call, input, 's3:PutObjectTagging', input.Key);
    checkObjectAcl(call, bucket, input.Key, input);
    const lock = objectLockOfRequest(call, bucket, input.Key, input);
    requireLockChecksum(call, bucket, lock, 'Put Object');
    const customerKey = customerKeyOfWrite(call, bucket, input.Key, input);
    checkWriteConditions(call, bucket, input);
    const body: Buffer = Buffer.isBuffer(input.Body) ? input.Body : Buffer.from(input.Body ?? '');
    const output = storeObject(call, bucket, input.Key, body, input, {
      checksum: checksumOfRequest(body, call.headers),
      customerDataKey: customerKey && createCustomerDataKey(customerKey),
      lock,
    });
    return { ...output, ...toCustomerKeyOutput(customerKey) };
  },

  GetObject(call, input) {
    const { bucket, version, customerKey } = readVersion(call, input, false);
    requireNotArchived(version);
    const body = decryptObject(
      call.store,
      call.keyService,
      bucket,
      version,
      call.caller.arn,
      customerKey?.dataKey,
    );
    const { range, output } = selectContent(version, input);
    return {
      ...toObjectOutput(bucket, version),
      ...toCustomerKeyOutput(customerKey),
      ...toObjectLockOutput(call, bucket, version),
      ...responseOverridesOf(input),
      ...output,
      ...toTagCountOutput(version),
      Body: range ? body.subarray(range.start, range.end + 1) : body,
    };
  },

  HeadObject(call, input) {
    const { bucket, version, customerKey } = readVersion(call, input, true);
    return {
      ...toObjectOutput(bucket, version),
      ...toCustomerKeyOutput(customerKey),
      ...toObjectLockOutput(call, bucket, version),
      ...responseOverridesOf(input),
      ...selectContent(version, input).output,
      // S3 counts the tags also in a response to HEAD (S3 API Reference, "HeadObject", x-amz-tagging-count).
      ...toTagCountOutput(version),
    };
  },

  GetObjectAttributes(call, input) {
    const { Key, VersionId } = input;
    const attributes: string[] = input.ObjectAttributes ?? [];
    if (attributes.filter((name) => name !== '').length === 0) {
      throw invalidRequestError(
        'The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty',
      );
    }
    if (!attributes.every((name) => OBJECT_ATTRIBUTES.includes(name)))
      throw invalidArgumentError('Invalid attribute name specified.', 'x-amz-object-attributes');
    // S3 API Reference, GetObjectAttributes: needs both permissions.
    const bucket = getAuthorizedBucket(call, input, objectAction('s3:GetObject', VersionId), Key);
    checkBucketAccess(call, bucket, objectAction('s3:GetObjectAttributes', VersionId), Key, VersionId);
    const version = readUnlessHidden(call, bucket, () => getReadableVersion(bucket, Key, VersionId, false));
    requireObjectOwner(call, version);
    customerKeyOfRead(call, version, input);
    const values = {
      ETag: version.etag.replaceAll('"', ''),
      Checksum: version.checksum && toAttributeChecksum(version.checksum),
      ObjectParts: version.parts && toObjectPartsOutput(version, version.parts, input),
      StorageClass: version.storageClass ?? 'STANDARD',
      ObjectSize: version.size,
    };
    return {
      LastModified: new Date(version.modified),
      ...toVersionIdOutput(bucket, version),
      ...Object.fromEntries(Object.entries(values).filter(([name]) => attributes.includes(name))),
    };
  },

  DeleteObject(call, input) {
    return deleteObject(call, getBucket(call, input), input);
  },

  DeleteObjects(call, input) {
    const bucket = getBucket(call, input);
    const objects: { Key: string; VersionId?: string; ETag?: string }[] = input.Delete?.Objects ?? [];
    if (objects.length === 0 || objects.length > 1000 || !objects.every(({ Key }) => Key))
      throw malformedXmlError();
    const deleted: object[] = [];
    const errors: object[] = [];
    const { BypassGovernanceRetention } = input;
    for (const { Key, VersionId, ETag: IfMatch } of objects) {
      try {
        const request = { Key, VersionId, IfMatch, BypassGovernanceRetention };
        // A policy sees the ETag of each object as the If-Match of its deletion.
        const objectCall = IfMatch === undefined ? call : { ...call, input: { ...input, IfMatch } };
        const deletion = deleteObject(objectCall, bucket, request);
        deleted.push({
          Key,
          ...(VersionId === undefined ? {} : { VersionId }),
          ...(deletion.DeleteMarker ? { DeleteMarker: true, DeleteMarkerVersionId: deletion.VersionId } : {}),
        });
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        // fact: localstack/s3.delete_objects/test_delete_objects#delete-object-wrong-version-id
        const isInvalidId = error.fields.ArgumentName === 'versionId';
        errors.push({
          Key,
          VersionId,
          Code: isInvalidId ? 'NoSuchVersion' : error.code,
          Message: isInvalidId ? 'The specified version does not exist.' : error.message,
        });
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
      objectAction('s3:PutObjectTagging', input.VersionId),
      input.Key,
    );
    const version = getVersionFor('PUT', bucket, input.Key, input.VersionId);
    const tags: Tag[] = input.Tagging?.TagSet ?? [];
    checkTagSet(tags, 10);
    version.tags = new Map(tags.map(({ Key = '', Value = '' }) => [Key, Value]));
    return saveTags(call, bucket, version);
  },

  GetObjectTagging(call, input) {
    const bucket = getAuthorizedBucket(
      call,
      input,
      objectAction('s3:GetObjectTagging', input.VersionId),
      input.Key,
    );
    const version = readUnlessHidden(call, bucket, () =>
      getVersionFor('GET', bucket, input.Key, input.VersionId),
    );
    return {
      TagSet: [...version.tags].map(([Key, Value]) => ({ Key, Value })),
      ...toVersionIdOutput(bucket, version),
    };
  },

  DeleteObjectTagging(call, input) {
    const bucket = getAuthorizedBucket(
      call,
      input,
      objectAction('s3:DeleteObjectTagging', input.VersionId),
      input.Key,
    );
    const version = getVersionFor('DELETE', bucket, input.Key, input.VersionId);
    version.tags = new Map();
    return saveTags(call, bucket, version);
  },
};

/**
 * Returns the version for a GET or HEAD request, after checks of access, ownership, the key of the caller (SSE-C) and the
 * read conditions.
 */
function readVersion(
  call: Call,
  input: BucketInput & CustomerKeyInput & ReadConditions & { Key: string; VersionId?: string },
  isHead: boolean,
) {
  const { Key, VersionId } = input;
  const bucket = getAuthorizedBucket(call, input, objectAction('s3:GetObject', VersionId), Key);
  const version = readUnlessHidden(call, bucket, () => getReadableVersion(bucket, Key, VersionId, isHead));
  requireObjectOwner(call, version);
  const customerKey = customerKeyOfRead(call, version, input);
  checkReadConditions(version, input, call.now);
  return { bucket, version, customerKey };
}

/** Marks a version with changed tags for saving, and schedules the replication of the tags. */
function saveTags(call: Call, bucket: BucketState, version: VersionState) {
  call.store.markObjectChanged(bucket, version.key);
  call.replicator.enqueueTagChange(bucket, version);
  return toVersionIdOutput(bucket, version);
}

const OBJECT_ATTRIBUTES = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'];

/** Returns a checksum without the number of parts, which GetObjectAttributes does not return. */
const toAttributeChecksum = (checksum: ObjectChecksum) =>
  toChecksumOutput({ ...checksum, value: checksum.value.replace(/-\d+$/, '') });

/**
 * Returns the parts of an object in the form of GetObjectAttributes. S3 lists them only if each has a checksum, which
 * the type COMPOSITE implies.
 */
function toObjectPartsOutput(
  { checksum }: VersionState,
  parts: ObjectPart[],
  input: { MaxParts?: number; PartNumberMarker?: string },
) {
  if (checksum?.type !== 'COMPOSITE') return { TotalPartsCount: parts.length };
  const marker = Number(input.PartNumberMarker ?? 0);
  const maxParts = Math.min(input.MaxParts ?? 1000, 1000);
  const remainingParts = parts.filter(({ number }) => number > marker);
  const page = remainingParts.slice(0, maxParts);
  return {
    TotalPartsCount: parts.length,
    PartNumberMarker: String(marker),
    NextPartNumberMarker: String(page.at(-1)?.number ?? 0),
    MaxParts: maxParts,
    IsTruncated: page.length < remainingParts.length,
    Parts: page.map(({ number, size, checksum: value }) => ({
      PartNumber: number,
      Size: size,
      [`Checksum${checksum.algorithm}`]: value,
    })),
  };
}

function toObjectOutput(bucket: BucketState, version: VersionState) {
  return {
    AcceptRanges: 'bytes',
    LastModified: new Date(version.modified),
    ETag: version.etag,
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

/** Names of the query that replace headers of the response, by the member of the output. */
const RESPONSE_OVERRIDES = {
  ContentType: 'response-content-type',
  ContentDisposition: 'response-content-disposition',
  CacheControl: 'response-cache-control',
  ContentEncoding: 'response-content-encoding',
  ContentLanguage: 'response-content-language',
  Expires: 'response-expires',
};

/**
 * Returns the headers of a response that the query of the request replaces.
 *
 * @throws AwsError InvalidArgument for a value that a header cannot contain.
 */
function responseOverridesOf(input: Record<string, unknown>): Record<string, string> {
  const overrides: [member: string, value: string][] = [];
  for (const [member, argument] of Object.entries(RESPONSE_OVERRIDES)) {
    const value = input[`Response${member}`];
    if (typeof value !== 'string') continue;
    // LocalStack's provider, from its recordings of AWS
    if (!/^[\t -~\u00a0-\u00ff]*$/.test(value))
      throw invalidArgumentError('Header value cannot be represented using ISO-8859-1.', argument, value);
    overrides.push([member, value]);
  }
  return Object.fromEntries(overrides);
}

interface DeleteRequest {
  Key: string;
  VersionId?: string | undefined;
  IfMatch?: string | undefined;
  BypassGovernanceRetention?: boolean | undefined;
}

/**
 * Deletes a version, or adds a delete marker, after checks of access and of the condition If-Match. Object Lock prevents
 * only the deletion of a version.
 */
function deleteObject(
  call: Call,
  bucket: BucketState,
  { Key: key, VersionId: versionId, IfMatch: ifMatch, BypassGovernanceRetention }: DeleteRequest,
): { VersionId?: string; DeleteMarker?: boolean } {
  checkBucketAccess(call, bucket, objectAction('s3:DeleteObject', versionId), key, versionId);
  checkDeleteConditions(call, bucket, { key, versionId, ifMatch });
  if (versionId !== undefined) {
    const version = findVersion(bucket, key, versionId);
    if (version) checkDeletable(call, bucket, version, BypassGovernanceRetention === true);
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
  };
  addVersion(call.store, bucket, deleteMarker);
  call.replicator.enqueue(bucket, deleteMarker);
  return { DeleteMarker: true, VersionId: deleteMarker.versionId };
}

interface ByteRange {
  start: number;
  end: number;
}

/**
 * Returns the part of an object that a GET or HEAD selects by Range or partNumber, and the fields that describe it. A
 * checksum of the whole object describes no other content.
 *
 * @throws AwsError when the range or the part does not exist.
 */
function selectContent(
  version: VersionState,
  input: { Range?: string; PartNumber?: number; ChecksumMode?: string },
) {
  const { size, parts, checksum } = version;
  if (input.Range !== undefined && input.PartNumber !== undefined)
    throw invalidRequestError('Cannot specify both Range header and partNumber query parameter');
  const range =
    input.PartNumber === undefined ? parseRange(input.Range, size) : rangeOfPart(version, input.PartNumber);
  return {
    range,
    output: {
      ContentLength: range ? range.end - range.start + 1 : size,
      ...(range && { ContentRange: `bytes ${range.start}-${range.end}/${size}` }),
      ...(parts && input.PartNumber !== undefined ? { PartsCount: parts.length } : {}),
      ...(checksum && input.ChecksumMode?.toUpperCase() === 'ENABLED'
        ? toContentChecksum(version, checksum, range, input.PartNumber)
        : {}),
    },
  };
}

function toContentChecksum(
  { size, parts }: VersionState,
  checksum: ObjectChecksum,
  range: ByteRange | undefined,
  partNumber: number | undefined,
) {
  const partChecksum = parts?.find(({ number }) => number === partNumber)?.checksum;
  if (partChecksum !== undefined) return toChecksumOutput({ ...checksum, value: partChecksum });
  return range && range.end - range.start + 1 < size ? {} : toChecksumOutput(checksum);
}

/** Returns the bytes of a part. An object of a single put is one part. */
function rangeOfPart({ size, parts }: VersionState, partNumber: number): ByteRange | undefined {
  checkPartNumber(partNumber);
  const sizes = parts ?? [{ number: 1, size }];
  const index = sizes.findIndex(({ number }) => number === partNumber);
  const part = sizes[index];
  if (!part) {
    throw new AwsError(416, 'InvalidPartNumber', 'The requested partnumber is not satisfiable', {
      PartNumberRequested: String(partNumber),
      ActualPartCount: String(sizes.length),
    });
  }
  const start = sizes.slice(0, index).reduce((sum, previous) => sum + previous.size, 0);
  // An empty part has no bytes that a Content-Range could name.
  return part.size === 0 ? undefined : { start, end: start + part.size - 1 };
}

/** Parses a Range header. S3 ignores a header that is not one range of bytes. */
function parseRange(range: string | undefined, size: number): ByteRange | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? [];
  if (range === undefined || (first === '' && last === '')) return undefined;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (start < size && start <= end) return { start, end };
  throw new AwsError(416, 'InvalidRange', 'The requested range is not satisfiable', {
    RangeRequested: range,
    ActualObjectSize: String(size),
  });
}
