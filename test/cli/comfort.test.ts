import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import type { Io } from '../../src/cli/io.ts';
import { manPage } from '../../src/cli/man.ts';
import { build } from '../../src/cli/program.ts';
import { wordsOf } from '../../src/cli/words.ts';
import { cli, has } from '../support/cli.ts';

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
