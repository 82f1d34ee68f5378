import type { Command, Help, HelpConfiguration } from 'commander';
import { EXIT_CODES, examplesText } from './examples.ts';
import type { Io } from './io.ts';
import { argumentWords, described, optionWords, shown } from './words.ts';

/** What `--help` looks like: what there is to do first, and options by what they are for. */
export const HELP: HelpConfiguration = {
  minWidthToWrap: 20,
  subcommandTerm: (command) =>
    [command.name(), ...command.registeredArguments.map((one) => shown(argumentWords(one)))].join(' '),
  argumentDescription: (argument) =>
    described({
      description: argument.description,
      value: argumentWords(argument),
      fallback: argument.defaultValue,
    }),
  optionDescription: (option) => described(optionWords(option)),
  formatHelp,
};

/** As wide as the terminal, but no wider than is read with ease. */
export const helpWidth = ({ env, stdout }: Io): number =>
  Math.min(Number(env.COLUMNS) || stdout.columns || 80, 100);

function formatHelp(command: Command, help: Help): string {
  const pad = help.padWidth(command, help);
  const list = (heading: string, items: [term: string, description: string][], width = pad): string[] =>
    items.length === 0
      ? []
      : [[heading, ...items.map(([term, text]) => help.formatItem(term, width, text, help))].join('\n')];
  const options = help.visibleOptions(command);
  const sections = [
    `Usage: ${help.commandUsage(command)}`,
    help.boxWrap(sentence(help.commandDescription(command)), help.helpWidth ?? 80),
    ...list(
      'Arguments:',
      command.registeredArguments.map((one) => [help.argumentTerm(one), help.argumentDescription(one)]),
    ),
    ...grouped(COMMANDS, help.visibleCommands(command), (one) => one.name()).flatMap(([heading, commands]) =>
      list(
        heading,
        commands.map((one) => [help.subcommandTerm(one), help.subcommandDescription(one)]),
      ),
    ),
    ...(options.length <= AT_A_GLANCE
      ? [['Options:', options] as const]
      : grouped(OPTIONS, options, ({ long }) => long ?? '')
    ).flatMap(([heading, some]) =>
      list(
        heading,
        some.map((one) => [help.optionTerm(one), help.optionDescription(one)]),
      ),
    ),
    ...examplesText(command.name()),
    ...(command.parent ? [] : list('Exit codes:', EXIT_CODES, '130, 143'.length)),
  ];
  return `${sections.join('\n\n')}\n`;
}

/** So many options need no headings. */
const AT_A_GLANCE = 7;

type Groups = readonly (readonly [heading: string, names: readonly string[]])[];

const COMMANDS: Groups = [
  ['Write specs:', ['init', 'import', 'validate', 'explain', 'schema']],
  ['Plan and apply:', ['plan', 'apply', 'observe']],
  ['See whether it replicates:', ['doctor', 'verify']],
  ['Try it, without an AWS account:', ['sandbox', 'demo']],
  ['Comfort:', ['permissions', 'completion', 'man']],
];

const OPTIONS: Groups = [
  ['What is done:', ['--once', '--dry-run', '--plan-only', '--plan']],
  ['Which specs:', ['--only', '--selector', '--var', '--source']],
  ['Which buckets:', ['--bucket', '--all', '--object', '--sample']],
  ['The plan:', ['--prune', '--out', '--sarif', '--explain', '--detailed-exitcode']],
  [
    'What is allowed:',
    ['--verify', '--who-changed', '--allow', '--allow-unproven', '--max-changes', '--max-removals'],
  ],
  ['Running until stopped:', ['--interval', '--verify-interval', '--workers', '--listen', '--grace']],
  ['One writer among several:', ['--leader-elect', '--lock', '--lease-duration', '--shard']],
  ['Where it looks:', ['--sandbox', '--observed', '--region']],
  ['How long it waits:', ['--wait', '--timeout']],
  ['What is told:', ['--output', '--verbose', '--log-level', '--debug', '--version', '--help']],
];

/** Items under their headings, in the order of the table; what the table does not know comes last. */
function grouped<T>(groups: Groups, items: readonly T[], nameOf: (item: T) => string): [string, T[]][] {
  const known = new Set(groups.flatMap(([, names]) => names));
  const filled = groups.map(([heading, names]): [string, T[]] => [
    heading,
    names.flatMap((name) => items.filter((item) => nameOf(item) === name)),
  ]);
  return [...filled, ['Others:', items.filter((item) => !known.has(nameOf(item)))]];
}

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
