import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import type { Io } from '../../src/cli/io.ts';
import { manPage } from '../../src/cli/man.ts';
import { build } from '../../src/cli/program.ts';
import { wordsOf } from '../../src/cli/words.ts';
import { cli, has, MAIN } from '../support/cli.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-comfort-'));
});
afterEach(() => rm(folder, { recursive: true }));

const words = wordsOf(build({ stdout: process.stdout, stderr: process.stderr } as unknown as Io, () => {}));

describe('--help', () => {
  test('of every command, at eighty columns', async () => {
    const commands = ['', ...words.commands.map(({ name }) => name)];
    const texts: string[] = [];
    for (const command of commands) {
      const args = command === '' ? ['--help'] : [command, '--help'];
      const { code, stdout } = await cli(args, { env: { COLUMNS: '80' } });
      expect(code).toBe(0);
      texts.push(`$ reconcile ${args.join(' ')}\n${stdout}`);
    }
    const all = texts.join('\n');
    // What is to be copied is not broken.
    const long = all.split('\n').filter((line) => line.length > 80 && !line.startsWith('  reconcile '));
    expect(long).toEqual([]);
    await expect(all).toMatchFileSnapshot('golden/help.txt');
  });

  test.each([
    [['paln', 'specs/'], 'did you mean plan?'],
    [['doctor', '--bukcet', 'x'], 'Did you mean --bucket?'],
    [['--dry-rnu', 'specs/'], 'Did you mean --dry-run?'],
    [['plan', 'specs/', '-o', 'jsn'], 'Allowed choices are text, json, ndjson, markdown'],
    [['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish'],
  ])('says what was meant by %j', async (args, meant) => {
    const { code, stderr } = await cli(args, { cwd: folder });
    expect(code).toBe(64);
    expect(stderr).toContain(meant);
  });
});

describe('the man page', () => {
  it('is what the command line says of itself', async () => {
    await expect(manPage(words, manifest.version)).toMatchFileSnapshot('../../man/reconcile.1');
    expect(manifest.man).toBe('man/reconcile.1');
  });

  it.skipIf(!has('groff'))('is set without a warning', () => {
    const set = spawnSync('groff', ['-man', '-ww', '-Tutf8', 'man/reconcile.1'], { encoding: 'utf8' });
    expect({ status: set.status, stderr: set.stderr }).toEqual({ status: 0, stderr: '' });
    expect(set.stdout).toContain('reconcile');
  });
});

describe('init', () => {
  const pair = [
    '--bucket',
    'acme-books',
    '--region',
    'eu-west-1',
    '--bucket',
    'acme.books.copy',
    '--region',
    'eu-north-1',
  ];

  it('writes a spec that is valid and plans, with the schema beside it, and never over another', async () => {
    const made = await cli(['init', ...pair, '--prefix', 'Ledgers/'], { cwd: folder });
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toContain('specs/acme-books.yaml is written');
    const file = path.join(folder, 'specs/acme-books.yaml');
    const text = await readFile(file, 'utf8');
    expect(text).toMatch(/^# yaml-language-server: \$schema=replikey\.schema\.json\n/);
    const schema = JSON.parse(await readFile(path.join(folder, 'specs/replikey.schema.json'), 'utf8'));
    expect(schema).toEqual(JSON.parse((await cli(['schema'])).stdout));
    expect(await cli(['validate', 'specs'], { cwd: folder })).toMatchObject({ code: 0 });
    const planned = await cli(['--once', 'specs', '--sandbox', '-o', 'json'], { cwd: folder });
    expect(JSON.parse(planned.stdout).left.summary).toMatchObject({ create: 0, update: 0 });

    const again = await cli(['init', ...pair], { cwd: folder });
    expect(again).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('is there already, and is left as it is'),
    });
    expect(await readFile(file, 'utf8')).toBe(text);
    expect(await cli(['init', 'other.yaml', ...pair], { cwd: folder })).toMatchObject({ code: 0 });
  });

  test.each([
    [[], 'name the source bucket'],
    [['--bucket', 'Acme_Books'], 'Acme_Books: a bucket name has lower-case letters'],
    [['--bucket', 'acme', '--region', 'us-esat-1'], 'did you mean us-east-1?'],
    [['--bucket', 'a1a', '--bucket', 'b1b', '--bucket', 'c1c'], 'a pair has two buckets'],
  ])('says what is missing or will not do: %j', async (args, why) => {
    const { code, stderr } = await cli(['init', ...args], { cwd: folder });
    expect(code).toBe(64);
    expect(stderr).toContain(why);
  });

  it.skipIf(!has('script'))(
    'asks on a terminal, again where an answer will not do, and offers what it can',
    async () => {
      const answers = ['Not_A_Bucket', 'acme-tax', '', '', 'eu-central-1', 'Tax/', 'tax', ''].join('\n');
      const asked = spawnSync('script', ['-qec', `${process.execPath} ${MAIN} init`, '/dev/null'], {
        cwd: folder,
        encoding: 'utf8',
        input: answers,
        env: { PATH: process.env.PATH, TERM: 'dumb' },
        timeout: 20_000,
      });
      expect(asked.stdout).toContain('Source bucket: ');
      expect(asked.stdout).toContain('a bucket name has lower-case letters');
      expect(asked.stdout).toContain('Destination bucket [acme-tax-replica]: ');
      const text = await readFile(path.join(folder, 'specs/tax.yaml'), 'utf8');
      expect(text).toContain('bucket: acme-tax-replica');
      expect(text).toContain('region: eu-central-1');
    },
  );
});
