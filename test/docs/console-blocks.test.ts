import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { CreateRoleCommand, GetRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { DescribeKeyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { DeleteBucketCommand, PutBucketReplicationCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RECORDED } from '../iac/recorded.ts';
import { childEnvironment, isInstalled, runCli, startSandboxProcess } from '../support/cli.ts';
import {
  ACCOUNT_SPECS,
  CROSS_ACCOUNT_SPEC,
  instantSoon,
  TAX_SPEC,
  type TestEnv,
  testEnv,
} from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';
import { TEST_SECRET } from '../support/secrets.ts';

/*
 * These tests run the commands in the console blocks of a page, in order, and compare the output under each command. In a
 * page, `…` replaces any number of lines. `npm run generate` writes changed output to the page; review the difference.
 */

const BAD = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata:
  name: tax
spec:
  source:
    bucket: Acme_Tax
    region: us-east-1
  destination:
    bucket: acme-tax-replica
    region: us-west-2
    key: alias/acme-tax-replica
  rules:
    - prefx: Tax/
`;

/** The address of the sandbox in the tutorial. */
const TUTORIAL_ENDPOINT = 'http://127.0.0.1:4566';

/** A command of a page. `args` are the words after `reconcile`; absent for another program. */
interface ConsoleCommand {
  line: string;
  args?: string[];
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-docs-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('README.md: the console blocks show the output of the program', { timeout: 120_000 }, async () => {
  const spec = await readFile('specs/tax.yaml', 'utf8');
  await writeFile(path.join(folder, 'bad.yaml'), BAD);
  await mkdir(path.join(folder, 'specs'));
  await writeFile(path.join(folder, 'specs/tax.yaml'), spec);
  const { text, count } = await withActualOutput('README.md', async ({ args }) => {
    if (!args) return;
    return runCli(args, { cwd: folder });
  });
  expect(count).toBeGreaterThan(6);
  await expect(text).toMatchFileSnapshot('../../README.md');
});

test.skipIf(!isInstalled('curl'))(
  'docs/tutorial/first-replication.md: the console blocks show the output of the commands (needs curl)',
  { timeout: 120_000 },
  async () => {
    const page = 'docs/tutorial/first-replication.md';
    const sandbox = await startSandboxProcess();
    try {
      const { text, count } = await withActualOutput(page, async ({ line, args }) => {
        const shellLine = line.replace(TUTORIAL_ENDPOINT, sandbox.endpoint);
        const { stdout, stderr } = args
          ? await runCli(args, { cwd: folder, endpoint: sandbox.endpoint })
          : await promisify(execFile)('sh', ['-c', shellLine], {
              cwd: folder,
              env: childEnvironment(undefined),
            });
        const toDocumented = (printed: string) => printed.replaceAll(sandbox.endpoint, TUTORIAL_ENDPOINT);
        return { stdout: toDocumented(stdout), stderr: toDocumented(stderr) };
      });
      expect(count).toBeGreaterThan(12);
      await expect(text).toMatchFileSnapshot(`../../${page}`);
    } finally {
      await sandbox.stop();
    }
  },
);

test('docs/how-to/adopt-existing-replication.md: the console blocks show the output of the program', {
  timeout: 120_000,
}, async () => {
  const page = 'docs/how-to/adopt-existing-replication.md';
  await using env = await testEnv();
  await createAsAnotherTool(env);
  const { text, count } = await withActualOutput(page, async ({ args = [] }) => {
    const [command, file] = args.join(' ').split(' > ');
    const { stdout, stderr } = await runCli((command ?? '').split(' '), {
      cwd: folder,
      endpoint: env.sandbox.endpoint,
    });
    if (file === undefined) return { stdout, stderr };
    await writeFile(path.join(folder, file), stdout);
    return { stdout: '', stderr };
  });
  expect(count).toBeGreaterThan(5);
  await expect(text).toMatchFileSnapshot(`../../${page}`);
});

test('docs/how-to/prove-a-terraform-plan.md: the console blocks show the output of the program', async () => {
  const page = 'docs/how-to/prove-a-terraform-plan.md';
  const recordings = {
    plan: 'same-account-one-sided-context',
    new: 'same-account-new',
    state: 'same-account-state',
  };
  for (const [name, recording] of Object.entries(recordings))
    await copyFile(`${RECORDED}/${recording}.json`, path.join(folder, `${name}.json`));
  const { text, count } = await withActualOutput(page, async ({ args }) => {
    if (!args) return;
    return runCli(args, { cwd: folder });
  });
  expect(count).toBe(3);
  await expect(text).toMatchFileSnapshot(`../../${page}`);
});

test('docs/how-to/recover-from-a-failure.md: the console blocks show the output of the program', {
  timeout: 120_000,
}, async () => {
  const page = 'docs/how-to/recover-from-a-failure.md';
  const spec = await readFile('specs/tax.yaml', 'utf8');
  await mkdir(path.join(folder, 'specs'));
  await writeFile(path.join(folder, 'specs/tax.yaml'), spec);
  await using env = await testEnv(spec, { faultSettings: { metricsDelayMs: 0 } });
  await env.reconcile();
  await putObjectsThatFail(env, 3);
  const { text, count } = await withActualOutput(page, ({ args = [] }) =>
    // The log has the time and the progress of the job.
    runCli([...args, '--log-level', 'warn'], { cwd: folder, endpoint: env.sandbox.endpoint }),
  );
  expect(count).toBe(5);
  await expect(text).toMatchFileSnapshot(`../../${page}`);
});

test('docs/how-to/replace-a-key.md: the console blocks show the output of the program', {
  timeout: 120_000,
}, async () => {
  const page = 'docs/how-to/replace-a-key.md';
  const specFile = path.join(folder, 'specs/tax.yaml');
  const newKey = TAX_SPEC.replace('key: alias/acme-tax }', 'key: { alias: alias/acme-tax-2026 } }');
  const replacing = newKey
    .replace('acme-tax-2026 }', 'acme-tax-2026, replaces: [alias/acme-tax] }')
    .replace('  rules:', '  reencrypt: { start: Confirmed }\n  rules:');
  await mkdir(path.dirname(specFile));
  await writeFile(specFile, replacing);
  let offset = 0;
  await using env = await testEnv(TAX_SPEC, { clock: () => Date.now() + offset });
  await env.reconcile();
  for (const key of ['a', 'b', 'c'])
    await callS3(env.sandbox.endpoint, 'PUT', `/acme-tax/Tax/${key}.pdf`, { body: 'numbers' });
  let ran = 0;
  const { text, count } = await withActualOutput(page, async ({ args = [] }) => {
    const [job] = env.sandbox.store.jobs.values();
    const actualArgs = args.map((arg) => arg.replace(/^(start-reencryption=).*/, `$1${job?.id}`));
    const printed = await runCli(actualArgs, { cwd: folder, endpoint: env.sandbox.endpoint });
    await env.sandbox.waitForJobs();
    ran += 1;
    // The drain ends after the fifth command, and the user removes the old key before the last one.
    if (ran === 5) offset += 16 * 60_000;
    if (ran === 9) await writeFile(specFile, newKey);
    return printed;
  });
  expect(count).toBe(10);
  await expect(text).toMatchFileSnapshot(`../../${page}`);
});

test('docs/how-to/replicate-existing-objects.md: the console blocks show the output of the program', {
  timeout: 120_000,
}, async () => {
  const page = 'docs/how-to/replicate-existing-objects.md';
  const spec = await readFile('specs/tax.yaml', 'utf8');
  const before = instantSoon();
  const backfill = `  backfill: { before: "${before}", report: { bucket: acme-reports, prefix: replikey/ } }\n  rules:`;
  await mkdir(path.join(folder, 'specs'));
  await writeFile(path.join(folder, 'specs/tax.yaml'), spec);
  // The metrics depend on the minute.
  await using env = await testEnv(spec, { faultSettings: { metricsDelayMs: 3_600_000 } });
  await putOldObjects(env, spec);
  const { text, count } = await withActualOutput(page, async ({ args = [] }) => {
    const [job] = env.sandbox.store.jobs.values();
    const actualArgs = args.map((arg) => arg.replace(/^(start-backfill=).*/, `$1${job?.id}`));
    if (args[0] === 'plan')
      await writeFile(path.join(folder, 'specs/tax.yaml'), spec.replace('  rules:', backfill));
    const result = await runCli([...actualArgs, '--log-level', 'warn'], {
      cwd: folder,
      endpoint: env.sandbox.endpoint,
    });
    await env.sandbox.waitForJobs();
    return result;
  });
  expect(count).toBe(8);
  await expect(text).toMatchFileSnapshot(`../../${page}`);
});

test('docs/how-to/survey-all-accounts.md: the console blocks show the output of the program', {
  timeout: 120_000,
}, async () => {
  const page = 'docs/how-to/survey-all-accounts.md';
  await using env = await testEnv(FLEET_YAML, { faultSettings: { metricsDelayMs: 3_600_000 } });
  await writeFile(path.join(folder, 'accounts.yaml'), FLEET_ACCOUNTS_YAML);
  await writeFile(path.join(folder, 'config'), FLEET_PROFILES);
  const repairLedger = await damageFleet(env);
  let ran = 0;
  const { text, count } = await withActualOutput(page, async ({ args = [] }) => {
    if (ran++ === 1) await repairLedger();
    return runCli([...args, '--log-level', 'warn'], {
      cwd: folder,
      endpoint: env.sandbox.endpoint,
      env: { AWS_CONFIG_FILE: path.join(folder, 'config') },
    });
  });
  expect(count).toBe(2);
  await expect(text).toMatchFileSnapshot(`../../${page}`);
});

const FLEET_PAIRS = ['tax', 'ledger', 'contracts'].map((name) =>
  CROSS_ACCOUNT_SPEC.replaceAll('tax', name).replace('Tax/', 'Data/'),
);
const FLEET_YAML = [ACCOUNT_SPECS, FLEET_PAIRS.join('---\n')].join('');
const FLEET_ACCOUNTS_YAML = ACCOUNT_SPECS.replace(/name: main/, 'name: finance')
  .replace('"111122223333"', '"111122223333", profile: finance')
  .replace('"444455556666"', '"444455556666", profile: backup')
  .replace(/---\n$/, '');
const FLEET_PROFILES = Object.entries({ finance: '111122223333', backup: '444455556666' })
  .map(
    ([name, id]) =>
      `[profile ${name}]\naws_access_key_id = ${id}\naws_secret_access_key = ${TEST_SECRET}\nregion = us-east-1\n`,
  )
  .join('');

/**
 * Damages two of three pairs: a role loses the statement for source objects, and an unknown account takes over the name of
 * a destination. Adds a bucket that denies the reads. Returns a function that repairs the role.
 */
async function damageFleet({ client, reconcile, sandbox }: TestEnv): Promise<() => Promise<unknown>> {
  await reconcile();
  const [main, backup] = [
    { account: 'main', region: 'us-east-1' },
    { account: 'backup', region: 'us-west-2' },
  ];
  const role = { RoleName: 'replikey-acme-ledger', PolicyName: 'replikey' };
  const { PolicyDocument = '' } = await client.send(main, new GetRolePolicyCommand(role));
  const document = decodeURIComponent(PolicyDocument);
  const policy = JSON.parse(document) as { Statement: { Sid?: string }[] };
  policy.Statement = policy.Statement.filter(({ Sid }) => !Sid?.includes('SourceObjects'));
  await client.send(main, new PutRolePolicyCommand({ ...role, PolicyDocument: JSON.stringify(policy) }));
  await client.send(backup, new DeleteBucketCommand({ Bucket: 'acme-contracts-replica' }));
  await callS3(sandbox.endpoint, 'PUT', '/acme-contracts-replica', { account: '999900001111' });
  await callS3(sandbox.endpoint, 'PUT', '/acme-sealed', { account: '444455556666' });
  const Statement = [
    {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:GetReplicationConfiguration',
      Resource: 'arn:aws:s3:::acme-sealed',
    },
  ];
  await callS3(sandbox.endpoint, 'PUT', '/acme-sealed?policy', {
    account: '444455556666',
    body: JSON.stringify({ Version: '2012-10-17', Statement }),
  });
  return () => client.send(main, new PutRolePolicyCommand({ ...role, PolicyDocument: document }));
}

/** Puts objects that no rule selects yet, and one whose replica was deleted before S3 could replicate its tags. */
async function putOldObjects({ sandbox, reconcile, reconcileWith }: TestEnv, spec: string): Promise<void> {
  const { endpoint } = sandbox;
  await reconcileWith(spec.replace('- prefix: Tax/', '- name: tax\n      prefix: Tax/2024'));
  await callS3(endpoint, 'PUT', '/acme-reports');
  for (const key of ['2024-12', '2025-01', '2025-02'])
    await callS3(endpoint, 'PUT', `/acme-tax/Tax/${key}.pdf`, { body: 'numbers' });
  await sandbox.waitForReplication();
  sandbox.store.bucket('acme-tax-replica')?.objects.delete('Tax/2024-12.pdf');
  const body = '<Tagging><TagSet><Tag><Key>year</Key><Value>2024</Value></Tag></TagSet></Tagging>';
  await callS3(endpoint, 'PUT', '/acme-tax/Tax/2024-12.pdf?tagging', { body });
  await sandbox.waitForReplication();
  await reconcile();
}

/** Removes the statement with which S3 reads source objects, and puts objects. */
async function putObjectsThatFail({ client, sandbox }: TestEnv, count: number): Promise<void> {
  const east = { region: 'us-east-1' };
  const role = { RoleName: 'replikey-acme-tax', PolicyName: 'replikey' };
  const { PolicyDocument = '' } = await client.send(east, new GetRolePolicyCommand(role));
  const policy = JSON.parse(decodeURIComponent(PolicyDocument)) as { Statement: { Sid?: string }[] };
  policy.Statement = policy.Statement.filter(({ Sid }) => !Sid?.includes('SourceObjects'));
  await client.send(east, new PutRolePolicyCommand({ ...role, PolicyDocument: JSON.stringify(policy) }));
  for (let index = 0; index < count; index++)
    await callS3(sandbox.endpoint, 'PUT', `/acme-tax/Tax/2026-0${index + 1}.pdf`, { body: 'numbers' });
  await sandbox.waitForReplication();
}

/** Gives the resources of a pair the names, and its policies the form, that another tool gives them. */
async function createAsAnotherTool({ client, reconcile, sandbox }: TestEnv): Promise<void> {
  await reconcile();
  const east = { region: 'us-east-1' };
  const role = { RoleName: 'replikey-acme-tax', PolicyName: 'replikey' };
  const { PolicyDocument = '' } = await client.send(east, new GetRolePolicyCommand(role));
  const policy = JSON.parse(decodeURIComponent(PolicyDocument)) as { Statement: { Sid?: string }[] };
  const RoleName = 'tax-replication';
  const Statement = policy.Statement.map(({ Sid: _, ...statement }) => statement);
  const trust = { Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' };
  const toText = (statements: object[]) => JSON.stringify({ Version: '2012-10-17', Statement: statements });
  await client.send(east, new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: toText([trust]) }));
  await client.send(
    east,
    new PutRolePolicyCommand({ RoleName, PolicyName: 'replication', PolicyDocument: toText(Statement) }),
  );
  const [rule] = sandbox.store.bucket('acme-tax')?.replication?.Rules ?? [];
  const root = { AWS: 'arn:aws:iam::111122223333:root' };
  for (const [region, alias] of Object.entries({
    'us-east-1': 'alias/acme-tax',
    'us-west-2': 'alias/acme-tax-replica',
  })) {
    const { KeyMetadata } = await client.send({ region }, new DescribeKeyCommand({ KeyId: alias }));
    const Policy = toText([{ Effect: 'Allow', Principal: root, Action: 'kms:*', Resource: '*' }]);
    await client.send({ region }, new PutKeyPolicyCommand({ KeyId: KeyMetadata?.KeyId, Policy }));
  }
  await client.send(
    east,
    new PutBucketReplicationCommand({
      Bucket: 'acme-tax',
      ReplicationConfiguration: {
        Role: `arn:aws:iam::111122223333:role/${RoleName}`,
        Rules: [{ ...rule, ID: 'tax', Destination: { Bucket: '', ...rule?.Destination }, Status: 'Enabled' }],
      },
    }),
  );
}

/**
 * Returns the page with the actual output of each command where the documented output does not match it, and the number of
 * commands that ran. `run` returns undefined for a command that cannot run in a test.
 */
async function withActualOutput(
  page: string,
  run: (command: ConsoleCommand) => Promise<{ stdout: string; stderr: string } | undefined>,
): Promise<{ text: string; count: number }> {
  let text = '';
  let count = 0;
  for (const block of (await readFile(page, 'utf8')).split(/^(```console\n[\s\S]*?^```$)/m)) {
    if (!block.startsWith('```console\n')) {
      text += block;
      continue;
    }
    const [opening = '', ...entries] = block.slice(0, -'```'.length).split(/^\$ /m);
    text += opening;
    for (const entry of entries) {
      const [, line = '', documented = ''] = /^((?:.*\\\n)*.*)\n([\s\S]*)$/.exec(entry) ?? [];
      const args = /\breconcile (.*)$/.exec(line)?.[1]?.split(' ');
      const printed = await run({ line, ...(args && { args }) });
      if (printed) count += 1;
      text += `$ ${line}\n${printed ? updateOutput(documented, printed.stdout + printed.stderr) : documented}`;
    }
    text += '```';
  }
  return { text, count };
}

