import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Io } from '../../src/cli/command-model.ts';
import { completionScript } from '../../src/cli/commands/completion.ts';
import { buildProgram, programModel } from '../../src/cli/program.ts';
import { isInstalled } from '../support/cli.ts';
import { TAX_SPEC } from '../support/env.ts';

const program = programModel(buildProgram({} as Io, () => {}));
const SHELLS = ['bash', 'zsh', 'fish'] as const;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-completion-'));
  // A folder with the name of a command, and one whose name needs quotes.
  for (const name of ['specs', 'plan', 'my specs', 'more']) await mkdir(path.join(folder, name));
  await writeFile(path.join(folder, 'specs/tax.yaml'), TAX_SPEC);
  await writeFile(
    path.join(folder, 'more/b.yml'),
    'metadata: { name: books, labels: {} }\nspec:\n  name: none\n',
  );
  await writeFile(path.join(folder, 'plan.json'), '{}');
  for (const shell of SHELLS)
    await writeFile(path.join(folder, shell), await completionScript(shell, program));
});
afterAll(() => rm(folder, { recursive: true }));

/** Typed text, where ⇥ is the tab key, and the arguments with which the shell then calls reconcile. */
const TYPED: [typed: string, args: string[]][] = [
  ['pla⇥', ['plan']],
  ['doctor --obj⇥', ['doctor', '--object']],
  ['plan --onc⇥', ['plan', '--onc']],
  ['--dry⇥ sp⇥', ['--dry-run', 'specs/']],
  ['plan my⇥', ['plan', 'my specs/']],
  ['apply plan.j⇥', ['apply', 'plan.json']],
  ['completion f⇥', ['completion', 'fish']],
  ['plan --output mar⇥', ['plan', '--output', 'markdown']],
  ['plan --output=mar⇥', ['plan', '--output=markdown']],
  ['verify -o mar⇥', ['verify', '-o', 'mar']],
  ['plan --allow remove-r⇥', ['plan', '--allow', 'remove-rules']],
  ['plan --only ⇥', ['plan', '--only', 'tax']],
  ['plan more --only ⇥', ['plan', 'more', '--only', 'books']],
  ['doctor --observed plan.j⇥', ['doctor', '--observed', 'plan.json']],
  ['sandbox --state s⇥', ['sandbox', '--state', 'specs/']],
  ['--sandbox=sp⇥', ['--sandbox=specs/']],
  ['--wait sp⇥', ['--wait', 'sp']],
  // An option before the command belongs to the command. The value of an option is not a command.
  ['--sandbox doctor -o sar⇥', ['--sandbox', 'doctor', '-o', 'sarif']],
  ['--only plan doct⇥', ['--only', 'plan', 'doctor']],
];

/** Types the lines into a shell with a fake reconcile, and returns the arguments of each call. */
async function typedInto(shell: string, command: string, lines: readonly string[]): Promise<string[][]> {
  const input = [
    `source ./${shell}`,
    `reconcile() { printf '%s\\t' "$@" >> ${shell}.calls; echo >> ${shell}.calls; }`,
    ...lines.map((line) => `reconcile ${line.replaceAll('⇥', '\t')}`),
    'exit\n',
  ].join('\n');
  const env = { PATH: process.env.PATH, HOME: folder, TERM: 'dumb' };
  const run = spawnSync('sh', ['-c', command], { cwd: folder, input, env, timeout: 20_000 });
  expect(run.error).toBeUndefined();
  const calls = await readFile(path.join(folder, `${shell}.calls`), 'utf8');
  return calls
    .trim()
    .split('\n')
    .map((line) => line.replace(/\t$/, '').split('\t'));
}

const typing = TYPED.map(([line]) => line);
const slashless = (args: string[]) => args.map((arg) => arg.replace(/\/$/, ''));

test('bash: completes typed lines without the package bash-completion', async () => {
  const calls = await typedInto('bash', 'bash --norc --noprofile -i', typing);
  expect(calls).toEqual(TYPED.map(([, args]) => args));
});

test.skipIf(!isInstalled('zsh') || !isInstalled('script'))(
  'zsh: completes typed lines (needs zsh and script)',
  async () => {
    const calls = await typedInto('zsh', "script -qec 'zsh -f -i' /dev/null", typing);
    // zsh removes a slash at the end of a word.
    expect(calls).toEqual(TYPED.map(([, args]) => slashless(args)));
  },
);

test.skipIf(!isInstalled('fish'))('fish: completes typed lines (needs fish)', () => {
  const lines = TYPED.map(([line]) => line.replace(/⇥ .*/, '⇥'));
  const queries = lines.map((line) => `complete -C 'reconcile ${line.replace('⇥', '')}'; echo ';'`);
  const run = spawnSync('fish', ['--no-config', '-c', ['source ./fish', ...queries].join('\n')], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: folder },
  });
  expect(run.stderr).toBe('');
  const candidates = run.stdout
    .split(';\n')
    .map((text) => text.split('\n').map((line) => line.split('\t')[0]));
  TYPED.forEach(([line, args], index) => {
    const last = args[line.includes('⇥ ') ? 0 : args.length - 1] ?? '';
    const isCompleted = !line.endsWith(`${last}⇥`);
    if (isCompleted) expect(candidates[index], line).toContain(last);
    else expect(candidates[index], line).toEqual(['']);
  });
});

describe('bash completion', () => {
  /** Returns the candidates for the last of these words. */
  function candidatesFor(...line: string[]): string[] {
    const script = `source ./bash; COMP_WORDS=(reconcile "$@"); COMP_CWORD=$#; _reconcile; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const run = spawnSync('bash', ['--norc', '-c', script, 'bash', ...line], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(run.stderr).toBe('');
    return run.stdout.split('\n').filter(Boolean);
  }

  test('offers every command, its options, and the choices of each option', () => {
    expect(candidatesFor('')).toEqual(program.commands.map(({ name }) => name));
    for (const { name, options } of [{ ...program, name: '' }, ...program.commands]) {
      const before = name === '' ? [] : [name];
      expect(candidatesFor(...before, '--')).toEqual(options.map(({ long }) => long));
      for (const { long, value } of options.filter((option) => option.value?.kind === 'choice'))
        expect(candidatesFor(...before, long, '')).toEqual(value?.choices);
    }
  });
});

test.each(SHELLS.filter(isInstalled))('%s: parses the completion script without an error', (shell) => {
  const run = spawnSync(shell, ['-n', shell], { cwd: folder, encoding: 'utf8' });
  expect(run).toMatchObject({ status: 0, stdout: '', stderr: '' });
});
