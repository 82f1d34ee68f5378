import type { PutMetricAlarmInput, StateValue } from '@aws-sdk/client-cloudwatch';
import type { GrantConstraints, GrantOperation } from '@aws-sdk/client-kms';
import type {
  BucketLocationConstraint,
  DefaultRetention,
  LifecycleRule,
  NotificationConfiguration,
  OwnershipControls,
  PublicAccessBlockConfiguration,
  ReplicationConfiguration,
  ReplicationRule,
  ServerSideEncryptionConfiguration,
  StorageClass,
  Tag,
} from '@aws-sdk/client-s3';
import type { JobManifestGenerator, JobOperation, JobReport, JobStatus } from '@aws-sdk/client-s3-control';
import type { ChecksumType } from './protocol/checksums.ts';

/**
 * State of an account: roles, keys, aliases, sessions and managed policies. The state of the sandbox is plain data,
 * which a store keeps in memory or in a folder. A store saves each account and each bucket (settings and versions)
 * separately. The bytes of objects are separate blobs.
 */
export interface AccountState {
  id: string;
  /** Roles by name in lower case, because IAM names are unique without regard to case. */
  roles: Map<string, RoleState>;
  /** Keys by `region/keyId`. */
  keys: Map<string, KeyState>;
  /** Aliases by `region/alias/name`. */
  aliases: Map<string, AliasState>;
  /** Sessions that AssumeRole created, by access key id. */
  sessions: Map<string, SessionState>;
  /** Customer managed policies by ARN. */
  policies: Map<string, ManagedPolicyState>;
  /** Alarms of CloudWatch by `region/name`; absent without one. */
  alarms?: Map<string, AlarmState>;
  /** Topics of SNS by ARN; absent in the state that an earlier version saved. */
  topics?: Map<string, TopicState>;
  /** Account-wide public access block of S3 Control. */
  publicAccessBlock?: PublicAccessBlockConfiguration;
  /** The organization whose management account this is; absent for every other account. */
  organization?: OrganizationState;
}

/** An organization of AWS Organizations. Times are milliseconds since the epoch. */
export interface OrganizationState {
  /** `o-…` */
  id: string;
  /** `r-…` */
  rootId: string;
  managementAccount: string;
  /** Partition of its ARNs. */
  partition: string;
  /** Accounts by id, with the management account, in the order in which they joined. */
  accounts: Map<string, OrganizationAccountState>;
  /** Organizational units by id. */
  units: Map<string, OrganizationalUnitState>;
  /** Policy types that are enabled in the root. */
  policyTypes: ControlPolicyKind[];
  /** Policies by id, with the AWS managed ones. */
  policies: Map<string, OrganizationPolicyState>;
  /** Services of each delegated administrator, by account. */
  delegatedAdministrators: Map<string, string[]>;
  /** Resource-based delegation policy as JSON text. */
  resourcePolicy?: string;
  /** Open invitations by id. */
  invitations: Map<string, { id: string; account: string; requested: number }>;
  /** Account of each CreateAccount request, by the id of the request. */
  createdAccounts: Map<string, { account: string; requested: number }>;
}

export interface OrganizationAccountState {
  id: string;
  name: string;
  email: string;
  /** Id of the root or of an organizational unit. */
  parent: string;
  joinedMethod: 'INVITED' | 'CREATED';
  joined: number;
}

export interface OrganizationalUnitState {
  id: string;
  name: string;
  parent: string;
}

/** Types of policies that limit permissions. */
export type ControlPolicyKind = 'SERVICE_CONTROL_POLICY' | 'RESOURCE_CONTROL_POLICY';

export interface OrganizationPolicyState {
  id: string;
  name: string;
  description: string;
  type: ControlPolicyKind;
  isAwsManaged: boolean;
  /** JSON text. */
  content: string;
  /** Ids of the root, units and accounts to which the policy is attached. */
  targets: string[];
}

