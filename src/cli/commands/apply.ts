import { lstat, readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { EXIT, UserError } from '../../errors.ts';
import type { CommandDefinition } from '../command-model.ts';
import { addApprovalOptions, addLockOptions, addPassOptions, addWaitOption } from '../options.ts';
import type { OutputFormat } from '../output.ts';
import type { ReconcileOptions } from '../single-pass.ts';

interface ApplyCommandOptions extends ReconcileOptions {
  output: Exclude<OutputFormat, 'markdown' | 'script'>;
}

/** Options that a saved plan has already decided. */
const DECIDED_BY_PLAN = ['only', 'selector', 'var', 'prune', 'account', 'plan', 'explain'];

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
    const { runOnce, runPass } = await import('../single-pass.ts');
    const planFile = await findSavedPlan(paths);
    if (planFile === undefined) return runOnce(paths, { ...options, once: true }, io, signal);
    rejectDecidedOptions(command);
    const [{ readSavedPlan }, { reportEmptyPlan }] = await Promise.all([
      import('../saved-plan.ts'),
      import('../output.ts'),
    ]);
    const saved = await readSavedPlan(planFile);
    const { waves, blocked, housekeeping } = saved.plan;
    if (waves.length + blocked.length + housekeeping.length === 0) {
      reportEmptyPlan(saved.plan, saved.proof, options.output, io);
      return EXIT.ok;
    }
    const passOptions = { ...options, ...(saved.isPrune && { prune: true as const }) };
    return runPass(saved.specs, [planFile], passOptions, io, signal, saved);
  },
};

/**
 * Finds the saved plan among the paths: a JSON file whose content is not a spec.
 *
 * @throws UserError if there are other paths beside it
 */
async function findSavedPlan(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    if (!(await isSavedPlan(path))) continue;
    if (paths.length > 1)
      throw new UserError(EXIT.usage, `${path} is a saved plan, which contains its specs: apply it alone`);
    return path;
  }
  return undefined;
}

async function isSavedPlan(path: string): Promise<boolean> {
  const stat = path === '-' ? undefined : await lstat(path).catch(() => undefined);
  // A path that is absent or cannot be read is reported by the reader of its kind.
  const isJsonName = path.endsWith('.json');
  if (!stat?.isFile()) return isJsonName && !stat?.isDirectory();
  const text = await readFile(path, 'utf8').catch(() => '');
  if (!text.trimStart().startsWith('{')) return isJsonName;
  try {
    return !Object.hasOwn(JSON.parse(text), 'apiVersion');
  } catch {
    return isJsonName;
  }
}

/** @throws UserError that names the option without effect */
function rejectDecidedOptions(command: Command): void {
  const option = command.options.find(
    (candidate) =>
      DECIDED_BY_PLAN.includes(candidate.attributeName()) &&
      command.getOptionValueSource(candidate.attributeName()) === 'cli',
  );
  if (option)
    throw new UserError(
      EXIT.usage,
      `${option.long} has no effect on a saved plan, which contains its specs: remove it, or plan again with it`,
    );
}
