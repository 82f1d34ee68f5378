import type { Tag } from '@aws-sdk/client-s3';
import type { OneOrMany } from '../../iam/types.ts';
import type { FaultSettings } from '../faults.ts';
import type { KeyService } from '../kms/keys.ts';
import { isSecureTransport, type RequestOrigin } from '../request-context.ts';
import type { BucketState, VersionState } from '../state.ts';

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
  ObjectLockRetainUntilDate?: Date;
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

interface ConditionKey {
  /** Names of the actions that have the key, without `s3:`. */
  actions: RegExp;
  toValue(input: ConditionInput, call: DescribedCall): OneOrMany<string> | undefined;
}

const SETS_ACL = /^(BypassGovernanceRetention|CreateBucket|PutBucketAcl|PutObject|PutObject(Version)?Acl)$/;
const WRITES_OBJECT = /^(BypassGovernanceRetention|PutObject)$/;
const LISTS_BUCKET = /^ListBucket(Versions)?$/;
const SETS_RETENTION = /^PutObject(Retention)?$/;
const SETS_TAGS = /^(BypassGovernanceRetention|PutObject|PutObject(Version)?Tagging)$/;
const MS_PER_DAY = 24 * 60 * 60 * 1000;

/** Keys whose values come from the input, by name. */
const CONDITION_KEYS: Record<string, ConditionKey> = {
  's3:ObjectCreationOperation': {
    actions: /^PutObject$/,
    // "Enforce conditional writes": parts and the start of a multipart upload create no object.
    toValue: (_, { operation }) =>
      String(!/^(CreateMultipartUpload|UploadPart|UploadPartCopy)$/.test(operation)),
  },
  's3:RequestObjectTagKeys': {
    actions: SETS_TAGS,
    toValue: (input) => {
      const keys = requestTagsOf(input).map(([key]) => key);
      return keys.length > 0 ? keys : undefined;
    },
  },
  's3:delimiter': { actions: LISTS_BUCKET, toValue: ({ Delimiter }) => Delimiter },
  's3:if-match': { actions: /^(DeleteObject|PutObject)$/, toValue: ({ IfMatch }) => IfMatch },
  's3:if-none-match': { actions: /^PutObject$/, toValue: ({ IfNoneMatch }) => IfNoneMatch },
  's3:locationconstraint': {
    actions: /^CreateBucket$/,
    toValue: ({ CreateBucketConfiguration }) => CreateBucketConfiguration?.LocationConstraint,
  },
  's3:max-keys': { actions: LISTS_BUCKET, toValue: ({ MaxKeys }) => MaxKeys?.toString() },
  's3:object-lock-legal-hold': {
    actions: /^PutObject(LegalHold)?$/,
    toValue: ({ LegalHold, ObjectLockLegalHoldStatus }) => ObjectLockLegalHoldStatus ?? LegalHold?.Status,
  },
  's3:object-lock-mode': {
    actions: SETS_RETENTION,
    toValue: ({ ObjectLockMode, Retention }) => ObjectLockMode ?? Retention?.Mode,
  },
  's3:object-lock-remaining-retention-days': {
    actions: SETS_RETENTION,
    toValue: (input, { now }) => {
      const until = retainUntilOf(input);
      return until === undefined ? undefined : String(Math.ceil((until - now) / MS_PER_DAY));
    },
  },
  's3:object-lock-retain-until-date': {
    actions: SETS_RETENTION,
    toValue: (input) => {
      const until = retainUntilOf(input);
      return until === undefined ? undefined : new Date(until).toISOString();
    },
  },
  's3:prefix': { actions: LISTS_BUCKET, toValue: ({ Prefix }) => Prefix },
  's3:x-amz-acl': { actions: SETS_ACL, toValue: ({ ACL }) => ACL },
  's3:x-amz-bucket-namespace': {
    actions: /^CreateBucket$/,
    toValue: ({ BucketNamespace }) => BucketNamespace,
  },
  's3:x-amz-copy-source': { actions: WRITES_OBJECT, toValue: ({ CopySource }) => CopySource },
  's3:x-amz-grant-full-control': { actions: SETS_ACL, toValue: ({ GrantFullControl }) => GrantFullControl },
  's3:x-amz-grant-read': { actions: SETS_ACL, toValue: ({ GrantRead }) => GrantRead },
  's3:x-amz-grant-read-acp': { actions: SETS_ACL, toValue: ({ GrantReadACP }) => GrantReadACP },
  's3:x-amz-grant-write': { actions: SETS_ACL, toValue: ({ GrantWrite }) => GrantWrite },
  's3:x-amz-grant-write-acp': { actions: SETS_ACL, toValue: ({ GrantWriteACP }) => GrantWriteACP },
  's3:x-amz-metadata-directive': {
    actions: WRITES_OBJECT,
    toValue: ({ MetadataDirective }) => MetadataDirective,
  },
  's3:x-amz-object-ownership': {
    actions: /^CreateBucket$/,
    toValue: ({ ObjectOwnership }) => ObjectOwnership,
  },
  's3:x-amz-server-side-encryption': {
    actions: WRITES_OBJECT,
    toValue: ({ ServerSideEncryption }) => ServerSideEncryption,
  },
  's3:x-amz-server-side-encryption-aws-kms-key-id': { actions: WRITES_OBJECT, toValue: requestedKeyArnOf },
  's3:x-amz-server-side-encryption-customer-algorithm': {
    actions: WRITES_OBJECT,
    toValue: ({ SSECustomerAlgorithm }) => SSECustomerAlgorithm,
  },
  's3:x-amz-storage-class': {
    actions: /^(BypassGovernanceRetention|PutObject|PutObject(Version)?Acl)$/,
    toValue: ({ StorageClass }) => StorageClass,
  },
  's3:x-amz-website-redirect-location': {
    actions: WRITES_OBJECT,
    toValue: ({ WebsiteRedirectLocation }) => WebsiteRedirectLocation,
  },
};

