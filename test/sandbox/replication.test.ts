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
  EAST,
  keyOf,
  put,
  REPLICA,
  ROLE,
  SOURCE,
  versionOf,
  WEST,
} from './support.ts';

/** A pair that replicates, and delete markers with it. */
async function aPair(): Promise<TestEnv> {
  const env = await testEnv(
    TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      deleteMarkerReplication: true'),
  );
  await env.reconcile();
  return env;
}

const WITHOUT = { BucketKeyEnabled: false, ServerSideEncryption: 'aws:kms' } as const;
const outcome = async (env: TestEnv, object: Partial<PutObjectCommandInput> = {}) => {
  const { replication } = (await put(env, object)) ?? {};
  const [attempt] = replication?.attempts ?? [];
  return { status: replication?.status ?? 'not taken', reason: attempt?.reason, detail: attempt?.detail };
};

describe('an object that a rule takes', () => {
  test.each([
    ['with an S3 Bucket Key', true],
    ['without', false],
  ])(
    '%s arrives under the replica key, with version id, metadata, tags and ETag of its source',
    async (_, bucketKey) => {
      await using env = await aPair();
      const source = await put(env, {
        BucketKeyEnabled: bucketKey,
        ServerSideEncryption: 'aws:kms',
        Metadata: { year: '2026' },
        Tagging: 'tier=gold',
        ContentType: 'application/pdf',
      });
      const at = { Key: 'Tax/2026.pdf', VersionId: source?.versionId };
      const [there, replica] = await Promise.all([
        env.door.send(EAST, new HeadObjectCommand({ Bucket: SOURCE, ...at })),
        env.door.send(WEST, new HeadObjectCommand({ Bucket: REPLICA, ...at })),
      ]);
      expect(there.ReplicationStatus).toBe('COMPLETED');
      expect(replica).toMatchObject({
        ReplicationStatus: 'REPLICA',
        SSEKMSKeyId: await keyOf(env.door, WEST),
        ETag: there.ETag,
        Metadata: { year: '2026' },
        ContentType: 'application/pdf',
        LastModified: there.LastModified,
      });
      expect([...(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')?.tags ?? [])]).toEqual([['tier', 'gold']]);
      const { Body } = await env.door.send(WEST, new GetObjectCommand({ Bucket: REPLICA, ...at }));
      expect(await Body?.transformToString()).toBe('numbers');
    },
  );

  test('is PENDING until then', async () => {
    await using env = await aPair();
    env.sandbox.faultSettings.replicationDelayMs = 60_000;
    await env.door.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body: 'a' }));
    const head = await env.door.send(EAST, new HeadObjectCommand({ Bucket: SOURCE, Key: 'Tax/a' }));
    expect(head.ReplicationStatus).toBe('PENDING');
  });

  test('that is encrypted by S3 alone stays so, whatever the default of the destination', async () => {
    await using env = await aPair();
    expect(await outcome(env, { ServerSideEncryption: 'AES256' })).toMatchObject({ status: 'COMPLETED' });
    expect(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')?.encryption.algorithm).toBe('AES256');
  });

  test('that FAILED is never tried again, though the cause is mended', async () => {
    await using env = await aPair();
    await changeRolePolicy(env.door, (statements) => delete statements.ReplikeySourceObjectsTax);
    expect(await outcome(env)).toMatchObject({ status: 'FAILED' });
    await env.reconcile();
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, SOURCE, 'Tax/2026.pdf')?.replication?.status).toBe('FAILED');
    expect(await outcome(env, { Key: 'Tax/2027.pdf' })).toMatchObject({ status: 'COMPLETED' });
  });
});

const only = (action: string) => (statements: Parameters<Parameters<typeof changeRolePolicy>[1]>[0]) => {
  for (const statement of Object.values(statements)) {
    statement.Action = [statement.Action ?? []].flat().filter((one) => one !== action);
  }
  for (const [sid, { Action }] of Object.entries(statements))
    if (Action?.length === 0) delete statements[sid];
};
const context =
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
const trust = (door: AwsClient, statement: object) =>
  door.send(
    EAST,
    new UpdateAssumeRolePolicyCommand({
      RoleName: ROLE,
      PolicyDocument: JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', ...statement }],
      }),
    }),
  );
