/**
 * The wire format of the operations in the scenarios, from the request and response syntax in the API references of S3, S3
 * Control, IAM, KMS and STS. It shares nothing with the models of the SDK, from which the sandbox derives its own format.
 */
export type Shape = Scalar | Structure | List;

export type Scalar = 'text' | 'boolean' | 'number' | 'time' | 'blob';

export interface Structure {
  type: 'structure';
  members: Record<string, Shape>;
}

export interface List {
  type: 'list';
  item: Shape;
  /** The XML element of an item. */
  element: string;
  /** Whether the items stand in the parent, without an element around them. */
  flattened: boolean;
}

const structure = (members: Record<string, Shape>): Structure => ({ type: 'structure', members });
const wrapped = (element: string, item: Shape): List => ({ type: 'list', item, element, flattened: false });
const flattened = (element: string, item: Shape): List => ({ type: 'list', item, element, flattened: true });
/** A list of the Query protocol (IAM and STS), or of JSON (KMS). */
const members = (item: Shape): List => wrapped('member', item);

export interface Body {
  /** The root element. Absent for a text, such as a policy or an object. */
  root?: string;
  /** The member that the whole body is. Absent if the members of the root element are those of the input or output. */
  member?: string;
  shape: Shape;
}

/** An operation with REST-XML: S3 and S3 Control. */
export interface RestOperation {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'HEAD';
  /** The path, with the members of the input that it contains. */
  path: string;
  /** Query keys of the operation, such as `versioning`. */
  query?: string;
  /** Query keys by member of the input. */
  queryMembers?: Record<string, string>;
  request?: Body;
  /** Members of the output that are headers. */
  headers?: string[];
  response?: Body;
}

/** Headers by member. S3 uses one name for a member in all its operations. */
export const HEADERS: Record<string, [header: string, type: Scalar | 'http-date']> = {
  AcceptRanges: ['accept-ranges', 'text'],
  AccessPointAlias: ['x-amz-access-point-alias', 'boolean'],
  AccountId: ['x-amz-account-id', 'text'],
  BucketArn: ['x-amz-bucket-arn', 'text'],
  BucketKeyEnabled: ['x-amz-server-side-encryption-bucket-key-enabled', 'boolean'],
  BucketRegion: ['x-amz-bucket-region', 'text'],
  ChecksumCRC32: ['x-amz-checksum-crc32', 'text'],
  ChecksumMode: ['x-amz-checksum-mode', 'text'],
  ChecksumType: ['x-amz-checksum-type', 'text'],
  ContentLength: ['content-length', 'number'],
  ContentType: ['content-type', 'text'],
  CopySource: ['x-amz-copy-source', 'text'],
  CopySourceVersionId: ['x-amz-copy-source-version-id', 'text'],
  DeleteMarker: ['x-amz-delete-marker', 'boolean'],
  ETag: ['etag', 'text'],
  ExpectedBucketOwner: ['x-amz-expected-bucket-owner', 'text'],
  IfMatch: ['if-match', 'text'],
  IfNoneMatch: ['if-none-match', 'text'],
  LastModified: ['last-modified', 'http-date'],
  Location: ['location', 'text'],
  ObjectLockEnabledForBucket: ['x-amz-bucket-object-lock-enabled', 'boolean'],
  ObjectOwnership: ['x-amz-object-ownership', 'text'],
  ReplicationStatus: ['x-amz-replication-status', 'text'],
  ServerSideEncryption: ['x-amz-server-side-encryption', 'text'],
  SSEKMSKeyId: ['x-amz-server-side-encryption-aws-kms-key-id', 'text'],
  StorageClass: ['x-amz-storage-class', 'text'],
  TagCount: ['x-amz-tagging-count', 'number'],
  Tagging: ['x-amz-tagging', 'text'],
  VersionId: ['x-amz-version-id', 'text'],
};

const TAG = structure({ Key: 'text', Value: 'text' });
const OWNER = structure({ ID: 'text', DisplayName: 'text' });
const STATUS = structure({ Status: 'text' });
const MINUTES = structure({ Minutes: 'number' });

const REPLICATION_RULE = structure({
  ID: 'text',
  Priority: 'number',
  Prefix: 'text',
  Filter: structure({
    Prefix: 'text',
    Tag: TAG,
    And: structure({ Prefix: 'text', Tags: flattened('Tag', TAG) }),
  }),
  Status: 'text',
  SourceSelectionCriteria: structure({ SseKmsEncryptedObjects: STATUS, ReplicaModifications: STATUS }),
  ExistingObjectReplication: STATUS,
  Destination: structure({
    Bucket: 'text',
    Account: 'text',
    StorageClass: 'text',
    AccessControlTranslation: structure({ Owner: 'text' }),
    EncryptionConfiguration: structure({ ReplicaKmsKeyID: 'text' }),
    ReplicationTime: structure({ Status: 'text', Time: MINUTES }),
    Metrics: structure({ Status: 'text', EventThreshold: MINUTES }),
  }),
  DeleteMarkerReplication: STATUS,
});

