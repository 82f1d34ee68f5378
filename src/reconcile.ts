import pLimit from 'p-limit';
import type { Door } from './aws/door.ts';
import { withAdoption } from './core/adoption.ts';
import { batches } from './core/batches.ts';
import { desire } from './core/desire.ts';
import { type Approved, guard, type Refusal, stale, type Thresholds } from './core/guard.ts';
import { handover, part } from './core/handover.ts';
import { joined, knownIn, type PlanPart, plan, planPart } from './core/plan.ts';
import type { Actual, Kind, Plan, Resource } from './core/resource.ts';
import { proveDeclared, readAround, readLocks } from './doctor/foreseen.ts';
import type { Foretold, RuleProof } from './proof/types.ts';
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
  onPlan?: (plan: Plan, proof: readonly Foretold[]) => void;
  /** Told of each proof as it is made, with every request that was decided: they are too many to be kept. */
  onProof?: (proof: RuleProof) => void;
  onEvent?: (event: ApplyEvent) => void;
}

/** How a pass ended: the plan, what became of it, and what AWS still lacks after it. */
export interface Outcome {
  plan: Plan;
  /** Of every rule that is declared, as it will be once the plan is applied. */
  proof: Foretold[];
  refusals: Refusal[];
  results: StepResult[];
  /** A second plan, made from a second reading after apply; absent where nothing was applied. */
  left?: Plan;
}

/** Pairs that are read and compared at a time: with fewer the calls of a batch do not fill the line. */
const BATCH = 50;

/** Batches that are under way at a time: one is compared while the next is read. */
const BATCHES_AT_ONCE = 3;

/** One pass: desire, observe, plan, prove, guard, apply, and read again. A dry run is the same pass, returned before apply. */
export async function reconcile(specs: Specs, options: PassOptions): Promise<Outcome> {
  const { kinds, signal } = options;
  const door = (options.dryRun ? options.door.readOnly() : options.door).listing();
  const limit = pLimit(BATCHES_AT_ONCE);
  const parts = options.prune
    ? [await compareAll(specs, door, options)]
    : await Promise.all(
        batches(specs.pairs, BATCH).map((pairs) => limit(() => compare({ ...specs, pairs }, door, options))),
      );
  const bare = joined(parts.map(({ part }) => part));
  const { pruning, actual } = together(parts);
  const tags = await readTags(bare, pruning.all, actual, kinds, door.sharing());
  const made = withAdoption(bare, pruning.all, specs.pairs, tags);
  const proof = parts.flatMap((part) => part.proof);
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
    const seen = stages.length === 1 ? actual : await observe(stage, kinds, options.door.listing(), signal);
    const steps = stages.length === 1 ? made : plan(stage, seen, kinds);
    results.push(...(await apply(steps, { ...options, resources: stage, actual: seen, door: options.door })));
    if (signal?.aborted || results.some(({ result }) => result !== 'applied')) break;
  }
  if (signal?.aborted || results.every(({ result }) => result !== 'applied')) {
    return { plan: made, proof, refusals, results };
  }
  const again = await observe(pruning.all, kinds, options.door.listing(), signal);
  const left = plan(pruning.all, again, kinds, made.handover, pruning);
  return { plan: made, proof, refusals, results, left };
}

/** What came of comparing some pairs; what only an apply needs is kept where something changes. */
interface Compared {
  part: PlanPart;
  proof: Foretold[];
  changing?: { pruning: Pruning; actual: Actual };
}

/** Read and compare pairs that share nothing with others, and prove them. */
async function compare(specs: Specs, door: Door, options: PassOptions): Promise<Compared> {
  const { kinds } = options;
  const { ours, theirs } = part(desire(specs.pairs, [...kinds.values()]), specs.pairs);
  return comparing(specs, { ours, theirs, pruning: nothingPruned(ours) }, door.sharing(), options);
}

/** The same for all pairs at once, with what is left of others. */
async function compareAll(specs: Specs, door: Door, options: PassOptions): Promise<Compared> {
  const { kinds, signal } = options;
  const { ours, theirs } = part(desire(specs.pairs, [...kinds.values()]), specs.pairs);
  // Reads that finding, observing and looking for tags have in common are sent once.
  const reading = door.sharing();
  const look = (some: readonly Resource[]) => observe(some, kinds, reading, signal);
  const pruning = await prune(ours, specs, { kinds, aws: reading, observe: look });
  return comparing(specs, { ours, theirs, pruning }, reading, options);
}

async function comparing(
  specs: Specs,
  { ours, theirs, pruning }: { ours: Resource[]; theirs: Resource[]; pruning: Pruning },
  reading: Door,
  { kinds, signal, onProof }: PassOptions,
): Promise<Compared> {
  const [actual, around] = await Promise.all([
    observe(pruning.all, kinds, reading, signal),
    readAround(specs, reading),
  ]);
  const byOthers = handover(theirs, specs.pairs, kinds, knownIn(actual));
  const made = planPart(pruning.all, actual, kinds, byOthers, pruning);
  const locked = await readLocks(around, made, specs, reading);
  const proof = proveDeclared(specs, ours, actual, kinds, locked).map((one): Foretold => {
    onProof?.(one);
    const { answers, ...rest } = one;
    return { ...rest, requests: answers.length };
  });
  const changes = made.waves.some((wave) => wave.length > 0);
  return { part: made, proof, ...(changes && { changing: { pruning, actual } }) };
}

/** What changes, of all parts. */
function together(parts: readonly Compared[]): { pruning: Pruning; actual: Actual } {
  const changing = parts.flatMap((one) => one.changing ?? []);
  const [only] = changing;
  if (only && changing.length === 1) return only;
  const resources = changing.flatMap(({ pruning }) => pruning.all);
  return {
    // What several parts refer to is the same in each.
    pruning: nothingPruned([...new Map(resources.map((resource) => [resource.id, resource])).values()]),
    actual: new Map(changing.flatMap(({ actual }) => [...actual])),
  };
}

const nothingPruned = (ours: Resource[]): Pruning => ({ first: ours, all: ours, blocked: [], notes: [] });

/** To prune takes two stages: a rule goes before the permissions that it uses. */
const stagesOf = ({ first, all }: Pruning): Resource[][] =>
  all.some(({ prune }) => prune) ? [first, all] : [all];
