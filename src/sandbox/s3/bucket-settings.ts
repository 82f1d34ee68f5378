import { randomUUID } from 'node:crypto';
import type {
  LifecycleRule,
  OwnershipControlsRule,
  ServerSideEncryptionConfiguration,
  Tag,
} from '@aws-sdk/client-s3';
import { AwsError, invalidRequestError, missingFeatureError } from '../aws-error.ts';
import type { Call, Handler, Handlers } from '../call.ts';
import { malformedXmlError } from '../protocol/rest-xml.ts';
import type { BucketState } from '../state.ts';
import { type BucketInput, getAuthorizedBucket, invalidArgumentError } from './access.ts';
import { isObjectOwnership, TAG_TEXT_PATTERN } from './buckets.ts';

/** Handlers of the bucket settings that S3 stores as one document each. */
export const settingHandlers: Handlers = {
  PutBucketVersioning(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutBucketVersioning');
    const { Status, MFADelete } = input.VersioningConfiguration ?? {};
    if (Status === undefined) {
      throw new AwsError(
        400,
        'IllegalVersioningConfigurationException',
        'The Versioning element must be specified',
      );
    }
    if (Status !== 'Enabled' && Status !== 'Suspended') throw malformedXmlError();
    if (Status === 'Suspended') {
      if (bucket.objectLock) {
        throw new AwsError(
          409,
          'InvalidBucketState',
          'An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.',
        );
      }
      if (bucket.replication) {
        throw new AwsError(
          409,
          'InvalidBucketState',
          'A replication configuration is present on this bucket, so you cannot change the versioning state. To change the versioning state, first delete the replication configuration.',
        );
      }
    }
    bucket.versioning = { Status, ...(MFADelete === undefined ? {} : { MFADelete }) };
    return markBucketChanged(call, bucket);
  },

  GetBucketVersioning: (call, input) =>
    getAuthorizedBucket(call, input, 's3:GetBucketVersioning').versioning ?? {},

  PutBucketEncryption(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutEncryptionConfiguration');
    bucket.encryption = checkEncryptionConfiguration(input.ServerSideEncryptionConfiguration);
    bucket.encryptionIsSet = true;
    return markBucketChanged(call, bucket);
  },

  GetBucketEncryption: (call, input) => ({
    ServerSideEncryptionConfiguration: getBucketSetting(
      call,
      input,
      's3:GetEncryptionConfiguration',
      'encryption',
    ),
  }),

  DeleteBucketEncryption(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutEncryptionConfiguration');
    // The bucket falls back to SSE-S3, the default of every bucket since January 2023.
    delete bucket.encryptionIsSet;
    bucket.encryption = {
      Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' }, BucketKeyEnabled: false }],
    };
    return markBucketChanged(call, bucket);
  },

  PutPublicAccessBlock(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutBucketPublicAccessBlock');
    const {
      BlockPublicAcls = false,
      IgnorePublicAcls = false,
      BlockPublicPolicy = false,
      RestrictPublicBuckets = false,
    } = input.PublicAccessBlockConfiguration ?? {};
    bucket.publicAccessBlock = {
      BlockPublicAcls,
      IgnorePublicAcls,
      BlockPublicPolicy,
      RestrictPublicBuckets,
    };
    return markBucketChanged(call, bucket);
  },

  GetPublicAccessBlock: (call, input) => ({
    PublicAccessBlockConfiguration: getBucketSetting(
      call,
      input,
      's3:GetBucketPublicAccessBlock',
      'publicAccessBlock',
    ),
  }),

  DeletePublicAccessBlock: bucketSettingRemover('s3:PutBucketPublicAccessBlock', 'publicAccessBlock'),

  PutBucketOwnershipControls(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutBucketOwnershipControls');
    const rules: OwnershipControlsRule[] = input.OwnershipControls?.Rules ?? [];
    if (rules.length !== 1 || !isObjectOwnership(rules[0]?.ObjectOwnership)) throw malformedXmlError();
    bucket.ownership = input.OwnershipControls;
    return markBucketChanged(call, bucket);
  },

  GetBucketOwnershipControls: (call, input) => ({
    OwnershipControls: getBucketSetting(call, input, 's3:GetBucketOwnershipControls', 'ownership'),
  }),

  DeleteBucketOwnershipControls: bucketSettingRemover('s3:PutBucketOwnershipControls', 'ownership'),

  PutBucketTagging(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutBucketTagging');
    const tags: Tag[] = input.Tagging?.TagSet ?? [];
    checkTagSet(tags, 50);
    if (tags.length > 0) bucket.tags = tags;
    else delete bucket.tags;
    return markBucketChanged(call, bucket);
  },

  GetBucketTagging: (call, input) => ({
    TagSet: getBucketSetting(call, input, 's3:GetBucketTagging', 'tags'),
  }),

  DeleteBucketTagging: bucketSettingRemover('s3:PutBucketTagging', 'tags'),

  /** Stores rules that delete objects after days. The sandbox never runs them. */
  PutBucketLifecycleConfiguration(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutLifecycleConfiguration');
    bucket.lifecycle = checkLifecycleRules(input.LifecycleConfiguration?.Rules ?? []);
    call.store.markChanged(bucket);
    return { TransitionDefaultMinimumObjectSize: MINIMUM_TRANSITION_SIZE };
  },

  GetBucketLifecycleConfiguration: (call, input) => ({
    Rules: getBucketSetting(call, input, 's3:GetLifecycleConfiguration', 'lifecycle'),
    TransitionDefaultMinimumObjectSize: MINIMUM_TRANSITION_SIZE,
  }),

  DeleteBucketLifecycle: bucketSettingRemover('s3:PutLifecycleConfiguration', 'lifecycle'),
};

