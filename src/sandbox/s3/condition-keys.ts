import type { Tag } from '@aws-sdk/client-s3';
import type { OneOrMany } from '../../iam/types.ts';
import type { FaultSettings } from '../faults.ts';
import type { KeyService } from '../kms/keys.ts';
import { isSecureTransport, type RequestOrigin } from '../request-context.ts';
import type { BucketState, VersionState } from '../state.ts';
import { BUCKET_POLICY_ACTIONS } from './policy-actions.ts';

/**
 * Condition keys of S3. Which keys an action has comes from the Service Authorization Reference, "Actions, resources,
 * and condition keys for Amazon S3". A request carries a key only if it carries the header or parameter, so that a
 * condition sees the request as the client sent it: before S3 applies the defaults of the bucket (S3 User Guide,
 * "Setting default server-side encryption behavior").
 */

type KeyValues = Record<string, OneOrMany<string>>;

/** The members of S3 inputs that condition keys test. Each has the type of the SDK. */
interface ConditionInput {
  ACL?: string;
  BucketNamespace?: string;
  CopySource?: string;
  CreateBucketConfiguration?: { LocationConstraint?: string; Tags?: Tag[] };
  Delimiter?: string;
  GrantFullControl?: string;
  GrantRead?: string;
  GrantReadACP?: string;
  GrantWrite?: string;
  GrantWriteACP?: string;
  IfMatch?: string;
  IfNoneMatch?: string;
  LegalHold?: { Status?: string };
  MaxKeys?: number;
  MetadataDirective?: string;
  ObjectLockLegalHoldStatus?: string;
  ObjectLockMode?: string;
  ObjectLockRetainUntilDate?: Date | string;
  ObjectOwnership?: string;
  Prefix?: string;
  Retention?: { Mode?: string; RetainUntilDate?: Date };
  SSECustomerAlgorithm?: string;
  SSEKMSKeyId?: string;
  ServerSideEncryption?: string;
  StorageClass?: string;
  Tagging?: string | { TagSet?: Tag[] };
  UploadId?: string;
  WebsiteRedirectLocation?: string;
}

/** The parts of a call that its condition keys depend on. */
interface DescribedCall {
  operation: string;
  caller: { account: string };
  region: string;
  now: number;
  headers: Record<string, string>;
  origin: RequestOrigin;
  input: Record<string, unknown>;
  keyService: KeyService;
  faultSettings: FaultSettings;
}

/** Returns the value of a condition key in a request; undefined if the request does not carry it. */
type ValueOf = (input: ConditionInput, call: DescribedCall) => OneOrMany<string> | undefined;

export const MS_PER_DAY = 24 * 60 * 60 * 1000;

