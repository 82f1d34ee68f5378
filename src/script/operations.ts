/** A call of a script that changes one setting, with the read that guards it. */
export interface GuardedOperation {
  /** Command of the AWS CLI: `s3api put-bucket-versioning`. */
  write: string;
  /** Command of the AWS CLI that reads the setting: `get-bucket-versioning`. */
  read: string;
  /** The operation that `read` calls: `GetBucketVersioning`. */
  readOperation: string;
  /** jq program that returns the input of the read, from the input of the write. */
  key: string;
  /** Path of the setting in the input of the write. */
  desired: string;
  /** Path of the setting in the response of the read; empty: the whole response. */
  actual: string;
  /** Error codes of AWS, as the AWS CLI prints them, that mean that there is no such setting: `A|B`. */
  absentErrors?: string;
  /**
   * How the actual setting must compare to the desired one: `equal`; `matches`, where AWS adds values of its own;
   * `contains`, where the write changes only a part, or AWS adds defaults; `lacks`, for tags to remove.
   */
  comparison: 'equal' | 'matches' | 'contains' | 'lacks';
  /**
   * jq program that adds the desired setting to the `$actual` one, which AWS fills when it creates the bucket or key.
   */
  addition?: string;
  /** AWS gives a new bucket a default of the setting, which has no entries of other callers. */
  hasDefault?: true;
  /** The write changes only a part of the resource, so what the rest was before does not matter. */
  isPartial?: true;
}

const BUCKET_KEY = '{Bucket, ExpectedBucketOwner}';
const ROLE_KEY = '{RoleName}';

/** Settings of a bucket: written and read by operations whose names differ only in their verbs. */
const bucketSetting = (
  name: string,
  setting: Pick<GuardedOperation, 'desired' | 'actual'> & Partial<GuardedOperation>,
): [string, GuardedOperation] => [
  `Put${name}`,
  {
    write: `s3api ${toCliName(`Put${name}`)}`,
    read: toCliName(`Get${name}`),
    readOperation: `Get${name}`,
    key: BUCKET_KEY,
    comparison: 'equal',
    ...setting,
  },
];

/** Changes of a role itself, which GetRole shows. */
const roleSetting = (
  name: string,
  setting: Pick<GuardedOperation, 'desired' | 'actual'> & Partial<GuardedOperation>,
): [string, GuardedOperation] => [
  name,
  {
    write: `iam ${toCliName(name)}`,
    read: 'get-role',
    readOperation: 'GetRole',
    key: ROLE_KEY,
    comparison: 'equal',
    ...setting,
  },
];

const KEY_SETTING = {
  read: 'describe-key',
  readOperation: 'DescribeKey',
  key: '{KeyId}',
  comparison: 'equal',
} as const;

const ROTATION_SETTING = {
  read: 'get-key-rotation-status',
  readOperation: 'GetKeyRotationStatus',
  key: '{KeyId}',
  actual: '',
  comparison: 'contains',
  isPartial: true,
} as const;

/**
 * The calls that a script can make, by operation. A script contains no others: those create resources and have functions of
 * their own, or delete, or start jobs, or need a document that the AWS CLI cannot express.
 */
