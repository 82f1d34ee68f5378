import { CreateAliasCommand, CreateKeyCommand, DescribeKeyCommand } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  GetBucketEncryptionCommand,
  GetBucketReplicationCommand,
  PutBucketReplicationCommand,
  PutBucketVersioningCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { type AwsClient, createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const east = { region: 'us-east-1' };
const west = { region: 'us-west-2' };
const writesOf = (env: TestEnv) => env.sandbox.log.entries.filter(({ write }) => write);

async function buckets(door: AwsClient): Promise<void> {
  for (const [at, Bucket] of [
    [east, 'acme-tax'],
    [west, 'acme-tax-replica'],
  ] as const) {
    await door.send(
      at,
      new CreateBucketCommand({
        Bucket,
        ...(at === west ? { CreateBucketConfiguration: { LocationConstraint: 'us-west-2' as const } } : {}),
      }),
    );
    await door.send(
      at,
      new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    );
  }
}

const rulesOf = async (door: AwsClient): Promise<ReplicationRule[]> =>
  (await door.send(east, new GetBucketReplicationCommand({ Bucket: 'acme-tax' }))).ReplicationConfiguration
    ?.Rules ?? [];

const foreign: ReplicationRule = {
  ID: 'theirs',
  Priority: 7,
  Status: 'Enabled',
  Filter: { Prefix: 'Theirs/' },
  DeleteMarkerReplication: { Status: 'Enabled' },
  Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica', StorageClass: 'GLACIER' },
};
const putRules = (door: AwsClient, ...Rules: ReplicationRule[]) =>
  door.send(
    east,
    new PutBucketReplicationCommand({
      Bucket: 'acme-tax',
      ReplicationConfiguration: { Role: 'arn:aws:iam::111122223333:role/replikey-acme-tax', Rules },
    }),
  );

describe('a bucket that is there', () => {
  test('is never created again, which in us-east-1 would answer 200 and reset its ACLs', async () => {
    await using env = await testEnv();
    await buckets(env.door);
    env.sandbox.log.reset();
    await env.reconcile();
    expect(env.sandbox.log.counts()).not.toHaveProperty('s3:CreateBucket');
  });

  test('that belongs to another account is named, and nothing is written to it', async () => {
    await using env = await testEnv();
    const other = doorOf('999988887777', env);
    await other.send(east, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    env.sandbox.log.reset();
    const { plan } = await env.reconcile();
    expect(plan.blocked.map(({ id, why }) => `${id}: ${why}`).join('\n')).toMatch(
      /s3\.bucket\/acme-tax: .*AccessDenied.*the bucket belongs to another account/,
    );
    expect(writesOf(env).filter(({ service }) => service === 's3')).not.toContainEqual(
      expect.objectContaining({ operation: 'PutBucketReplication' }),
    );
  });

  test('in another Region than declared is named with both, since a bucket cannot be moved', async () => {
    await using env = await testEnv(TAX_SPEC.replace('region: us-west-2', 'region: eu-west-1'));
    await buckets(env.door);
    const { plan } = await env.reconcile({ dryRun: true });
    expect(plan.blocked.map(({ why }) => why)).toContainEqual(
      expect.stringMatching(/acme-tax-replica is in us-west-2, not in eu-west-1.*correct the region/),
    );
  });

  test('keeps the block of encryption types that S3 put on it and nobody declared', async () => {
    await using env = await testEnv();
    await buckets(env.door);
    const rule = async () =>
      (await env.door.send(east, new GetBucketEncryptionCommand({ Bucket: 'acme-tax' })))
        .ServerSideEncryptionConfiguration?.Rules?.[0];
    const before = await rule();
    expect(before?.BlockedEncryptionTypes).toEqual({ EncryptionType: ['SSE-C'] });
    const { remaining: left } = await env.reconcile();
    expect(left?.waves).toEqual([]);
    expect((await rule())?.BlockedEncryptionTypes).toEqual(before?.BlockedEncryptionTypes);
    expect((await rule())?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm).toBe('aws:kms');
  });
});

describe('rules of other people in the same configuration', () => {
  test('stay as they are, beside ours, and ours take no priority of theirs', async () => {
    await using env = await testEnv();
    await buckets(env.door);
    await putRules(env.door, foreign);
    const { remaining: left } = await env.reconcile({ allowedRisks: ['change-role'] });
    expect(left?.waves).toEqual([]);
    const [kept, ours, ...more] = await rulesOf(env.door);
    expect(kept).toEqual(foreign);
    expect(ours).toMatchObject({ ID: 'replikey/tax/tax', Priority: 8 });
    expect(more).toEqual([]);
    expect(left?.notes.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/has foreign rules, which replikey keeps: "theirs"/),
    );
  });

  test('are replaced only where that is declared, and only when it is allowed', async () => {
    await using env = await testEnv(`${TAX_SPEC}  policy: { foreignRules: Replace }\n`);
    await buckets(env.door);
    await putRules(env.door, foreign);
    const refused = await env.reconcile();
    expect(refused.refusals.map(({ id }) => id)).toContain('remove-rules');
    await env.reconcile({ allowedRisks: refused.refusals.map(({ id }) => id) });
    expect((await rulesOf(env.door)).map(({ ID }) => ID)).toEqual(['replikey/tax/tax']);
  });

  test('are a reason to refuse where that is declared', async () => {
    await using env = await testEnv(`${TAX_SPEC}  policy: { foreignRules: Refuse }\n`);
    await buckets(env.door);
    await putRules(env.door, foreign);
    expect((await env.reconcile()).refusals.map(({ id }) => id)).toContain('foreign-rules');
  });

  test('of the first version of the schema are turned into the second, and go on replicating delete markers', async () => {
    await using env = await testEnv();
    await buckets(env.door);
    const Destination = { Bucket: 'arn:aws:s3:::acme-tax-replica' };
    await putRules(env.door, { ID: 'old', Status: 'Enabled', Prefix: 'Old/', Destination });
    const { plan, remaining: left } = await env.reconcile({ allowedRisks: ['change-role'] });
    const step = plan.waves.flat().find(({ kind }) => kind === 's3.replication');
    expect(step?.patch.map(({ path }) => path)).toContain('/v1Rules/old');
    expect(step?.why.join()).toMatch(/no V1 rules beside V2 rules.*still replicate delete markers/);
    expect(left?.waves).toEqual([]);
    const [old, ours] = await rulesOf(env.door);
    expect(old).toEqual({
      ID: 'old',
      Status: 'Enabled',
      Filter: { Prefix: 'Old/' },
      Priority: 2,
      DeleteMarkerReplication: { Status: 'Enabled' },
      Destination,
    });
    expect(ours).toMatchObject({ ID: 'replikey/tax/tax', Priority: 1 });
  });
});

describe('a key', () => {
  test('that the alias names already is used, and its policy keeps what is not ours', async () => {
    await using env = await testEnv();
    const { KeyMetadata } = await env.door.send(east, new CreateKeyCommand({}));
    await env.door.send(
      east,
      new CreateAliasCommand({ AliasName: 'alias/acme-tax', TargetKeyId: KeyMetadata?.KeyId }),
    );
    await env.reconcile();
    const found = await env.door.send(east, new DescribeKeyCommand({ KeyId: 'alias/acme-tax' }));
    expect(found.KeyMetadata?.KeyId).toBe(KeyMetadata?.KeyId);
  });

  test.each([
    [
      'for signing',
      { KeyUsage: 'SIGN_VERIFY', KeySpec: 'RSA_2048' },
      /is RSA_2048 for SIGN_VERIFY; S3 needs a symmetric key/,
    ],
  ] as const)(
    '%s is refused before anything is written, since S3 would take it and fail later',
    async (_, key, why) => {
      await using env = await testEnv();
      const { KeyMetadata } = await env.door.send(east, new CreateKeyCommand(key));
      await env.door.send(
        east,
        new CreateAliasCommand({ AliasName: 'alias/acme-tax', TargetKeyId: KeyMetadata?.KeyId }),
      );
      const { plan } = await env.reconcile({ dryRun: true });
      expect(plan.blocked.map((one) => one.why)).toContainEqual(expect.stringMatching(why));
    },
  );

  test('that is given by ARN and does not exist is named, since S3 does not check it', async () => {
    const arn = 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555';
    await using env = await testEnv(TAX_SPEC.replace('alias/acme-tax }', `${arn} }`));
    const { plan } = await env.reconcile({ dryRun: true });
    expect(plan.blocked).toMatchObject([{ why: expect.stringMatching(`the key ${arn} does not exist`) }]);
  });
});

/** A door to the same sandbox with the credentials of another account. */
function doorOf(account: string, env: TestEnv): AwsClient {
  const clients = createSdkClients([], {
    endpoint: env.sandbox.endpoint,
    credentials: { accessKeyId: account, secretAccessKey: 'test' },
  });
  return createAwsClient({ clients, accounts: [], region: 'us-east-1' });
}
