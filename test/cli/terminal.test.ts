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

/** What a terminal, a pager or a log would be steered by; a line feed is meant. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const STEERING = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;
const both = ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr;

const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const TOKEN = 'IQoJb3JpZ2luX2VjEXAMPLETOKEN//////////wEaCXVzLWVhc3QtMSJ';

it.each(['debug', 'info', 'silent'])('prints no secret at log level %s, whatever happens', async (level) => {
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
    const said = both(await runCli([...command, '-', '--log-level', level, '--debug'], options));
    expect(said).not.toContain(SECRET);
    expect(said).not.toContain(TOKEN);
  }
});

it('shows control characters of the YAML, of file names and of AWS as \\uXXXX', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-steering-'));
  const file = path.join(folder, 'a\u001b[2Jb.yaml');
  await writeFile(file, TAX_SPEC.replace('prefix: Tax/', 'prefix: "Tax\\x9b31m\\u202e/"'));
  await using testEnvironment = await testEnv();
  await testEnvironment.reconcile();
  const at = { region: 'us-east-1' };
  const steering = { Effect: 'Allow', Principal: { AWS: '*' }, Action: 'sts:AssumeRole' };
  await testEnvironment.door.send(
    at,
    new UpdateAssumeRolePolicyCommand({
      RoleName: 'replikey-acme-tax',
      PolicyDocument: JSON.stringify({ Statement: [{ ...steering, Sid: 'ReplikeyX' }] }),
    }),
  );
  const rules = [...(testEnvironment.sandbox.store.bucket('acme-tax')?.replication?.Rules ?? [])];
  const foreign = { ...rules[0], ID: 'not\u009b31mours', Priority: 9 };
  await testEnvironment.door.send(
    at,
    new PutBucketReplicationCommand({
      Bucket: 'acme-tax',
      ReplicationConfiguration: {
        Role: 'arn:aws:iam::111122223333:role/replikey-acme-tax',
        Rules: [...rules, foreign] as never,
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
      const ran = await runCli(args, { endpoint: testEnvironment.sandbox.endpoint });
      expect(both(ran), args[0]).not.toMatch(STEERING);
    }
    expect((await runCli(['plan', file], { endpoint: testEnvironment.sandbox.endpoint })).stdout).toContain(
      '\\u009b',
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('writes no escape codes where no terminal listens, and colours where FORCE_COLOR asks for them', async () => {
  await using testEnvironment = await testEnv();
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC };
  expect(both(await runCli(['plan', '-'], options))).not.toMatch(STEERING);
  const forced = { ...options, env: { FORCE_COLOR: '1' } };
  expect(both(await runCli(['plan', '-'], forced))).toMatch(STEERING);
  const refused = { ...options, env: { FORCE_COLOR: '1', NO_COLOR: '1' } };
  expect(both(await runCli(['plan', '-'], refused))).not.toMatch(STEERING);
});

it('says nothing on standard error while all goes well: no warning of a dependency either', async () => {
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

it('tells a call that is tried again once, from its third time on, with its place and reason', async () => {
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
      msg: 'iam:GetRole in us-east-1 is tried again: Throttling: Rate exceeded',
    },
  ]);
});

it('says what it waits for, and how long at most', async () => {
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
    'waiting for iam.role/replikey-acme-tax to show the written state, 60 s at most',
  );
  for (const { level } of lines) expect(level).toBe('info');
});

it('does not mind a reader that goes away, as head does', async () => {
  await using testEnvironment = await testEnv();
  const ran = await runCli(['plan', '-'], {
    endpoint: testEnvironment.sandbox.endpoint,
    input: TAX_SPEC,
    onStart: (child) => void child.stdout?.destroy(),
  });
  expect(ran).toMatchObject({ code: 0, stderr: '' });
});

it('goes on where nobody reads what is told beside the result, and ends as it would', async () => {
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
  'applies all, and says in one line that what is told cannot be written',
  async () => {
    await using testEnvironment = await testEnv();
    const full = await open('/dev/full', 'w');
    const options = { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC, stdout: full.fd };
    try {
      for (const args of [['--once', '-'], ['plan', '-', '--detailed-exitcode'], ['schema']]) {
        expect(await runCli(args, options), args[0]).toMatchObject({
          code: 1,
          stderr: 'standard output cannot be written: no space left on device\n',
        });
      }
      expect((await runCli(['validate', '-'], { ...options, input: 'kind: Pair' })).code).toBe(65);
    } finally {
      await full.close();
    }
    expect((await testEnvironment.reconcile()).plan.waves).toEqual([]);
  },
);

it('shows where an error arose with --debug only', async () => {
  const args = ['plan', '-', '--sandbox=/dev/null/none'];
  const plain = await runCli(args, { input: TAX_SPEC });
  expect(plain.code).toBe(1);
  expect(plain.stderr).toMatch(/^the sandbox cannot start: .*\n$/);
  expect((await runCli([...args, '--debug'], { input: TAX_SPEC })).stderr).toMatch(/\n {4}at /);
});
