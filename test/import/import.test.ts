import { readdir, readFile } from 'node:fs/promises';
import { CreateRoleCommand, DeleteRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand, DeleteAliasCommand, DescribeKeyCommand } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  PutBucketEncryptionCommand,
  PutBucketReplicationCommand,
  PutBucketVersioningCommand,
  PutPublicAccessBlockCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { verifyImport } from '../../src/cli/verify-import.ts';
import { discoverReplication, listBucketNames } from '../../src/import/discover.ts';
import { importSpecs, type KeyNaming, toYaml } from '../../src/import/render-yaml.ts';
import {
  ACCOUNT_SPECS,
  CROSS_ACCOUNT_SPEC,
  parseSpecs,
  TAX_SPEC,
  type TestEnv,
  testEnv,
} from '../support/env.ts';
import { propertyBudget } from '../support/property-budget.ts';
import { createReplacedKeys, specArbitrary } from '../support/spec-arbitraries.ts';

const east = { region: 'us-east-1' };

async function importBuckets({ client }: TestEnv, names: string[], options: KeyNaming = {}): Promise<string> {
  const discovered = await Promise.all(names.map((name) => discoverReplication(client, name, 'us-east-1')));
  const specs = importSpecs(
    discovered.filter((replication) => replication !== undefined),
    options,
  );
  return toYaml(await verifyImport(specs, client));
}
const importAll = async (env: TestEnv) =>
  importBuckets(env, await listBucketNames(env.client, { region: 'us-east-1' }));

