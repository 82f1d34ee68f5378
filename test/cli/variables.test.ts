import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli, type SandboxProcess, startSandboxProcess } from '../support/cli.ts';

const SPEC = 'specs/examples/defaults-and-variables.yaml';

let folder: string;
let aws: SandboxProcess;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-variables-'));
  aws = await startSandboxProcess();
});

afterAll(async () => {
  await aws.stop();
  await rm(folder, { recursive: true });
});

const plan = (...args: string[]) => runCli(['plan', SPEC, ...args], { endpoint: aws.endpoint });

describe('reconcile validate', () => {
  test('lists the used variables with their values and sources', async () => {
    const env = { REPLIKEY_ARCHIVE: 'false', REPLIKEY_STAGE: 'prod' };
    const { stdout } = await runCli(['validate', SPEC], { env });
    expect(stdout).toMatchInlineSnapshot(`
      "Valid: 2 pairs in 1 file.
        archive = false  (environment REPLIKEY_ARCHIVE)
        stage   = dev    (default)
      "
    `);
    const json = await runCli(['validate', SPEC, '--var', 'stage=prod', '-o', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      valid: true,
      variables: [
        { name: 'archive', value: true, from: 'default' },
        { name: 'stage', value: 'prod', from: '--var' },
      ],
    });
  });

  test('rejects a --var that no spec declares', async () => {
    const { code, stderr } = await runCli(['validate', SPEC, '--var', 'stgae=prod']);
    expect(code).toBe(65);
    expect(stderr).toContain('did you mean stage?');
  });
});

test.each([
  ['plan', ['plan', SPEC]],
  ['reconcile', ['--dry-run', SPEC]],
  ['observe', ['observe', SPEC]],
  ['verify', ['verify', SPEC]],
  ['doctor', ['doctor', SPEC]],
])('%s: rejects an invalid value of a variable without calling AWS', async (_, args) => {
  const { code, stderr } = await runCli([...args, '--var', 'stage=test']);
  expect(code).toBe(65);
  expect(stderr).toContain('--var:1:7  stage: expected dev or prod, found "test"');
});

test('--var: is passed to the command that follows it', async () => {
  const { stdout } = await runCli(['--var', 'stage=prod', 'validate', SPEC]);
  expect(stdout).toContain('stage   = prod  (--var)');
});

test('plan: saves the variables, and the command that applies the plan sets them', async () => {
  const file = path.join(folder, 'plan.json');
  await plan('--var', 'stage=prod', '--out', file);
  const saved = JSON.parse(await readFile(file, 'utf8'));
  expect(saved.made).toMatchObject({ variables: ['stage=prod'] });

  const { stdout } = await plan('--var', 'stage=prod', '-o', 'markdown');
  expect(stdout).toContain(`reconcile --once ${SPEC} --var stage=prod --plan ${saved.digest.slice(0, 16)}`);

  const applied = await runCli(['apply', file, '-o', 'json'], { endpoint: aws.endpoint });
  const { results } = JSON.parse(applied.stdout);
  expect(applied.code).toBe(0);
  expect(results.map(({ id }: { id: string }) => id)).toContain('s3.replication/acme-orders-prod');
});
