import type { Command, Help, HelpConfiguration } from 'commander';
import { argumentModelOf, describeChoices, optionModelOf, valueSyntax } from './command-model.ts';
import { EXIT_CODES, helpExamples } from './examples.ts';
import type { Io } from './io.ts';

/** What `--help` looks like: what there is to do first, and options by what they are for. */
export const HELP_CONFIGURATION: HelpConfiguration = {
  minWidthToWrap: 20,
  subcommandTerm: (command) =>
    [
      command.name(),
      ...command.registeredArguments.map((argument) => valueSyntax(argumentModelOf(argument))),
    ].join(' '),
  argumentDescription: (argument) =>
    describeChoices({
      description: argument.description,
      value: argumentModelOf(argument),
      fallback: argument.defaultValue,
    }),
  optionDescription: (option) => describeChoices(optionModelOf(option)),
  formatHelp,
};

/** As wide as the terminal, but no wider than is read with ease. */
export const helpWidth = ({ env, stdout }: Io): number =>
  Math.min(Number(env.COLUMNS) || stdout.columns || 80, 100);

function formatHelp(command: Command, help: Help): string {
  const pad = help.padWidth(command, help);
  const section = (heading: string, items: [term: string, description: string][], width = pad): string[] =>
    items.length === 0
      ? []
      : [[heading, ...items.map(([term, text]) => help.formatItem(term, width, text, help))].join('\n')];
  const options = help.visibleOptions(command);
  const sections = [
    `Usage: ${help.commandUsage(command)}`,
    help.boxWrap(toSentence(help.commandDescription(command)), help.helpWidth ?? 80),
    ...section(
      'Arguments:',
      command.registeredArguments.map((argument) => [
        help.argumentTerm(argument),
        help.argumentDescription(argument),
      ]),
    ),
    ...groupByHeading(COMMAND_GROUPS, help.visibleCommands(command), (subcommand) =>
      subcommand.name(),
    ).flatMap(([heading, commands]) =>
      section(
        heading,
        commands.map((subcommand) => [
          help.subcommandTerm(subcommand),
          help.subcommandDescription(subcommand),
        ]),
      ),
    ),
    ...(options.length <= MAX_UNGROUPED_OPTIONS
      ? [['Options:', options] as const]
      : groupByHeading(OPTION_GROUPS, options, ({ long }) => long ?? '')
    ).flatMap(([heading, headingOptions]) =>
      section(
        heading,
        headingOptions.map((option) => [help.optionTerm(option), help.optionDescription(option)]),
      ),
    ),
    ...helpExamples(command.name()),
    ...(command.parent ? [] : section('Exit codes:', EXIT_CODES, '130, 143'.length)),
  ];
  return `${sections.join('\n\n')}\n`;
}

/** So many options need no headings. */
const MAX_UNGROUPED_OPTIONS = 7;

type HeadingGroups = readonly (readonly [heading: string, names: readonly string[]])[];

const COMMAND_GROUPS: HeadingGroups = [
  ['Write specs:', ['init', 'import', 'validate', 'explain', 'schema']],
  ['Plan and apply:', ['plan', 'apply', 'observe']],
  ['See whether it replicates:', ['doctor', 'verify']],
  ['Try it, without an AWS account:', ['sandbox', 'demo']],
  ['Comfort:', ['permissions', 'completion', 'man']],
];

const OPTION_GROUPS: HeadingGroups = [
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
function groupByHeading<T>(
  groups: HeadingGroups,
  items: readonly T[],
  nameOf: (item: T) => string,
): [string, T[]][] {
  const groupedNames = new Set(groups.flatMap(([, names]) => names));
  const sections = groups.map(([heading, names]): [string, T[]] => [
    heading,
    names.flatMap((name) => items.filter((item) => nameOf(item) === name)),
  ]);
  return [...sections, ['Others:', items.filter((item) => !groupedNames.has(nameOf(item)))]];
}

const toSentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
