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
import { importSpecs, toYaml } from '../../src/import/render-yaml.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { propertyBudget } from '../support/property-budget.ts';
import { specArbitrary } from '../support/spec-arbitraries.ts';

const east = { region: 'us-east-1' };

async function importBuckets({ client }: TestEnv, ...names: string[]): Promise<string> {
  const discovered = await Promise.all(names.map((name) => discoverReplication(client, name, 'us-east-1')));
  return toYaml(importSpecs(discovered.filter((replication) => replication !== undefined)));
}
const importAll = async (env: TestEnv) =>
  importBuckets(env, ...(await listBucketNames(env.client, { region: 'us-east-1' })));

describe('import: configurations created by replikey', () => {
  const folder = 'specs/examples';
  // The credentials of one account cannot read the resources of the other.
  const CROSS_ACCOUNT = ['accounts.yaml', 'cross-account.yaml', 'fan-in.yaml'];

  test('the plan for the imported specs is empty, for every example within one account', async () => {
    const files = (await readdir(folder)).filter(
      (file) => file.endsWith('.yaml') && !CROSS_ACCOUNT.includes(file),
    );
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) {
      await using env = await testEnv(await readFile(`${folder}/${file}`, 'utf8'));
      await env.reconcile();
      const yaml = await importAll(env);
      const { plan } = await env.reconcileWith(yaml);
      expect(plan.waves, `${file}\n${yaml}`).toEqual([]);
      expect(plan.blocked, file).toEqual([]);
    }
  });

  test('leaves out replaced permissions and temporary rules of canaries', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const moved = TAX_SPEC.replace('bucket: acme-tax-replica', 'bucket: acme-tax-moved');
    expect((await env.reconcileWith(moved)).remaining?.retained.length).toBeGreaterThan(0);
    const rules = env.sandbox.store.bucket('acme-tax')?.replication?.Rules;
    const [rule] = rules ?? [];
    if (!rules || !rule) throw new Error('no rules');
    const canaryRule = { ...rule, ID: 'replikey/tax/tax/canary-202712011020-3fa9c1', Priority: 9 };
    rules.push({ ...canaryRule, Filter: { Prefix: 'Tax/.replikey-canary/3fa9c1-' } });
    const yaml = await importAll(env);
    expect(yaml).toContain('prefix: Tax/');
    expect(yaml).not.toMatch(/canary-2027|Until|bucket: acme-tax-replica/);
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  test('escapes a prefix that looks like a variable', async () => {
    await using env = await testEnv(TAX_SPEC.replace('Tax/', () => `"$\${var.stage}/$\${x}/$"`));
    await env.reconcile();
    const yaml = await importAll(env);
    expect(env.specs.pairs[0]?.rules[0]?.prefix).toBe(`\${var.stage}/$\${x}/$`);
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  const limits = propertyBudget(300, 10);

  test('random specs: the plan for each imported spec without a warning is empty', limits.test, async () => {
    let emptyPlans = 0;
    await fc.assert(
      fc.asyncProperty(specArbitrary, async (specsYaml) => {
        // Restrict the specs to one account.
        const yaml = specsYaml
          .split('\n---\n')
          .filter((document) => !document.includes('"Account"'))
          .map((document) => document.replace(/"account":"[a-z]+",|"objectOwner":"[a-z]+",?/g, ''))
          .join('\n---\n');
        await using env = await testEnv(yaml.replaceAll(',}', '}'));
        await env.reconcile();
        const documents = (await importAll(env)).split('---\n');
        const specs = documents.filter((document) => !document.includes('# !'));
        if (specs.length === 0) return;
        const { plan } = await env.reconcileWith(specs.join('---\n'));
        expect(plan.waves, specs.join('---\n')).toEqual([]);
        emptyPlans += 1;
      }),
      limits.property,
    );
    expect(emptyPlans).toBeGreaterThan(0);
  });
});

describe('import: foreign configurations', () => {
  const rule = (more: Partial<ReplicationRule> = {}): ReplicationRule => ({
    ID: 'Copy everything!',
    Priority: 3,
    Status: 'Enabled',
    Filter: { And: { Prefix: 'In/', Tags: [{ Key: 'tier', Value: 'gold' }] } },
    DeleteMarkerReplication: { Status: 'Disabled' },
    Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica', StorageClass: 'GLACIER' },
    ...more,
  });
  const put = ({ client }: TestEnv, ...Rules: ReplicationRule[]) =>
    client.send(
      east,
      new PutBucketReplicationCommand({
        Bucket: 'acme-tax',
        ReplicationConfiguration: { Role: 'arn:aws:iam::111122223333:role/replikey-acme-tax', Rules },
      }),
    );

  test('keeps ids and priorities, and the plan for the imported spec is empty', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await put(env, rule(), rule({ ID: 'x', Priority: 9, Status: 'Disabled', Filter: { Prefix: '' } }));
    const yaml = await importBuckets(env, 'acme-tax');
    expect(yaml).toContain('id: Copy everything!');
    // No rule selects encrypted objects, so no rule has a replica key. The spec has the default key of the destination.
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  test('converts a V1 rule to V2, with a warning on delete markers', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await put(env, {
      ID: 'old',
      Status: 'Enabled',
      Prefix: 'Old/',
      Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica' },
    });
    const yaml = await importBuckets(env, 'acme-tax');
    expect(yaml).toMatch(/# ! V1 rules, shown below as V2.*they keep replicating delete markers/);
    expect(yaml).toContain('deleteMarkerReplication: true');
    // A V1 rule replicates delete markers, which the role may not write.
    const { refusals } = await env.reconcileWith(yaml);
    expect(refusals.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^old .*s3:ReplicateDelete/),
    ]);
    const { remaining, plan } = await env.reconcileWith(yaml, { allowUnproven: true });
    expect(plan.waves.flat().map(({ kind }) => kind)).toEqual(['s3.replication']);
    expect(remaining?.waves).toEqual([]);
  });

  test('warns about a missing destination bucket', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.client.send({ region: 'us-west-2' }, new DeleteBucketCommand({ Bucket: 'acme-tax-replica' }));
    expect(await importBuckets(env, 'acme-tax')).toMatch(
      /# ! bucket acme-tax-replica does not exist, so that every object fails, or cannot be read;/,
    );
  });

  test('warns about a role that other buckets use, with their names', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.client.send(east, new CreateBucketCommand({ Bucket: 'acme-second' }));
    const VersioningConfiguration = { Status: 'Enabled' as const };
    await env.client.send(
      east,
      new PutBucketVersioningCommand({ Bucket: 'acme-second', VersioningConfiguration }),
    );
    const Role = 'arn:aws:iam::111122223333:role/replikey-acme-tax';
    await env.client.send(
      east,
      new PutBucketReplicationCommand({
        Bucket: 'acme-second',
        ReplicationConfiguration: { Role, Rules: [rule()] },
      }),
    );
    const yaml = await importAll(env);
    expect(yaml).toContain('# ! the role is shared with acme-second');
    expect(yaml).toContain('# ! the role is shared with acme-tax');
  });

  test('lists all pages of buckets, and skips buckets without replication', async () => {
    await using env = await testEnv(TAX_SPEC);
    await env.reconcile();
    await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        env.client.send(east, new CreateBucketCommand({ Bucket: `acme-other-${n}` })),
      ),
    );
    expect(await listBucketNames(env.client, { region: 'us-east-1' })).toHaveLength(32);
    expect((await importAll(env)).match(/kind: BucketReplication/g)).toHaveLength(1);
    expect(await discoverReplication(env.client, 'acme-other-1', 'us-east-1')).toBeUndefined();
  });
});
