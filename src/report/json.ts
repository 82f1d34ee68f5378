import type { Calls } from '../aws/door.ts';
import type { Refusal } from '../core/guard.ts';
import type { Plan } from '../core/resource.ts';
import type { Foretold } from '../proof/types.ts';
import type { Outcome } from '../reconcile.ts';
import type { Specs } from '../spec/types.ts';
import type { ApplyEvent } from '../steps/apply.ts';

/** How a plan came to be: enough to make it again. */
export interface Made {
  /** Of replikey. */
  version: string;
  paths: readonly string[];
  only: readonly string[];
  selector?: string;
  /** What --var gave. */
  variables?: readonly string[];
  prune: boolean;
}

/** What belongs to a plan beside what is in it. */
export interface About {
  made?: Made;
  /** ISO 8601, where it was made from an observation. */
  observedAt?: string;
  /** Those that the specs use; absent where they use none. */
  variables?: Specs['variables'];
  /** What would keep it from being applied. */
  refused?: readonly Refusal[];
}

/** The machine-readable form of a plan or of a pass: documented in docs/output.md, versioned by `format`. */
export function planJson(plan: Plan, proof: readonly Foretold[] = [], about: About = {}): object {
  const steps = plan.waves.flat();
  return {
    ...plan,
    ...about,
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

export function outcomeJson(outcome: Outcome, calls: Calls, about: About = {}): object {
  return { format: 1, plan: planJson(outcome.plan, outcome.proof, about), ...ended(outcome, calls) };
}

/** What became of a plan. */
function ended(outcome: Outcome, calls: Calls): object {
  return {
    refused: outcome.refusals,
    results: outcome.results,
    ...(outcome.left === undefined ? {} : { left: planJson(outcome.left) }),
    calls: { reads: calls.reads, writes: calls.writes },
  };
}

/** The lines of `-o ndjson`, each a JSON value of its own. */
export const lines = {
  plan: (plan: Plan, proof: readonly Foretold[], about: About) => ({
    type: 'plan',
    message: `${plan.waves.flat().length} changes, checksum ${plan.digest.slice(0, 16)}`,
    plan: planJson(plan, proof, about),
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
  outcome: (outcome: Outcome, calls: Calls) => ({
    type: 'outcome',
    message: `${outcome.results.filter(({ result }) => result === 'applied').length} of ${outcome.plan.waves.flat().length} changes applied`,
    ...ended(outcome, calls),
  }),
};
