export type Service =
  | 's3'
  | 's3control'
  | 'iam'
  | 'kms'
  | 'sts'
  | 'cloudtrail'
  | 'cloudwatch'
  | 'sqs'
  | 'sns'
  | 'organizations';

/** The schema of an SDK command: type mark, namespace, name, traits, input schema and output schema. */
export type OperationSchema = readonly [number, string, string, unknown, unknown, unknown];

export const schemaOf = (command: object): OperationSchema => (command as { schema: OperationSchema }).schema;

/** Returns service and operation of an SDK command, from its schema. */
export function commandInfo(command: object): { service: Service; operation: string; input: unknown } {
  const [, namespace, operation] = schemaOf(command);
  const { input } = command as { input?: unknown };
  return { service: namespace.slice('com.amazonaws.'.length) as Service, operation, input };
}

const REQUEST_BODY = Symbol('body of the request');

/** Returns a command with another body than the one that the SDK makes from its input, in which unknown elements are lost. */
export const withRequestBody = <T extends object>(command: T, body: string): T =>
  Object.defineProperty(command, REQUEST_BODY, { value: body });

export const requestBodyOf = (command: object): string | undefined =>
  (command as { [REQUEST_BODY]?: string })[REQUEST_BODY];

/** Whether an operation only reads. A dry run sends no other operations. */
export const isReadOperation = (operation: string): boolean =>
  /^(Get|List|Head|Describe|Lookup)/.test(operation);

/** Whether an operation changes messages of a queue, which are neither settings nor objects. */
export const isMessageOperation = (operation: string): boolean =>
  /Message(Visibility)?(Batch)?$/.test(operation);

/**
 * IAM actions of S3 operations with another name. Actions of the other services have the names of their operations.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
 */
const S3_ACTIONS: Record<string, string> = {
  HeadBucket: 'ListBucket',
  ListBuckets: 'ListAllMyBuckets',
  ListObjectsV2: 'ListBucket',
  ListObjectVersions: 'ListBucketVersions',
  HeadObject: 'GetObject',
  GetBucketReplication: 'GetReplicationConfiguration',
  PutBucketReplication: 'PutReplicationConfiguration',
  DeleteBucketReplication: 'PutReplicationConfiguration',
  GetBucketNotificationConfiguration: 'GetBucketNotification',
  PutBucketNotificationConfiguration: 'PutBucketNotification',
  GetBucketEncryption: 'GetEncryptionConfiguration',
  PutBucketEncryption: 'PutEncryptionConfiguration',
  GetPublicAccessBlock: 'GetBucketPublicAccessBlock',
  PutPublicAccessBlock: 'PutBucketPublicAccessBlock',
  GetBucketLifecycleConfiguration: 'GetLifecycleConfiguration',
  GetObjectLockConfiguration: 'GetBucketObjectLockConfiguration',
  PutObjectLockConfiguration: 'PutBucketObjectLockConfiguration',
};

/** S3 operations whose action depends on whether the request names a version of the object. */
const VERSIONED_ACTIONS: ReadonlySet<string> = new Set(['GetObject', 'DeleteObject', 'GetObjectTagging']);

/** Returns the IAM action that a call requires: `s3:PutReplicationConfiguration` for PutBucketReplication. */
export function requiredAction(service: Service, operation: string, input: unknown): string {
  if (service === 's3control') return `s3:${operation}`;
  if (service !== 's3') return `${service}:${operation}`;
  const action = S3_ACTIONS[operation] ?? operation;
  const hasVersion = (input as { VersionId?: string } | undefined)?.VersionId !== undefined;
  if (!hasVersion || !VERSIONED_ACTIONS.has(action)) return `s3:${action}`;
  return `s3:${action.replace('Object', 'ObjectVersion')}`;
}

/**
 * KMS quotas in calls a second, for each account and Region. replikey does not reach the quotas of other operations.
 *
 * https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html
 */
export const KMS_QUOTAS = {
  CreateKey: 5,
  CreateAlias: 5,
  UpdateKeyDescription: 5,
  TagResource: 10,
  EnableKeyRotation: 15,
  DisableKeyRotation: 15,
  PutKeyPolicy: 15,
};

/** The quotas that AWS publishes, in calls a second. */
export const PUBLISHED_QUOTAS: Partial<Record<Service, Record<string, number>>> = {
  kms: KMS_QUOTAS,
  // https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
  cloudtrail: { LookupEvents: 2 },
};
