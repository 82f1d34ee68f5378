import { createHash, randomBytes } from 'node:crypto';
import { decryptAead, encryptAead } from '../aead.ts';
import { AwsError, invalidRequestError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import {
  badChecksumError,
  type ChecksumType,
  checksumAlgorithmOf,
  checksumOfHeaders,
  DEFAULT_CHECKSUM_ALGORITHM,
} from '../protocol/checksums.ts';
import { malformedXmlError } from '../protocol/rest-xml.ts';
import type {
  BucketState,
  ObjectChecksum,
  ObjectEncryption,
  ObjectPart,
  RetentionState,
  UploadPartState,
  UploadState,
  VersionState,
} from '../state.ts';
import { canonicalUserIdOf, getAuthorizedBucket, invalidArgumentError } from './access.ts';
import { checkObjectAcl } from './acls.ts';
import {
  type CustomerKey,
  createCustomerDataKey,
  customerKeyOfPart,
  customerKeyOfWrite,
  toCustomerKeyOutput,
} from './customer-keys.ts';
import { chooseEncryption, type DataKey } from './encryption.ts';
import {
  checkListArgument,
  commonPrefixOf,
  createKeyEncoder,
  objectOwnerOf,
  pageSizeOf,
} from './list-objects.ts';
import { objectLockOfRequest, requireLockChecksum } from './object-lock.ts';
import { checkWriteConditions, currentObjectOf } from './preconditions.ts';
import { checkStorageClass } from './storage-classes.ts';
import {
  checkMetadataSize,
  checkPartNumber,
  computeChecksum,
  computeEtag,
  type ObjectRequest,
  readCopySource,
  storeObject,
  toStoredOutput,
} from './store-object.ts';
import type { ObjectLock } from './versions.ts';

/** Handlers of multipart uploads, limited to the features that the AWS CLI and the SDKs use. */
export const multipartHandlers: Handlers = {
  CreateMultipartUpload(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    checkObjectAcl(call, bucket, input.Key, input);
    checkMetadataSize(input.Metadata);
    checkStorageClass(input.StorageClass);
    objectLockOfRequest(call, bucket, input.Key, input);
    const checksum = chooseUploadChecksum(input);
    const customerKey = customerKeyOfWrite(call, bucket, input.Key, input);
    const customerDataKey = customerKey && createCustomerDataKey(customerKey);
    const encryptionChoice = chooseEncryption(
      input,
      bucket,
      call.keyService,
      call.caller.account,
      customerDataKey,
    );
    const request = { ...input };
    // S3 stores no key of the caller.
    for (const name of ['Body', 'Bucket', 'SSECustomerKey', 'SSECustomerKeyMD5']) delete request[name];
    const upload: UploadState = {
      id: randomBytes(24).toString('base64url'),
      key: input.Key,
      initiated: call.now,
      keyExisted: currentObjectOf(bucket, input.Key) !== undefined,
      initiator: initiatorOf(call),
      // A later change of the bucket's default encryption does not change the upload.
      request: {
        ...request,
        ServerSideEncryption: encryptionChoice.algorithm,
        SSEKMSKeyId: encryptionChoice.keyArn,
        BucketKeyEnabled: encryptionChoice.bucketKey,
      },
      requested: request,
      ...(checksum && { checksum }),
      material: (customerDataKey?.plaintext ?? randomBytes(32)).toString('base64'),
      ...(customerDataKey && { wrapped: customerDataKey.wrapped }),
      parts: new Map(),
    };
    bucket.uploads.set(upload.id, upload);
    call.store.markUploadChanged(bucket, upload.id);
    return {
      Bucket: bucket.name,
      Key: upload.key,
      UploadId: upload.id,
      ...toUploadEncryptionOutput(upload, customerKey),
      ChecksumAlgorithm: checksum?.algorithm,
      ChecksumType: checksum?.type,
    };
  },

  UploadPart(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    const upload = getUpload(bucket, input);
    checkPartNumber(input.PartNumber);
    const customerKey = customerKeyOfPart(call, bucket, upload, input);
    requireLockChecksum(call, bucket, objectLockOfUpload(upload), 'Upload Part');
    const body: Buffer = Buffer.isBuffer(input.Body) ? input.Body : Buffer.from(input.Body ?? '');
    const checksum = checksumOfHeaders(call.headers);
    const { algorithm } = upload.checksum ?? {};
    if (algorithm !== undefined && checksum?.algorithm.name !== algorithm) {
      throw invalidRequestError(
        `Checksum Type mismatch occurred, expected checksum Type: ${algorithm.toLowerCase()}, actual checksum Type: ${checksum?.algorithm.name.toLowerCase() ?? 'null'}`,
      );
    }
    const { etag } = storePart(call, bucket, upload, input.PartNumber, body);
    return {
      ETag: etag,
      ...(checksum && { [`Checksum${checksum.algorithm.name}`]: checksum.value }),
      ...toUploadEncryptionOutput(upload, customerKey),
    };
  },

  UploadPartCopy(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    const upload = getUpload(bucket, input);
    checkPartNumber(input.PartNumber);
    const customerKey = customerKeyOfPart(call, bucket, upload, input);
    const { bucket: source, version, body } = readCopySource(call, input);
    const part = storePart(
      call,
      bucket,
      upload,
      input.PartNumber,
      selectCopyRange(body, input.CopySourceRange),
    );
    return {
      ...(source.versioning ? { CopySourceVersionId: version.versionId } : {}),
      ...toUploadEncryptionOutput(upload, customerKey),
      CopyPartResult: {
        ETag: part.etag,
        LastModified: new Date(call.now),
        ...toPartChecksum(upload, part),
      },
    };
  },

  CompleteMultipartUpload(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    const requestedParts: RequestedPart[] = input.MultipartUpload?.Parts ?? [];
    const completed = findCompletedVersion(bucket, input, requestedParts);
    if (completed) return toCompletionOutput(bucket, completed);
    const upload = getUpload(bucket, input);
    checkWriteConditions(call, bucket, input, upload);
    if (requestedParts.length === 0 || !requestedParts.every(({ PartNumber, ETag }) => PartNumber && ETag))
      throw malformedXmlError();
    checkChecksumMode(upload, input.ChecksumType);
    const parts = selectParts(upload, requestedParts);
    const body = Buffer.concat(parts.map(([, part]) => readPart(call, upload, part)));
    if (input.MpuObjectSize !== undefined && Number(input.MpuObjectSize) !== body.length) {
      throw invalidRequestError(
        `The provided 'x-amz-mp-object-size' header value ${input.MpuObjectSize} does not match what was computed: ${body.length}`,
      );
    }
    const checksum = computeUploadChecksum(upload, parts, body);
    checkExpectedChecksum(call, checksum, input.ChecksumType);
    storeObject(call, bucket, upload.key, body, upload.request as ObjectRequest, {
      checksum,
      etag: computeUploadEtag(parts),
      parts: parts.map(
        ([number, part]): ObjectPart => ({
          number,
          size: part.size,
          ...(checksum.type === 'COMPOSITE' && part.checksum !== undefined
            ? { checksum: part.checksum }
            : {}),
        }),
      ),
      upload: { id: input.UploadId, partEtags: requestedParts.map(({ ETag }) => ETag) },
      customerDataKey: customerDataKeyOfUpload(upload),
      lock: objectLockOfUpload(upload),
    });
    removeUpload(call, bucket, upload);
    const [version] = bucket.objects.get(upload.key) ?? [];
    if (!version) throw new Error(`${upload.key} was not stored`);
    return toCompletionOutput(bucket, version);
  },

  AbortMultipartUpload(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:AbortMultipartUpload', input.Key);
    removeUpload(call, bucket, getUpload(bucket, input));
    return {};
  },

  ListParts(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:ListMultipartUploadParts', input.Key);
    const upload = getUpload(bucket, input);
    const maxParts = pageSizeOf(input.MaxParts, 'max-parts');
    const marker = parsePartNumberMarker(input.PartNumberMarker);
    const remainingParts = [...upload.parts].sort(([a], [b]) => a - b).filter(([number]) => number > marker);
    const page = remainingParts.slice(0, maxParts);
    return {
      Bucket: bucket.name,
      Key: upload.key,
      UploadId: upload.id,
      ...toUploadOutput(bucket, upload),
      PartNumberMarker: String(marker),
      // fact: localstack/s3.list_parts/test_list_parts_pagination#list-parts-wrong-part
      NextPartNumberMarker: String(page.at(-1)?.[0] ?? 0),
      MaxParts: maxParts,
      IsTruncated: page.length < remainingParts.length,
      Parts: page.map(([PartNumber, part]) => ({
        PartNumber,
        LastModified: new Date(part.modified),
        ETag: part.etag,
        Size: part.size,
        ...toPartChecksum(upload, part),
      })),
    };
  },

  ListMultipartUploads(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:ListBucketMultipartUploads');
    const maxUploads = pageSizeOf(input.MaxUploads, 'max-uploads');
    const encode = createKeyEncoder(input.EncodingType);
    const { uploads, prefixes, isTruncated } = listUploads(bucket, input, maxUploads);
    const last = uploads.at(-1);
    return {
      Bucket: bucket.name,
      KeyMarker: encode(input.KeyMarker ?? ''),
      UploadIdMarker: input.KeyMarker ? (input.UploadIdMarker ?? '') : '',
      // fact: localstack/s3.list_multipart_uploads/test_list_multipart_uploads_parameters: also on the last page
      NextKeyMarker: encode(last?.key ?? ''),
      NextUploadIdMarker: last?.id ?? '',
      Prefix: input.Prefix ? encode(input.Prefix) : undefined,
      Delimiter: input.Delimiter ? encode(input.Delimiter) : undefined,
      EncodingType: input.EncodingType,
      MaxUploads: maxUploads,
      IsTruncated: isTruncated,
      Uploads: uploads.map((upload) => ({
        UploadId: upload.id,
        Key: encode(upload.key),
        Initiated: new Date(upload.initiated),
        ...toUploadOutput(bucket, upload),
      })),
      CommonPrefixes: prefixes.map((Prefix) => ({ Prefix: encode(Prefix) })),
    };
  },
};

/**
 * Returns the algorithm and type of the checksum that a client chose, or undefined if it chose none.
 *
 * @throws AwsError InvalidRequest when S3 does not support the combination.
 */
function chooseUploadChecksum(input: {
  ChecksumAlgorithm?: string;
  ChecksumType?: ChecksumType;
}): UploadState['checksum'] {
  if (input.ChecksumAlgorithm === undefined) {
    if (input.ChecksumType === undefined) return undefined;
    throw invalidRequestError(
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    );
  }
  const { name, multipartTypes } = checksumAlgorithmOf(input.ChecksumAlgorithm);
  const type = input.ChecksumType ?? multipartTypes[0] ?? 'COMPOSITE';
  if (multipartTypes.includes(type)) return { algorithm: name, type };
  throw invalidRequestError(
    `The ${type} checksum type cannot be used with the ${name.toLowerCase()} checksum algorithm.`,
  );
}

/** Checks that the client completes an upload with the type of checksum that it chose when it created the upload. */
function checkChecksumMode({ checksum }: UploadState, type: ChecksumType | undefined): void {
  if (type === undefined || type === checksum?.type) return;
  throw invalidRequestError(
    `The upload was created using the ${checksum?.type ?? 'null'} checksum mode. The complete request must use the same checksum mode.`,
  );
}

interface RequestedPart {
  PartNumber: number;
  ETag: string;
  [checksum: `Checksum${string}`]: string | undefined;
}

type NumberedPart = [number: number, part: UploadPartState];

/**
 * Returns the parts that a client completes an upload with.
 *
 * @throws AwsError when a part is missing, too small, out of order, or has another ETag or checksum.
 */
function selectParts(upload: UploadState, requestedParts: RequestedPart[]): NumberedPart[] {
  const lastNumber = requestedParts.at(-1)?.PartNumber;
  let previousNumber = 0;
  return requestedParts.map((requestedPart): NumberedPart => {
    const { PartNumber } = requestedPart;
    if (PartNumber <= previousNumber) {
      throw new AwsError(
        400,
        'InvalidPartOrder',
        'The list of parts was not in ascending order. Parts must be ordered by part number.',
        { UploadId: upload.id },
      );
    }
    previousNumber = PartNumber;
    const part = upload.parts.get(PartNumber);
    if (!part || part.etag.replaceAll('"', '') !== requestedPart.ETag.replaceAll('"', ''))
      throw invalidPartError(upload, requestedPart);
    checkPartChecksum(upload, part, requestedPart);
    if (part.size < MIN_PART_BYTES && PartNumber !== lastNumber) {
      throw new AwsError(
        400,
        'EntityTooSmall',
        'Your proposed upload is smaller than the minimum allowed size',
        {
          ETag: part.etag.replaceAll('"', ''),
          PartNumber: String(PartNumber),
          MinSizeAllowed: String(MIN_PART_BYTES),
          ProposedSize: String(part.size),
        },
      );
    }
    return [PartNumber, part];
  });
}

const MIN_PART_BYTES = 5 * 1024 * 1024;

/** Checks the checksum of a part in a request to complete. A composite checksum requires that of each part. */
function checkPartChecksum(upload: UploadState, part: UploadPartState, requestedPart: RequestedPart): void {
  const requestedChecksums = Object.entries(requestedPart).filter(([name]) => name.startsWith('Checksum'));
  if (!upload.checksum) {
    if (requestedChecksums.length > 0) throw invalidPartError(upload, requestedPart);
    return;
  }
  const { algorithm, type } = upload.checksum;
  const value = requestedPart[`Checksum${algorithm}`];
  if (value !== undefined && value !== part.checksum) throw invalidPartError(upload, requestedPart);
  if (value !== undefined || type === 'FULL_OBJECT') return;
  const [otherName] = requestedChecksums[0] ?? [];
  if (otherName !== undefined) {
    throw new AwsError(
      400,
      'BadDigest',
      `The ${otherName.slice('Checksum'.length).toLowerCase()} you specified for part ${requestedPart.PartNumber} did not match what we received.`,
    );
  }
  throw invalidRequestError(
    `The upload was created using a ${algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${requestedPart.PartNumber} in the request.`,
  );
}

const invalidPartError = ({ id }: UploadState, { PartNumber, ETag }: RequestedPart): AwsError =>
  new AwsError(
    400,
    'InvalidPart',
    "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    { UploadId: id, PartNumber: String(PartNumber), ETag: ETag.replaceAll('"', '') },
  );

/** Returns the checksum of a completed upload: of the whole object, or of the checksums of the parts. */
function computeUploadChecksum(upload: UploadState, parts: NumberedPart[], body: Buffer): ObjectChecksum {
  const { algorithm, type } = upload.checksum ?? { algorithm: DEFAULT_CHECKSUM_ALGORITHM };
  if (type !== 'COMPOSITE') return computeChecksum(body, algorithm);
  const partChecksums = parts.map(([, { checksum = '' }]) => Buffer.from(checksum, 'base64'));
  const value = checksumAlgorithmOf(algorithm).compute(Buffer.concat(partChecksums));
  return { algorithm, type, value: `${value}-${parts.length}` };
}

/**
 * Checks the checksum of the object that a client expects. Without x-amz-checksum-type S3 takes the value for that of
 * the default type of the algorithm.
 */
function checkExpectedChecksum(
  { headers }: Call,
  { algorithm, type, value }: ObjectChecksum,
  expectedType: ChecksumType | undefined,
): void {
  const expected = checksumOfHeaders(
    Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, text.replace(/-\d+$/, '')])),
  );
  if (!expected) return;
  const isSameType = type === (expectedType ?? checksumAlgorithmOf(algorithm).multipartTypes[0]);
  const isSame = expected.algorithm.name === algorithm && expected.value === value.replace(/-\d+$/, '');
  if (!isSameType || !isSame) throw badChecksumError(algorithm.toLowerCase());
}