export interface ManagedPolicyState {
  arn: string;
  name: string;
  /** Document of the default version, as JSON text. */
  document: string;
  description?: string;
  tags?: Record<string, string>;
  /** Versions, oldest first; absent while `v1` is the only version, whose document is `document`. */
  versions?: { id: string; document: string; isDefault: boolean }[];
}

/** A session of a role. The members that are optional are absent in the state that an earlier version saved. */
export interface SessionState {
  accessKeyId: string;
  /** Secret that signs the requests of the session. */
  secretAccessKey?: string;
  /** Session token, which each request of the session carries. */
  token?: string;
  roleName: string;
  /** Id of the role. A role of the same name that is created later is another role. */
  roleId?: string;
  sessionName: string;
  /** Expiration in milliseconds since the epoch. */
  expires: number;
  /** Session tags: those of the request, and those that the session inherits from the session that created it. */
  tags?: Record<string, string>;
  /** Keys of the session tags that derived sessions inherit, in lower case. */
  transitiveTags: string[];
  sourceIdentity?: string;
  /** Session policies, which limit the permissions of the role; absent without a limit. */
  policies?: { name: string; document: string }[];
}

export interface RoleState {
  name: string;
  path: string;
  /** `AROA…`. Stored policies refer to a role by its id, so deleting and re-creating the role breaks the grant. */
  id: string;
  arn: string;
  /** The trust policy as JSON text. */
  trust: string;
  description?: string;
  created: number;
  maxSessionDuration: number;
  permissionsBoundary?: string;
  tags: Map<string, string>;
  /** Inline policies by name, as JSON text. */
  inline: Map<string, string>;
  /** Earlier inline policies that are still in use, oldest first. */
  superseded?: SupersededPolicy<Map<string, string>>[];
  /** ARNs of attached managed policies. */
  attached: string[];
  /** Time from which requests see the role, in milliseconds since the epoch; see `rolePropagationMs`. */
  visibleFrom: number;
}

/** A policy that AWS still uses, although a newer one is stored; see `policyPropagationMs`. */
export interface SupersededPolicy<T> {
  policy: T;
  /** In milliseconds since the epoch. */
  until: number;
}

export interface KeyState {
  id: string;
  arn: string;
  account: string;
  region: string;
  description: string;
  /** The stored state. `keyStateAt` returns the state at a time. */
  state:
    | 'Creating'
    | 'Enabled'
    | 'Disabled'
    | 'PendingDeletion'
    | 'PendingReplicaDeletion'
    | 'PendingImport'
    | 'Unavailable';
  /** Time until which a replica key is in the state Creating, in milliseconds since the epoch. */
  creatingUntil?: number;
  usage: string;
  spec: string;
  origin: string;
  multiRegion: boolean;
  manager: 'CUSTOMER' | 'AWS';
  created: number;
  deletionDate?: number;
  /** Window of a primary key whose replica keys KMS has to delete first. */
  pendingWindowInDays?: number;
  /** The key policy as JSON text. */
  policy: string;
  /** Earlier policies that are still in use, oldest first. */
  superseded?: SupersededPolicy<string>[];
  /** In the order of their creation. */
  grants?: GrantState[];
  tags: Map<string, string>;
  rotation: { enabled: boolean; periodInDays: number };
  /** Number of rotations on demand. */
  rotations?: number;
  /** Region of the primary key of a multi-Region key. */
  primaryRegion?: string;
  /** 32 bytes in base64, which never leave `kms`. */
  material: string;
  visibleFrom: number;
}

export interface GrantState {
  id: string;
  /** Each CreateGrant request returns another token of the same grant. */
  tokens: string[];
  name?: string;
  created: number;
  /** The ARN of the grantee, in the stored form of a principal (`AROA…|arn:…` for a role). */
  grantee: string;
  /** The ARN of the retiring principal, in the same form. */
  retiring?: string;
  /** ARN of the account that created the grant. */
  issuer: string;
  operations: GrantOperation[];
  constraints?: GrantConstraints;
}

