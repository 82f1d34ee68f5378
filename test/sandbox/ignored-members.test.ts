import { CloudWatch } from '@aws-sdk/client-cloudwatch';
import { IAM } from '@aws-sdk/client-iam';
import { KMS } from '@aws-sdk/client-kms';
import { Organizations } from '@aws-sdk/client-organizations';
import { S3 } from '@aws-sdk/client-s3';
import { S3Control } from '@aws-sdk/client-s3-control';
import { SNS } from '@aws-sdk/client-sns';
import { SQS } from '@aws-sdk/client-sqs';
import { STS } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serviceHandlers } from '../../src/sandbox/handlers.ts';
import { normalizeSchema } from '../../src/sandbox/protocol/codec.ts';
import { ignoredMembers } from '../../src/sandbox/protocol/ignored-members.ts';
import { operations, type ServiceName } from '../../src/sandbox/protocol/operations.ts';
import { MEMBERS_WITHOUT_EFFECT } from '../../src/sandbox/protocol/supported-members.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { callKms, callQuery, callS3, callSqs } from '../support/raw-aws.ts';

/*
 * A member that a handler does not read would succeed silently. This test calls every operation, and records which
 * members its handler reads. `npm run generate` writes the others to src/sandbox/protocol/ignored-members.ts, and the
 * sandbox refuses a request that sets one of them.
 */

const SERVICES = [
  's3',
  's3control',
  'iam',
  'kms',
  'sts',
  'cloudtrail',
  'cloudwatch',
  'sqs',
  'sns',
  'organizations',
] as const satisfies ServiceName[];
const CHECKED_SERVICES = [
  's3',
  's3control',
  'iam',
  'kms',
  'sts',
  'cloudwatch',
  'sqs',
  'sns',
  'organizations',
] as const;
const LINE_WIDTH = 110;
const ACCOUNT = '111122223333';
const POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: { Effect: 'Allow', Action: 's3:ListAllMyBuckets', Resource: '*' },
});
const TRUST = JSON.stringify({
  Version: '2012-10-17',
  Statement: { Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'sts:AssumeRole' },
});

let sandbox: Sandbox;
const readMembers = new Map<string, Set<string>>();
const originalHandlers = SERVICES.map((service) => ({ ...serviceHandlers[service] }));

/** Returns an input that records the members that a handler reads. A copy of the whole input reads them all. */
function recordReads(id: string, input: object): object {
  const reads = readMembers.get(id) ?? new Set();
  readMembers.set(id, reads);
  return new Proxy(input, {
    get(target, member) {
      if (typeof member === 'string') reads.add(member);
      return Reflect.get(target, member);
    },
    ownKeys(target) {
      reads.add('*');
      return Reflect.ownKeys(target);
    },
  });
}

beforeAll(async () => {
  for (const service of SERVICES) {
    const handlers = serviceHandlers[service];
    for (const [name, handler] of Object.entries(handlers))
      handlers[name] = (call, input) => handler(call, recordReads(`${service}:${name}`, input));
  }
  sandbox = await startSandbox({ faultSettings: { keyCreationMs: 0 } });
  // The list of the last run must not refuse a member that a handler reads by now.
  const lastRun = { ...ignoredMembers };
  for (const service of SERVICES) delete ignoredMembers[service];
  await callEveryOperation();
  Object.assign(ignoredMembers, lastRun);
});

afterAll(async () => {
  for (const [index, service] of SERVICES.entries())
    Object.assign(serviceHandlers[service], originalHandlers[index]);
  await sandbox.close();
});

const config = (accessKeyId: string, region = 'us-east-1') => ({
  endpoint: sandbox.endpoint,
  region,
  credentials: { accessKeyId, secretAccessKey: 'test' },
  maxAttempts: 1,
});