/**
 * Returns the version that an earlier CompleteMultipartUpload with the same parts wrote. S3 answers a repeated request as
 * the first, because a client repeats it when it lost the response (S3 API Reference, CompleteMultipartUpload: the
 * operation is idempotent; moto's test_idempotent_multipart_upload, verified against AWS).
 */
const findCompletedVersion = (
  bucket: BucketState,
  { Key, UploadId }: { Key: string; UploadId: string },
  requestedParts: readonly RequestedPart[],
): VersionState | undefined =>
  bucket.objects
    .get(Key)
    ?.find(
      ({ upload }) =>
        upload?.id === UploadId &&
        upload.partEtags.length === requestedParts.length &&
        upload.partEtags.every((etag, index) => etag === requestedParts[index]?.ETag),
    );

function toCompletionOutput(bucket: BucketState, version: VersionState) {
  const output = toStoredOutput(bucket, version);
  return {
    ...output,
    // LocalStack's provider, from its recordings of AWS: under SSE-KMS this response contains no checksum.
    ...(output.ServerSideEncryption === 'AES256'
      ? {}
      : { [`Checksum${version.checksum?.algorithm}`]: undefined, ChecksumType: undefined }),
    Bucket: bucket.name,
    Key: version.key,
    Location: `https://${bucket.name}.s3.${bucket.region}.amazonaws.com/${encodeURIComponent(version.key)}`,
  };
}

