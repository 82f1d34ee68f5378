import { CloudTrailClient, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import * as cloudwatch from '@aws-sdk/client-cloudwatch';
import * as iam from '@aws-sdk/client-iam';
import * as kms from '@aws-sdk/client-kms';
import * as organizations from '@aws-sdk/client-organizations';
import * as s3 from '@aws-sdk/client-s3';
import * as s3control from '@aws-sdk/client-s3-control';
import * as sns from '@aws-sdk/client-sns';
import * as sqs from '@aws-sdk/client-sqs';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { describe, expect, test } from 'vitest';
import type { Service } from '../../src/aws/command.ts';
import { withoutAccountHosts } from '../../src/aws/sdk-clients.ts';
import { createTransport, type SdkConfig } from '../../src/aws/transport.ts';
import { files, folderOf, imports, sourceTextOf } from '../support/imports.ts';

/*
 * The transport sends requests without the middleware of the SDK. These tests compare each of its requests with the request
 * that client.send makes from the same command. `npm run test:newest-sdk` runs them on the newest release of the SDK.
 */

const Bucket = 'acme-tax';
const ExpectedBucketOwner = '111122223333';
const AccountId = '111122223333';
const JobId = '01234567-89ab-cdef-0123-456789abcdef';
const RoleName = 'acme/ü role';
const KeyId = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const Key = 'Tax/2027 ü+&.pdf';
const QueueUrl = 'https://sqs.eu-central-1.amazonaws.com/111122223333/failures';
const TopicArn = 'arn:aws:sns:eu-central-1:111122223333:failures';
const document = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Sid: 'Übergröße', Effect: 'Allow' }],
});

