import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it, vi } from 'vitest';
import type { RequestEntry } from '../../src/sandbox/admin-api.ts';
import { runCli, startSandboxProcess } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

it('0 and 2: planned, with and without --detailed-exitcode', async () => {
  await using testEnvironment = await testEnv();
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC };
  expect((await runCli(['plan', '-'], options)).code).toBe(0);
  expect((await runCli(['plan', '-', '--detailed-exitcode'], options)).code).toBe(2);
});

it('1: partly failed, with the cause, what was not done for it, and what to do', async () => {
  await using testEnvironment = await testEnv(TAX_SPEC, {
    faultSettings: { faults: [{ match: 'CreateRole', nth: 1, what: { status: 403, code: 'AccessDenied' } }] },
  });
  const { code, stdout } = await runCli(['--once', '-'], {
    endpoint: testEnvironment.sandbox.endpoint,
    input: TAX_SPEC,
  });
  expect(code).toBe(1);
  expect(stdout).toContain('✓ created s3.bucket/acme-tax\n');
  expect(stdout).toContain('✗ failed iam.role/replikey-acme-tax\n');
  const end = stdout.slice(stdout.indexOf('Not converged'));
  expect(end.replace(/request [\w-]+/, 'request R')).toMatchInlineSnapshot(`
    "Not converged: 8 applied, 1 failed, 4 skipped, 0 blocked.
      failed iam.role/replikey-acme-tax: iam:CreateRole in us-east-1: AccessDenied (HTTP 403): AccessDenied, request R; these credentials lack the permission
      skipped: iam.role/replikey-acme-tax was not applied
          iam.role-policy/replikey-acme-tax
          kms.key-policy/alias/acme-tax-replica@us-west-2
          kms.key-policy/alias/acme-tax@us-east-1
      skipped s3.replication/acme-tax: iam.role-policy/replikey-acme-tax was not applied
    Run it again once the cause is mended: it goes on where it stands.
    "
  `);
  expect((await testEnvironment.reconcile()).remaining?.waves).toEqual([]);
});

it('3: refused, with the word that allows it', async () => {
  await using testEnvironment = await testEnv();
  await testEnvironment.reconcile();
  const other = TAX_SPEC.replace('alias/acme-tax }', 'alias/another }');
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: other };
  testEnvironment.sandbox.log.reset();
  const refused = await runCli(['--once', '-'], options);
  expect(refused.code).toBe(3);
  expect(refused.stdout).toContain('Refused: nothing was changed.');
  expect(refused.stdout).toContain('allow it with --allow change-default-key');
  expect(testEnvironment.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  expect((await runCli(['--once', '-', '--allow', 'change-default-key'], options)).code).toBe(0);
});

it('3: refused, since the plan differs from the approved plan', async () => {
  await using testEnvironment = await testEnv();
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC };
  const planned = (await runCli(['--dry-run', '-'], options)).stdout;
  const [, checksum = ''] = /Checksum ([0-9a-f]{16})$/m.exec(planned) ?? [];
  testEnvironment.sandbox.log.reset();
  const other = { ...options, input: TAX_SPEC.replace('prefix: Tax/', 'prefix: Taxes/') };
  const refused = await runCli(['--once', '-', '--plan', checksum], other);
  expect(refused.code).toBe(3);
  expect(refused.stdout).toMatch(
    new RegExp(
      `the plan differs from the approved plan: its checksum is [0-9a-f]{16}, not ${checksum}, because the specs or the state in AWS changed since;`,
    ),
  );
  expect(testEnvironment.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);

  expect((await runCli(['--once', '-', '--plan', checksum], options)).code).toBe(0);
  // What was approved is done: again there is nothing to do, and the same checksum does not let the next change pass.
  expect((await runCli(['--once', '-', '--plan', checksum], options)).code).toBe(0);
  expect((await runCli(['--once', '-', '--plan', checksum], other)).code).toBe(3);
  expect(await runCli(['--once', '-', '--plan', 'latest'], options)).toMatchObject({
    code: 64,
    stderr: expect.stringContaining('The checksum of a plan has at least 16 digits'),
  });
});

it('1: nobody listens at the endpoint, which is said of each thing that cannot be read', async () => {
  const { code, stdout, stderr } = await runCli(['plan', '-', '--log-level', 'error'], {
    input: TAX_SPEC,
    endpoint: 'http://127.0.0.1:1',
  });
  expect(code).toBe(1);
  expect(stdout).toMatch(/! s3\.bucket\/acme-tax\n(.*\n)*? +cannot be read: .*ECONNREFUSED\s+127\.0\.0\.1:1/);
  expect(stderr).not.toContain('fault of replikey');
}, 60_000);

it('64: an endpoint that is no URL', async () => {
  expect(await runCli(['plan', '-'], { input: TAX_SPEC, endpoint: 'nonsense' })).toMatchObject({
    code: 64,
    stderr: 'AWS_ENDPOINT_URL is no URL: "nonsense"; write it as http://127.0.0.1:4566\n',
  });
});

it('4: a profile that is none is named', async () => {
  const { code, stderr } = await runCli(['plan', '-'], { input: TAX_SPEC, env: { AWS_PROFILE: 'nope' } });
  expect(code).toBe(4);
  expect(stderr).toContain('AWS_PROFILE is "nope"');
});

it('4: no credentials, with what to set', async () => {
  const { code, stdout, stderr } = await runCli(['--once', '-'], { input: TAX_SPEC });
  expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
  expect(stderr).toMatch(
    /Could not load credentials from any providers; set AWS_PROFILE or the AWS_\* variables/,
  );
});

