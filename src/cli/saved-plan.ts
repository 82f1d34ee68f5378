import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
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

/** A JSON file that is not a spec. */
export interface PlanFile {
  file: string;
  document: unknown;
}

/**
 * Finds the saved plan among paths of specs by its content, and reads it once, because it may be a pipe.
 *
 * @throws UserError if there are other paths beside it, or if a path that ends in .json cannot be read
 */
export async function findPlanFile(paths: readonly string[]): Promise<PlanFile | undefined> {
  for (const file of paths) {
    const document = await readPlanDocument(file, { isAlone: paths.length === 1 });
    if (document === undefined) continue;
    if (paths.length > 1)
      throw new UserError(EXIT.usage, `${file} is a saved plan, which contains its specs: apply it alone`);
    return { file, document };
  }
  return undefined;
}

/**
 * Returns the JSON of a file; undefined for specs, and for what the loader of specs must read or report.
 *
 * @param isAlone whether it may be a pipe: beside other paths, reading one would wait for its writer
 */
async function readPlanDocument(file: string, { isAlone }: { isAlone: boolean }): Promise<unknown> {
  const stats = file === '-' ? undefined : await stat(file).catch(() => undefined);
  const isOther = stats !== undefined && !stats.isFile() && (stats.isDirectory() || !isAlone);
  if (file === '-' || isOther) return undefined;
  const isJsonName = file.endsWith('.json');
  const document = await readJson(file).catch((error: unknown) => {
    if (isJsonName) throw error;
    return undefined;
  });
  const isMapping = typeof document === 'object' && document !== null && !Array.isArray(document);
  if (!isMapping) return isJsonName ? document : undefined;
  return Object.hasOwn(document, 'apiVersion') ? undefined : document;
}

/**
 * Validates a file that `plan --out` wrote.
 *
 * @throws UserError for any other file, for a file that was changed after it was saved, and for a plan whose accounts are
 * not verified
 */
export function parseSavedPlan({ file, document }: PlanFile): SavedPlan {
  const reject = (reason: string): never => {
    throw new UserError(EXIT.usage, `${file} ${reason}; create a plan with reconcile plan --out`);
  };
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