/** A command of each operation that replikey sends, by service. Optional members are set if replikey sets them anywhere. */
const COMMANDS: Record<Service, (() => object)[]> = {
  s3: [
    () =>
      new s3.CreateBucketCommand({
        Bucket,
        CreateBucketConfiguration: {
          LocationConstraint: 'eu-central-1',
          Tags: [{ Key: 'replikey:spec', Value: 'tax' }],
        },
      }),
    () => new s3.DeleteBucketPolicyCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.DeleteBucketReplicationCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.DeleteObjectCommand({ Bucket, Key, VersionId: 'v1', ExpectedBucketOwner }),
    () => new s3.GetBucketEncryptionCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.GetBucketLifecycleConfigurationCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.GetBucketNotificationConfigurationCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.GetBucketOwnershipControlsCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.GetBucketPolicyCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.GetBucketReplicationCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.GetBucketTaggingCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.GetBucketVersioningCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.GetObjectCommand({ Bucket, Key }),
    () => new s3.GetObjectLockConfigurationCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.GetObjectTaggingCommand({ Bucket, Key, VersionId: 'v1', ExpectedBucketOwner }),
    () => new s3.GetPublicAccessBlockCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.HeadBucketCommand({ Bucket, ExpectedBucketOwner }),
    () => new s3.HeadObjectCommand({ Bucket, Key, VersionId: 'v1', ExpectedBucketOwner }),
    () =>
      new s3.ListBucketsCommand({ BucketRegion: 'eu-central-1', MaxBuckets: 1_000, ContinuationToken: 't=' }),
    () => new s3.ListObjectVersionsCommand({ Bucket, Prefix: 'Tax/', MaxKeys: 1_000, KeyMarker: Key }),
    () =>
      new s3.PutBucketEncryptionCommand({
        Bucket,
        ExpectedBucketOwner,
        ServerSideEncryptionConfiguration: {
          Rules: [
            {
              ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: KeyId },
              BucketKeyEnabled: true,
            },
          ],
        },
      }),
    () =>
      new s3.PutBucketNotificationConfigurationCommand({
        Bucket,
        ExpectedBucketOwner,
        NotificationConfiguration: {
          QueueConfigurations: [{ Id: 'replikey/tax', QueueArn: 'arn', Events: ['s3:Replication:*'] }],
        },
      }),
    () =>
      new s3.PutBucketOwnershipControlsCommand({
        Bucket,
        ExpectedBucketOwner,
        OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
      }),
    () => new s3.PutBucketPolicyCommand({ Bucket, ExpectedBucketOwner, Policy: document }),
    () =>
      new s3.PutBucketReplicationCommand({
        Bucket,
        ExpectedBucketOwner,
        ReplicationConfiguration: {
          Role: 'arn:aws:iam::111122223333:role/r',
          Rules: [
            {
              ID: 'replikey-tax',
              Priority: 1,
              Status: 'Enabled',
              Filter: { And: { Prefix: 'Tax/ü&', Tags: [{ Key: 'class', Value: '<a>' }] } },
              DeleteMarkerReplication: { Status: 'Disabled' },
              SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
              Destination: {
                Bucket: 'arn:aws:s3:::acme-tax-replica',
                EncryptionConfiguration: { ReplicaKmsKeyID: KeyId },
              },
            },
          ],
        },
      }),
    () =>
      new s3.PutBucketVersioningCommand({
        Bucket,
        ExpectedBucketOwner,
        VersioningConfiguration: { Status: 'Enabled' },
      }),
    () =>
      new s3.PutObjectCommand({
        Bucket,
        Key,
        Body: 'replikey canary ü\n',
        ExpectedBucketOwner,
        ServerSideEncryption: 'aws:kms',
        SSEKMSKeyId: KeyId,
        BucketKeyEnabled: true,
        IfNoneMatch: '*',
        Tagging: 'replikey%3Acanary=true',
      }),
    () =>
      new s3.PutObjectLockConfigurationCommand({
        Bucket,
        ExpectedBucketOwner,
        ObjectLockConfiguration: {
          ObjectLockEnabled: 'Enabled',
          Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 30 } },
        },
      }),
    () =>
      new s3.PutPublicAccessBlockCommand({
        Bucket,
        ExpectedBucketOwner,
        PublicAccessBlockConfiguration: { BlockPublicAcls: true },
      }),
  ],
  s3control: [
    () =>
      new s3control.CreateJobCommand({
        AccountId,
        ConfirmationRequired: true,
        Operation: { S3ReplicateObject: {} },
        Report: {
          Enabled: true,
          Bucket: 'arn:aws:s3:::acme-reports',
          Prefix: 'replikey/ü',
          Format: 'Report_CSV_20180820',
          ReportScope: 'FailedTasksOnly',
        },
        ClientRequestToken: '0123456789abcdef',
        Description: 'replikey backfill tax 0123456789abcdef acme-tax',
        Priority: 10,
        RoleArn: 'arn:aws:iam::111122223333:role/replikey-batch-acme-tax',
        Tags: [{ Key: 'replikey:spec', Value: 'tax' }],
        ManifestGenerator: {
          S3JobManifestGenerator: {
            ExpectedBucketOwner,
            SourceBucket: 'arn:aws:s3:::acme-tax',
            EnableManifestOutput: false,
            Filter: {
              EligibleForReplication: true,
              ObjectReplicationStatuses: ['NONE', 'FAILED'],
              CreatedBefore: new Date(1_700_000_000_000),
              CreatedAfter: new Date(1_600_000_000_000),
              KeyNameConstraint: { MatchAnyPrefix: ['Tax/ü&'] },
            },
          },
        },
      }),
    () => new s3control.DescribeJobCommand({ AccountId, JobId }),
    () => new s3control.ListJobsCommand({ AccountId, MaxResults: 1_000, NextToken: 't=' }),
    () =>
      new s3control.UpdateJobStatusCommand({
        AccountId,
        JobId,
        RequestedJobStatus: 'Ready',
        StatusUpdateReason: 'approved ü',
      }),
  ],
  iam: [
    () =>
      new iam.CreateRoleCommand({
        RoleName,
        Path: '/s3/',
        AssumeRolePolicyDocument: document,
        Tags: [{ Key: 'replikey:spec', Value: 'tax' }],
      }),
    () => new iam.DeleteRoleCommand({ RoleName }),
    () => new iam.DeleteRolePolicyCommand({ RoleName, PolicyName: 'p' }),
    () => new iam.GetAccountAuthorizationDetailsCommand({ Filter: ['Role'], MaxItems: 1_000, Marker: 'm=' }),
    () => new iam.GetPolicyCommand({ PolicyArn: 'arn:aws:iam::111122223333:policy/p' }),
    () =>
      new iam.GetPolicyVersionCommand({ PolicyArn: 'arn:aws:iam::111122223333:policy/p', VersionId: 'v1' }),
    () => new iam.GetRoleCommand({ RoleName }),
    () => new iam.GetRolePolicyCommand({ RoleName, PolicyName: 'p' }),
    () => new iam.ListAttachedRolePoliciesCommand({ RoleName, Marker: 'm=' }),
    () => new iam.ListRolePoliciesCommand({ RoleName, Marker: 'm=' }),
    () => new iam.ListRolesCommand({ MaxItems: 1_000, Marker: 'm=' }),
    () =>
      new iam.PutRolePermissionsBoundaryCommand({
        RoleName,
        PermissionsBoundary: 'arn:aws:iam::111122223333:policy/p',
      }),
    () => new iam.PutRolePolicyCommand({ RoleName, PolicyName: 'p', PolicyDocument: document }),
    () => new iam.TagRoleCommand({ RoleName, Tags: [{ Key: 'replikey:spec', Value: 'ü' }] }),
    () => new iam.UntagRoleCommand({ RoleName, TagKeys: ['replikey:narrow:replikey-ü'] }),
    () => new iam.UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: document }),
  ],
  kms: [
    () => new kms.CreateAliasCommand({ AliasName: 'alias/a', TargetKeyId: KeyId }),
    () =>
      new kms.CreateKeyCommand({
        Description: 'Übergröße',
        KeyUsage: 'ENCRYPT_DECRYPT',
        KeySpec: 'SYMMETRIC_DEFAULT',
        Tags: [{ TagKey: 'replikey:alias', TagValue: 'alias/a' }],
      }),
    () => new kms.TagResourceCommand({ KeyId, Tags: [{ TagKey: 'replikey:alias', TagValue: 'unused' }] }),
    () => new kms.DescribeKeyCommand({ KeyId }),
    () => new kms.DisableKeyRotationCommand({ KeyId }),
    () => new kms.EnableKeyRotationCommand({ KeyId, RotationPeriodInDays: 365 }),
    () => new kms.GetKeyPolicyCommand({ KeyId, PolicyName: 'default' }),
    () => new kms.GetKeyRotationStatusCommand({ KeyId }),
    () => new kms.ListAliasesCommand({ Limit: 100, Marker: 'm=' }),
    () => new kms.ListGrantsCommand({ KeyId, Limit: 100, Marker: 'm=' }),
    () => new kms.ListKeysCommand({ Limit: 1_000, Marker: 'm=' }),
    () => new kms.ListResourceTagsCommand({ KeyId }),
    () => new kms.PutKeyPolicyCommand({ KeyId, PolicyName: 'default', Policy: document }),
    () => new kms.UpdateKeyDescriptionCommand({ KeyId, Description: 'Übergröße' }),
  ],
  sts: [() => new GetCallerIdentityCommand({})],
  cloudwatch: [
    () => new cloudwatch.DeleteAlarmsCommand({ AlarmNames: ['replikey-tax-tax-failed'] }),
    () =>
      new cloudwatch.DescribeAlarmsCommand({
        AlarmNames: ['replikey-tax-tax-failed'],
        AlarmNamePrefix: 'replikey-',
        MaxRecords: 100,
        NextToken: 't=',
      }),
    () =>
      new cloudwatch.GetMetricDataCommand({
        MetricDataQueries: [
          {
            Id: 'm0',
            MetricStat: {
              Metric: {
                Namespace: 'AWS/S3',
                MetricName: 'ReplicationLatency',
                Dimensions: [{ Name: 'RuleId', Value: 'replikey/tax/ü' }],
              },
              Period: 300,
              Stat: 'Maximum',
            },
          },
        ],
        StartTime: new Date(1_700_000_000_000),
        EndTime: new Date(1_700_000_000_500),
        NextToken: 't=',
      }),
    () =>
      new cloudwatch.ListTagsForResourceCommand({
        ResourceARN: 'arn:aws:cloudwatch:eu-central-1:111122223333:alarm:replikey-tax-tax-failed',
      }),
    () =>
      new cloudwatch.PutMetricAlarmCommand({
        AlarmName: 'replikey-tax-tax-failed',
        AlarmDescription: 'Objects of „Tax/ü“ failed',
        ActionsEnabled: true,
        OKActions: [],
        AlarmActions: ['arn:aws:sns:eu-central-1:111122223333:replication'],
        Namespace: 'AWS/S3',
        MetricName: 'OperationsFailedReplication',
        Dimensions: [{ Name: 'RuleId', Value: 'replikey/tax/ü' }],
        Statistic: 'Sum',
        Period: 300,
        EvaluationPeriods: 1,
        Threshold: 0,
        ComparisonOperator: 'GreaterThanThreshold',
        TreatMissingData: 'notBreaching',
        Metrics: [{ Id: 'q1', Expression: 'SELECT SUM(x) FROM "AWS/S3"', Period: 300, ReturnData: true }],
        Tags: [{ Key: 'replikey:spec', Value: 'tax' }],
      }),
  ],
  sqs: [
    () =>
      new sqs.ChangeMessageVisibilityBatchCommand({
        QueueUrl,
        Entries: [{ Id: '0', ReceiptHandle: 'AQEB+/=', VisibilityTimeout: 5 }],
      }),
    () => new sqs.DeleteMessageBatchCommand({ QueueUrl, Entries: [{ Id: '0', ReceiptHandle: 'AQEB+/=' }] }),
    () => new sqs.ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 20 }),
    () => new sqs.GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn', 'Policy'] }),
    () => new sqs.ListQueueTagsCommand({ QueueUrl }),
    () => new sqs.SetQueueAttributesCommand({ QueueUrl, Attributes: { Policy: document } }),
  ],
  sns: [
    () => new sns.GetTopicAttributesCommand({ TopicArn }),
    () => new sns.ListTagsForResourceCommand({ ResourceArn: TopicArn }),
    () => new sns.SetTopicAttributesCommand({ TopicArn, AttributeName: 'Policy', AttributeValue: document }),
  ],
  organizations: [
    () => new organizations.DescribeOrganizationCommand({}),
    () => new organizations.DescribePolicyCommand({ PolicyId: 'p-FullAWSAccess' }),
    () => new organizations.ListAccountsCommand({ MaxResults: 20, NextToken: 't=' }),
    () => new organizations.ListParentsCommand({ ChildId: AccountId }),
    () =>
      new organizations.ListPoliciesForTargetCommand({
        TargetId: AccountId,
        Filter: 'SERVICE_CONTROL_POLICY',
        NextToken: 't=',
      }),
  ],
  cloudtrail: [
    () =>
      new LookupEventsCommand({
        LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: 'PutBucketReplication' }],
        StartTime: new Date(1_700_000_000_000),
        EndTime: new Date(1_700_000_000_500),
        NextToken: 't=',
      }),
  ],
};

