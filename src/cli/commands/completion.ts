import { Argument } from 'commander';
import { EXIT } from '../../errors.ts';
import type { CommandDefinition, CommandModel } from '../command-model.ts';

const COMPLETION_SCRIPTS = {
  bash: async () => (await import('../completion/bash.ts')).bashScript,
  zsh: async () => (await import('../completion/zsh.ts')).zshScript,
  fish: async () => (await import('../completion/fish.ts')).fishScript,
};

type Shell = keyof typeof COMPLETION_SCRIPTS;

export const completionCommand: CommandDefinition = {
  name: 'completion',
  summary: 'print a completion script for bash, zsh or fish',
  description: 'print a shell script that completes commands, options and their values',
  examples: [
    ['eval "$(reconcile completion bash)"', 'add to ~/.bashrc'],
    ['source <(reconcile completion zsh)', 'add to ~/.zshrc'],
    ['reconcile completion fish > ~/.config/fish/completions/reconcile.fish', 'run once'],
  ],
  configure: (command) =>
    command.addArgument(new Argument('<shell>', 'target shell').choices(Object.keys(COMPLETION_SCRIPTS))),
  async run({ io, program }, shell: Shell) {
    io.stdout.write(await completionScript(shell, program()));
    return EXIT.ok;
  },
};

/**
 * Returns a script with which a shell completes commands, options and their values. It completes only fixed words,
 * spec names and paths.
 */
export async function completionScript(shell: Shell, program: CommandModel): Promise<string> {
  const render = await COMPLETION_SCRIPTS[shell]();
  return render(program);
}
