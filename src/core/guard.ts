import type { Id, Plan, Risk } from './resource.ts';

/** A risk that nobody allowed. */
export interface Refusal extends Risk {
  step: Id;
}

/** The risks of a plan that nobody allowed by their id; an empty list lets the plan pass. */
export function guard(plan: Plan, allowed: readonly string[]): Refusal[] {
  return plan.waves
    .flat()
    .flatMap((step) => step.risks.map((risk) => ({ ...risk, step: step.id })))
    .filter((risk) => !allowed.includes(risk.id));
}
