import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';

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

/** `$ command` and the output that is shown under it, in the order of the document. */
const shown = [...(await readFile('README.md', 'utf8')).matchAll(/^```console\n([\s\S]*?)^```$/gm)]
  .flatMap(([, text = '']) => text.split(/^\$ /m).slice(1))
  .map((text) => ({ command: text.split('\n')[0] ?? '', output: text.split('\n').slice(1, -1) }))
  .map(({ command, output }) => ({ args: /\breconcile (.*)$/.exec(command)?.[1]?.split(' '), output }))
  .filter(({ args }) => args !== undefined);

test('the README shows what the program prints', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-readme-'));
  const spec = await readFile('specs/tax.yaml', 'utf8');
  await writeFile(path.join(folder, 'bad.yaml'), BAD);
  await mkdir(path.join(folder, 'specs'));
  await writeFile(path.join(folder, 'specs/tax.yaml'), spec);
  try {
    expect(shown.length).toBeGreaterThan(6);
    for (const { args = [], output } of shown) {
      const sandbox = ['validate', 'demo'].includes(args[0] ?? '') ? [] : ['--sandbox'];
      const { stdout, stderr } = await runCli([...args, ...sandbox], { cwd: folder });
      expect(steady(stdout + stderr), args.join(' ')).toMatch(pattern(output.map(steady)));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** Without what differs from run to run. A checksum covers the ARNs of keys, whose ids KMS makes. */
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