async function callEveryOperation(): Promise<void> {
  const s3 = new S3({ ...config(ACCOUNT), forcePathStyle: true });
  await callEveryS3ControlOperation(
    new S3Control({
      ...config(ACCOUNT),
      // The SDK puts the account in front of the host, which is an IP address here.
      endpointProvider: () => ({ url: new URL(sandbox.endpoint) }),
      disableHostPrefix: true,
    }),
  );
  const iam = new IAM(config(ACCOUNT));
  const kms = new KMS(config(ACCOUNT));
  const sts = new STS(config(`AKIA${ACCOUNT}`));
  await callEveryS3Operation(s3);
  await callEveryIamOperation(iam);
  await callEveryKmsOperation(kms);
  await sts.getCallerIdentity({});
  await sts.assumeRole({ RoleArn: `arn:aws:iam::${ACCOUNT}:role/assumed`, RoleSessionName: 'session' });
  const cloudwatch = new CloudWatch(config(ACCOUNT));
  await callEveryCloudWatchOperation(cloudwatch);
  const sqs = new SQS(config(ACCOUNT));
  await callEverySqsOperation(sqs);
  const sns = new SNS(config(ACCOUNT));
  await callEverySnsOperation(sns);
  const organizations = new Organizations(config(ACCOUNT));
  await callEveryOrganizationsOperation(organizations);
  for (const client of [s3, iam, kms, sts, cloudwatch, sqs, sns, organizations]) client.destroy();
}

async function callEveryS3ControlOperation(s3control: S3Control): Promise<void> {
  const AccountId = ACCOUNT;
  const { JobId } = await s3control.createJob({
    AccountId,
    ClientRequestToken: 'token',
    Operation: { S3ReplicateObject: {} },
    Report: { Enabled: false },
    Priority: 1,
    RoleArn: `arn:aws:iam::${ACCOUNT}:role/batch`,
    ConfirmationRequired: true,
    ManifestGenerator: {
      S3JobManifestGenerator: { SourceBucket: 'arn:aws:s3:::acme-tax', EnableManifestOutput: false },
    },
  });
  const job = { AccountId, JobId };
  await s3control.listJobs({ AccountId, JobStatuses: ['New', 'Preparing', 'Failed'], MaxResults: 10 });
  await s3control.describeJob(job);
  await s3control.putJobTagging({ ...job, Tags: [{ Key: 'team', Value: 'tax' }] });
  await s3control.getJobTagging(job);
  await s3control.deleteJobTagging(job);
  await s3control.updateJobPriority({ ...job, Priority: 2 }).catch(() => {});
  await s3control.updateJobStatus({ ...job, RequestedJobStatus: 'Cancelled' }).catch(() => {});
}

