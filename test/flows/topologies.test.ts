import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { planText } from '../../src/report/plan-text.ts';
import { type TestEnv, testEnv } from '../support/env.ts';

const FOLDER = 'specs/examples';
const ACCOUNTS = await readFile(`${FOLDER}/accounts.yaml`, 'utf8');
const files = (await readdir(FOLDER)).filter((file) => file.endsWith('.yaml') && file !== 'accounts.yaml');
const example = async (file: string) => `${ACCOUNTS}---\n${await readFile(`${FOLDER}/${file}`, 'utf8')}`;

/** Every version on both sides of every pair: what is left behind. */
const versions = ({ sandbox }: TestEnv): number =>
  [...sandbox.store.buckets()].reduce((sum, bucket) => sum + [...bucket.objects.values()].flat().length, 0);

describe('each example', () => {
  test.each(files)(
    '%s converges, replicates, leaves nothing behind, and then finds nothing to do',
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

  test('stands in docs/how-to/choose-a-topology.md, drawn', async () => {
    const docs = await readFile('docs/how-to/choose-a-topology.md', 'utf8');
    for (const file of [...files, 'one-side.yaml.example'])
      expect(docs).toContain(`(../../specs/examples/${file})`);
    expect(docs.match(/^```mermaid$/gm)?.length).toBe(10);
  });
});

describe('with credentials for one side only', () => {
  test('our half is applied, and what the owner of the other has to do is printed, ready to be used', async () => {
    await using env = await testEnv(await example('one-side.yaml.example'));
    const { plan, results } = await env.reconcile();
    expect(plan.waves.flat().every(({ at }) => at.account === 'main')).toBe(true);
    expect(plan.handover.map(({ id, account }) => [id, account])).toEqual([
      [
        'kms.key-policy/arn:aws:kms:us-east-2:999988887777:key/1234abcd-12ab-34cd-56ef-1234567890ab',
        '999988887777',
      ],
      ['s3.versioning/partner-deliveries', '999988887777'],
      ['s3.bucket-policy/partner-deliveries', '999988887777'],
    ]);
    // The destination is not there yet: S3 says so of the rule, and everything else of our half stands.
    expect(results.filter(({ result }) => result !== 'applied').map(({ id, why }) => [id, why])).toEqual([
      ['s3.replication/acme-deliveries', expect.stringMatching(/Destination bucket must exist/)],
    ]);
    const text = planText(plan, env.specs.pairs);
    await expect(
      text.replace(/\S*spec\.yaml/, 'spec.yaml').replace(/Checksum \w+/, 'Checksum C'),
    ).toMatchFileSnapshot('golden/one-side.txt');
  });

  test('once the owner has done so, our half converges, and objects arrive', async () => {
    const yaml = (await example('one-side.yaml.example')).replace(
      'id: "999988887777", managed: false',
      'id: "999988887777"',
    );
    const theirs = yaml.replace(/key: arn:aws:kms:us-east-2\S+.*$/m, 'key: alias/partner-deliveries');
    await using owner = await testEnv(theirs);
    await owner.reconcile();
    expect((await owner.canaries()).every(({ result }) => result === 'replicated')).toBe(true);
  });
});

describe('what is shared', () => {
  test('by several sources: the policy of the destination names each role, in its own statement', async () => {
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

  test('by several destinations: one configuration, one role, priorities that differ', async () => {
    await using env = await testEnv(await example('fan-out.yaml'));
    await env.reconcile();
    const { Rules = [] } = env.sandbox.store.bucket('acme-photos')?.replication ?? {};
    expect(Rules.map(({ ID }) => ID).sort()).toEqual(['replikey/photos-asia/all', 'replikey/photos-us/all']);
    expect(new Set(Rules.map(({ Priority }) => Priority)).size).toBe(2);
  });
});
