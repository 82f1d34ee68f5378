import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import type { Io } from '../../src/cli/command-model.ts';
import { manPage } from '../../src/cli/commands/man.ts';
import { buildProgram, programModel } from '../../src/cli/program.ts';
import { EXIT } from '../../src/errors.ts';
import { isInstalled, runCli } from '../support/cli.ts';

const program = programModel(buildProgram({} as Io, () => {}));
const page = manPage(program, manifest.version);

/** Returns the formatted page. */
function formatPage(): string {
  const run = spawnSync('groff', ['-man', '-ww', '-Tutf8', '-P-c'], { encoding: 'utf8', input: page });
  expect({ status: run.status, stderr: run.stderr }).toEqual({ status: 0, stderr: '' });
  // groff prints bold as a repeated letter, and italics as an underlined letter.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern removes backspaces
  return run.stdout.replace(/.\x08/g, '');
}

test('manual page: the file in the repository matches the command line and is in the package', async () => {
  await expect(page).toMatchFileSnapshot('../../man/reconcile.1');
  expect(manifest.man).toBe('man/reconcile.1');
  expect(manifest.files).toContain('man');
  expect((await runCli(['man'])).stdout).toBe(page);
});

test.skipIf(!isInstalled('groff'))(
  'manual page: formats without a warning and contains every command and option (needs groff)',
  () => {
    const text = formatPage();
    for (const { name, options } of [program, ...program.commands]) {
      expect(text).toContain(name);
      for (const { long } of options) expect(text, `${name} ${long}`).toContain(long);
    }
    for (const code of Object.values(EXIT)) expect(text).toMatch(new RegExp(`^ .*\\b${code}\\b`, 'm'));
    // The output lacks text that roff interprets as a request.
    for (const word of ['.replikey/sandbox', 'eval "$(reconcile completion bash)"', 's3://bucket/key'])
      expect(text).toContain(word);
  },
);
