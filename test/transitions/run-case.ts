import type { Outcome, PassOptions } from '../../src/reconcile/pass.ts';
import type { FaultSettings, InjectedFault } from '../../src/sandbox/faults.ts';
import type { Store } from '../../src/sandbox/store.ts';
import { specsOf, type Transition } from './changes.ts';
import {
  copyState,
  type Kill,
  PROPAGATION_MS,
  type SandboxState,
  type Simulation,
  startSimulation,
} from './simulation.ts';
import { type Counts, createWriter, type Writer } from './writer.ts';

/** What happens to the run that makes the change. */
export type Disturbance = 'undisturbed' | 'denied' | Kill;

export interface CaseResult {
  counts: Counts;
  /** Objects that failed or were passed over, and other violations. */
  violations: string[];
  /** Calls and writes of the first run. */
  calls: number;
  writes: number;
}

/**
 * Time between the write of an object and its replication, so that objects are always in flight. It is longer than the
 * propagation of policies: otherwise that would hide permissions that are removed too early.
 */
const REPLICATION_DELAY_MS = PROPAGATION_MS + 1_000;

/** More than the drain, and the minute that a change may take. */
const PAST_DRAIN_MS = 17 * 60_000;

const DENIED: InjectedFault = {
  match: 'PutBucketReplication',
  nth: 1,
  times: 100_000,
  what: { status: 403, code: 'AccessDenied', message: 'Access Denied' },
};

/**
 * Makes a change while objects are written, with a disturbance. Then lets the drain pass, and makes the runs that remove
 * the replaced permissions.
 */
export async function runCase(
  transition: Transition,
  disturbance: Disturbance,
  inFlight: FaultSettings['inFlight'],
): Promise<CaseResult> {
  const state = await stateBefore(transition);
  const [before, after] = await Promise.all([specsOf(transition.before), specsOf(transition.after)]);
  await using simulation = await startSimulation(state, {
    replicationDelayMs: REPLICATION_DELAY_MS,
    inFlight,
  });
  const { sandbox } = simulation;
  const sources = new Set(before.pairs.map(({ source }) => source.bucket));
  const old = transition.hasForeignRules ? { ...before, pairs: [] } : before;
  const writers = [...sources].map((bucket) => createWriter(simulation, bucket, old, after));
  const violations: string[] = [];
  const options: Partial<PassOptions> = {
    allowedRisks: transition.allowedRisks,
    prune: transition.prune,
    thresholds: { maxRemovals: 100 },
    ...transition.options,
  };
  const pass = (kill?: Kill) => simulation.pass(after, options, kill);
  const isRefused = (outcome: Outcome | undefined) => (outcome?.refusals.length ?? 0) > 0;

  const firstRun = await simulation.run(async () => {
    start(writers);
    await simulation.sleep(500);
    if (disturbance === 'denied') sandbox.faultSettings.faults = [DENIED];
    const first = await pass(typeof disturbance === 'object' ? disturbance : undefined);
    await simulation.sleep(2_000);
    return first;
  });
  let last = firstRun.outcome;
  if (disturbance === 'denied') {
    // A person intervenes long after the drain.
    await pause(simulation, writers);
    await simulation.run(async () => {
      start(writers);
      await simulation.sleep(500);
      await pass();
      await simulation.sleep(500);
      sandbox.faultSettings.faults = [];
      last = (await pass()).outcome;
    });
  } else if (typeof disturbance === 'object') {
    last = (await simulation.run(() => pass())).outcome;
  }
  const refusals = last?.refusals.map(({ id }) => id) ?? [];
  if (last === undefined) violations.push('the last run was killed');
  const expected = transition.refused ?? [];
  if (JSON.stringify(refusals) !== JSON.stringify(expected))
    violations.push(`refused for [${refusals.join(', ')}], expected [${expected.join(', ')}]`);
  if (!isRefused(last)) {
    violations.push(...findUnfinished(last));
    for (const writer of writers) writer.endOfChange();
    await simulation.run(() => simulation.sleep(1_000));
    violations.push(...(await finishDrain(simulation, writers, pass)));
  }
  await simulation.run(async () => {
    await stop(writers);
    await sandbox.waitForReplication();
  });
  violations.push(...writers.flatMap((writer) => writer.losses()));
  return {
    counts: sum(writers.map((writer) => writer.count())),
    violations,
    calls: firstRun.calls,
    writes: firstRun.writes,
  };
}

