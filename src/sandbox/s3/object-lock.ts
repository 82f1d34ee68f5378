import type { ObjectLockConfiguration } from '@aws-sdk/client-s3';
import { AwsError, invalidRequestError, missingFeatureError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { malformedXmlError } from '../protocol/rest-xml.ts';
import type { BucketState, RetentionState, VersionState } from '../state.ts';
import {
  checkBucketAccess,
  getAuthorizedBucket,
  hasBucketAccess,
  invalidArgumentError,
  readUnlessHidden,
} from './access.ts';
import { getVersionFor, type ObjectLock } from './versions.ts';

/** Object Lock: retention and legal hold of versions, and the default retention of a bucket. */

export const objectLockHandlers: Handlers = {
  /** Enables Object Lock. Since 2023 S3 accepts this call for an existing bucket. No call disables Object Lock again. */
  PutObjectLockConfiguration(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutBucketObjectLockConfiguration');
    if (bucket.versioning?.Status !== 'Enabled')
      throw new AwsError(
        409,
        'InvalidBucketState',
        "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
      );
    const defaultRetention = parseDefaultRetention(input.ObjectLockConfiguration);
    bucket.objectLock = true;
    if (defaultRetention) bucket.defaultRetention = defaultRetention;
    else delete bucket.defaultRetention;
    call.store.markChanged(bucket);
    return {};
  },

  GetObjectLockConfiguration(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:GetBucketObjectLockConfiguration');
    if (!bucket.objectLock)
      throw new AwsError(
        404,
        'ObjectLockConfigurationNotFoundError',
        'Object Lock configuration does not exist for this bucket',
        { BucketName: bucket.name },
      );
    const { defaultRetention: DefaultRetention } = bucket;
    return {
      ObjectLockConfiguration: {
        ObjectLockEnabled: 'Enabled',
        ...(DefaultRetention && { Rule: { DefaultRetention } }),
      },
    };
  },

  PutObjectRetention(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObjectRetention', input.Key);
    requireObjectLock(bucket);
    const version = getVersionFor('PUT', bucket, input.Key, input.VersionId);
    const retention = parseRetention(call, input.Retention);
    checkRetentionChange(call, bucket, version, retention, input.BypassGovernanceRetention === true);
    if (retention) version.retention = retention;
    else delete version.retention;
    call.store.markObjectChanged(bucket, version.key);
    return {};
  },

  GetObjectRetention(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:GetObjectRetention', input.Key);
    requireObjectLock(bucket);
    const { retention } = readUnlessHidden(call, bucket, () =>
      getVersionFor('GET', bucket, input.Key, input.VersionId),
    );
    if (!retention) throw noLockError();
    return { Retention: { Mode: retention.mode, RetainUntilDate: new Date(retention.until) } };
  },

  PutObjectLegalHold(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutObjectLegalHold', input.Key);
    requireObjectLock(bucket);
    const version = getVersionFor('PUT', bucket, input.Key, input.VersionId);
    const status = input.LegalHold?.Status;
    if (status !== 'ON' && status !== 'OFF') throw malformedXmlError();
    version.legalHold = status;
    call.store.markObjectChanged(bucket, version.key);
    return {};
  },

  GetObjectLegalHold(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:GetObjectLegalHold', input.Key);
    requireObjectLock(bucket);
    const { legalHold } = readUnlessHidden(call, bucket, () =>
      getVersionFor('GET', bucket, input.Key, input.VersionId),
    );
    if (legalHold === undefined) throw noLockError();
    return { LegalHold: { Status: legalHold } };
  },
};

/** Members of a write that set Object Lock on the new version. */
interface ObjectLockRequest {
  ObjectLockMode?: string;
  ObjectLockRetainUntilDate?: Date;
  ObjectLockLegalHoldStatus?: string;
}

/**
 * Returns the Object Lock that the headers of a write set on the new version, after checks of the headers and of the
 * permissions that they need.
 *
 * @throws AwsError when a header is invalid, or when the bucket has no Object Lock.
 */
export function objectLockOfRequest(
  call: Call,
  bucket: BucketState,
  key: string,
  { ObjectLockMode: mode, ObjectLockRetainUntilDate: until, ObjectLockLegalHoldStatus }: ObjectLockRequest,
): ObjectLock {
  if (mode === undefined && until === undefined && ObjectLockLegalHoldStatus === undefined) return {};
  requireObjectLock(bucket);
  if ((mode === undefined) !== (until === undefined)) {
    throw invalidArgumentError(
      'x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied',
      mode === undefined ? 'x-amz-object-lock-retain-until-date' : 'x-amz-object-lock-mode',
    );
  }
  const lock: ObjectLock = {};
  if (mode !== undefined && until !== undefined) {
    if (!isRetentionMode(mode))
      throw invalidArgumentError('Unknown wormMode directive.', 'x-amz-object-lock-mode', mode);
    lock.retention = { mode, until: parseRetainUntil(call, until) };
    checkBucketAccess(call, bucket, 's3:PutObjectRetention', key);
  }
  if (ObjectLockLegalHoldStatus !== undefined) {
    if (ObjectLockLegalHoldStatus !== 'ON' && ObjectLockLegalHoldStatus !== 'OFF') {
      throw invalidArgumentError(
        "Legal Hold must be either of 'ON' or 'OFF'",
        'x-amz-object-lock-legal-hold',
        ObjectLockLegalHoldStatus,
      );
    }
    lock.legalHold = ObjectLockLegalHoldStatus;
    checkBucketAccess(call, bucket, 's3:PutObjectLegalHold', key);
  }
  return lock;
}

/**
 * Checks that an upload to be locked has a checksum (S3 API Reference, "PutObject", "UploadPart": "Content-MD5 or
 * x-amz-sdk-checksum-algorithm header is required").
 *
 * @param what `Put Object` or `Upload Part`, as S3 names it in the error
 */
export function requireLockChecksum(call: Call, bucket: BucketState, lock: ObjectLock, what: string): void {
  if (!lock.retention && lock.legalHold === undefined && !bucket.defaultRetention) return;
  const hasChecksum = Object.keys(call.headers).some((name) =>
    /^(content-md5|x-amz-checksum-(crc|sha).*|x-amz-trailer)$/.test(name),
  );
  if (hasChecksum) return;
  throw invalidRequestError(
    `Content-MD5 OR x-amz-checksum- HTTP header is required for ${what} requests with Object Lock parameters`,
  );
}

/**
 * Checks that Object Lock permits the deletion of a version. A delete marker has no lock.
 *
 * @param bypass value of the header `x-amz-bypass-governance-retention`
 * @throws AwsError 403 while a legal hold is on, in compliance mode, and in governance mode without bypass.
 */
export function checkDeletable(
  call: Call,
  bucket: BucketState,
  { key, retention, legalHold }: VersionState,
  bypass: boolean,
): void {
  if (legalHold === 'ON') throw objectLockedError();
  if (!retention || retention.until <= call.now) return;
  if (retention.mode === 'COMPLIANCE' || !bypass) throw objectLockedError();
  checkBucketAccess(call, bucket, 's3:BypassGovernanceRetention', key);
}

/** Returns the lock headers of a read. S3 returns each one only to callers that may read it. */
export function toObjectLockOutput(call: Call, bucket: BucketState, version: VersionState) {
  const { key, retention, legalHold } = version;
  return {
    ...(retention && hasBucketAccess(call, bucket, 's3:GetObjectRetention', key)
      ? { ObjectLockMode: retention.mode, ObjectLockRetainUntilDate: new Date(retention.until) }
      : {}),
    ...(legalHold !== undefined && hasBucketAccess(call, bucket, 's3:GetObjectLegalHold', key)
      ? { ObjectLockLegalHoldStatus: legalHold }
      : {}),
  };
}

/**
 * Checks that a retention may replace the one of a version. Everyone with s3:PutObjectRetention may extend it. Any other
 * change needs the bypass of governance mode; in compliance mode it is impossible.
 */
function checkRetentionChange(
  call: Call,
  bucket: BucketState,
  { key, retention: current }: VersionState,
  next: RetentionState | undefined,
  bypass: boolean,
): void {
  if (!current || current.until <= call.now) return;
  if (next?.mode === current.mode && next.until >= current.until) return;
  if (current.mode === 'COMPLIANCE' || !bypass) throw objectLockedError();
  checkBucketAccess(call, bucket, 's3:BypassGovernanceRetention', key);
}

/**
 * Parses the retention of PutObjectRetention. An empty document removes the retention.
 *
 * @throws AwsError MalformedXML when one of the two elements is missing or the mode is unknown.
 */
function parseRetention(
  call: Call,
  retention: { Mode?: string; RetainUntilDate?: Date } | undefined,
): RetentionState | undefined {
  if (retention === undefined) throw malformedXmlError();
  const { Mode: mode, RetainUntilDate: until } = retention;
  if (mode === undefined && until === undefined) return undefined;
  if (mode === undefined || until === undefined || !isRetentionMode(mode)) throw malformedXmlError();
  return { mode, until: parseRetainUntil(call, until) };
}

function parseRetainUntil(call: Call, date: Date): number {
  const until = date.getTime();
  if (until > call.now) return until;
  throw invalidArgumentError(
    Number.isNaN(until)
      ? 'The retain until date must be provided in ISO 8601 format'
      : 'The retain until date must be in the future!',
    'x-amz-object-lock-retain-until-date',
  );
}

/**
 * Returns the default retention of an Object Lock configuration; undefined for a configuration without a rule.
 * fact: localstack TestS3ObjectLock::test_put_object_lock_configuration_exc (recorded from AWS)
 */
function parseDefaultRetention(
  configuration: ObjectLockConfiguration | undefined,
): BucketState['defaultRetention'] {
  if (configuration?.ObjectLockEnabled !== 'Enabled') throw malformedXmlError();
  if (configuration.Rule === undefined) return undefined;
  const { Mode, Days, Years, DefaultEventHold } = configuration.Rule.DefaultRetention ?? {};
  if (DefaultEventHold !== undefined) throw missingFeatureError('event holds');
  if (!isRetentionMode(Mode) || (Days === undefined) === (Years === undefined)) throw malformedXmlError();
  const period = Days ?? Years ?? 0;
  if (!(period > 0))
    throw invalidArgumentError(
      'Default retention period must be a positive integer value.',
      Days === undefined ? 'Years' : 'Days',
      String(period),
    );
  // S3 User Guide, "Object Lock considerations": the longest default retention is 100 years.
  if (period > (Days === undefined ? 100 : 36_500))
    throw invalidArgumentError(
      'Default retention period is too large.',
      Days === undefined ? 'Years' : 'Days',
      String(period),
    );
  return { Mode, ...(Days === undefined ? { Years } : { Days }) };
}

const isRetentionMode = (mode: string | undefined): mode is RetentionState['mode'] =>
  mode === 'GOVERNANCE' || mode === 'COMPLIANCE';

function requireObjectLock({ objectLock }: BucketState): void {
  if (!objectLock) throw invalidRequestError('Bucket is missing Object Lock Configuration');
}

const noLockError = (): AwsError =>
  new AwsError(
    404,
    'NoSuchObjectLockConfiguration',
    'The specified object does not have a ObjectLock configuration',
  );

const objectLockedError = (): AwsError =>
  new AwsError(403, 'AccessDenied', 'Access Denied because object protected by object lock.');