/** Values of the keys that come from the input. `conditionKeysOfAction` returns which of them an action has. */
const VALUES_BY_KEY: Record<string, ValueOf> = {
  // "Enforce conditional writes": parts and the start of a multipart upload create no object.
  's3:ObjectCreationOperation': (_, { operation }) =>
    String(!/^(CreateMultipartUpload|UploadPart|UploadPartCopy)$/.test(operation)),
  's3:RequestObjectTagKeys': (input) => {
    const keys = requestTagsOf(input).map(([key]) => key);
    return keys.length > 0 ? keys : undefined;
  },
  's3:delimiter': ({ Delimiter }) => Delimiter,
  's3:if-match': ({ IfMatch }) => IfMatch,
  's3:if-none-match': ({ IfNoneMatch }) => IfNoneMatch,
  's3:locationconstraint': ({ CreateBucketConfiguration }) => CreateBucketConfiguration?.LocationConstraint,
  's3:max-keys': ({ MaxKeys }) => MaxKeys?.toString(),
  's3:object-lock-legal-hold': ({ LegalHold, ObjectLockLegalHoldStatus }) =>
    ObjectLockLegalHoldStatus ?? LegalHold?.Status,
  's3:object-lock-mode': ({ ObjectLockMode, Retention }) => ObjectLockMode ?? Retention?.Mode,
  's3:object-lock-remaining-retention-days': (input, { now }) => {
    const until = retainUntilOf(input);
    return until === undefined ? undefined : String(Math.ceil((until - now) / MS_PER_DAY));
  },
  's3:object-lock-retain-until-date': (input) => {
    const until = retainUntilOf(input);
    return until === undefined ? undefined : new Date(until).toISOString();
  },
  's3:prefix': ({ Prefix }) => Prefix,
  's3:x-amz-acl': ({ ACL }) => ACL,
  's3:x-amz-bucket-namespace': ({ BucketNamespace }) => BucketNamespace,
  's3:x-amz-copy-source': ({ CopySource }) => CopySource,
  's3:x-amz-grant-full-control': ({ GrantFullControl }) => GrantFullControl,
  's3:x-amz-grant-read': ({ GrantRead }) => GrantRead,
  's3:x-amz-grant-read-acp': ({ GrantReadACP }) => GrantReadACP,
  's3:x-amz-grant-write': ({ GrantWrite }) => GrantWrite,
  's3:x-amz-grant-write-acp': ({ GrantWriteACP }) => GrantWriteACP,
  's3:x-amz-metadata-directive': ({ MetadataDirective }) => MetadataDirective,
  's3:x-amz-object-ownership': ({ ObjectOwnership }) => ObjectOwnership,
  's3:x-amz-server-side-encryption': ({ ServerSideEncryption }) => ServerSideEncryption,
  's3:x-amz-server-side-encryption-aws-kms-key-id': requestedKeyArnOf,
  's3:x-amz-server-side-encryption-customer-algorithm': ({ SSECustomerAlgorithm }) => SSECustomerAlgorithm,
  's3:x-amz-storage-class': ({ StorageClass }) => StorageClass,
  's3:x-amz-website-redirect-location': ({ WebsiteRedirectLocation }) => WebsiteRedirectLocation,
};

/** Condition keys of each action, from the table of bucket policies. */
let keysByAction: Map<string, readonly string[]> | undefined;

/** Returns the condition keys of an action, apart from those that all actions have. */
function conditionKeysOfAction(action: string): readonly string[] {
  keysByAction ??= new Map(
    BUCKET_POLICY_ACTIONS.trim()
      .split('\n')
      .map((line) => {
        const [name = '', , ...keys] = line.split(' ');
        return [`s3:${name}`, keys];
      }),
  );
  return keysByAction.get(action) ?? (action === 's3:CreateBucket' ? CREATE_BUCKET_KEYS : []);
}

/** Bucket policies do not have this action, because the bucket does not exist yet. */
const CREATE_BUCKET_KEYS = [
  's3:locationconstraint',
  's3:x-amz-acl',
  's3:x-amz-bucket-namespace',
  's3:x-amz-grant-full-control',
  's3:x-amz-grant-read',
  's3:x-amz-grant-read-acp',
  's3:x-amz-grant-write',
  's3:x-amz-grant-write-acp',
  's3:x-amz-object-ownership',
];

/** What a request asks for: an object, and the version that it names. */
export interface RequestTarget {
  bucket?: BucketState;
  key?: string;
  versionId?: string;
}

/**
 * Returns the condition keys of S3 for an action of a client's request.
 *
 * @param action `s3:PutObject`
 */
export function s3ConditionKeysOf(call: DescribedCall, action: string, target: RequestTarget): KeyValues {
  const input = describingInputOf(call, target.bucket);
  const keys: KeyValues = connectionKeysOf(call);
  if (target.bucket) keys['s3:ResourceAccount'] = target.bucket.owner;
  for (const key of conditionKeysOfAction(action)) {
    const value = VALUES_BY_KEY[key]?.(input, call);
    if (value !== undefined) keys[key] = value;
  }
  if (conditionKeysOfAction(action).includes('s3:RequestObjectTag/*')) {
    for (const [key, value] of requestTagsOf(input)) keys[`s3:RequestObjectTag/${key}`] = value;
  }
  const bucketTags = input.CreateBucketConfiguration?.Tags ?? [];
  if (/^s3:(CreateBucket|TagResource)$/.test(action) && bucketTags.length > 0) {
    keys['aws:TagKeys'] = bucketTags.map(({ Key = '' }) => Key);
    for (const { Key, Value = '' } of bucketTags) keys[`aws:RequestTag/${Key}`] = Value;
  }
  const version = target.key === undefined ? undefined : findTargetVersion(target.key, target);
  return { ...keys, ...versionConditionKeysOf(action, target.versionId, version) };
}

