import { type Argument, type Command, Help, type Option } from 'commander';

/** The command line as data, from the one place that says it: for completion, the man page and tests. */
export interface CommandModel {
  name: string;
  description: string;
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

export function commandModelOf(command: Command): CommandModel {
  const help = new Help();
  return {
    name: command.name(),
    description: command.description(),
    arguments: command.registeredArguments.map(argumentModelOf),
    options: help.visibleOptions(command).map(optionModelOf),
    commands: help
      .visibleCommands(command)
      .filter((subcommand) => subcommand.name() !== 'help')
      .map(commandModelOf),
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
