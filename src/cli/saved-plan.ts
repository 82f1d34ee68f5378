import { createHash } from 'node:crypto';
import { affectedPairs } from '../core/batches.ts';
import type { Plan } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { planDocumentSchema } from '../report/plan-schema.ts';
import type { Specs } from '../spec/types.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import { readJson } from '../util/files.ts';

/** A plan with everything that is needed to apply it: `reconcile apply` does not read the specs again. */
export interface SavedPlan {
  plan: Plan;
  specs: Specs;
  /** Whether the plan removes orphans. `apply` looks for them again, in the same specs. */
  isPrune: boolean;
}

/**
 * Adds the declarations of the affected pairs to the JSON of a plan, and a checksum over the whole file.
 *
 * @param planDocument the plan as `-o json` prints it
 */
export function toSavedPlan(planDocument: object, specs: Specs, plan: Plan, isPrune: boolean): object {
  const inputs = {
    // With fewer specs, prune would take the others for removed ones.
    specs: isPrune ? specs : { ...specs, pairs: affectedPairs(plan, specs.pairs) },
    isPrune,
  };
  const document = JSON.parse(JSON.stringify({ ...planDocument, inputs })) as object;
  return { ...document, integrity: integrityOf(document) };
}

/**
 * Reads a file that `plan --out` wrote.
 *
 * @throws UserError for any other file, and for a file that was changed after it was saved
 */
export async function readSavedPlan(file: string): Promise<SavedPlan> {
  const reject = (reason: string): never => {
    throw new UserError(EXIT.usage, `${file} ${reason}; create a plan with reconcile plan --out`);
  };
  const document = await readJson(file);
  const parsed = planDocumentSchema.safeParse(document);
  const [issue] = parsed.error?.issues ?? [];
  if (issue) reject(`is not a saved plan: ${issue.path.join('.') || 'the document'}: ${issue.message}`);
  const { integrity, ...content } = document as { integrity?: string; inputs?: Omit<SavedPlan, 'plan'> };
  if (integrity === undefined || content.inputs === undefined)
    return reject('is not a saved plan: it does not contain the specs');
  if (integrity !== integrityOf(content)) reject('was changed after it was saved');
  return { plan: content as unknown as Plan, ...content.inputs };
}

const integrityOf = (document: object): string =>
  createHash('sha256').update(canonicalJson(document)).digest('hex');
