import { diffPlans } from './plan-diff.ts';
import type { Id, Plan, Risk, Step } from './resource.ts';

/** A reason to apply nothing: a risk that nobody allowed, or a limit that the plan as a whole passes. */
export interface Refusal {
  id: Risk['id'] | 'max-changes' | 'max-removals' | 'unproven' | 'stale-plan';
  message: string;
  step?: Id;
}

/** How much a plan may change at once. */
export interface Thresholds {
  /** Resources created or updated: a number, or a share of all resources in percent. */
  maxChanges?: { count: number } | { percent: number };
  /** Rules, statements and roles taken away. */
  maxRemovals: number;
}

/** What keeps a plan from being applied; an empty list lets it pass. */
export function guard(plan: Plan, allowedRisks: readonly string[], thresholds: Thresholds): Refusal[] {
  const risks = plan.waves
    .flat()
    .flatMap((step) => step.risks.map((risk) => ({ ...risk, step: step.id })))
    .filter((risk) => !allowedRisks.includes(risk.id));
  return [...changeLimitRefusals(plan, thresholds), ...removalLimitRefusals(plan, thresholds), ...risks];
}

/** The one plan that somebody approved: by its checksum, or the beginning of it, and where it was saved, as a whole. */
export interface ApprovedPlan {
  checksum: string;
  plan?: Plan;
}

/**
 * A plan that is not the one that somebody approved, and what moved since where that can be told. Where nothing is left
 * to do nothing can be done wrong: a pipeline that applies the same plan again ends well.
 */
export function stalePlanRefusals(plan: Plan, { checksum, plan: savedPlan }: ApprovedPlan): Refusal[] {
  if (plan.digest.startsWith(checksum.toLowerCase())) return [];
  if (plan.waves.length + plan.blocked.length === 0) return [];
  const currentChecksum = plan.digest.slice(0, Math.min(checksum.length, 16));
  const cause = savedPlan ? 'what is in AWS has' : 'the specs or what is in AWS have';
  const message = `the plan is not the one that was approved: its checksum is ${currentChecksum}, not ${checksum.slice(0, 16)}; ${cause} changed since, so look at it again with --dry-run`;
  const differences = savedPlan ? diffPlans(savedPlan, plan) : [];
  return [
    { id: 'stale-plan', message },
    ...differences.map((difference) => ({ id: 'stale-plan' as const, ...difference })),
  ];
}

function changeLimitRefusals(plan: Plan, { maxChanges }: Thresholds): Refusal[] {
  const changes = plan.waves.flat().length;
  const resourceCount = changes + plan.unchanged + plan.blocked.length;
  if (maxChanges === undefined) return [];
  const limit =
    'count' in maxChanges ? maxChanges.count : Math.floor((resourceCount * maxChanges.percent) / 100);
  if (changes <= limit) return [];
  const message = `the plan changes ${changes} of ${resourceCount} resources, and ${limit} are allowed: --max-changes ${changes} lifts the limit`;
  return [{ id: 'max-changes', message }];
}

function removalLimitRefusals(plan: Plan, { maxRemovals }: Thresholds): Refusal[] {
  const removals = countRemovals(plan);
  if (removals <= maxRemovals) return [];
  const message = `the plan takes ${removals} rules, statements and roles away, and ${maxRemovals} are allowed: --max-removals ${removals} lifts the limit`;
  return [{ id: 'max-removals', message }];
}

/** How many rules, statements and roles a plan takes away. */
export const countRemovals = (plan: Plan): number =>
  plan.waves.flat().reduce((sum, step) => sum + countStepRemovals(step), 0);

/** A document that goes as a whole counts as what was in it; a role as one. */
function countStepRemovals(step: Step): number {
  const entryCount = removedEntryPaths(step).length;
  return step.action === 'delete' ? Math.max(entryCount, 1) : entryCount;
}

/** Paths of the rules and statements that a step takes away. */
export const removedEntryPaths = ({ patch }: Step): string[] =>
  patch
    .filter(({ op, path }) => op === 'remove' && /^\/(rules|statements)\/[^/]+$/.test(path))
    .map(({ path }) => path);