/** The default (API reference, PutBucketLifecycleConfiguration). */
const MINIMUM_TRANSITION_SIZE = 'all_storage_classes_128K';

/** Actions of lifecycle rules that the sandbox stores. */
const LIFECYCLE_ACTIONS = [
  'Expiration',
  'NoncurrentVersionExpiration',
  'AbortIncompleteMultipartUpload',
] as const;

/** Checks lifecycle rules (API reference, PutBucketLifecycleConfiguration and LifecycleRule), and adds missing ids. */
function checkLifecycleRules(rules: readonly LifecycleRule[]): LifecycleRule[] {
  if (rules.length === 0 || rules.length > 1000) throw malformedXmlError();
  const ids = rules.flatMap(({ ID }) => ID ?? []);
  if (new Set(ids).size < ids.length)
    throw invalidArgumentError('Rule ID must be unique. Found same ID for one or more rules', 'ID');
  for (const { ID, Status, Filter, Prefix, Expiration, Transitions, NoncurrentVersionTransitions } of rules) {
    if (Transitions || NoncurrentVersionTransitions || Expiration?.Date)
      throw missingFeatureError('transitions and dates of PutBucketLifecycleConfiguration');
    if (ID !== undefined && ID.length > 255)
      throw invalidArgumentError('ID length should not exceed allowed limit of 255', 'ID');
    if ((Status !== 'Enabled' && Status !== 'Disabled') || (Filter === undefined) === (Prefix === undefined))
      throw malformedXmlError();
    if (Expiration?.Days !== undefined && Expiration.Days <= 0)
      throw invalidArgumentError("'Days' for Expiration action must be a positive integer", 'Days');
    if (Expiration?.Days !== undefined && Expiration.ExpiredObjectDeleteMarker !== undefined)
      throw malformedXmlError();
  }
  if (rules.some((rule) => LIFECYCLE_ACTIONS.every((action) => rule[action] === undefined)))
    throw invalidRequestError('At least one action needs to be specified in a rule');
  return rules.map((rule) => ({ ...rule, ID: rule.ID ?? randomUUID() }));
}

export function markBucketChanged(call: Call, bucket: BucketState): object {
  call.store.markChanged(bucket);
  return {};
}

/** Bucket settings that can be absent. */
type RemovableSetting =
  | 'encryption'
  | 'policy'
  | 'publicAccessBlock'
  | 'ownership'
  | 'tags'
  | 'lifecycle'
  | 'replication';

/**
 * Returns a setting of the bucket, after the access checks.
 *
 * @throws AwsError with the not-found code of that setting when the bucket does not have it.
 */
