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
import { discoverReplication, listBucketNames } from '../../src/import/discover.ts';
import { renderSpecs } from '../../src/import/render-yaml.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { propertyBudget } from '../support/property-budget.ts';
import { specArbitrary } from '../support/spec-arbitraries.ts';

const east = { region: 'us-east-1' };

async function imported({ door }: TestEnv, ...names: string[]): Promise<string> {
  const found = await Promise.all(names.map((name) => discoverReplication(door, name, 'us-east-1')));
  return renderSpecs(found.filter((one) => one !== undefined));
}
const everything = async (env: TestEnv) =>
  imported(env, ...(await listBucketNames(env.door, { region: 'us-east-1' })));

describe('what we made, imported again', () => {
  const folder = 'specs/examples';
  // Across accounts the other half is not seen with the credentials of one.
  const across = ['accounts.yaml', 'cross-account.yaml', 'fan-in.yaml'];

  test('plans to nothing, for every example within an account', async () => {
    const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml') && !across.includes(file));
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) {
      await using env = await testEnv(await readFile(`${folder}/${file}`, 'utf8'));
      await env.reconcile();
      const yaml = await everything(env);
      const { plan } = await env.reconcileWith(yaml);
      expect(plan.waves, `${file}\n${yaml}`).toEqual([]);
      expect(plan.blocked, file).toEqual([]);
    }
  });

  test('takes no prefix for a variable, whatever it looks like', async () => {
    await using env = await testEnv(TAX_SPEC.replace('Tax/', () => `"$\${var.stage}/$\${x}/$"`));
    await env.reconcile();
    const yaml = await everything(env);
    expect(env.specs.pairs[0]?.rules[0]?.prefix).toBe(`\${var.stage}/$\${x}/$`);
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  const limits = propertyBudget(300, 10);

  test(
    'plans to nothing, or says beside it what it would change, whatever was declared',
    limits.test,
    async () => {
      let silent = 0;
      await fc.assert(
        fc.asyncProperty(specArbitrary, async (given) => {
          // Within one account.
          const yaml = given
            .split('\n---\n')
            .filter((document) => !document.includes('"Account"'))
            .map((document) => document.replace(/"account":"[a-z]+",|"objectOwner":"[a-z]+",?/g, ''))
            .join('\n---\n');
          await using env = await testEnv(yaml.replaceAll(',}', '}'));
          await env.reconcile();
          const documents = (await everything(env)).split('---\n');
          const specs = documents.filter((document) => !document.includes('# !'));
          if (specs.length === 0) return;
          const { plan } = await env.reconcileWith(specs.join('---\n'));
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
  const put = ({ door }: TestEnv, ...Rules: ReplicationRule[]) =>
    door.send(
      east,
      new PutBucketReplicationCommand({
        Bucket: 'acme-tax',
        ReplicationConfiguration: { Role: 'arn:aws:iam::111122223333:role/replikey-acme-tax', Rules },
      }),
    );

  test('keeps the ids, the priorities and the order of nothing, and plans to nothing', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await put(env, rule(), rule({ ID: 'x', Priority: 9, Status: 'Disabled', Filter: { Prefix: '' } }));
    const yaml = await imported(env, 'acme-tax');
    expect(yaml).toContain('id: Copy everything!');
    // Nothing selects encrypted objects, so that no replica key is named; the default key of the destination is.
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  test('in the old form comes in the new one, with a word on delete markers', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await put(env, {
      ID: 'old',
      Status: 'Enabled',
      Prefix: 'Old/',
      Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica' },
    });
    const yaml = await imported(env, 'acme-tax');
    expect(yaml).toMatch(/# ! rules of the old form \(V1\).*they go on replicating delete markers/);
    expect(yaml).toContain('deleteMarkerReplication: true');
    // What the old form replicates in silence, its role was never allowed.
    const { refusals } = await env.reconcileWith(yaml);
    expect(refusals.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^old .*s3:ReplicateDelete/),
    ]);
    const { remaining: left, plan } = await env.reconcileWith(yaml, { allowUnproven: true });
    expect(plan.waves.flat().map(({ kind }) => kind)).toEqual(['s3.replication']);
    expect(left?.waves).toEqual([]);
  });

  test('that leads nowhere says so', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.door.send({ region: 'us-west-2' }, new DeleteBucketCommand({ Bucket: 'acme-tax-replica' }));
    expect(await imported(env, 'acme-tax')).toMatch(
      /# ! the bucket acme-tax-replica does not exist, or cannot be read: every object fails/,
    );
  });

  test('under a role that serves other buckets, too, names them', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.door.send(east, new CreateBucketCommand({ Bucket: 'acme-second' }));
    const VersioningConfiguration = { Status: 'Enabled' as const };
    await env.door.send(
      east,
      new PutBucketVersioningCommand({ Bucket: 'acme-second', VersioningConfiguration }),
    );
    const Role = 'arn:aws:iam::111122223333:role/replikey-acme-tax';
    await env.door.send(
      east,
      new PutBucketReplicationCommand({
        Bucket: 'acme-second',
        ReplicationConfiguration: { Role, Rules: [rule()] },
      }),
    );
    const yaml = await everything(env);
    expect(yaml).toContain('# ! the role serves acme-second too');
    expect(yaml).toContain('# ! the role serves acme-tax too');
  });

  test('is found in all buckets, page by page, and a bucket without replication is passed over', async () => {
    await using env = await testEnv(TAX_SPEC);
    await env.reconcile();
    await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        env.door.send(east, new CreateBucketCommand({ Bucket: `acme-other-${n}` })),
      ),
    );
    expect(await listBucketNames(env.door, { region: 'us-east-1' })).toHaveLength(32);
    expect((await everything(env)).match(/kind: BucketReplication/g)).toHaveLength(1);
    expect(await discoverReplication(env.door, 'acme-other-1', 'us-east-1')).toBeUndefined();
  });
});