async function callEveryS3Operation(s3: S3): Promise<void> {
  const [Bucket, Key] = ['acme-tax', 'Tax/2026.pdf'];
  const Replica = 'acme-tax-replica';
  for (const name of [Bucket, Replica]) {
    await s3.createBucket({ Bucket: name, ObjectLockEnabledForBucket: name === Bucket });
    await s3.putBucketVersioning({ Bucket: name, VersioningConfiguration: { Status: 'Enabled' } });
  }
  await s3.putBucketEncryption({
    Bucket,
    ServerSideEncryptionConfiguration: {
      Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
    },
  });
  await s3.putBucketOwnershipControls({
    Bucket,
    OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
  });
  await s3.putBucketLifecycleConfiguration({
    Bucket,
    LifecycleConfiguration: {
      Rules: [{ Status: 'Enabled', Filter: {}, NoncurrentVersionExpiration: { NoncurrentDays: 30 } }],
    },
  });
  await s3.putBucketTagging({ Bucket, Tagging: { TagSet: [{ Key: 'team', Value: 'tax' }] } });
  await s3.putPublicAccessBlock({ Bucket, PublicAccessBlockConfiguration: { BlockPublicAcls: true } });
  await s3.putBucketPolicy({
    Bucket,
    Policy: JSON.stringify({
      Version: '2012-10-17',
      Statement: {
        Effect: 'Allow',
        Principal: { AWS: ACCOUNT },
        Action: 's3:GetObject',
        Resource: `arn:aws:s3:::${Bucket}/*`,
      },
    }),
  });
  await s3.putBucketReplication({
    Bucket,
    ReplicationConfiguration: {
      Role: `arn:aws:iam::${ACCOUNT}:role/replication`,
      Rules: [
        {
          ID: 'all',
          Priority: 1,
          Status: 'Enabled',
          Filter: { Prefix: 'none/' },
          Destination: { Bucket: `arn:aws:s3:::${Replica}` },
          DeleteMarkerReplication: { Status: 'Disabled' },
        },
      ],
    },
  });
  await s3.putObjectLockConfiguration({
    Bucket,
    ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled' },
  });
  await s3.putObject({ Bucket, Key, Body: 'numbers' });
  await s3.putObject({ Bucket, Key: 'encrypted', Body: 'numbers', ServerSideEncryption: 'aws:kms' });
  await s3.putObjectTagging({ Bucket, Key, Tagging: { TagSet: [{ Key: 'team', Value: 'tax' }] } });
  const KMSKeyArn = 'arn:aws:kms:us-east-1:444455556666:key/other';
  await s3
    .updateObjectEncryption({ Bucket, Key, ObjectEncryption: { SSEKMS: { KMSKeyArn } } })
    .catch(() => {});
  await s3.copyObject({ Bucket, Key: 'copy', CopySource: `${Bucket}/${Key}` });
  await s3.putObjectAcl({ Bucket, Key, ACL: 'private' }).catch(() => {});
  await s3.putObjectLegalHold({ Bucket, Key, LegalHold: { Status: 'OFF' } });
  const RetainUntilDate = new Date(Date.now() + 86_400_000);
  await s3.putObjectRetention({ Bucket, Key, Retention: { Mode: 'GOVERNANCE', RetainUntilDate } });
  const { UploadId } = await s3.createMultipartUpload({
    Bucket,
    Key: 'upload',
    ChecksumAlgorithm: 'SHA256',
  });
  const part = await s3.uploadPart({
    Bucket,
    Key: 'upload',
    UploadId,
    PartNumber: 1,
    Body: 'part',
    ChecksumAlgorithm: 'SHA256',
  });
  await s3.uploadPartCopy({
    Bucket,
    Key: 'upload',
    UploadId,
    PartNumber: 2,
    CopySource: `${Bucket}/${Key}`,
  });
  await s3.listParts({ Bucket, Key: 'upload', UploadId });
  await s3.listMultipartUploads({ Bucket });
  await s3.completeMultipartUpload({
    Bucket,
    Key: 'upload',
    UploadId,
    MultipartUpload: {
      Parts: [{ PartNumber: 1, ETag: part.ETag, ChecksumSHA256: part.ChecksumSHA256 }],
    },
  });
  await s3.getObjectAttributes({ Bucket, Key: 'upload', ObjectAttributes: ['ObjectParts'] });
  const aborted = await s3.createMultipartUpload({ Bucket, Key: 'aborted' });
  await s3.abortMultipartUpload({ Bucket, Key: 'aborted', UploadId: aborted.UploadId });
  await (await s3.getObject({ Bucket, Key })).Body?.transformToString();
  // Reads without parameters, or which fail because nothing is set: the handler reads its members all the same.
  const reads = Object.keys(serviceHandlers.s3).filter((name) => /^(Get|Head|List)/.test(name));
  for (const name of reads) {
    const method = `${name.slice(0, 1).toLowerCase()}${name.slice(1)}` as 'getObjectAttributes';
    if (name === 'ListParts') continue;
    await s3[method]({ Bucket, Key, ObjectAttributes: ['ETag'], Id: 'one' } as never).catch(() => {});
  }
  await s3.deleteObjectTagging({ Bucket, Key });
  await s3.deleteObject({ Bucket, Key });
  await s3.deleteObjects({ Bucket, Delete: { Objects: [{ Key: 'copy' }] } });
  await callOtherS3Operations(s3, Bucket);
  for (const name of Object.keys(serviceHandlers.s3).filter((operation) => /^DeleteBucket./.test(operation)))
    await s3[`d${name.slice(1)}` as 'deleteBucketPolicy']({ Bucket }).catch(() => {});
  await s3.deletePublicAccessBlock({ Bucket });
  await s3.deleteBucket({ Bucket: Replica });
}

