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
const ENCRYPTION_ALLOWED = { allowedRisks: ['change-default-encryption'] };
const writesOf = (env: TestEnv) => env.sandbox.log.entries.filter(({ write }) => write);

async function createBuckets(client: AwsClient): Promise<void> {
  for (const [location, Bucket] of [
    [east, 'acme-tax'],
    [west, 'acme-tax-replica'],
  ] as const) {
    await client.send(
      location,
      new CreateBucketCommand({
        Bucket,
        ...(location === west
          ? { CreateBucketConfiguration: { LocationConstraint: 'us-west-2' as const } }
          : {}),
      }),
    );
    await client.send(
      location,
      new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    );
  }
}

const rulesOf = async (client: AwsClient): Promise<ReplicationRule[]> =>
  (await client.send(east, new GetBucketReplicationCommand({ Bucket: 'acme-tax' }))).ReplicationConfiguration
    ?.Rules ?? [];

const foreignRule: ReplicationRule = {
  ID: 'foreign',
  Priority: 7,
  Status: 'Enabled',
  Filter: { Prefix: 'Foreign/' },
  DeleteMarkerReplication: { Status: 'Enabled' },
  Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica', StorageClass: 'GLACIER' },
};
const putRules = (client: AwsClient, ...Rules: ReplicationRule[]) =>
  client.send(
    east,
    new PutBucketReplicationCommand({
      Bucket: 'acme-tax',
      ReplicationConfiguration: { Role: 'arn:aws:iam::111122223333:role/replikey-acme-tax', Rules },
    }),
  );

describe('an existing bucket', () => {
  test('is never created again, because CreateBucket in us-east-1 returns 200 and resets its ACLs', async () => {
    await using env = await testEnv();
    await createBuckets(env.client);
    env.sandbox.log.reset();
    expect((await env.reconcile(ENCRYPTION_ALLOWED)).remaining?.waves).toEqual([]);
    expect(env.sandbox.log.counts()).not.toHaveProperty('s3:CreateBucket');
  });

  test('of another account is blocked, and nothing is written to it', async () => {
    await using env = await testEnv();
    const otherAccount = clientOf('999988887777', env);
    await otherAccount.send(east, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    env.sandbox.log.reset();
    const { plan } = await env.reconcile();
    expect(plan.blocked.map(({ id, why }) => `${id}: ${why}`).join('\n')).toMatch(
      /s3\.bucket\/acme-tax: .*AccessDenied.*the bucket belongs to another account/,
    );
    expect(writesOf(env).filter(({ service }) => service === 's3')).not.toContainEqual(
      expect.objectContaining({ operation: 'PutBucketReplication' }),
    );
  });

  test('in another Region than declared is blocked, with both Regions', async () => {
    await using env = await testEnv(TAX_SPEC.replace('region: us-west-2', 'region: eu-west-1'));
    await createBuckets(env.client);
    const { plan } = await env.reconcile({ dryRun: true });
    expect(plan.blocked.map(({ why }) => why)).toContainEqual(
      expect.stringMatching(/acme-tax-replica is in us-west-2, not in eu-west-1.*correct the region/),
    );
  });

  test('keeps the BlockedEncryptionTypes that S3 set and no spec declares', async () => {
    await using env = await testEnv();
    await createBuckets(env.client);
    const rule = async () =>
      (await env.client.send(east, new GetBucketEncryptionCommand({ Bucket: 'acme-tax' })))
        .ServerSideEncryptionConfiguration?.Rules?.[0];
    const before = await rule();
    expect(before?.BlockedEncryptionTypes).toEqual({ EncryptionType: ['SSE-C'] });
    const { remaining } = await env.reconcile(ENCRYPTION_ALLOWED);
    expect(remaining?.waves).toEqual([]);
    expect((await rule())?.BlockedEncryptionTypes).toEqual(before?.BlockedEncryptionTypes);
    expect((await rule())?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm).toBe('aws:kms');
  });
});

describe('foreign rules in the same configuration', () => {
  test('are kept, and managed rules use other priorities', async () => {
    await using env = await testEnv();
    await createBuckets(env.client);
    await putRules(env.client, foreignRule);
    const { remaining } = await env.reconcile({ allowedRisks: ['change-role', 'change-default-encryption'] });
    expect(remaining?.waves).toEqual([]);
    const [keptRule, managedRule, ...otherRules] = await rulesOf(env.client);
    expect(keptRule).toEqual(foreignRule);
    expect(managedRule).toMatchObject({ ID: 'replikey/tax/tax', Priority: 8 });
    expect(otherRules).toEqual([]);
    expect(remaining?.notes.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/has foreign rules, which replikey keeps: "foreign"/),
    );
  });

  test('are removed only with foreignRules: Replace and an allowed risk', async () => {
    await using env = await testEnv(`${TAX_SPEC}  policy: { foreignRules: Replace }\n`);
    await createBuckets(env.client);
    await putRules(env.client, foreignRule);
    const refused = await env.reconcile();
    expect(refused.refusals.map(({ id }) => id)).toContain('remove-rules');
    await env.reconcile({ allowedRisks: refused.refusals.map(({ id }) => id) });
    expect((await rulesOf(env.client)).map(({ ID }) => ID)).toEqual(['replikey/tax/tax']);
  });

  test('are a refused risk with foreignRules: Refuse', async () => {
    await using env = await testEnv(`${TAX_SPEC}  policy: { foreignRules: Refuse }\n`);
    await createBuckets(env.client);
    await putRules(env.client, foreignRule);
    expect((await env.reconcile()).refusals.map(({ id }) => id)).toContain('foreign-rules');
  });

  test('of V1 are converted to V2, and still replicate delete markers', async () => {
    await using env = await testEnv();
    await createBuckets(env.client);
    const Destination = { Bucket: 'arn:aws:s3:::acme-tax-replica' };
    await putRules(env.client, { ID: 'old', Status: 'Enabled', Prefix: 'Old/', Destination });
    const { plan, remaining } = await env.reconcile({
      allowedRisks: ['change-role', 'change-default-encryption'],
    });
    const step = plan.waves.flat().find(({ kind }) => kind === 's3.replication');
    expect(step?.patch.map(({ path }) => path)).toContain('/v1Rules/old');
    expect(step?.why.join()).toMatch(/no V1 rules beside V2 rules.*still replicate delete markers/);
    expect(remaining?.waves).toEqual([]);
    const [oldRule, managedRule] = await rulesOf(env.client);
    expect(oldRule).toEqual({
      ID: 'old',
      Status: 'Enabled',
      Filter: { Prefix: 'Old/' },
      Priority: 2,
      DeleteMarkerReplication: { Status: 'Enabled' },
      Destination,
    });
    expect(managedRule).toMatchObject({ ID: 'replikey/tax/tax', Priority: 1 });
  });
});

