import type { CallCounts } from '../aws/client.ts';
import type { Refusal } from '../core/guard.ts';
import type { Plan } from '../core/resource.ts';
import type { RuleProofSummary } from '../proof/types.ts';
import type { ApplyEvent } from '../reconcile/apply.ts';
import type { Outcome } from '../reconcile/pass.ts';
import type { Specs } from '../spec/types.ts';

/** The inputs of a plan: sufficient to make the plan again. */
export interface PlanInputs {
  /** Version of replikey. */
  version: string;
  paths: readonly string[];
  only: readonly string[];
  selector?: string;
  /** Values of the --var option. */
  variables?: readonly string[];
  prune: boolean;
}

/** Metadata of a plan that the plan itself does not contain. */
export interface PlanMetadata {
  made?: PlanInputs;
  /** ISO 8601: the time of the snapshot, if the plan was made from a snapshot. */
  observedAt?: string;
  /** Variables that the specs use; absent if they use none. */
  variables?: Specs['variables'];
  /** Reasons why apply would refuse the plan. */
  refused?: readonly Refusal[];
}

/** Returns the machine-readable form of a plan or of a pass: documented in docs/reference/output.md, versioned by `format`. */
export function planJson(
  plan: Plan,
  proof: readonly RuleProofSummary[] = [],
  metadata: PlanMetadata = {},
): object {
  const steps = plan.waves.flat();
  return {
    ...plan,
    ...metadata,
    proof,
    summary: {
      create: steps.filter(({ action }) => action === 'create').length,
      update: steps.filter(({ action }) => action === 'update').length,
      delete: steps.filter(({ action }) => action === 'delete').length,
      blocked: plan.blocked.length,
      unchanged: plan.unchanged,
    },
  };
}

export function outcomeJson(outcome: Outcome, calls: CallCounts, metadata: PlanMetadata = {}): object {
  return {
    format: 1,
    plan: planJson(outcome.plan, outcome.proof, metadata),
    ...outcomeFields(outcome, calls),
  };
}

/** Returns the result of applying a plan. */
function outcomeFields(outcome: Outcome, calls: CallCounts): object {
  return {
    refused: outcome.refusals,
    results: outcome.results,
    ...(outcome.remaining === undefined ? {} : { left: planJson(outcome.remaining) }),
    calls: { reads: calls.reads, writes: calls.writes },
  };
}

/** The lines of `-o ndjson`, each a separate JSON value. */
export const ndjsonLines = {
  plan: (plan: Plan, proof: readonly RuleProofSummary[], metadata: PlanMetadata) => ({
    type: 'plan',
    message: `${plan.waves.flat().length} changes, checksum ${plan.digest.slice(0, 16)}`,
    plan: planJson(plan, proof, metadata),
  }),
  event: (event: ApplyEvent) => {
    const { id, action } = event.step;
    if (event.type === 'waiting') {
      const { waitsFor, untilMs } = event;
      return { type: 'waiting', message: `${id} waits for ${waitsFor}`, id, waitsFor, untilMs };
    }
    const why = event.why === undefined ? {} : { why: event.why };
    return { type: event.type, message: `${event.type}: ${action} ${id}`, id, action, ...why };
  },
  outcome: (outcome: Outcome, calls: CallCounts) => ({
    type: 'outcome',
    message: `${outcome.results.filter(({ result }) => result === 'applied').length} of ${outcome.plan.waves.flat().length} changes applied`,
    ...outcomeFields(outcome, calls),
  }),
};
