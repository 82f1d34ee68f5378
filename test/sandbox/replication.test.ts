import {
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { DisableKeyCommand, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutBucketOwnershipControlsCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import {
  changeKeyPolicy,
  changeRolePolicy,
  changeRules,
  clientOf,
  EAST,
  keyOf,
  put,
  REPLICA,
  ROLE,
  SOURCE,
  versionOf,
  WEST,
} from './support.ts';

/** Returns an environment with an applied pair that replicates delete markers. */
async function replicatingPair(): Promise<TestEnv> {
  const env = await testEnv(
    TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      deleteMarkerReplication: true'),
  );
  await env.reconcile();
  return env;
}

const WITHOUT_BUCKET_KEY = { BucketKeyEnabled: false, ServerSideEncryption: 'aws:kms' } as const;
const outcome = async (env: TestEnv, object: Partial<PutObjectCommandInput> = {}) => {
  const { replication } = (await put(env, object)) ?? {};
  const [attempt] = replication?.attempts ?? [];
  return {
    status: replication?.status ?? 'not replicated',
    reason: attempt?.reason,
    detail: attempt?.detail,
  };
};

describe('replication of a matching object', () => {
  test.each([
    ['with an S3 Bucket Key', true],
    ['without an S3 Bucket Key', false],
  ])(
    '%s: the replica uses the replica key and has version ID, metadata, tags and ETag of the source',
    async (_, bucketKey) => {
      await using env = await replicatingPair();
      const source = await put(env, {
        BucketKeyEnabled: bucketKey,
        ServerSideEncryption: 'aws:kms',
        Metadata: { year: '2026' },
        Tagging: 'tier=gold',
        ContentType: 'application/pdf',
      });
      const at = { Key: 'Tax/2026.pdf', VersionId: source?.versionId };
      const [sourceHead, replica] = await Promise.all([
        env.client.send(EAST, new HeadObjectCommand({ Bucket: SOURCE, ...at })),
        env.client.send(WEST, new HeadObjectCommand({ Bucket: REPLICA, ...at })),
      ]);
      expect(sourceHead.ReplicationStatus).toBe('COMPLETED');
      expect(replica).toMatchObject({
        ReplicationStatus: 'REPLICA',
        SSEKMSKeyId: await keyOf(env.client, WEST),
        ETag: sourceHead.ETag,
        Metadata: { year: '2026' },
        ContentType: 'application/pdf',
        LastModified: sourceHead.LastModified,
      });
      expect([...(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')?.tags ?? [])]).toEqual([['tier', 'gold']]);
      const { Body } = await env.client.send(WEST, new GetObjectCommand({ Bucket: REPLICA, ...at }));
      expect(await Body?.transformToString()).toBe('numbers');
    },
  );

  test('the status is PENDING until the replica exists', async () => {
    await using env = await replicatingPair();
    env.sandbox.faultSettings.replicationDelayMs = 60_000;
    await env.client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body: 'a' }));
    const head = await env.client.send(EAST, new HeadObjectCommand({ Bucket: SOURCE, Key: 'Tax/a' }));
    expect(head.ReplicationStatus).toBe('PENDING');
  });

  test('an SSE-S3 object has an SSE-S3 replica for any default of the destination', async () => {
    await using env = await replicatingPair();
    expect(await outcome(env, { ServerSideEncryption: 'AES256' })).toMatchObject({ status: 'COMPLETED' });
    expect(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')?.encryption.algorithm).toBe('AES256');
  });

  test('a FAILED object is not retried after the cause is fixed', async () => {
    await using env = await replicatingPair();
    await changeRolePolicy(env.client, (statements) => delete statements.ReplikeySourceObjectsTax);
    expect(await outcome(env)).toMatchObject({ status: 'FAILED' });
    await env.reconcile();
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, SOURCE, 'Tax/2026.pdf')?.replication?.status).toBe('FAILED');
    expect(await outcome(env, { Key: 'Tax/2027.pdf' })).toMatchObject({ status: 'COMPLETED' });
  });
});

describe('rules of an object in flight', () => {
  /** Puts an object, changes the rules while it is in flight, and returns it after its replication. */
  async function putDuringChange(
    inFlight: 'atWrite' | 'atProcessing',
    change: (rules: ReplicationRule[]) => ReplicationRule[],
  ) {
    const env = await replicatingPair();
    Object.assign(env.sandbox.faultSettings, { inFlight, replicationDelayMs: 100 });
    await env.client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body: 'a' }));
    await changeRules(env.client, change);
    await env.sandbox.waitForReplication();
    const version = versionOf(env.sandbox, SOURCE, 'Tax/a');
    const replica = versionOf(env.sandbox, REPLICA, 'Tax/a');
    await env[Symbol.asyncDispose]();
    return { status: version?.replication?.status, storageClass: replica?.storageClass };
  }
  const withStorageClass = (rules: ReplicationRule[]): ReplicationRule[] =>
    rules.map((rule) => ({
      ...rule,
      Destination: { ...rule.Destination, Bucket: rule.Destination?.Bucket, StorageClass: 'GLACIER_IR' },
    }));
  const disabled = (rules: ReplicationRule[]): ReplicationRule[] =>
    rules.map((rule) => ({ ...rule, Status: 'Disabled' }));

  test('atWrite: S3 uses the rule as it was at the write, also if it is disabled since', async () => {
    expect(await putDuringChange('atWrite', withStorageClass)).toEqual({ status: 'COMPLETED' });
    expect(await putDuringChange('atWrite', disabled)).toEqual({ status: 'COMPLETED' });
  });

  test('atProcessing: S3 uses the rule as it is at the processing, and leaves an object without a rule PENDING', async () => {
    expect(await putDuringChange('atProcessing', withStorageClass)).toEqual({
      status: 'COMPLETED',
      storageClass: 'GLACIER_IR',
    });
    expect(await putDuringChange('atProcessing', disabled)).toEqual({ status: 'PENDING' });
  });
});

