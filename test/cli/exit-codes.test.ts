import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pLimit from 'p-limit';
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

it('1: partly failed, with the cause, the skipped steps, and what to do', async () => {
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
      failed iam.role/replikey-acme-tax: iam:CreateRole in us-east-1: AccessDenied (HTTP 403): AccessDenied, request R; these credentials lack the permission iam:CreateRole
      skipped: iam.role/replikey-acme-tax was not applied
          iam.role-policy/replikey-acme-tax
          kms.key-policy/alias/acme-tax-replica@us-west-2
          kms.key-policy/alias/acme-tax@us-east-1
      skipped s3.replication/acme-tax: iam.role-policy/replikey-acme-tax was not applied
    Fix the cause, then run it again: it continues with the remaining changes.
    "
  `);
  expect((await testEnvironment.reconcile()).remaining?.waves).toEqual([]);
});

it('3: refused, with the option that allows the risk', async () => {
  await using testEnvironment = await testEnv();
  await testEnvironment.reconcile();
  const otherKeySpec = TAX_SPEC.replace('alias/acme-tax }', 'alias/another }');
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: otherKeySpec };
  testEnvironment.sandbox.log.reset();
  const refused = await runCli(['--once', '-'], options);
  expect(refused.code).toBe(3);
  expect(refused.stdout).toContain('Refused: nothing was changed.');
  expect(refused.stdout).toContain('allow it with --allow change-default-key');
  expect(testEnvironment.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  expect((await runCli(['--once', '-', '--allow', 'change-default-key'], options)).code).toBe(0);
});

it('a dry run that --once would refuse: ends with the reason and the option that allows it', async () => {
  await using testEnvironment = await testEnv();
  await testEnvironment.reconcile();
  const otherKeySpec = TAX_SPEC.replace('alias/acme-tax }', 'alias/another }');
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: otherKeySpec };
  const refused = await runCli(['--dry-run', '-', '--max-changes', '1'], options);
  expect(refused.code).toBe(0);
  expect(refused.stdout).toMatch(
    /\n\nDry run: nothing was changed\. reconcile --once would be refused:\n {2}! the plan changes \d of \d+ resources, and the limit is 1; raise it with --max-changes \d\n {2}! \S+: .*\n {6}allow it with --allow change-default-key\n$/,
  );
  const allowed = ['--dry-run', '-', '--allow', 'change-default-key'];
  expect((await runCli(allowed, options)).stdout).toMatch(/\n\nDry run: nothing was changed\.\n$/);
});

it('plan --out: prints the command that applies the plan, with the options that it needs', async () => {
  await using testEnvironment = await testEnv();
  await testEnvironment.reconcile();
  const cwd = await mkdtemp(path.join(tmpdir(), 'replikey-saved-'));
  const input = TAX_SPEC.replace('alias/acme-tax }', 'alias/another }');
  const options = { endpoint: testEnvironment.sandbox.endpoint, input, cwd };
  try {
    const commands = [];
    for (const flags of [[], ['--allow', 'change-default-key']]) {
      const { stdout } = await runCli(['--dry-run', '-', ...flags, '--out', 'plan.json'], options);
      commands.push(/Apply exactly this plan.* with\n {2}reconcile (.*)\n$/.exec(stdout)?.[1]);
    }
    expect(commands).toEqual(Array(2).fill('apply plan.json --allow change-default-key'));
    expect((await runCli(['apply', 'plan.json'], options)).code).toBe(3);
    expect((await runCli((commands[0] ?? '').split(' '), options)).code).toBe(0);
  } finally {
    await rm(cwd, { recursive: true });
  }
});

it('3: refused, because the plan differs from the approved plan', async () => {
  await using testEnvironment = await testEnv();
  const options = { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC };
  const planned = (await runCli(['--dry-run', '-'], options)).stdout;
  const [, checksum = ''] = /Checksum ([0-9a-f]{16})$/m.exec(planned) ?? [];
  testEnvironment.sandbox.log.reset();
  const changedOptions = { ...options, input: TAX_SPEC.replace('prefix: Tax/', 'prefix: Taxes/') };
  const refused = await runCli(['--once', '-', '--plan', checksum], changedOptions);
  expect(refused.code).toBe(3);
  expect(refused.stdout).toMatch(
    new RegExp(
      `the plan differs from the approved plan: its checksum is [0-9a-f]{16}, not ${checksum}, because the specs, the target or the state in AWS changed since;`,
    ),
  );
  expect(testEnvironment.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);

  expect((await runCli(['--once', '-', '--plan', checksum], options)).code).toBe(0);
  // The approved plan is applied: a second run has nothing to do, and the checksum does not allow another change.
  expect((await runCli(['--once', '-', '--plan', checksum], options)).code).toBe(0);
  expect((await runCli(['--once', '-', '--plan', checksum], changedOptions)).code).toBe(3);
  expect(await runCli(['--once', '-', '--plan', 'latest'], options)).toMatchObject({
    code: 64,
    stderr: expect.stringContaining(
      'Expected the checksum that a dry run prints, at least 16 hexadecimal digits.',
    ),
  });
});

// Each command waits for its retries, so several run concurrently. Some resolvers look up one unknown name at a time.
it.concurrent.each([
  [
    'no server at the endpoint',
    'http://127.0.0.1:1',
    'connect ECONNREFUSED 127.0.0.1:1; start a server there, or correct AWS_ENDPOINT_URL',
    4,
  ],
  ['a host without an address', 'http://endpoint.invalid', 'getaddrinfo ', 1],
])(
  '1: %s, reported once',
  async (_, endpoint, reason, concurrency) => {
    const limit = pLimit(concurrency);
    const runs = [
      ['plan', '-'],
      ['doctor', '-'],
      ['observe', '-'],
      ['import', '--bucket', 'acme-tax'],
    ].map((args) =>
      limit(async () => {
        const startedAt = performance.now();
        const { code, stdout, stderr } = await runCli([...args, '--log-level', 'error'], {
          input: args.includes('-') ? TAX_SPEC : '',
          endpoint,
        });
        expect({ code, stdout }, args[0]).toEqual({ code: 1, stdout: '' });
        expect(stderr).toMatch(/^[^\n]*\n$/);
        expect(stderr).toContain(`cannot reach ${endpoint}: ${reason}`);
        expect(performance.now() - startedAt).toBeLessThan(10_000);
      }),
    );
    await Promise.all(runs);
  },
  60_000,
);

it.each([
  ['nonsense', 'http://nonsense'],
  ['127.0.0.1:4566', 'http://127.0.0.1:4566'],
  ['localhost:4566', 'http://localhost:4566'],
  ['ftp://localhost', 'http://127.0.0.1:4566'],
])('1: the endpoint %s, which is not a URL of HTTP', async (endpoint, example) => {
  expect(await runCli(['plan', '-'], { input: TAX_SPEC, endpoint })).toMatchObject({
    code: 1,
    stdout: '',
    stderr: `invalid AWS_ENDPOINT_URL "${endpoint}": use a URL with http:// or https://, for example ${example}\n`,
  });
});

