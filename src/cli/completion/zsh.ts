import { type OptionWords, type ValueWords, valuedFlags, type Words } from '../words.ts';
import { specNames } from './spec-names.ts';

/** For zsh, with its _arguments. A command is taken out of the words, so that options may stand before it. */
export function zsh(root: Words): string {
  const waiting = valuedFlags(root);
  const names = root.commands.map(({ name }) => name);
  return `#compdef reconcile replikey
# Completion of reconcile for zsh. In ~/.zshrc: source <(reconcile completion zsh)
_reconcile() {
  local command='' i
  for ((i = 2; i < CURRENT; i++)); do
    case "$words[i]" in
    ${waiting.join('|')}) ((i++)) ;;
    ${names.join('|')}) command="$words[i]"; words[i]=(); ((CURRENT--)); break ;;
    esac
  done
  case "$command" in
${root.commands.map((one) => branch(one.name, one.options, one.arguments.map(argument))).join('\n')}
${branch("''", root.options, ["'1: :_reconcile_first'", "'*:paths:_files'"])}
  esac
}
_reconcile_first() {
  local -a commands=(
${root.commands.map(({ name, description }) => `    '${name}:${inQuotes(description)}'`).join('\n')}
  )
  _describe -t commands command commands
  _files
}
_reconcile_specs() { compadd -- \${(f)"$(sh -c '${specNames(root)}' sh \${(Q)words[2,-1]})"}; }
if [[ $funcstack[1] == _reconcile ]]; then
  _reconcile "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
  compdef _reconcile reconcile replikey
fi
`;
}

const branch = (name: string, options: OptionWords[], rest: string[]): string =>
  [`  ${name})`, `    _arguments ${[...options.map(option), ...rest].join(' \\\n      ')} ;;`].join('\n');

/** Inside quotes. */
const inQuotes = (text: string): string => text.replaceAll("'", "'\\''");

/** Inside the brackets of _arguments. */
const described = (text: string): string => inQuotes(text).replace(/[[\]:]/g, '\\$&');

function option({ long, short, description, value }: OptionWords): string {
  const told = `[${described(description)}]${value ? takes(value) : ''}`;
  const [afterLong, afterShort] = value ? (value.isOptional ? ['=-', '-'] : ['=', '+']) : ['', ''];
  const often = value?.repeats ? '*' : '';
  return short
    ? `'(${short} ${long})'{${short}${afterShort},${long}${afterLong}}'${told}'`
    : `'${often}${long}${afterLong}${told}'`;
}

const takes = (value: ValueWords): string => `${value.isOptional ? '::' : ':'}${value.name}:${action(value)}`;

const argument = (value: ValueWords, index: number): string =>
  `'${value.repeats ? '*' : index + 1}:${value.name}:${action(value)}'`;

const ACTIONS: Record<ValueWords['kind'], (value: ValueWords) => string> = {
  choice: ({ choices }) => `(${choices.join(' ')})`,
  file: () => '_files',
  folder: () => '_files -/',
  spec: () => '_reconcile_specs',
  text: () => ' ',
};

const action = (value: ValueWords): string => ACTIONS[value.kind](value);