/** Calls each operation that no other call reached, with its required members only. A refusal is no failure. */
async function callOtherS3Operations(s3: S3, Bucket: string): Promise<void> {
  const remaining = Object.keys(serviceHandlers.s3).filter((name) => !readMembers.has(`s3:${name}`));
  for (const name of remaining) {
    const method = `${name.slice(0, 1).toLowerCase()}${name.slice(1)}` as 'putBucketPolicy';
    // S3 refuses a setting without a document before it reads anything else.
    const documents = {
      BucketLoggingStatus: {},
      NotificationConfiguration: {},
      RequestPaymentConfiguration: { Payer: 'BucketOwner' },
    };
    await s3[method]({ Bucket, Key: 'copy', Policy: '', Id: 'one', ...documents } as never).catch(() => {});
  }
}

async function callEveryIamOperation(iam: IAM): Promise<void> {
  const RoleName = 'replikey';
  await iam.createRole({ RoleName: 'assumed', AssumeRolePolicyDocument: TRUST });
  await iam.createRole({ RoleName, AssumeRolePolicyDocument: TRUST });
  const { Policy } = await iam.createPolicy({ PolicyName: 'list', PolicyDocument: POLICY });
  const PolicyArn = Policy?.Arn;
  await iam.createPolicyVersion({ PolicyArn, PolicyDocument: POLICY });
  await iam.getPolicy({ PolicyArn });
  await iam.getPolicyVersion({ PolicyArn, VersionId: 'v1' });
  await iam.listPolicies({});
  await iam.listPolicyVersions({ PolicyArn });
  await iam.tagPolicy({ PolicyArn, Tags: [{ Key: 'team', Value: 'tax' }] });
  await iam.listPolicyTags({ PolicyArn });
  await iam.untagPolicy({ PolicyArn, TagKeys: ['team'] });
  await iam.attachRolePolicy({ RoleName, PolicyArn });
  await iam.listAttachedRolePolicies({ RoleName });
  await iam.putRolePermissionsBoundary({ RoleName, PermissionsBoundary: PolicyArn });
  await iam.putRolePolicy({ RoleName, PolicyName: 'inline', PolicyDocument: POLICY });
  await iam.getRolePolicy({ RoleName, PolicyName: 'inline' });
  await iam.listRolePolicies({ RoleName });
  await iam.getRole({ RoleName });
  await iam.listRoles({});
  await iam.tagRole({ RoleName, Tags: [{ Key: 'team', Value: 'tax' }] });
  await iam.listRoleTags({ RoleName });
  await iam.untagRole({ RoleName, TagKeys: ['team'] });
  await iam.updateRole({ RoleName });
  await iam.updateRoleDescription({ RoleName, Description: 'replication' });
  await iam.updateAssumeRolePolicy({ RoleName, PolicyDocument: TRUST });
  await iam.listInstanceProfilesForRole({ RoleName });
  await iam.getAccountAuthorizationDetails({});
  await iam.getAccountSummary({});
  await iam.simulatePrincipalPolicy({
    PolicySourceArn: `arn:aws:iam::${ACCOUNT}:role/${RoleName}`,
    ActionNames: ['s3:ListBucket'],
  });
  await iam.createServiceLinkedRole({ AWSServiceName: 'replication.ecr.amazonaws.com' });
  await iam.deleteRolePermissionsBoundary({ RoleName });
  await iam.deleteRolePolicy({ RoleName, PolicyName: 'inline' });
  await iam.detachRolePolicy({ RoleName, PolicyArn });
  await iam.deleteRole({ RoleName });
  await iam.setDefaultPolicyVersion({ PolicyArn, VersionId: 'v2' });
  await iam.deletePolicyVersion({ PolicyArn, VersionId: 'v1' });
  await iam.deletePolicy({ PolicyArn });
  await callOtherOperations('iam', iam);
}

