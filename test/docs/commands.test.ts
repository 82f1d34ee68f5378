import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { CommandModel, Io } from '../../src/cli/command-model.ts';
import { buildProgram, programModel } from '../../src/cli/program.ts';

const PAGES = [
  'README.md',
  ...['docs/how-to', 'docs/tutorial'].flatMap((folder) =>
    readdirSync(folder)
      .filter((file) => file.endsWith('.md'))
      .map((file) => `${folder}/${file}`),
  ),
];

const program = programModel(
  buildProgram({ stdout: process.stdout, stderr: process.stderr, env: {} } as unknown as Io, () => {}),
);

/** Returns the calls of replikey in a page: in code spans with arguments, and in the lines of shell blocks. */
function callsIn(text: string): string[][] {
  const blocks = [...text.matchAll(/^ *```(?:sh|bash|console)\n(.*?)^ *```/gms)].flatMap(([, block = '']) =>
    block.replaceAll('\\\n', ' ').split('\n'),
  );
  const spans = [...text.replaceAll(/^ *```.*?^ *```/gms, '').matchAll(/`([^`]+)`/g)].map(
    ([, span = '']) => span,
  );
  return [...blocks, ...spans]
    .flatMap((line) => line.split(/[|;&>#]|\$\(/))
    .map((call) => call.replace(/^\$ /, '').trim().split(/\s+/))
    .flatMap((words) => (words[0] === 'npx' ? [words.slice(1)] : [words]))
    .filter(([name, ...args]) => name === 'reconcile' && args.length > 0);
}

/** Returns what is wrong with a call: an unknown option, or a missing argument. A command without any is its name. */
function problemsOf([, ...words]: string[]): string[] {
  const subcommand = program.commands.find(({ name }) => name === words[0]);
  const command: CommandModel = subcommand ?? program;
  const args = subcommand ? words.slice(1) : words;
  if (args.length === 0 || args.includes('--help')) return [];
  const problems: string[] = [];
  const positional: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const [name = '', value] = args[index]?.split('=') ?? [];
    if (!name.startsWith('-') || name === '-') {
      positional.push(name);
      continue;
    }
    const option = [...command.options, ...program.options].find(
      ({ long, short }) => long === name || short === name,
    );
    if (!option) problems.push(`unknown option ${name}`);
    if (option?.value && !option.value.isOptional && value === undefined) index++;
  }
  const required = command.arguments.filter(({ isOptional }) => !isOptional);
  if (positional.length < required.length) problems.push(`${required[0]?.name} is missing`);
  return problems;
}

test('commands: an unknown option and a missing argument are problems', () => {
  const [call = []] = callsIn('`reconcile permissions --who-changes`');
  expect(problemsOf(call)).toEqual(['unknown option --who-changes', 'paths is missing']);
});

test.each(PAGES)('%s: each command has known options and all required arguments', (page) => {
  const problems = callsIn(readFileSync(page, 'utf8')).flatMap((call) =>
    problemsOf(call).map((problem) => `${call.join(' ')}: ${problem}`),
  );
  expect(problems).toEqual([]);
});

test('documentation: each kubectl and helm command names the namespace of replikey, or its manifests', () => {
  const commands = PAGES.flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/(?:^|[`$|] ?)((?:kubectl|helm) [a-z]+ [^`\n]*)/gm)].map(
      ([, command = '']) => command,
    ),
  );
  expect(commands.length).toBeGreaterThan(8);
  // The definitions belong to the cluster, and an overlay contains the namespace.
  const isClusterWide = (command: string) =>
    / -k deploy\/kubernetes|crd|kubectl apply .*-f -$|kubectl diff/.test(command);
  expect(
    commands.filter((command) => !isClusterWide(command) && !command.includes('--namespace replikey')),
  ).toEqual([]);
});
