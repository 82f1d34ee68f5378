import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { childEnvironment, isInstalled, runCli, startSandboxProcess } from '../support/cli.ts';

/* These tests run the commands of the documentation, in order, and compare the output under each command. */

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

/** The address of the sandbox in the documentation. */
const DOCUMENTED_ENDPOINT = 'http://127.0.0.1:4566';

interface ConsoleCommand {
  /** The command as the page shows it; the lines after a backslash belong to it. */
  command: string;
  /** The words after `reconcile`; absent for another program. */
  args?: string[];
  output: string[];
}

/** Returns `$ command` and the output under it, in the order of the page. */
async function consoleCommands(page: string): Promise<ConsoleCommand[]> {
  const blocks = [...(await readFile(page, 'utf8')).matchAll(/^```console\n([\s\S]*?)^```$/gm)];
  return blocks
    .flatMap(([, block = '']) => block.split(/^\$ /m).slice(1))
    .map((text) => {
      const [, command = '', output = ''] = /^((?:.*\\\n)*.*)\n([\s\S]*)$/.exec(text) ?? [];
      const args = /\breconcile (.*)$/.exec(command)?.[1]?.split(' ');
      return { command, output: output.split('\n').slice(0, -1), ...(args && { args }) };
    });
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-docs-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('README: the program prints what the console blocks show', async () => {
  const spec = await readFile('specs/tax.yaml', 'utf8');
  await writeFile(path.join(folder, 'bad.yaml'), BAD);
  await mkdir(path.join(folder, 'specs'));
  await writeFile(path.join(folder, 'specs/tax.yaml'), spec);
  const commands = (await consoleCommands('README.md')).filter(({ args }) => args !== undefined);
  expect(commands.length).toBeGreaterThan(6);
  for (const { args = [], output } of commands) {
    const sandbox = ['validate', 'demo'].includes(args[0] ?? '') ? [] : ['--sandbox'];
    const { stdout, stderr } = await runCli([...args, ...sandbox], { cwd: folder });
    expect(steady(stdout + stderr), args.join(' ')).toMatch(pattern(output.map(steady)));
  }
});

describe('docs/tutorial/first-replication.md', () => {
  const page = 'docs/tutorial/first-replication.md';

  test.skipIf(!isInstalled('curl'))('the program prints what the console blocks show (needs curl)', async () => {
    const commands = await consoleCommands(page);
    expect(commands.length).toBeGreaterThan(12);
    const sandbox = await startSandboxProcess();
    try {
      for (const { command, args, output } of commands) {
        const printed = args
          ? await runCli(args, { cwd: folder, endpoint: sandbox.endpoint })
          : await runShell(command.replace(DOCUMENTED_ENDPOINT, sandbox.endpoint));
        expect(steady(printed.stdout + printed.stderr), command).toMatch(pattern(output.map(steady)));
      }
    } finally {
      await sandbox.stop();
    }
  });

  const runShell = (command: string) =>
    promisify(execFile)('sh', ['-c', command], { cwd: folder, env: childEnvironment(undefined) });
});

/** Replaces values that differ between runs. A checksum covers the ARNs of keys, and KMS makes their ids. */
const steady = (text: string): string =>
  text
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .replace(/in \d+ ms/g, 'in N ms')
    .replace(/Checksum [0-9a-f]{16}/g, 'Checksum C');

/** Every line as it is, with `…` for any number of lines; empty lines at the ends do not count. */
function pattern(lines: string[]): RegExp {
  const parts = lines.map((line) => (line === '…' ? '(?:.*\n)*?' : `${escaped(line)}\n`));
  return new RegExp(`^\\n*${parts.join('')}\\n*$`);
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
