import type { Plan } from '../../core/resource.ts';
import { EXIT, UserError } from '../../errors.ts';
import { readJson } from '../../util/files.ts';
import type { CommandDefinition } from '../command-model.ts';
import { addCommonOptions, addGuardOptions, type GlobalOptions, type GuardOptions } from '../options.ts';

interface ApplyCommandOptions extends GuardOptions, Omit<GlobalOptions, 'output'> {
  output: 'text' | 'json' | 'ndjson';
}

/** Plans again from the same specs, and applies the plan if it is still the same. */
export const applyCommand: CommandDefinition = {
  name: 'apply',
  summary: 'apply a saved plan, if it is still the same',
  description: 'apply a saved plan, if it is still the same when it is made again',
  examples: [
    ['reconcile plan specs/ --out plan.json', 'look at it, let it be approved'],
    ['reconcile apply plan.json', 'and apply this, or nothing'],
  ],
  configure: (command) =>
    addGuardOptions(addCommonOptions(command.argument('<plan>', 'what plan --out saved'), 'ndjson')),
  async run({ io, signal }, file: string, options: ApplyCommandOptions) {
    const [{ planDocumentSchema }, { runOnce }] = await Promise.all([
      import('../../report/plan-schema.ts'),
      import('../single-pass.ts'),
    ]);
    const parsed = planDocumentSchema.safeParse(await readJson(file));
    const [issue] = parsed.error?.issues ?? [];
    if (issue)
      throw new UserError(
        EXIT.usage,
        `${file} is no saved plan: ${issue.path.join('.') || 'the document'}: ${issue.message}; reconcile plan --out writes one`,
      );
    const plan = parsed.data as unknown as Plan;
    const inputs = parsed.data?.made;
    if (!inputs)
      throw new UserError(
        EXIT.usage,
        `${file} does not say from which specs it was made: save it with --out`,
      );
    const { selector, variables = [], ...rest } = inputs;
    const selection = {
      only: [...rest.only],
      var: [...variables],
      ...(selector === undefined ? {} : { selector }),
    };
    return runOnce(
      rest.paths,
      { ...options, ...selection, ...(rest.prune ? { prune: true } : {}) },
      io,
      signal,
      plan,
    );
  },
};
