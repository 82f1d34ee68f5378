import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { childEnvironment, MAIN, runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

/** A folder with a spec and the state of the sandbox. The tests share the state, in order. */
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-cli-'));
  await writeFile(path.join(folder, 'tax.yaml'), TAX_SPEC);
});
afterAll(() => rm(folder, { recursive: true }));

const run = (...args: string[]) => runCli([...args, 'tax.yaml'], { cwd: folder });
const writesOf = (stdout: string): number => JSON.parse(stdout).calls.writes;

it('reconcile --once: applies the plan, and a second run writes nothing', async () => {
  const before = await run('--dry-run', '--sandbox=state', '--detailed-exitcode');
  expect(before.code).toBe(2);
  expect(before.stdout).toMatch(
    /Plan: 13 to create.*\nProof: 1 of 1 rules proven\.\nBased on the rules of 1 source bucket[\s\S]*\n\nDry run: nothing was changed\.\n$/,
  );

  const first = await run('--once', '--sandbox=state', '-o', 'json');
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(writesOf(first.stdout)).toBeGreaterThanOrEqual(13);

  const second = await run('--once', '--sandbox=state');
  expect(second).toMatchObject({
    code: 0,
    stderr: '',
    stdout: [
      'Sandbox in state, not AWS\n',
      'Nothing to do: 13 resources are as declared.',
      'Proof: 1 of 1 rules proven.',
      'Based on the rules of 1 source bucket and the policies of 1 role, 2 buckets, 2',
      'keys; not read: endpoint policies. 16 of 16 requests depend on control policies',
      'that were not read.\n',
    ].join('\n'),
  });
  expect(writesOf((await run('--once', '--sandbox=state', '-o', 'json')).stdout)).toBe(0);

  expect((await run('--dry-run', '--sandbox=state', '--detailed-exitcode')).code).toBe(0);
});

it('--sandbox: without a folder, uses .replikey/sandbox and treats the next word as a spec', async () => {
  expect(await run('--once', '--sandbox')).toMatchObject({ code: 0, stderr: '' });
  expect(existsSync(path.join(folder, '.replikey/sandbox/journal.jsonl'))).toBe(true);
});

it('plan --sandbox: names the sandbox, also in the command that applies the plan', async () => {
  const { stdout } = await run('plan', '--sandbox=my state', '-o', 'markdown', '--out', 'plan.json');
  expect(stdout).toContain('\n\nSandbox in my state, not AWS.\n\n');
  expect(stdout).toMatch(/\nreconcile --once tax\.yaml --plan [0-9a-f]{16} '--sandbox=my state'\n/);
  expect((await run('plan', '--sandbox', '--out', 'plan.json')).stdout).toMatch(
    /\n {2}reconcile apply plan\.json --sandbox\n$/,
  );
});

it('plan --observed: fails if the file cannot be read, also with a sandbox', async () => {
  expect(await run('plan', '--sandbox=state', '--observed', 'none.json')).toMatchObject({
    code: 64,
    stderr: 'cannot read none.json: no such file or directory\n',
  });
});

it('options: have the same effect before and after the command', async () => {
  const before = await run('-o', 'json', '--sandbox=state', '--detailed-exitcode', 'plan');
  const after = await run('plan', '-o', 'json', '--sandbox=state', '--detailed-exitcode');
  expect(before).toEqual(after);
  expect(JSON.parse(before.stdout).format).toBe(3);
});

it('options: an option that the command lacks is rejected, so that a dry run writes no canaries', async () => {
  expect(await run('--dry-run', '--sandbox=state', 'verify')).toMatchObject({
    code: 64,
    stderr: 'verify does not support --dry-run: remove it\n',
  });
});

it('verify: writes canary objects and prints the replication time of each', async () => {
  const { code, stdout, stderr } = await run('verify', '--sandbox=state');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.replace(/\d+ ms/g, 'N ms')).toBe(
    '✓ tax/tax, with a Bucket Key: replicated under the declared key in N ms\n✓ tax/tax, without a Bucket Key: replicated under the declared key in N ms\n',
  );
});

it('verify: fails with advice if the spec is not applied', async () => {
  expect(await run('verify', '--sandbox=empty')).toMatchObject({
    code: 1,
    stdout:
      '✗ tax/tax: the spec is not applied: acme-tax has no replication configuration; apply it first: reconcile --once tax.yaml --only tax --sandbox=empty\n',
  });
});