interface Request {
  method: string;
  protocol: string;
  hostname: string;
  port?: number;
  path: string;
  query: Record<string, unknown>;
  headers: Record<string, string>;
  body?: string | Uint8Array;
}

interface Client {
  config: object;
  send(command: object): Promise<unknown>;
}

const CLIENT_CLASSES = {
  s3: s3.S3Client,
  s3control: s3control.S3ControlClient,
  iam: iam.IAMClient,
  kms: kms.KMSClient,
  sts: STSClient,
  cloudtrail: CloudTrailClient,
  cloudwatch: cloudwatch.CloudWatchClient,
  sqs: sqs.SQSClient,
  sns: sns.SNSClient,
  organizations: organizations.OrganizationsClient,
};

const NOT_SENT = new Error('recorded, not sent');

/** Returns a client that records its signed requests and sends none. */
function recordingClient(service: Service, options: object): { client: Client; requests: Request[] } {
  const requests: Request[] = [];
  const client = new CLIENT_CLASSES[service]({
    region: 'eu-central-1',
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: 'token' },
    maxAttempts: 1,
    // The SDK would call the host of the queue's URL, and ignore FIPS and dual stack.
    ...(service === 'sqs' && { useQueueUrlAsEndpoint: false }),
    requestHandler: {
      handle: async (request: unknown) => {
        requests.push(request as Request);
        throw NOT_SENT;
      },
    },
    ...options,
  });
  return { client: client as unknown as Client, requests };
}