it('4: the wrong account, before anything is read or changed there', async () => {
  await using testEnvironment = await testEnv();
  const account = `${TAX_SPEC.replaceAll('region:', 'account: main, region:')}---
apiVersion: replikey.dev/v1
kind: Account
metadata: { name: main }
spec: { id: "999988887777" }
`;
  const { code, stderr } = await runCli(['--once', '-'], {
    endpoint: testEnvironment.sandbox.endpoint,
    input: account,
  });
  expect(code).toBe(4);
  expect(stderr).toContain('belong to 111122223333, but its Account document declares 999988887777');
  expect(testEnvironment.sandbox.log.entries.filter(({ write }) => write)).toMatchObject([]);
});

const usage: [string, string[], RegExp][] = [
  ['nothing', [], /^name the specs: reconcile --once specs\//],
  ['a misspelt option', ['--oncee', 'specs/'], /\(Did you mean --once\?\)/],
  ['a misspelt option of a command', ['plan', '--outpt', 'json', '-'], /\(Did you mean --output\?\)/],
  [
    'a misspelt command',
    ['plna', 'specs/'],
    /^there is no command or file "plna" \(did you mean plan\?\)\n$/,
  ],
  ['a number that is none', ['--once', '--wait', 'long', '-'], /a number of seconds, 0 to 86400/],
  ['a port that is none', ['sandbox', '--port', '65536'], /a port, 0 to 65535/],
  ['an unknown form', ['plan', '-o', 'yaml', '-'], /Allowed choices are text, json/],
  ['a file that is none', ['apply', 'none.json'], /^none\.json cannot be read: no such file or directory\n$/],
  ['a command without specs', ['validate'], /missing required argument 'paths'/],
];

it.each(usage)('64: %s', async (_, args, words) => {
  const { code, stdout, stderr } = await runCli(args);
  expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
  expect(stderr).toMatch(words);
});

it.each(['--once', '--dry-run', 'plan', 'verify', 'validate'])(
  '65: invalid specs, for %s',
  async (command) => {
    const { code, stdout, stderr } = await runCli([command, '-'], {
      input: TAX_SPEC.replace('prefix:', 'prefx:'),
    });
    expect({ code, stdout }).toEqual({ code: 65, stdout: '' });
    expect(stderr).toMatch(/prefx[\s\S]*did you mean "?prefix/i);
  },
);

const signals = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const;

/** Run `--once`, send a signal during the first call that `strikes` says, and answer it once the signal is noticed. */
async function interrupted(
  signal: NodeJS.Signals,
  strikes: (entry: RequestEntry) => boolean,
  ...args: string[]
) {
  let child: ChildProcess | undefined;
  let noticed = '';
  let struck: RequestEntry | undefined;
  const testEnvironment = await testEnv(TAX_SPEC, {
    onCall: async (entry, phase) => {
      if (phase !== 'before') return;
      if (!struck && strikes(entry)) {
        struck = entry;
        child?.kill(signal);
      }
      if (struck) await vi.waitFor(() => expect(noticed).toContain(signal), { timeout: 10_000 });
    },
  });
  const ran = await runCli(['--once', '-', ...args], {
    endpoint: testEnvironment.sandbox.endpoint,
    input: TAX_SPEC,
    onStart: (started) => {
      child = started;
      started.stderr?.on('data', (text) => {
        noticed += text;
      });
    },
  });
  return { ran, world: testEnvironment, struck };
}

it.each(signals)(
  '%s in the middle of an apply: finishes the calls in flight, starts no other, and says where things stand (%i)',
  async (signal, code) => {
    const { ran, struck, ...rest } = await interrupted(
      signal,
      ({ operation }) => operation === 'PutRolePolicy',
    );
    await using testEnvironment = rest.world;
    const { entries } = testEnvironment.sandbox.log;
    expect(ran).toMatchObject({
      code,
      signal: null,
      stderr: `${signal}: finishing what is in flight; a second one ends it at once.\n`,
    });
    expect(struck?.status).toBe(200);
    expect(ran.stdout).toMatch(/\nNot converged: \d+ applied, \d+ failed, \d+ skipped, 0 blocked\.\n/);
    expect(ran.stdout).toContain('interrupted: the call in flight was finished');
    expect(entries.some(({ operation }) => operation === 'PutBucketReplication')).toBe(false);

    expect(
      (await runCli(['--once', '-'], { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC })).code,
    ).toBe(0);
  },
);

it.each(signals)('%s while it reads: nothing is changed, and JSON says so too (%i)', async (signal, code) => {
  const { ran, ...rest } = await interrupted(signal, () => true, '-o', 'json');
  await using testEnvironment = rest.world;
  expect(ran.code).toBe(code);
  expect(JSON.parse(ran.stdout)).toMatchObject({ format: 1, error: { exitCode: code } });
  expect(testEnvironment.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
});

it.each(signals)('%s ends reconcile sandbox (%i)', async (signal, code) => {
  const sandbox = await startSandboxProcess();
  expect((await fetch(`${sandbox.endpoint}/_sandbox/health`)).status).toBe(200);
  expect(await sandbox.stop(signal)).toMatchObject({ code, signal: null });
});

it('1: a sandbox on a port that is in use, with what to do', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const { code, stderr } = await runCli(['sandbox', '--port', String(port)]);
  taken.close();
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `the sandbox cannot start: port ${port} of 127.0.0.1 is in use; choose another with --port (0 takes any free one)\n`,
  });
});

it('64: a command that was misspelt, though its options are told first', async () => {
  const { code, stderr } = await runCli(['docter', '--bucket', 'acme-tax']);
  expect(code).toBe(64);
  expect(stderr).toContain("unknown option '--bucket'");
  expect(stderr).toContain('(did you mean reconcile doctor?)');
  expect((await runCli(['doctor', '--bukket', 'acme-tax'])).stderr).not.toContain('did you mean reconcile');
});
