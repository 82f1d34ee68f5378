import type { OptionWords, Words } from './words.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** A script with which a shell completes commands, options and their values: all of it known beforehand. */
export const completion = (shell: Shell, words: Words): string => SCRIPTS[shell](words);

const SCRIPTS: Record<Shell, (words: Words) => string> = { bash, zsh, fish };

/** Bash has no descriptions; what follows an option that takes a value, and everything else, is a file. */
function bash(root: Words): string {
  const all = [{ ...root, name: '' }, ...root.commands];
  const flags = ({ options }: Words) =>
    options.flatMap(({ long, short }) => [long, ...(short ? [short] : [])]);
  const choices = all.flatMap(({ name, options }) =>
    options
      .filter((option) => option.choices.length > 0)
      .map((option) => `    ${patterns(name, option)}) values='${option.choices.join(' ')}' ;;`),
  );
  const valued = all.flatMap(({ name, options }) =>
    options.filter(takesOne).map((option) => patterns(name, option)),
  );
  return `# Completion of reconcile for bash: source <(reconcile completion bash)
_reconcile() {
  local word command='' current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" values=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
    ${root.commands.map(({ name }) => name).join('|')}) command="$word"; break ;;
    esac
  done
  case "$command $previous" in
${choices.join('\n')}
    ${valued.join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  if [[ -n $values ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$current"))
    return
  fi
  case "$command" in
${all.map((one) => `  '${one.name}') values='${flags(one).join(' ')}' ;;`).join('\n')}
  esac
  [[ $current == -* ]] || values=''
  [[ -n $command || $current == -* ]] || values='${root.commands.map(({ name }) => name).join(' ')}'
  [[ $command == completion && $current != -* ]] && values='${SHELLS.join(' ')}'
  COMPREPLY=($(compgen -W "$values" -- "$current"))
  [[ $current == -* || $command == completion ]] || COMPREPLY+=($(compgen -f -- "$current"))
}
complete -o filenames -F _reconcile reconcile replikey
`;
}

const takesOne = ({ value, isOptional, choices }: OptionWords): boolean =>
  value !== undefined && !isOptional && choices.length === 0;

const patterns = (command: string, { long, short }: OptionWords): string =>
  [long, ...(short ? [short] : [])].map((flag) => `'${command} ${flag}'`).join('|');

function zsh(root: Words): string {
  const quoted = (text: string) => text.replaceAll("'", "'\\''").replace(/[[\]:]/g, '\\$&');
  const argument = ({ long, short, description, value, isOptional, choices }: OptionWords): string => {
    const told = `[${quoted(description)}]`;
    const values = choices.length > 0 ? `(${choices.join(' ')})` : '_files';
    const takes = value === undefined || isOptional ? '' : `:${quoted(value)}:${values}`;
    const spelt = short
      ? [`'(${short} ${long})'{${short},${long}}'${told}${takes}'`]
      : [`'*${long}${told}${takes}'`];
    return spelt.join(' ');
  };
  const rest = ({ name }: Words): string =>
    name === 'completion' ? `'1:shell:(${SHELLS.join(' ')})'` : "'*:file:_files'";
  const branch = (one: Words): string =>
    [
      `    ${one.name})`,
      `      _arguments \\`,
      ...one.options.map((option) => `        ${argument(option)} \\`),
      `        ${rest(one)}`,
      '      ;;',
    ].join('\n');
  return `#compdef reconcile replikey
# Completion of reconcile for zsh: source <(reconcile completion zsh), or into a folder of your fpath as _reconcile
_reconcile() {
  local -a commands
  commands=(
${root.commands.map(({ name, description }) => `    '${name}:${quoted(description)}'`).join('\n')}
  )
  case "$words[2]" in
${root.commands
  .map((one) => branch(one).replace(/^ {4}(\S+)\)$/m, '    $1)\n      shift words; (( CURRENT-- ))'))
  .join('\n')}
    *)
      _arguments \\
${root.options.map((option) => `        ${argument(option)} \\`).join('\n')}
        '1: :{_describe command commands; _files}' \\
        '*:file:_files'
      ;;
  esac
}
compdef _reconcile reconcile replikey
`;
}

function fish(root: Words): string {
  const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const line = (
    condition: string,
    { long, short, description, value, isOptional, choices }: OptionWords,
  ): string =>
    [
      `complete -c reconcile -n ${quoted(condition)} -l ${long.slice(2)}`,
      ...(short ? [`-s ${short.slice(1)}`] : []),
      ...(value === undefined || isOptional ? [] : choices.length > 0 ? ['-x'] : ['-r']),
      ...(choices.length > 0 ? [`-a ${quoted(choices.join(' '))}`] : []),
      `-d ${quoted(description)}`,
    ].join(' ');
  const known = root.commands.map(({ name }) => name).join(' ');
  const none = `not __fish_seen_subcommand_from ${known}`;
  return `# Completion of reconcile for fish: reconcile completion fish > ~/.config/fish/completions/reconcile.fish
${root.commands.map(({ name, description }) => `complete -c reconcile -n ${quoted(none)} -a ${name} -d ${quoted(description)}`).join('\n')}
${root.options.map((option) => line(none, option)).join('\n')}
${root.commands.flatMap((one) => one.options.map((option) => line(`__fish_seen_subcommand_from ${one.name}`, option))).join('\n')}
complete -c reconcile -n '__fish_seen_subcommand_from completion' -x -a '${SHELLS.join(' ')}'
`;
}
