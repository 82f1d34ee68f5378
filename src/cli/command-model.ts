import { type Argument, type Command, Help, type Option } from 'commander';

/** The parts of the process that a command may use. */
export interface Io {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  env: Record<string, string | undefined>;
  on(event: 'SIGINT' | 'SIGTERM' | 'SIGHUP', listener: () => void): unknown;
  off(event: 'SIGINT' | 'SIGTERM' | 'SIGHUP', listener: () => void): unknown;
  exit(code: number): never;
}

/** A command line to copy, and its effect. */
export type Example = readonly [line: string, description: string];

/**
 * A command: its flags, its texts and its function, all in one file of commands/. Help, completion and the man page
 * derive from it. The program loads the definitions of all commands at startup. Therefore their files import only
 * light modules statically; `run` loads the others.
 */
export interface CommandDefinition {
  name: string;
  /** Another name for users of other programs. */
  alias?: string;
  /** One line in the list of commands; absent: the description. */
  summary?: string;
  description: string;
  examples: readonly Example[];
  /** Adds arguments and options. In a command with many options, `helpGroup` of an option sets its heading in help. */
  configure(command: Command): Command;
  /** Whether the command runs until a signal stops it, so that the signal is not an interruption. */
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
  /** Aborts at the first SIGINT, SIGTERM or, unless the command runs until it is stopped, SIGHUP. */
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
  /** The value of the option; absent: a flag without a value. */
  value?: ValueModel;
  fallback?: string;
}

export interface ValueModel {
  /** `file`, as help shows it. */
  name: string;
  /** The kind of value: one of the choices, a file, folder or spec that completion can look up, or any text. */
  kind: 'choice' | 'file' | 'folder' | 'spec' | 'text';
  choices: string[];
  isOptional: boolean;
  /** Whether the user may give several values. */
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

/** Formats an argument as help shows it: `<paths...>`, `[file]`. */
export const valueSyntax = ({ name, isOptional, repeats }: ValueModel): string => {
  const content = repeats ? `${name}...` : name;
  return isOptional ? `[${content}]` : `<${content}>`;
};

export const flagsOf = ({ long, short }: OptionModel): string[] => [long, ...(short ? [short] : [])];

/** Returns the flags of a command that require the next word as their value. */
export const flagsWithValue = ({ options }: CommandModel): string[] =>
  options.filter(({ value }) => value && !value.isOptional).flatMap(flagsOf);

/**
 * Returns a line for sh, without single quotes, that prints the names of specs. It reads them from the arguments that
 * are paths, or else from specs/. Completion calls it instead of replikey, because starting replikey on a key press
 * would be too slow.
 */
export const specNamesCommand = ({ commands }: CommandModel): string =>
  [
    `for word do shift; case "$word" in ${commands.map(({ name }) => name).join('|')}) ;; *) [ -e "$word" ] && set -- "$@" "$word" ;; esac; done`,
    '[ $# -gt 0 ] || set -- specs',
    'find "$@" -name "*.y*ml" -exec sed -n "/^metadata:/,/^spec:/s/.*name: *\\([a-z0-9-]*\\).*/\\1/p" {} + 2>/dev/null | sort -u',
  ].join('; ');

/** Returns the description with the choices and the default: `form: text (default), json`. */
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

/** Kinds of values by the name of the value; any other name is text. */
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