const HAS_VERSION_ID = /^(Delete|Get|Put)ObjectVersion/;
const HAS_EXISTING_TAGS =
  /^(GetObject|GetObjectVersion|(Get|Put)Object(Version)?Acl|GetObject(Version)?Attributes|(Delete|Get|Put)Object(Version)?Tagging)$/;

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
  const name = action.slice('s3:'.length);
  const input = describingInputOf(call, target.bucket);
  const keys: KeyValues = { ...connectionKeysOf(call, name) };
  if (target.bucket) keys['s3:ResourceAccount'] = target.bucket.owner;
  for (const [key, { actions, toValue }] of Object.entries(CONDITION_KEYS)) {
    const value = actions.test(name) ? toValue(input, call) : undefined;
    if (value !== undefined) keys[key] = value;
  }
  if (SETS_TAGS.test(name)) {
    for (const [key, value] of requestTagsOf(input)) keys[`s3:RequestObjectTag/${key}`] = value;
  }
  const bucketTags = input.CreateBucketConfiguration?.Tags ?? [];
  if (/^(CreateBucket|TagResource)$/.test(name) && bucketTags.length > 0) {
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
  const name = action.slice('s3:'.length);
  const keys: KeyValues = {};
  if (versionId !== undefined && HAS_VERSION_ID.test(name)) keys['s3:VersionId'] = versionId;
  if (version && HAS_EXISTING_TAGS.test(name)) {
    for (const [key, value] of version.tags) keys[`s3:ExistingObjectTag/${key}`] = value;
  }
  return keys;
}

/** Returns the keys that describe connection and signature, which every action has. */
function connectionKeysOf({ origin, headers, faultSettings }: DescribedCall, name: string): KeyValues {
  const contentHash = headers['x-amz-content-sha256'];
  return {
    's3:authType': origin.authType,
    's3:signatureversion': 'AWS4-HMAC-SHA256',
    ...(origin.signatureAgeMs === undefined ? {} : { 's3:signatureAge': String(origin.signatureAgeMs) }),
    ...(isSecureTransport(origin, faultSettings) ? { 's3:TlsVersion': '1.3' } : {}),
    ...(contentHash === undefined || /^(Get|Put)BucketObjectLockConfiguration$/.test(name)
      ? {}
      : { 's3:x-amz-content-sha256': contentHash }),
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

/** Returns the date until which a request retains an object, in milliseconds; undefined without a valid date. */
function retainUntilOf({ ObjectLockRetainUntilDate, Retention }: ConditionInput): number | undefined {
  const until = (ObjectLockRetainUntilDate ?? Retention?.RetainUntilDate)?.getTime();
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
