import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GetRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AwsCli, startAwsCli } from '../support/aws-cli.ts';
import { isInstalled, runCli } from '../support/cli.ts';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { pythonEnvironment } from '../support/python.ts';
import { TEST_SECRET } from '../support/secrets.ts';

/** The script of a plan, run by a POSIX shell with the AWS CLI, which shares no code with replikey. */
const awscli = pythonEnvironment('awscli');
const missing = awscli.missing ?? (isInstalled('jq') ? undefined : 'jq is not installed');
if (missing !== undefined && awscli.missing === undefined) process.stderr.write(`skipped: ${missing}\n`);

/** A pair with every kind of setting that a script can write for a new pair. */
const RICH_SPEC = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source:
    bucket: acme-tax
    region: us-east-1
    key: { alias: alias/acme-tax, description: "größe \`x\` $HOME", rotation: true, rotationPeriodInDays: 180 }
    blockPublicAccess: true
    objectOwnership: BucketOwnerPreferred
  destination:
    bucket: acme-tax-replica
    region: us-west-2
    key: alias/acme-tax-replica
    objectLock: { mode: Governance, days: 1 }
  role: { name: replikey-tax, path: /team/, tags: { team: tax } }
  alarms: { failed: true, notify: ["arn:aws:sns:us-east-1:111122223333:alerts"] }
  rules:
    - prefix: Tax/
    - filter: { prefix: Law/, tags: { team: tax } }
