import type { ChangeResult, DisturbanceName, Tally } from '../../scripts/transition-table.mjs';
import type { FaultSettings } from '../../src/sandbox/faults.ts';
import { shuffle } from '../faults/matrix.ts';
import type { Transition } from './changes.ts';
import { type CaseResult, type Disturbance, runCase } from './run-case.ts';

/** A part of the matrix: a change, a disturbance, and the rules for objects in flight. */
export interface Part {
  transition: Transition;
  disturbance: DisturbanceName;
  inFlight: FaultSettings['inFlight'];
}

const DISTURBANCES: DisturbanceName[] = ['undisturbed', 'denied', 'killed'];
const IN_FLIGHT: FaultSettings['inFlight'][] = ['atWrite', 'atProcessing'];

/** Topologies in which a run is killed after every call. In the others, it is killed after every write. */
const EVERY_CALL = ['one pair', 'cross-account'];

/** Changes that lose objects if a person allows it, with the cause. */
export const OPEN: Record<string, string> = {
  'role and another change':
    'refused as lose-in-flight: the new role lacks permissions of the old one that objects in flight need',
};

export const partsOf = (transitions: readonly Transition[]): Part[] =>
  transitions.flatMap((transition) =>
    DISTURBANCES.flatMap((disturbance) =>
      IN_FLIGHT.map((inFlight) => ({ transition, disturbance, inFlight })),
    ),
  );

/** Returns a random sample that contains every change, in an order that a seed determines. */
export function sampleOf(parts: readonly Part[], count: number, seed: number): Part[] {
  const shuffled = shuffle(parts, seed);
  const covered = new Set<string>();
  const isNew = ({ transition: { change } }: Part) => !covered.has(change) && covered.add(change);
  const needed = shuffled.filter(isNew);
  const remaining = shuffled.filter((part) => !needed.includes(part));
  return [...needed, ...remaining].slice(0, count);
}

/** A run of a part, with its result. */
export interface Run {
  part: Part;
  disturbance: Disturbance;
  result: CaseResult;
}

/**
 * Runs a part. A killed part is one run for each kill. Between two writes, every kill leaves the same state in AWS.
 *
 * @param pick selects the kills of a sample
 */
export async function runPart(part: Part, pick: (count: number) => number[] = all): Promise<Run[]> {
  const { transition, disturbance, inFlight } = part;
  const run = async (how: Disturbance): Promise<Run> => ({
    part,
    disturbance: how,
    result: await runCase(transition, how, inFlight),
  });
  if (disturbance !== 'killed') return [await run(disturbance)];
  const { calls, writes } = await callsOf(transition);
  const after = EVERY_CALL.includes(transition.topology) ? 'call' : 'write';
  // Both settings take half of the kills.
  const kills = Array.from({ length: after === 'call' ? calls : writes }, (_, index) => index + 1).filter(
    (nth) => IN_FLIGHT[nth % IN_FLIGHT.length] === inFlight,
  );
  const runs: Run[] = [];
  for (const index of pick(kills.length)) {
    const nth = kills[index];
    if (nth !== undefined) runs.push(await run({ after, nth }));
  }
  return runs;
}

const all = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

const callCounts = new Map<Transition, Promise<CaseResult>>();

/** Counts the calls of an undisturbed run of a change. */
function callsOf(transition: Transition): Promise<CaseResult> {
  const counted = callCounts.get(transition) ?? runCase(transition, 'undisturbed', 'atWrite');
  callCounts.set(transition, counted);
  return counted;
}

const emptyResult = (change: string): ChangeResult => ({
  change,
  topologies: [],
  undisturbed: emptyTally(),
  denied: emptyTally(),
  killed: emptyTally(),
});

const emptyTally = (): Tally => ({ runs: 0, written: 0, failed: 0, passedOver: 0, pending: 0 });

/** Adds runs up, by change, in the order of the transitions. */
export function resultsOf(runs: readonly Run[], transitions: readonly Transition[]): ChangeResult[] {
  const results = new Map(transitions.map(({ change }) => [change, emptyResult(change)]));
  for (const { part, result } of runs) {
    const { change, topology } = part.transition;
    const changeResult = results.get(change) ?? emptyResult(change);
    changeResult.topologies = [...new Set([...changeResult.topologies, topology])];
    const tally = changeResult[part.disturbance];
    tally.runs += 1;
    for (const name of ['written', 'failed', 'passedOver', 'pending'] as const)
      tally[name] += result.counts[name];
  }
  return [...results.values()];
}

export const nameOf = ({ transition, disturbance, inFlight }: Part): string =>
  `${transition.topology}: ${transition.change}, ${disturbance}, ${inFlight}`;

/** Describes the violations of a run; empty without any. */
export const violationsOf = ({ part, disturbance, result }: Run): string[] => {
  const kill = typeof disturbance === 'string' ? '' : ` after ${disturbance.after} ${disturbance.nth}`;
  const name = `${nameOf(part)}${kill}`;
  const { violations } = result;
  if (violations.length === 0) return [];
  const more = violations.length > 3 ? ` … and ${violations.length - 3} more` : '';
  return [`${name}: ${violations.slice(0, 3).join('; ')}${more}`];
};
