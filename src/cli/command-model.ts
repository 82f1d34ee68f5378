import { type Argument, type Command, Help, type Option } from 'commander';

/** The part of the process that a command may use. */
export interface Io {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  env: Record<string, string | undefined>;
  on(event: 'SIGINT' | 'SIGTERM' | 'SIGHUP', listener: () => void): unknown;
  off(event: 'SIGINT' | 'SIGTERM' | 'SIGHUP', listener: () => void): unknown;
  exit(code: number): never;
}

/** A command line to copy, and what it does. */
export type Example = readonly [line: string, description: string];

/**
 * A command: its flags, its texts and its function, all in one file of commands/. Help, completion and the man page
 * derive from it. The program loads the definitions of all commands at its start, so that their files import only light
 * modules statically; `run` loads the others.
 */
export interface CommandDefinition {
  name: string;
  /** One line in the list of commands; absent: the description. */
  summary?: string;
  description: string;
  examples: readonly Example[];
  /** Adds arguments and options. Where there are many, `helpGroup` of an option names its heading in help. */
  configure(command: Command): Command;
  /** Whether the command runs until a signal stops it, so that the signal is no interruption. */
  runsUntilStopped?(...args: unknown[]): boolean;
  /**
   * Runs the command and returns its exit code.
   *
   * @param args the arguments in the order of their declaration, then the options.
   */
  run(context: CommandContext, ...args: unknown[]): Promise<number>;
}

export interface CommandContext {
  io: Io;
  /** Aborts at the first SIGINT or SIGTERM. */
  signal: AbortSignal;
  /** Describes the whole program. */
  program(): CommandModel;
}

/** A command as data: for help, completion, the man page and tests. */
export interface CommandModel {
  name: string;
  description: string;
  examples: readonly Example[];
  arguments: ValueModel[];
  options: OptionModel[];
  commands: CommandModel[];
}

export interface OptionModel {
  long: string;
  short?: string;
  description: string;
  /** What follows it, if anything does. */
  value?: ValueModel;
  fallback?: string;
}

export interface ValueModel {
  /** `file`, as help shows it. */
  name: string;
  /** What it names: one of the choices, something that can be looked up, or any text. */
  kind: 'choice' | 'file' | 'folder' | 'spec' | 'text';
  choices: string[];
  isOptional: boolean;
  /** Whether several may be given. */
  repeats: boolean;
}

/** @param examplesOf the examples of a command by its name. */
export function commandModelOf(
  command: Command,
  examplesOf: (name: string) => readonly Example[],
): CommandModel {
  const help = new Help();
  return {
    name: command.name(),
    description: command.description(),
    examples: examplesOf(command.name()),
    arguments: command.registeredArguments.map(argumentModelOf),
    options: help.visibleOptions(command).map(optionModelOf),
    commands: help
      .visibleCommands(command)
      .filter((subcommand) => subcommand.name() !== 'help')
      .map((subcommand) => commandModelOf(subcommand, examplesOf)),
  };
}

/** `<paths...>`, `[file]`: as help shows what a command takes. */
export const valueSyntax = ({ name, isOptional, repeats }: ValueModel): string => {
  const content = repeats ? `${name}...` : name;
  return isOptional ? `[${content}]` : `<${content}>`;
};

export const flagsOf = ({ long, short }: OptionModel): string[] => [long, ...(short ? [short] : [])];

/** The flags of a command after which the next word is a value. */
export const flagsWithValue = ({ options }: CommandModel): string[] =>
  options.filter(({ value }) => value && !value.isOptional).flatMap(flagsOf);

/**
 * A line for sh, without single quotes, that prints the names of the specs in those of its arguments that are paths, or
 * else in specs/: fast enough for a key that is pressed, as asking replikey itself would not be.
 */
export const specNamesCommand = ({ commands }: CommandModel): string =>
  [
    `for word do shift; case "$word" in ${commands.map(({ name }) => name).join('|')}) ;; *) [ -e "$word" ] && set -- "$@" "$word" ;; esac; done`,
    '[ $# -gt 0 ] || set -- specs',
    'find "$@" -name "*.y*ml" -exec sed -n "/^metadata:/,/^spec:/s/.*name: *\\([a-z0-9-]*\\).*/\\1/p" {} + 2>/dev/null | sort -u',
  ].join('; ');

/** The description with what may be chosen, and what holds where nothing is: `form: text (default), json`. */
export function describeChoices({
  description,
  value,
  fallback,
}: Pick<OptionModel, 'description' | 'value' | 'fallback'>): string {
  if (value?.kind !== 'choice')
    return fallback === undefined ? description : `${description} (default: ${fallback})`;
  const choices = value.choices.map((choice) => (choice === fallback ? `${choice} (default)` : choice));
  return `${description}: ${choices.join(', ')}`;
}

export const argumentModelOf = (argument: Argument): ValueModel => ({
  name: argument.name(),
  ...valueKindOf(argument.name(), argument.argChoices),
  isOptional: !argument.required,
  repeats: argument.variadic,
});

export function optionModelOf(option: Option): OptionModel {
  const name = /[<[]([^\]>]+)[\]>]/.exec(option.flags)?.[1];
  const isList = Array.isArray(option.defaultValue);
  return {
    long: option.long ?? '',
    ...(option.short === undefined ? {} : { short: option.short }),
    description: option.description,
    ...(name === undefined
      ? {}
      : {
          value: {
            name,
            ...valueKindOf(name, option.argChoices),
            isOptional: option.optional,
            repeats: isList,
          },
        }),
    ...(option.defaultValue === undefined || isList ? {} : { fallback: String(option.defaultValue) }),
  };
}

/** What the name of a value says of what may stand there; all other names say nothing. */
const VALUE_KINDS: Record<string, ValueModel['kind']> = {
  paths: 'file',
  plan: 'file',
  file: 'file',
  dir: 'folder',
  spec: 'spec',
};

const valueKindOf = (name: string, choices: string[] = []): Pick<ValueModel, 'kind' | 'choices'> => ({
  kind: choices.length > 0 ? 'choice' : (VALUE_KINDS[name] ?? 'text'),
  choices,
});