const REPLICATION: Body = {
  root: 'ReplicationConfiguration',
  member: 'ReplicationConfiguration',
  shape: structure({ Role: 'text', Rules: flattened('Rule', REPLICATION_RULE) }),
};

const ENCRYPTION: Body = {
  root: 'ServerSideEncryptionConfiguration',
  member: 'ServerSideEncryptionConfiguration',
  shape: structure({
    Rules: flattened(
      'Rule',
      structure({
        ApplyServerSideEncryptionByDefault: structure({ SSEAlgorithm: 'text', KMSMasterKeyID: 'text' }),
        BucketKeyEnabled: 'boolean',
        BlockedEncryptionTypes: structure({ EncryptionType: flattened('EncryptionType', 'text') }),
      }),
    ),
  }),
};

const OWNERSHIP: Body = {
  root: 'OwnershipControls',
  member: 'OwnershipControls',
  shape: structure({ Rules: flattened('Rule', structure({ ObjectOwnership: 'text' })) }),
};

const PUBLIC_ACCESS_BLOCK: Body = {
  root: 'PublicAccessBlockConfiguration',
  member: 'PublicAccessBlockConfiguration',
  shape: structure({
    BlockPublicAcls: 'boolean',
    IgnorePublicAcls: 'boolean',
    BlockPublicPolicy: 'boolean',
    RestrictPublicBuckets: 'boolean',
  }),
};

const TAG_SET = structure({ TagSet: wrapped('Tag', TAG) });
const POLICY: Body = { member: 'Policy', shape: 'text' };
const OBJECT: Body = { member: 'Body', shape: 'text' };

const OBJECT_ENCRYPTION = ['ServerSideEncryption', 'SSEKMSKeyId', 'BucketKeyEnabled'];
const OBJECT_CHECKSUM = ['ChecksumCRC32', 'ChecksumType'];
const OBJECT_HEADERS = [
  'AcceptRanges',
  'LastModified',
  'ContentLength',
  'ContentType',
  'ETag',
  'VersionId',
  'ReplicationStatus',
  'StorageClass',
  'TagCount',
  ...OBJECT_ENCRYPTION,
  ...OBJECT_CHECKSUM,
];

const VERSION = {
  Key: 'text',
  VersionId: 'text',
  IsLatest: 'boolean',
  LastModified: 'time',
  Owner: OWNER,
} as const;

const BUCKET = '/{Bucket}';
const KEY = '/{Bucket}/{Key}';

/** Returns the operations that read, write and delete one setting of a bucket. */
function setting(name: string, query: string, put: Body, get: Body = put): Record<string, RestOperation> {
  return {
    [`Put${name}`]: { method: 'PUT', path: BUCKET, query, request: put },
    [`Get${name}`]: { method: 'GET', path: BUCKET, query, response: get },
    [`Delete${name}`]: { method: 'DELETE', path: BUCKET, query },
  };
}

