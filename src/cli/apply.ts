import type { Plan } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { planDocument } from '../report/schema.ts';
import type { Io } from './io.ts';
import type { ApplySavedOptions } from './options.ts';
import { readJson } from './read-json.ts';
import { reconcileOnce } from './reconcile.ts';

/** `reconcile apply plan.json`: make the plan again from the same specs, and apply it if it is still the same. */
export async function applySaved(
  file: string,
  options: ApplySavedOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const parsed = planDocument.safeParse(await readJson(file));
  const [issue] = parsed.error?.issues ?? [];
  if (issue)
    throw new UserError(
      EXIT.usage,
      `${file} is no saved plan: ${issue.path.join('.') || 'the document'}: ${issue.message}; reconcile plan --out writes one`,
    );
  const plan = parsed.data as unknown as Plan;
  const made = parsed.data?.made;
  if (!made)
    throw new UserError(EXIT.usage, `${file} does not say from which specs it was made: save it with --out`);
  const { selector, variables = [], ...rest } = made;
  const same = { only: [...rest.only], var: [...variables], ...(selector === undefined ? {} : { selector }) };
  return reconcileOnce(
    rest.paths,
    { ...options, ...same, ...(rest.prune ? { prune: true } : {}) },
    io,
    signal,
    plan,
  );
}