/** Headers with the signature, its date, the user agent, and metadata on attempts that the SDK adds. */
const IGNORED_HEADERS = new Set([
  'authorization',
  'x-amz-date',
  'user-agent',
  'x-amz-user-agent',
  'amz-sdk-invocation-id',
  'amz-sdk-request',
]);

/** Returns the parts of a request that must be equal. Of the signature, these are the algorithm and the scope. */
function comparable({ method, protocol, hostname, port, path, query, headers, body }: Request) {
  const { authorization = '' } = headers;
  const [, algorithm, region, service] =
    /^(\S+) Credential=[^/]+\/\d+\/([^/]+)\/([^/]+)\/aws4_request/.exec(authorization) ?? [];
  return {
    method,
    url: { protocol, hostname, port, path, query },
    signature: { algorithm, region, service },
    headers: Object.fromEntries(
      Object.entries(headers)
        .filter(([name]) => !IGNORED_HEADERS.has(name.toLowerCase()))
        .map(([name, value]) => [name.toLowerCase(), value])
        .sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    ),
    body: bodyText(body),
  };
}

/** Reads the bytes: the SDK warns about string methods on a body of bytes. */
const bodyText = (body: string | Uint8Array = ''): string =>
  typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();

async function requestThrough(
  service: Service,
  options: object,
  send: (client: Client) => Promise<unknown>,
): Promise<ReturnType<typeof comparable>> {
  const { client, requests } = recordingClient(service, options);
  await expect(send(client)).rejects.toThrow(NOT_SENT.message);
  const [request, ...furtherRequests] = requests;
  expect(furtherRequests).toEqual([]);
  return comparable(request as Request);
}

