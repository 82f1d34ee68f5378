import { compareCodeUnits } from '../util/canonical-json.ts';
import { BACKFILL_CONDITION, type Condition, EVENTS_CONDITION } from './conditions.ts';
import type { PairStatus } from './status.ts';

/**
 * The state of a pair: the worst state of its conditions.
 *
 * - `failing`: objects fail, or would fail, or replikey cannot make AWS as declared.
 * - `drifted`: another caller changed the pair, and replikey has not reverted it.
 * - `pending`: not checked yet, not readable, or with changes that this process may not apply.
 * - `ready`: AWS is as declared, and nothing that replikey observes fails.
 */
export type PairState = 'failing' | 'drifted' | 'pending' | 'ready';

/** All states, worst first. */
export const PAIR_STATES: readonly PairState[] = ['failing', 'drifted', 'pending', 'ready'];

/** A condition of a pair with its type and the state that follows from it. */
export interface RankedCondition extends Condition {
  type: string;
  /** `notEnabled` and `noData` say nothing about the pair. */
  state: PairState | 'notEnabled' | 'noData';
}

/** The part of a status that decides the state of a pair. */
type Conditions = Pick<PairStatus, 'conditions'>;

/** Reasons of conditions that have no value, because the user has not enabled them or they do not apply. */
const NOT_ENABLED_REASONS: readonly string[] = ['NotEnabled', 'Skipped'];

/** Condition types, the one that explains a state best first: failed objects explain more than a different setting. */
const EXPLANATION_ORDER: readonly string[] = [
  ...['Replicating', 'Proven', 'Verified', 'Ready', 'Drifted'],
  BACKFILL_CONDITION,
];

/** States of a pair by the reason of its backfill. A job that proceeds by itself says nothing about the pair. */
const STATE_BY_BACKFILL_REASON: Readonly<Record<string, PairState>> = {
  Blocked: 'failing',
  Failed: 'failing',
  TasksFailed: 'failing',
  AwaitingApproval: 'pending',
};

const explanationRank = (type: string): number => {
  const index = EXPLANATION_ORDER.indexOf(type);
  return index === -1 ? EXPLANATION_ORDER.length : index;
};

/** Returns the state that follows from a condition of any type. */
function stateOfCondition(type: string, { status, reason }: Condition): RankedCondition['state'] {
  if (status === 'Unknown') {
    if (NOT_ENABLED_REASONS.includes(reason)) return 'notEnabled';
    return type === 'Ready' || type === 'Proven' ? 'pending' : 'noData';
  }
  // Without events, changes are found later. They say nothing about replication.
  if (type === EVENTS_CONDITION) return status === 'True' ? 'ready' : 'noData';
  if (type === 'Drifted') return status === 'True' ? 'drifted' : 'ready';
  if (status === 'True') return 'ready';
  if (type === BACKFILL_CONDITION) return STATE_BY_BACKFILL_REASON[reason] ?? 'noData';
  return reason === 'ChangesPending' ? 'pending' : 'failing';
}

/** Returns the conditions of a pair, in their order. */
export const rankConditions = ({ conditions }: Conditions): RankedCondition[] =>
  Object.entries(conditions).map(([type, condition]) => ({
    ...condition,
    type,
    state: stateOfCondition(type, condition),
  }));

/** Returns the state of a pair. It allocates nothing, because a page needs the states of 10,000 pairs. */
export function pairStateOf({ conditions }: Conditions): PairState {
  let worst: number = PAIR_STATES.length;
  for (const type in conditions) {
    const state = stateOfCondition(type, (conditions as Record<string, Condition>)[type] as Condition);
    const rank = PAIR_STATES.indexOf(state as PairState);
    if (rank !== -1 && rank < worst) worst = rank;
  }
  return PAIR_STATES[worst] ?? 'pending';
}

/** Returns the state of a pair, and the condition that explains it best; absent: the pair has no such condition. */
export function explainPairState(pair: Conditions): { state: PairState; condition?: RankedCondition } {
  const state = pairStateOf(pair);
  const [condition] = rankConditions(pair)
    .filter((candidate) => candidate.state === state)
    .sort((a, b) => explanationRank(a.type) - explanationRank(b.type));
  return { state, ...(condition && { condition }) };
}

/** Returns the number of pairs in each state. */
export function countPairStates(pairs: readonly Conditions[]): Record<PairState, number> {
  const counts: Record<PairState, number> = { failing: 0, drifted: 0, pending: 0, ready: 0 };
  for (const pair of pairs) counts[pairStateOf(pair)] += 1;
  return counts;
}

/** Returns the pairs with the worst state first, then those with the most failed operations, then by name. */
export function sortBySeverity<P extends Pick<PairStatus, 'name' | 'conditions' | 'replication'>>(
  pairs: readonly P[],
): P[] {
  return pairs
    .map((pair) => ({
      pair,
      rank: PAIR_STATES.indexOf(pairStateOf(pair)),
      failed: pair.replication?.failed ?? 0,
    }))
    .sort((a, b) => a.rank - b.rank || b.failed - a.failed || compareCodeUnits(a.pair.name, b.pair.name))
    .map(({ pair }) => pair);
}
