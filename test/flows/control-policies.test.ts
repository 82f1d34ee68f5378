import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { createAwsClient } from '../../src/aws/client.ts';
import { readyCondition } from '../../src/controller/conditions.ts';
import { diagnose } from '../../src/doctor/diagnose.ts';
import { loadFacts } from '../../src/facts/from-files.ts';
import { locationsOf } from '../../src/facts/locations.ts';
import { organizationReaderOf } from '../../src/facts/organization.ts';
import { kinds } from '../../src/kinds/index.ts';
import { proveRules } from '../../src/proof/prove.ts';
import type { RuleProof } from '../../src/proof/types.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import { basisText } from '../../src/report/proof-text.ts';
import type { VersionState } from '../../src/sandbox/state.ts';
import { collectSnapshot } from '../../src/snapshot/collect.ts';
import { createRecordingClients } from '../../src/snapshot/record.ts';
import { createReplayClients } from '../../src/snapshot/replay.ts';
import type { Snapshot } from '../../src/snapshot/snapshot.ts';
import { versionOf } from '../sandbox/support.ts';
import { runCli } from '../support/cli.ts';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { createTestOrganization } from '../support/organization.ts';

/*
 * Pairs whose accounts are in an organization. Each test compares the proof with a replication of the sandbox, which evaluates
 * the policies as they are stored.
 */

const [MAIN, BACKUP, MANAGEMENT] = ['111122223333', '444455556666', '777788889999'];
const ORGANIZATION_ACCOUNT = `apiVersion: replikey.dev/v1
kind: Account
metadata: { name: organization }
spec: { id: "${MANAGEMENT}" }
---
`;
const SPECS = `${ACCOUNT_SPECS}${ORGANIZATION_ACCOUNT}${CROSS_ACCOUNT_SPEC}`;

/** Returns an environment whose pair replicates. */
async function replicatingEnv(): Promise<TestEnv> {
  const env = await testEnv(SPECS);
  await env.reconcile();
  return env;
}

/** Proves the rule of the pair, with the control policies that an account can read. */
async function prove(env: TestEnv, account: string | undefined = 'organization'): Promise<RuleProof> {
  const { client, specs } = env;
  const { proofs } = await diagnose(client, ['acme-tax'], {
    locations: locationsOf(specs, 'us-east-1'),
    organization: organizationReaderOf(client, specs, account),
    sampleSize: 0,
    now: () => client.now(),
  });
  const [proof] = proofs;
  if (!proof) throw new Error('no rule was proven');
  return proof;
}

const withoutReader = async (env: TestEnv): Promise<RuleProof> => {
  const { proofs } = await diagnose(env.client, ['acme-tax'], {
    locations: locationsOf(env.specs, 'us-east-1'),
    sampleSize: 0,
    now: () => env.client.now(),
  });
  return proofs[0] as RuleProof;
};

let objects = 0;

/** Writes an object to the source, and returns the status of its replication. */
async function replicate({ client, sandbox }: TestEnv): Promise<VersionState['replication']> {
  const Key = `Tax/${++objects}.pdf`;
  const location = { account: 'main', region: 'us-east-1' };
  await client.send(location, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'numbers' }));
  await sandbox.waitForReplication();
  return versionOf(sandbox, 'acme-tax', Key)?.replication;
}

const PROVEN = { verdict: 'proven' };
const COMPLETED = { status: 'COMPLETED' };
const failedWith = (reason: string) => ({ status: 'FAILED', attempts: [{ reason }] });
const DENY_DECRYPT = { Sid: 'NoDecrypt', Effect: 'Deny', Action: 'kms:Decrypt', Resource: '*' };

