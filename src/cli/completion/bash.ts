import {
  type CommandModel,
  flagsOf,
  flagsWithValue,
  type OptionModel,
  specNamesCommand,
  type ValueModel,
} from '../command-model.ts';

/**
 * Returns the script for any version of bash, without the package bash-completion. If the script offers no words, bash
 * completes files by itself, with correct quotes. Versions before 4 have no compopt, and complete files even for text.
 */
export function bashScript(root: CommandModel): string {
  const allCommands = [{ ...root, name: '' }, ...root.commands];
  const names = root.commands.map(({ name }) => name).join(' ');
  const valueOptions = allCommands.flatMap(({ name, options }) =>
    options.flatMap((option) =>
      option.value ? [{ pattern: bashPattern(name, option), value: option.value }] : [],
    ),
  );
  const valueFlagPatterns = allCommands.flatMap((command) =>
    flagsWithValue(command).map((flag) => `'${command.name} ${flag}'`),
  );
  return `# bash completion for reconcile. Add to ~/.bashrc: eval "$(reconcile completion bash)"
_reconcile() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command='' option='' word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [[ $word == = ]]; then option="\${COMP_WORDS[i-1]}"; continue; fi
    if [[ -n $option ]]; then option=''; continue; fi
    case "$command $word" in
    ${valueFlagPatterns.join('|')})
      option="$word" ;;
    ${root.commands.map(({ name }) => `' ${name}'`).join('|')})
      command="$word" ;;
    esac
  done
  if [[ $current == = ]]; then option="\${COMP_WORDS[COMP_CWORD-1]}" current=''; fi
  if [[ -n $option ]]; then
    case "$command $option" in
${valueOptions
  .filter(({ value }) => value.kind !== 'text')
  .map(({ pattern, value }) => `    ${pattern}) ${bashAction(value)} ;;`)
  .join('\n')}
    *) _reconcile_text ;;
    esac
    return
  fi
  case "$command $current" in
${allCommands.map((command) => `  '${command.name} -'*) _reconcile_words '${command.options.flatMap(flagsOf).join(' ')}' ;;`).join('\n')}
  ' '*) _reconcile_words '${names}' ;;
${root.commands.map((command) => `  '${command.name} '*) ${bashArgument(command)} ;;`).join('\n')}
  esac
}
_reconcile_words() { COMPREPLY=($(compgen -W "$1" -- "$current")); }
_reconcile_specs() { _reconcile_words "$(sh -c '${specNamesCommand(root)}' sh "\${COMP_WORDS[@]:1}")"; _reconcile_text; }
_reconcile_text() { compopt +o default 2>/dev/null; }
_reconcile_folders() { compopt +o default -o dirnames 2>/dev/null; }
complete -o default -F _reconcile reconcile replikey
`;
}

const bashPattern = (command: string, option: OptionModel): string =>
  flagsOf(option)
    .map((flag) => `'${command} ${flag}'`)
    .join('|');

/** Completion by kind of value; files need no action. */
const BASH_ACTIONS: Record<ValueModel['kind'], (value: ValueModel) => string> = {
  choice: ({ choices }) => `_reconcile_words '${choices.join(' ')}'; _reconcile_text`,
  file: () => ':',
  folder: () => '_reconcile_folders',
  spec: () => '_reconcile_specs',
  text: () => '_reconcile_text',
};

const bashAction = (value: ValueModel): string => BASH_ACTIONS[value.kind](value);

const bashArgument = ({ arguments: [first] }: CommandModel): string =>
  first ? bashAction(first) : '_reconcile_text';
