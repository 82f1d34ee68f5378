import { z } from 'zod';
import type { Plan } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import type { Io } from './io.ts';
import type { ApplySavedOptions } from './options.ts';
import { readJson } from './read-json.ts';
import { reconcileOnce } from './reconcile.ts';

/** What of a saved plan is used to make it again, and to tell what moved. */
const planDocument = z.looseObject({
  format: z.literal(1),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  waves: z.array(
    z.array(
      z.looseObject({
        id: z.string(),
        action: z.string(),
        patch: z.array(z.looseObject({ path: z.string() })),
        before: z.record(z.string(), z.unknown()),
      }),
    ),
  ),
  blocked: z.array(z.looseObject({ id: z.string(), why: z.string() })),
  made: z
    .object({
      paths: z.array(z.string()),
      only: z.array(z.string()),
      selector: z.string().optional(),
      prune: z.boolean(),
    })
    .optional(),
});

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
  const { selector, ...rest } = made;
  const same = { only: [...rest.only], ...(selector === undefined ? {} : { selector }) };
  return reconcileOnce(
    rest.paths,
    { ...options, ...same, ...(rest.prune ? { prune: true } : {}) },
    io,
    signal,
    plan,
  );
}