export interface AliasState {
  name: string;
  targetKeyId: string;
  created: number;
  /** Time of the last UpdateAlias; absent if there was none. */
  updated?: number;
}

/** A queue of SQS. A store saves its settings and each message separately. */
export interface QueueState {
  arn: string;
  name: string;
  account: string;
  region: string;
  /** In milliseconds since the epoch. */
  created: number;
  modified: number;
  /** Attributes that a client set, except the policy; the others have their defaults. */
  attributes: Map<string, string>;
  /** The policy as JSON text. */
  policy?: string;
  /** Earlier policies that are still in use, oldest first. */
  superseded?: SupersededPolicy<string | undefined>[];
  tags: Map<string, string>;
  /** Time of the last PurgeQueue. */
  purged?: number;
  /** Messages of the last five minutes in a FIFO queue, by deduplication id. */
  deduplication?: Map<string, { messageId: string; sequenceNumber: string; sent: number }>;
  /** Messages by id, in the order in which SQS received them. */
  messages: Map<string, MessageState>;
}

export interface MessageState {
  id: string;
  body: string;
  /** In milliseconds since the epoch, as the other times. */
  sent: number;
  /** Id of the account or of the session that sent the message. */
  sender: string;
  attributes?: Record<string, MessageAttribute>;
  /** Time from which ReceiveMessage returns the message. */
  visibleFrom: number;
  receiveCount: number;
  firstReceived?: number;
  groupId?: string;
  deduplicationId?: string;
  sequenceNumber?: string;
}

export interface MessageAttribute {
  DataType: string;
  StringValue?: string;
  /** In base64. */
  BinaryValue?: string;
}

/** A topic of SNS. */
export interface TopicState {
  arn: string;
  name: string;
  account: string;
  region: string;
  /** Attributes that a client set, except the policy. */
  attributes: Map<string, string>;
  /** The policy as JSON text. */
  policy: string;
  /** Earlier policies that are still in use, oldest first. */
  superseded?: SupersededPolicy<string>[];
  tags: Map<string, string>;
  /** Subscriptions by ARN. */
  subscriptions: Map<string, SubscriptionState>;
  /** Number of deleted subscriptions. */
  deletedSubscriptions: number;
}

/** A subscription of a queue to a topic. */
export interface SubscriptionState {
  arn: string;
  /** ARN of the queue. */
  endpoint: string;
  /** Account and ARN of the subscriber. */
  owner: string;
  principal: string;
  /** Whether the queue receives the message itself, without the envelope of SNS. */
  raw: boolean;
}

export interface BucketState {
  name: string;
  owner: string;
  region: string;
  location?: BucketLocationConstraint;
  created: number;
  versioning?: { Status?: 'Enabled' | 'Suspended'; MFADelete?: 'Enabled' | 'Disabled' };
  encryption?: ServerSideEncryptionConfiguration;
  /** PutBucketEncryption set `encryption`; otherwise it is the default of S3. */
  encryptionIsSet?: boolean;
  replication?: ReplicationConfiguration;
  policy?: string;
  /** Earlier policies that are still in use, oldest first. */
  superseded?: SupersededPolicy<string | undefined>[];
  /** The notification configuration, and earlier ones that are still in effect, oldest first. */
  notifications?: {
    configuration: NotificationConfiguration;
    superseded?: SupersededPolicy<NotificationConfiguration>[];
  };
  publicAccessBlock?: PublicAccessBlockConfiguration;
  ownership?: OwnershipControls;
  tags?: Tag[];
  lifecycle?: LifecycleRule[];
  objectLock: boolean;
  /** Retention of new objects in a bucket with Object Lock. */
  defaultRetention?: DefaultRetention;
  /** Versions by key, newest first. */
  objects: Map<string, VersionState[]>;
  uploads: Map<string, UploadState>;
}

