import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { UpdateAssumeRolePolicyCommand } from '@aws-sdk/client-iam';
import { PutBucketReplicationCommand } from '@aws-sdk/client-s3';
import { expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

/** Characters that control a terminal, a pager or a log, except the line feed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the test looks for control characters
const CONTROL_CHARACTERS = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;
const both = ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr;

const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const TOKEN = 'IQoJb3JpZ2luX2VjEXAMPLETOKEN//////////wEaCXVzLWVhc3QtMSJ';

it.each(['debug', 'info', 'silent'])(
  'output: contains no secret at log level %s, even if calls fail',
  async (level) => {
    await using testEnvironment = await testEnv(TAX_SPEC, {
      faultSettings: {
        faults: [
          { match: 'kms', nth: 1, times: 3, what: 'throttle' },
          { match: 'PutBucketVersioning', nth: 1, what: 'reset-after' },
          { match: 'PutBucketEncryption', nth: 1, what: { status: 403, code: 'SignatureDoesNotMatch' } },
        ],
      },
    });
    const options = {
      endpoint: testEnvironment.sandbox.endpoint,
      input: TAX_SPEC,
      env: { AWS_SECRET_ACCESS_KEY: SECRET, AWS_SESSION_TOKEN: TOKEN },
    };
    for (const command of [['--once'], ['plan'], ['verify', '--timeout', '5'], ['--once', '-o', 'json']]) {
      const output = both(await runCli([...command, '-', '--log-level', level, '--debug'], options));
      expect(output).not.toContain(SECRET);
      expect(output).not.toContain(TOKEN);
    }
  },
);

it('output: escapes control characters from YAML, file names and AWS as \\uXXXX', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-control-characters-'));
  const file = path.join(folder, 'a\u001b[2Jb.yaml');
  await writeFile(file, TAX_SPEC.replace('prefix: Tax/', 'prefix: "Tax\\x9b31m\\u202e/"'));
  await using testEnvironment = await testEnv();
  await testEnvironment.reconcile();
  const location = { region: 'us-east-1' };
  const statement = { Effect: 'Allow', Principal: { AWS: '*' }, Action: 'sts:AssumeRole' };
  await testEnvironment.client.send(
    location,
    new UpdateAssumeRolePolicyCommand({
      RoleName: 'replikey-acme-tax',
      PolicyDocument: JSON.stringify({ Statement: [{ ...statement, Sid: 'ReplikeyX' }] }),
    }),
  );
  const rules = [...(testEnvironment.sandbox.store.bucket('acme-tax')?.replication?.Rules ?? [])];
  const foreignRule = { ...rules[0], ID: 'foreign\u009b31mrule', Priority: 9 };
  await testEnvironment.client.send(
    location,
    new PutBucketReplicationCommand({
      Bucket: 'acme-tax',
      ReplicationConfiguration: {
        Role: 'arn:aws:iam::111122223333:role/replikey-acme-tax',
        Rules: [...rules, foreignRule] as never,
      },
    }),
  );
  try {
    for (const args of [
      ['plan', file],
      ['validate', file],
      ['--once', file],
      ['plan', `${file}\u0007`],
      [`pl\u001ban`],
    ]) {
      const result = await runCli(args, { endpoint: testEnvironment.sandbox.endpoint });
      expect(both(result), args[0]).not.toMatch(CONTROL_CHARACTERS);
    }
    expect((await runCli(['plan', file], { endpoint: testEnvironment.sandbox.endpoint })).stdout).toContain(
      '\\u009b',
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('output: contains colours without a terminal only if FORCE_COLOR is set, and NO_COLOR is not', async () => {
  await using testEnvironment = await testEnv();
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC };
  expect(both(await runCli(['plan', '-'], options))).not.toMatch(CONTROL_CHARACTERS);
  const forced = { ...options, env: { FORCE_COLOR: '1' } };
  expect(both(await runCli(['plan', '-'], forced))).toMatch(CONTROL_CHARACTERS);
  const disabled = { ...options, env: { FORCE_COLOR: '1', NO_COLOR: '1' } };
  expect(both(await runCli(['plan', '-'], disabled))).not.toMatch(CONTROL_CHARACTERS);
});

it('--color: wins over NO_COLOR and FORCE_COLOR, before and after the command', async () => {
  await using testEnvironment = await testEnv();
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC };
  const disabled = { ...options, env: { NO_COLOR: '1' } };
  expect(both(await runCli(['plan', '-', '--color', 'always'], disabled))).toMatch(CONTROL_CHARACTERS);
  const forced = { ...options, env: { FORCE_COLOR: '1' } };
  expect(both(await runCli(['--color', 'never', 'plan', '-'], forced))).not.toMatch(CONTROL_CHARACTERS);
  expect(both(await runCli(['plan', '-', '--color', 'auto'], forced))).toMatch(CONTROL_CHARACTERS);
});

it('--quiet: prints the result, warnings and errors, and no information', async () => {
  await using testEnvironment = await testEnv(TAX_SPEC, {
    faultSettings: { faults: [{ match: 'CreateRole', nth: 1, what: { status: 403, code: 'AccessDenied' } }] },
  });
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC };
  const failed = await runCli(['--once', '-', '--quiet'], options);
  expect(failed).toMatchObject({ code: 1, stdout: expect.stringContaining('Not converged') });
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-quiet-'));
  const survey = async (...more: string[]) =>
    (await runCli(['doctor', '-', '--all', '--save', path.join(folder, 'fleet.json'), ...more], options))
      .stderr;
  try {
    expect(await survey()).toContain('surveyed');
    expect(await survey('--quiet')).not.toContain('surveyed');
  } finally {
    await rm(folder, { recursive: true });
  }
  expect(await runCli(['plan', '-', '--quiet', '--log-level', 'debug'], options)).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("'-q, --quiet' cannot be used with option '--log-level <level>'"),
  });
});

it('help exit-codes, version: print without AWS', async () => {
  const { stdout } = await runCli(['help', 'exit-codes'], {});
  expect(stdout).toMatch(/^0 +converged/);
  expect(stdout).toMatch(/^64 +invalid arguments$/m);
  expect((await runCli(['version'], {})).stdout).toBe((await runCli(['--version'], {})).stdout);
});

it('standard error: empty on success, without warnings of dependencies', async () => {
  await using testEnvironment = await testEnv();
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC };
  for (const args of [
    ['validate', '-'],
    ['plan', '-'],
    ['--once', '-'],
    ['verify', '-'],
    ['schema'],
    ['--help'],
  ]) {
    expect(await runCli(args, options), args[0]).toMatchObject({ code: 0, stderr: '' });
  }
});

it('standard error: no warning of Node about listeners while many calls wait for a retry', async () => {
  const pairs = Array.from({ length: 12 }, (_, index) => TAX_SPEC.replaceAll('tax', `tax-${index}`));
  const input = pairs.join('---\n');
  await using testEnvironment = await testEnv(input, {
    faultSettings: { faults: [{ match: 'GetBucketVersioning', nth: 1, times: 24, what: 'throttle' }] },
  });
  const options = { endpoint: testEnvironment.sandbox.endpoint, input };
  expect(await runCli(['plan', '-'], options)).toMatchObject({ code: 0, stderr: '' });
});

it('log: warns of a retried call once, at the third attempt, with Region and reason', async () => {
  await using testEnvironment = await testEnv(TAX_SPEC, {
    faultSettings: { faults: [{ match: 'GetRole', nth: 1, times: 4, what: 'throttle' }] },
  });
  const { code, stderr } = await runCli(['plan', '-'], {
    endpoint: testEnvironment.sandbox.endpoint,
    input: TAX_SPEC,
  });
  expect(code).toBe(0);
  expect(
    stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    {
      level: 'warn',
      time: expect.any(String),
      operation: 'iam:GetRole',
      region: 'us-east-1',
      attempt: 3,
      msg: 'retrying iam:GetRole in us-east-1: Throttling: Rate exceeded',
    },
  ]);
});

it('log: names the condition that a step waits for, and the maximum time', async () => {
  await using testEnvironment = await testEnv(TAX_SPEC, { faultSettings: { rolePropagationMs: 1_000 } });
  const { code, stderr } = await runCli(['--once', '-'], {
    endpoint: testEnvironment.sandbox.endpoint,
    input: TAX_SPEC,
  });
  expect(code).toBe(0);
  const lines = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ msg }) => msg)).toContain(
    'waiting for iam.role/replikey-acme-tax to show the written state, at most 60 s',
  );
  for (const { level } of lines) expect(level).toBe('info');
});

it('standard output: a reader that closes the pipe, as head does, is not a failure', async () => {
  await using testEnvironment = await testEnv();
  const result = await runCli(['plan', '-'], {
    endpoint: testEnvironment.sandbox.endpoint,
    input: TAX_SPEC,
    onStart: (child) => void child.stdout?.destroy(),
  });
  expect(result).toMatchObject({ code: 0, stderr: '' });
});

it('standard error: a reader that closes the pipe does not change the result or the exit code', async () => {
  await using testEnvironment = await testEnv(TAX_SPEC, { faultSettings: { rolePropagationMs: 1_000 } });
  const options = {
    endpoint: testEnvironment.sandbox.endpoint,
    onStart: (child: ChildProcess) => void child.stderr?.destroy(),
  };
  const applied = await runCli(['--once', '-', '--log-level', 'debug'], { ...options, input: TAX_SPEC });
  expect(applied.code).toBe(0);
  expect(applied.stdout).toContain('Converged: 13 applied');
  expect((await runCli(['validate', '-'], { ...options, input: 'kind: Pair' })).code).toBe(65);
});

it.runIf(existsSync('/dev/full'))(
  'standard output: a full disk fails the command with one line, after all changes are applied',
  async () => {
    await using testEnvironment = await testEnv();
    const full = await open('/dev/full', 'w');
    const options = { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC, stdout: full.fd };
    try {
      for (const args of [['--once', '-'], ['plan', '-', '--detailed-exitcode'], ['schema']]) {
        expect(await runCli(args, options), args[0]).toMatchObject({
          code: 1,
          stderr: 'cannot write to standard output: no space left on device\n',
        });
      }
      expect((await runCli(['validate', '-'], { ...options, input: 'kind: Pair' })).code).toBe(65);
    } finally {
      await full.close();
    }
    expect((await testEnvironment.reconcile()).plan.waves).toEqual([]);
  },
);

it('error: has a stack trace only with --debug', async () => {
  const args = ['plan', '-', '--sandbox=/dev/null/none'];
  const plain = await runCli(args, { input: TAX_SPEC });
  expect(plain.code).toBe(1);
  expect(plain.stderr).toMatch(/^cannot start the sandbox: .*\n$/);
  expect((await runCli([...args, '--debug'], { input: TAX_SPEC })).stderr).toMatch(/\n {4}at /);
});
