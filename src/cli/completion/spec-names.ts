import type { CommandModel } from '../command-model.ts';

/**
 * A line for sh, without single quotes, that prints the names of the specs in those of its arguments that are paths, or
 * else in specs/: fast enough for a key that is pressed, as asking replikey itself would not be.
 */
export const specNamesCommand = ({ commands }: CommandModel): string =>
  [
    `for word do shift; case "$word" in ${commands.map(({ name }) => name).join('|')}) ;; *) [ -e "$word" ] && set -- "$@" "$word" ;; esac; done`,
    '[ $# -gt 0 ] || set -- specs',
    'find "$@" -name "*.y*ml" -exec sed -n "/^metadata:/,/^spec:/s/.*name: *\\([a-z0-9-]*\\).*/\\1/p" {} + 2>/dev/null | sort -u',
  ].join('; ');
