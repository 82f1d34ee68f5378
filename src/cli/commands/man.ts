import manifest from '../../../package.json' with { type: 'json' };
import { EXIT } from '../../errors.ts';
import {
  type CommandDefinition,
  type CommandModel,
  describeChoices,
  flagsOf,
  type OptionModel,
  valueSyntax,
} from '../command-model.ts';
import { EXIT_CODES } from '../help.ts';

export const manCommand: CommandDefinition = {
  name: 'man',
  description: 'print the manual page',
  examples: [['reconcile man | man -l -', 'show the page without installing it']],
  configure: (command) => command,
  async run({ io, program }) {
    io.stdout.write(manPage(program(), manifest.version));
    return EXIT.ok;
  },
};

/** Returns the manual page in the format of man(7). */
export function manPage(root: CommandModel, version: string): string {
  return [
    `.TH RECONCILE 1 "" "replikey ${version}" "User Commands"`,
    // Turns off hyphenation and justification, so that options stay intact.
    '.nh',
    '.ad l',
    '.SH NAME',
    `reconcile \\- ${escapeRoff(root.description)}`,
    '.SH SYNOPSIS',
    ...[
      '[\\fIoptions\\fR] \\fIpaths\\fR...',
      '\\fIcommand\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]',
    ].flatMap((form) => ['.B reconcile', form, '.br']),
    '.SH DESCRIPTION',
    'A path is a file, a folder, a glob, or \\- for standard input. replikey compares the specs with the actual state in',
    'AWS, and applies the differences in dependency order; it enables replication last.',
    'It never deletes buckets, objects or keys.',
    '.SH OPTIONS',
    ...root.options.flatMap(manOption),
    '.SH COMMANDS',
    ...root.commands.flatMap((command) => manSubcommand(root, command)),
    '.SH EXIT STATUS',
    ...EXIT_CODES.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, escapeRoff(meaning)]),
    '.SH ENVIRONMENT',
    ...MAN_ENVIRONMENT.flatMap(([name, meaning]) => ['.TP', `.B ${escapeRoff(name)}`, escapeRoff(meaning)]),
    '.SH FILES',
    '.TP',
    '.I .replikey/sandbox',
    'State of the sandbox, unless \\-\\-sandbox names another folder.',
    '.SH EXAMPLES',
    ...manExamples(root),
    '',
  ].join('\n');
}

const MAN_ENVIRONMENT: [name: string, meaning: string][] = [
  ['AWS_PROFILE, AWS_REGION, AWS_ACCESS_KEY_ID, …', 'Credentials and settings, as for other AWS tools.'],
  ['AWS_ENDPOINT_URL', 'Endpoint to call instead of AWS, for example a sandbox.'],
  ['REPLIKEY_…', 'Values of variables for which the specs declare an environment variable.'],
  ['NO_COLOR, FORCE_COLOR', 'Disable colours, or enable them without a terminal.'],
  ['COLUMNS', 'Width of help texts (default: the width of the terminal, at most 100).'],
];

function manOption(option: OptionModel): string[] {
  const flags = flagsOf(option)
    .reverse()
    .map((flag) => `\\fB${escapeRoff(flag)}\\fR`)
    .join(', ');
  const name = `\\fI${escapeRoff(option.value?.name ?? '')}\\fR`;
  const value = option.value?.isOptional ? ` [${name}]` : option.value ? ` ${name}` : '';
  return ['.TP', `${flags}${value}`, escapeRoff(toManSentence(describeChoices(option)))];
}

/** Describes a command. Options with the same description as an option of reconcile itself are only named. */
function manSubcommand(root: CommandModel, command: CommandModel): string[] {
  const rootDescriptions = new Map(root.options.map((option) => [option.long, describeChoices(option)]));
  const isInherited = (option: OptionModel) => rootDescriptions.get(option.long) === describeChoices(option);
  const inherited = command.options.filter((option) => option.long !== '--help' && isInherited(option));
  return [
    '.SS',
    `reconcile ${escapeRoff([command.name, ...command.arguments.map(valueSyntax)].join(' '))}`,
    escapeRoff(toManSentence(command.description)),
    ...command.options.filter((option) => !isInherited(option)).flatMap(manOption),
    ...(inherited.length === 0
      ? []
      : [
          '.PP',
          `Options described above: ${inherited.map(({ long }) => `\\fB${escapeRoff(long)}\\fR`).join(', ')}.`,
        ]),
    ...manExamples(command),
  ];
}

const manExamples = ({ examples }: CommandModel): string[] =>
  examples.flatMap(([line, description]) => [
    '.PP',
    `.nf`,
    `.B "${escapeRoff(line).replaceAll('"', '\\(dq')}"`,
    '.fi',
    '.RS',
    escapeRoff(toManSentence(description)),
    '.RE',
  ]);

const toManSentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;

/** Escapes text for roff. A copied hyphen must stay a hyphen, and a line must not start a request. */
const escapeRoff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replace(/^([.'])/, '\\&$1');
