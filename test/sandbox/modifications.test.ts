import { readFile } from 'node:fs/promises';
import { DeleteObjectTaggingCommand, PutObjectCommand, PutObjectTaggingCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { type TestEnv, testEnv } from '../support/env.ts';
import { changeRolePolicy, put, REPLICA, SOURCE, versionOf } from './support.ts';

const tag = async (
  { sandbox, client }: TestEnv,
  region: string,
  Bucket: string,
  Key: string,
  tier?: string,
) => {
  const command =
    tier === undefined
      ? new DeleteObjectTaggingCommand({ Bucket, Key })
      : new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet: [{ Key: 'tier', Value: tier }] } });
  await client.send({ region }, command);
  await sandbox.waitForReplication();
};
const statusAndTier = ({ sandbox }: TestEnv, bucket: string, key: string) => {
  const version = versionOf(sandbox, bucket, key);
  return [version?.replication?.status, version?.tags.get('tier')];
};

describe('tag replication', () => {
  test('copies tags of an object to its replica, and removes them there', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await put(env, { Key: 'Tax/a' });
    await tag(env, 'us-east-1', SOURCE, 'Tax/a', 'gold');
    expect(statusAndTier(env, SOURCE, 'Tax/a')).toEqual(['COMPLETED', 'gold']);
    expect(statusAndTier(env, REPLICA, 'Tax/a')).toEqual(['REPLICA', 'gold']);
    await tag(env, 'us-east-1', SOURCE, 'Tax/a');
    expect(statusAndTier(env, REPLICA, 'Tax/a')).toEqual(['REPLICA', undefined]);
  });

  test('keeps a tag of a replica if no rule replicates back', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await put(env, { Key: 'Tax/a', Tagging: 'tier=gold' });
    await tag(env, 'us-west-2', REPLICA, 'Tax/a', 'silver');
    expect(statusAndTier(env, REPLICA, 'Tax/a')).toEqual(['REPLICA', 'silver']);
    expect(statusAndTier(env, SOURCE, 'Tax/a')).toEqual(['COMPLETED', 'gold']);
  });

  test('replicates a tag of a replica back with replica modification sync, without a loop', async () => {
    await using env = await testEnv(await readFile('specs/examples/two-way.yaml', 'utf8'));
    await env.reconcile();
    for (const [region, from, to] of [
      ['us-east-1', 'acme-shop-us', 'acme-shop-eu'],
      ['eu-west-1', 'acme-shop-eu', 'acme-shop-us'],
    ] as const) {
      const back = region === 'us-east-1' ? 'eu-west-1' : 'us-east-1';
      const Key = `from ${from}`;
      await env.client.send(
        { region },
        new PutObjectCommand({ Bucket: from, Key, Body: 'x', Tagging: 'tier=gold' }),
      );
      await env.sandbox.waitForReplication();
      expect(statusAndTier(env, to, Key)).toEqual(['REPLICA', 'gold']);
      await tag(env, back, to, Key, 'silver');
      expect(statusAndTier(env, from, Key)).toEqual(['COMPLETED', 'silver']);
      expect(statusAndTier(env, to, Key)).toEqual(['REPLICA', 'silver']);
      await tag(env, region, from, Key, 'bronze');
      expect(statusAndTier(env, to, Key)).toEqual(['REPLICA', 'bronze']);
    }
  });

  test('fails when a policy denies s3:ReplicateTags, and leaves the replica unchanged', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await put(env, { Key: 'Tax/a' });
    await changeRolePolicy(env.client, (statements) => {
      statements.DenyTags = { Effect: 'Deny', Action: 's3:ReplicateTags', Resource: '*' };
    });
    await tag(env, 'us-east-1', SOURCE, 'Tax/a', 'gold');
    expect(statusAndTier(env, SOURCE, 'Tax/a')).toEqual(['FAILED', 'gold']);
    expect(versionOf(env.sandbox, SOURCE, 'Tax/a')?.replication?.attempts[0]).toMatchObject({
      reason: 'DstPutTaggingNotPermitted',
    });
    expect(statusAndTier(env, REPLICA, 'Tax/a')).toEqual(['REPLICA', undefined]);
  });

  test('does not replicate an existing object whose new tags match a rule', async () => {
    await using env = await testEnv(`apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source: { bucket: acme-tax, region: us-east-1, key: alias/acme-tax }
  destination: { bucket: acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica }
  rules:
    - name: gold
      filter: { tags: { tier: gold } }
`);
    await env.reconcile();
    await put(env, { Key: 'late' });
    await tag(env, 'us-east-1', SOURCE, 'late', 'gold');
    expect(statusAndTier(env, SOURCE, 'late')).toEqual([undefined, 'gold']);
    expect(versionOf(env.sandbox, REPLICA, 'late')).toBeUndefined();
  });
});