async function callEveryKmsOperation(kms: KMS): Promise<void> {
  const statement = { Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'kms:*', Resource: '*' };
  const keyPolicy = JSON.stringify({ Version: '2012-10-17', Statement: statement });
  const { KeyMetadata } = await kms.createKey({ MultiRegion: true, Policy: keyPolicy });
  const KeyId = KeyMetadata?.KeyId ?? '';
  const key = { KeyId };
  await kms.replicateKey({ KeyId, ReplicaRegion: 'us-west-2', Policy: keyPolicy });
  const AliasName = 'alias/acme-tax';
  await kms.createAlias({ AliasName, TargetKeyId: KeyId });
  await kms.updateAlias({ AliasName, TargetKeyId: KeyId });
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: Buffer.from('tax') });
  await kms.decrypt({ CiphertextBlob });
  await kms.reEncrypt({ CiphertextBlob, DestinationKeyId: KeyId });
  await kms.generateDataKey({ KeyId, KeySpec: 'AES_256' });
  await kms.generateDataKeyWithoutPlaintext({ KeyId, KeySpec: 'AES_256' });
  const grant = {
    KeyId,
    GranteePrincipal: `arn:aws:iam::${ACCOUNT}:root`,
    RetiringPrincipal: `arn:aws:iam::${ACCOUNT}:root`,
    Operations: ['Decrypt' as const],
  };
  const [first, second] = [await kms.createGrant(grant), await kms.createGrant(grant)];
  await kms.listGrants(key);
  await kms.listRetirableGrants({ RetiringPrincipal: grant.RetiringPrincipal });
  await kms.retireGrant({ KeyId, GrantId: first.GrantId });
  await kms.retireGrant({ GrantToken: second.GrantToken });
  const third = await kms.createGrant(grant);
  await kms.revokeGrant({ KeyId, GrantId: third.GrantId });
  const { Policy } = await kms.getKeyPolicy(key);
  await kms.putKeyPolicy({ KeyId, Policy });
  await kms.listKeyPolicies(key);
  await kms.listKeys({});
  await kms.listAliases(key);
  await kms.describeKey(key);
  await kms.updateKeyDescription({ KeyId, Description: 'replication' });
  await kms.enableKeyRotation(key);
  await kms.getKeyRotationStatus(key);
  await kms.rotateKeyOnDemand(key);
  await kms.disableKeyRotation(key);
  await kms.tagResource({ KeyId, Tags: [{ TagKey: 'team', TagValue: 'tax' }] });
  await kms.listResourceTags(key);
  await kms.untagResource({ KeyId, TagKeys: ['team'] });
  await kms.disableKey(key);
  await kms.enableKey(key);
  await kms.deleteAlias({ AliasName });
  await kms.scheduleKeyDeletion(key);
  await kms.cancelKeyDeletion(key);
  await callOtherOperations('kms', kms);
}

async function callEveryCloudWatchOperation(cloudwatch: CloudWatch): Promise<void> {
  const Metric = { Namespace: 'Office', MetricName: 'Pages' };
  await cloudwatch.putMetricData({ Namespace: 'Office', MetricData: [{ MetricName: 'Pages', Value: 1 }] });
  await cloudwatch.getMetricData({
    MetricDataQueries: [{ Id: 'pages', MetricStat: { Metric, Period: 60, Stat: 'Sum' } }],
    StartTime: new Date(Date.now() - 60_000),
    EndTime: new Date(),
  });
  await cloudwatch.listMetrics({});
  const AlarmName = 'pages';
  await cloudwatch.putMetricAlarm({
    AlarmName,
    ...Metric,
    Statistic: 'Sum',
    Period: 60,
    EvaluationPeriods: 1,
    Threshold: 0,
    ComparisonOperator: 'GreaterThanThreshold',
    Tags: [{ Key: 'team', Value: 'tax' }],
  });
  await cloudwatch.describeAlarms({});
  await cloudwatch.describeAlarmContributors({ AlarmName });
  await cloudwatch.setAlarmState({ AlarmName, StateValue: 'ALARM', StateReason: 'test' });
  await cloudwatch.disableAlarmActions({ AlarmNames: [AlarmName] });
  await cloudwatch.enableAlarmActions({ AlarmNames: [AlarmName] });
  const ResourceARN = `arn:aws:cloudwatch:us-east-1:${ACCOUNT}:alarm:${AlarmName}`;
  await cloudwatch.tagResource({ ResourceARN, Tags: [{ Key: 'team', Value: 'tax' }] });
  await cloudwatch.listTagsForResource({ ResourceARN });
  await cloudwatch.untagResource({ ResourceARN, TagKeys: ['team'] });
  await cloudwatch.deleteAlarms({ AlarmNames: [AlarmName] });
}

