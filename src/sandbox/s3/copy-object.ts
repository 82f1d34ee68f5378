import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import type { BucketState, VersionState } from '../state.ts';
import { checkBucketAccess, getAuthorizedBucket, invalidArgumentError, noSuchBucketError } from './access.ts';
import { decryptObject } from './encryption.ts';
import { storeObject } from './store-object.ts';
import { getReadableVersion } from './versions.ts';

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

/** The version that a copy is made from, which the caller must be allowed to read. */
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
