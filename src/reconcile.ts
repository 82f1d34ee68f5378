import type { Door } from './aws/door.ts';
import { withAdoption } from './core/adoption.ts';
import { desire } from './core/desire.ts';
import { type Approved, guard, type Refusal, stale, type Thresholds } from './core/guard.ts';
import { handover, part } from './core/handover.ts';
import { knownIn, plan } from './core/plan.ts';
import type { Kind, Plan, Resource } from './core/resource.ts';
import { proveDeclared, readAround, readLocks } from './doctor/foreseen.ts';
import type { RuleProof } from './proof/types.ts';
import { unproven } from './proof/unproven.ts';
import { type Pruning, prune } from './prune/prune.ts';
import type { Specs } from './spec/types.ts';
import { type ApplyEvent, apply, type StepResult } from './steps/apply.ts';
import { observe } from './steps/observe.ts';
import { readTags } from './steps/read-tags.ts';

export interface PassOptions {
  kinds: ReadonlyMap<string, Kind>;
  door: Door;
  /** Ids of risks that a person allowed. */
  allow: readonly string[];
  dryRun: boolean;
  /** How much may change at once; default: 10 removals. */
  thresholds?: Thresholds;
  /** Take away what carries our mark and no spec declares, where its spec said deletion: Remove. */
  prune?: boolean;
  /** The one plan that may be applied. */
  approved?: Approved;
  /** Apply also what would not replicate. */
  allowUnproven?: boolean;
  waitMs: number;
  signal?: AbortSignal;
  /** Told once, before anything is applied. */
  onPlan?: (plan: Plan, proof: readonly RuleProof[]) => void;
  onEvent?: (event: ApplyEvent) => void;
}

/** How a pass ended: the plan, what became of it, and what AWS still lacks after it. */
export interface Outcome {
  plan: Plan;
  /** Of every rule that is declared, as it will be once the plan is applied. */
  proof: RuleProof[];
  refusals: Refusal[];
  results: StepResult[];
  /** A second plan, made from a second reading after apply; absent where nothing was applied. */
  left?: Plan;
}

/** One pass: desire, observe, plan, prove, guard, apply, and read again. A dry run is the same pass, returned before apply. */
export async function reconcile(specs: Specs, options: PassOptions): Promise<Outcome> {
  const { kinds, signal } = options;
  const door = options.dryRun ? options.door.readOnly() : options.door;
  const { ours, theirs } = part(desire(specs.pairs, [...kinds.values()]), specs.pairs);
  // Reads that finding, observing and looking for tags have in common are sent once.
  const reading = door.sharing();
  const look = (some: readonly Resource[]) => observe(some, kinds, reading, signal);
  const pruning = options.prune
    ? await prune(ours, specs, { kinds, aws: reading, observe: look })
    : nothingPruned(ours);
  const resources = pruning.all;
  const [actual, around] = await Promise.all([look(resources), readAround(specs, reading)]);
  const byOthers = handover(theirs, specs.pairs, kinds, knownIn(actual));
  const bare = plan(resources, actual, kinds, byOthers, pruning);
  // What is asked only of what changes.
  const [tags, locked] = await Promise.all([
    readTags(bare, resources, actual, kinds, reading),
    readLocks(around, bare, specs, reading),
  ]);
  const made = withAdoption(bare, resources, specs.pairs, tags);
  const proof = proveDeclared(specs, ours, actual, kinds, locked);
  const refusals = [
    ...(options.approved === undefined ? [] : stale(made, options.approved)),
    ...guard(made, options.allow, options.thresholds ?? { maxRemovals: 10 }),
    ...(options.allowUnproven ? [] : unproven(proof, made)),
  ];
  options.onPlan?.(made, proof);
  if (options.dryRun || refusals.length > 0 || made.waves.length === 0) {
    return { plan: made, proof, refusals, results: [] };
  }

  const results: StepResult[] = [];
  const stages = stagesOf(pruning);
  for (const stage of stages) {
    // A single stage is what was just planned; what a stage before changed is read anew.
    const seen = stages.length === 1 ? actual : await observe(stage, kinds, door, signal);
    const steps = stages.length === 1 ? made : plan(stage, seen, kinds);
    results.push(...(await apply(steps, { ...options, resources: stage, actual: seen, door })));
    if (signal?.aborted || results.some(({ result }) => result !== 'applied')) break;
  }
  if (signal?.aborted || results.every(({ result }) => result !== 'applied')) {
    return { plan: made, proof, refusals, results };
  }
  const left = plan(resources, await observe(resources, kinds, door, signal), kinds, byOthers, pruning);
  return { plan: made, proof, refusals, results, left };
}

const nothingPruned = (ours: Resource[]): Pruning => ({ first: ours, all: ours, blocked: [], notes: [] });

/** To prune takes two stages: a rule goes before the permissions that it uses. */
const stagesOf = ({ first, all }: Pruning): Resource[][] =>
  all.some(({ prune }) => prune) ? [first, all] : [all];
