import type { Plan } from '../../core/resource.ts';
import { EXIT, UserError } from '../../errors.ts';
import { planDocumentSchema } from '../../report/plan-schema.ts';
import { readJson } from '../../util/files.ts';
import type { Io } from '../io.ts';
import type { ApplyCommandOptions } from '../options.ts';
import { runOnce } from './reconcile.ts';

/** `reconcile apply plan.json`: make the plan again from the same specs, and apply it if it is still the same. */
export async function runApply(
  file: string,
  options: ApplyCommandOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
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
    throw new UserError(EXIT.usage, `${file} does not say from which specs it was made: save it with --out`);
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
}
