import type { Aws } from '../aws.ts';
import { CallError } from '../client.ts';
import {
  arn,
  FOREIGN_ACCOUNT,
  key,
  policy,
  replicate,
  role,
  roleArn,
  rule,
  type Scenarios,
  trust,
  unique,
  versioned,
} from '../support.ts';

/** Replication of objects, recorded in captures of whole runs. */
export const s3Replicating: Scenarios = {
  'stackd/kms-missing-grants': async (aws) => {
    const set = await setUp(aws, { grants: [] });
    const put = await putEncrypted(aws, set);
    await aws.waitForReplication(set.source, KEY);
    return { ...put, PutObject: String(put.$metadata.httpStatusCode), ...(await finalStatuses(aws, set)) };
  },
  'stackd/kms-no-opt-in': async (aws) => {
    const set = await setUp(aws, { optIn: false });
    const put = await putEncrypted(aws, set);
    await aws.waitForReplication(set.source, KEY);
    return { ...put, ...(await finalStatuses(aws, set)) };
  },
  'stackd/kms-success': async (aws) => {
    const set = await setUp(aws);
    const put = await putEncrypted(aws, set);
    const before = await head(aws, set.source);
    await aws.waitForReplication(set.source, KEY);
    const [after, replica] = await bothHeads(aws, set);
    return {
      ...put,
      source: [before.ReplicationStatus, after.ReplicationStatus],
      destination: {
        ServerSideEncryption: replica.ServerSideEncryption,
        SSEKMSKeyId: replica.SSEKMSKeyId === set.replicaKey ? set.replicaKey : undefined,
        ReplicationStatus: replica.ReplicationStatus,
        BucketKeyEnabled: replica.BucketKeyEnabled === undefined ? 'absent' : 'present',
        ...identity(after, replica),
      },
    };
  },
  'stackd/trust-mismatch': async (aws) => {
    const set = await setUp(aws, {
      trust: trust('s3.amazonaws.com', {
        Condition: { StringEquals: { 'aws:SourceAccount': FOREIGN_ACCOUNT } },
      }),
    });
    const configured = await replicate(aws, set, [optedIn(set)]);
    await putEncrypted(aws, set);
    const before = await head(aws, set.source);
    await aws.waitForReplication(set.source, KEY);
    const after = await head(aws, set.source);
    return {
      ...configured,
      PutBucketReplication: String(configured.$metadata.httpStatusCode),
      source: [before.ReplicationStatus, after.ReplicationStatus],
      destination: await status(() => head(aws.in('us-west-2'), set.destination)),
    };
  },
  // Each permission alone is enough to lose the tags. ReplicateObject covers tags, unless they are denied explicitly.
  'stackd/deny-tags': ['s3:GetObjectVersionTagging', 's3:ReplicateTags'].map(
    (deniedAction) => async (aws: Aws) => {
      const set = await setUp(aws, { deniedAction });
      await putEncrypted(aws, set, { Tagging: 'tier=gold' });
      await aws.waitForReplication(set.source, KEY);
      const [source, replica] = await bothHeads(aws, set);
      const { TagSet } = await aws.in('us-west-2').s3.getObjectTagging({ Bucket: set.destination, Key: KEY });
      return {
        source: source.ReplicationStatus,
        destination: { ReplicationStatus: replica.ReplicationStatus, tags: TagSet },
      };
    },
  ),
  'stackd/cross-acct-owner': async (aws) => {
    const { owner, destination } = await acrossAccounts(aws);
    return head(owner, destination);
  },
  'stackd/replica-identity': [
    async (aws) => {
      const set = await setUp(aws);
      await putEncrypted(aws, set);
      await aws.waitForReplication(set.source, KEY);
      const [source, replica] = await bothHeads(aws, set);
      return { ...replica, ...identity(source, replica), StorageClass: replica.StorageClass ?? 'STANDARD' };
    },
    async (aws) => {
      const set = await setUp(aws);
      await aws.s3.putObject({ Bucket: set.source, Key: KEY, Body: 'content' });
      await aws.waitForReplication(set.source, KEY);
      const [source, replica] = await bothHeads(aws, set);
      return { ...replica, ...identity(source, replica), StorageClass: replica.StorageClass ?? 'STANDARD' };
    },
  ],
};

const KEY = 'object';

interface SetUpOptions {
  /** The role's statements for KMS. Default: those that the captured run needed. */
  grants?: object[];
  trust?: string;
  optIn?: boolean;
  /** An S3 action that the policy of the role denies. */
  deniedAction?: string;
}

interface SetUp {
  source: string;
  destination: string;
  role: string;
  sourceKey: string;
  replicaKey: string;
}

/** Creates buckets, keys, a role and a rule as in the captured run: SSE-KMS without Bucket Keys. */
async function setUp(aws: Aws, options: SetUpOptions = {}): Promise<SetUp> {
  const west = aws.in('us-west-2');
  const [source, destination, sourceKey, replicaKey] = await Promise.all([
    versioned(aws),
    versioned(west),
    key(aws),
    key(west),
  ]);
  const RoleName = await role(aws, options.trust ?? trust('s3.amazonaws.com'));
  const set = {
    source,
    destination,
    role: roleArn(aws, RoleName),
    sourceKey: sourceKey.Arn,
    replicaKey: replicaKey.Arn,
  };
  await aws.iam.putRolePolicy({
    RoleName,
    PolicyName: 'replication',
    PolicyDocument: policy(
      ...s3Grants(set),
      ...(options.deniedAction === undefined
        ? []
        : [{ Effect: 'Deny', Action: options.deniedAction, Resource: '*' }]),
      ...(options.grants ?? kmsGrants(set)),
    ),
  });
  await replicate(aws, set, [options.optIn === false ? rule(set) : optedIn(set)]);
  return set;
}

