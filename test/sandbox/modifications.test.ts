import { readFile } from 'node:fs/promises';
import { DeleteObjectTaggingCommand, PutObjectCommand, PutObjectTaggingCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { aWorld, type World } from '../support/world.ts';
import { changeRolePolicy, put, REPLICA, SOURCE, versionOf } from './support.ts';

const tag = async ({ sandbox, door }: World, region: string, Bucket: string, Key: string, tier?: string) => {
  const command =
    tier === undefined
      ? new DeleteObjectTaggingCommand({ Bucket, Key })
      : new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet: [{ Key: 'tier', Value: tier }] } });
  await door.send({ region }, command);
  await sandbox.replicated();
};
const seen = ({ sandbox }: World, bucket: string, key: string) => {
  const version = versionOf(sandbox, bucket, key);
  return [version?.replication?.status, version?.tags.get('tier')];
};

describe('a change of tags', () => {
  test('on an object follows to its replica, and is taken away with it', async () => {
    await using world = await aWorld();
    await world.reconcile();
    await put(world, { Key: 'Tax/a' });
    await tag(world, 'us-east-1', SOURCE, 'Tax/a', 'gold');
    expect(seen(world, SOURCE, 'Tax/a')).toEqual(['COMPLETED', 'gold']);
    expect(seen(world, REPLICA, 'Tax/a')).toEqual(['REPLICA', 'gold']);
    await tag(world, 'us-east-1', SOURCE, 'Tax/a');
    expect(seen(world, REPLICA, 'Tax/a')).toEqual(['REPLICA', undefined]);
  });

  test('on a replica stays there, where nothing replicates back', async () => {
    await using world = await aWorld();
    await world.reconcile();
    await put(world, { Key: 'Tax/a', Tagging: 'tier=gold' });
    await tag(world, 'us-west-2', REPLICA, 'Tax/a', 'silver');
    expect(seen(world, REPLICA, 'Tax/a')).toEqual(['REPLICA', 'silver']);
    expect(seen(world, SOURCE, 'Tax/a')).toEqual(['COMPLETED', 'gold']);
  });

  test('on a replica comes back, where both ways sync, and does not go round', async () => {
    await using world = await aWorld(await readFile('specs/examples/two-way.yaml', 'utf8'));
    await world.reconcile();
    for (const [region, from, to] of [
      ['us-east-1', 'acme-shop-us', 'acme-shop-eu'],
      ['eu-west-1', 'acme-shop-eu', 'acme-shop-us'],
    ] as const) {
      const back = region === 'us-east-1' ? 'eu-west-1' : 'us-east-1';
      const Key = `from ${from}`;
      await world.door.send(
        { region },
        new PutObjectCommand({ Bucket: from, Key, Body: 'x', Tagging: 'tier=gold' }),
      );
      await world.sandbox.replicated();
      expect(seen(world, to, Key)).toEqual(['REPLICA', 'gold']);
      await tag(world, back, to, Key, 'silver');
      expect(seen(world, from, Key)).toEqual(['COMPLETED', 'silver']);
      expect(seen(world, to, Key)).toEqual(['REPLICA', 'silver']);
      await tag(world, region, from, Key, 'bronze');
      expect(seen(world, to, Key)).toEqual(['REPLICA', 'bronze']);
    }
  });

  test('that the role may not carry over fails, and leaves the replica as it was', async () => {
    await using world = await aWorld();
    await world.reconcile();
    await put(world, { Key: 'Tax/a' });
    await changeRolePolicy(world.door, (statements) => {
      const objects = statements.ReplikeyDestinationObjectsTax;
      if (objects) objects.Action = ['s3:ReplicateObject'];
    });
    await tag(world, 'us-east-1', SOURCE, 'Tax/a', 'gold');
    expect(seen(world, SOURCE, 'Tax/a')).toEqual(['FAILED', 'gold']);
    expect(versionOf(world.sandbox, SOURCE, 'Tax/a')?.replication?.attempts[0]).toMatchObject({
      reason: 'DstPutTaggingNotPermitted',
    });
    expect(seen(world, REPLICA, 'Tax/a')).toEqual(['REPLICA', undefined]);
  });

  test('that makes an object match a rule only now does not replicate it', async () => {
    await using world = await aWorld(`apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source: { bucket: acme-tax, region: us-east-1, key: alias/acme-tax }
  destination: { bucket: acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica }
  rules:
    - name: gold
      filter: { tags: { tier: gold } }
`);
    await world.reconcile();
    await put(world, { Key: 'late' });
    await tag(world, 'us-east-1', SOURCE, 'late', 'gold');
    expect(seen(world, SOURCE, 'late')).toEqual([undefined, 'gold']);
    expect(versionOf(world.sandbox, REPLICA, 'late')).toBeUndefined();
  });
});
