import { readdir, readFile } from 'node:fs/promises';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  PutBucketReplicationCommand,
  PutBucketVersioningCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allBuckets, look } from '../../src/import/look.ts';
import { specsOf } from '../../src/import/specs.ts';
import { bounded } from '../support/bounded.ts';
import { someSpecs } from '../support/specs.ts';
import { aWorld, TAX, type World } from '../support/world.ts';

const east = { region: 'us-east-1' };

async function imported({ door }: World, ...names: string[]): Promise<string> {
  const found = await Promise.all(names.map((name) => look(door, name, 'us-east-1')));
  return specsOf(found.filter((one) => one !== undefined));
}
const everything = async (world: World) =>
  imported(world, ...(await allBuckets(world.door, { region: 'us-east-1' })));

describe('what we made, imported again', () => {
  const folder = 'specs/examples';
  // Across accounts the other half is not seen with the credentials of one.
  const across = ['accounts.yaml', 'cross-account.yaml', 'fan-in.yaml'];

  test('plans to nothing, for every example within an account', async () => {
    const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml') && !across.includes(file));
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) {
      await using world = await aWorld(await readFile(`${folder}/${file}`, 'utf8'));
      await world.reconcile();
      const yaml = await everything(world);
      const { plan } = await world.with(yaml);
      expect(plan.waves, `${file}\n${yaml}`).toEqual([]);
      expect(plan.blocked, file).toEqual([]);
    }
  });

  test('takes no prefix for a variable, whatever it looks like', async () => {
    await using world = await aWorld(TAX.replace('Tax/', () => `"$\${var.stage}/$\${x}/$"`));
    await world.reconcile();
    const yaml = await everything(world);
    expect(world.specs.pairs[0]?.rules[0]?.prefix).toBe(`\${var.stage}/$\${x}/$`);
    expect((await world.with(yaml)).plan.waves).toEqual([]);
  });

  const limits = bounded(300, 10);

  test(
    'plans to nothing, or says beside it what it would change, whatever was declared',
    limits.test,
    async () => {
      let silent = 0;
      await fc.assert(
        fc.asyncProperty(someSpecs, async (given) => {
          // Within one account.
          const yaml = given
            .split('\n---\n')
            .filter((document) => !document.includes('"Account"'))
            .map((document) => document.replace(/"account":"[a-z]+",|"objectOwner":"[a-z]+",?/g, ''))
            .join('\n---\n');
          await using world = await aWorld(yaml.replaceAll(',}', '}'));
          await world.reconcile();
          const documents = (await everything(world)).split('---\n');
          const specs = documents.filter((document) => !document.includes('# !'));
          if (specs.length === 0) return;
          const { plan } = await world.with(specs.join('---\n'));
          expect(plan.waves, specs.join('---\n')).toEqual([]);
          silent += 1;
        }),
        limits.property,
      );
      expect(silent).toBeGreaterThan(0);
    },
  );
});

describe('what others made', () => {
  const rule = (more: Partial<ReplicationRule> = {}): ReplicationRule => ({
    ID: 'Copy everything!',
    Priority: 3,
    Status: 'Enabled',
    Filter: { And: { Prefix: 'In/', Tags: [{ Key: 'tier', Value: 'gold' }] } },
    DeleteMarkerReplication: { Status: 'Disabled' },
    Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica', StorageClass: 'GLACIER' },
    ...more,
  });
  const put = ({ door }: World, ...Rules: ReplicationRule[]) =>
    door.send(
      east,
      new PutBucketReplicationCommand({
        Bucket: 'acme-tax',
        ReplicationConfiguration: { Role: 'arn:aws:iam::111122223333:role/replikey-acme-tax', Rules },
      }),
    );

  test('keeps the ids, the priorities and the order of nothing, and plans to nothing', async () => {
    await using world = await aWorld();
    await world.reconcile();
    await put(world, rule(), rule({ ID: 'x', Priority: 9, Status: 'Disabled', Filter: { Prefix: '' } }));
    const yaml = await imported(world, 'acme-tax');
    expect(yaml).toContain('id: Copy everything!');
    // Nothing selects encrypted objects, so that no replica key is named; the default key of the destination is.
    expect((await world.with(yaml)).plan.waves).toEqual([]);
  });

  test('in the old form comes in the new one, with a word on delete markers', async () => {
    await using world = await aWorld();
    await world.reconcile();
    await put(world, {
      ID: 'old',
      Status: 'Enabled',
      Prefix: 'Old/',
      Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica' },
    });
    const yaml = await imported(world, 'acme-tax');
    expect(yaml).toMatch(/# ! rules of the old form \(V1\).*they go on replicating delete markers/);
    expect(yaml).toContain('deleteMarkerReplication: true');
    // What the old form replicates in silence, its role was never allowed.
    const { refusals } = await world.with(yaml);
    expect(refusals.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^old .*s3:ReplicateDelete/),
    ]);
    const { left, plan } = await world.with(yaml, { allowUnproven: true });
    expect(plan.waves.flat().map(({ kind }) => kind)).toEqual(['s3.replication']);
    expect(left?.waves).toEqual([]);
  });

  test('that leads nowhere says so', async () => {
    await using world = await aWorld();
    await world.reconcile();
    await world.door.send({ region: 'us-west-2' }, new DeleteBucketCommand({ Bucket: 'acme-tax-replica' }));
    expect(await imported(world, 'acme-tax')).toMatch(
      /# ! the bucket acme-tax-replica does not exist, or cannot be read: every object fails/,
    );
  });

  test('under a role that serves other buckets, too, names them', async () => {
    await using world = await aWorld();
    await world.reconcile();
    await world.door.send(east, new CreateBucketCommand({ Bucket: 'acme-second' }));
    const VersioningConfiguration = { Status: 'Enabled' as const };
    await world.door.send(
      east,
      new PutBucketVersioningCommand({ Bucket: 'acme-second', VersioningConfiguration }),
    );
    const Role = 'arn:aws:iam::111122223333:role/replikey-acme-tax';
    await world.door.send(
      east,
      new PutBucketReplicationCommand({
        Bucket: 'acme-second',
        ReplicationConfiguration: { Role, Rules: [rule()] },
      }),
    );
    const yaml = await everything(world);
    expect(yaml).toContain('# ! the role serves acme-second too');
    expect(yaml).toContain('# ! the role serves acme-tax too');
  });

  test('is found in all buckets, page by page, and a bucket without replication is passed over', async () => {
    await using world = await aWorld(TAX);
    await world.reconcile();
    await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        world.door.send(east, new CreateBucketCommand({ Bucket: `acme-other-${n}` })),
      ),
    );
    expect(await allBuckets(world.door, { region: 'us-east-1' })).toHaveLength(32);
    expect((await everything(world)).match(/kind: BucketReplication/g)).toHaveLength(1);
    expect(await look(world.door, 'acme-other-1', 'us-east-1')).toBeUndefined();
  });
});
