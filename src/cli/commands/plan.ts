import type { CommandDefinition } from '../command-model.ts';
import { addPassOptions, addPlanOptions } from '../options.ts';
import type { ReconcileOptions } from '../single-pass.ts';

export const planCommand: CommandDefinition = {
  name: 'plan',
  alias: 'diff',
  description: 'show the changes without applying them; same as --dry-run',
  examples: [
    ['reconcile plan specs/', 'show the changes'],
    ['reconcile plan specs/ -o markdown', 'format for a pull request'],
    ['reconcile plan specs/ --only tax --explain', 'plan one spec, with API calls'],
    ['reconcile plan specs/ --out plan.json', 'save the plan for `apply`'],
    ['reconcile plan specs/ -o script > change.sh', 'print AWS CLI calls'],
    ['reconcile plan specs/ --observed observed.json', 'plan from a snapshot'],
  ],
  configure: (command) =>
    addPlanOptions(addPassOptions(command.argument('<paths...>', 'specs'), 'ndjson', 'markdown', 'script')),
  async run({ io, signal }, paths: string[], options: ReconcileOptions) {
    const { runOnce } = await import('../single-pass.ts');
    return runOnce(paths, { ...options, dryRun: true }, io, signal);
  },
};