function optedIn(set: SetUp) {
  return rule(set, {
    SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
    Destination: {
      Bucket: arn(set.destination),
      EncryptionConfiguration: { ReplicaKmsKeyID: set.replicaKey },
    },
  });
}

function s3Grants({ source, destination }: { source: string; destination: string }): object[] {
  return [
    {
      Effect: 'Allow',
      Action: ['s3:GetReplicationConfiguration', 's3:ListBucket'],
      Resource: arn(source),
    },
    {
      Effect: 'Allow',
      Action: ['s3:GetObjectVersionForReplication', 's3:GetObjectVersionAcl', 's3:GetObjectVersionTagging'],
      Resource: `${arn(source)}/*`,
    },
    {
      Effect: 'Allow',
      Action: ['s3:ReplicateObject', 's3:ReplicateDelete', 's3:ReplicateTags'],
      Resource: `${arn(destination)}/*`,
    },
  ];
}

/** fact: stackd/kms-grants-min */
function kmsGrants({ source, destination, sourceKey, replicaKey }: SetUp): object[] {
  return [
    kmsGrant('kms:Decrypt', sourceKey, 'us-east-1', source),
    kmsGrant('kms:Encrypt', replicaKey, 'us-west-2', destination),
  ];
}

function kmsGrant(Action: string, Resource: string, region: string, bucketName: string) {
  return {
    Effect: 'Allow',
    Action,
    Resource,
    Condition: {
      StringEquals: { 'kms:ViaService': `s3.${region}.amazonaws.com` },
      StringLike: { 'kms:EncryptionContext:aws:s3:arn': `${arn(bucketName)}/*` },
    },
  };
}

/** Creates a replica in a bucket of another account with ACLs, without owner override. */
async function acrossAccounts(aws: Aws) {
  const owner = aws.as(FOREIGN_ACCOUNT).in('us-west-2');
  const source = await versioned(aws);
  const destination = unique('bucket');
  await owner.s3.createBucket({
    Bucket: destination,
    ObjectOwnership: 'ObjectWriter',
    CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
  });
  await owner.s3.putBucketVersioning({
    Bucket: destination,
    VersioningConfiguration: { Status: 'Enabled' },
  });
  const RoleName = await role(aws, trust('s3.amazonaws.com'));
  const set = { source, destination, role: roleArn(aws, RoleName) };
  await aws.iam.putRolePolicy({
    RoleName,
    PolicyName: 'replication',
    PolicyDocument: policy(...s3Grants(set)),
  });
  await owner.s3.putBucketPolicy({
    Bucket: destination,
    Policy: policy({
      Effect: 'Allow',
      Principal: { AWS: set.role },
      Action: ['s3:ReplicateObject', 's3:ReplicateDelete', 's3:ReplicateTags'],
      Resource: `${arn(destination)}/*`,
    }),
  });
  await replicate(aws, set, [rule(set)]);
  await aws.s3.putObject({ Bucket: source, Key: KEY, Body: 'content' });
  await aws.waitForReplication(source, KEY);
  return { owner, destination };
}

function putEncrypted(aws: Aws, set: SetUp, overrides: object = {}) {
  return aws.s3.putObject({
    Bucket: set.source,
    Key: KEY,
    Body: 'content',
    ServerSideEncryption: 'aws:kms',
    SSEKMSKeyId: set.sourceKey,
    ...overrides,
  });
}

function head(aws: Aws, Bucket: string) {
  return aws.s3.headObject({ Bucket, Key: KEY });
}

function bothHeads(aws: Aws, { source, destination }: { source: string; destination: string }) {
  return Promise.all([head(aws, source), head(aws.in('us-west-2'), destination)]);
}

async function finalStatuses(aws: Aws, set: SetUp) {
  const source = await head(aws, set.source);
  return {
    'HeadObject source': { ReplicationStatus: source.ReplicationStatus },
    'HeadObject destination': await status(() => head(aws.in('us-west-2'), set.destination)),
  };
}

type Head = Awaited<ReturnType<typeof head>>;

/** Compares a replica with its source, in the notation of the capture. */
function identity(source: Head, replica: Head): Record<string, string> {
  const same = (sourceValue: unknown, replicaValue: unknown) =>
    sourceValue !== undefined && sourceValue === replicaValue ? '= source' : '≠ source';
  return {
    VersionId: same(source.VersionId, replica.VersionId),
    LastModified: same(source.LastModified?.getTime(), replica.LastModified?.getTime()),
    ETag: same(source.ETag, replica.ETag),
  };
}

async function status(call: () => Promise<{ $metadata: { httpStatusCode?: number } }>): Promise<string> {
  try {
    return String((await call()).$metadata.httpStatusCode);
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    return String(error.response.status);
  }
}
