import pLimit from 'p-limit';
import type { AwsClient } from '../aws/client.ts';
import { assessAdoption } from '../core/adoption.ts';
import { batchPairs } from '../core/batches.ts';
import { desiredResources } from '../core/desired.ts';
import { type ApprovedPlan, guard, type Refusal, stalePlanRefusals, type Thresholds } from '../core/guard.ts';
import { planHandover, splitByAccess } from '../core/handover.ts';
import { createPlan, createRefResolver, joinDrafts, type PlanDraft, planChanges } from '../core/plan.ts';
import type { ActualState, Kind, Plan, Resource } from '../core/resource.ts';
import { addObjectLockFacts, readProofInputs } from '../facts/proof-inputs.ts';
import { unprovenRefusals } from '../proof/guard.ts';
import { proveDesiredRules } from '../proof/plan-proof.ts';
import type { RuleProof, RuleProofSummary } from '../proof/types.ts';
import { type PrunePlan, planPrune } from '../prune/prune.ts';
import type { Specs } from '../spec/types.ts';
import { readTags } from './adoption-tags.ts';
import { type ApplyEvent, apply, type StepResult } from './apply.ts';
import { observe } from './observe.ts';

export interface PassOptions {
  kinds: ReadonlyMap<string, Kind>;
  aws: AwsClient;
  /** Ids of risks that a person allowed. */
  allowedRisks: readonly string[];
  dryRun: boolean;
  /** How much may change at once; default: 10 removals. */
  thresholds?: Thresholds;
  /** Take away what carries our mark and no spec declares, where its spec said deletion: Remove. */
  prune?: boolean;
  /** The one plan that may be applied. */
  approvedPlan?: ApprovedPlan;
  /** Apply also what would not replicate. */
  allowUnproven?: boolean;
  propagationTimeoutMs: number;
  signal?: AbortSignal;
  /** Told once, before anything is applied. */
  onPlan?: (plan: Plan, proof: readonly RuleProofSummary[]) => void;
  /** Told of each proof as it is made, with every request that was decided: they are too many to be kept. */
  onProof?: (proof: RuleProof) => void;
  onEvent?: (event: ApplyEvent) => void;
}

/** How a pass ended: the plan, what became of it, and what AWS still lacks after it. */
export interface Outcome {
  plan: Plan;
  /** Of every rule that is declared, as it will be once the plan is applied. */
  proof: RuleProofSummary[];
  refusals: Refusal[];
  results: StepResult[];
  /** A second plan, made from a second reading after apply; absent where nothing was applied. */
  remaining?: Plan;
}

/** Pairs that are read and compared at a time: with fewer the calls of a batch do not fill the line. */
const BATCH_SIZE = 50;

/** Batches that are under way at a time: one is compared while the next is read. */
const MAX_CONCURRENT_BATCHES = 3;

/** One pass: desire, observe, plan, prove, guard, apply, and read again. A dry run is the same pass, returned before apply. */
export async function reconcile(specs: Specs, options: PassOptions): Promise<Outcome> {
  const { kinds, signal } = options;
  const aws = (options.dryRun ? options.aws.readOnly() : options.aws).withRoleBatching();
  const limit = pLimit(MAX_CONCURRENT_BATCHES);
  const batches = options.prune
    ? [await planWithOrphans(specs, aws, options)]
    : await Promise.all(
        batchPairs(specs.pairs, BATCH_SIZE).map((pairs) =>
          limit(() => planBatch({ ...specs, pairs }, aws, options)),
        ),
      );
  const draft = joinDrafts(batches.map(({ draft }) => draft));
  const { pruning, actual } = mergeChanges(batches);
  const tags = await readTags(draft, pruning.withAllOrphans, actual, kinds, aws.withCache());
  const assessed = assessAdoption(draft, pruning.withAllOrphans, specs.pairs, tags);
  const proof = batches.flatMap((batch) => batch.proof);
  const refusals = [
    ...(options.approvedPlan === undefined ? [] : stalePlanRefusals(assessed, options.approvedPlan)),
    ...guard(assessed, options.allowedRisks, options.thresholds ?? { maxRemovals: 10 }),
    ...(options.allowUnproven ? [] : unprovenRefusals(proof, assessed)),
  ];
  options.onPlan?.(assessed, proof);
  if (options.dryRun || refusals.length > 0 || assessed.waves.length === 0) {
    return { plan: assessed, proof, refusals, results: [] };
  }

  const results: StepResult[] = [];
  const stages = stagesToApply(pruning);
  for (const stage of stages) {
    // A single stage is what was just planned; what a stage before changed is read anew.
    const stageActual =
      stages.length === 1 ? actual : await observe(stage, kinds, options.aws.withRoleBatching(), signal);
    const stagePlan = stages.length === 1 ? assessed : createPlan(stage, stageActual, kinds);
    results.push(
      ...(await apply(stagePlan, { ...options, resources: stage, actual: stageActual, aws: options.aws })),
    );
    if (signal?.aborted || results.some(({ result }) => result !== 'applied')) break;
  }
  if (signal?.aborted || results.every(({ result }) => result !== 'applied')) {
    return { plan: assessed, proof, refusals, results };
  }
  const actualAfter = await observe(pruning.withAllOrphans, kinds, options.aws.withRoleBatching(), signal);
  const remaining = createPlan(pruning.withAllOrphans, actualAfter, kinds, assessed.handover, pruning);
  return { plan: assessed, proof, refusals, results, remaining };
}

