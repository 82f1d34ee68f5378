import type { Command, Option } from 'commander';

/** The command line as data, from the one place that says it: for completion, the man page and tests. */
export interface Words {
  name: string;
  description: string;
  /** `[paths...]`, as help shows it. */
  takes: string;
  options: OptionWords[];
  commands: Words[];
}

export interface OptionWords {
  long: string;
  short?: string;
  description: string;
  /** Name of its value, if it takes one: `file`. */
  value?: string;
  /** Whether the value may be left out. */
  isOptional: boolean;
  choices: string[];
  fallback?: string;
}

export function wordsOf(command: Command): Words {
  const help = command.createHelp();
  return {
    name: command.name(),
    description: command.description(),
    takes: command.registeredArguments
      .map(
        (one) =>
          `${one.required ? '<' : '['}${one.name()}${one.variadic ? '...' : ''}${one.required ? '>' : ']'}`,
      )
      .join(' '),
    options: help.visibleOptions(command).map(optionWords),
    commands: help
      .visibleCommands(command)
      .filter((one) => one.name() !== 'help')
      .map(wordsOf),
  };
}

function optionWords(option: Option): OptionWords {
  const value = /[<[]([^\]>]+)[\]>]/.exec(option.flags)?.[1];
  return {
    long: option.long ?? '',
    ...(option.short === undefined ? {} : { short: option.short }),
    description: option.description,
    ...(value === undefined ? {} : { value }),
    isOptional: option.optional,
    choices: option.argChoices ?? [],
    ...(option.defaultValue === undefined || Array.isArray(option.defaultValue)
      ? {}
      : { fallback: String(option.defaultValue) }),
  };
}
