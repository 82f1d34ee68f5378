import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Io } from '../../src/cli/command-model.ts';
import { buildProgram, programModel, runCommandLine as run } from '../../src/cli/program.ts';
import { runCli } from '../support/cli.ts';

/** Returns the output of --help for a width of the terminal. */
function helpOf(command: string, columns: number): string {
  let output = '';
  const write = (text: string) => {
    output += text;
  };
  const io = { stdout: { write }, env: { COLUMNS: String(columns) } } as unknown as Io;
  const program = buildProgram(io, () => {});
  const argv = command === '' ? ['--help'] : [command, '--help'];
  expect(() => program.parse(argv, { from: 'user' })).toThrow();
  return output;
}

const program = programModel(buildProgram({} as Io, () => {}));
const ALL_COMMANDS = [program, ...program.commands];
const COMMANDS = ['', ...program.commands.map(({ name }) => name)];

describe('--help', () => {
  test('matches the golden file for every command', async () => {
    const all = COMMANDS.map((name) => `$ reconcile ${name} --help\n${helpOf(name, 80)}`).join('\n');
    await expect(all.replaceAll('  --help\n', ' --help\n')).toMatchFileSnapshot('golden/help.txt');
  });

  test.each([80, 60])('stays within %i columns, except for examples', (columns) => {
    const examples = new Set(ALL_COMMANDS.flatMap(({ examples: lines }) => lines).flat());
    for (const name of COMMANDS) {
      const lines = helpOf(name, columns).split('\n');
      const isExample = (line: string) => [...examples].some((example) => line.includes(example));
      expect(lines.filter((line) => line.length > columns && !(columns < 80 && isExample(line)))).toEqual([]);
    }
  });

  test('has a heading for every option and command, and examples of every command', () => {
    for (const name of COMMANDS) expect(helpOf(name, 80).split('\nOther:\n')[1], name).toBeUndefined();
    for (const { name, examples } of ALL_COMMANDS) expect(examples.length, name).toBeGreaterThan(0);
  });

  test('shows every option once', () => {
    for (const name of COMMANDS) {
      const flags = helpOf(name, 80).match(/^ {2}(-\w, )?--[\w-]+/gm) ?? [];
      expect(flags, name).toEqual([...new Set(flags)]);
    }
  });

  test('uses only existing options in examples', () => {
    const lines = ALL_COMMANDS.flatMap(({ examples }) => examples).map(([line]) => line);
    for (const line of lines) {
      const [, argumentText = ''] = /reconcile ?([^)>|"]*)/.exec(line) ?? [];
      const [first = '', ...rest] = argumentText.trim().split(/ +/);
      const command = program.commands.find(({ name }) => name === first) ?? program;
      const flags = [first, ...rest].filter((word) => word.startsWith('-'));
      const validFlags = command.options.flatMap(({ long, short }) => [long, short]);
      expect(validFlags, line).toEqual(expect.arrayContaining(flags));
    }
  });

  test('lists the exit codes in the help of the program only', () => {
    expect(helpOf('', 80)).toMatch(/\nExit codes:\n {2}0 {14}converged/);
    expect(helpOf('plan', 80)).not.toContain('Exit codes');
  });

  test('prints to standard output and exits with 0', async () => {
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

describe('a mistyped command line', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'replikey-help-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** Returns standard error of an invalid command line. */
  async function usageErrorOf(args: string[]): Promise<string> {
    let output = '';
    const stream = (write: (text: string) => void) => ({ write, on: () => {} });
    const io = {
      stdout: stream(() => {}),
      stderr: stream((text) => {
        output += text;
      }),
      env: {},
      on: () => {},
      off: () => {},
    };
    expect(await run(args, io as unknown as Io)).toBe(64);
    return output;
  }

  test.each([
    [['paln', 'specs/'], 'did you mean reconcile plan?'],
    [['plna', 'specs/'], 'did you mean reconcile plan?'],
    [['mna'], 'did you mean reconcile man?'],
    [['compleiton', 'bash'], 'did you mean reconcile completion?'],
    [['--ouput', 'jsn', 'specs/'], 'Did you mean --output?'],
    [['--dry-rnu', 'specs/'], 'Did you mean --dry-run?'],
    [['doctor', '--bukcet', 'x'], 'Did you mean --bucket?'],
    [['doctor', '--bukcet', 'x'], "See 'reconcile doctor --help'."],
    [['docter', '--bucket', 'x'], 'did you mean reconcile doctor?'],
    [['plan', 'specs/', '-o', 'jsn'], 'Allowed choices are text, json, ndjson, markdown'],
    [['plan', 'specs/', '--allow', 'adpot'], 'is invalid. Allowed choices are adopt, backfill-foreign-rules'],
    [
      ['specs/', '--shard', '4/3'],
      'is invalid. Expected a shard (from 1) and the number of shards, for example 1/3.\n',
    ],
    [['specs/', '--once', '--max-changes', 'few'], 'is invalid. Expected a whole number, 0 or more.\n'],
    [['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish'],
  ])('%j: prints a suggestion or the valid values', async (args, suggestion) => {
    expect(await usageErrorOf(args)).toContain(suggestion);
  });
});
