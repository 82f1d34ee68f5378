import {
  DeleteAlarmsCommand,
  DescribeAlarmsCommand,
  DisableAlarmActionsCommand,
  PutMetricAlarmCommand,
  type PutMetricAlarmInput,
} from '@aws-sdk/client-cloudwatch';
import {
  DeleteRolePermissionsBoundaryCommand,
  DeleteRolePolicyCommand,
  PutRolePermissionsBoundaryCommand,
  PutRolePolicyCommand,
  TagRoleCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  DeleteAliasCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  DisableKeyRotationCommand,
  EnableKeyRotationCommand,
  GetKeyPolicyCommand,
  PutKeyPolicyCommand,
  UpdateKeyDescriptionCommand,
} from '@aws-sdk/client-kms';
import {
  DeleteBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteBucketReplicationCommand,
  DeletePublicAccessBlockCommand,
  GetBucketEncryptionCommand,
  GetBucketPolicyCommand,
  GetBucketReplicationCommand,
  PutBucketEncryptionCommand,
  PutBucketNotificationConfigurationCommand,
  PutBucketOwnershipControlsCommand,
  PutBucketPolicyCommand,
  PutBucketReplicationCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  PutPublicAccessBlockCommand,
  type ReplicationRule,
  type ServerSideEncryptionRule,
} from '@aws-sdk/client-s3';
import { CreateTopicCommand, SetTopicAttributesCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand, SetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { describe, expect, test } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import { desiredResources } from '../../src/core/desired.ts';
import { FACT_ACTIONS } from '../../src/core/facts.ts';
import { renderChange, resourceDiff } from '../../src/core/plan.ts';
import type { ActualState } from '../../src/core/resource.ts';
import { kinds } from '../../src/kinds/index.ts';
import { observe } from '../../src/reconcile/observe.ts';
import { canonicalJson } from '../../src/util/canonical-json.ts';
import { ACCOUNT_SPECS, type TestEnv, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

const BOUNDARY = 'arn:aws:iam::aws:policy/AmazonS3FullAccess';
/** A pair that declares every setting. */
const FULL = `${ACCOUNT_SPECS}apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source:
    bucket: acme-tax
    region: us-east-1
    account: main
    key: { alias: alias/acme-tax, description: Tax records, rotation: true, rotationPeriodInDays: 180 }
    blockPublicAccess: true
    objectOwnership: BucketOwnerEnforced
    objectLock: {}
  destination:
    bucket: acme-tax-replica
    region: us-west-2
    account: backup
    key: alias/acme-tax-replica
    defaultEncryption: DSSE-KMS
    storageClass: STANDARD_IA
    objectLock: { mode: Governance, days: 30 }
  sourceKeys: [alias/acme-old]
  role:
    path: /service-role/
    permissionsBoundary: ${BOUNDARY}
    tags: { team: finance }
  alarms:
    failed: true
    lateAfterMinutes: 30
    notify: [arn:aws:sns:us-east-1:111122223333:replication, arn:aws:sns:us-west-2:111122223333:replication]
  rules:
    - { prefix: Tax/, deleteMarkerReplication: true }
    - name: ledgers
      filter: { prefix: Ledgers/, tags: { tier: gold } }
      replicationTimeControl: true
      replicaModifications: true
  failures: { to: "arn:aws:sqs:us-east-1:111122223333:failures", events: [failed, missedThreshold] }
`;
const QUEUE = 'arn:aws:sqs:us-east-1:111122223333:failures';
const TOPIC = 'arn:aws:sns:us-east-1:111122223333:failures';
const QUEUE_URL = 'https://sqs.us-east-1.amazonaws.com/111122223333/failures';
const SOURCE = 'acme-tax';
const REPLICA = 'acme-tax-replica';
const ROLE = 'replikey-acme-tax';
const ROLE_ID = `${ROLE}@main`;
const east = { account: 'main', region: 'us-east-1' };
const west = { account: 'backup', region: 'us-west-2' };

/** A manual change, and the expected plan: the paths of the changed fields by resource id. */
interface Perturbation {
  name: string;
  change(client: AwsClient): Promise<unknown>;
  planned: Record<string, string[]>;
  /** Risks to allow for the correction. */
  allow?: string[];
  /** Other specs than FULL. */
  specs?: string;
}

/** Changes one rule of the replication configuration. */
const ruleChange = (
  name: string,
  changeRule: (rule: ReplicationRule) => ReplicationRule,
  ...paths: string[]
): Perturbation => ({
  name: `the ${name} of a rule`,
  change: async (client) => {
    const { ReplicationConfiguration: before } = await client.send(
      east,
      new GetBucketReplicationCommand({ Bucket: SOURCE }),
    );
    const Rules = before?.Rules?.map((rule) => (rule.ID?.endsWith('/tax') ? changeRule(rule) : rule));
    const ReplicationConfiguration = { Role: before?.Role, Rules };
    await client.send(east, new PutBucketReplicationCommand({ Bucket: SOURCE, ReplicationConfiguration }));
  },
  planned: { [`s3.replication/${SOURCE}`]: paths.map((path) => `/rules/replikey~1tax~1tax/${path}`) },
});

const destinationChange =
  (change: Partial<NonNullable<ReplicationRule['Destination']>>) => (rule: ReplicationRule) => ({
    ...rule,
    Destination: { ...rule.Destination, Bucket: rule.Destination?.Bucket, ...change },
  });

const encryptionChange = (
  name: string,
  changeRule: (rule: ServerSideEncryptionRule) => ServerSideEncryptionRule,
  path: string,
  allow: string[] = [],
): Perturbation => ({
  name,
  change: async (client) => {
    const { ServerSideEncryptionConfiguration: before } = await client.send(
      east,
      new GetBucketEncryptionCommand({ Bucket: SOURCE }),
    );
    const Rules = before?.Rules?.map(changeRule) ?? [];
    await client.send(
      east,
      new PutBucketEncryptionCommand({ Bucket: SOURCE, ServerSideEncryptionConfiguration: { Rules } }),
    );
  },
  planned: { [`s3.encryption/${SOURCE}`]: [path] },
  allow,
});

const keyOf = async (client: AwsClient): Promise<string> =>
  (await client.send(east, new DescribeKeyCommand({ KeyId: 'alias/acme-tax' }))).KeyMetadata?.KeyId ?? '';

/** Changes one alarm. */
const alarmChange = (
  name: string,
  change: (alarm: PutMetricAlarmInput) => PutMetricAlarmInput,
  ...paths: string[]
): Perturbation => ({
  name,
  change: async (client) => {
    const { MetricAlarms: [alarm] = [] } = await client.send(
      east,
      new DescribeAlarmsCommand({ AlarmNames: ['replikey-tax-tax-failed'] }),
    );
    if (!alarm) throw new Error('no alarm');
    await client.send(east, new PutMetricAlarmCommand(change(alarm as PutMetricAlarmInput)));
  },
  planned: { 'cloudwatch.alarm/replikey-tax-tax-failed@main/us-east-1': paths },
});

/** Manual changes by kind. */
const PERTURBATIONS: Record<string, Perturbation[]> = {
  'cloudwatch.alarm': [
    {
      name: 'a deleted alarm',
      change: (client) =>
        client.send(
          { ...east, region: 'us-west-2' },
          new DeleteAlarmsCommand({ AlarmNames: ['replikey-tax-ledgers-late'] }),
        ),
      planned: {
        'cloudwatch.alarm/replikey-tax-ledgers-late@main/us-west-2': [
          ...[
            '/actionsEnabled',
            '/alarmActions',
            '/comparisonOperator',
            '/datapointsToAlarm',
            '/description',
          ],
          ...['/dimensions', '/evaluationPeriods', '/insufficientDataActions', '/metricName', '/name'],
          ...['/namespace', '/okActions', '/period', '/statistic', '/threshold', '/treatMissingData'],
        ],
      },
    },
    {
      name: 'disabled actions',
      change: (client) =>
        client.send(east, new DisableAlarmActionsCommand({ AlarmNames: ['replikey-tax-tax-failed'] })),
      planned: { 'cloudwatch.alarm/replikey-tax-tax-failed@main/us-east-1': ['/actionsEnabled'] },
    },
    alarmChange(
      'an additional action',
      (alarm) => ({ ...alarm, OKActions: ['arn:aws:sns:us-east-1:111122223333:other'] }),
      '/okActions/arn:aws:sns:us-east-1:111122223333:other',
    ),
    alarmChange(
      'another topic and threshold',
      (alarm) => ({ ...alarm, AlarmActions: ['arn:aws:sns:us-east-1:111122223333:other'], Threshold: 100 }),
      '/alarmActions/arn:aws:sns:us-east-1:111122223333:other',
      '/alarmActions/arn:aws:sns:us-east-1:111122223333:replication',
      '/threshold',
    ),
    alarmChange(
      'other dimensions',
      (alarm) => ({ ...alarm, Dimensions: [{ Name: 'BucketName', Value: 'acme-tax' }] }),
      '/dimensions/BucketName',
      '/dimensions/DestinationBucket',
      '/dimensions/RuleId',
      '/dimensions/SourceBucket',
    ),
  ],
  'kms.key': [
    {
      name: 'a deleted alias of a managed key',
      change: (client) => client.send(east, new DeleteAliasCommand({ AliasName: 'alias/acme-tax' })),
      planned: {
        'kms.key/alias/acme-tax@main/us-east-1': [
          '/alias',
          '/description',
          '/rotation',
          '/rotationPeriodInDays',
        ],
        'kms.key-policy/alias/acme-tax@main/us-east-1': ['/alias', '/statements'],
      },
    },
    {
      name: 'disabled rotation',
      change: async (client) =>
        client.send(east, new DisableKeyRotationCommand({ KeyId: await keyOf(client) })),
      // KMS returns no period without rotation.
      planned: { 'kms.key/alias/acme-tax@main/us-east-1': ['/rotation', '/rotationPeriodInDays'] },
    },
    {
      name: 'another rotation period',
      change: async (client) =>
        client.send(
          east,
          new EnableKeyRotationCommand({ KeyId: await keyOf(client), RotationPeriodInDays: 90 }),
        ),
      planned: { 'kms.key/alias/acme-tax@main/us-east-1': ['/rotationPeriodInDays'] },
    },
    {
      name: 'another description',
      change: async (client) =>
        client.send(
          east,
          new UpdateKeyDescriptionCommand({ KeyId: await keyOf(client), Description: 'Old' }),
        ),
      planned: { 'kms.key/alias/acme-tax@main/us-east-1': ['/description'] },
    },
  ],
  'kms.key-policy': [
    {
      name: 'a removed statement of a key policy',
      change: async (client) => {
        const key = { KeyId: await keyOf(client), PolicyName: 'default' };
        const { Policy = '' } = await client.send(east, new GetKeyPolicyCommand(key));
        const policy = JSON.parse(Policy) as { Statement: { Sid: string }[] };
        policy.Statement = policy.Statement.filter(({ Sid }) => !Sid.startsWith('Replikey'));
        await client.send(east, new PutKeyPolicyCommand({ ...key, Policy: JSON.stringify(policy) }));
      },
      planned: { 'kms.key-policy/alias/acme-tax@main/us-east-1': ['/statements/ReplikeySourceKeyTax'] },
    },
  ],
  'iam.role': [
    {
      name: 'another trusted service in place of S3',
      change: (client) =>
        client.send(
          east,
          new UpdateAssumeRolePolicyCommand({
            RoleName: ROLE,
            PolicyDocument: JSON.stringify({
              Version: '2012-10-17',
              Statement: [
                {
                  Sid: 'ReplikeyAssumeRole',
                  Effect: 'Allow',
                  Principal: { Service: 'ec2.amazonaws.com' },
                  Action: 'sts:AssumeRole',
                },
              ],
            }),
          }),
        ),
      planned: {
        [`iam.role/${ROLE_ID}`]: [
          '/trust/ReplikeyAssumeRole/Principal/Service/ec2.amazonaws.com',
          '/trust/ReplikeyAssumeRole/Principal/Service/s3.amazonaws.com',
        ],
      },
    },
    {
      name: 'another boundary',
      change: (client) =>
        client.send(
          east,
          new PutRolePermissionsBoundaryCommand({
            RoleName: ROLE,
            PermissionsBoundary: 'arn:aws:iam::aws:policy/AdministratorAccess',
          }),
        ),
      planned: { [`iam.role/${ROLE_ID}`]: ['/permissionsBoundary'] },
      allow: ['change-boundary'],
    },
    {
      name: 'a removed boundary',
      change: (client) => client.send(east, new DeleteRolePermissionsBoundaryCommand({ RoleName: ROLE })),
      planned: { [`iam.role/${ROLE_ID}`]: ['/permissionsBoundary'] },
    },
    {
      name: 'another value of a declared tag, and an undeclared tag',
      change: (client) =>
        client.send(
          east,
          new TagRoleCommand({
            RoleName: ROLE,
            Tags: [
              { Key: 'team', Value: 'legal' },
              { Key: 'foreign', Value: 'kept' },
            ],
          }),
        ),
      planned: { [`iam.role/${ROLE_ID}`]: ['/tags/team'] },
    },
  ],
  'iam.role-policy': [
    {
      name: 'a deleted role policy',
      change: (client) =>
        client.send(east, new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' })),
      planned: { [`iam.role-policy/${ROLE_ID}`]: ['/role', '/statements'] },
    },
    {
      name: 'other content under a Sid of replikey',
      change: async (client) => {
        const policy = { RoleName: ROLE, PolicyName: 'replikey' };
        const PolicyDocument = JSON.stringify({
          Version: '2012-10-17',
          Statement: [{ Sid: 'ReplikeySourceBucketTax', Effect: 'Allow', Action: 's3:*', Resource: '*' }],
        });
        await client.send(east, new PutRolePolicyCommand({ ...policy, PolicyDocument }));
      },
      planned: {
        [`iam.role-policy/${ROLE_ID}`]: [
          '/statements/ReplikeyDestinationDeletesTax',
          '/statements/ReplikeyDestinationKeyTax',
          '/statements/ReplikeyDestinationObjectsTax',
          '/statements/ReplikeyDestinationOwnerTax',
          '/statements/ReplikeySourceBucketTax/Action/s3:*',
          '/statements/ReplikeySourceBucketTax/Action/s3:GetReplicationConfiguration',
          '/statements/ReplikeySourceBucketTax/Action/s3:ListBucket',
          '/statements/ReplikeySourceBucketTax/Resource/*',
          '/statements/ReplikeySourceBucketTax/Resource/arn:aws:s3:::acme-tax',
          '/statements/ReplikeySourceKeyTax',
          '/statements/ReplikeySourceObjectsTax',
        ],
      },
    },
  ],
  's3.bucket': [
    {
      name: 'a deleted destination bucket',
      change: (client) => client.send(west, new DeleteBucketCommand({ Bucket: REPLICA })),
      planned: {
        [`s3.bucket/${REPLICA}`]: ['/bucket', '/region'],
        [`s3.versioning/${REPLICA}`]: ['/bucket', '/status'],
        [`s3.encryption/${REPLICA}`]: ['/bucket', '/bucketKeyEnabled', '/kmsMasterKeyId', '/sseAlgorithm'],
        [`s3.object-lock/${REPLICA}`]: ['/bucket', '/days', '/enabled', '/mode'],
        [`s3.bucket-policy/${REPLICA}`]: ['/bucket', '/statements'],
      },
    },
  ],
  's3.versioning': [
    {
      name: 'suspended versioning of the destination',
      // S3 refuses to suspend the versioning of a bucket with Object Lock.
      specs: FULL.replace(/^ *objectLock: .*\n/gm, ''),
      change: (client) =>
        client.send(
          west,
          new PutBucketVersioningCommand({
            Bucket: REPLICA,
            VersioningConfiguration: { Status: 'Suspended' },
          }),
        ),
      planned: { [`s3.versioning/${REPLICA}`]: ['/status'] },
    },
  ],
  's3.encryption': [
    encryptionChange(
      'a disabled S3 Bucket Key',
      (rule) => ({ ...rule, BucketKeyEnabled: false }),
      '/bucketKeyEnabled',
    ),
    encryptionChange(
      'another default key',
      (rule) => ({
        ...rule,
        ApplyServerSideEncryptionByDefault: {
          SSEAlgorithm: 'aws:kms',
          KMSMasterKeyID: 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555',
        },
      }),
      '/kmsMasterKeyId',
      ['change-default-key'],
    ),
  ],
  's3.bucket-policy': [
    {
      name: 'a deleted policy of the destination',
      change: (client) => client.send(west, new DeleteBucketPolicyCommand({ Bucket: REPLICA })),
      planned: { [`s3.bucket-policy/${REPLICA}`]: ['/bucket', '/statements'] },
    },
    {
      name: 'a removed action and an added foreign statement in the policy of the destination',
      change: async (client) => {
        const { Policy = '' } = await client.send(west, new GetBucketPolicyCommand({ Bucket: REPLICA }));
        const policy = JSON.parse(Policy) as { Statement: { Sid: string; Action: string | string[] }[] };
        const Statement = policy.Statement.map((statement) =>
          statement.Sid === 'ReplikeyDestinationObjectsTax'
            ? { ...statement, Action: 's3:ReplicateObject' }
            : statement,
        );
        const foreign = {
          Sid: 'TlsOnly',
          Effect: 'Deny',
          Principal: '*',
          Action: 's3:*',
          Resource: `arn:aws:s3:::${REPLICA}/*`,
          Condition: { NumericLessThan: { 's3:TlsVersion': '1.2' } },
        };
        const text = JSON.stringify({ ...policy, Statement: [...Statement, foreign] });
        await client.send(west, new PutBucketPolicyCommand({ Bucket: REPLICA, Policy: text }));
      },
      planned: {
        [`s3.bucket-policy/${REPLICA}`]: [
          '/statements/ReplikeyDestinationObjectsTax/Action/s3:ReplicateTags',
        ],
      },
    },
  ],
  's3.public-access': [
    {
      name: 'one disabled setting of four',
      change: (client) =>
        client.send(
          east,
          new PutPublicAccessBlockCommand({
            Bucket: SOURCE,
            PublicAccessBlockConfiguration: {
              BlockPublicAcls: true,
              IgnorePublicAcls: true,
              BlockPublicPolicy: false,
              RestrictPublicBuckets: true,
            },
          }),
        ),
      planned: { [`s3.public-access/${SOURCE}`]: ['/blockPublicPolicy'] },
    },
    {
      name: 'a deleted public access block',
      change: (client) => client.send(east, new DeletePublicAccessBlockCommand({ Bucket: SOURCE })),
      planned: {
        [`s3.public-access/${SOURCE}`]: [
          '/blockPublicAcls',
          '/blockPublicPolicy',
          '/bucket',
          '/ignorePublicAcls',
          '/restrictPublicBuckets',
        ],
      },
    },
  ],
  's3.ownership': [
    {
      name: 'ownership ObjectWriter',
      change: (client) =>
        client.send(
          east,
          new PutBucketOwnershipControlsCommand({
            Bucket: SOURCE,
            OwnershipControls: { Rules: [{ ObjectOwnership: 'ObjectWriter' }] },
          }),
        ),
      planned: { [`s3.ownership/${SOURCE}`]: ['/objectOwnership'] },
      allow: ['change-ownership'],
    },
  ],
  's3.object-lock': [
    {
      name: 'a shorter default retention',
      change: (client) =>
        client.send(
          west,
          new PutObjectLockConfigurationCommand({
            Bucket: REPLICA,
            ObjectLockConfiguration: {
              ObjectLockEnabled: 'Enabled',
              Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 10 } },
            },
          }),
        ),
      planned: { [`s3.object-lock/${REPLICA}`]: ['/days'] },
    },
    {
      name: 'no default retention',
      change: (client) =>
        client.send(
          west,
          new PutObjectLockConfigurationCommand({
            Bucket: REPLICA,
            ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled' },
          }),
        ),
      planned: { [`s3.object-lock/${REPLICA}`]: ['/days', '/mode'] },
    },
  ],
  's3.replication': [
    {
      name: 'a deleted configuration',
      change: (client) => client.send(east, new DeleteBucketReplicationCommand({ Bucket: SOURCE })),
      planned: { [`s3.replication/${SOURCE}`]: ['/bucket', '/foreignRules', '/role', '/rules', '/v1Rules'] },
    },
    ruleChange('status', (rule) => ({ ...rule, Status: 'Disabled' }), 'status'),
    ruleChange('prefix', (rule) => ({ ...rule, Filter: { Prefix: 'Taxes/' } }), 'prefix'),
    ruleChange(
      'filter',
      (rule) => ({
        ...rule,
        DeleteMarkerReplication: { Status: 'Disabled' },
        Filter: { And: { Prefix: 'Tax/', Tags: [{ Key: 'a', Value: 'b' }] } },
      }),
      'deleteMarkerReplication',
      'tags/a',
    ),
    ruleChange(
      'delete marker replication',
      (rule) => ({ ...rule, DeleteMarkerReplication: { Status: 'Disabled' } }),
      'deleteMarkerReplication',
    ),
    ruleChange(
      'replica modification sync',
      (rule) => ({
        ...rule,
        SourceSelectionCriteria: {
          ...rule.SourceSelectionCriteria,
          ReplicaModifications: { Status: 'Enabled' },
        },
      }),
      'replicaModifications',
    ),
    ruleChange(
      'owner',
      destinationChange({ AccessControlTranslation: undefined, Account: undefined }),
      'account',
      'owner',
    ),
    ruleChange('storage class', destinationChange({ StorageClass: 'GLACIER' }), 'storageClass'),
    ruleChange(
      'replica key',
      destinationChange({
        EncryptionConfiguration: { ReplicaKmsKeyID: 'arn:aws:kms:us-west-2:111122223333:key/1' },
      }),
      'replicaKmsKeyId',
    ),
    ruleChange('metrics', destinationChange({ Metrics: { Status: 'Disabled' } }), 'metrics'),
    ruleChange(
      'selection of encrypted objects',
      (rule) => {
        const { SourceSelectionCriteria: _, ...otherFields } = rule;
        const { EncryptionConfiguration: __, ...destination } = rule.Destination ?? { Bucket: '' };
        return { ...otherFields, Destination: destination } as ReplicationRule;
      },
      'replicaKmsKeyId',
      'sseKmsEncryptedObjects',
    ),
    ruleChange(
      'replication time control',
      destinationChange({
        ReplicationTime: { Status: 'Enabled', Time: { Minutes: 15 } },
        Metrics: { Status: 'Enabled', EventThreshold: { Minutes: 15 } },
      }),
      'replicationTimeControl',
    ),
  ],
  'sqs.queue-policy': [
    {
      name: 'a policy of the queue without the bucket',
      change: (client) =>
        client.send(east, new SetQueueAttributesCommand({ QueueUrl: QUEUE_URL, Attributes: { Policy: '' } })),
      planned: { [`sqs.queue-policy/${QUEUE}`]: [`/senders/arn:aws:s3:::${SOURCE}`] },
    },
  ],
  'sns.topic-policy': [
    {
      name: 'a policy of the topic without the bucket',
      specs: FULL.replace(QUEUE, TOPIC),
      change: (client) =>
        client.send(
          east,
          new SetTopicAttributesCommand({
            TopicArn: TOPIC,
            AttributeName: 'Policy',
            AttributeValue: JSON.stringify({
              Version: '2012-10-17',
              Statement: [
                {
                  Sid: 'theirs',
                  Effect: 'Allow',
                  Principal: { AWS: '111122223333' },
                  Action: 'sns:Publish',
                  Resource: TOPIC,
                },
              ],
            }),
          }),
        ),
      planned: { [`sns.topic-policy/${TOPIC}`]: [`/senders/arn:aws:s3:::${SOURCE}`] },
    },
  ],
  's3.notification': [
    {
      name: 'an entry with one event, and a switch for EventBridge',
      change: (client) =>
        client.send(
          east,
          new PutBucketNotificationConfigurationCommand({
            Bucket: SOURCE,
            NotificationConfiguration: {
              QueueConfigurations: [
                {
                  Id: 'replikey/tax',
                  QueueArn: QUEUE,
                  Events: ['s3:Replication:OperationFailedReplication'],
                },
              ],
              EventBridgeConfiguration: {},
            },
          }),
        ),
      planned: {
        [`s3.notification/${SOURCE}`]: [
          '/entries/replikey~1tax/events/s3:Replication:OperationMissedThreshold',
        ],
      },
    },
    {
      name: 'a deleted configuration',
      change: (client) =>
        client.send(
          east,
          new PutBucketNotificationConfigurationCommand({ Bucket: SOURCE, NotificationConfiguration: {} }),
        ),
      planned: { [`s3.notification/${SOURCE}`]: ['/bucket', '/entries'] },
    },
  ],
};

/** Returns an environment with the queue and the topic that the specs name. */
async function fullEnv(specs = FULL): Promise<TestEnv> {
  const env = await testEnv(specs);
  await env.client.send(east, new CreateQueueCommand({ QueueName: 'failures' }));
  await env.client.send(east, new CreateTopicCommand({ Name: 'failures' }));
  env.sandbox.log.reset();
  return env;
}

const resourcesOf = ({ specs }: TestEnv) => desiredResources(specs.pairs, [...kinds.values()]);

/** Observes every resource through its kind. */
async function observeAll(env: TestEnv): Promise<ActualState> {
  return observe(resourcesOf(env), kinds, env.client);
}

test('perturbations: cover every kind', () => {
  // No caller can change a job that has ended. Jobs have tests of their own.
  const expected = [...kinds.values()].filter(({ scope }) => scope.stage !== 'jobs').map(({ name }) => name);
  expect(Object.keys(PERTURBATIONS).sort()).toEqual(expected.sort());
});

describe('every kind', () => {
  test('observes absent resources without a write', async () => {
    await using env = await testEnv(FULL);
    const actual = await observe(resourcesOf(env), kinds, env.client.readOnly());
    expect(new Set([...actual.values()].map(({ state }) => state))).toEqual(new Set(['absent']));
    expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  });

  test('observes the written state, equal to the desired normal form', async () => {
    await using env = await fullEnv();
    await env.reconcile();
    const actual = await observeAll(env);
    for (const resource of resourcesOf(env)) {
      const kind = kinds.get(resource.kind);
      const observation = actual.get(resource.id);
      if (!kind || observation?.state !== 'present')
        throw new Error(`${resource.id} is ${observation?.state}`);
      const { desired } = renderChange(resource, actual, kind);
      expect(resourceDiff(observation.current, desired, kind).patch, resource.id).toEqual([]);
      // normalize() is idempotent.
      expect(canonicalJson(kind.normalize(desired)), resource.id).toBe(canonicalJson(desired));
    }
  });

  test('a repeated write of the actual state changes nothing', async () => {
    await using env = await fullEnv();
    await env.reconcile();
    const before = stateOf(env.sandbox);
    const actual = await observeAll(env);
    for (const resource of resourcesOf(env)) {
      const kind = kinds.get(resource.kind);
      if (kind) await kind.send(env.client, renderChange(resource, actual, kind));
    }
    expect(stateOf(env.sandbox)).toEqual(before);
  });

  test('declares the IAM actions of every call, and so do the facts of the proof', async () => {
    await using env = await fullEnv();
    await env.reconcile();
    await env.reconcile();
    const ofKinds = [...kinds.values()].flatMap(({ permissions: actions }) => [
      ...actions.read,
      ...actions.write,
    ]);
    const declaredActions = new Set([...ofKinds, ...Object.values(FACT_ACTIONS).flat()]);
    const sent = Object.keys(env.sandbox.log.counts()).filter((call) => call !== 'sts:GetCallerIdentity');
    expect(sent.filter((call) => !declaredActions.has(ACTIONS[call] ?? call))).toEqual([]);
  });
});

/** IAM actions with another name than their operation. */
const ACTIONS: Record<string, string> = {
  's3:GetBucketEncryption': 's3:GetEncryptionConfiguration',
  's3:GetBucketNotificationConfiguration': 's3:GetBucketNotification',
  's3:PutBucketNotificationConfiguration': 's3:PutBucketNotification',
  's3:GetObjectLockConfiguration': 's3:GetBucketObjectLockConfiguration',
  's3:PutObjectLockConfiguration': 's3:PutBucketObjectLockConfiguration',
  's3:PutBucketEncryption': 's3:PutEncryptionConfiguration',
  's3:GetBucketReplication': 's3:GetReplicationConfiguration',
  's3:PutBucketReplication': 's3:PutReplicationConfiguration',
  's3:GetPublicAccessBlock': 's3:GetBucketPublicAccessBlock',
  's3:PutPublicAccessBlock': 's3:PutBucketPublicAccessBlock',
};

describe.each(Object.entries(PERTURBATIONS))('%s, changed by hand', (_, perturbations) => {
  test.each(perturbations)(
    '$name: the plan lists the changed fields, and one run corrects them',
    async (perturbation) => {
      await using env = await fullEnv(perturbation.specs);
      await env.reconcile();
      await perturbation.change(env.client);

      const { plan } = await env.reconcile({ dryRun: true });
      const plannedSteps = plan.waves
        .flat()
        .map(({ id, patch }) => [id, patch.map(({ path }) => path).sort()]);
      const expected = Object.entries(perturbation.planned);
      expect(plannedSteps.map(([id]) => id).sort()).toEqual(expected.map(([id]) => id).sort());
      for (const [id, paths] of expected)
        expect(Object.fromEntries(plannedSteps)[id]).toEqual([...paths].sort());
      for (const step of plan.waves.flat()) expect(step.why.join()).not.toBe('');

      const correction = await env.reconcile({ allowedRisks: perturbation.allow ?? [] });
      expect(correction.results.filter(({ result }) => result !== 'applied')).toEqual([]);
      expect(correction.remaining?.waves).toEqual([]);
    },
  );
});

test('a disabled key blocks the resources that need it, and replikey never enables it', async () => {
  await using env = await fullEnv();
  await env.reconcile();
  await env.client.send(east, new DisableKeyCommand({ KeyId: await keyOf(env.client) }));
  env.sandbox.log.reset();
  const { plan } = await env.reconcile();
  expect(plan.blocked).toMatchObject([
    { id: 'kms.key/alias/acme-tax@main/us-east-1', why: expect.stringMatching(/is Disabled; enable it/) },
  ]);
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
});
