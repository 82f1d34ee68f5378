import { createHash } from 'node:crypto';
import { AwsError } from '../aws-error.ts';
import type { Call } from '../call.ts';
import type { BucketState, VersionState } from '../state.ts';
import { invalidArgumentError } from './access.ts';
import { checkTagSet } from './bucket-settings.ts';
import { chooseEncryption, encryptObject, toEncryptionOutput } from './encryption.ts';
import { addVersion, nextVersionId } from './versions.ts';

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

/** The MD5 of the bytes for SSE-S3; for KMS it is none, and says nothing of them. */
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