async function callEverySqsOperation(sqs: SQS): Promise<void> {
  const { QueueUrl } = await sqs.createQueue({ QueueName: 'failures' });
  await sqs.getQueueUrl({ QueueName: 'failures' });
  await sqs.listQueues({ MaxResults: 1 });
  await sqs.setQueueAttributes({ QueueUrl, Attributes: { VisibilityTimeout: '0' } });
  await sqs.getQueueAttributes({ QueueUrl, AttributeNames: ['All'] });
  await sqs.tagQueue({ QueueUrl, Tags: { team: 'tax' } });
  await sqs.listQueueTags({ QueueUrl });
  await sqs.untagQueue({ QueueUrl, TagKeys: ['team'] });
  const MessageAttributes = { rule: { DataType: 'String', StringValue: 'tax' } };
  await sqs.sendMessage({ QueueUrl, MessageBody: 'failed', MessageAttributes });
  await sqs.sendMessageBatch({ QueueUrl, Entries: [{ Id: '1', MessageBody: 'failed' }] });
  const { Messages: [message] = [] } = await sqs.receiveMessage({ QueueUrl, VisibilityTimeout: 60 });
  const ReceiptHandle = message?.ReceiptHandle;
  await sqs.changeMessageVisibility({ QueueUrl, ReceiptHandle, VisibilityTimeout: 60 });
  const entry = { Id: '1', ReceiptHandle, VisibilityTimeout: 60 };
  await sqs.changeMessageVisibilityBatch({ QueueUrl, Entries: [entry] });
  await sqs.deleteMessage({ QueueUrl, ReceiptHandle });
  await sqs.deleteMessageBatch({ QueueUrl, Entries: [{ Id: '1', ReceiptHandle }] });
  await sqs.purgeQueue({ QueueUrl });
  await sqs.deleteQueue({ QueueUrl });
}

async function callEverySnsOperation(sns: SNS): Promise<void> {
  const Tags = [{ Key: 'team', Value: 'tax' }];
  const { TopicArn } = await sns.createTopic({ Name: 'failures', Tags });
  await sns.listTopics({});
  await sns.setTopicAttributes({ TopicArn, AttributeName: 'DisplayName', AttributeValue: 'Failures' });
  await sns.getTopicAttributes({ TopicArn });
  await sns.tagResource({ ResourceArn: TopicArn, Tags });
  await sns.listTagsForResource({ ResourceArn: TopicArn });
  await sns.untagResource({ ResourceArn: TopicArn, TagKeys: ['team'] });
  const Endpoint = `arn:aws:sqs:us-east-1:${ACCOUNT}:failures`;
  const { SubscriptionArn } = await sns.subscribe({ TopicArn, Protocol: 'sqs', Endpoint });
  await sns.listSubscriptionsByTopic({ TopicArn });
  await sns.getSubscriptionAttributes({ SubscriptionArn });
  const raw = { AttributeName: 'RawMessageDelivery', AttributeValue: 'true' };
  await sns.setSubscriptionAttributes({ SubscriptionArn, ...raw });
  await sns.publish({ TopicArn, Message: 'failed' });
  await sns.unsubscribe({ SubscriptionArn });
  await sns.deleteTopic({ TopicArn });
}

