import type { AwsClient } from '../aws/client.ts';
import type { ApprovedPlan, Refusal, Thresholds } from '../core/guard.ts';
import type { Kind } from '../core/kind.ts';
import type { Plan } from '../core/resource.ts';
import type { RuleProof, RuleProofSummary } from '../proof/types.ts';
import type { ApplyEvent, StepResult } from './apply.ts';
import type { PrunePlan } from './prune.ts';

/** Options of one pass. */
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
  /** The orphans of a saved plan, in place of those that prune would find. */
  savedPrune?: PrunePlan;
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
  /** What prune found; a saved plan carries it. */
  prune: PrunePlan;
  /** Of every rule that is declared, as it will be once the plan is applied. */
  proof: RuleProofSummary[];
  refusals: Refusal[];
  results: StepResult[];
  /** A second plan, made from a second reading after apply; absent where nothing was applied. */
  remaining?: Plan;
}