/** Lets the drain pass, and makes the runs that remove the replaced permissions. Returns violations. */
async function finishDrain(
  simulation: Simulation,
  writers: readonly Writer[],
  pass: () => ReturnType<Simulation['pass']>,
): Promise<string[]> {
  const violations: string[] = [];
  // A former role keeps its statements for a second drain.
  for (let drains = 1, isComplete = false; drains <= 2 && !isComplete; drains++) {
    await pause(simulation, writers);
    await simulation.run(async () => {
      start(writers);
      await simulation.sleep(300);
      const { outcome } = await pass();
      violations.push(...findUnfinished(outcome));
      isComplete = drains === 2 || !outcome?.plan.housekeeping.some(({ action }) => action === 'retain');
      if (isComplete) {
        const retained = retainedSids(simulation.sandbox.store);
        if (retained.length > 0) violations.push(`after the drain, ${retained.join(', ')} remain`);
        // One more run removes the tag that names the former role.
        if (drains === 2) await pass();
        const repeated = await pass();
        if (repeated.writes > 0) violations.push(`the run after the drain made ${repeated.writes} writes`);
      }
      await simulation.sleep(300);
    });
  }
  return violations;
}

const findUnfinished = (outcome: Outcome | undefined): string[] => [
  ...(outcome?.results ?? [])
    .filter(({ result }) => result !== 'applied')
    .map(({ id, result, why }) => `${id} ${result}: ${why}`),
  ...(outcome?.remaining ?? { waves: [] }).waves.flat().map(({ id }) => `${id} is not as declared`),
];

/** Returns the Sids of statements that replikey retains for objects in flight. */
function retainedSids(store: Store): string[] {
  const accounts = [...store.accounts()];
  const policies = [
    ...accounts.flatMap(({ roles }) => [...roles.values()].flatMap(({ inline }) => [...inline.values()])),
    ...accounts.flatMap(({ keys }) => [...keys.values()].map(({ policy }) => policy)),
    ...[...store.buckets()].map(({ policy = '' }) => policy),
  ];
  return policies.flatMap((policy) => policy.match(/ReplikeyUntil\w+/g) ?? []);
}

/** Lets the drain pass without writes. */
async function pause(simulation: Simulation, writers: readonly Writer[]): Promise<void> {
  await simulation.run(async () => {
    await stop(writers);
    await simulation.sandbox.waitForReplication();
  });
  simulation.skip(PAST_DRAIN_MS);
}

const start = (writers: readonly Writer[]): void => {
  for (const writer of writers) writer.start();
};

const stop = (writers: readonly Writer[]) => Promise.all(writers.map((writer) => writer.stop()));

const sum = (counts: readonly Counts[]): Counts => ({
  written: counts.reduce((total, { written }) => total + written, 0),
  failed: counts.reduce((total, { failed }) => total + failed, 0),
  passedOver: counts.reduce((total, { passedOver }) => total + passedOver, 0),
  pending: counts.reduce((total, { pending }) => total + pending, 0),
});

const states = new Map<string, Promise<SandboxState>>();

/** Returns the state after a run with the old specs. It is the same for all transitions with these specs. */
function stateBefore({ before, prepare, adapt }: Transition): Promise<SandboxState> {
  const key = `${before} ${adapt}`;
  const state = states.get(key) ?? createStateBefore(before, prepare, adapt);
  states.set(key, state);
  return state;
}

async function createStateBefore(
  before: string,
  prepare: Transition['prepare'],
  adapt: Transition['adapt'],
): Promise<SandboxState> {
  const specs = await specsOf(before);
  await using simulation = await startSimulation();
  prepare?.(simulation.sandbox.store);
  await simulation.run(async () => {
    const { outcome } = await simulation.pass(specs);
    const problems = findUnfinished(outcome);
    if (problems.length > 0 || (outcome?.refusals.length ?? 0) > 0)
      throw new Error(`the first run failed: ${[...problems, JSON.stringify(outcome?.refusals)].join('; ')}`);
  });
  adapt?.(simulation.sandbox.store);
  return copyState(simulation.sandbox.store);
}
