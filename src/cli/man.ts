import { EXIT_CODES, examplesOf } from './examples.ts';
import { described, flagsOf, type OptionWords, shown, type Words } from './words.ts';

/** The manual page, in the language of man(7). */
export function manPage(root: Words, version: string): string {
  return [
    `.TH RECONCILE 1 "" "replikey ${version}" "User Commands"`,
    // Options are neither divided nor stretched.
    '.nh',
    '.ad l',
    '.SH NAME',
    `reconcile \\- ${escaped(root.description.replace(/^Keeps/, 'keep').replace(/\.$/, ''))}`,
    '.SH SYNOPSIS',
    ...[
      '[\\fIoptions\\fR] \\fIpaths\\fR...',
      '\\fIcommand\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]',
    ].flatMap((form) => ['.B reconcile', form, '.br']),
    '.SH DESCRIPTION',
    'A path is a file, a folder, a glob, or \\- for standard input. What is declared there is compared with what exists',
    'in AWS, and the difference is applied in the order of its dependencies; replication is switched on last.',
    'Buckets, objects and keys are never deleted.',
    '.SH OPTIONS',
    ...root.options.flatMap(optionText),
    '.SH COMMANDS',
    ...root.commands.flatMap((command) => commandText(root, command)),
    '.SH EXIT STATUS',
    ...EXIT_CODES.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, escaped(meaning)]),
    '.SH ENVIRONMENT',
    ...ENVIRONMENT.flatMap(([name, meaning]) => ['.TP', `.B ${escaped(name)}`, escaped(meaning)]),
    '.SH FILES',
    '.TP',
    '.I .replikey/sandbox',
    'State of the sandbox, where \\-\\-sandbox names no other folder.',
    '.SH EXAMPLES',
    ...examplesText('reconcile'),
    '',
  ].join('\n');
}

const ENVIRONMENT: [name: string, meaning: string][] = [
  ['AWS_PROFILE, AWS_REGION, AWS_ACCESS_KEY_ID, …', 'Credentials and settings, as for every AWS tool.'],
  ['AWS_ENDPOINT_URL', 'Another endpoint than that of AWS, such as a sandbox.'],
  ['REPLIKEY_…', 'Values of variables, where the specs declare that they are read from there.'],
  ['NO_COLOR, FORCE_COLOR', 'No colours at all, or colours though nobody seems to look.'],
  ['COLUMNS', 'How wide help is set; absent: as wide as the terminal, 100 at most.'],
];

function optionText(option: OptionWords): string[] {
  const flags = flagsOf(option)
    .reverse()
    .map((flag) => `\\fB${escaped(flag)}\\fR`)
    .join(', ');
  const name = `\\fI${escaped(option.value?.name ?? '')}\\fR`;
  const takes = option.value?.isOptional ? ` [${name}]` : option.value ? ` ${name}` : '';
  return ['.TP', `${flags}${takes}`, escaped(sentence(described(option)))];
}

/** The options of a command that mean there what they mean to reconcile itself are named, and not told again. */
function commandText(root: Words, command: Words): string[] {
  const told = new Map(root.options.map((option) => [option.long, described(option)]));
  const isTold = (option: OptionWords) => told.get(option.long) === described(option);
  const above = command.options.filter((option) => option.long !== '--help' && isTold(option));
  return [
    '.SS',
    `reconcile ${escaped([command.name, ...command.arguments.map(shown)].join(' '))}`,
    escaped(sentence(command.description)),
    ...command.options.filter((option) => !isTold(option)).flatMap(optionText),
    ...(above.length === 0
      ? []
      : ['.PP', `And as above: ${above.map(({ long }) => `\\fB${escaped(long)}\\fR`).join(', ')}.`]),
    ...examplesText(command.name),
  ];
}

const examplesText = (command: string): string[] =>
  examplesOf(command).flatMap(([line, what]) => [
    '.PP',
    `.nf`,
    `.B "${escaped(line).replaceAll('"', '\\(dq')}"`,
    '.fi',
    '.RS',
    escaped(sentence(what)),
    '.RE',
  ]);

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;

/** A hyphen that is copied must stay one, and a line must not begin a request. */
const escaped = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replace(/^([.'])/, '\\&$1');