const operations = Object.entries(COMMANDS).flatMap(([service, commands]) =>
  commands.map(
    (create) => [create().constructor.name.replace(/Command$/, ''), service as Service, create] as const,
  ),
);

describe.each<[string, { endpoint?: string; [option: string]: unknown }]>([
  ['the endpoint of the Region', {}],
  ['a FIPS endpoint', { useFipsEndpoint: true, region: 'us-east-2' }],
  ['a dual-stack endpoint', { useDualstackEndpoint: true }],
  ['a custom endpoint', { endpoint: 'http://127.0.0.1:4566/base', forcePathStyle: true }],
])('transport: sends the request of client.send to %s', (_, options) => {
  test.each(operations)('%s (%s)', async (_operation, service, createCommand) => {
    const { endpoint } = options;
    // The SDK cannot call S3 Control at an IP address: it puts the account before the host.
    const accountHosts = service === 's3control' &&
      endpoint !== undefined && { endpointProvider: () => ({ url: new URL(endpoint) }) };
    const expected = await requestThrough(service, { ...options, ...accountHosts }, (client) =>
      client.send(createCommand()),
    );
    const actual = await requestThrough(service, options, (client) => {
      const config = client.config as SdkConfig;
      return createTransport(service === 's3control' ? withoutAccountHosts(config) : config)(createCommand());
    });
    expect(expected.signature).toMatchObject({ algorithm: 'AWS4-HMAC-SHA256', region: expect.any(String) });
    expect(actual).toEqual(expected);
  });
});

// S3 Control API reference, ListJobs: the host is ACCOUNT.s3-control.REGION, and a VPC endpoint's begins with the account, too.
test.each([
  [undefined, '111122223333.s3-control.eu-central-1.amazonaws.com'],
  [
    'https://control.vpce-1a2b.s3.eu-central-1.vpce.amazonaws.com',
    '111122223333.control.vpce-1a2b.s3.eu-central-1.vpce.amazonaws.com',
  ],
  ['http://127.0.0.1:4566', '127.0.0.1'],
  ['http://[::1]:4566', '[::1]'],
  ['http://sandbox:4566', 'sandbox'],
])('transport: a call of S3 Control to %s goes to the host %s', async (endpoint, hostname) => {
  const options = endpoint === undefined ? {} : { endpoint };
  const { url, headers } = await requestThrough('s3control', options, (client) =>
    createTransport(withoutAccountHosts(client.config as SdkConfig))(
      new s3control.ListJobsCommand({ AccountId }),
    ),
  );
  expect(url.hostname).toBe(hostname);
  expect(headers['x-amz-account-id']).toBe(AccountId);
});

test('transport: the comparison covers every operation that replikey sends', () => {
  const sources = files.filter((file) => folderOf(file) !== 'sandbox').map(sourceTextOf);
  const used = sources.flatMap((text) =>
    [...text.matchAll(/\bnew (\w+)Command\(/g)].map(([, operation = '']) => operation),
  );
  expect(used).toContain('GetBucketReplication');
  const covered = new Set(operations.map(([operation]) => operation));
  expect([...covered].sort()).toEqual([...new Set(used)].sort());
});

test('SDK clients: only these files import packages below the clients, except for schemas', () => {
  const users = files.filter((file) =>
    imports
      .get(file)
      ?.packages.some((name) => /^@(aws-sdk\/core|smithy)\b/.test(name) && name !== '@smithy/core/schema'),
  );
  expect(users.filter((file) => folderOf(file) !== 'sandbox')).toEqual([
    'aws/credentials.ts',
    'aws/request-handler.ts',
    'aws/transport.ts',
    // The table of the partitions.
    'util/arn.ts',
  ]);
});