/**
 * Returns the condition keys of the version that an action concerns: the version id of the request, and the tags of the
 * existing version.
 */
export function versionConditionKeysOf(
  action: string,
  versionId: string | undefined,
  version: Pick<VersionState, 'tags'> | undefined,
): KeyValues {
  const keys: KeyValues = {};
  const actionKeys = conditionKeysOfAction(action);
  if (versionId !== undefined && actionKeys.includes('s3:versionid')) keys['s3:VersionId'] = versionId;
  if (version && actionKeys.includes('s3:ExistingObjectTag/*')) {
    for (const [key, value] of version.tags) keys[`s3:ExistingObjectTag/${key}`] = value;
  }
  return keys;
}

/** Returns the keys that describe connection and signature, which every action has. */
function connectionKeysOf({ origin, headers, faultSettings }: DescribedCall): KeyValues {
  const contentHash = headers['x-amz-content-sha256'];
  return {
    's3:authType': origin.authType,
    's3:signatureversion': 'AWS4-HMAC-SHA256',
    ...(origin.signatureAgeMs === undefined ? {} : { 's3:signatureAge': String(origin.signatureAgeMs) }),
    ...(isSecureTransport(origin, faultSettings) ? { 's3:TlsVersion': '1.3' } : {}),
    ...(contentHash === undefined ? {} : { 's3:x-amz-content-sha256': contentHash }),
  };
}

/**
 * Returns the input that describes the object of a request. Parts and the completion of a multipart upload carry no
 * headers of the object: the headers at the start of the upload describe it. So a policy that requires them allows the
 * whole upload, as clients under such policies rely on.
 */
function describingInputOf({ input }: DescribedCall, bucket: BucketState | undefined): ConditionInput {
  const upload = typeof input.UploadId === 'string' ? bucket?.uploads.get(input.UploadId) : undefined;
  return { ...(upload?.requested ?? upload?.request), ...input };
}

/** Returns the tags of the request, from the header `x-amz-tagging` or from the body. */
function requestTagsOf({ Tagging }: ConditionInput): [key: string, value: string][] {
  if (typeof Tagging === 'string') return [...new URLSearchParams(Tagging)];
  return (Tagging?.TagSet ?? []).map(({ Key = '', Value = '' }) => [Key, Value]);
}

/**
 * Returns the date until which a request retains an object, in milliseconds; undefined without a valid date. The folder
 * store returns the dates of an upload as text.
 */
function retainUntilOf({ ObjectLockRetainUntilDate, Retention }: ConditionInput): number | undefined {
  const date = ObjectLockRetainUntilDate ?? Retention?.RetainUntilDate;
  const until = date === undefined ? Number.NaN : new Date(date).getTime();
  return Number.isNaN(until) ? undefined : until;
}

/**
 * Returns the ARN of the key that the request names. "The AWS KMS key ID that Amazon S3 uses for object encryption must
 * match the AWS KMS key ID in the policy" (S3 User Guide, "Requiring and denying SSE-KMS").
 */
function requestedKeyArnOf({ SSEKMSKeyId }: ConditionInput, call: DescribedCall): string | undefined {
  if (SSEKMSKeyId === undefined) return undefined;
  try {
    return call.keyService.resolve(SSEKMSKeyId, { account: call.caller.account, region: call.region });
  } catch {
    return SSEKMSKeyId;
  }
}

function findTargetVersion(key: string, { bucket, versionId }: RequestTarget): VersionState | undefined {
  const versions = bucket?.objects.get(key) ?? [];
  return versionId === undefined
    ? versions[0]
    : versions.find((candidate) => candidate.versionId === versionId);
}