// S3 User Guide, "Requirements and considerations for replication": the owner of the source bucket needs READ and READ_ACP on
// an object that it does not own.
test('replication of an object that another account owns: FAILED, because its ACL cannot be read', async () => {
  await using env = await replicatingPair();
  const Principal = { AWS: 'arn:aws:iam::444455556666:root' };
  const statement = {
    Effect: 'Allow',
    Principal,
    Action: 's3:PutObject',
    Resource: `arn:aws:s3:::${SOURCE}/*`,
  };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await env.client.send(EAST, new PutBucketPolicyCommand({ Bucket: SOURCE, Policy }));
  const writer = clientOf(env.sandbox, '444455556666');
  for (const [ownership, status] of [
    ['BucketOwnerEnforced', 'COMPLETED'],
    ['ObjectWriter', 'FAILED'],
  ] as const) {
    const OwnershipControls = { Rules: [{ ObjectOwnership: ownership }] };
    await env.client.send(EAST, new PutBucketOwnershipControlsCommand({ Bucket: SOURCE, OwnershipControls }));
    const object = { Bucket: SOURCE, Key: 'Tax/a', ServerSideEncryption: 'AES256' } as const;
    await writer.send(EAST, new PutObjectCommand({ ...object, Body: 'a' }));
    await env.sandbox.waitForReplication();
    const { replication } = versionOf(env.sandbox, SOURCE, 'Tax/a') ?? {};
    expect(replication).toMatchObject({ status });
    if (status === 'FAILED') expect(replication?.attempts[0]?.reason).toBe('SrcGetAclNotPermitted');
  }
});

const withoutAction =
  (action: string) => (statements: Parameters<Parameters<typeof changeRolePolicy>[1]>[0]) => {
    for (const statement of Object.values(statements)) {
      statement.Action = [statement.Action ?? []].flat().filter((name) => name !== action);
    }
    for (const [sid, { Action }] of Object.entries(statements))
      if (Action?.length === 0) delete statements[sid];
  };
const limitContext =
  (sid: string, ...values: string[]) =>
  (statements: Record<string, { Condition?: object }>) => {
    const statement = statements[sid];
    if (statement) {
      statement.Condition = {
        ...statement.Condition,
        StringLike: { 'kms:EncryptionContext:aws:s3:arn': values },
      };
    }
  };
const trust = (client: AwsClient, statement: object) =>
  client.send(
    EAST,
    new UpdateAssumeRolePolicyCommand({
      RoleName: ROLE,
      PolicyDocument: JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', ...statement }],
      }),
    }),
  );
