import { type OptionWords, type ValueWords, valuedFlags, type Words } from '../words.ts';
import { specNames } from './spec-names.ts';

/** For fish, which completes files by itself unless it is told not to. */
export function fish(root: Words): string {
  const none = '__reconcile_is ""';
  const waiting = valuedFlags(root);
  const lines = [
    ...root.commands.map(({ name, description }) => complete(none, '-a', name, '-d', quoted(description))),
    ...root.options.map((option) => complete(none, ...spelt(option))),
    ...root.commands.flatMap(({ name, options, arguments: [first] }) => {
      const here = `__reconcile_is ${name}`;
      const rest = first ? argument(first) : ['-f'];
      return [...options.map((option) => complete(here, ...spelt(option))), complete(here, ...rest)];
    }),
  ];
  return `# Completion of reconcile for fish, once: reconcile completion fish > ~/.config/fish/completions/reconcile.fish
function __reconcile_is
    set -l command ''
    set -l waits no
    for word in (commandline -opc)[2..-1]
        switch "$waits $word"
            case 'yes *'
                set waits no
            case ${waiting.map((flag) => `'no ${flag}'`).join(' ')}
                set waits yes
            case ${root.commands.map(({ name }) => `'no ${name}'`).join(' ')}
                set command $word
                break
        end
    end
    test "$command" = "$argv"
end
function __reconcile_specs
    sh -c '${specNames(root)}' sh (commandline -opc)[2..-1]
end
${lines.join('\n')}
complete -c replikey -w reconcile
`;
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

const complete = (condition: string, ...words: string[]): string =>
  `complete -c reconcile -n ${quoted(condition)} ${words.join(' ')}`;

const spelt = ({ long, short, description, value }: OptionWords): string[] => [
  ...['-l', long.slice(2)],
  ...(short ? ['-s', short.slice(1)] : []),
  ...(value && !value.isOptional ? ['-r', ...argument(value)] : []),
  ...['-d', quoted(description)],
];

const ARGUMENTS: Record<ValueWords['kind'], (value: ValueWords) => string[]> = {
  choice: ({ choices }) => ['-f', '-a', quoted(choices.join(' '))],
  file: () => ['-F'],
  folder: () => ['-f', '-a', quoted('(__fish_complete_directories)')],
  spec: () => ['-f', '-a', quoted('(__reconcile_specs)')],
  text: () => ['-f'],
};

const argument = (value: ValueWords): string[] => ARGUMENTS[value.kind](value);