/** Returns the ETag of a multipart upload: the MD5 of the ETags of its parts, and their number. */
function computeUploadEtag(parts: NumberedPart[]): string {
  const digest = createHash('md5');
  for (const [, { etag }] of parts) digest.update(Buffer.from(etag.replaceAll('"', ''), 'hex'));
  return `"${digest.digest('hex')}-${parts.length}"`;
}

function getUpload(bucket: BucketState, { UploadId, Key }: { UploadId: string; Key: string }): UploadState {
  const upload = bucket.uploads.get(UploadId);
  if (upload?.key === Key) return upload;
  throw new AwsError(
    404,
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
    { UploadId },
  );
}

/** Returns the bytes of a copy source that a range selects. */
function selectCopyRange(body: Buffer, range: string | undefined): Buffer {
  if (range === undefined) return body;
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
  if (first === undefined || Number(first) > Number(last)) {
    throw invalidArgumentError(
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
      'x-amz-copy-source-range',
      range,
    );
  }
  if (Number(last) < body.length) return body.subarray(Number(first), Number(last) + 1);
  throw invalidArgumentError(
    `Range specified is not valid for source object of size: ${body.length}`,
    'x-amz-copy-source-range',
    range,
  );
}

/** Stores a part, encrypted with a key of the upload until the upload completes. */
function storePart(
  call: Call,
  bucket: BucketState,
  upload: UploadState,
  number: number,
  body: Buffer,
): UploadPartState {
  const previousPart = upload.parts.get(number);
  if (previousPart) call.store.removeBlob(previousPart.blob);
  const { iv, tag, data } = encryptAead(Buffer.from(upload.material, 'base64'), body);
  const part: UploadPartState = {
    blob: call.store.putBlob(data),
    size: body.length,
    etag: computeEtag(body, {
      algorithm: upload.request.ServerSideEncryption as ObjectEncryption['algorithm'],
      customerKey: upload.wrapped !== undefined,
    }),
    ...(upload.checksum && { checksum: checksumAlgorithmOf(upload.checksum.algorithm).compute(body) }),
    modified: call.now,
    iv,
    tag,
  };
  upload.parts.set(number, part);
  call.store.markUploadChanged(bucket, upload.id);
  return part;
}

