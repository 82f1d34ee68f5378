import type { AwsClient } from '../aws/client.ts';
import { assessAdoption } from '../core/adoption.ts';
import { guard, isApproved, type Refusal, stalePlanRefusals, wrongAccountRefusals } from '../core/guard.ts';
import { joinDrafts, planChanges } from '../core/plan.ts';
import type { Plan } from '../core/resource.ts';
import { seal, sealInputsOf } from '../core/seal.ts';
import { JOB_RISKS, withoutJobs } from '../proof/job-guard.ts';
import { unprovenRefusals } from '../proof/plan-proof.ts';
import type { Specs } from '../spec/types.ts';
import { apply, applyInStages } from './apply.ts';
import { type Draft, draftPlan } from './batches.ts';
import { CANARY_TIMEOUT_MS } from './canary-first.ts';
import { observe, readTags } from './observe.ts';
import type { Outcome, PassOptions } from './pass.ts';
import type { PrunePlan } from './prune.ts';
import type { StepResult } from './step-result.ts';

/** Runs one pass. A dry run is the same pass, returned before apply. */
export async function reconcile(specs: Specs, options: PassOptions): Promise<Outcome> {
  const { kinds, signal } = options;
  const aws = (options.dryRun ? options.aws.readOnly() : options.aws).withBatching();
  const { draft, plan, sources } = await planWithApprovedJobs(specs, aws, options);
  const { proof, prune, actual } = draft;
  const resources = prune.withAllOrphans;
  const refusals = refusalsOf(plan, draft, options);
  options.onPlan?.(plan, proof, { resources, actual });
  if (options.dryRun || refusals.length > 0 || isWithoutWrites(plan))
    return { plan, proof, refusals, results: [] };

  const applyOptions = { ...toApplyOptions(specs, options), ...draft.transition };
  const results = await applyInStages(plan, stagesOf(prune), actual, applyOptions);
  if (!signal?.aborted && results.every(({ result }) => result === 'applied') && isWithoutDrain(plan))
    results.push(...(await removeExpired(specs, options)));
  if (signal?.aborted || (results.length > 0 && results.every(({ result }) => result !== 'applied')))
    return { plan, proof, refusals, results };
  const actualAfter = await observe(resources, kinds, options.aws.withBatching(), signal);
  const context = { ...prune, nowMs: options.aws.now() };
  const draftAfter = planChanges(resources, actualAfter, kinds, plan.handover, context);
  // A job has moved on since it was created, and the next run brings it forward.
  const after = joinDrafts([withoutJobs(draftAfter, kinds)]);
  return { plan, proof, refusals, results, remaining: seal(after, sealInputsOf(after, sources, specs)) };
}

/** Observes, drafts and seals the plan of a pass. */
async function planPass(specs: Specs, aws: AwsClient, options: PassOptions) {
  const draft = await draftPlan(specs, aws, options);
  const resources = draft.prune.withAllOrphans;
  const tags = await readTags(draft.content, resources, draft.actual, options.kinds, aws.withCache());
  const content = assessAdoption(draft.content, resources, specs.pairs, tags);
  const sources = { ...draft, endpoint: await aws.endpoint(), isPrune: options.prune ?? false };
  return { draft, sources, plan: seal(content, sealInputsOf(content, sources, specs)) };
}

/**
 * Plans a pass. A plan omits jobs whose risks are not allowed. If the approved plan has them, so has the returned one: the guard
 * then refuses it by the names of these risks, and does not report an empty plan as applied.
 */
async function planWithApprovedJobs(specs: Specs, aws: AwsClient, options: PassOptions) {
  const planned = await planPass(specs, aws, options);
  const { approvedPlan, allowedRisks } = options;
  const omitsJobs = planned.plan.jobs?.some(({ state }) => state === 'awaitingApproval');
  if (!approvedPlan || !omitsJobs || isApproved(planned.plan, approvedPlan)) return planned;
  const withJobs = await planPass(specs, aws, { ...options, allowedRisks: [...allowedRisks, ...JOB_RISKS] });
  return isApproved(withJobs.plan, approvedPlan) ? withJobs : planned;
}

/** Returns the reasons not to apply a plan. In the wrong account, all other reasons are meaningless. */
function refusalsOf(plan: Plan, { buckets, proof, actual }: Draft, options: PassOptions): Refusal[] {
  const { kinds, approvedPlan, allowedRisks, thresholds } = options;
  // Without a change of rules, the guard of the jobs refuses a job under a rule that is not proven.
  const allowUnproven = options.allowUnproven || options.jobsOnly;
  const wrongAccount = wrongAccountRefusals(buckets, plan);
  if (wrongAccount.length > 0) return wrongAccount;
  return [
    ...(approvedPlan === undefined ? [] : stalePlanRefusals(plan, approvedPlan, { actual, kinds })),
    ...guard(plan, allowedRisks, thresholds ?? { maxRemovals: 10 }),
    ...(allowUnproven ? [] : unprovenRefusals(proof, plan, kinds)),
  ];
}

/** Returns the options of an apply. */
const toApplyOptions = (specs: Specs, { canaryFirst, canaryTimeoutMs, ...options }: PassOptions) => ({
  ...options,
  canaryFirst: {
    specs,
    isForAll: canaryFirst ?? false,
    timeoutMs: canaryTimeoutMs ?? CANARY_TIMEOUT_MS,
    allowedRisks: options.allowedRisks,
  },
});

const isWithoutDrain = ({ waves }: Plan): boolean =>
  waves.flat().some(({ retains }) => retains?.drainSeconds === 0);

/** Removes expired permissions in the same run, for changes without a drain. */
async function removeExpired(specs: Specs, options: PassOptions): Promise<StepResult[]> {
  const { content, prune, actual } = await draftPlan(specs, options.aws.withBatching(), options);
  return apply(
    { ...content, waves: [] },
    { ...toApplyOptions(specs, options), resources: prune.withAllOrphans, actual },
  );
}

const isWithoutWrites = ({ waves, housekeeping }: Plan): boolean => waves.length + housekeeping.length === 0;

/** Returns the stages of an apply. Prune takes two: an orphaned rule is removed before the permissions that it uses. */
const stagesOf = ({ withOrphanRules, withAllOrphans }: PrunePlan) =>
  withOrphanRules !== withAllOrphans &&
  withAllOrphans.some(({ pruneOwners, disableOwners }) => pruneOwners ?? disableOwners)
    ? [withOrphanRules, withAllOrphans]
    : [withAllOrphans];
