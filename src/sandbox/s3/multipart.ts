import { createHash, randomBytes } from 'node:crypto';
import { decryptAead, encryptAead } from '../aead.ts';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { malformedXmlError } from '../protocol/rest-xml.ts';
import type { BucketState, UploadState } from '../state.ts';
import { getAuthorizedBucket } from './access.ts';
import { chooseEncryption } from './encryption.ts';
import { type ObjectRequest, readCopySource, storeObject } from './store-object.ts';

/** Handlers of multipart uploads, limited to the features that the AWS CLI and the SDKs use. */
export const multipartHandlers: Handlers = {
  CreateMultipartUpload(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    const encryptionChoice = chooseEncryption(input, bucket, call.keyService, call.caller.account);
    const { Body: _, Bucket: __, ...request } = input;
    const upload: UploadState = {
      id: randomBytes(24).toString('base64url'),
      key: input.Key,
      initiated: call.now,
      request,
      material: randomBytes(32).toString('base64'),
      parts: new Map(),
    };
    bucket.uploads.set(upload.id, upload);
    call.store.markUploadChanged(bucket, upload.id);
    return {
      Bucket: bucket.name,
      Key: upload.key,
      UploadId: upload.id,
      ServerSideEncryption: encryptionChoice.algorithm,
      SSEKMSKeyId: encryptionChoice.keyArn,
      BucketKeyEnabled: encryptionChoice.bucketKey || undefined,
      ChecksumAlgorithm: input.ChecksumAlgorithm,
      ChecksumType: input.ChecksumType,
    };
  },

  UploadPart(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    const body: Buffer = Buffer.isBuffer(input.Body) ? input.Body : Buffer.from(input.Body ?? '');
    const etag = storePart(call, bucket, getUpload(bucket, input.UploadId), input.PartNumber, body);
    const { ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 } = input;
    return { ETag: etag, ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 };
  },

  UploadPartCopy(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    const upload = getUpload(bucket, input.UploadId);
    const { body } = readCopySource(call, input.CopySource);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(input.CopySourceRange ?? '') ?? [];
    const part = first === undefined ? body : body.subarray(Number(first), Number(last) + 1);
    const ETag = storePart(call, bucket, upload, input.PartNumber, part);
    return { CopyPartResult: { ETag, LastModified: new Date(call.now) } };
  },

  CompleteMultipartUpload(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObject', input.Key);
    const upload = getUpload(bucket, input.UploadId);
    const requestedParts: { PartNumber: number; ETag: string }[] = input.MultipartUpload?.Parts ?? [];
    if (requestedParts.length === 0) throw malformedXmlError();
    const bodies: Buffer[] = [];
    const digest = createHash('md5');
    let previousPartNumber = 0;
    for (const { PartNumber, ETag } of requestedParts) {
      if (PartNumber <= previousPartNumber) {
        throw new AwsError(
          400,
          'InvalidPartOrder',
          'The list of parts was not in ascending order. Parts must be ordered by part number.',
          { UploadId: upload.id },
        );
      }
      previousPartNumber = PartNumber;
      const part = upload.parts.get(PartNumber);
      if (!part || part.etag.replaceAll('"', '') !== ETag.replaceAll('"', '')) {
        throw new AwsError(
          400,
          'InvalidPart',
          "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
          { UploadId: upload.id, PartNumber: String(PartNumber) },
        );
      }
      if (part.size < 5 * 1024 * 1024 && PartNumber !== requestedParts.at(-1)?.PartNumber) {
        throw new AwsError(
          400,
          'EntityTooSmall',
          'Your proposed upload is smaller than the minimum allowed size',
        );
      }
      bodies.push(
        decryptAead(Buffer.from(upload.material, 'base64'), {
          iv: part.iv,
          tag: part.tag,
          data: call.store.getBlob(part.blob),
        }),
      );
      digest.update(Buffer.from(part.etag.replaceAll('"', ''), 'hex'));
    }
    const output = storeObject(
      call,
      bucket,
      upload.key,
      Buffer.concat(bodies),
      upload.request as ObjectRequest,
      {
        checksums: {},
        etag: `"${digest.digest('hex')}-${requestedParts.length}"`,
      },
    );
    removeUpload(call, bucket, upload);
    return {
      ...output,
      Bucket: bucket.name,
      Key: upload.key,
      Location: `http://${bucket.name}.s3.amazonaws.com/${upload.key}`,
    };
  },

  AbortMultipartUpload(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:AbortMultipartUpload', input.Key);
    removeUpload(call, bucket, getUpload(bucket, input.UploadId));
    return {};
  },

  ListParts(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:ListMultipartUploadParts', input.Key);
    const upload = getUpload(bucket, input.UploadId);
    const parts = [...upload.parts].sort(([a], [b]) => a - b);
    return {
      Bucket: bucket.name,
      Key: upload.key,
      UploadId: upload.id,
      IsTruncated: false,
      Parts: parts.map(([PartNumber, part]) => ({
        PartNumber,
        ETag: part.etag,
        Size: part.size,
        LastModified: new Date(part.modified),
      })),
    };
  },

  ListMultipartUploads(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:ListBucketMultipartUploads');
    return {
      Bucket: bucket.name,
      IsTruncated: false,
      Uploads: [...bucket.uploads.values()]
        .filter(({ key }) => key.startsWith(input.Prefix ?? ''))
        .map(({ id, key, initiated }) => ({ UploadId: id, Key: key, Initiated: new Date(initiated) })),
    };
  },
};

function getUpload(bucket: BucketState, id: string): UploadState {
  const upload = bucket.uploads.get(id);
  if (upload) return upload;
  throw new AwsError(
    404,
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
    { UploadId: id },
  );
}

/** Stores a part, encrypted with a key of the upload until the upload completes, and returns the part's ETag. */
function storePart(
  call: Call,
  bucket: BucketState,
  upload: UploadState,
  number: number,
  body: Buffer,
): string {
  const previousPart = upload.parts.get(number);
  if (previousPart) call.store.removeBlob(previousPart.blob);
  const { iv, tag, data } = encryptAead(Buffer.from(upload.material, 'base64'), body);
  const etag = `"${createHash('md5').update(body).digest('hex')}"`;
  upload.parts.set(number, {
    blob: call.store.putBlob(data),
    size: body.length,
    etag,
    modified: call.now,
    iv,
    tag,
  });
  call.store.markUploadChanged(bucket, upload.id);
  return etag;
}

function removeUpload(call: Call, bucket: BucketState, upload: UploadState): void {
  for (const { blob } of upload.parts.values()) call.store.removeBlob(blob);
  bucket.uploads.delete(upload.id);
  call.store.markUploadChanged(bucket, upload.id);
}
