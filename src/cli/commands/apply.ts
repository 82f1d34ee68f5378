import type { Command } from 'commander';
import { EXIT } from '../../errors.ts';
import type { CommandDefinition } from '../command-model.ts';
import {
  addApprovalOptions,
  addLockOptions,
  addPassOptions,
  addWaitOption,
  rejectOptions,
} from '../options.ts';
import type { OutputFormat } from '../output.ts';
import type { ReconcileOptions } from '../single-pass.ts';

interface ApplyCommandOptions extends ReconcileOptions {
  output: Exclude<OutputFormat, 'markdown' | 'script'>;
}

/** Options that a saved plan has already decided. */
const DECIDED_BY_PLAN = ['--only', '--selector', '--var', '--prune', '--account', '--plan', '--explain'];

/** Applies specs as `--once` does, or exactly a saved plan without its specs. */
export const applyCommand: CommandDefinition = {
  name: 'apply',
  summary: 'apply specs once, or exactly a saved plan',
  description:
    'apply specs once, same as --once; or exactly a saved plan, without its specs: refuse if AWS has changed since',
  examples: [
    ['reconcile apply specs/', 'show the changes, ask, and apply them'],
    ['reconcile plan specs/ --out plan.json', 'save a plan for review'],
    ['reconcile apply plan.json', 'apply exactly this plan, or nothing'],
  ],
  configure: (command) =>
    addApprovalOptions(
      addLockOptions(
        addWaitOption(
          addPassOptions(
            command.argument('<paths...>', 'specs, or a file that `plan --out` saved'),
            'ndjson',
          ),
        ),
      ),
    ),
  async run({ io, signal }, paths: string[], options: ApplyCommandOptions, command: Command) {
    const [{ findPlanFile, parseSavedPlan }, { runOnce, runPass }, { reportEmptyPlan }] = await Promise.all([
      import('../saved-plan.ts'),
      import('../single-pass.ts'),
      import('../output.ts'),
    ]);
    const planFile = await findPlanFile(paths);
    if (planFile === undefined) return runOnce(paths, { ...options, once: true }, io, signal);
    rejectOptions(
      command,
      DECIDED_BY_PLAN,
      'has no effect on a saved plan, which contains its specs: remove it, or plan again with it',
    );
    const saved = parseSavedPlan(planFile);
    const { waves, blocked, housekeeping } = saved.plan;
    if (waves.length + blocked.length + housekeeping.length === 0) {
      reportEmptyPlan(saved.plan, saved.proof, options.output, io);
      return EXIT.ok;
    }
    const passOptions = { ...options, ...(saved.isPrune && { prune: true as const }) };
    return runPass(saved.specs, [planFile.file], passOptions, io, signal, saved);
  },
};
