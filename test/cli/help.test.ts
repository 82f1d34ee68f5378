import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Io } from '../../src/cli/command-model.ts';
import { buildProgram, programModel, runCommandLine as run } from '../../src/cli/program.ts';
import { runCli } from '../support/cli.ts';

/** What --help prints where the terminal is so wide. */
function helpOf(command: string, columns: number): string {
  let said = '';
  const write = (text: string) => {
    said += text;
  };
  const io = { stdout: { write }, env: { COLUMNS: String(columns) } } as unknown as Io;
  const program = buildProgram(io, () => {});
  const words = command === '' ? ['--help'] : [command, '--help'];
  expect(() => program.parse(words, { from: 'user' })).toThrow();
  return said;
}

const words = programModel(buildProgram({} as Io, () => {}));
const ALL_COMMANDS = [words, ...words.commands];
const COMMANDS = ['', ...words.commands.map(({ name }) => name)];

describe('--help', () => {
  test('of every command is as it was looked at', async () => {
    const all = COMMANDS.map((name) => `$ reconcile ${name} --help\n${helpOf(name, 80)}`).join('\n');
    await expect(all.replaceAll('  --help\n', ' --help\n')).toMatchFileSnapshot('golden/help.txt');
  });

  test.each([80, 60])('stays within %i columns, but for what is to be copied', (columns) => {
    const examples = new Set(ALL_COMMANDS.flatMap(({ examples: lines }) => lines).flat());
    for (const name of COMMANDS) {
      const lines = helpOf(name, columns).split('\n');
      const isExample = (line: string) => [...examples].some((one) => line.includes(one));
      expect(lines.filter((line) => line.length > columns && !(columns < 80 && isExample(line)))).toEqual([]);
    }
  });

  test('groups every option and every command, and shows every command by examples', () => {
    for (const name of COMMANDS) expect(helpOf(name, 80).split('\nOthers:\n')[1], name).toBeUndefined();
    for (const { name, examples } of ALL_COMMANDS) expect(examples.length, name).toBeGreaterThan(0);
  });

  test('shows by examples only what can be said', () => {
    const lines = ALL_COMMANDS.flatMap(({ examples }) => examples).map(([line]) => line);
    for (const line of lines) {
      const [, said = ''] = /reconcile ?([^)>|"]*)/.exec(line) ?? [];
      const [first = '', ...rest] = said.trim().split(/ +/);
      const command = words.commands.find(({ name }) => name === first) ?? words;
      const flags = [first, ...rest].filter((word) => word.startsWith('-'));
      const known = command.options.flatMap(({ long, short }) => [long, short]);
      expect(known, line).toEqual(expect.arrayContaining(flags));
    }
  });

  test('says what the exit codes mean, where all begins', () => {
    expect(helpOf('', 80)).toMatch(/\nExit codes:\n {2}0 {9}converged/);
    expect(helpOf('plan', 80)).not.toContain('Exit codes');
  });

  test('goes to standard output, and the program ends with 0', async () => {
    const { code, stdout, stderr } = await runCli(['doctor', '--help'], { env: { COLUMNS: '80' } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(helpOf('doctor', 80));
    for (const name of ['', 'doctor']) {
      const args = ['help', name].filter((word) => word !== '');
      expect(await runCli(args, { env: { COLUMNS: '80' } })).toMatchObject({
        code: 0,
        stdout: helpOf(name, 80),
      });
    }
  });
});

describe('what is mistyped', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'replikey-help-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** What is said on standard error of a line that cannot be run. */
  async function saidOf(args: string[]): Promise<string> {
    let said = '';
    const stream = (write: (text: string) => void) => ({ write, on: () => {} });
    const io = {
      stdout: stream(() => {}),
      stderr: stream((text) => {
        said += text;
      }),
      env: {},
      on: () => {},
      off: () => {},
    };
    expect(await run(args, io as unknown as Io)).toBe(64);
    return said;
  }

  test.each([
    [['paln', 'specs/'], 'did you mean plan?'],
    [['plna', 'specs/'], 'did you mean plan?'],
    [['mna'], 'did you mean man?'],
    [['compleiton', 'bash'], 'did you mean completion?'],
    [['--ouput', 'jsn', 'specs/'], 'Did you mean --output?'],
    [['--dry-rnu', 'specs/'], 'Did you mean --dry-run?'],
    [['doctor', '--bukcet', 'x'], 'Did you mean --bucket?'],
    [['doctor', '--bukcet', 'x'], '(reconcile doctor --help shows what can be said)'],
    [['docter', '--bucket', 'x'], 'did you mean reconcile doctor?'],
    [['plan', 'specs/', '-o', 'jsn'], 'Allowed choices are text, json, ndjson, markdown'],
    [['plan', 'specs/', '--allow', 'adpot'], 'is invalid. Allowed choices are adopt, change-boundary'],
    [['specs/', '--shard', '4/3'], 'is invalid. Expected a part, from 1, and of how many, such as 1/3.\n'],
    [['specs/', '--once', '--max-changes', 'few'], 'is invalid. Expected a whole number.\n'],
    [['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish'],
  ])('%j is told what was meant', async (args, meant) => {
    expect(await saidOf(args)).toContain(meant);
  });
});