/** Changes both the role policy and the key policy, because either suffices within one account. */
const limitSourceContext = async (client: AwsClient, ...values: string[]) => {
  await changeRolePolicy(client, limitContext('ReplikeySourceKeyTax', ...values));
  await changeKeyPolicy(client, EAST, limitContext('ReplikeySourceKeyTax', ...values));
};
const limitReplicaContext = async (client: AwsClient, ...values: string[]) => {
  await changeRolePolicy(client, limitContext('ReplikeyDestinationKeyTax', ...values));
  await changeKeyPolicy(client, WEST, limitContext('ReplikeyDestinationKeyTax', ...values));
};
const putBucketPolicy = (client: AwsClient, at: { region: string }, Bucket: string, statement: object) =>
  client.send(
    at,
    new PutBucketPolicyCommand({
      Bucket,
      Policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          { Principal: '*', Resource: [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`], ...statement },
        ],
      }),
    }),
  );

/** A broken precondition, the outcome for an object, S3's reason, and what the detail must contain. */
type Row = [
  name: string,
  breakPair: (env: TestEnv) => Promise<unknown>,
  status: 'FAILED' | 'not replicated',
  reason: string | undefined,
  detail: RegExp | undefined,
  object?: Partial<PutObjectCommandInput>,
];

const BROKEN: Row[] = [
  [
    'the role does not exist',
    async ({ client }) => {
      await client.send(EAST, new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' }));
      await client.send(EAST, new DeleteRoleCommand({ RoleName: ROLE }));
    },
    'FAILED',
    'AssumeRoleNotPermitted',
    /replikey-acme-tax/,
  ],
  [
    'the role trusts another service',
    ({ client }) => trust(client, { Principal: { Service: 'ec2.amazonaws.com' } }),
    'FAILED',
    'AssumeRoleNotPermitted',
    /the principal expects ec2\.amazonaws\.com, but the request has s3\.amazonaws\.com/,
  ],
  [
    'the role trusts S3 for another account',
    ({ client }) =>
      trust(client, {
        Principal: { Service: 's3.amazonaws.com' },
        Condition: { StringEquals: { 'aws:SourceAccount': '999988887777' } },
      }),
    'FAILED',
    'AssumeRoleNotPermitted',
    /aws:SourceAccount expects 999988887777/,
  ],
  [
    'the role has no policy',
    ({ client }) =>
      client.send(EAST, new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' })),
    'FAILED',
    'SrcGetObjectNotPermitted',
    /s3:GetReplicationConfiguration/,
  ],
  ...(
    [
      ['s3:GetReplicationConfiguration', 'SrcGetObjectNotPermitted'],
      ['s3:ListBucket', 'SrcGetObjectNotPermitted'],
      ['s3:GetObjectVersionForReplication', 'SrcGetObjectNotPermitted'],
      ['s3:GetObjectVersionAcl', 'SrcGetAclNotPermitted'],
      ['s3:ReplicateObject', 'DstPutObjectNotPermitted'],
    ] as const
  ).map(
    ([action, reason]): Row => [
      `the role lacks ${action}`,
      ({ client }) => changeRolePolicy(client, withoutAction(action)),
      'FAILED',
      reason,
      new RegExp(`no identity policy .* allows ${action}`),
    ],
  ),
  [
    'the role lacks s3:GetObjectVersionTagging',
    ({ client }) => changeRolePolicy(client, withoutAction('s3:GetObjectVersionTagging')),
    'FAILED',
    'SrcGetTaggingNotPermitted',
    /s3:GetObjectVersionTagging/,
    { Tagging: 'tier=gold' },
  ],
  [
    // ReplicateObject covers tags (S3 User Guide, "Setting up permissions for live replication").
    'the policy of the role denies s3:ReplicateTags',
    ({ client }) =>
      changeRolePolicy(client, (statements) => {
        statements.DenyTags = { Effect: 'Deny', Action: 's3:ReplicateTags', Resource: '*' };
      }),
    'FAILED',
    'DstPutTaggingNotPermitted',
    /s3:ReplicateTags/,
    { Tagging: 'tier=gold' },
  ],
  [
    'the source context names the bucket alone, and the object has no Bucket Key',
    ({ client }) => limitSourceContext(client, `arn:aws:s3:::${SOURCE}`),
    'FAILED',
    'SrcGetObjectNotPermitted',
    /expects arn:aws:s3:::acme-tax, but the request has arn:aws:s3:::acme-tax\/Tax\/2026\.pdf/,
    WITHOUT_BUCKET_KEY,
  ],
  [
    'the source context names the objects alone, and the object has a Bucket Key',
    ({ client }) => limitSourceContext(client, `arn:aws:s3:::${SOURCE}/*`),
    'FAILED',
    'SrcGetObjectNotPermitted',
    /expects arn:aws:s3:::acme-tax\/\*, but the request has arn:aws:s3:::acme-tax$/,
  ],
  [
    'the replica context names the bucket alone, and the object has no Bucket Key',
    ({ client }) => limitReplicaContext(client, `arn:aws:s3:::${REPLICA}`),
    'FAILED',
    'DstPutObjectNotPermitted',
    /kms:Encrypt.*acme-tax-replica\/Tax\/2026\.pdf/,
    WITHOUT_BUCKET_KEY,
  ],
  [
    'the replica context names the objects alone, and the object has a Bucket Key',
    ({ client }) => limitReplicaContext(client, `arn:aws:s3:::${REPLICA}/*`),
    'FAILED',
    'DstPutObjectNotPermitted',
    /kms:GenerateDataKey/,
  ],
  [
    'kms:ViaService names another Region',
    async ({ client }) => {
      const useOtherRegion = (statements: Record<string, { Condition?: object }>) => {
        for (const sid of ['ReplikeySourceKeyTax']) {
          const statement = statements[sid];
          if (statement)
            statement.Condition = { StringEquals: { 'kms:ViaService': 's3.eu-west-1.amazonaws.com' } };
        }
      };
      await changeRolePolicy(client, useOtherRegion);
      await changeKeyPolicy(client, EAST, useOtherRegion);
    },
    'FAILED',
    'SrcGetObjectNotPermitted',
    /kms:ViaService expects s3\.eu-west-1\.amazonaws\.com, but the request has s3\.us-east-1\.amazonaws\.com/,
  ],
  [
    'neither the key policy nor an identity policy allows the role',
    ({ client }) =>
      changeKeyPolicy(client, WEST, (statements) => {
        delete statements.ReplikeyDestinationKeyTax;
        for (const statement of Object.values(statements))
          statement.Action = ['kms:PutKeyPolicy', 'kms:GetKeyPolicy', 'kms:DescribeKey'];
      }),
    'FAILED',
    'DstPutObjectNotPermitted',
    /the policy of|key policy/,
  ],
  [
    'the replica key is disabled',
    async ({ client }) => client.send(WEST, new DisableKeyCommand({ KeyId: await keyOf(client, WEST) })),
    'FAILED',
    'DstKmsKeyInvalidState',
    /disabled/i,
  ],
  [
    'the replica key is pending deletion',
    async ({ client }) =>
      client.send(
        WEST,
        new ScheduleKeyDeletionCommand({ KeyId: await keyOf(client, WEST), PendingWindowInDays: 7 }),
      ),
    'FAILED',
    'DstKmsKeyInvalidState',
    /pending deletion/i,
  ],
  [
    'the replica key is in another Region',
    ({ client }) =>
      changeRules(client, (rules) =>
        rules.map((rule) => ({
          ...rule,
          Destination: {
            ...rule.Destination,
            Bucket: rule.Destination?.Bucket,
            EncryptionConfiguration: {
              ReplicaKmsKeyID: 'arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555',
            },
          },
        })),
      ),
    'FAILED',
    'DstKmsKeyNotFound',
    /eu-west-1/,
  ],
  [
    'the destination does not exist',
    ({ client }) => client.send(WEST, new DeleteBucketCommand({ Bucket: REPLICA })),
    'FAILED',
    'DstBucketNotFound',
    /acme-tax-replica does not exist/,
  ],
  [
    'versioning of the destination is suspended',
    ({ client }) =>
      client.send(
        WEST,
        new PutBucketVersioningCommand({ Bucket: REPLICA, VersioningConfiguration: { Status: 'Suspended' } }),
      ),
    'FAILED',
    'DstBucketUnversioned',
    /Suspended/,
  ],
  [
    'the bucket policy of the destination denies s3:ReplicateObject',
    ({ client }) =>
      putBucketPolicy(client, WEST, REPLICA, {
        Sid: 'NoReplicas',
        Effect: 'Deny',
        Action: 's3:ReplicateObject',
      }),
    'FAILED',
    'DstPutObjectNotPermitted',
    /bucket policy of acme-tax-replica denies s3:ReplicateObject .*\(NoReplicas\)/,
  ],
  [
    'the bucket policy of the source denies s3:GetObjectVersionForReplication',
    ({ client }) =>
      putBucketPolicy(client, EAST, SOURCE, { Effect: 'Deny', Action: 's3:GetObjectVersionForReplication' }),
    'FAILED',
    'SrcGetObjectNotPermitted',
    /bucket policy of acme-tax denies/,
  ],
  [
    'the rule is paused',
    ({ client }) => changeRules(client, (rules) => rules.map((rule) => ({ ...rule, Status: 'Disabled' }))),
    'not replicated',
    undefined,
    undefined,
  ],
  [
    'the rule does not select encrypted objects',
    ({ client }) => changeRules(client, (rules) => rules.map(withoutEncryptedObjects)),
    'not replicated',
    undefined,
    undefined,
  ],
  [
    'the rule has another prefix',
    ({ client }) =>
      changeRules(client, (rules) => rules.map((rule) => ({ ...rule, Filter: { Prefix: 'Taxes/' } }))),
    'not replicated',
    undefined,
    undefined,
  ],
  [
    'the rule requires a tag that the object lacks',
    ({ client }) => changeRules(client, (rules) => rules.map(withTagFilter)),
    'not replicated',
    undefined,
    undefined,
    { Tagging: 'tier=silver' },
  ],
];

function withoutEncryptedObjects(rule: ReplicationRule): ReplicationRule {
  const { SourceSelectionCriteria: _, ...rest } = rule;
  return { ...rest, Destination: { Bucket: rule.Destination?.Bucket } };
}
const withTagFilter = (rule: ReplicationRule): ReplicationRule => ({
  ...rule,
  DeleteMarkerReplication: { Status: 'Disabled' },
  Filter: { And: { Prefix: 'Tax/', Tags: [{ Key: 'tier', Value: 'gold' }] } },
});

describe('an object does not replicate when', () => {
  test.each(BROKEN)('%s', async (_, breakPair, status, reason, detail, object) => {
    await using env = await replicatingPair();
    await breakPair(env);
    const result = await outcome(env, { Key: 'Tax/2026.pdf', ...object });
    expect(result).toMatchObject({ status, reason });
    if (detail) expect(result.detail).toMatch(detail);
    if (reason !== 'DstBucketNotFound' && !reason?.endsWith('TaggingNotPermitted'))
      expect(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')).toBeUndefined();
  });

  test('the source key is disabled between the put and the replication', async () => {
    await using env = await replicatingPair();
    env.sandbox.faultSettings.replicationDelayMs = 300;
    await env.client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body: 'a' }));
    await env.client.send(EAST, new DisableKeyCommand({ KeyId: await keyOf(env.client, EAST) }));
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, SOURCE, 'Tax/a')?.replication).toMatchObject({
      status: 'FAILED',
      attempts: [{ reason: 'SrcKmsKeyInvalidState' }],
    });
  });

  test('it is older than the rule', async () => {
    await using env = await testEnv();
    await env.client.send(EAST, new CreateBucketCommand({ Bucket: SOURCE }));
    await env.client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/old', Body: 'old' }));
    await env.reconcile();
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, SOURCE, 'Tax/old')?.replication).toBeUndefined();
  });

  test('it is a replica: S3 does not chain from A through B to C', async () => {
    await using env = await testEnv(`${TAX_SPEC}---
apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: chain }
spec:
  source: { bucket: acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica }
  destination: { bucket: acme-tax-third, region: eu-west-1, key: alias/acme-tax-third }
  rules: [{ prefix: Tax/ }]
`);
    await env.reconcile();
    expect(await outcome(env)).toMatchObject({ status: 'COMPLETED' });
    expect(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')?.replication?.status).toBe('REPLICA');
    expect(versionOf(env.sandbox, 'acme-tax-third', 'Tax/2026.pdf')).toBeUndefined();
  });
});

describe('rule', () => {
  const rule = async (
    client: AwsClient,
    id: string,
    priority: number,
    prefix: string,
    storageClass: 'GLACIER' | 'STANDARD_IA',
  ) => ({
    ID: id,
    Priority: priority,
    Status: 'Enabled' as const,
    Filter: { Prefix: prefix },
    DeleteMarkerReplication: { Status: 'Disabled' as const },
    SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' as const } },
    Destination: {
      Bucket: `arn:aws:s3:::${REPLICA}`,
      StorageClass: storageClass,
      EncryptionConfiguration: { ReplicaKmsKeyID: await keyOf(client, WEST) },
    },
  });

  test('the higher priority wins among rules with the same destination, in any order', async () => {
    for (const [first, second] of [
      [1, 2],
      [2, 1],
    ] as const) {
      await using env = await replicatingPair();
      const rules = [
        await rule(env.client, 'a', first, 'Tax/', 'GLACIER'),
        await rule(env.client, 'b', second, '', 'STANDARD_IA'),
      ];
      await changeRules(env.client, () => rules);
      const version = await put(env);
      expect(version?.replication?.attempts.map(({ ruleId }) => ruleId)).toEqual([
        first > second ? 'a' : 'b',
      ]);
      expect(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')?.storageClass).toBe(
        first > second ? 'GLACIER' : 'STANDARD_IA',
      );
    }
  });

  test('rules with several destinations all replicate, and one failure sets FAILED', async () => {
    await using env = await testEnv(`${TAX_SPEC}---
apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: second }
spec:
  source: { bucket: acme-tax, region: us-east-1, key: alias/acme-tax }
  destination: { bucket: acme-tax-second, region: eu-west-1, key: alias/acme-tax-second }
  rules: [{ prefix: Tax/ }]
`);
    await env.reconcile();
    expect((await put(env))?.replication?.attempts.map(({ status }) => status)).toEqual([
      'COMPLETED',
      'COMPLETED',
    ]);
    await env.client.send(
      { region: 'eu-west-1' },
      new PutBucketVersioningCommand({
        Bucket: 'acme-tax-second',
        VersioningConfiguration: { Status: 'Suspended' },
      }),
    );
    const version = await put(env, { Key: 'Tax/2' });
    expect(version?.replication?.status).toBe('FAILED');
    expect(
      Object.fromEntries(
        version?.replication?.attempts.map(({ destination, status }) => [destination, status]) ?? [],
      ),
    ).toEqual({ [`arn:aws:s3:::${REPLICA}`]: 'COMPLETED', 'arn:aws:s3:::acme-tax-second': 'FAILED' });
    expect(versionOf(env.sandbox, REPLICA, 'Tax/2')).toBeDefined();
  });

  test('replicates delete markers only if enabled, and never the deletion of a version', async () => {
    await using env = await replicatingPair();
    const version = await put(env);
    await env.client.send(EAST, new DeleteObjectCommand({ Bucket: SOURCE, Key: 'Tax/2026.pdf' }));
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')?.deleteMarker).toBe(true);
    await env.client.send(
      EAST,
      new DeleteObjectCommand({ Bucket: SOURCE, Key: 'Tax/2026.pdf', VersionId: version?.versionId }),
    );
    await env.sandbox.waitForReplication();
    expect(env.sandbox.store.bucket(REPLICA)?.objects.get('Tax/2026.pdf')).toHaveLength(2);

    await changeRules(env.client, (rules) =>
      rules.map((rule) => ({ ...rule, DeleteMarkerReplication: { Status: 'Disabled' } })),
    );
    await put(env, { Key: 'Tax/kept' });
    await env.client.send(EAST, new DeleteObjectCommand({ Bucket: SOURCE, Key: 'Tax/kept' }));
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, REPLICA, 'Tax/kept')?.deleteMarker).toBe(false);
  });
});

test('policyPropagationMs: S3 uses the earlier policies until the time of the propagation has passed', async () => {
  const time = { nowMs: Date.UTC(2026, 10, 30) };
  await using env = await testEnv(TAX_SPEC, { clock: () => time.nowMs });
  await env.reconcile();
  env.sandbox.faultSettings.policyPropagationMs = 2_000;
  const removeRead = () =>
    changeRolePolicy(env.client, (statements) => delete statements.ReplikeySourceObjectsTax);
  await removeRead();
  expect(await outcome(env, { Key: 'Tax/1' })).toMatchObject({ status: 'COMPLETED' });
  time.nowMs += 2_000;
  expect(await outcome(env, { Key: 'Tax/2' })).toMatchObject({ reason: 'SrcGetObjectNotPermitted' });
  await env.reconcile();
  expect(await outcome(env, { Key: 'Tax/3' })).toMatchObject({ reason: 'SrcGetObjectNotPermitted' });
  time.nowMs += 2_000;
  expect(await outcome(env, { Key: 'Tax/4' })).toMatchObject({ status: 'COMPLETED' });

  await changeKeyPolicy(env.client, WEST, (statements) => {
    statements.Deny = { Effect: 'Deny', Principal: '*', Action: 'kms:Encrypt', Resource: '*' };
  });
  expect(await outcome(env, { Key: 'Tax/5' })).toMatchObject({ status: 'COMPLETED' });
  time.nowMs += 2_000;
  expect(await outcome(env, { Key: 'Tax/6' })).toMatchObject({ reason: 'DstPutObjectNotPermitted' });
});
