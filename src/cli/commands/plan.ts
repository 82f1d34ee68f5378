import type { CommandDefinition } from '../command-model.ts';
import { addCommonOptions, addPlanOptions, addSelectionOptions } from '../options.ts';
import type { ReconcileOptions } from '../single-pass.ts';

export const planCommand: CommandDefinition = {
  name: 'plan',
  description: 'show what would change; the same as --dry-run',
  examples: [
    ['reconcile plan specs/', 'what would change'],
    ['reconcile plan specs/ -o markdown', 'for a pull request'],
    ['reconcile plan specs/ --only tax --explain', 'one spec, with the API calls'],
    ['reconcile plan specs/ --out plan.json', 'saved, to be applied as it is'],
    ['reconcile plan specs/ --observed observed.json', 'without credentials'],
  ],
  configure: (command) =>
    addPlanOptions(
      addSelectionOptions(addCommonOptions(command.argument('<paths...>', 'specs'), 'ndjson', 'markdown')),
    ),
  async run({ io, signal }, paths: string[], options: ReconcileOptions) {
    const { runOnce } = await import('../single-pass.ts');
    return runOnce(paths, { ...options, dryRun: true }, io, signal);
  },
};
