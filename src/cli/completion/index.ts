import type { CommandModel } from '../command-model.ts';
import { bashScript } from './bash.ts';
import { fishScript } from './fish.ts';
import { zshScript } from './zsh.ts';

const COMPLETION_SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };

export type Shell = keyof typeof COMPLETION_SCRIPTS;

/** A script with which a shell completes commands, options and their values: what is known beforehand, and paths. */
export const completionScript = (shell: Shell, model: CommandModel): string =>
  COMPLETION_SCRIPTS[shell](model);
