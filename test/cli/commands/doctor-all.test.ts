import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable, Writable } from 'node:stream';
import {
  CreateAccountCommand,
  CreateOrganizationCommand,
  ListAccountsCommand,
  OrganizationsClient,
} from '@aws-sdk/client-organizations';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Io } from '../../../src/cli/command-model.ts';
import { runCommandLine } from '../../../src/cli/program.ts';
import type { FleetReport } from '../../../src/fleet/types.ts';
import { startSandbox } from '../../../src/sandbox/server.ts';
import { runCli } from '../../support/cli.ts';
import { type TestEnv, testEnv } from '../../support/env.ts';
import { callS3 } from '../../support/raw-aws.ts';
import { TEST_SECRET } from '../../support/secrets.ts';

let env: TestEnv;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-doctor-all-'));
  env = await testEnv();
  await env.reconcile();
  for (let index = 0; index < 12; index++) await callS3(env.sandbox.endpoint, 'PUT', `/plain-${index}`);
});
afterAll(async () => {
  await env[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const doctorAll = (...args: string[]) =>
  runCli(['doctor', '--all', ...args], { endpoint: env.sandbox.endpoint, cwd: folder });
const saved = async (file: string): Promise<FleetReport> =>
  JSON.parse(await readFile(path.join(folder, file), 'utf8')) as FleetReport;

const EXPIRED = '<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>';

/**
 * A proxy that forwards to the sandbox. From the nth read of a replication configuration on, it first sends SIGTERM to the
 * process, or refuses the credentials.
 */
async function startInterruptingProxy(interruptAt: number, how: 'SIGTERM' | 'ExpiredToken') {
  let child: ChildProcess | undefined;
  let reads = 0;
  let interrupting = true;
  const server = createServer((incoming, outgoing) => {
    if (interrupting && incoming.url?.includes('?replication') && ++reads >= interruptAt) {
      if (how === 'ExpiredToken') return void outgoing.writeHead(400).end(EXPIRED);
      if (reads === interruptAt) child?.kill('SIGTERM');
    }
    const { method, url, headers } = incoming;
    const target = new URL(url ?? '/', env.sandbox.endpoint);
    const upstream = request(target, { method, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(outgoing);
    });
    incoming.pipe(upstream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    interrupts: (process: ChildProcess) => {
      child = process;
    },
    stopInterrupting: () => {
      interrupting = false;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe('doctor --all', () => {
  test('surveys the account of the ambient credentials: text, exit code and number of calls', async () => {
    const { code, stdout, stderr } = await doctorAll();
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^no alarm: 1 bucket\n {2}acme-tax \(111122223333, us-east-1\) {2}spec tax\n {4}warning RK1704 .*: replikey\/tax\/tax → acme-tax-replica\n[\s\S]*\n14 buckets of 1 account: 1 with replication, 13 without, 0 unknown\n1 rule: 1 proven, 0 broken, 0 unknown, 0 off\n\d+ of \d+ requests of S3 depend on control policies that were not read \(--organization-account\)\n$/,
    );
    expect(stderr).toMatch(/surveyed 14 buckets with \d+ calls in \d+ s/);
  });

  test('--save: keeps the report, and the next run prints what is new and what is resolved', async () => {
    const first = await doctorAll('--save', 'fleet.json', '-o', 'json');
    expect(first.code).toBe(0);
    const report = await saved('fleet.json');
    expect(JSON.parse(first.stdout)).toEqual(report);
    expect(report).not.toHaveProperty('diff');
    expect((await stat(path.join(folder, 'fleet.json'))).mode & 0o777).toBe(0o600);

    const url = '/acme-tax?replication';
    const { body } = await callS3(env.sandbox.endpoint, 'GET', url);
    const disabled = body.replace('<Metrics><Status>Enabled', '<Metrics><Status>Disabled');
    await callS3(env.sandbox.endpoint, 'PUT', url, { body: disabled });
    try {
      const { stdout } = await doctorAll('--save', 'fleet.json');
      expect(stdout).toContain(`Since the run of ${report.startedAt}: 1 new, 0 changed, 1 resolved\n`);
      expect(stdout).toMatch(/\n {2}\+ RK1008 S3 does not report failures: acme-tax \(111122223333\)/);
      expect(stdout).toMatch(/\n {2}- RK1704 no alarm watches the failures of the rule: acme-tax /);
    } finally {
      await callS3(env.sandbox.endpoint, 'PUT', url, { body });
    }
  });

  test.each([
    ['SIGTERM', 143, /^$/],
    ['ExpiredToken', 4, /\? account 111122223333 \(main\) could not be read: .*ExpiredToken/],
  ] as const)('%s: keeps the results, says so, and the same command continues', async (how, code, stdout) => {
    const file = `${how}.json`;
    await writeFile(
      path.join(folder, 'main.yaml'),
      'apiVersion: replikey.dev/v1\nkind: Account\nmetadata: { name: main }\nspec: { id: "111122223333" }\n',
    );
    const accounts = ['--accounts', 'main.yaml'];
    const proxy = await startInterruptingProxy(12, how);
    let continued: Awaited<ReturnType<typeof runCli>>;
    try {
      const interrupted = await runCli(['doctor', '--all', ...accounts, '--save', file], {
        endpoint: proxy.endpoint,
        cwd: folder,
        onStart: proxy.interrupts,
      });
      expect(interrupted).toMatchObject({ code, stdout: expect.stringMatching(stdout) });
      expect(interrupted.stderr).toMatch(
        new RegExp(
          `the run is incomplete: the results of \\d+ buckets are in ${file}\\.partial, and the same`,
        ),
      );
      proxy.stopInterrupting();
      // The results of another endpoint are those of other buckets.
      await copyFile(path.join(folder, `${file}.partial`), path.join(folder, `other-${file}.partial`));
      const elsewhere = await doctorAll(...accounts, '--save', `other-${file}`);
      expect(elsewhere.stderr).toContain(`discarded the results in other-${file}.partial: it is of other`);
      // With credentials that are still refused, the next run keeps the results as well.
      const refused = await runCli(['doctor', '--all', ...accounts, '--save', file], {
        endpoint: proxy.endpoint,
        cwd: folder,
        env: { AWS_SECRET_ACCESS_KEY: '', AWS_ACCESS_KEY_ID: '' },
      });
      expect({ code: refused.code, saved: existsSync(path.join(folder, file)) }).toEqual({
        code: 4,
        saved: false,
      });
      continued = await runCli(['doctor', '--all', ...accounts, '--save', file], {
        endpoint: proxy.endpoint,
        cwd: folder,
      });
    } finally {
      proxy.close();
    }
    expect(continued.stderr).toMatch(
      /continuing the run of \S+: the results of [1-9]\d* buckets are in \S+\.partial/,
    );
    expect(continued.code).toBe(0);
    expect(continued.stdout).toContain(
      '\n14 buckets of 1 account: 1 with replication, 13 without, 0 unknown\n',
    );
    expect((await saved(file)).totals).toMatchObject({ total: 14, replicating: 1 });
    await expect(stat(path.join(folder, `${file}.partial`))).rejects.toThrow('ENOENT');
  });

  test('--accounts with ids, and --organization: assumes the role in each account, but not in that of the caller', async () => {
    const state = path.join(folder, 'organization');
    const sandbox = await startSandbox({ state });
    const organizations = new OrganizationsClient({
      endpoint: sandbox.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: '000000000000', secretAccessKey: TEST_SECRET },
    });
    await organizations.send(new CreateOrganizationCommand({}));
    await organizations.send(
      new CreateAccountCommand({ AccountName: 'Finance', Email: 'finance@example.com' }),
    );
    const { Accounts = [] } = await organizations.send(new ListAccountsCommand({}));
    const id = Accounts.find(({ Name }) => Name === 'Finance')?.Id ?? '';
    await callS3(sandbox.endpoint, 'PUT', '/finance-plain', { account: id });
    organizations.destroy();
    await sandbox.close();

    await writeFile(path.join(folder, 'accounts.txt'), `# all accounts\n${id}  Finance\n`);
    const run = async (...args: string[]) => {
      const { stdout } = await runCli(['doctor', '--all', '--sandbox=organization', '-o', 'json', ...args], {
        cwd: folder,
      });
      return JSON.parse(stdout) as FleetReport;
    };
    const access = `role arn:aws:iam::${id}:role/OrganizationAccountAccessRole`;
    const finance = { id, name: 'Finance', access, totals: { total: 1 } };
    const role = ['--role-name', 'OrganizationAccountAccessRole'];
    expect((await run('--accounts', 'accounts.txt', ...role)).accounts).toMatchObject([finance]);
    expect((await run('--organization', ...role)).accounts).toMatchObject([
      { id: '000000000000', access: 'ambient credentials', totals: { total: 0 } },
      finance,
    ]);
  });

  // bench/fleet.ts measures 10,000 buckets: at most 173 MB.
  test('20 accounts with 500 buckets: less than 300 MB', async () => {
    await using other = await testEnv();
    await other.reconcile();
    const ids = Array.from({ length: 20 }, (_, index) => String(111_122_223_333 + index));
    const create = (account: string, index: number) =>
      callS3(other.sandbox.endpoint, 'PUT', `/b-${account}-${index}`, { account });
    for (const id of ids) await Promise.all(Array.from({ length: 25 }, (_, index) => create(id, index)));
    const profiles = ids.map(
      (id) =>
        `[profile p${id}]\naws_access_key_id = ${id}\naws_secret_access_key = ${TEST_SECRET}\nregion = us-east-1\n`,
    );
    const documents = ids.map(
      (id) =>
        `apiVersion: replikey.dev/v1\nkind: Account\nmetadata: { name: a${id} }\nspec: { id: "${id}", profile: p${id} }\n`,
    );
    await writeFile(path.join(folder, 'config'), profiles.join('\n'));
    await writeFile(path.join(folder, 'accounts.yaml'), documents.join('---\n'));
    // On Linux, maxRSS includes the memory of the process that started this one; VmHWM does not.
    const hook = `process.on('exit', () => {
      const { readFileSync, writeFileSync, existsSync } = require('node:fs');
      const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
      const kilobytes = Number(/VmHWM:\\s+(\\d+)/.exec(status)?.[1] ?? process.resourceUsage().maxRSS);
      writeFileSync('memory.json', JSON.stringify({ kilobytes }));
    });`;
    await writeFile(path.join(folder, 'hook.cjs'), hook);
    const { code, stdout } = await runCli(['doctor', '--all', '--accounts', 'accounts.yaml'], {
      endpoint: other.sandbox.endpoint,
      cwd: folder,
      env: {
        AWS_CONFIG_FILE: path.join(folder, 'config'),
        NODE_OPTIONS: `--require ${path.join(folder, 'hook.cjs')}`,
      },
    });
    expect(code).toBe(0);
    expect(stdout).toContain('\n502 buckets of 20 accounts: 1 with replication, 501 without, 0 unknown\n');
    const { kilobytes } = JSON.parse(await readFile(path.join(folder, 'memory.json'), 'utf8')) as {
      kilobytes: number;
    };
    expect(kilobytes).toBeGreaterThan(0);
    expect(kilobytes / 1_000).toBeLessThan(300);
  });

  const INVALID_LISTS: Record<string, { text: string; error: string }> = {
    'wrong.txt': {
      text: '111122223333\n12345 Tax\n',
      error: 'wrong.txt:2: "12345" is not an account id of 12 digits',
    },
    'dash.txt': {
      text: '1111-2222-3333\n',
      error: 'dash.txt:1: "1111-2222-3333" is not an account id of 12 digits',
    },
    'digits.txt': {
      text: '１１１１２２２２３３３３\n',
      error: 'digits.txt:1: "１１１１２２２２３３３３" is not an account id of 12 digits',
    },
    'names.txt': { text: '# a\n\nTax, 1\n', error: 'names.txt:3: "Tax" is not an account id of 12 digits' },
    'empty.txt': { text: '# none\n', error: 'empty.txt contains no account' },
  };

  const REJECTIONS: [args: string[], message: string][] = [
    [['--save', 'x.json'], '--save requires --all: add it, or remove the option'],
    [
      ['-o', 'html', '--bucket', 'a'],
      '-o html requires all buckets: add --all, or use -o text, json or sarif',
    ],
    [['--all', '--bucket', 'a'], '--all surveys all buckets: remove --bucket, or --all'],
    [
      ['--all', '--regions', 'us-esat-1'],
      'unknown Region "us-esat-1" in --regions: write it like us-east-1,eu-west-1',
    ],
    [
      ['--all', '--organization'],
      '--organization requires the role to assume in each account: add --role-name',
    ],
    [['--all', '--accounts', 'ids.txt'], 'ids.txt lists account ids without roles: add --role-name'],
    [
      ['--all', '--role-name', 'audit'],
      '--role-name requires accounts: add --accounts FILE or --organization',
    ],
    [['--all', '--accounts', 'none.yaml'], 'cannot read none.yaml: no such file or directory'],
    [['--all', '--save', 'wrong.txt'], 'invalid JSON in wrong.txt'],
    [['--all', '--save', 'other.json'], 'cannot compare with other.json: it is not a report of doctor --all'],
    ...[
      ['--terraform', 'plan.json'],
      ['--cloudformation', 'stack.json'],
      ['--stack', 'stack.json'],
    ].map(([option = '', file = '']): [string[], string] => [
      ['--all', option, file],
      `--all surveys all buckets: remove ${option}, or --all`,
    ]),
    [
      ['--all', '--accounts', 'ids.txt', '--organization', '--role-name', 'audit'],
      '--accounts and --organization both choose the accounts: remove one of them',
    ],
    [
      ['--all', '--accounts', 'documents.txt', '--role-name', 'audit'],
      'the Account documents in documents.txt name their own roles: remove --role-name',
    ],
    ...Object.entries(INVALID_LISTS).flatMap(([file, { error }]): [string[], string][] => [
      [['--all', '--accounts', file, '--role-name', 'audit'], error],
    ]),
    [['--all', '--accounts', 'digits.txt'], 'digits.txt:1: "１１１１２２２２３３３３" is not an account id'],
    [['--all', '--accounts', 'empty.txt'], 'empty.txt contains no account'],
    [['--all', '--accounts', tmpdir()], `cannot read ${tmpdir()}: it is a folder`],
    [['--all', '--sample', '-1'], 'Expected a whole number, 0 or more.'],
  ];

  test('rejects arguments before a call: exit code 64, and what to do', async () => {
    await writeFile(path.join(folder, 'ids.txt'), '111122223333\n');
    await writeFile(path.join(folder, 'documents.txt'), 'apiVersion: replikey.dev/v1\nkind: Account\n');
    for (const [file, { text }] of Object.entries(INVALID_LISTS))
      await writeFile(path.join(folder, file), text);
    await writeFile(path.join(folder, 'other.json'), '{"format":3}');
    for (const [args, message] of REJECTIONS) {
      const inFolder = args.map((arg) => (/\.(txt|json)$/.test(arg) ? path.join(folder, arg) : arg));
      const { code, stderr } = await runInProcess(['doctor', ...inFolder]);
      expect(stderr).not.toMatch(/Invalid input|expected /);
      expect(stderr.replaceAll(`${folder}/`, ''), args.join(' ')).toContain(message);
      expect(code).toBe(64);
    }
  });
});

/** Runs a command line in this process. It ends before it reads AWS, or the environment. */
async function runInProcess(args: string[]): Promise<{ code: number; stderr: string }> {
  let stderr = '';
  const stream = (onText: (text: string) => void) =>
    new Writable({
      write(chunk: Buffer, _encoding, callback) {
        onText(chunk.toString());
        callback();
      },
    });
  const io = {
    stdin: Readable.from([]),
    stdout: stream(() => {}),
    stderr: stream((text) => {
      stderr += text;
    }),
    env: {},
    on: () => {},
    off: () => {},
    exit: () => {},
  };
  const code = await runCommandLine(args, io as unknown as Io);
  return { code, stderr };
}