export interface VersionState {
  key: string;
  /** Account that owns the object; absent if it is the owner of the bucket. */
  owner?: string;
  /** Version id; `null` for an object that was written without versioning. */
  versionId: string;
  deleteMarker: boolean;
  /** Last modification in milliseconds since the epoch. */
  modified: number;
  size: number;
  etag: string;
  /** Id of the blob that contains the encrypted bytes. */
  blob?: string;
  storageClass?: StorageClass;
  contentType?: string;
  /** Other system headers: cache-control, content-disposition, … */
  headers: Record<string, string>;
  metadata: Record<string, string>;
  tags: Map<string, string>;
  encryption: ObjectEncryption;
  /** Absent for a delete marker. */
  checksum?: ObjectChecksum;
  /** Parts of an object that a multipart upload wrote, in their order. */
  parts?: ObjectPart[];
  /** The multipart upload that wrote the object. */
  upload?: CompletedUpload;
  replication?: ReplicationState;
  retention?: RetentionState;
  legalHold?: 'ON' | 'OFF';
}

export interface CompletedUpload {
  id: string;
  /** ETags of the parts, in their order. */
  partEtags: string[];
}

/** Object Lock retention of a version. */
export interface RetentionState {
  mode: 'GOVERNANCE' | 'COMPLIANCE';
  /** In milliseconds since the epoch. */
  until: number;
}

export interface ObjectChecksum {
  /** Name in the API: `CRC64NVME`, `SHA256`, … */
  algorithm: string;
  type: ChecksumType;
  /** In base64. A composite checksum, of the checksums of the parts, ends with `-` and the number of parts. */
  value: string;
}

export interface ObjectPart {
  number: number;
  size: number;
  /** Checksum of the part in base64, by the algorithm of the object; absent unless that is composite. */
  checksum?: string;
}

/** Encryption at rest of one version. The sandbox uses envelope encryption with AES-256-GCM under a data key. */
export interface ObjectEncryption {
  algorithm: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
  /** ARN of the KMS key; absent for SSE-S3. */
  keyArn?: string;
  bucketKey: boolean;
  /** Whether the caller's key wraps the data key (SSE-C). The algorithm is `AES256`. */
  customerKey?: boolean;
  /** Data key in base64, encrypted by KMS, by S3's own key for SSE-S3, or by the caller's key for SSE-C. */
  wrapped: string;
  /** Encryption context that S3 sent to KMS: the pairs of the client and `aws:s3:arn`. */
  context: Record<string, string>;
  iv: string;
  tag: string;
}

export interface ReplicationState {
  status: 'PENDING' | 'COMPLETED' | 'FAILED' | 'REPLICA';
  /** One entry per destination, with S3's failure reason and an explanation for the users of the sandbox. */
  attempts: {
    ruleId: string;
    destination: string;
    status: 'PENDING' | 'COMPLETED' | 'FAILED';
    reason?: string;
    detail?: string;
  }[];
  /** The rules at the moment of the write, while the status is PENDING. */
  rules?: ReplicationRule[];
  /** Time of the write or of the change of tags that S3 replicates, in milliseconds since the epoch. */
  requested?: number;
  /** Whether S3 has sent the events of a missed threshold. */
  missedThreshold?: boolean;
}

export interface UploadState {
  id: string;
  key: string;
  initiated: number;
  /** Whether the key had an object when the upload began. */
  keyExisted?: boolean;
  /** Canonical user id of an account, or the ARN of a session and its name. */
  initiator?: { ID: string; DisplayName?: string };
  /** Input of CreateMultipartUpload, which describes the future object. Contains the encryption that S3 chose. */
  request: Record<string, unknown>;
  /** The same input as the client sent it: the condition keys of the parts follow from it. It contains no key. */
  requested?: Record<string, unknown>;
  /** Checksum that the client chose; absent: S3 computes the default checksum of the object. */
  checksum?: Omit<ObjectChecksum, 'value'>;
  /** Key in base64 that encrypts the parts. For SSE-C it is the data key of the future object. */
  material: string;
  /** `material` encrypted by the caller's key (SSE-C). */
  wrapped?: string;
  parts: Map<number, UploadPartState>;
}

