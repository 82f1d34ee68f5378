import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreatePolicyCommand, PutRolePermissionsBoundaryCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand } from '@aws-sdk/client-kms';
import { CreateBucketCommand, GetBucketReplicationCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { locationsOf } from '../../src/facts/locations.ts';
import type { Statement } from '../../src/iam/types.ts';
import type { PolicyRef } from '../../src/proof/findings.ts';
import { isInstalled, runCli } from '../support/cli.ts';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { changePolicy } from '../support/policies.ts';
import { pythonEnvironment } from '../support/python.ts';
import { TEST_SECRET } from '../support/secrets.ts';

/** The printed commands, as printed: run by a shell with the AWS CLI against the sandbox. */
const awscli = pythonEnvironment('awscli');
const missing = awscli.missing ?? (isInstalled('jq') ? undefined : 'jq is not installed');
if (missing !== undefined && awscli.missing === undefined) process.stderr.write(`skipped: ${missing}\n`);

const [MAIN, BACKUP] = ['111122223333', '444455556666'];
const EAST = { region: 'us-east-1' };
const ROLE = 'arn:aws:iam::111122223333:role/team/x/replikey-acme-tax';

/** Foreign statements, with characters that a shell or IAM could take for something else. */
const FOREIGN: Statement = {
  Sid: 'ForeignStatement',
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${MAIN}:root` },
  Action: 's3:GetObject',
  Resource: 'arn:aws:s3:::acme-tax-replica/it\'s $HOME "`x`" \\ größe 日本/*',
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-commands-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function runShell(
  { sandbox }: TestEnv,
  account: string,
  script: string,
): Promise<{ code: number | null; output: string }> {
  const child = spawn('sh', ['-c', script], {
    cwd: folder,
    env: {
      PATH: `${path.dirname(awscli.program('aws'))}:${process.env.PATH}`,
      HOME: folder,
      AWS_ENDPOINT_URL: sandbox.endpoint,
      AWS_ACCESS_KEY_ID: account,
      AWS_SECRET_ACCESS_KEY: TEST_SECRET,
      AWS_REGION: 'us-east-1',
      AWS_DEFAULT_REGION: 'us-east-1',
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

/** Returns the statements of a policy as AWS has it. */
async function statementsOf({ client, specs }: TestEnv, ref: PolicyRef): Promise<Statement[]> {
  let statements: Statement[] = [];
  await changePolicy(client, locationsOf(specs, EAST.region), ref, (policy) => {
    statements = [policy.Statement].flat();
    return policy;
  });
  return statements;
}

const change = ({ client, specs }: TestEnv, ref: PolicyRef, ...added: Statement[]): Promise<void> =>
  changePolicy(client, locationsOf(specs, EAST.region), ref, (policy) => ({
    ...policy,
    Statement: [policy.Statement, added].flat(),
  }));

const without = ({ client, specs }: TestEnv, ref: PolicyRef, sid: string): Promise<void> =>
  changePolicy(client, locationsOf(specs, EAST.region), ref, (policy) => ({
    ...policy,
    Statement: [policy.Statement].flat().filter(({ Sid }) => !Sid?.startsWith(sid)),
  }));

describe.skipIf(missing)('printed commands, run by a shell', { timeout: 180_000 }, () => {
  test('doctor: correct every policy of a broken pair, and keep foreign statements', async () => {
    await using env = await testEnv(
      TAX_SPEC.replace('  rules:', '  role: { name: replikey-acme-tax, path: /team/x/ }\n  rules:'),
    );
    await env.reconcile();
    const keys = [...env.sandbox.store.account(MAIN).keys.values()];
    const refs = {
      role: { kind: 'role', of: ROLE, policy: 'replikey' },
      trust: { kind: 'trust', of: ROLE },
      bucket: { kind: 'bucket', of: 'acme-tax-replica' },
      key: { kind: 'key', of: keys.find(({ region }) => region === 'us-west-2')?.arn ?? '' },
    } as const satisfies Record<string, PolicyRef>;
    const deny = { Effect: 'Deny', Principal: '*' } as const;
    const { Principal, Resource: _, ...common } = FOREIGN;
    const foreignTrust: Statement = { ...common, Principal: Principal ?? '*', Action: 'sts:AssumeRole' };
    await without(env, refs.role, 'ReplikeyDestinationObjects');
    await change(env, refs.role, { ...common, Resource: "arn:aws:s3:::größe-it's/*" });
    await change(env, refs.trust, foreignTrust, { ...deny, Action: 'sts:AssumeRole' });
    await change(env, refs.bucket, FOREIGN, {
      ...deny,
      Sid: 'DenyOthers',
      Action: 's3:ReplicateObject',
      Resource: 'arn:aws:s3:::acme-tax-replica/*',
    });
    await change(env, refs.key, { ...FOREIGN, Action: 'kms:DescribeKey', Resource: '*' });
    await change(env, refs.key, { ...deny, Sid: 'DenyEncrypt', Action: 'kms:Encrypt', Resource: '*' });
    const boundary = {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }],
    };
    const { Policy: created } = await env.client.send(
      EAST,
      new CreatePolicyCommand({ PolicyName: 'limit', PolicyDocument: JSON.stringify(boundary) }),
    );
    await env.client.send(
      EAST,
      new PutRolePermissionsBoundaryCommand({
        RoleName: 'replikey-acme-tax',
        PermissionsBoundary: created?.Arn,
      }),
    );
    const before = Object.fromEntries(
      await Promise.all(
        Object.entries(refs).map(async ([name, ref]) => [name, await statementsOf(env, ref)] as const),
      ),
    );

    const doctor = () => runCli(['doctor', '--bucket', 'acme-tax'], { endpoint: env.sandbox.endpoint });
    const { stdout } = await doctor();
    const section = stdout.slice(stdout.indexOf('Commands that apply the fixes'));
    const script = section
      .slice(0, section.indexOf('\n\n'))
      .split('\n')
      .filter((line) => line.startsWith('    '))
      .join('\n');
    expect(script.match(/^ {4}aws /gm)).toHaveLength(5);
    expect(section).toContain(`policy replikey of the role ${ROLE}: add`);
    expect(await runShell(env, MAIN, `set -e\n${script}`)).toMatchObject({ code: 0 });

    expect(await doctor()).toMatchObject({ code: 0, stdout: expect.stringContaining('1 of 1 rules proven') });
    for (const [name, ref] of Object.entries(refs)) {
      const after = await statementsOf(env, ref);
      const kept = (before[name] ?? []).filter(({ Effect }) => Effect === 'Allow');
      expect(after).toEqual(expect.arrayContaining(kept));
    }
    const [first] = (await statementsOf(env, { kind: 'boundary', of: ROLE })) ?? [];
    expect(first).toEqual(boundary.Statement[0]);
  });

  const unmanagedDestination = CROSS_ACCOUNT_SPEC.replace('key: alias/acme-tax-replica', 'key: KEY_ARN');
  const accounts = (side: string): string =>
    ACCOUNT_SPECS.replace(side === 'source' ? `"${MAIN}"` : `"${BACKUP}"`, (id) => `${id}, managed: false`);

  /** Returns the commands of the manual steps, as the plan prints them with the credentials of an account. */
  async function manualCommands(env: TestEnv, yaml: string, account: string): Promise<string[]> {
    const options = {
      endpoint: env.sandbox.endpoint,
      input: yaml,
      env: { AWS_ACCESS_KEY_ID: account },
    };
    const { stdout } = await runCli(['plan', '-', '-o', 'json'], options);
    const { handover } = JSON.parse(stdout) as { handover: { command?: string }[] };
    const commands = handover.map(({ command = '' }) => command);
    const { stdout: text } = await runCli(['plan', '-'], options);
    for (const line of commands.join('\n').split('\n')) expect(text).toContain(`      ${line}`);
    return commands;
  }

  test('plan: the steps for the owner of a destination keep all statements, and repeat without effect', async () => {
    await using env = await testEnv(ACCOUNT_SPECS + CROSS_ACCOUNT_SPEC);
    const at = { account: 'backup', region: 'us-west-2' };
    const create = {
      Bucket: 'acme-tax-replica',
      CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
    };
    await env.client.send(at, new CreateBucketCommand(create as never));
    const { KeyMetadata } = await env.client.send(at, new CreateKeyCommand({}));
    const arn = KeyMetadata?.Arn ?? '';
    const refs: PolicyRef[] = [
      { kind: 'bucket', of: 'acme-tax-replica' },
      { kind: 'key', of: arn },
    ];
    const foreign = { ...FOREIGN, Principal: { AWS: `arn:aws:iam::${BACKUP}:root` } };
    const yaml = accounts('destination') + unmanagedDestination.replace('KEY_ARN', `"${arn}"`);
    // The role must exist before a policy can name it.
    await runCli(['--once', '-', '--wait', '1'], { endpoint: env.sandbox.endpoint, input: yaml });
    const commands = await manualCommands(env, yaml, MAIN);
    expect(commands).toHaveLength(3);

    // There is no bucket policy at first.
    for (const command of commands) expect(await runShell(env, BACKUP, command)).toMatchObject({ code: 0 });
    const [created = []] = await Promise.all(refs.map((ref) => statementsOf(env, ref)));
    expect(created.map(({ Sid }) => Sid)).toEqual([
      'ReplikeyDestinationObjectsTax',
      'ReplikeyDestinationOwnerTax',
    ]);
    for (const ref of refs)
      await change(
        env,
        ref,
        ref.kind === 'key' ? { ...foreign, Action: 'kms:Encrypt', Resource: '*' } : foreign,
      );
    const before = await Promise.all(refs.map((ref) => statementsOf(env, ref)));
    for (const command of commands) expect(await runShell(env, BACKUP, command)).toMatchObject({ code: 0 });
    const after = await Promise.all(refs.map((ref) => statementsOf(env, ref)));
    expect(after.map((list) => new Set(list.map((item) => JSON.stringify(item))))).toEqual(
      before.map((list) => new Set(list.map((item) => JSON.stringify(item)))),
    );

    const once = await runCli(['--once', '-', '--wait', '1'], {
      endpoint: env.sandbox.endpoint,
      input: yaml,
    });
    expect(once).toMatchObject({ code: 0 });
    const proof = await runCli(['doctor', '--bucket', 'acme-tax', '--bucket', 'acme-tax'], {
      endpoint: env.sandbox.endpoint,
    });
    expect(proof.stdout).not.toContain('does not replicate');
  });

  test('plan: a step writes nothing if the document cannot be read', async () => {
    await using env = await testEnv(ACCOUNT_SPECS + CROSS_ACCOUNT_SPEC);
    await env.reconcile();
    const key = [...env.sandbox.store.account(BACKUP).keys.values()][0]?.arn ?? '';
    const yaml = accounts('destination') + unmanagedDestination.replace('KEY_ARN', `"${key}"`);
    const commands = await manualCommands(env, yaml, MAIN);
    const policy = env.sandbox.store.bucket('acme-tax-replica')?.policy;
    env.sandbox.faultSettings.faults = ['GetBucketPolicy', 'GetKeyPolicy'].map((match) => ({
      match,
      nth: 1,
      times: 100,
      what: { status: 403, code: 'AccessDenied' },
    }));
    for (const command of commands.filter((text) => text.includes('-policy '))) {
      const { code, output } = await runShell(env, BACKUP, command);
      expect(code).not.toBe(0);
      expect(output).toContain('AccessDenied');
    }
    expect(env.sandbox.store.bucket('acme-tax-replica')?.policy).toEqual(policy);
  });

  test('plan: the steps for the owner of a source create the role and add the rules to foreign rules', async () => {
    await using env = await testEnv(ACCOUNT_SPECS + CROSS_ACCOUNT_SPEC);
    await env.reconcile();
    const { store } = env.sandbox;
    const source = [...store.account(MAIN).keys.values()][0]?.arn ?? '';
    const yaml = accounts('source') + CROSS_ACCOUNT_SPEC.replace('key: alias/acme-tax ', `key: "${source}" `);
    const commands = await manualCommands(env, yaml, BACKUP);
    expect(commands.map((command) => /aws (\w+ (?:create|put)-[\w-]+)/.exec(command)?.[1])).toEqual(
      expect.arrayContaining(['iam create-role', 'iam put-role-policy', 's3api put-bucket-replication']),
    );
    const rules = () =>
      env.client
        .send(
          { account: 'main', region: 'us-east-1' },
          new GetBucketReplicationCommand({ Bucket: 'acme-tax' }),
        )
        .then(({ ReplicationConfiguration }) => ReplicationConfiguration);
    const before = await rules();
    for (const command of commands.filter((text) => !text.startsWith('aws iam create-role')))
      expect(await runShell(env, MAIN, command)).toMatchObject({ code: 0 });
    expect(await rules()).toEqual(before);

    // Another role: the command must not change what the other rules replicate as.
    const replication = store.bucket('acme-tax')?.replication;
    if (replication) replication.Role = ROLE;
    const put = commands.find((command) => command.includes('put-bucket-replication')) ?? '';
    const { code, output } = await runShell(env, MAIN, put);
    expect(code).not.toBe(0);
    expect(output).toContain(`the rules of this bucket replicate as ${ROLE}`);
  });
});