async function callEveryOrganizationsOperation(organizations: Organizations): Promise<void> {
  const member = '444455556666';
  await organizations.createOrganization({ FeatureSet: 'ALL' });
  const Target = { Id: member, Type: 'ACCOUNT' as const };
  const { Handshake } = await organizations.inviteAccountToOrganization({ Target });
  const invited = new Organizations(config(member));
  await invited.acceptHandshake({ HandshakeId: Handshake?.Id });
  invited.destroy();
  const account = { Email: 'tax@example.com', AccountName: 'tax' };
  const { CreateAccountStatus } = await organizations.createAccount(account);
  const { Roots: [root] = [] } = await organizations.listRoots({});
  const RootId = root?.Id;
  const { OrganizationalUnit } = await organizations.createOrganizationalUnit({
    ParentId: RootId,
    Name: 'tax',
  });
  const move = { AccountId: member, SourceParentId: RootId, DestinationParentId: OrganizationalUnit?.Id };
  await organizations.moveAccount(move);
  const Type = 'SERVICE_CONTROL_POLICY' as const;
  await organizations.enablePolicyType({ RootId, PolicyType: Type });
  const created = await organizations.createPolicy({
    Name: 'list',
    Description: 'list',
    Type,
    Content: POLICY,
  });
  const PolicyId = created.Policy?.PolicySummary?.Id;
  await organizations.updatePolicy({ PolicyId, Name: 'lists', Description: 'lists', Content: POLICY });
  await organizations.attachPolicy({ PolicyId, TargetId: member });
  await organizations.listPoliciesForTarget({ TargetId: member, Filter: Type });
  await organizations.detachPolicy({ PolicyId, TargetId: member });
  await organizations.disablePolicyType({ RootId, PolicyType: Type });
  await organizations.listChildren({ ParentId: RootId, ChildType: 'ACCOUNT' });
  await organizations.listParents({ ChildId: member });
  const CreateAccountRequestId = CreateAccountStatus?.Id;
  await organizations.describeCreateAccountStatus({ CreateAccountRequestId });
  const ServicePrincipal = 'config.amazonaws.com';
  await organizations.registerDelegatedAdministrator({ AccountId: member, ServicePrincipal });
  await organizations.putResourcePolicy({ Content: POLICY });
  await organizations.describeAccount({ AccountId: member });
  await organizations.describePolicy({ PolicyId });
  await callOtherOperations('organizations', organizations);
}

async function callOtherOperations(service: 'iam' | 'kms' | 'organizations', client: object): Promise<void> {
  for (const name of Object.keys(serviceHandlers[service])) {
    if (readMembers.has(`${service}:${name}`)) continue;
    const method = `${name.slice(0, 1).toLowerCase()}${name.slice(1)}`;
    const methods = client as Record<string, (input: object) => Promise<object>>;
    await methods[method]?.({}).catch(() => {});
  }
}

/** Returns the members that the handler of an operation ignores. */
function ignoredMembersOf(service: ServiceName, name: string): string[] {
  const operation = operations[service].get(name);
  const schema = operation && normalizeSchema(operation.input);
  if (!schema || schema.isUnitSchema()) return [];
  const reads = readMembers.get(`${service}:${name}`) ?? new Set();
  return [...schema.structIterator()]
    .map(([member]) => member)
    .filter(
      (member) =>
        !reads.has(member) &&
        !reads.has('*') &&
        !MEMBERS_WITHOUT_EFFECT.has(member) &&
        !MEMBERS_WITHOUT_EFFECT.has(`${name}.${member}`),
    );
}

const SOURCE_HEADER = `import type { ServiceName } from './operations.ts';

/**
 * Members of inputs that no handler reads, by operation. The sandbox refuses requests that set them. Generated by
 * test/sandbox/ignored-members.test.ts: \`npm run generate\`.
 */
export const ignoredMembers: Partial<Record<ServiceName, Record<string, string>>> = `;

