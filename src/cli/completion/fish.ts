import {
  type CommandModel,
  flagsWithValue,
  type OptionModel,
  specNamesCommand,
  type ValueModel,
} from '../command-model.ts';

/** Returns the script for fish, which completes files by itself unless the script passes -f. */
export function fishScript(root: CommandModel): string {
  const inRoot = '__reconcile_is ""';
  const valueFlags = flagsWithValue(root);
  const lines = [
    ...root.commands.map(({ name, description }) =>
      fishComplete(inRoot, '-a', name, '-d', fishQuote(description)),
    ),
    ...root.options.map((option) => fishComplete(inRoot, ...fishOption(option))),
    ...root.commands.flatMap(({ name, options, arguments: [first] }) => {
      const inCommand = `__reconcile_is ${name}`;
      const operand = first ? fishArgument(first) : ['-f'];
      return [
        ...options.map((option) => fishComplete(inCommand, ...fishOption(option))),
        fishComplete(inCommand, ...operand),
      ];
    }),
  ];
  return `# fish completion for reconcile. Run once: reconcile completion fish > ~/.config/fish/completions/reconcile.fish
function __reconcile_is
    set -l command ''
    set -l expects_value no
    for word in (commandline -opc)[2..-1]
        switch "$expects_value $word"
            case 'yes *'
                set expects_value no
            case ${valueFlags.map((flag) => `'no ${flag}'`).join(' ')}
                set expects_value yes
            case ${root.commands.map(({ name }) => `'no ${name}'`).join(' ')}
                set command $word
                break
        end
    end
    test "$command" = "$argv"
end
function __reconcile_specs
    sh -c '${specNamesCommand(root)}' sh (commandline -opc)[2..-1]
end
${lines.join('\n')}
complete -c replikey -w reconcile
`;
}

const fishQuote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

const fishComplete = (condition: string, ...words: string[]): string =>
  `complete -c reconcile -n ${fishQuote(condition)} ${words.join(' ')}`;

const fishOption = ({ long, short, description, value }: OptionModel): string[] => [
  ...['-l', long.slice(2)],
  ...(short ? ['-s', short.slice(1)] : []),
  ...(value && !value.isOptional ? ['-r', ...fishArgument(value)] : []),
  ...['-d', fishQuote(description)],
];

const FISH_ARGUMENTS: Record<ValueModel['kind'], (value: ValueModel) => string[]> = {
  choice: ({ choices }) => ['-f', '-a', fishQuote(choices.join(' '))],
  file: () => ['-F'],
  folder: () => ['-f', '-a', fishQuote('(__fish_complete_directories)')],
  spec: () => ['-f', '-a', fishQuote('(__reconcile_specs)')],
  text: () => ['-f'],
};

const fishArgument = (value: ValueModel): string[] => FISH_ARGUMENTS[value.kind](value);
