import { type Argument, type Command, Help, type Option } from 'commander';

/** The command line as data, from the one place that says it: for completion, the man page and tests. */
export interface Words {
  name: string;
  description: string;
  arguments: ValueWords[];
  options: OptionWords[];
  commands: Words[];
}

export interface OptionWords {
  long: string;
  short?: string;
  description: string;
  /** What follows it, if anything does. */
  value?: ValueWords;
  fallback?: string;
}

export interface ValueWords {
  /** `file`, as help shows it. */
  name: string;
  /** What it names: one of the choices, something that can be looked up, or any text. */
  kind: 'choice' | 'file' | 'folder' | 'spec' | 'text';
  choices: string[];
  isOptional: boolean;
  /** Whether several may be given. */
  repeats: boolean;
}

export function wordsOf(command: Command): Words {
  const help = new Help();
  return {
    name: command.name(),
    description: command.description(),
    arguments: command.registeredArguments.map(argumentWords),
    options: help.visibleOptions(command).map(optionWords),
    commands: help
      .visibleCommands(command)
      .filter((one) => one.name() !== 'help')
      .map(wordsOf),
  };
}

/** `<paths...>`, `[file]`: as help shows what a command takes. */
export const shown = ({ name, isOptional, repeats }: ValueWords): string => {
  const inside = repeats ? `${name}...` : name;
  return isOptional ? `[${inside}]` : `<${inside}>`;
};

export const flagsOf = ({ long, short }: OptionWords): string[] => [long, ...(short ? [short] : [])];

/** The flags of a command after which the next word is a value. */
export const valuedFlags = ({ options }: Words): string[] =>
  options.filter(({ value }) => value && !value.isOptional).flatMap(flagsOf);

/** The description with what may be chosen, and what holds where nothing is: `form: text (default), json`. */
export function described({
  description,
  value,
  fallback,
}: Pick<OptionWords, 'description' | 'value' | 'fallback'>): string {
  if (value?.kind !== 'choice')
    return fallback === undefined ? description : `${description} (default: ${fallback})`;
  const choices = value.choices.map((choice) => (choice === fallback ? `${choice} (default)` : choice));
  return `${description}: ${choices.join(', ')}`;
}

export const argumentWords = (argument: Argument): ValueWords => ({
  name: argument.name(),
  ...kindOf(argument.name(), argument.argChoices),
  isOptional: !argument.required,
  repeats: argument.variadic,
});

export function optionWords(option: Option): OptionWords {
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
            ...kindOf(name, option.argChoices),
            isOptional: option.optional,
            repeats: isList,
          },
        }),
    ...(option.defaultValue === undefined || isList ? {} : { fallback: String(option.defaultValue) }),
  };
}

/** What the name of a value says of what may stand there; all other names say nothing. */
const KINDS: Record<string, ValueWords['kind']> = {
  paths: 'file',
  plan: 'file',
  file: 'file',
  dir: 'folder',
  spec: 'spec',
};

const kindOf = (name: string, choices: string[] = []): Pick<ValueWords, 'kind' | 'choices'> => ({
  kind: choices.length > 0 ? 'choice' : (KINDS[name] ?? 'text'),
  choices,
});