describe('control policies', () => {
  test('an SCP denies kms:Decrypt: the proof names policy, level and statement, and replication fails', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    expect(await prove(env)).toMatchObject(PROVEN);
    expect(await replicate(env)).toMatchObject(COMPLETED);

    const policy = await organization.attach('SCP', organization.root, {
      ...DENY_DECRYPT,
      // The write of the test object needs the key, too.
      Condition: { ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:role/replikey-*' } },
    });
    const proof = await prove(env);
    expect(proof.verdict).toBe('broken');
    expect(proof.findings[0]).toMatchObject({ code: 'RK1307', fixes: [] });
    expect(proof.findings[0]?.message).toMatch(
      /denies kms:Decrypt .*\(NoDecrypt\); ask the administrator of the organization to change this SCP$/,
    );
    expect(proof.findings[0]?.message).toContain(`(${policy}) attached to root ${organization.root}`);
    expect(await replicate(env)).toMatchObject(failedWith('SrcGetObjectNotPermitted'));

    await organization.detach(policy, organization.root);
    expect(await prove(env)).toMatchObject(PROVEN);
    expect(await replicate(env)).toMatchObject(COMPLETED);
  });

  test('an SCP of the root and the source in the management account: no effect', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MAIN, [BACKUP]);
    await organization.attach('SCP', organization.root, DENY_DECRYPT);
    expect(await prove(env, 'main')).toMatchObject(PROVEN);
    expect(await replicate(env)).toMatchObject(COMPLETED);
  });

  test('no SCP of a unit allows S3: the proof names the unit, and replication fails', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    const created = await organization.send('CreateOrganizationalUnit', {
      ParentId: organization.root,
      Name: 'tax',
    });
    const { Id: unit } = created.OrganizationalUnit as { Id: string };
    await organization.attach('SCP', unit, {
      Effect: 'Allow',
      NotAction: 's3:GetObjectVersionForReplication',
      Resource: '*',
    });
    await organization.detach('p-FullAWSAccess', unit);
    await organization.send('MoveAccount', {
      AccountId: MAIN,
      SourceParentId: organization.root,
      DestinationParentId: unit,
    });
    const proof = await prove(env);
    expect(proof.verdict).toBe('broken');
    expect(proof.findings[0]).toMatchObject({ code: 'RK1304', fixes: [] });
    expect(proof.findings[0]?.message).toContain(`no SCP attached to OU ${unit} allows`);
    expect(await replicate(env)).toMatchObject(failedWith('SrcGetObjectNotPermitted'));
  });

  test('an RCP denies writes from outside the organization: denied until the account of the source joins', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [BACKUP]);
    await organization.attach('RCP', BACKUP, {
      Sid: 'Perimeter',
      Effect: 'Deny',
      Principal: '*',
      Action: ['s3:ReplicateObject', 's3:ReplicateTags'],
      Resource: '*',
      Condition: { StringNotEqualsIfExists: { 'aws:PrincipalOrgID': organization.id } },
    });
    const proof = await prove(env);
    expect(proof.verdict).toBe('broken');
    expect(proof.findings[0]).toMatchObject({ code: 'RK1308', fixes: [] });
    expect(proof.findings[0]?.message).toContain(`attached to account ${BACKUP} denies s3:ReplicateObject`);
    expect(await replicate(env)).toMatchObject(failedWith('DstPutObjectNotPermitted'));

    await organization.join(MAIN);
    expect(await prove(env)).toMatchObject(PROVEN);
    expect(await replicate(env)).toMatchObject(COMPLETED);
  });

  test('an RCP on the account of the role denies S3 sts:AssumeRole, although SCPs do not limit services', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    await organization.attach('SCP', MAIN, { Effect: 'Deny', Action: 'sts:AssumeRole', Resource: '*' });
    expect(await prove(env)).toMatchObject(PROVEN);
    expect(await replicate(env)).toMatchObject(COMPLETED);
    await organization.attach('RCP', MAIN, {
      Effect: 'Deny',
      Principal: '*',
      Action: 'sts:AssumeRole',
      Resource: '*',
      Condition: { Bool: { 'aws:PrincipalIsAWSService': 'true' } },
    });
    const proof = await prove(env);
    expect(proof.verdict).toBe('broken');
    expect(proof.findings[0]).toMatchObject({ code: 'RK1301', fixes: [] });
    expect(await replicate(env)).toMatchObject(failedWith('AssumeRoleNotPermitted'));
  });

  test('the recommended RCP against confused deputies: allows S3 of the same organization', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    await organization.attach('RCP', organization.root, {
      Sid: 'EnforceConfusedDeputyProtection',
      Effect: 'Deny',
      Principal: '*',
      Action: ['s3:*', 'sqs:*', 'kms:*', 'secretsmanager:*', 'sts:*'],
      Resource: '*',
      Condition: {
        StringNotEqualsIfExists: { 'aws:SourceOrgID': organization.id },
        Null: { 'aws:SourceAccount': 'false' },
        Bool: { 'aws:PrincipalIsAWSService': 'true' },
      },
    });
    expect(await prove(env)).toMatchObject(PROVEN);
    expect(await replicate(env)).toMatchObject(COMPLETED);
  });
});

