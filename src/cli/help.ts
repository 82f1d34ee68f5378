import { existsSync } from 'node:fs';
import type { Command, Help, HelpConfiguration, Option } from 'commander';
import { suggest } from '../spec/did-you-mean.ts';
import {
  argumentModelOf,
  type CommandModel,
  describeChoices,
  type Example,
  type Io,
  optionModelOf,
  valueSyntax,
} from './command-model.ts';

export const EXIT_CODES: [code: string, meaning: string][] = [
  ['0', 'converged, nothing to do, or planned'],
  ['1', 'failed, or partly failed'],
  ['2', 'the plan contains changes (only with --detailed-exitcode)'],
  ['3', 'refused by a guard'],
  ['4', 'no usable credentials, or those of the wrong account'],
  ['64', 'invalid arguments'],
  ['65', 'invalid specs'],
  ['129, 130, 143', 'interrupted, after finishing the calls in flight'],
];

const EXIT_CODE_WIDTH = '129, 130, 143'.length;

/** Returns what `reconcile help exit-codes` prints. */
export const exitCodesText = (): string =>
  EXIT_CODES.map(([code, meaning]) => `${code.padEnd(EXIT_CODE_WIDTH)}  ${meaning}\n`).join('');

/**
 * Configures the format of `--help`: commands and options are grouped by purpose.
 *
 * @param commandGroups names of commands under their headings.
 * @param examplesOf the examples of a command by its name.
 */
export const helpConfiguration = (
  commandGroups: HeadingGroups,
  examplesOf: (name: string) => readonly Example[],
): HelpConfiguration => ({
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
  formatHelp: (command, help) => formatHelp(command, help, commandGroups, examplesOf(command.name())),
});

/** Returns the width of the terminal, up to a readable maximum. */
export const helpWidth = ({ env, stdout }: Io): number =>
  Math.min(Number(env.COLUMNS) || stdout.columns || 80, 100);

function formatHelp(
  command: Command,
  help: Help,
  commandGroups: HeadingGroups,
  examples: readonly Example[],
): string {
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
    ...groupByHeading(commandGroups, help.visibleCommands(command), (subcommand) =>
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
      : groupByHeading(optionGroups(options), options, ({ long }) => long ?? '')
    ).flatMap(([heading, headingOptions]) =>
      section(
        heading,
        headingOptions.map((option) => [help.optionTerm(option), help.optionDescription(option)]),
      ),
    ),
    ...helpExamples(examples),
    ...(command.parent ? [] : section('Exit codes:', EXIT_CODES, EXIT_CODE_WIDTH)),
  ];
  return `${sections.join('\n\n')}\n`;
}

/** Maximum number of options without headings. */
const MAX_UNGROUPED_OPTIONS = 7;

export type HeadingGroups = readonly (readonly [heading: string, names: readonly string[]])[];

/** Headings of the options. Alternatively, an option of a new command can set its own heading. */
const OPTION_GROUPS: HeadingGroups = [
  ['Mode:', ['--once', '--dry-run', '--plan-only', '--plan']],
  ['Specs:', ['--only', '--selector', '--var', '--source', '--by-arn']],
  ['Buckets:', ['--bucket', '--all', '--object', '--sample', '--failed-since']],
  ['Plan:', ['--prune', '--out', '--sarif', '--explain', '--detailed-exitcode']],
  [
    'Guards:',
    [
      '--verify',
      '--who-changed',
      '--allow',
      '--yes',
      '--allow-unproven',
      '--max-changes',
      '--max-removals',
      '--drain',
      '--propagation-wait',
      '--canary-first',
    ],
  ],
  [
    'Controller:',
    [
      '--interval',
      '--verify-interval',
      '--metrics-interval',
      '--workers',
      '--listen',
      '--health-listen',
      '--grace',
    ],
  ],
  ['All accounts:', ['--accounts', '--organization', '--role-name', '--regions', '--save']],
  ['Locks, leader election and shards:', ['--leader-elect', '--lock', '--lease-duration', '--shard']],
  [
    'Target:',
    [
      '--account',
      '--organization-account',
      '--sandbox',
      '--server',
      '--observed',
      '--region',
      '--terraform',
      '--cloudformation',
      '--stack',
    ],
  ],
  ['Timeouts:', ['--wait', '--timeout']],
  ['Output:', ['--output', '--watch', '--verbose', '--log-level', '--debug', '--version', '--help']],
];

/**
 * Returns the table with the headings that options set themselves (`new Option(…).helpGroup('Plan:')`). Such a heading
 * replaces the one of the table.
 */
function optionGroups(options: readonly Option[]): HeadingGroups {
  const withHeading = options.filter(({ helpGroupHeading }) => helpGroupHeading !== undefined);
  const moved = new Set(withHeading.map(({ long }) => long));
  return OPTION_GROUPS.map(([heading, names]) => [
    heading,
    [
      ...names.filter((name) => !moved.has(name)),
      ...withHeading.flatMap(({ long, helpGroupHeading }) =>
        helpGroupHeading === heading && long ? long : [],
      ),
    ],
  ]);
}

/** Groups items under their headings, in the order of the table. Items that the table does not contain come last. */
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
  return [...sections, ['Other:', items.filter((item) => !groupedNames.has(nameOf(item)))]];
}

const toSentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;

/**
 * Up to this width, the description of an example is on the same line. The example itself is never wrapped, so that
 * the user can copy it.
 */
const MAX_INLINE_WIDTH = 52;

/** Formats the examples of a command, as a section of its help. */
function helpExamples(examples: readonly Example[]): string[] {
  if (examples.length === 0) return [];
  const pad = Math.max(
    ...examples.map(([line]) => line.length).filter((length) => length <= MAX_INLINE_WIDTH),
    0,
  );
  const lines = examples.map(([line, description]) =>
    line.length > MAX_INLINE_WIDTH
      ? `  ${line}\n  ${' '.repeat(pad)}  ${description}`
      : `  ${line.padEnd(pad)}  ${description}`,
  );
  return [['Examples:', ...lines].join('\n')];
}

/** Returns the command that a word resembles, unless the word is a file. */
export function suggestCommand({ commands }: CommandModel, word = ''): string | undefined {
  if (existsSync(word)) return undefined;
  const suggestion = suggest(
    word,
    commands.map(({ name }) => name),
  );
  return suggestion === word ? undefined : suggestion;
}