describe('a key', () => {
  test('that the alias already names is used', async () => {
    await using env = await testEnv();
    const { KeyMetadata } = await env.client.send(east, new CreateKeyCommand({}));
    await env.client.send(
      east,
      new CreateAliasCommand({ AliasName: 'alias/acme-tax', TargetKeyId: KeyMetadata?.KeyId }),
    );
    await env.reconcile();
    const described = await env.client.send(east, new DescribeKeyCommand({ KeyId: 'alias/acme-tax' }));
    expect(described.KeyMetadata?.KeyId).toBe(KeyMetadata?.KeyId);
  });

  test.each([
    [
      'for signing',
      { KeyUsage: 'SIGN_VERIFY', KeySpec: 'RSA_2048' },
      /is RSA_2048 for SIGN_VERIFY; S3 needs a symmetric key/,
    ],
  ] as const)(
    '%s is blocked before any write, because S3 would accept it and fail later',
    async (_, key, why) => {
      await using env = await testEnv();
      const { KeyMetadata } = await env.client.send(east, new CreateKeyCommand(key));
      await env.client.send(
        east,
        new CreateAliasCommand({ AliasName: 'alias/acme-tax', TargetKeyId: KeyMetadata?.KeyId }),
      );
      const { plan } = await env.reconcile({ dryRun: true });
      expect(plan.blocked.map((item) => item.why)).toContainEqual(expect.stringMatching(why));
    },
  );

  test('given by ARN that does not exist is blocked, because S3 does not check it', async () => {
    const arn = 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555';
    await using env = await testEnv(TAX_SPEC.replace('alias/acme-tax }', `${arn} }`));
    const { plan } = await env.reconcile({ dryRun: true });
    expect(plan.blocked).toMatchObject([{ why: expect.stringMatching(`the key ${arn} does not exist`) }]);
  });
});

/** Returns a client of the same sandbox with the credentials of another account. */
function clientOf(account: string, env: TestEnv): AwsClient {
  const clients = createSdkClients([], {
    endpoint: env.sandbox.endpoint,
    credentials: { accessKeyId: account, secretAccessKey: 'test' },
  });
  return createAwsClient({ clients, accounts: [], region: 'us-east-1' });
}
