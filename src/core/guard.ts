import { toSortedSet } from '../util/canonical-json.ts';
import { removedEntryPaths } from './diff.ts';
import { diffPlans, isRemainder, type ObservedState } from './plan-diff.ts';
import { allowanceOf, type Id, type Plan, type Risk, type Step } from './resource.ts';

/** A reason not to apply a plan: a risk that was not allowed, or a limit that the plan exceeds. */
export interface Refusal {
  id:
    | Risk['id']
    | 'max-changes'
    | 'max-removals'
    | 'unproven'
    | 'stale-plan'
    | 'wrong-account'
    | 'not-confirmed';
  message: string;
  step?: Id;
  /** What alone can be allowed. */
  subject?: string;
}

/** Limits on the changes of one plan. */
export interface Thresholds {
  /** Resources created or updated: a number, or a percentage of all resources. */
  maxChanges?: { count: number } | { percent: number };
  /** Number of rules, statements and roles that may be removed. */
  maxRemovals: number;
}

/** Returns the reasons not to apply a plan. An empty list means that it may be applied. */
export function guard(plan: Plan, allowedRisks: readonly string[], thresholds: Thresholds): Refusal[] {
  const risks = plan.waves
    .flat()
    .flatMap((step) => step.risks.map((risk) => ({ ...risk, step: step.id })))
    .filter((risk) => !allowedRisks.includes(risk.id) && !allowedRisks.includes(allowanceOf(risk)));
  return [...changeLimitRefusals(plan, thresholds), ...removalLimitRefusals(plan, thresholds), ...risks];
}

/** The plan that a person approved: its checksum or the beginning of it, and the whole plan if it was saved. */
export interface ApprovedPlan {
  checksum: string;
  plan?: Plan;
}

/** Returns whether a plan is the approved one. */
export const isApproved = ({ digest }: Plan, { checksum }: ApprovedPlan): boolean =>
  digest.startsWith(checksum.toLowerCase());

/**
 * Refuses a plan that differs from the approved one, and lists the differences when the approved plan was saved. A plan
 * without changes passes, so that a pipeline that applies the same plan twice succeeds. So does the rest of a saved plan
 * that was applied in part.
 */
export function stalePlanRefusals(
  plan: Plan,
  { checksum, plan: savedPlan }: ApprovedPlan,
  state: ObservedState,
): Refusal[] {
  if (isApproved(plan, { checksum })) return [];
  if (plan.waves.length + plan.blocked.length === 0) return [];
  if (savedPlan && isRemainder(savedPlan, plan, state)) return [];
  const currentChecksum = plan.digest.slice(0, Math.min(checksum.length, 16));
  const cause = savedPlan ? 'the state in AWS' : 'the specs, the target or the state in AWS';
  const message = `the plan differs from the approved plan: its checksum is ${currentChecksum}, not ${checksum.slice(0, 16)}, because ${cause} changed since; review it again with --dry-run`;
  const differences = savedPlan ? diffPlans(savedPlan, plan) : [];
  return [
    { id: 'stale-plan', message },
    ...differences.map((difference) => ({ id: 'stale-plan' as const, ...difference })),
  ];
}

/** The buckets that specs declare, in accounts with credentials. */
export interface DeclaredBuckets {
  /** Number of all these buckets. */
  count: number;
  /** The buckets that deny access, with the names of their Account documents; `''` for the ambient credentials. */
  denied: readonly { bucket: string; account: string }[];
}

/**
 * Refuses every plan if all declared buckets deny access. The credentials then probably belong to another account, in
 * which the specs must not create anything.
 */
export function wrongAccountRefusals(
  { count, denied }: DeclaredBuckets,
  { target: { accounts } }: Pick<Plan, 'target'>,
): Refusal[] {
  if (count === 0 || denied.length < count) return [];
  const callers = toSortedSet(denied.map(({ account }) => account)).map(
    (name) => `account ${accounts[name] ?? 'unknown'}${name === '' ? '' : ` (${name})`}`,
  );
  // Without the names of the buckets, which the plan lists: the controller counts equal reasons.
  const message = `wrong account: every bucket that the specs name denies access to the credentials of ${callers.join(', ')}; use credentials of the account that owns the buckets, or give these credentials permission to read them`;
  return [{ id: 'wrong-account', message }];
}

function changeLimitRefusals(plan: Plan, { maxChanges }: Thresholds): Refusal[] {
  const changes = plan.waves.flat().length;
  const resourceCount = changes + plan.unchanged + plan.blocked.length;
  if (maxChanges === undefined) return [];
  const limit =
    'count' in maxChanges ? maxChanges.count : Math.floor((resourceCount * maxChanges.percent) / 100);
  if (changes <= limit) return [];
  const message = `the plan changes ${changes} of ${resourceCount} resources, and the limit is ${limit}; raise it with --max-changes ${changes}`;
  return [{ id: 'max-changes', message }];
}

function removalLimitRefusals(plan: Plan, { maxRemovals }: Thresholds): Refusal[] {
  const removals = countRemovals(plan);
  if (removals <= maxRemovals) return [];
  const message = `the plan removes ${removals} rules, statements and roles, and the limit is ${maxRemovals}; raise it with --max-removals ${removals}`;
  return [{ id: 'max-removals', message }];
}

/** Returns how many rules, statements and roles a plan removes. */
export const countRemovals = (plan: Plan): number =>
  plan.waves.flat().reduce((sum, step) => sum + countStepRemovals(step), 0);

/**
 * Counts the entries that a step removes. A deleted document counts as its entries, a role as one. A rule that is
 * disabled stops to replicate, as a removed one does.
 */
function countStepRemovals(step: Step): number {
  const entryCount = removedEntryPaths(step).length + disabledRulePaths(step).length;
  return step.action === 'delete' ? Math.max(entryCount, 1) : entryCount;
}

/** Returns the paths of the status of rules that a step disables. */
const disabledRulePaths = ({ patch }: Step): string[] =>
  patch
    .filter(
      (operation) =>
        operation.op === 'replace' &&
        /^\/rules\/[^/]+\/status$/.test(operation.path) &&
        operation.value === 'Disabled',
    )
    .map(({ path }) => path);
