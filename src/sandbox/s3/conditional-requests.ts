import { AwsError } from '../aws-error.ts';
import type { BucketState, VersionState } from '../state.ts';
import { latestVersionOf } from './versions.ts';

/** If-None-Match: * and If-Match of a write. */
export function checkWriteConditions(
  bucket: BucketState,
  input: { Key: string; IfMatch?: string; IfNoneMatch?: string },
): void {
  const { IfMatch, IfNoneMatch } = input;
  if (IfMatch !== undefined && IfNoneMatch !== undefined)
    throw notImplementedError(
      'If-Match,If-None-Match',
      'Multiple conditional request headers present in the request',
    );
  const currentVersion = latestVersionOf(bucket, input.Key);
  const exists = currentVersion !== undefined && !currentVersion.deleteMarker;
  if (IfNoneMatch !== undefined) {
    if (IfNoneMatch !== '*')
      throw notImplementedError(
        'If-None-Match',
        "We don't accept the provided value of If-None-Match header for this API",
      );
    if (exists) throw preconditionFailedError('If-None-Match');
  }
  if (IfMatch !== undefined) {
    if (IfMatch === '*' && exists) return;
    if (!exists)
      throw new AwsError(404, 'NoSuchKey', 'The specified key does not exist.', { Key: input.Key });
    if (unquoteEtag(IfMatch) !== unquoteEtag(currentVersion.etag)) throw preconditionFailedError('If-Match');
  }
}

const notImplementedError = (header: string, detail: string): AwsError =>
  new AwsError(501, 'NotImplemented', 'A header you provided implies functionality that is not implemented', {
    Header: header,
    additionalMessage: detail,
  });

const preconditionFailedError = (header: string): AwsError =>
  new AwsError(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
    Condition: header,
  });

const unquoteEtag = (etag: string): string => etag.replaceAll('"', '');

/** If-Match and its like of a read. */
export function checkReadConditions(
  version: VersionState,
  input: Record<string, string | Date | undefined>,
): void {
  const { IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince } = input;
  const modifiedMs = Math.floor(version.modified / 1000) * 1000;
  if (typeof IfMatch === 'string' && IfMatch !== '*' && unquoteEtag(IfMatch) !== unquoteEtag(version.etag))
    throw preconditionFailedError('If-Match');
  if (IfUnmodifiedSince instanceof Date && IfMatch === undefined && modifiedMs > IfUnmodifiedSince.getTime())
    throw preconditionFailedError('If-Unmodified-Since');
  const isUnchanged =
    typeof IfNoneMatch === 'string' &&
    (IfNoneMatch === '*' || unquoteEtag(IfNoneMatch) === unquoteEtag(version.etag));
  const isNotNewer =
    IfModifiedSince instanceof Date && IfNoneMatch === undefined && modifiedMs <= IfModifiedSince.getTime();
  if (isUnchanged || isNotNewer)
    throw new AwsError(304, 'NotModified', 'Not Modified', {}, { etag: version.etag });
}