describe('control policies that were not read', () => {
  test('without an organization account: no call, and the basis counts every request', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    await organization.attach('SCP', MAIN, DENY_DECRYPT);
    env.sandbox.log.reset();
    const proof = await withoutReader(env);
    expect(env.sandbox.log.entries.filter(({ service }) => service === 'organizations')).toEqual([]);
    const { length } = proof.answers;
    expect(proof.basis?.controlPolicies).toEqual({ requests: length, dependent: length, unread: [] });
    expect(basisText([proof])).toContain(
      `not read: endpoint policies. ${length} of ${length} requests depend on control policies that were not read`,
    );
  });

  test('an account without permission: the requests are undecided, with the reason', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    await organization.attach('SCP', MAIN, DENY_DECRYPT);
    const proof = await prove(env, 'backup');
    const { length } = proof.answers;
    expect(proof.verdict).toBe('unknown');
    expect(proof.findings.filter(({ severity }) => severity === 'unknown')).toEqual([
      expect.objectContaining({
        code: 'RK1901',
        message: expect.stringContaining(
          `: the control policies of account ${MAIN} cannot be read: organizations:ListParents in account backup, us-east-1: AccessDeniedException`,
        ),
      }),
    ]);
    expect(proof.answers.every(({ result }) => result === 'unknown')).toBe(true);
    expect(proof.basis?.controlPolicies).toMatchObject({
      requests: length,
      dependent: length,
      undecided: length,
    });
    const reason = `account ${MAIN}: organizations:ListParents in account backup, us-east-1: AccessDeniedException`;
    expect(proof.basis?.controlPolicies.unread).toEqual([
      expect.stringContaining(reason),
      expect.any(String),
    ]);
    expect(basisText([proof])).toContain(`control policies that were not read: ${reason}`);
  });

  test('the destination is outside the organization: only its requests depend on policies that were not read', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN]);
    const proof = await prove(env);
    const dependent = proof.answers.filter(({ unreadControlPolicies }) => unreadControlPolicies);
    expect(dependent.map(({ resource }) => resource).every((arn) => /replica|us-west-2/.test(arn))).toBe(
      true,
    );
    expect(dependent.length).toBeGreaterThan(0);
    expect(dependent.length).toBeLessThan(proof.answers.length);
    expect(dependent[0]?.unreadControlPolicies).toEqual([`RCPs of account ${BACKUP}`]);
    expect(proof.basis?.controlPolicies).toEqual({
      requests: proof.answers.length,
      dependent: dependent.length,
      unread: [`account ${BACKUP}: outside the organization ${organization.id}`],
    });
  });
});