/**
 * Returns the documented output if the actual one matches it. Otherwise returns the actual output, with the same parts left
 * out: each part keeps its number of lines, and a part in between is found by its first line that did not change.
 */
function updateOutput(documented: string, actual: string): string {
  const documentedLines = documented.split('\n').slice(0, -1);
  if (matches(documentedLines, actual)) return documented;
  const actualLines = actual.replace(/^\n+|\n+$/g, '').split('\n');
  const gaps = documentedLines.flatMap((line, index) => (line === '…' ? [index] : []));
  const parts = [...gaps, documentedLines.length].map((end, index) =>
    documentedLines.slice((gaps[index - 1] ?? -1) + 1, end),
  );
  const updated = parts.map((part, index) => {
    if (parts.length === 1) return actualLines;
    if (index === 0) return actualLines.slice(0, part.length);
    if (index === parts.length - 1) return actualLines.slice(actualLines.length - part.length);
    const start = startOfPart(part, actualLines);
    return start === undefined ? part : actualLines.slice(start, start + part.length);
  });
  const lines = updated.flatMap((part, index) => (index === 0 ? part : ['…', ...part]));
  if (!matches(lines, actual))
    throw new Error(`update this output by hand:\n${documented}\nactual:\n${actual}`);
  return lines.map((line) => `${line}\n`).join('');
}

