import type { Words } from '../words.ts';
import { bash } from './bash.ts';
import { fish } from './fish.ts';
import { zsh } from './zsh.ts';

const SCRIPTS = { bash, zsh, fish };

export type Shell = keyof typeof SCRIPTS;

/** A script with which a shell completes commands, options and their values: what is known beforehand, and paths. */
export const completion = (shell: Shell, words: Words): string => SCRIPTS[shell](words);