export function getBucketSetting<S extends RemovableSetting>(
  call: Call,
  input: BucketInput,
  action: string,
  setting: S,
): NonNullable<BucketState[S]> {
  const bucket = getAuthorizedBucket(call, input, action);
  const value = bucket[setting];
  if (value === undefined) throw settingNotFoundError(setting, bucket);
  return value as NonNullable<BucketState[S]>;
}

/** Returns a handler that removes a setting. */
export function bucketSettingRemover(action: string, setting: RemovableSetting): Handler {
  return (call, input: BucketInput) => {
    const bucket = getAuthorizedBucket(call, input, action);
    delete bucket[setting];
    return markBucketChanged(call, bucket);
  };
}

const NOT_FOUND_ERRORS: Record<RemovableSetting, [code: string, message: string]> = {
  encryption: [
    'ServerSideEncryptionConfigurationNotFoundError',
    'The server side encryption configuration was not found',
  ],
  policy: ['NoSuchBucketPolicy', 'The bucket policy does not exist'],
  publicAccessBlock: [
    'NoSuchPublicAccessBlockConfiguration',
    'The public access block configuration was not found',
  ],
  ownership: ['OwnershipControlsNotFoundError', 'The bucket ownership controls were not found'],
  tags: ['NoSuchTagSet', 'The TagSet does not exist'],
  // Recorded from S3 (LocalStack, tests/aws/services/s3/test_s3.snapshot.json).
  lifecycle: ['NoSuchLifecycleConfiguration', 'The lifecycle configuration does not exist'],
  replication: ['ReplicationConfigurationNotFoundError', 'The replication configuration was not found'],
};

function settingNotFoundError(setting: keyof typeof NOT_FOUND_ERRORS, bucket: BucketState): AwsError {
  const [code, message] = NOT_FOUND_ERRORS[setting];
  return new AwsError(404, code, message, { BucketName: bucket.name });
}

/**
 * Checks a default encryption and fills in `BucketKeyEnabled`. S3 does not look up the KMS key here, so an invalid key
 * fails only when a caller writes an object.
 */
function checkEncryptionConfiguration(
  configuration: ServerSideEncryptionConfiguration | undefined,
): ServerSideEncryptionConfiguration {
  const [rule, ...otherRules] = configuration?.Rules ?? [];
  if (!rule || otherRules.length > 0) throw malformedXmlError();
  const defaultEncryption = rule.ApplyServerSideEncryptionByDefault ?? { SSEAlgorithm: undefined };
  const algorithm = defaultEncryption.SSEAlgorithm;
  if (algorithm !== undefined && !['AES256', 'aws:kms', 'aws:kms:dsse'].includes(algorithm))
    throw malformedXmlError();
  if (
    algorithm === 'AES256' &&
    'KMSMasterKeyID' in defaultEncryption &&
    defaultEncryption.KMSMasterKeyID !== undefined
  ) {
    throw invalidArgumentError(
      'a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse',
      'ApplyServerSideEncryptionByDefault',
    );
  }
  return { Rules: [{ ...rule, BucketKeyEnabled: rule.BucketKeyEnabled ?? false }] };
}

/** Checks the tags of a bucket or an object by the rules of S3. */
export function checkTagSet(tags: Tag[], maxTags: number): void {
  const invalidTagError = (message: string, key: string) =>
    new AwsError(400, 'InvalidTag', message, { TagKey: key });
  const keys = new Set<string>();
  for (const { Key, Value } of tags) {
    if (Key === undefined || Key === '' || Value === undefined) throw malformedXmlError();
    if (keys.has(Key)) throw invalidTagError('Cannot provide multiple Tags with the same key', Key);
    if (Key.startsWith('aws:'))
      throw invalidTagError('System tags cannot be added/updated by requester', Key);
    if (Key.length > 128 || !TAG_TEXT_PATTERN.test(Key))
      throw invalidTagError('The TagKey you have provided is invalid', Key);
    if (Value.length > 256 || !TAG_TEXT_PATTERN.test(Value))
      throw invalidTagError('The TagValue you have provided is invalid', Key);
    keys.add(Key);
  }
  if (tags.length > maxTags) {
    throw new AwsError(
      400,
      'BadRequest',
      maxTags === 10 ? 'Object tags cannot be greater than 10' : 'Bucket tag count cannot be greater than 50',
    );
  }
}