const json: [string, string[], number][] = [
  ['a plan', ['plan', '--sandbox=state'], 0],
  ['a pass', ['--once', '--sandbox=state'], 0],
  ['canaries', ['verify', '--sandbox=state'], 0],
  ['a validation', ['validate'], 0],
  ['a plan without credentials', ['plan'], 4],
  ['a pass without credentials', ['--once'], 4],
  ['canaries without credentials', ['verify'], 4],
  ['a validation of a missing file', ['validate', 'nowhere.yaml'], 65],
  ['a plan of a missing file', ['plan', 'nowhere.yaml', '--sandbox=state'], 65],
  ['an unknown option', ['plan', '--sandbx'], 64],
  ['an invalid sandbox folder', ['plan', '--sandbox=tax.yaml'], 1],
];

it.each(json)('-o json: prints one JSON value for %s', async (_, args, code) => {
  const result = await run(...args, '-o', 'json');
  expect(result.code, result.stderr).toBe(code);
  const value = JSON.parse(result.stdout);
  expect(value.format).toBe(code === 0 && args[0] === 'plan' ? 3 : 1);
  const isFailure = code !== 0 && args[0] !== 'validate';
  expect(value.error?.exitCode).toBe(isFailure ? code : undefined);
  if (isFailure) expect(result.stderr).toContain(value.error.message);
});

it('validate -: reads specs from standard input', async () => {
  const { code, stdout } = await runCli(['validate', '-'], {
    input: await readFile(path.join(folder, 'tax.yaml'), 'utf8'),
  });
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'Valid: 1 pair in 1 file.\n' });
});

it('--only and --selector: use only the selected specs', async () => {
  const labelled = (name: string) =>
    TAX_SPEC.replaceAll('tax', name).replace(
      `{ name: ${name} }`,
      `{ name: ${name}, labels: { team: ${name} } }`,
    );
  const input = ['law', 'web'].map(labelled).join('---\n');
  await using testEnvironment = await testEnv(input);
  const options = { endpoint: testEnvironment.sandbox.endpoint, input };
  expect((await runCli(['--once', '-', '--only', 'law'], options)).code).toBe(0);
  expect([...testEnvironment.sandbox.store.buckets()].map(({ name }) => name).sort()).toEqual([
    'acme-law',
    'acme-law-replica',
  ]);
  const remaining = await runCli(['plan', '-', '-l', 'team!=law'], options);
  expect(remaining.stdout).toContain('Plan: 13 to create, 0 to update, 0 unchanged.');
  expect(await runCli(['plan', '-', '--only', 'lav'], options)).toMatchObject({
    code: 64,
    stderr: expect.stringContaining('no spec is named lav (did you mean law?)'),
  });
  expect(await runCli(['--once', '-', '--prune', '--only', 'law'], options)).toMatchObject({
    code: 64,
    stderr: expect.stringContaining('--prune treats specs that are not selected as removed'),
  });
});

it('plan -o markdown: shows the command that applies exactly this plan', async () => {
  const cwd = await mkdtemp(path.join(folder, "it's "));
  const specs = TAX_SPEC.replace('bucket: acme-tax,', `bucket: "\${var.bucket}",`);
  const variables =
    'apiVersion: replikey.dev/v1\nkind: Variables\nmetadata: { name: variables }\nspec:\n  variables: { bucket: { type: string } }\n';
  await writeFile(path.join(cwd, 'tax.yaml'), `${variables}---\n${specs}`);
  const selection = ['tax.yaml', '--only', 'tax', '--var', 'bucket=acme-tax', '--sandbox=my state'];
  const limits = ['--max-changes', '20', '--allow', 'change-default-key'];
  const plan = await runCli(['--dry-run', '-o', 'markdown', ...selection, ...limits], { cwd });
  const [, command = ''] = /```sh\nreconcile (.+)\n```/.exec(plan.stdout) ?? [];
  expect(command).toContain("--max-changes 20 '--sandbox=my state'");
  const shell = `exec '${process.execPath}' '${MAIN}' ${command}`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', shell], {
    cwd,
    env: childEnvironment(undefined),
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain('Converged: 13 applied');
});

it('plan: prints the account, even if no spec names it, and looks it up once', async () => {
  await using testEnvironment = await testEnv();
  testEnvironment.sandbox.log.reset();
  const { stdout } = await runCli(['plan', '-'], {
    endpoint: testEnvironment.sandbox.endpoint,
    input: TAX_SPEC,
  });
  expect(stdout.split('\n')[0]).toBe(`AWS at ${testEnvironment.sandbox.endpoint}, account 111122223333`);
  const lookups = testEnvironment.sandbox.log.entries.filter(
    ({ operation }) => operation === 'GetCallerIdentity',
  );
  expect(lookups).toHaveLength(1);
});
