import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import type { Io } from '../../src/cli/command-model.ts';
import { manPage } from '../../src/cli/commands/man.ts';
import { buildProgram, programModel } from '../../src/cli/program.ts';
import { EXIT } from '../../src/errors.ts';
import { isInstalled, runCli } from '../support/cli.ts';

const words = programModel(buildProgram({} as Io, () => {}));
const page = manPage(words, manifest.version);

/** The page as it is read. */
function set(): string {
  const run = spawnSync('groff', ['-man', '-ww', '-Tutf8', '-P-c'], { encoding: 'utf8', input: page });
  expect({ status: run.status, stderr: run.stderr }).toEqual({ status: 0, stderr: '' });
  // Bold is a letter struck twice, and italics one that is underlined.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a backspace is what is looked for
  return run.stdout.replace(/.\x08/g, '');
}

test('the manual page in the repository is what the command line says of itself, and is installed with it', async () => {
  await expect(page).toMatchFileSnapshot('../../man/reconcile.1');
  expect(manifest.man).toBe('man/reconcile.1');
  expect(manifest.files).toContain('man');
  expect((await runCli(['man'])).stdout).toBe(page);
});

test.skipIf(!isInstalled('groff'))(
  'it is set without a warning, and tells of every command and option (needs groff)',
  () => {
    const text = set();
    for (const { name, options } of [words, ...words.commands]) {
      expect(text).toContain(name);
      for (const { long } of options) expect(text, `${name} ${long}`).toContain(long);
    }
    for (const code of Object.values(EXIT)) expect(text).toMatch(new RegExp(`^ .*\\b${code}\\b`, 'm'));
    // Text that was taken for a request of roff would be missing.
    for (const word of ['.replikey/sandbox', 'eval "$(reconcile completion bash)"', 's3://bucket/key'])
      expect(text).toContain(word);
  },
);
