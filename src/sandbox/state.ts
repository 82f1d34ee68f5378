import type {
  BucketLocationConstraint,
  OwnershipControls,
  PublicAccessBlockConfiguration,
  ReplicationConfiguration,
  ServerSideEncryptionConfiguration,
  StorageClass,
  Tag,
} from '@aws-sdk/client-s3';

/**
 * Everything the sandbox remembers, as plain data: what `store.ts` keeps in memory or in a folder. Two kinds of
 * document, each saved on its own: an account (its roles and keys), and a bucket (its settings and versions). The
 * bytes of objects are blobs beside them.
 */
export interface AccountState {
  id: string;
  /** By role name in lower case: IAM names are unique without regard to case. */
  roles: Map<string, RoleState>;
  /** By `region/keyId`. */
  keys: Map<string, KeyState>;
  /** By `region/alias/name`. */
  aliases: Map<string, AliasState>;
  /** Sessions that AssumeRole handed out, by access key id. */
  sessions: Map<string, SessionState>;
  /** Customer managed policies by ARN. */
  policies: Map<string, ManagedPolicyState>;
  /** S3 Control's account-wide block of public access. */
  publicAccessBlock?: PublicAccessBlockConfiguration;
}

export interface ManagedPolicyState {
  arn: string;
  name: string;
  /** The default version's. */
  document: string;
  /** Once there is more than one; `v1` alone is the document itself. */
  versions?: { id: string; document: string; isDefault: boolean }[];
}

export interface SessionState {
  accessKeyId: string;
  roleName: string;
  sessionName: string;
  /** Milliseconds since the epoch. */
  expires: number;
  /** Keys of session tags that sessions started from this one inherit, in lower case. */
  transitiveTags: string[];
}

export interface RoleState {
  name: string;
  path: string;
  /** `AROA…`: what a principal that names the role is stored as, so that deleting and re-creating it breaks the grant. */
  id: string;
  arn: string;
  /** The trust policy as JSON text. */
  trust: string;
  description?: string;
  created: number;
  maxSessionDuration: number;
  permissionsBoundary?: string;
  tags: Map<string, string>;
  /** Inline policies: name to JSON text. */
  inline: Map<string, string>;
  /** ARNs of attached managed policies. */
  attached: string[];
  /** The time (ms since the epoch) from which requests see the role: fault setting `rolePropagationMs`. */
  visibleFrom: number;
}

export interface KeyState {
  id: string;
  arn: string;
  account: string;
  region: string;
  description: string;
  state: 'Creating' | 'Enabled' | 'Disabled' | 'PendingDeletion' | 'PendingImport' | 'Unavailable';
  usage: string;
  spec: string;
  origin: string;
  multiRegion: boolean;
  manager: 'CUSTOMER' | 'AWS';
  created: number;
  deletionDate?: number;
  /** The key policy as JSON text. */
  policy: string;
  tags: Map<string, string>;
  rotation: { enabled: boolean; periodInDays: number };
  /** How often it was rotated on demand. */
  rotations?: number;
  /** Of a multi-Region key: where its primary is. */
  primaryRegion?: string;
  /** Base64 of the 32 bytes that never leave `kms`. */
  material: string;
  visibleFrom: number;
}

export interface AliasState {
  name: string;
  targetKeyId: string;
  created: number;
}

export interface BucketState {
  name: string;
  owner: string;
  region: string;
  location?: BucketLocationConstraint;
  created: number;
  versioning?: { Status?: 'Enabled' | 'Suspended'; MFADelete?: 'Enabled' | 'Disabled' };
  encryption?: ServerSideEncryptionConfiguration;
  replication?: ReplicationConfiguration;
  policy?: string;
  publicAccessBlock?: PublicAccessBlockConfiguration;
  ownership?: OwnershipControls;
  tags?: Tag[];
  objectLock: boolean;
  /** Versions by key, newest first. */
  objects: Map<string, VersionState[]>;
  uploads: Map<string, UploadState>;
}

export interface VersionState {
  key: string;
  /** The account that owns the object, where that is not the bucket's. */
  owner?: string;
  /** `null` for what was written without versioning. */
  versionId: string;
  deleteMarker: boolean;
  /** Milliseconds since the epoch. */
  modified: number;
  size: number;
  etag: string;
  /** Where the (encrypted) bytes lie. */
  blob?: string;
  storageClass?: StorageClass;
  contentType?: string;
  /** Other system headers: cache-control, content-disposition, … */
  headers: Record<string, string>;
  metadata: Record<string, string>;
  tags: Map<string, string>;
  encryption: ObjectEncryption;
  checksums: Record<string, string>;
  replication?: ReplicationState;
}

/** How the bytes of one version are encrypted at rest: real envelope encryption, AES-256-GCM under a data key. */
export interface ObjectEncryption {
  algorithm: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
  /** ARN of the KMS key; absent for SSE-S3. */
  keyArn?: string;
  bucketKey: boolean;
  /** The data key, wrapped by KMS (base64); for SSE-S3 by S3's own key. */
  wrapped: string;
  /** The client's own pairs and `aws:s3:arn`, as S3 gave them to KMS. */
  context: Record<string, string>;
  iv: string;
  tag: string;
}

export interface ReplicationState {
  status: 'PENDING' | 'COMPLETED' | 'FAILED' | 'REPLICA';
  /** One entry a destination, with S3's failure reason and an explanation in words for whoever asks the sandbox. */
  attempts: {
    ruleId: string;
    destination: string;
    status: 'PENDING' | 'COMPLETED' | 'FAILED';
    reason?: string;
    detail?: string;
  }[];
}

export interface UploadState {
  id: string;
  key: string;
  initiated: number;
  /** What CreateMultipartUpload said of the object to be. */
  request: Record<string, unknown>;
  /** Base64 of the key that its parts are encrypted under. */
  material: string;
  parts: Map<number, { blob: string; size: number; etag: string; modified: number; iv: string; tag: string }>;
}
