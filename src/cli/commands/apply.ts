import { EXIT } from '../../errors.ts';
import type { CommandDefinition } from '../command-model.ts';
import type { LockOptions } from '../lock.ts';
import {
  addCommonOptions,
  addConfirmOption,
  addGuardOptions,
  addLockOptions,
  addOrganizationOption,
  type GlobalOptions,
  type GuardOptions,
} from '../options.ts';

interface ApplyCommandOptions extends GuardOptions, LockOptions, Omit<GlobalOptions, 'output'> {
  output: 'text' | 'json' | 'ndjson';
  yes?: true;
}

/** Applies exactly a saved plan, without its specs, or nothing. */
export const applyCommand: CommandDefinition = {
  name: 'apply',
  summary: 'apply exactly a saved plan',
  description: 'apply exactly a saved plan, without its specs; refuse if AWS has changed since',
  examples: [
    ['reconcile plan specs/ --out plan.json', 'save a plan for review'],
    ['reconcile apply plan.json', 'apply exactly this plan, or nothing'],
  ],
  configure: (command) =>
    addConfirmOption(
      addLockOptions(
        addGuardOptions(
          addOrganizationOption(
            addCommonOptions(command.argument('<plan>', 'file that `plan --out` saved'), 'ndjson'),
          ),
        ),
      ),
    ),
  async run({ io, signal }, file: string, options: ApplyCommandOptions) {
    const [{ readSavedPlan }, { runPass }, { reportEmptyPlan }] = await Promise.all([
      import('../saved-plan.ts'),
      import('../single-pass.ts'),
      import('../output.ts'),
    ]);
    const saved = await readSavedPlan(file);
    const { waves, blocked, housekeeping } = saved.plan;
    if (waves.length + blocked.length + housekeeping.length === 0) {
      reportEmptyPlan(saved.plan, saved.proof, options.output, io);
      return EXIT.ok;
    }
    const passOptions = { ...options, only: [], var: [], ...(saved.isPrune && { prune: true as const }) };
    return runPass(saved.specs, [file], passOptions, io, signal, saved);
  },
};
