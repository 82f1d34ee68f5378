import type { Calls } from '../aws/door.ts';
import type { Plan } from '../core/resource.ts';
import type { RuleProof } from '../proof/types.ts';
import type { Outcome } from '../reconcile.ts';

/** The machine-readable form of a plan or of a pass: documented in docs/output.md, versioned by `format`. */
export function planJson(plan: Plan, proof: readonly RuleProof[] = []): object {
  const steps = plan.waves.flat();
  return {
    ...plan,
    // The single requests are for the doctor to show.
    proof: proof.map(({ answers, ...rest }) => ({ ...rest, requests: answers.length })),
    summary: {
      create: steps.filter(({ action }) => action === 'create').length,
      update: steps.filter(({ action }) => action === 'update').length,
      delete: steps.filter(({ action }) => action === 'delete').length,
      blocked: plan.blocked.length,
      unchanged: plan.unchanged,
    },
  };
}

export function outcomeJson(outcome: Outcome, calls: Calls): object {
  return {
    format: 1,
    plan: planJson(outcome.plan, outcome.proof),
    refused: outcome.refusals,
    results: outcome.results,
    ...(outcome.left === undefined ? {} : { left: planJson(outcome.left) }),
    calls: { reads: calls.reads, writes: calls.writes },
  };
}
