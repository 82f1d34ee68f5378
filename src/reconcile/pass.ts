import type { AwsClient } from '../aws/client.ts';
import type { Facts } from '../core/facts.ts';
import type { ApprovedPlan, Refusal, Thresholds } from '../core/guard.ts';
import type { Kind } from '../core/kind.ts';
import type { ActualState, Plan, Resource } from '../core/resource.ts';
import type { RuleProof, RuleProofSummary } from '../proof/types.ts';
import type { ApplyEvent } from './apply.ts';
import type { Propagation } from './propagation.ts';
import type { StepResult } from './step-result.ts';

/** Options of one pass. */
export interface PassOptions {
  kinds: ReadonlyMap<string, Kind>;
  aws: AwsClient;
  /** Ids of risks that a person allowed. */
  allowedRisks: readonly string[];
  dryRun: boolean;
  /** Limits on the changes of one plan; default: 10 removals. */
  thresholds?: Thresholds;
  /** Remove managed entries that no spec declares, if their spec declared `deletion: Remove`. */
  prune?: boolean;
  /** Plan only batch jobs with their roles. Rules, buckets and keys stay as they are in AWS, which the proof is based on. */
  jobsOnly?: boolean;
  /** The only plan that may be applied. */
  approvedPlan?: ApprovedPlan;
  /** Apply the plan even if a rule would not replicate. */
  allowUnproven?: boolean;
  /** Name of the account that reads the organization; absent: control policies are not read. */
  organizationAccount?: string | undefined;
  propagationTimeoutMs: number;
  /** Overrides the drain of all specs, in milliseconds. */
  drainMs?: number;
  /** The wait before rules depend on changed permissions; absent: no wait. */
  propagation?: Propagation;
  /** Test the changed rules of all specs with canaries, in place of those with `rollout: canary`. */
  canaryFirst?: boolean;
  /** Time limit for the replica of such a canary, in milliseconds; default: 15 minutes. */
  canaryTimeoutMs?: number;
  signal?: AbortSignal;
  /** Called once, before anything is applied. */
  onPlan?: (plan: Plan, proof: readonly RuleProofSummary[], state: PlannedState) => void;
  /**
   * Called with each proof, including the result of every request. The pass does not keep these results, because they
   * are too many.
   *
   * @param currentFacts returns the facts before the plan, for commands that correct a rule
   */
  onProof?: (proof: RuleProof, currentFacts: () => Facts) => void;
  onEvent?: (event: ApplyEvent) => void;
}

/** What a plan was made from. */
export interface PlannedState {
  resources: readonly Resource[];
  /** The state of the resources in batches with changes. */
  actual: ActualState;
}

/** The result of a pass: the plan, the results of its steps, and the remaining changes. */
export interface Outcome {
  plan: Plan;
  /** The proof of every declared rule, in the state after the plan. */
  proof: RuleProofSummary[];
  refusals: Refusal[];
  results: StepResult[];
  /** A second plan, from a second observation after apply; absent when nothing was applied. */
  remaining?: Plan;
}