const readPart = (call: Call, upload: UploadState, { iv, tag, blob }: UploadPartState): Buffer =>
  decryptAead(Buffer.from(upload.material, 'base64'), { iv, tag, data: call.store.getBlob(blob) });

function removeUpload(call: Call, bucket: BucketState, upload: UploadState): void {
  for (const { blob } of upload.parts.values()) call.store.removeBlob(blob);
  bucket.uploads.delete(upload.id);
  call.store.markUploadChanged(bucket, upload.id);
}

/** Returns a page of the uploads of a bucket, by key and time of initiation. */
function listUploads(
  bucket: BucketState,
  input: { Prefix?: string; Delimiter?: string; KeyMarker?: string; UploadIdMarker?: string },
  maxUploads: number,
): { uploads: UploadState[]; prefixes: string[]; isTruncated: boolean } {
  const uploads: UploadState[] = [];
  const prefixes: string[] = [];
  for (const upload of uploadsAfterMarker(bucket, input)) {
    const commonPrefix = commonPrefixOf(upload.key, input.Prefix, input.Delimiter);
    const isListed =
      commonPrefix !== undefined &&
      (prefixes.includes(commonPrefix) || (input.KeyMarker ?? '').startsWith(commonPrefix));
    if (isListed) continue;
    if (uploads.length + prefixes.length === maxUploads)
      return { uploads, prefixes, isTruncated: maxUploads > 0 };
    if (commonPrefix === undefined) uploads.push(upload);
    else prefixes.push(commonPrefix);
  }
  return { uploads, prefixes, isTruncated: false };
}