describe('a pass with an organization account', () => {
  test('an SCP denies a request: the pass is refused as unproven, and each read is made once', async () => {
    await using env = await testEnv(SPECS);
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    const policy = await organization.attach('SCP', MAIN, DENY_DECRYPT);
    env.sandbox.log.reset();
    const denied = await env.reconcile({ organizationAccount: 'organization' });
    expect(denied.refusals).toMatchObject([{ id: 'unproven' }]);
    expect(denied.refusals[0]?.message).toContain(`(${policy}) attached to account ${MAIN}`);
    const calls = env.sandbox.log.entries
      .filter(({ service }) => service === 'organizations')
      .map(({ operation }) => operation)
      .sort();
    // Levels: the root and two accounts. Policies: FullAWSAccess, RCPFullAWSAccess and the SCP.
    expect(calls).toEqual([
      'DescribeOrganization',
      ...Array(3).fill('DescribePolicy'),
      ...Array(2).fill('ListParents'),
      ...Array(6).fill('ListPoliciesForTarget'),
    ]);

    await organization.detach(policy, MAIN);
    const applied = await env.reconcile({ organizationAccount: 'organization' });
    expect(applied.refusals).toEqual([]);
    expect(await replicate(env)).toMatchObject(COMPLETED);
  });

  test('the organization cannot be read: a new rule is blocked, and allowed with --allow-unproven', async () => {
    await using env = await testEnv(SPECS);
    await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    const blocked = await env.reconcile({ organizationAccount: 'backup' });
    expect(blocked.plan.blocked[0]?.why).toMatch(/ is undecided: RK1901 .*AccessDeniedException/);
    expect(blocked.results.filter(({ result }) => result === 'applied')).toEqual([]);
    expect(readyCondition(blocked)).toMatchObject([{ status: 'False', reason: 'Unreadable' }, 'recoverable']);
    const applied = await env.reconcile({ organizationAccount: 'backup', allowUnproven: true });
    expect([applied.refusals, applied.plan.blocked]).toEqual([[], []]);
    expect(await replicate(env)).toMatchObject(COMPLETED);
  });

  test('the organization cannot be read: the pass over an existing rule is refused, and retried', async () => {
    await using env = await replicatingEnv();
    await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    const refused = await env.reconcile({ organizationAccount: 'backup' });
    expect(refused.refusals).toEqual([
      {
        id: 'unproven',
        message: expect.stringMatching(
          /^\S+ is not proven: RK1901 .*AccessDeniedException.*; fix the cause, or apply with --allow-unproven$/,
        ),
      },
    ]);
    expect(readyCondition(refused)).toMatchObject([{ status: 'False', reason: 'Unreadable' }, 'recoverable']);
    expect((await env.reconcile({ organizationAccount: 'backup', allowUnproven: true })).refusals).toEqual(
      [],
    );
    expect((await env.reconcile()).refusals).toEqual([]);
  });

  test.each([
    ['doctor', 1],
    ['plan', 0],
  ])(
    '%s: exits with %i if the organization cannot be read, and with 0 without the option',
    async (command, code) => {
      await using env = await testEnv(TAX_SPEC);
      await env.reconcile();
      await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN]);
      const folder = await mkdtemp(path.join(tmpdir(), 'replikey-specs-'));
      try {
        await writeFile(
          path.join(folder, 'specs.yaml'),
          `${ORGANIZATION_ACCOUNT.replace(MANAGEMENT, MAIN)}${TAX_SPEC}`,
        );
        const options = { endpoint: env.sandbox.endpoint };
        const unread = await runCli([command, folder, '--organization-account', 'organization'], options);
        expect({ code: unread.code, text: unread.stdout + unread.stderr }).toEqual({
          code,
          text: expect.stringContaining(`the control policies of account ${MAIN} cannot be read`),
        });
        expect((await runCli([command, folder], options)).code).toBe(0);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  );

  test('no Account document of this name: an error, before other credentials are used', async () => {
    await using env = await testEnv(SPECS);
    await expect(env.reconcile({ organizationAccount: 'managment' })).rejects.toThrow(
      'no Account document with credentials is named "managment"',
    );
  });
});