it('4: an unknown profile, with its name', async () => {
  const { code, stderr } = await runCli(['plan', '-'], { input: TAX_SPEC, env: { AWS_PROFILE: 'nope' } });
  expect(code).toBe(4);
  expect(stderr).toContain(
    'cannot load the credentials of profile "nope" (AWS_PROFILE): profile "nope" is not defined',
  );
});

it('4: no credentials, with the variables to set', async () => {
  const { code, stdout, stderr } = await runCli(['--once', '-'], { input: TAX_SPEC });
  expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
  expect(stderr).toMatch(
    /Could not load credentials from any providers; set AWS_PROFILE or the AWS_\* variables/,
  );
});

it('4: the wrong account, before any write', async () => {
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
  ['no arguments', [], /^no specs given: use reconcile --once specs\//],
  ['a misspelt option', ['--oncee', 'specs/'], /\(Did you mean --once\?\)/],
  ['a misspelt option of a command', ['plan', '--outpt', 'json', '-'], /\(Did you mean --output\?\)/],
  [
    'a misspelt command',
    ['plna', 'specs/'],
    /^unknown command or file "plna": did you mean reconcile plan\?\n$/,
  ],
  [
    'a word that is no command and no path',
    ['production'],
    /^unknown command or file "production": .* a folder is written production\/\n$/,
  ],
  ['such a word with --once', ['--once', 'production'], /^unknown command or file "production"/],
  [
    'an invalid duration',
    ['--once', '--wait', 'long', '-'],
    /Expected a duration, for example 30s, 5m or 1h/,
  ],
  ['too long a duration', ['--once', '--wait', '25h', '-'], /Expected a duration of at most 24h/],
  ['too long a drain', ['plan', '--drain', '169h', '-'], /Expected a duration of at most 168h/],
  ['too long a drain in seconds', ['plan', '--drain', '604801', '-'], /Expected a duration of at most 168h/],
  ['an option without effect', ['plan', '--wait', '5', '-'], /unknown option '--wait'/],
  ['an invalid port', ['sandbox', '--port', '65536'], /a port, 0 to 65535/],
  ['an unknown output format', ['plan', '-o', 'yaml', '-'], /Allowed choices are text, json/],
  ['a missing file', ['apply', 'none.json'], /^cannot read none\.json: no such file or directory\n$/],
  ['a command without specs', ['validate'], /missing required argument 'paths'/],
];

it.each(usage)('64: %s', async (_, args, message) => {
  const { code, stdout, stderr } = await runCli(args);
  expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
  expect(stderr).toMatch(message);
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
  ['SIGHUP', 129],
] as const;

/** Returns the line that a command prints at the first signal. */
const noticeOf = (signal: string): string =>
  `${signal}: finishing calls in flight; ${signal === 'SIGHUP' ? 'SIGTERM' : 'a second signal'} exits immediately.\n`;

/** Runs `--once`, sends a signal during the first matching call, and completes the call after the CLI prints the signal. */
async function interrupted(
  signal: NodeJS.Signals,
  matches: (entry: RequestEntry) => boolean,
  { args = [], repeat = false }: { args?: string[]; repeat?: boolean } = {},
) {
  let child: ChildProcess | undefined;
  let stderr = '';
  let interruptedCall: RequestEntry | undefined;
  const testEnvironment = await testEnv(TAX_SPEC, {
    onCall: async (entry, phase) => {
      if (phase !== 'before') return;
      if (!interruptedCall && matches(entry)) {
        interruptedCall = entry;
        child?.kill(signal);
      }
      if (!interruptedCall) return;
      await vi.waitFor(() => expect(stderr).toContain(signal), { timeout: 10_000 });
      if (repeat) child?.kill(signal);
    },
  });
  const result = await runCli(['--once', '-', ...args], {
    endpoint: testEnvironment.sandbox.endpoint,
    input: TAX_SPEC,
    onStart: (started) => {
      child = started;
      started.stderr?.on('data', (text) => {
        stderr += text;
      });
    },
  });
  return { result, env: testEnvironment, interruptedCall };
}

it.each(signals)(
  '%s during apply: finishes the calls in flight, starts no others, and reports the outcome (%i)',
  async (signal, code) => {
    const { result, interruptedCall, ...rest } = await interrupted(
      signal,
      ({ operation }) => operation === 'PutRolePolicy',
    );
    await using testEnvironment = rest.env;
    const { entries } = testEnvironment.sandbox.log;
    expect(result).toMatchObject({
      code,
      signal: null,
      stderr: noticeOf(signal),
    });
    expect(interruptedCall?.status).toBe(200);
    expect(result.stdout).toMatch(/\nInterrupted: \d+ applied, \d+ in flight, [1-9]\d* not started\.\n/);
    expect(result.stdout).toMatch(
      /\n {2}in flight[^\n]*: interrupted: the call in flight was finished[\s\S]*\nRun it again: it continues with the remaining changes\.\n$/,
    );
    expect(entries.some(({ operation }) => operation === 'PutBucketReplication')).toBe(false);

    expect(
      (await runCli(['--once', '-'], { endpoint: testEnvironment.sandbox.endpoint, input: TAX_SPEC })).code,
    ).toBe(0);
  },
);

it.each(signals)(
  '%s during reads: changes nothing, and prints the error as JSON (%i)',
  async (signal, code) => {
    const { result, ...rest } = await interrupted(signal, () => true, { args: ['-o', 'json'] });
    await using testEnvironment = rest.env;
    expect(result.code).toBe(code);
    expect(JSON.parse(result.stdout)).toMatchObject({ format: 1, error: { exitCode: code } });
    expect(testEnvironment.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  },
);

it('SIGHUP: a second one changes nothing, because a closed terminal sends two', async () => {
  const { result, env } = await interrupted('SIGHUP', ({ operation }) => operation === 'PutRolePolicy', {
    repeat: true,
  });
  await env[Symbol.asyncDispose]();
  expect(result).toMatchObject({ code: 129, signal: null, stderr: noticeOf('SIGHUP') });
  expect(result.stdout).toContain('interrupted: the call in flight was finished');
});

it.each(signals)('%s: stops reconcile sandbox (%i)', async (signal, code) => {
  const sandbox = await startSandboxProcess();
  expect((await fetch(`${sandbox.endpoint}/_sandbox/health`)).status).toBe(200);
  expect(await sandbox.stop(signal)).toMatchObject({ code, signal: null });
});

it('1: a sandbox on a port in use, with what to do', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { code, stderr } = await runCli(['sandbox', '--port', String(port)]);
  server.close();
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `cannot start the sandbox: port ${port} of 127.0.0.1 is in use; choose another with --port (0 for any free port)\n`,
  });
});

it('64: a misspelt command, even if its options are reported first', async () => {
  const { code, stderr } = await runCli(['docter', '--bucket', 'acme-tax']);
  expect(code).toBe(64);
  expect(stderr).toContain("unknown option '--bucket'");
  expect(stderr).toContain('(did you mean reconcile doctor?)');
  expect((await runCli(['doctor', '--bukket', 'acme-tax'])).stderr).not.toContain('did you mean reconcile');
});
