import { createHash, randomBytes } from 'node:crypto';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { malformedXml } from '../protocol/rest-xml.ts';
import { seal, unseal } from '../sealed.ts';
import type { BucketState, UploadState } from '../state.ts';
import { copySource } from './copy.ts';
import { chooseEncryption } from './encryption.ts';
import { type ObjectRequest, put } from './put.ts';
import { bucketOf } from './requests.ts';

/** Uploads in parts, as far as the AWS CLI and the SDKs use them. */
export const multipartHandlers: Handlers = {
  CreateMultipartUpload(call, input) {
    const bucket = bucketOf(call, input, 's3:PutObject', input.Key);
    const choice = chooseEncryption(input, bucket, call.keys, call.caller.account);
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
    call.store.changed(bucket);
    return {
      Bucket: bucket.name,
      Key: upload.key,
      UploadId: upload.id,
      ServerSideEncryption: choice.algorithm,
      SSEKMSKeyId: choice.keyArn,
      BucketKeyEnabled: choice.bucketKey || undefined,
      ChecksumAlgorithm: input.ChecksumAlgorithm,
      ChecksumType: input.ChecksumType,
    };
  },

  UploadPart(call, input) {
    const bucket = bucketOf(call, input, 's3:PutObject', input.Key);
    const body: Buffer = Buffer.isBuffer(input.Body) ? input.Body : Buffer.from(input.Body ?? '');
    const etag = addPart(call, bucket, uploadOf(bucket, input.UploadId), input.PartNumber, body);
    const { ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 } = input;
    return { ETag: etag, ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 };
  },

  UploadPartCopy(call, input) {
    const bucket = bucketOf(call, input, 's3:PutObject', input.Key);
    const upload = uploadOf(bucket, input.UploadId);
    const { body } = copySource(call, input.CopySource);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(input.CopySourceRange ?? '') ?? [];
    const part = first === undefined ? body : body.subarray(Number(first), Number(last) + 1);
    const ETag = addPart(call, bucket, upload, input.PartNumber, part);
    return { CopyPartResult: { ETag, LastModified: new Date(call.now) } };
  },

  CompleteMultipartUpload(call, input) {
    const bucket = bucketOf(call, input, 's3:PutObject', input.Key);
    const upload = uploadOf(bucket, input.UploadId);
    const listed: { PartNumber: number; ETag: string }[] = input.MultipartUpload?.Parts ?? [];
    if (listed.length === 0) throw malformedXml();
    const bodies: Buffer[] = [];
    const digest = createHash('md5');
    let before = 0;
    for (const { PartNumber, ETag } of listed) {
      if (PartNumber <= before) {
        throw new AwsError(
          400,
          'InvalidPartOrder',
          'The list of parts was not in ascending order. Parts must be ordered by part number.',
          { UploadId: upload.id },
        );
      }
      before = PartNumber;
      const part = upload.parts.get(PartNumber);
      if (!part || part.etag.replaceAll('"', '') !== ETag.replaceAll('"', '')) {
        throw new AwsError(
          400,
          'InvalidPart',
          "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
          { UploadId: upload.id, PartNumber: String(PartNumber) },
        );
      }
      if (part.size < 5 * 1024 * 1024 && PartNumber !== listed.at(-1)?.PartNumber) {
        throw new AwsError(
          400,
          'EntityTooSmall',
          'Your proposed upload is smaller than the minimum allowed size',
        );
      }
      bodies.push(
        unseal(Buffer.from(upload.material, 'base64'), {
          iv: part.iv,
          tag: part.tag,
          data: call.store.getBlob(part.blob),
        }),
      );
      digest.update(Buffer.from(part.etag.replaceAll('"', ''), 'hex'));
    }
    const answer = put(call, bucket, upload.key, Buffer.concat(bodies), upload.request as ObjectRequest, {
      checksums: {},
      etag: `"${digest.digest('hex')}-${listed.length}"`,
    });
    forget(call, bucket, upload);
    return {
      ...answer,
      Bucket: bucket.name,
      Key: upload.key,
      Location: `http://${bucket.name}.s3.amazonaws.com/${upload.key}`,
    };
  },

  AbortMultipartUpload(call, input) {
    const bucket = bucketOf(call, input, 's3:AbortMultipartUpload', input.Key);
    forget(call, bucket, uploadOf(bucket, input.UploadId));
    return {};
  },

  ListParts(call, input) {
    const bucket = bucketOf(call, input, 's3:ListMultipartUploadParts', input.Key);
    const upload = uploadOf(bucket, input.UploadId);
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
    const bucket = bucketOf(call, input, 's3:ListBucketMultipartUploads');
    return {
      Bucket: bucket.name,
      IsTruncated: false,
      Uploads: [...bucket.uploads.values()]
        .filter(({ key }) => key.startsWith(input.Prefix ?? ''))
        .map(({ id, key, initiated }) => ({ UploadId: id, Key: key, Initiated: new Date(initiated) })),
    };
  },
};

function uploadOf(bucket: BucketState, id: string): UploadState {
  const upload = bucket.uploads.get(id);
  if (upload) return upload;
  throw new AwsError(
    404,
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
    { UploadId: id },
  );
}

/** Parts lie encrypted under a key of the upload until they become an object. */
function addPart(call: Call, bucket: BucketState, upload: UploadState, number: number, body: Buffer): string {
  const before = upload.parts.get(number);
  if (before) call.store.removeBlob(before.blob);
  const { iv, tag, data } = seal(Buffer.from(upload.material, 'base64'), body);
  const etag = `"${createHash('md5').update(body).digest('hex')}"`;
  upload.parts.set(number, {
    blob: call.store.putBlob(data),
    size: body.length,
    etag,
    modified: call.now,
    iv,
    tag,
  });
  call.store.changed(bucket);
  return etag;
}

function forget(call: Call, bucket: BucketState, upload: UploadState): void {
  for (const { blob } of upload.parts.values()) call.store.removeBlob(blob);
  bucket.uploads.delete(upload.id);
  call.store.changed(bucket);
}