export const S3: Record<string, RestOperation> = {
  CreateBucket: {
    method: 'PUT',
    path: BUCKET,
    request: {
      root: 'CreateBucketConfiguration',
      member: 'CreateBucketConfiguration',
      shape: structure({ LocationConstraint: 'text', Tags: wrapped('Tag', TAG) }),
    },
    headers: ['Location', 'BucketArn'],
  },
  HeadBucket: { method: 'HEAD', path: BUCKET, headers: ['BucketArn', 'BucketRegion', 'AccessPointAlias'] },
  DeleteBucket: { method: 'DELETE', path: BUCKET },
  ListBuckets: {
    method: 'GET',
    path: '/',
    queryMembers: { Prefix: 'prefix', BucketRegion: 'bucket-region' },
    response: {
      root: 'ListAllMyBucketsResult',
      shape: structure({
        Buckets: wrapped(
          'Bucket',
          structure({ Name: 'text', CreationDate: 'time', BucketArn: 'text', BucketRegion: 'text' }),
        ),
        Owner: OWNER,
        Prefix: 'text',
      }),
    },
  },
  // The body of this response is one element, and not a structure.
  GetBucketLocation: {
    method: 'GET',
    path: BUCKET,
    query: 'location',
    response: { root: 'LocationConstraint', member: 'LocationConstraint', shape: 'text' },
  },
  ...setting('BucketVersioning', 'versioning', {
    root: 'VersioningConfiguration',
    member: 'VersioningConfiguration',
    shape: structure({ Status: 'text', MfaDelete: 'text' }),
  }),
  GetBucketVersioning: {
    method: 'GET',
    path: BUCKET,
    query: 'versioning',
    response: { root: 'VersioningConfiguration', shape: structure({ Status: 'text', MfaDelete: 'text' }) },
  },
  ...setting('BucketEncryption', 'encryption', ENCRYPTION),
  ...setting('BucketReplication', 'replication', REPLICATION),
  ...setting('BucketOwnershipControls', 'ownershipControls', OWNERSHIP),
  ...setting('PublicAccessBlock', 'publicAccessBlock', PUBLIC_ACCESS_BLOCK),
  ...setting('BucketPolicy', 'policy', POLICY),
  ...setting(
    'BucketTagging',
    'tagging',
    { root: 'Tagging', member: 'Tagging', shape: TAG_SET },
    { root: 'Tagging', shape: TAG_SET },
  ),
  PutObject: {
    method: 'PUT',
    path: KEY,
    request: OBJECT,
    headers: ['ETag', 'VersionId', ...OBJECT_ENCRYPTION, ...OBJECT_CHECKSUM],
  },
  GetObject: {
    method: 'GET',
    path: KEY,
    queryMembers: { VersionId: 'versionId' },
    headers: OBJECT_HEADERS,
    response: OBJECT,
  },
  HeadObject: {
    method: 'HEAD',
    path: KEY,
    queryMembers: { VersionId: 'versionId' },
    headers: OBJECT_HEADERS,
  },
  DeleteObject: {
    method: 'DELETE',
    path: KEY,
    queryMembers: { VersionId: 'versionId' },
    headers: ['DeleteMarker', 'VersionId'],
  },
  GetObjectTagging: {
    method: 'GET',
    path: KEY,
    query: 'tagging',
    headers: ['VersionId'],
    response: { root: 'Tagging', shape: TAG_SET },
  },
  CopyObject: {
    method: 'PUT',
    path: KEY,
    headers: ['VersionId', 'CopySourceVersionId', ...OBJECT_ENCRYPTION],
    response: {
      root: 'CopyObjectResult',
      member: 'CopyObjectResult',
      shape: structure({
        ETag: 'text',
        LastModified: 'time',
        ChecksumCRC32: 'text',
        ChecksumCRC64NVME: 'text',
        ChecksumType: 'text',
      }),
    },
  },
  CreateMultipartUpload: {
    method: 'POST',
    path: KEY,
    query: 'uploads',
    headers: OBJECT_ENCRYPTION,
    response: {
      root: 'InitiateMultipartUploadResult',
      shape: structure({ Bucket: 'text', Key: 'text', UploadId: 'text' }),
    },
  },
  ListObjectVersions: {
    method: 'GET',
    path: BUCKET,
    query: 'versions',
    queryMembers: { EncodingType: 'encoding-type' },
    response: {
      root: 'ListVersionsResult',
      shape: structure({
        Name: 'text',
        Prefix: 'text',
        KeyMarker: 'text',
        VersionIdMarker: 'text',
        MaxKeys: 'number',
        EncodingType: 'text',
        IsTruncated: 'boolean',
        Versions: flattened(
          'Version',
          structure({
            ...VERSION,
            ETag: 'text',
            Size: 'number',
            StorageClass: 'text',
            ChecksumAlgorithm: flattened('ChecksumAlgorithm', 'text'),
            ChecksumType: 'text',
          }),
        ),
        DeleteMarkers: flattened('DeleteMarker', structure(VERSION)),
      }),
    },
  },
};

const ACCOUNT_BLOCK = '/v20180820/configuration/publicAccessBlock';
const RESOURCE_TAGS = '/v20180820/tags/{ResourceArn}';

export const S3_CONTROL: Record<string, RestOperation> = {
  PutPublicAccessBlock: { method: 'PUT', path: ACCOUNT_BLOCK, request: PUBLIC_ACCESS_BLOCK },
  GetPublicAccessBlock: { method: 'GET', path: ACCOUNT_BLOCK, response: PUBLIC_ACCESS_BLOCK },
  DeletePublicAccessBlock: { method: 'DELETE', path: ACCOUNT_BLOCK },
  ListTagsForResource: {
    method: 'GET',
    path: RESOURCE_TAGS,
    response: { root: 'ListTagsForResourceResult', shape: structure({ Tags: wrapped('Tag', TAG) }) },
  },
  TagResource: {
    method: 'POST',
    path: RESOURCE_TAGS,
    request: { root: 'TagResourceRequest', shape: structure({ Tags: wrapped('Tag', TAG) }) },
  },
  UntagResource: { method: 'DELETE', path: RESOURCE_TAGS, queryMembers: { TagKeys: 'tagKeys' } },
};