export const GUARDED_OPERATIONS: ReadonlyMap<string, GuardedOperation> = new Map<string, GuardedOperation>([
  bucketSetting('BucketVersioning', { desired: '.VersioningConfiguration.Status', actual: '.Status' }),
  bucketSetting('BucketReplication', {
    desired: '.ReplicationConfiguration',
    actual: '.ReplicationConfiguration',
    absentErrors: 'ReplicationConfigurationNotFoundError',
  }),
  bucketSetting('BucketEncryption', {
    desired: '.ServerSideEncryptionConfiguration.Rules[0]',
    actual: '.ServerSideEncryptionConfiguration.Rules[0]',
    absentErrors: 'ServerSideEncryptionConfigurationNotFoundError',
    // S3 writes the default of a new bucket, since April 2026 with BlockedEncryptionTypes.
    addition: '($actual // {}) + .',
  }),
  bucketSetting('BucketPolicy', {
    desired: '.Policy',
    actual: '.Policy',
    absentErrors: 'NoSuchBucketPolicy',
  }),
  bucketSetting('BucketOwnershipControls', {
    hasDefault: true,
    desired: '.OwnershipControls.Rules[0].ObjectOwnership',
    actual: '.OwnershipControls.Rules[0].ObjectOwnership',
    absentErrors: 'OwnershipControlsNotFoundError',
  }),
  bucketSetting('PublicAccessBlock', {
    hasDefault: true,
    desired: '.PublicAccessBlockConfiguration',
    actual: '.PublicAccessBlockConfiguration',
    absentErrors: 'NoSuchPublicAccessBlockConfiguration',
  }),
  bucketSetting('ObjectLockConfiguration', {
    hasDefault: true,
    desired: '.ObjectLockConfiguration',
    actual: '.ObjectLockConfiguration',
    absentErrors: 'ObjectLockConfigurationNotFoundError',
    comparison: 'contains',
  }),
  roleSetting('UpdateAssumeRolePolicy', {
    desired: '.PolicyDocument',
    actual: '.Role.AssumeRolePolicyDocument',
  }),
  roleSetting('PutRolePermissionsBoundary', {
    desired: '.PermissionsBoundary',
    actual: '.Role.PermissionsBoundary.PermissionsBoundaryArn',
  }),
  roleSetting('TagRole', { desired: '.Tags', actual: '.Role.Tags', comparison: 'contains', isPartial: true }),
  roleSetting('UntagRole', {
    desired: '.TagKeys',
    actual: '[.Role.Tags[]?.Key]',
    comparison: 'lacks',
    isPartial: true,
  }),
  [
    'PutRolePolicy',
    {
      write: 'iam put-role-policy',
      read: 'get-role-policy',
      readOperation: 'GetRolePolicy',
      key: '{RoleName, PolicyName}',
      desired: '.PolicyDocument',
      actual: '.PolicyDocument',
      absentErrors: 'NoSuchEntity',
      comparison: 'equal',
    },
  ],
  [
    'PutKeyPolicy',
    {
      write: 'kms put-key-policy',
      read: 'get-key-policy',
      readOperation: 'GetKeyPolicy',
      key: '{KeyId, PolicyName}',
      desired: '.Policy',
      actual: '.Policy',
      comparison: 'equal',
      // A new key has the default policy of KMS, without which the account would lose the key.
      addition:
        '. as $new | $actual // error("the key has no policy") | .Statement = ([.Statement] | flatten | map(select(.Sid as $sid | all($new.Statement[]; .Sid != $sid)))) + $new.Statement',
    },
  ],
  [
    'UpdateKeyDescription',
    {
      ...KEY_SETTING,
      write: 'kms update-key-description',
      desired: '.Description',
      actual: '.KeyMetadata.Description',
    },
  ],
  [
    'EnableKeyRotation',
    {
      ...ROTATION_SETTING,
      write: 'kms enable-key-rotation',
      desired: '{KeyRotationEnabled: true, RotationPeriodInDays}',
    },
  ],
  [
    'DisableKeyRotation',
    { ...ROTATION_SETTING, write: 'kms disable-key-rotation', desired: '{KeyRotationEnabled: false}' },
  ],
  [
    'SetTopicAttributes',
    {
      write: 'sns set-topic-attributes',
      read: 'get-topic-attributes',
      readOperation: 'GetTopicAttributes',
      key: '{TopicArn}',
      desired: '.AttributeValue',
      actual: '.Attributes.Policy',
      comparison: 'equal',
    },
  ],
  [
    'SetQueueAttributes',
    {
      write: 'sqs set-queue-attributes',
      read: 'get-queue-attributes',
      readOperation: 'GetQueueAttributes',
      key: '{QueueUrl, AttributeNames: ["Policy"]}',
      desired: '.Attributes.Policy',
      actual: '.Attributes.Policy',
      comparison: 'equal',
    },
  ],
  [
    'PutMetricAlarm',
    {
      write: 'cloudwatch put-metric-alarm',
      read: 'describe-alarms',
      readOperation: 'DescribeAlarms',
      key: '{AlarmNames: [.AlarmName]}',
      desired: 'del(.Tags)',
      actual: '.MetricAlarms[0]',
      // CloudWatch adds the ARN and the state.
      comparison: 'matches',
    },
  ],
]);

/** Returns the name of a command of the AWS CLI: `put-bucket-versioning`. */
function toCliName(operation: string): string {
  return operation.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
}

/** Members of inputs and responses that contain a policy as JSON text. */
export const POLICY_MEMBERS: ReadonlySet<string> = new Set([
  'Policy',
  'PolicyDocument',
  'AssumeRolePolicyDocument',
  'AttributeValue',
]);
