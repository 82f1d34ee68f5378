import { readdir, readFile } from 'node:fs/promises';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { describe, expect, test } from 'vitest';
import { planText } from '../../src/report/plan-text.ts';
import { type TestEnv, testEnv } from '../support/env.ts';
import { TEST_SECRET } from '../support/secrets.ts';

const FOLDER = 'specs/examples';
const ACCOUNTS = await readFile(`${FOLDER}/accounts.yaml`, 'utf8');
const files = (await readdir(FOLDER)).filter((file) => file.endsWith('.yaml') && file !== 'accounts.yaml');
const example = async (file: string) => `${ACCOUNTS}---\n${await readFile(`${FOLDER}/${file}`, 'utf8')}`;

/** Counts the object versions in all buckets. */
const versions = ({ sandbox }: TestEnv): number =>
  [...sandbox.store.buckets()].reduce((sum, bucket) => sum + [...bucket.objects.values()].flat().length, 0);

describe('example specs', () => {
  test.each(files)(
    '%s: converges, replicates, removes its canaries, and a second run plans nothing',
    async (file) => {
      await using env = await testEnv(await example(file));
      const first = await env.reconcile();
      expect(first.results.filter(({ result }) => result !== 'applied')).toEqual([]);
      expect(first.remaining?.waves).toEqual([]);

      const canaries = await env.canaries();
      expect(canaries.filter(({ result, left }) => result !== 'replicated' || left)).toEqual([]);
      expect(canaries.length).toBeGreaterThan(1);
      expect(versions(env)).toBe(0);

      env.sandbox.log.reset();
      const second = await env.reconcile();
      expect(second.plan.waves).toEqual([]);
      expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
    },
  );

  test('choose-a-topology.md: contains a link and a diagram for each example', async () => {
    const docs = await readFile('docs/how-to/choose-a-topology.md', 'utf8');
    // docs/how-to/get-notified-of-failures.md links to the example of alarms, which is no topology.
    const topologies = files.filter((file) => file !== 'alarms.yaml');
    for (const file of [...topologies, 'one-side.yaml.example'])
      expect(docs).toContain(`(../../specs/examples/${file})`);
    expect(docs.match(/^```mermaid$/gm)?.length).toBe(10);
  });
});

const PLACEHOLDER_KEY_ARN = 'arn:aws:kms:us-east-2:999988887777:key/1234abcd-12ab-34cd-56ef-1234567890ab';

/** Creates a key in the account of the other owner, as that owner, and returns its ARN. */
async function createPartnerKey(endpoint: string): Promise<string> {
  const credentials = { accessKeyId: '999988887777', secretAccessKey: TEST_SECRET };
  const kms = new KMSClient({ endpoint, credentials, region: 'us-east-2' });
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
  kms.destroy();
  return KeyMetadata?.Arn ?? '';
}

describe('with credentials for one side only', () => {
  test('applies the managed side, and prints the manual steps of the other owner', async () => {
    const yaml = await example('one-side.yaml.example');
    await using env = await testEnv(yaml);
    const partnerKey = await createPartnerKey(env.sandbox.endpoint);
    const partnerYaml = yaml.replace(PLACEHOLDER_KEY_ARN, partnerKey);
    const { plan, results } = await env.reconcileWith(partnerYaml, { propagationTimeoutMs: 400 });
    expect(plan.waves.flat().every(({ at }) => at.account === 'main')).toBe(true);
    expect(plan.handover.map(({ id, account }) => [id, account])).toEqual([
      [`kms.key-policy/${partnerKey}`, '999988887777'],
      ['s3.versioning/partner-deliveries', '999988887777'],
      ['s3.bucket-policy/partner-deliveries', '999988887777'],
    ]);
    // The destination does not exist yet, so S3 refuses the rule; all other steps are applied.
    expect(results.filter(({ result }) => result !== 'applied').map(({ id, why }) => [id, why])).toEqual([
      ['s3.replication/acme-deliveries', expect.stringMatching(/Destination bucket must exist/)],
    ]);
    const text = planText(plan, env.specs.pairs);
    await expect(
      text
        .replace(/\S*spec\.yaml/, 'spec.yaml')
        .replace(/Checksum \w+/, 'Checksum C')
        .replaceAll(partnerKey, PLACEHOLDER_KEY_ARN),
    ).toMatchFileSnapshot('golden/one-side.txt');
  });

  test('refuses to apply a rule whose replica key does not exist', async () => {
    await using env = await testEnv(await example('one-side.yaml.example'));
    const { proof, results } = await env.reconcile();
    expect(proof.flatMap(({ findings }) => findings)).toContainEqual(
      expect.objectContaining({ code: 'RK1204' }),
    );
    expect(results).toEqual([]);
  });

  test('converges and replicates after the owner applied the manual steps', async () => {
    const yaml = (await example('one-side.yaml.example')).replace(
      'id: "999988887777", managed: false',
      'id: "999988887777"',
    );
    const ownerYaml = yaml.replace(/key: arn:aws:kms:us-east-2\S+.*$/m, 'key: alias/partner-deliveries');
    await using owner = await testEnv(ownerYaml);
    await owner.reconcile();
    expect((await owner.canaries()).every(({ result }) => result === 'replicated')).toBe(true);
  });
});

describe('shared resources', () => {
  test('several sources: the destination policy has a statement for each role', async () => {
    await using env = await testEnv(await example('fan-in.yaml'));
    await env.reconcile();
    const policy = JSON.parse(env.sandbox.store.bucket('acme-logs-archive')?.policy ?? '{}');
    expect(policy.Statement.map(({ Sid }: { Sid: string }) => Sid)).toEqual([
      'ReplikeyDestinationObjectsLogsBackup',
      'ReplikeyDestinationObjectsLogsMain',
      'ReplikeyDestinationOwnerLogsBackup',
      'ReplikeyDestinationOwnerLogsMain',
    ]);
  });

  test('several destinations: one configuration and role, with unique priorities', async () => {
    await using env = await testEnv(await example('fan-out.yaml'));
    await env.reconcile();
    const { Rules = [] } = env.sandbox.store.bucket('acme-photos')?.replication ?? {};
    expect(Rules.map(({ ID }) => ID).sort()).toEqual(['replikey/photos-asia/all', 'replikey/photos-us/all']);
    expect(new Set(Rules.map(({ Priority }) => Priority)).size).toBe(2);
  });
});