const ROLE = {
  Path: 'text',
  RoleName: 'text',
  RoleId: 'text',
  Arn: 'text',
  CreateDate: 'time',
  AssumeRolePolicyDocument: 'text',
  Description: 'text',
  MaxSessionDuration: 'number',
  PermissionsBoundary: structure({ PermissionsBoundaryType: 'text', PermissionsBoundaryArn: 'text' }),
  Tags: members(TAG),
  RoleLastUsed: structure({ LastUsedDate: 'time', Region: 'text' }),
} as const;

/** Outputs of the Query protocol. An operation without members returns no element for its result. */
export const QUERY: Record<'iam' | 'sts', Record<string, Structure>> = {
  iam: {
    CreateRole: structure({ Role: structure(ROLE) }),
    GetRole: structure({ Role: structure(ROLE) }),
    ListRoles: structure({ Roles: members(structure(ROLE)), IsTruncated: 'boolean', Marker: 'text' }),
    UpdateAssumeRolePolicy: structure({}),
    DeleteRole: structure({}),
    PutRolePolicy: structure({}),
    GetRolePolicy: structure({ RoleName: 'text', PolicyName: 'text', PolicyDocument: 'text' }),
    AttachRolePolicy: structure({}),
    CreatePolicy: structure({
      Policy: structure({
        PolicyName: 'text',
        PolicyId: 'text',
        Arn: 'text',
        Path: 'text',
        DefaultVersionId: 'text',
        AttachmentCount: 'number',
        PermissionsBoundaryUsageCount: 'number',
        IsAttachable: 'boolean',
        Description: 'text',
        CreateDate: 'time',
        UpdateDate: 'time',
        Tags: members(TAG),
      }),
    }),
    CreateServiceLinkedRole: structure({ Role: structure(ROLE) }),
    SimulatePrincipalPolicy: structure({}),
  },
  sts: {
    GetCallerIdentity: structure({ UserId: 'text', Account: 'text', Arn: 'text' }),
    AssumeRole: structure({
      Credentials: structure({
        AccessKeyId: 'text',
        SecretAccessKey: 'text',
        SessionToken: 'text',
        Expiration: 'time',
      }),
      AssumedRoleUser: structure({ AssumedRoleId: 'text', Arn: 'text' }),
      PackedPolicySize: 'number',
    }),
  },
};

const REGIONAL_KEY = structure({ Arn: 'text', Region: 'text' });

const KEY_METADATA = structure({
  AWSAccountId: 'text',
  KeyId: 'text',
  Arn: 'text',
  CreationDate: 'time',
  Enabled: 'boolean',
  Description: 'text',
  KeyUsage: 'text',
  KeyState: 'text',
  DeletionDate: 'time',
  Origin: 'text',
  KeyManager: 'text',
  CustomerMasterKeySpec: 'text',
  KeySpec: 'text',
  EncryptionAlgorithms: members('text'),
  MultiRegion: 'boolean',
  MultiRegionConfiguration: structure({
    MultiRegionKeyType: 'text',
    PrimaryKey: REGIONAL_KEY,
    ReplicaKeys: members(REGIONAL_KEY),
  }),
  CurrentKeyMaterialId: 'text',
});

/** Outputs of KMS, as JSON. */
export const KMS: Record<string, Structure> = {
  CreateKey: structure({ KeyMetadata: KEY_METADATA }),
  DescribeKey: structure({ KeyMetadata: KEY_METADATA }),
  ReplicateKey: structure({
    ReplicaKeyMetadata: KEY_METADATA,
    ReplicaPolicy: 'text',
    ReplicaTags: members(structure({ TagKey: 'text', TagValue: 'text' })),
  }),
  Encrypt: structure({ CiphertextBlob: 'blob', KeyId: 'text', EncryptionAlgorithm: 'text' }),
  Decrypt: structure({
    Plaintext: 'blob',
    KeyId: 'text',
    EncryptionAlgorithm: 'text',
    KeyMaterialId: 'text',
  }),
  GenerateDataKey: structure({
    CiphertextBlob: 'blob',
    Plaintext: 'blob',
    KeyId: 'text',
    KeyMaterialId: 'text',
  }),
  DisableKey: structure({}),
  TagResource: structure({}),
  PutKeyPolicy: structure({}),
  GetKeyPolicy: structure({ Policy: 'text', PolicyName: 'text' }),
  EnableKeyRotation: structure({}),
  RotateKeyOnDemand: structure({ KeyId: 'text' }),
  GetKeyRotationStatus: structure({
    KeyId: 'text',
    KeyRotationEnabled: 'boolean',
    RotationPeriodInDays: 'number',
    NextRotationDate: 'time',
    OnDemandRotationStartDate: 'time',
  }),
  ScheduleKeyDeletion: structure({
    KeyId: 'text',
    DeletionDate: 'time',
    KeyState: 'text',
    PendingWindowInDays: 'number',
  }),
};