describe('control policies without credentials', () => {
  const proveFile = async (content: unknown): Promise<RuleProof | undefined> => {
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-facts-'));
    try {
      await writeFile(path.join(folder, 'facts.json'), JSON.stringify(content));
      return proveRules(await loadFacts(folder), 'acme-tax')[0];
    } finally {
      await rm(folder, { recursive: true });
    }
  };
  const FULL_ACCESS = { Version: '2012-10-17', Statement: { Effect: 'Allow', Action: '*', Resource: '*' } };

  test('a file with facts: the same proof as from AWS, and bare policies are named by their positions', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    await organization.attach('SCP', MAIN, DENY_DECRYPT);
    const { client, specs } = env;
    const { facts, proofs } = await diagnose(client, ['acme-tax'], {
      locations: locationsOf(specs, 'us-east-1'),
      organization: organizationReaderOf(client, specs, 'organization'),
      sampleSize: 0,
      now: () => client.now(),
    });
    const proof = await proveFile(facts);
    expect(proof?.findings.map(({ message }) => message)).toEqual(
      proofs[0]?.findings.map(({ message }) => message),
    );

    const scps = [[FULL_ACCESS], [JSON.stringify(FULL_ACCESS), { Statement: DENY_DECRYPT }]];
    const bare = await proveFile({
      ...facts,
      accounts: { [MAIN]: { scps, rcps: null }, [BACKUP]: { rcps: null } },
    });
    expect(bare?.findings[0]?.message).toContain('SCP 2 attached to level 2 denies kms:Decrypt');
    expect(bare?.basis?.controlPolicies.dependent).toBe(0);
  });

  test.each([
    ['no list of levels', { scps: FULL_ACCESS }],
    ['no list of policies', { scps: [FULL_ACCESS] }],
    ['no policy', { rcps: [['p-FullAWSAccess']] }],
  ])('a file with %s: an error that names the account', async (_, account) => {
    await expect(proveFile({ accounts: { [MAIN]: account } })).rejects.toThrow(`accounts.${MAIN}`);
  });

  test('a snapshot: replays the responses of the organization', async () => {
    await using env = await replicatingEnv();
    const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
    const policy = await organization.attach('SCP', MAIN, DENY_DECRYPT);
    const { specs } = env;
    const recording = createRecordingClients(env.clients);
    const observer = createAwsClient({ clients: recording, accounts: specs.accounts, region: 'us-east-1' });
    const aws = observer.readOnly().withCache();
    await reconcile(specs, { ...PASS, aws });
    await collectSnapshot(specs, kinds, aws, organizationReaderOf(aws, specs, 'organization'));
    const snapshot = JSON.parse(JSON.stringify(recording.snapshot(new Date()))) as Snapshot;

    const replayed = createAwsClient({
      clients: createReplayClients(snapshot),
      accounts: specs.accounts,
      region: 'us-east-1',
    });
    const { refusals } = await reconcile(specs, { ...PASS, aws: replayed });
    expect(refusals).toMatchObject([{ id: 'unproven' }]);
    const proof = await prove({ ...env, client: replayed });
    expect(proof.verdict).toBe('broken');
    expect(proof.findings[0]?.message).toContain(`(${policy}) attached to account ${MAIN}`);
  });
});

const PASS = {
  kinds,
  allowedRisks: [],
  dryRun: true,
  propagationTimeoutMs: 0,
  organizationAccount: 'organization',
};

test('docs/how-to/prove-with-control-policies.md: shows the message of a denial and the text of the basis', async () => {
  const page = await readFile('docs/how-to/prove-with-control-policies.md', 'utf8');
  await using env = await replicatingEnv();
  const organization = await createTestOrganization(env.sandbox.endpoint, MANAGEMENT, [MAIN, BACKUP]);
  const policy = await organization.attach('SCP', organization.root, DENY_DECRYPT);
  const { findings } = await prove(env);
  const message = (findings[0]?.message ?? '')
    .replace(/^.*?: /, '')
    .replace(/"scp-\w+"/, '"no-decrypt"')
    .replace(policy, 'p-1a2b3c4d')
    .replace(organization.root, 'r-ab12')
    .replace(/arn:aws:kms:\S+/, 'KEY');
  expect(page).toContain(message);
  expect(basisText([await withoutReader(env)]).replace(/18 of 18/, '16 of 16')).toContain(
    page.split('```text\n')[1]?.split('\n')[0],
  );
});