`;

const EAST = { region: 'us-east-1' };

let folder: string;
let cli: AwsCli | undefined;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-script-'));
  if (missing === undefined) cli = await startAwsCli(folder);
  // The sandbox takes the access key id as the account of the caller.
  await writeFile(
    path.join(folder, 'credentials'),
    `[backup]\naws_access_key_id = 444455556666\naws_secret_access_key = ${TEST_SECRET}\n`,
  );
});
afterAll(async () => {
  cli?.stop();
  await rm(folder, { recursive: true });
});

interface ScriptRun {
  code: number | null;
  output: string;
}

async function runScript(script: string, ...args: string[]): Promise<ScriptRun> {
  const file = path.join(folder, 'change.sh');
  await writeFile(file, script);
  const child = spawn('sh', [file, ...args], {
    cwd: folder,
    env: {
      PATH: `${cli?.folder}:${process.env.PATH}`,
      HOME: folder,
      TMPDIR: folder,
      // The script calls the endpoint of the plan, in spite of this one.
      AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
      AWS_SHARED_CREDENTIALS_FILE: path.join(folder, 'credentials'),
      AWS_ACCESS_KEY_ID: '111122223333',
      AWS_SECRET_ACCESS_KEY: TEST_SECRET,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_MAX_ATTEMPTS: '2',
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

async function scriptOf({ sandbox }: TestEnv, yaml: string, ...options: string[]): Promise<string> {
  const file = path.join(folder, 'spec.yaml');
  await writeFile(file, yaml);
  const { code, stdout, stderr } = await runCli(['plan', file, '-o', 'script', ...options], {
    endpoint: sandbox.endpoint,
    cwd: folder,
    env: { AWS_SHARED_CREDENTIALS_FILE: path.join(folder, 'credentials') },
  });
  expect(code, stderr).toBe(0);
  return stdout;
}

const changesOf = async (env: TestEnv, yaml: string): Promise<string[]> =>
  (await env.reconcileWith(yaml, { dryRun: true })).plan.waves.flat().map(({ id }) => id);

const succeed = (run: ScriptRun, ...parts: string[]) => {
  expect(run.code, run.output).toBe(0);
  for (const part of parts) expect(run.output).toContain(part);
};

describe.skipIf(missing)('plan -o script, run by a shell with the AWS CLI', { timeout: 120_000 }, () => {
  test('for a new pair, interrupted twice: converges with one key each, and a further run writes nothing', async () => {
    await using env = await testEnv(RICH_SPEC);
    const script = await scriptOf(env, RICH_SPEC);
    const interruptedAfter = (calls: number) =>
      script.replace('report() {\n', `report() {\n  [ "$((changed + unchanged))" -lt ${calls} ] || exit 9\n`);
    // Between CreateKey and CreateAlias, and after a policy was written.
    for (const calls of [1, 8]) expect((await runScript(interruptedAfter(calls))).code).toBe(9);
    succeed(await runScript(script), ' changed, ');
    expect(await changesOf(env, RICH_SPEC)).toEqual([]);
    expect(env.sandbox.store.account('111122223333').keys.size).toBe(2);
    succeed(await runScript(script), '\n0 changed, 21 unchanged');
  });

  test('for two accounts: checks the credentials of each before the first write', async () => {
    await using env = await testEnv(`${ACCOUNT_SPECS}${CROSS_ACCOUNT_SPEC}`);
    const accounts = ACCOUNT_SPECS.replace('id: "444455556666"', 'id: "444455556666", profile: backup');
    const script = await scriptOf(env, `${accounts}${CROSS_ACCOUNT_SPEC}`);
    expect(script).toContain(' --profile backup "$@" ;;');
    const run = await runScript(script.replace(' --profile backup "', ' "'));
    expect(run.code).toBe(1);
    expect(run.output).toContain('the credentials belong to account 111122223333, not to 444455556666');
    expect(env.sandbox.store.account('111122223333').keys.size).toBe(0);
  });

  test('after another caller changed a policy: stops there, and keeps the statement of the caller', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const script = await scriptOf(env, TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n    - prefix: Law/'));
    const added = 'Sid":"AddedByAnotherCaller';
    const rolePolicy = { RoleName: 'replikey-acme-tax', PolicyName: 'replikey' };
    const readPolicy = async () => {
      const { PolicyDocument = '' } = await env.client.send(EAST, new GetRolePolicyCommand(rolePolicy));
      return decodeURIComponent(PolicyDocument);
    };
    const policy = (await readPolicy()).replace(
      '"Statement":[',
      `"Statement":[{"${added}","Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"},`,
    );
    await env.client.send(EAST, new PutRolePolicyCommand({ ...rolePolicy, PolicyDocument: policy }));
    const run = await runScript(script);
    expect(run).toMatchObject({ code: 1 });
    expect(run.output).toContain(
      'stopped at iam.role-policy/replikey-acme-tax: the setting that get-role-policy returns has changed since the plan was made; plan again',
    );
    expect(await readPolicy()).toContain(added);
  });

  test('for another key of a live rule: retains the replaced permissions, and phase narrow removes them after the drain', async () => {
    const changed = TAX_SPEC.replace('alias/acme-tax-replica', 'alias/acme-other');
    await using env = await testEnv(changed);
    await env.reconcileWith(TAX_SPEC);
    const policy = {
      Version: '2012-10-17',
      Statement: {
        Sid: "Foreign $HOME `x` \\ größe's",
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:DeleteBucket',
        Resource: 'arn:aws:s3:::acme-tax-replica',
      },
    };
    await env.client.send(
      { region: 'us-west-2' },
      new PutBucketPolicyCommand({ Bucket: 'acme-tax-replica', Policy: JSON.stringify(policy) }),
    );
    const script = await scriptOf(env, changed, '--allow', 'change-default-key');
    succeed(await runScript(script));
    expect(await changesOf(env, changed)).toEqual([]);
    expect((await env.canaries()).map(({ result }) => result)).toEqual(['replicated', 'replicated']);
    succeed(await runScript(script), '\n0 changed, ');

    const early = await runScript(script, 'narrow');
    expect(early.code).toBe(1);
    expect(early.output).toContain('objects in flight may need the replaced permissions until');
    const later = script.replace('now=$(date -u +%Y%m%d%H%M%S)', 'now=20990101000000');
    succeed(await runScript(later, 'narrow'));
    const { plan } = await env.reconcileWith(changed, { dryRun: true });
    expect(plan.retained).toEqual([]);
    expect(plan.waves.flat()).toEqual([]);
    succeed(await runScript(script), '\n0 changed, ');
    expect(await readFile(path.join(folder, 'change.sh'), 'utf8')).not.toContain(TEST_SECRET);
  });

  test('for a plan that replikey refuses: prints no script, and exits with 3', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const file = path.join(folder, 'refused.yaml');
    await writeFile(
      file,
      TAX_SPEC.replace('alias/acme-tax,', 'alias/acme-tax-2,').replace(
        'alias/acme-tax }',
        'alias/acme-tax-2 }',
      ),
    );
    const { code, stdout, stderr } = await runCli(['plan', file, '-o', 'script'], {
      endpoint: env.sandbox.endpoint,
    });
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toContain('no script was made, because the plan is refused: ');
  });
});