describe('input members that the sandbox ignores', () => {
  test('every handler was called', () => {
    const called = new Set(readMembers.keys());
    const handlers = SERVICES.flatMap((service) =>
      Object.keys(serviceHandlers[service]).map((name) => `${service}:${name}`),
    );
    expect(handlers.filter((id) => !called.has(id) && !id.startsWith('cloudtrail:'))).toEqual([]);
  });

  test('src/sandbox/protocol/ignored-members.ts: lists every member that no handler reads', async () => {
    const services = CHECKED_SERVICES.map((service) => {
      const rows = Object.keys(serviceHandlers[service])
        .sort()
        .map((name) => [name, ignoredMembersOf(service, name)] as const)
        .filter(([, members]) => members.length > 0)
        .map(([name, members]) => {
          const line = `    ${name}: '${members.join(' ')}',\n`;
          // As the formatter breaks lines.
          return line.length - 1 <= LINE_WIDTH ? line : line.replace(': ', ':\n      ');
        });
      return rows.length === 0 ? '' : `  ${service}: {\n${rows.join('')}  },\n`;
    });
    await expect(`${SOURCE_HEADER}{\n${services.join('')}};\n`).toMatchFileSnapshot(
      '../../src/sandbox/protocol/ignored-members.ts',
    );
  });

  test('a request that sets one of them: 501 in the format of the protocol', async () => {
    const recipient = {
      KeyId: 'alias/x',
      KeySpec: 'AES_256',
      Recipient: { KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256' },
    };
    expect(await callKms(sandbox.endpoint, 'GenerateDataKey', recipient)).toMatchObject({
      status: 501,
      code: 'NotImplemented',
    });
    const user = { accessKeyId: `AKIA${ACCOUNT}` };
    const input = {
      RoleArn: `arn:aws:iam::${ACCOUNT}:role/assumed`,
      RoleSessionName: 'session',
      SerialNumber: 'arn:aws:iam::1:mfa/x',
    };
    expect(await callQuery(sandbox.endpoint, 'sts', 'AssumeRole', input, user)).toMatchObject({
      status: 501,
      code: 'NotImplemented',
      message: 'The sandbox does not implement SerialNumber of sts:AssumeRole',
    });
  });
});

describe('operations that the sandbox does not implement', () => {
  test('every operation of the SDK clients: 501, never a success', async () => {
    const isImplemented = (service: ServiceName, name: string) =>
      serviceHandlers[service][name] !== undefined;
    for (const service of ['kms', 'iam', 'sts', 'sqs', 'sns'] as const) {
      for (const name of operations[service].keys()) {
        if (isImplemented(service, name)) continue;
        const response =
          service === 'kms' || service === 'sqs'
            ? await (service === 'kms' ? callKms : callSqs)(sandbox.endpoint, name, {})
            : await callQuery(sandbox.endpoint, service, name, {});
        expect(response, `${service}:${name}`).toMatchObject({ status: 501, code: 'NotImplemented' });
      }
    }
    for (const [name, { http }] of operations.s3control) {
      if (isImplemented('s3control', name)) continue;
      const [method, uri] = http;
      const response = await callS3(sandbox.endpoint, method, uri.replaceAll(/\{\w+\+?\}/g, 'x'));
      expect(response, `s3control:${name}`).toMatchObject({ status: 501, code: 'NotImplemented' });
    }
    for (const [name, { http, input }] of operations.s3) {
      if (isImplemented('s3', name)) continue;
      const [method, uri] = http;
      const members = normalizeSchema(input).getMemberSchemas();
      // This is GET / at another endpoint, which the directory buckets of S3 have.
      if (name === 'ListDirectoryBuckets') continue;
      const [path = '', literalQuery = ''] = uri.split('?');
      const parameters = new URLSearchParams(literalQuery);
      for (const [, member] of Object.entries(members)) {
        const { httpQuery } = member.getMergedTraits();
        if (httpQuery) parameters.set(httpQuery, 'x');
      }
      const target = `${members.Bucket ? '/acme-tax' : ''}${path.replace('{Key+}', 'key').replace(/^\/$/, members.Bucket ? '' : '/')}`;
      const response = await callS3(sandbox.endpoint, method, `${target}?${parameters}`);
      expect(response.status, `${name}: ${method} ${target}?${parameters}`).toBe(501);
    }
  });

  test('a service that the sandbox does not have: 501 in the format of the request', async () => {
    const authorization =
      'AWS4-HMAC-SHA256 Credential=111122223333/20261130/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0';
    const json = await fetch(sandbox.endpoint, {
      method: 'POST',
      headers: { authorization, 'x-amz-target': 'DynamoDB_20120810.ListTables' },
      body: '{}',
    });
    expect(json.status).toBe(501);
    expect(await json.json()).toMatchObject({ __type: 'NotImplemented' });
    const listing = await fetch(sandbox.endpoint, { headers: { authorization } });
    expect([listing.status, await listing.text()]).toEqual([
      501,
      expect.stringContaining('<Code>NotImplemented</Code>'),
    ]);
  });
});
