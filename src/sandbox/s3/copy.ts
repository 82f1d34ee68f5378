import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import type { BucketState, VersionState } from '../state.ts';
import { decryptObject } from './encryption.ts';
import { put } from './put.ts';
import { bucketOf, checkAccess, invalidArgument, noSuchBucket } from './requests.ts';
import { readable } from './versions.ts';

export const copyHandlers: Handlers = {
  CopyObject(call, input) {
    const target = bucketOf(call, input, 's3:PutObject', input.Key);
    const { bucket: source, version, body } = copySource(call, input.CopySource);
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
};

/** The version that a copy is made from, which the caller must be allowed to read. */
export function copySource(
  call: Call,
  header: string,
): { bucket: BucketState; version: VersionState; body: Buffer } {
  const [path = '', versionId] = header.replace(/^\//, '').split('?versionId=');
  const [, name = '', key = ''] = /^([^/]+)\/(.+)$/s.exec(decoded(path)) ?? [];
  if (name === '') {
    const message = 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey';
    throw invalidArgument(message, 'x-amz-copy-source', header);
  }
  const bucket = call.store.bucket(name);
  if (!bucket) throw noSuchBucket(name);
  checkAccess(call, bucket, versionId ? 's3:GetObjectVersion' : 's3:GetObject', key);
  const version = readable(bucket, key, versionId || undefined, false);
  return { bucket, version, body: decryptObject(call.store, call.keys, bucket, version, call.caller.arn) };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new AwsError(400, 'InvalidURI', "Couldn't parse the specified URI.");
  }
}