/** Returns the uploads with the prefix, sorted, that come after the marker. */
function uploadsAfterMarker(
  { uploads }: BucketState,
  {
    Prefix = '',
    KeyMarker,
    UploadIdMarker,
  }: { Prefix?: string; KeyMarker?: string; UploadIdMarker?: string },
): UploadState[] {
  const sortedUploads = [...uploads.values()]
    .filter(({ key }) => key.startsWith(Prefix))
    .sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) || a.initiated - b.initiated);
  if (!KeyMarker) return sortedUploads;
  const markerIndex = UploadIdMarker
    ? sortedUploads.findIndex(({ key, id }) => key === KeyMarker && id === UploadIdMarker)
    : -1;
  if (UploadIdMarker && markerIndex < 0)
    throw invalidArgumentError('Invalid uploadId marker', 'upload-id-marker', UploadIdMarker);
  if (markerIndex >= 0) return sortedUploads.slice(markerIndex + 1);
  return sortedUploads.filter(({ key }) => Buffer.compare(Buffer.from(key), Buffer.from(KeyMarker)) > 0);
}

/** Parses a marker, which the model of the SDK declares as text. An empty one counts as absent. */
function parsePartNumberMarker(marker = ''): number {
  checkListArgument(Number(marker), 'part-number-marker', marker);
  return Number(marker);
}

