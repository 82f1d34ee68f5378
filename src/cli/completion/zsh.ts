import {
  type CommandModel,
  flagsWithValue,
  type OptionModel,
  specNamesCommand,
  type ValueModel,
} from '../command-model.ts';

/**
 * Returns the script for zsh, which uses _arguments. It removes the command from the words, so that options may
 * precede the command.
 */
export function zshScript(root: CommandModel): string {
  const valueFlags = flagsWithValue(root);
  const names = root.commands.map(({ name }) => name);
  return `#compdef reconcile replikey
# zsh completion for reconcile. Add to ~/.zshrc: source <(reconcile completion zsh)
_reconcile() {
  local command='' i
  for ((i = 2; i < CURRENT; i++)); do
    case "$words[i]" in
    ${valueFlags.join('|')}) ((i++)) ;;
    ${names.join('|')}) command="$words[i]"; words[i]=(); ((CURRENT--)); break ;;
    esac
  done
  case "$command" in
${root.commands.map((command) => zshBranch(command.name, command.options, command.arguments.map(zshArgument))).join('\n')}
${zshBranch("''", root.options, ["'1: :_reconcile_first'", "'*:paths:_files'"])}
  esac
}
_reconcile_first() {
  local -a commands=(
${root.commands.map(({ name, description }) => `    '${name}:${zshEscape(description)}'`).join('\n')}
  )
  _describe -t commands command commands
  _files
}
_reconcile_specs() { compadd -- \${(f)"$(sh -c '${specNamesCommand(root)}' sh \${(Q)words[2,-1]})"}; }
if [[ $funcstack[1] == _reconcile ]]; then
  _reconcile "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
  compdef _reconcile reconcile replikey
fi
`;
}

const zshBranch = (name: string, options: OptionModel[], operands: string[]): string =>
  [`  ${name})`, `    _arguments ${[...options.map(zshOption), ...operands].join(' \\\n      ')} ;;`].join(
    '\n',
  );

/** Escapes text inside quotes. */
const zshEscape = (text: string): string => text.replaceAll("'", "'\\''");

/** Escapes text inside the brackets of _arguments. */
const zshDescription = (text: string): string => zshEscape(text).replace(/[[\]:]/g, '\\$&');

function zshOption({ long, short, description, value }: OptionModel): string {
  const suffix = `[${zshDescription(description)}]${value ? zshOptionValue(value) : ''}`;
  const [afterLong, afterShort] = value ? (value.isOptional ? ['=-', '-'] : ['=', '+']) : ['', ''];
  const repeatMark = value?.repeats ? '*' : '';
  return short
    ? `'(${short} ${long})'{${short}${afterShort},${long}${afterLong}}'${suffix}'`
    : `'${repeatMark}${long}${afterLong}${suffix}'`;
}

const zshOptionValue = (value: ValueModel): string =>
  `${value.isOptional ? '::' : ':'}${value.name}:${zshAction(value)}`;

const zshArgument = (value: ValueModel, index: number): string =>
  `'${value.repeats ? '*' : index + 1}:${value.name}:${zshAction(value)}'`;

const ZSH_ACTIONS: Record<ValueModel['kind'], (value: ValueModel) => string> = {
  choice: ({ choices }) => `(${choices.join(' ')})`,
  file: () => '_files',
  folder: () => '_files -/',
  spec: () => '_reconcile_specs',
  text: () => ' ',
};

const zshAction = (value: ValueModel): string => ZSH_ACTIONS[value.kind](value);