/** The same change to the role's policy and to the key's, since either would do in one account. */
const onSource = async (door: AwsClient, ...values: string[]) => {
  await changeRolePolicy(door, context('ReplikeySourceKeyTax', ...values));
  await changeKeyPolicy(door, EAST, context('ReplikeySourceKeyTax', ...values));
};
const onReplica = async (door: AwsClient, ...values: string[]) => {
  await changeRolePolicy(door, context('ReplikeyDestinationKeyTax', ...values));
  await changeKeyPolicy(door, WEST, context('ReplikeyDestinationKeyTax', ...values));
};
const bucketPolicy = (door: AwsClient, at: { region: string }, Bucket: string, statement: object) =>
  door.send(
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

/** One thing broken; what becomes of an object, S3's own reason, and what the detail must name. */
type Row = [
  name: string,
  disturb: (env: TestEnv) => Promise<unknown>,
  status: 'FAILED' | 'not taken',
  reason: string | undefined,
  detail: RegExp | undefined,
  object?: Partial<PutObjectCommandInput>,
];

const BROKEN: Row[] = [
  [
    'the role is gone',
    async ({ door }) => {
      await door.send(EAST, new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' }));
      await door.send(EAST, new DeleteRoleCommand({ RoleName: ROLE }));
    },
    'FAILED',
    'AssumeRoleNotPermitted',
    /replikey-acme-tax/,
  ],
  [
    'the role trusts another service',
    ({ door }) => trust(door, { Principal: { Service: 'ec2.amazonaws.com' } }),
    'FAILED',
    'AssumeRoleNotPermitted',
    /the principal expects ec2\.amazonaws\.com, but the request has s3\.amazonaws\.com/,
  ],
  [
    'the role trusts S3 for another account',
    ({ door }) =>
      trust(door, {
        Principal: { Service: 's3.amazonaws.com' },
        Condition: { StringEquals: { 'aws:SourceAccount': '999988887777' } },
      }),
    'FAILED',
    'AssumeRoleNotPermitted',
    /aws:SourceAccount expects 999988887777/,
  ],
  [
    'the role has no policy',
    ({ door }) => door.send(EAST, new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' })),
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
      `the role may not ${action}`,
      ({ door }) => changeRolePolicy(door, only(action)),
      'FAILED',
      reason,
      new RegExp(`no identity policy .* allows ${action}`),
    ],
  ),
  [
    'the role may not read tags',
    ({ door }) => changeRolePolicy(door, only('s3:GetObjectVersionTagging')),
    'FAILED',
    'SrcGetTaggingNotPermitted',
    /s3:GetObjectVersionTagging/,
    { Tagging: 'tier=gold' },
  ],
  [
    'the role may not write tags',
    ({ door }) => changeRolePolicy(door, only('s3:ReplicateTags')),
    'FAILED',
    'DstPutTaggingNotPermitted',
    /s3:ReplicateTags/,
    { Tagging: 'tier=gold' },
  ],
  [
    'the source context names the bucket alone, and the object has no Bucket Key',
    ({ door }) => onSource(door, `arn:aws:s3:::${SOURCE}`),
    'FAILED',
    'SrcGetObjectNotPermitted',
    /expects arn:aws:s3:::acme-tax, but the request has arn:aws:s3:::acme-tax\/Tax\/2026\.pdf/,
    WITHOUT,
  ],
  [
    'the source context names the objects alone, and the object has a Bucket Key',
    ({ door }) => onSource(door, `arn:aws:s3:::${SOURCE}/*`),
    'FAILED',
    'SrcGetObjectNotPermitted',
    /expects arn:aws:s3:::acme-tax\/\*, but the request has arn:aws:s3:::acme-tax$/,
  ],
  [
    'the replica context names the bucket alone, and the object has no Bucket Key',
    ({ door }) => onReplica(door, `arn:aws:s3:::${REPLICA}`),
    'FAILED',
    'DstPutObjectNotPermitted',
    /kms:Encrypt.*acme-tax-replica\/Tax\/2026\.pdf/,
    WITHOUT,
  ],
  [
    'the replica context names the objects alone, and the object has a Bucket Key',
    ({ door }) => onReplica(door, `arn:aws:s3:::${REPLICA}/*`),
    'FAILED',
    'DstPutObjectNotPermitted',
    /kms:GenerateDataKey/,
  ],
  [
    'kms:ViaService names another Region',
    async ({ door }) => {
      const elsewhere = (statements: Record<string, { Condition?: object }>) => {
        for (const sid of ['ReplikeySourceKeyTax']) {
          const statement = statements[sid];
          if (statement)
            statement.Condition = { StringEquals: { 'kms:ViaService': 's3.eu-west-1.amazonaws.com' } };
        }
      };
      await changeRolePolicy(door, elsewhere);
      await changeKeyPolicy(door, EAST, elsewhere);
    },
    'FAILED',
    'SrcGetObjectNotPermitted',
    /kms:ViaService expects s3\.eu-west-1\.amazonaws\.com, but the request has s3\.us-east-1\.amazonaws\.com/,
  ],
  [
    'neither the key policy nor the account behind it knows the role',
    ({ door }) =>
      changeKeyPolicy(door, WEST, (statements) => {
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
    async ({ door }) => door.send(WEST, new DisableKeyCommand({ KeyId: await keyOf(door, WEST) })),
    'FAILED',
    'DstKmsKeyInvalidState',
    /disabled/i,
  ],
  [
    'the replica key is about to be deleted',
    async ({ door }) =>
      door.send(
        WEST,
        new ScheduleKeyDeletionCommand({ KeyId: await keyOf(door, WEST), PendingWindowInDays: 7 }),
      ),
    'FAILED',
    'DstKmsKeyInvalidState',
    /pending deletion/i,
  ],
  [
    'the replica key lies in another Region',
    ({ door }) =>
      changeRules(door, (rules) =>
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
    'the destination is gone',
    ({ door }) => door.send(WEST, new DeleteBucketCommand({ Bucket: REPLICA })),
    'FAILED',
    'DstBucketNotFound',
    /acme-tax-replica does not exist/,
  ],
  [
    'versioning of the destination is suspended',
    ({ door }) =>
      door.send(
        WEST,
        new PutBucketVersioningCommand({ Bucket: REPLICA, VersioningConfiguration: { Status: 'Suspended' } }),
      ),
    'FAILED',
    'DstBucketUnversioned',
    /Suspended/,
  ],
  [
    'the bucket policy of the destination denies it',
    ({ door }) =>
      bucketPolicy(door, WEST, REPLICA, { Sid: 'NoReplicas', Effect: 'Deny', Action: 's3:ReplicateObject' }),
    'FAILED',
    'DstPutObjectNotPermitted',
    /bucket policy of acme-tax-replica denies s3:ReplicateObject .*\(NoReplicas\)/,
  ],
  [
    'the bucket policy of the source denies it',
    ({ door }) =>
      bucketPolicy(door, EAST, SOURCE, { Effect: 'Deny', Action: 's3:GetObjectVersionForReplication' }),
    'FAILED',
    'SrcGetObjectNotPermitted',
    /bucket policy of acme-tax denies/,
  ],
  [
    'the rule is paused',
    ({ door }) => changeRules(door, (rules) => rules.map((rule) => ({ ...rule, Status: 'Disabled' }))),
    'not taken',
    undefined,
    undefined,
  ],
  [
    'the rule does not select encrypted objects',
    ({ door }) => changeRules(door, (rules) => rules.map(unselected)),
    'not taken',
    undefined,
    undefined,
  ],
  [
    'the rule has another prefix',
    ({ door }) =>
      changeRules(door, (rules) => rules.map((rule) => ({ ...rule, Filter: { Prefix: 'Taxes/' } }))),
    'not taken',
    undefined,
    undefined,
  ],
  [
    'the rule wants a tag that the object lacks',
    ({ door }) => changeRules(door, (rules) => rules.map(tagged)),
    'not taken',
    undefined,
    undefined,
    { Tagging: 'tier=silver' },
  ],
];

function unselected(rule: ReplicationRule): ReplicationRule {
  const { SourceSelectionCriteria: _, ...rest } = rule;
  return { ...rest, Destination: { Bucket: rule.Destination?.Bucket } };
}
const tagged = (rule: ReplicationRule): ReplicationRule => ({
  ...rule,
  DeleteMarkerReplication: { Status: 'Disabled' },
  Filter: { And: { Prefix: 'Tax/', Tags: [{ Key: 'tier', Value: 'gold' }] } },
});

describe('an object does not replicate when', () => {
  test.each(BROKEN)('%s', async (_, disturb, status, reason, detail, object) => {
    await using env = await aPair();
    await disturb(env);
    const result = await outcome(env, { Key: 'Tax/2026.pdf', ...object });
    expect(result).toMatchObject({ status, reason });
    if (detail) expect(result.detail).toMatch(detail);
    if (reason !== 'DstBucketNotFound' && !reason?.endsWith('TaggingNotPermitted'))
      expect(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')).toBeUndefined();
  });

  test('the source key is disabled between the put and the replication', async () => {
    await using env = await aPair();
    env.sandbox.faultSettings.replicationDelayMs = 300;
    await env.door.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/a', Body: 'a' }));
    await env.door.send(EAST, new DisableKeyCommand({ KeyId: await keyOf(env.door, EAST) }));
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, SOURCE, 'Tax/a')?.replication).toMatchObject({
      status: 'FAILED',
      attempts: [{ reason: 'SrcKmsKeyInvalidState' }],
    });
  });

  test('it was there before the rule', async () => {
    await using env = await testEnv();
    await env.door.send(EAST, new CreateBucketCommand({ Bucket: SOURCE }));
    await env.door.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/old', Body: 'old' }));
    await env.reconcile();
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, SOURCE, 'Tax/old')?.replication).toBeUndefined();
  });

  test('it is a replica itself: there is no chain from A by way of B to C', async () => {
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

describe('a rule', () => {
  const rule = async (
    door: AwsClient,
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
      EncryptionConfiguration: { ReplicaKmsKeyID: await keyOf(door, WEST) },
    },
  });

  test('of higher priority wins over another to the same destination, whatever their order', async () => {
    for (const [first, second] of [
      [1, 2],
      [2, 1],
    ] as const) {
      await using env = await aPair();
      const rules = [
        await rule(env.door, 'a', first, 'Tax/', 'GLACIER'),
        await rule(env.door, 'b', second, '', 'STANDARD_IA'),
      ];
      await changeRules(env.door, () => rules);
      const version = await put(env);
      expect(version?.replication?.attempts.map(({ ruleId }) => ruleId)).toEqual([
        first > second ? 'a' : 'b',
      ]);
      expect(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')?.storageClass).toBe(
        first > second ? 'GLACIER' : 'STANDARD_IA',
      );
    }
  });

  test('to each of several destinations takes the object, and one failure makes it FAILED', async () => {
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
    await env.door.send(
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

  test('replicates delete markers only where it says so, and never the deletion of a version', async () => {
    await using env = await aPair();
    const version = await put(env);
    await env.door.send(EAST, new DeleteObjectCommand({ Bucket: SOURCE, Key: 'Tax/2026.pdf' }));
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, REPLICA, 'Tax/2026.pdf')?.deleteMarker).toBe(true);
    await env.door.send(
      EAST,
      new DeleteObjectCommand({ Bucket: SOURCE, Key: 'Tax/2026.pdf', VersionId: version?.versionId }),
    );
    await env.sandbox.waitForReplication();
    expect(env.sandbox.store.bucket(REPLICA)?.objects.get('Tax/2026.pdf')).toHaveLength(2);

    await changeRules(env.door, (rules) =>
      rules.map((one) => ({ ...one, DeleteMarkerReplication: { Status: 'Disabled' } })),
    );
    await put(env, { Key: 'Tax/kept' });
    await env.door.send(EAST, new DeleteObjectCommand({ Bucket: SOURCE, Key: 'Tax/kept' }));
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, REPLICA, 'Tax/kept')?.deleteMarker).toBe(false);
  });
});