/** Returns the initiator of an upload: an account by its canonical user id, or a session by its ARN. */
function initiatorOf({ caller }: Call): { ID: string; DisplayName?: string } {
  if (caller.arn.endsWith(':root')) return { ID: canonicalUserIdOf(caller.account) };
  return { ID: caller.arn, DisplayName: caller.arn.slice(caller.arn.lastIndexOf('/') + 1) };
}

/** Returns the fields of an upload that both lists contain. */
const toUploadOutput = (bucket: BucketState, { initiator, request, checksum }: UploadState) => ({
  Initiator: initiator,
  Owner: objectOwnerOf(bucket, {}),
  StorageClass: String(request.StorageClass ?? 'STANDARD'),
  ChecksumAlgorithm: checksum?.algorithm,
  ChecksumType: checksum?.type,
});

/** Returns the checksum of a part, if the client chose an algorithm for the upload. */
const toPartChecksum = ({ checksum }: UploadState, part: UploadPartState) =>
  checksum && part.checksum !== undefined ? { [`Checksum${checksum.algorithm}`]: part.checksum } : {};

/** Returns the encryption fields of a response for an upload. For SSE-C the response confirms the key of the caller. */
const toUploadEncryptionOutput = ({ request }: UploadState, customerKey: CustomerKey | undefined) =>
  customerKey
    ? toCustomerKeyOutput(customerKey)
    : {
        ServerSideEncryption: request.ServerSideEncryption,
        SSEKMSKeyId: request.SSEKMSKeyId,
        BucketKeyEnabled: request.BucketKeyEnabled || undefined,
      };

/** Returns the retention and legal hold that the start of an upload requested. */
function objectLockOfUpload({ request }: UploadState): ObjectLock {
  const { ObjectLockMode, ObjectLockRetainUntilDate, ObjectLockLegalHoldStatus } = request as {
    ObjectLockMode?: RetentionState['mode'];
    ObjectLockRetainUntilDate?: Date | string;
    ObjectLockLegalHoldStatus?: 'ON' | 'OFF';
  };
  return {
    ...(ObjectLockMode === undefined || ObjectLockRetainUntilDate === undefined
      ? {}
      : {
          // The folder store returns dates as text.
          retention: { mode: ObjectLockMode, until: new Date(ObjectLockRetainUntilDate).getTime() },
        }),
    ...(ObjectLockLegalHoldStatus === undefined ? {} : { legalHold: ObjectLockLegalHoldStatus }),
  };
}

/** Returns the data key of an upload with SSE-C. */
const customerDataKeyOfUpload = ({ material, wrapped }: UploadState): DataKey | undefined =>
  wrapped === undefined ? undefined : { plaintext: Buffer.from(material, 'base64'), wrapped };