/** Returns the index at which a part begins in the actual output; undefined if none of its lines is in it. */
function startOfPart(part: string[], actualLines: string[]): number | undefined {
  const comparableLines = actualLines.map(withoutVariableValues);
  for (const [offset, line] of part.entries()) {
    const index = comparableLines.indexOf(withoutVariableValues(line));
    if (index >= offset) return index - offset;
  }
  return undefined;
}

/** Whether the lines are the actual output, with `…` for any number of lines; empty lines at the ends do not count. */
function matches(lines: string[], actual: string): boolean {
  const parts = lines.map((line) =>
    line === '…' ? '(?:.*\n)*?' : `${escapeRegExp(withoutVariableValues(line))}\n`,
  );
  return new RegExp(`^\\n*${parts.join('')}\\n*$`).test(withoutVariableValues(actual));
}

/** Replaces values that differ between runs. A checksum covers the ARNs of keys, and KMS makes their ids. */
const withoutVariableValues = (text: string): string =>
  text
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d UTC/g, 'TIME')
    .replace(/in \d+ ms/g, 'in N ms')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z/g, 'TIME')
    .replace(/Checksum [0-9a-f]{16}/g, 'Checksum C')
    // The ids of jobs and keys.
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID')
    .replace(/\b\d{4}-\d\d-\d\d\b/g, 'DATE');

const escapeRegExp = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