/** What came of comparing some pairs; what only an apply needs is kept where something changes. */
interface BatchPlan {
  draft: PlanDraft;
  proof: RuleProofSummary[];
  changes?: { pruning: PrunePlan; actual: ActualState };
}

/** Read and compare pairs that share nothing with others, and prove them. */
async function planBatch(specs: Specs, aws: AwsClient, options: PassOptions): Promise<BatchPlan> {
  const { kinds } = options;
  const { managed, unmanaged } = splitByAccess(
    desiredResources(specs.pairs, [...kinds.values()]),
    specs.pairs,
  );
  return observeAndPlan(
    specs,
    { managed, unmanaged, pruning: withoutOrphans(managed) },
    aws.withCache(),
    options,
  );
}

/** The same for all pairs at once, with what is left of others. */
async function planWithOrphans(specs: Specs, aws: AwsClient, options: PassOptions): Promise<BatchPlan> {
  const { kinds, signal } = options;
  const { managed, unmanaged } = splitByAccess(
    desiredResources(specs.pairs, [...kinds.values()]),
    specs.pairs,
  );
  // Reads that finding, observing and looking for tags have in common are sent once.
  const cachedAws = aws.withCache();
  const observeCached = (resources: readonly Resource[]) => observe(resources, kinds, cachedAws, signal);
  const pruning = await planPrune(managed, specs, { kinds, aws: cachedAws, observe: observeCached });
  return observeAndPlan(specs, { managed, unmanaged, pruning }, cachedAws, options);
}

async function observeAndPlan(
  specs: Specs,
  { managed, unmanaged, pruning }: { managed: Resource[]; unmanaged: Resource[]; pruning: PrunePlan },
  cachedAws: AwsClient,
  { kinds, signal, onProof }: PassOptions,
): Promise<BatchPlan> {
  const [actual, proofInputs] = await Promise.all([
    observe(pruning.withAllOrphans, kinds, cachedAws, signal),
    readProofInputs(specs, cachedAws),
  ]);
  const handover = planHandover(unmanaged, specs.pairs, kinds, createRefResolver(actual));
  const draft = planChanges(pruning.withAllOrphans, actual, kinds, handover, pruning);
  const inputsWithLocks = await addObjectLockFacts(proofInputs, draft, specs, cachedAws);
  const proof = proveDesiredRules(specs, managed, actual, kinds, inputsWithLocks).map(
    (ruleProof): RuleProofSummary => {
      onProof?.(ruleProof);
      const { answers, ...summary } = ruleProof;
      return { ...summary, requests: answers.length };
    },
  );
  const hasChanges = draft.waves.some((wave) => wave.length > 0);
  return { draft: draft, proof, ...(hasChanges && { changes: { pruning, actual } }) };
}

/** What changes, of all parts. */
function mergeChanges(batches: readonly BatchPlan[]): { pruning: PrunePlan; actual: ActualState } {
  const changes = batches.flatMap((batch) => batch.changes ?? []);
  const [only] = changes;
  if (only && changes.length === 1) return only;
  const resources = changes.flatMap(({ pruning }) => pruning.withAllOrphans);
  return {
    // What several parts refer to is the same in each.
    pruning: withoutOrphans([...new Map(resources.map((resource) => [resource.id, resource])).values()]),
    actual: new Map(changes.flatMap(({ actual }) => [...actual])),
  };
}

const withoutOrphans = (managed: Resource[]): PrunePlan => ({
  withOrphanRules: managed,
  withAllOrphans: managed,
  blocked: [],
  notes: [],
});

/** To prune takes two stages: a rule goes before the permissions that it uses. */
const stagesToApply = ({ withOrphanRules, withAllOrphans }: PrunePlan): Resource[][] =>
  withAllOrphans.some(({ pruneOwners }) => pruneOwners)
    ? [withOrphanRules, withAllOrphans]
    : [withAllOrphans];