describe('import: configurations created by replikey', () => {
  const folder = 'specs/examples';
  // The credentials of one account cannot read the resources of the other.
  const CROSS_ACCOUNT = ['accounts.yaml', 'cross-account.yaml', 'fan-in.yaml'];

  test('the plan for the imported specs is empty, for every example within one account', {
    timeout: 120_000,
  }, async () => {
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
        await createReplacedKeys(env.client, env.specs);
        await env.reconcile();
        const documents = (await importAll(env)).split('---\n');
        const specs = documents.filter((document) => !/^# !/m.test(document));
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

describe('import: roles and keys by name', () => {
  test('drift of the policies of the role and of a key is planned', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const yaml = await importAll(env);
    expect(yaml).toContain('imported from AWS; plan: no changes');
    expect(yaml).toMatch(/key: alias\/acme-tax\n[\s\S]*role:\n {4}name: replikey-acme-tax\n/);
    await env.client.send(
      east,
      new DeleteRolePolicyCommand({ RoleName: 'replikey-acme-tax', PolicyName: 'replikey' }),
    );
    const { plan } = await env.reconcileWith(yaml, { dryRun: true });
    expect(plan.waves.flat().map(({ id }) => id)).toEqual(['iam.role-policy/replikey-acme-tax']);
  });

  test('keeps the names of specs, sourceKeys, a role path, deletion and role.also', async () => {
    const spec = TAX_SPEC.replace(
      '  rules:',
      '  sourceKeys: [alias/older]\n  role: { path: /service-role/ }\n  policy: { deletion: Remove }\n  rules:',
    );
    await using env = await testEnv(spec);
    await env.reconcile();
    const yaml = await importAll(env);
    const [pair] = (await parseSpecs(yaml)).pairs;
    expect(pair).toMatchObject({
      name: 'tax',
      sourceKeys: [{ alias: 'alias/older' }],
      role: { name: 'replikey-acme-tax', path: '/service-role/' },
      rules: [{ name: 'tax', prefix: 'Tax/' }],
      policy: { deletion: 'Remove' },
    });
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  test('keeps the replaced keys of a destination, and the plan stays empty', async () => {
    const replaced = '{ alias: alias/acme-vault, replaces: [alias/acme-tax-replica] }';
    await using env = await testEnv();
    await env.reconcile();
    const spec = TAX_SPEC.replace('key: alias/acme-tax-replica', `key: ${replaced}`);
    await env.reconcileWith(spec, { drainMs: 0, allowedRisks: ['lose-in-flight'] });
    const yaml = await importAll(env);
    const [pair] = (await parseSpecs(yaml)).pairs;
    expect(pair?.destination).toMatchObject({
      key: { alias: 'alias/acme-vault' },
      replacedKeys: [{ alias: 'alias/acme-tax-replica' }],
    });
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  test('makes no write', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const { writes } = env.client.calls;
    await importAll(env);
    expect(env.client.calls.writes).toBe(writes);
  });

  test('states at each line what a run would change', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.client.send(
      east,
      new DeleteRolePolicyCommand({ RoleName: 'replikey-acme-tax', PolicyName: 'replikey' }),
    );
    const west = { region: 'us-west-2' };
    const { KeyMetadata } = await env.client.send(west, new CreateKeyCommand({}));
    const encryption = { SSEAlgorithm: 'aws:kms' as const, KMSMasterKeyID: KeyMetadata?.Arn };
    await env.client.send(
      west,
      new PutBucketEncryptionCommand({
        Bucket: 'acme-tax-replica',
        ServerSideEncryptionConfiguration: {
          Rules: [{ ApplyServerSideEncryptionByDefault: encryption, BucketKeyEnabled: true }],
        },
      }),
    );
    const yaml = await importAll(env);
    expect(yaml).toContain('imported from AWS; plan: changes, which the lines with ! name');
    expect(yaml).toMatch(
      / {4}# ! ~ s3\.encryption\/acme-tax-replica: kmsMasterKeyId: arn:\S+ → \S+\n {4}key: alias\/acme-tax-replica\n/,
    );
    expect(yaml).toMatch(
      / {2}# ! \+ iam\.role-policy\/replikey-acme-tax: S3 needs these permissions as the role\n {2}role:\n/,
    );
  });

  test('a key without an alias stays by ARN', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.client.send(east, new DeleteAliasCommand({ AliasName: 'alias/acme-tax' }));
    const yaml = await importAll(env);
    expect(yaml).toMatch(/key: arn:aws:kms:us-east-1:111122223333:key\//);
    expect((await env.reconcileWith(yaml, { dryRun: true })).plan.blocked).toEqual([]);
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

  test('--by-arn: keeps ids and priorities, and the plan for the imported spec is empty', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await put(env, rule(), rule({ ID: 'x', Priority: 9, Status: 'Disabled', Filter: { Prefix: '' } }));
    const yaml = await importBuckets(env, ['acme-tax'], { byArn: true });
    expect(yaml).toContain('id: Copy everything!');
    // No rule selects encrypted objects, so no rule has a replica key. The spec has the default key of the destination.
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  test('--by-arn: converts a V1 rule to V2, with a warning on delete markers', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await put(env, {
      ID: 'old',
      Status: 'Enabled',
      Prefix: 'Old/',
      Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica' },
    });
    const yaml = await importBuckets(env, ['acme-tax'], { byArn: true });
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
    expect(await importBuckets(env, ['acme-tax'])).toMatch(
      /# ! bucket acme-tax-replica does not exist, so that every object fails/,
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

  // S3 accepts Destination.Account of the account of the source, also with AccessControlTranslation, and Terraform modules
  // write both: github.com/terraform-aws-modules/terraform-aws-s3-bucket/issues/72.
  test('keeps Destination.Account and the owner of the same account', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const Destination = {
      Bucket: 'arn:aws:s3:::acme-tax-replica',
      Account: '111122223333',
      AccessControlTranslation: { Owner: 'Destination' as const },
    };
    await put(env, rule({ Destination }));
    for (const byArn of [true, false]) {
      const yaml = await importBuckets(env, ['acme-tax'], { byArn });
      expect(yaml).toContain('account: account-111122223333');
      expect(yaml).toContain('objectOwner: destination');
      const { plan } = await env.reconcileWith(yaml, { dryRun: true });
      expect(plan.waves.flat().map(({ kind }) => kind)).not.toContain('s3.replication');
      if (byArn) expect(yaml).toContain('plan: no changes');
      // The role needs s3:ObjectOwnerOverrideToBucketOwner, which its policies do not grant yet.
      else expect(JSON.stringify(plan.waves)).toContain('s3:ObjectOwnerOverrideToBucketOwner');
    }
  });

  // S3 API reference, Destination: Account is the owner of the destination when S3 changes the owner of replicas.
  test('an Account without a change of the owner is no difference', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const Destination = { Bucket: 'arn:aws:s3:::acme-tax-replica', Account: '111122223333' };
    await put(env, rule({ Destination }));
    const yaml = await importBuckets(env, ['acme-tax'], { byArn: true });
    expect(yaml).toContain('plan: no changes');
    expect(yaml).not.toContain('objectOwner:');
  });

  // S3 API reference, HeadBucket: the response to a caller without access is 403 with x-amz-bucket-region.
  test('reads the Region of a destination in another account', async () => {
    const spec = `${ACCOUNT_SPECS}${CROSS_ACCOUNT_SPEC}      sseKmsEncryptedObjects: false\n`;
    await using env = await testEnv(spec);
    await env.reconcile();
    const yaml = await importBuckets(env, ['acme-tax'], { byArn: true });
    expect(yaml).toMatch(/bucket: acme-tax-replica\n {4}region: us-west-2\n/);
    expect(yaml).not.toContain('guess');
  });

  test('plans no change of a pair across accounts, apart from the account that it cannot read', async () => {
    await using env = await testEnv(ACCOUNT_SPECS + CROSS_ACCOUNT_SPEC);
    await env.reconcile();
    const yaml = await importBuckets(env, ['acme-tax']);
    expect(yaml).toContain('imported from AWS; plan: no changes; account 444455556666 was not read');
    expect(yaml).toContain('name: replikey-acme-tax');
  });

  test('declares the keys with which the role may decrypt objects of the source', async () => {
    await using env = await testEnv(TAX_SPEC.replace('  rules:', '  sourceKeys: [alias/older]\n  rules:'));
    await env.reconcile();
    const key = async (name: string, region = 'us-east-1') =>
      (await env.client.send({ region }, new DescribeKeyCommand({ KeyId: name }))).KeyMetadata?.Arn ?? '';
    const allow = (Resource: string | string[], context?: string) => ({
      Effect: 'Allow',
      Action: 'kms:Decrypt',
      Resource,
      ...(context && { Condition: { StringLike: { 'kms:EncryptionContext:aws:s3:arn': context } } }),
    });
    const other = (await env.client.send(east, new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';
    await env.client.send(
      east,
      new PutRolePolicyCommand({
        RoleName: 'replikey-acme-tax',
        PolicyName: 'replikey',
        PolicyDocument: JSON.stringify({
          Version: '2012-10-17',
          Statement: [
            allow([await key('alias/acme-tax'), await key('alias/older')], 'arn:aws:s3:::acme-tax*'),
            allow(other, 'arn:aws:s3:::another-bucket/*'),
            allow(await key('alias/acme-tax-replica', 'us-west-2')),
          ],
        }),
      }),
    );
    await put(env, rule());
    const yaml = await importBuckets(env, ['acme-tax']);
    expect((await parseSpecs(yaml)).pairs[0]?.sourceKeys).toEqual([{ alias: 'alias/older' }]);
  });

  test('declares ownership and a whole public access block, and warns about a part of one', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const block = (BlockPublicPolicy: boolean) =>
      env.client.send(
        east,
        new PutPublicAccessBlockCommand({
          Bucket: 'acme-tax',
          PublicAccessBlockConfiguration: {
            BlockPublicAcls: true,
            IgnorePublicAcls: true,
            BlockPublicPolicy,
            RestrictPublicBuckets: true,
          },
        }),
      );
    await block(true);
    expect((await parseSpecs(await importAll(env))).pairs[0]?.source).toMatchObject({
      blockPublicAccess: true,
      objectOwnership: 'BucketOwnerEnforced',
    });
    await block(false);
    const yaml = await importAll(env);
    expect(yaml).toMatch(/^# ! acme-tax has only some of the four settings of Block Public Access/m);
    expect(yaml.match(/blockPublicAccess: true/g)).toHaveLength(1);
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  test('declares the Object Lock of locked buckets, with the default retention', async () => {
    const locked = TAX_SPEC.replace('alias/acme-tax }', 'alias/acme-tax, objectLock: {} }').replace(
      'alias/acme-tax-replica }',
      'alias/acme-tax-replica, objectLock: { mode: Governance, years: 2 } }',
    );
    await using env = await testEnv(locked);
    await env.reconcile();
    const yaml = await importAll(env);
    const [pair] = (await parseSpecs(yaml)).pairs;
    expect(pair?.source.objectLock).toEqual({});
    expect(pair?.destination.objectLock).toEqual({ mode: 'Governance', years: 2 });
    expect((await env.reconcileWith(yaml)).plan.waves).toEqual([]);
  });

  test('states the problems of a spec that is not complete, and plans the others', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.client.send(east, new CreateBucketCommand({ Bucket: 'acme-plain' }));
    await env.client.send(
      east,
      new PutBucketVersioningCommand({
        Bucket: 'acme-plain',
        VersioningConfiguration: { Status: 'Enabled' },
      }),
    );
    await env.client.send(
      east,
      new CreateRoleCommand({
        RoleName: 'plain',
        AssumeRolePolicyDocument: JSON.stringify({
          Version: '2012-10-17',
          Statement: [
            { Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' },
          ],
        }),
      }),
    );
    await env.client.send(
      east,
      new PutBucketReplicationCommand({
        Bucket: 'acme-plain',
        ReplicationConfiguration: {
          Role: 'arn:aws:iam::111122223333:role/plain',
          Rules: [rule({ Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica' } })],
        },
      }),
    );
    const yaml = await importBuckets(env, ['acme-plain', 'acme-tax']);
    expect(yaml).toContain(
      'acme-plain to acme-tax-replica, imported from AWS; not planned: complete the lines',
    );
    expect(yaml).toMatch(/# ! not valid: .*\n/);
    expect(yaml).toContain('acme-tax to acme-tax-replica, imported from AWS; plan: no changes');
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
