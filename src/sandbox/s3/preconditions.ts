import { AwsError } from '../aws-error.ts';
import type { BucketState, VersionState } from '../state.ts';
import { latest } from './versions.ts';

/** If-None-Match: * and If-Match of a write. */
export function checkPreconditions(
  bucket: BucketState,
  input: { Key: string; IfMatch?: string; IfNoneMatch?: string },
): void {
  const { IfMatch, IfNoneMatch } = input;
  if (IfMatch !== undefined && IfNoneMatch !== undefined)
    throw notImplemented(
      'If-Match,If-None-Match',
      'Multiple conditional request headers present in the request',
    );
  const current = latest(bucket, input.Key);
  const exists = current !== undefined && !current.deleteMarker;
  if (IfNoneMatch !== undefined) {
    if (IfNoneMatch !== '*')
      throw notImplemented(
        'If-None-Match',
        "We don't accept the provided value of If-None-Match header for this API",
      );
    if (exists) throw failedCondition('If-None-Match');
  }
  if (IfMatch !== undefined) {
    if (IfMatch === '*' && exists) return;
    if (!exists)
      throw new AwsError(404, 'NoSuchKey', 'The specified key does not exist.', { Key: input.Key });
    if (bare(IfMatch) !== bare(current.etag)) throw failedCondition('If-Match');
  }
}

const notImplemented = (header: string, why: string): AwsError =>
  new AwsError(501, 'NotImplemented', 'A header you provided implies functionality that is not implemented', {
    Header: header,
    additionalMessage: why,
  });

const failedCondition = (name: string): AwsError =>
  new AwsError(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
    Condition: name,
  });

const bare = (etag: string): string => etag.replaceAll('"', '');

/** If-Match and its like of a read. */
export function checkReadConditions(
  version: VersionState,
  input: Record<string, string | Date | undefined>,
): void {
  const { IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince } = input;
  const modified = Math.floor(version.modified / 1000) * 1000;
  if (typeof IfMatch === 'string' && IfMatch !== '*' && bare(IfMatch) !== bare(version.etag))
    throw failedCondition('If-Match');
  if (IfUnmodifiedSince instanceof Date && IfMatch === undefined && modified > IfUnmodifiedSince.getTime())
    throw failedCondition('If-Unmodified-Since');
  const unchanged =
    typeof IfNoneMatch === 'string' && (IfNoneMatch === '*' || bare(IfNoneMatch) === bare(version.etag));
  const notNewer =
    IfModifiedSince instanceof Date && IfNoneMatch === undefined && modified <= IfModifiedSince.getTime();
  if (unchanged || notNewer)
    throw new AwsError(304, 'NotModified', 'Not Modified', {}, { etag: version.etag });
}