export interface UploadPartState {
  blob: string;
  size: number;
  etag: string;
  /** Checksum by the algorithm of the upload; absent without one. */
  checksum?: string;
  modified: number;
  iv: string;
  tag: string;
}

/** Members of PutMetricAlarm that an alarm keeps. */
export type AlarmConfiguration = Pick<
  PutMetricAlarmInput,
  | 'AlarmDescription'
  | 'ActionsEnabled'
  | 'OKActions'
  | 'AlarmActions'
  | 'InsufficientDataActions'
  | 'MetricName'
  | 'Namespace'
  | 'Statistic'
  | 'Dimensions'
  | 'Period'
  | 'Unit'
  | 'EvaluationPeriods'
  | 'DatapointsToAlarm'
  | 'Threshold'
  | 'ComparisonOperator'
  | 'TreatMissingData'
  | 'Metrics'
>;

/** Metric alarm of CloudWatch. Times are milliseconds since the epoch. */
export interface AlarmState {
  name: string;
  region: string;
  arn: string;
  configuration: AlarmConfiguration;
  /** Time of the last change of the configuration. */
  configured: number;
  state: StateValue;
  reason: string;
  /** JSON text. */
  reasonData?: string;
  updated: number;
  transitioned: number;
  tags: Map<string, string>;
  /** Time series of a query with GROUP BY that are in ALARM, by id. */
  contributors?: Map<string, ContributorState>;
}

/** A time series of an alarm, in the state ALARM. */
export interface ContributorState {
  attributes: Record<string, string>;
  reason: string;
  transitioned: number;
}

/** Metric of CloudWatch: of one account in one Region, with the values of one unit. */
export interface MetricState {
  account: string;
  region: string;
  namespace: string;
  name: string;
  /** Dimensions by name, in alphabetical order. */
  dimensions: [name: string, value: string][];
  unit: string;
  /** Datapoints by the start of their chunk, in minutes since the epoch. A store saves each chunk separately. */
  chunks: Map<number, MinuteStatistics[]>;
}

/** Values of one minute, by its start in minutes since the epoch: their sum, number, minimum and maximum. */
export type MinuteStatistics = [minute: number, sum: number, count: number, minimum: number, maximum: number];

/** A job of S3 Batch Operations. Times are milliseconds since the epoch. */
export interface JobState {
  id: string;
  account: string;
  region: string;
  roleArn: string;
  operation: JobOperation;
  generator: JobManifestGenerator;
  report: JobReport;
  priority: number;
  description?: string;
  confirmationRequired: boolean;
  /** Token of CreateJob, and the digest of its other parameters. */
  token: string;
  requestDigest: string;
  tags: Map<string, string>;
  created: number;
  status: JobStatus;
  /** Time of the change to the status. */
  statusSince: number;
  statusUpdateReason?: string;
  suspended?: number;
  /** Time at which the tasks began, and the seconds for which they ran. */
  activeSince?: number;
  activeSeconds?: number;
  terminated?: number;
  /** Reason for which the job fails. */
  failureReason?: string;
  /** Objects of the job; absent until the manifest is generated. */
  manifest?: {
    /** Blobs with the tasks as JSON: a list of `[key, versionId]` each. */
    blobs: string[];
    /** Number of tasks in each blob except the last. */
    blobSize: number;
    total: number;
  };
  succeeded: number;
  failed: number;
  /** Blobs with the rows of the report in CSV. */
  rows: { succeeded: string[]; failed: string[] };
}
