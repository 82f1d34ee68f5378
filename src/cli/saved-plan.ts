import { createHash } from 'node:crypto';
import * as z from 'zod';
import { affectedPairs } from '../core/batches.ts';
import type { Plan } from '../core/resource.ts';
import { digestOf, type SealSources, sealInputsOf } from '../core/seal.ts';
import { EXIT, UserError } from '../errors.ts';
import type { RuleProofSummary } from '../proof/types.ts';
import { planDocumentSchema } from '../report/plan-schema.ts';
import type { Specs } from '../spec/types.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import { readJson } from '../util/files.ts';

/** A plan with everything that is needed to apply it: `reconcile apply` does not read the specs again. */
export interface SavedPlan extends SavedInputs {
  plan: Plan;
  proof: RuleProofSummary[];
}

interface SavedInputs {
  specs: Specs;
  /** Whether the plan removes orphans. `apply` looks for them again, in the same specs. */
  isPrune: boolean;
}

const inputsSchema = z.object({
  specs: z.object({
    pairs: z.array(z.looseObject({ name: z.string() })),
    accounts: z.array(z.looseObject({ name: z.string(), id: z.string() })),
    limits: z.looseObject({}),
    variables: z.array(z.unknown()),
  }),
  isPrune: z.boolean(),
});

/**
 * Adds the declarations of the affected pairs to the JSON of a plan, and a checksum over the whole file.
 *
 * @param planDocument the plan as `-o json` prints it
 */
export function toSavedPlan(planDocument: object, specs: Specs, plan: Plan, isPrune: boolean): object {
  const inputs: SavedInputs = {
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
 * @throws UserError for any other file, for a file that was changed after it was saved, and for a plan whose accounts are
 * not verified
 */
export async function readSavedPlan(file: string): Promise<SavedPlan> {
  const reject = (reason: string): never => {
    throw new UserError(EXIT.usage, `${file} ${reason}; create a plan with reconcile plan --out`);
  };
  const document = await readJson(file);
  const parsed = planDocumentSchema.safeParse(document);
  const [issue] = parsed.error?.issues ?? [];
  if (issue) reject(`is not a saved plan: ${issue.path.join('.') || 'the document'}: ${issue.message}`);
  const { integrity, inputs, ...content } = document as SavedDocument;
  if (integrity === undefined || !inputsSchema.safeParse(inputs).success)
    return reject('is not a saved plan: it does not contain the specs');
  const { specs, isPrune } = inputs;
  const sources: SealSources = { ...content.target, proof: content.proof, isPrune };
  const isUnchanged =
    integrity === integrityOf({ inputs, ...content }) &&
    content.digest === digestOf(content, sealInputsOf(content, sources, specs).approved);
  if (!isUnchanged) return reject('was changed after it was saved');
  rejectUnverified(file, content, specs);
  return { plan: content, proof: content.proof, specs, isPrune };
}

type SavedDocument = Plan & { proof: RuleProofSummary[]; inputs: SavedInputs; integrity?: string };

/** @throws UserError for a plan that does not show in which account it was made. */
function rejectUnverified(file: string, { target }: Plan, { pairs }: Specs): void {
  const usesAmbient = pairs.some(({ source, destination }) =>
    [source, destination].some(({ account }) => account === undefined),
  );
  const reason =
    target.endpoint === 'snapshot'
      ? 'was made from a snapshot (--observed), which does not verify its accounts'
      : usesAmbient && target.accounts[''] === undefined
        ? 'was made without the id of the account, because AWS did not return it'
        : undefined;
  if (reason === undefined) return;
  throw new UserError(
    EXIT.refused,
    `refused: ${file} ${reason}; plan again with credentials: reconcile plan --out`,
  );
}

const integrityOf = (document: object): string =>
  createHash('sha256').update(canonicalJson(document)).digest('hex');
