import type { CanaryResult } from '../canary/canary.ts';
import type { Id, Step } from '../core/resource.ts';
import type { ReplicationLag } from '../facts/object-sample.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { Outcome } from '../reconcile/pass.ts';
import type { Position, Problem, Side } from '../spec/types.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import type { LastChange } from './attribution.ts';
import {
  type Condition,
  type ConditionState,
  type ConditionType,
  isDrift,
  provenCondition,
  type RetryKind,
  readyCondition,
  setCondition,
  verifiedCondition,
} from './conditions.ts';
import type { WorkItem } from './work-items.ts';

/** Something that was changed, or that would have been. */
export interface PairChange {
  /** ISO 8601 */
  at: string;
  /** Why it was necessary: the spec is new or another, or the world is. */
  cause: 'spec' | 'drift' | 'unknown';
  steps: ChangeStep[];
  result: 'applied' | 'failed' | 'refused' | 'pending';
}

export type ChangeStep = Pick<Step, 'id' | 'action' | 'patch' | 'before' | 'why'> & {
  /** Who somebody else is, where that is known by now. */
  lastChange?: LastChange;
};

/** A bucket, and where it lies. */
export interface StatusBucket {
  bucket: string;
  region: string;
  account?: string;
}

/** How one pair fares. Plain data, shown as it is. */
export interface PairStatus {
  name: string;
  /** Where objects go: one way, or two. */
  sides: { source: StatusBucket; destination: StatusBucket }[];
  from?: Position;
  conditions: Record<ConditionType, Condition>;
  /** Digest of the spec that was last looked at, and of the one that AWS was last seen to match. */
  generation: string;
  convergedGeneration?: string;
  /** Digest of the spec as it is now: not yet looked at where it is another. */
  declaredGeneration: string;
  /** ISO 8601 */
  lastRun?: string;
  lastSuccess?: string;
  nextRun?: string;
  /** Passes in a row that did not end well. */
  failures: number;
  retry: RetryKind;
  /** The last ones, newest first. */
  changes: PairChange[];
  proof: RuleVerdict[];
  /** Looked at whenever canaries are written. */
  objects?: ReplicationLag;
}

/** How much work waits and runs. */
export interface QueueStatus {
  /** Pairs that wait for a worker, and pairs that are worked on. */
  depth: number;
  active: number;
  /** How often one was added. */
  adds: number;
  /** For how long those that are worked on have been, together and the longest, in milliseconds. */
  unfinishedMs: number;
  longestMs: number;
}

/** How all pairs fare, and the loop itself. */
export interface ControllerStatus {
  pairs: PairStatus[];
  /** Of what is written and does not count. */
  problems: Problem[];
  queue: QueueStatus;
  /** Whether there was a moment at which every pair had been looked at: another that comes later changes nothing of it. */
  isSynced: boolean;
  /** Milliseconds since 1970 when the loop last moved. */
  lastMove: number;
  calls: { reads: number; writes: number; byOperation: Record<string, number> };
}

const MAX_CHANGES = 10;
const PENDING_MESSAGE = 'not looked at yet';

/** What is told of a pair before it was looked at. */
export function initialStatus(item: WorkItem, now: string): PairStatus {
  const { key, generation } = item;
  const unknown = (): Condition => ({
    status: 'Unknown',
    reason: 'Pending',
    message: PENDING_MESSAGE,
    since: now,
  });
  return {
    name: key,
    ...declaredFields(item),
    conditions: { Ready: unknown(), Proven: unknown(), Verified: unknown(), Drifted: unknown() },
    generation,
    failures: 0,
    retry: 'none',
    changes: [],
    proof: [],
  };
}

/** What the spec itself says of it. */
export function declaredFields({
  pairs,
  generation,
}: WorkItem): Pick<PairStatus, 'sides' | 'from' | 'declaredGeneration'> {
  const toStatusBucket = ({ bucket, region, account }: Side): StatusBucket => ({
    bucket,
    region,
    ...(account === undefined ? {} : { account }),
  });
  const from = pairs[0]?.positions[''];
  return {
    sides: pairs.map(({ source, destination }) => ({
      source: toStatusBucket(source),
      destination: toStatusBucket(destination),
    })),
    ...(from === undefined ? {} : { from }),
    declaredGeneration: generation,
  };
}

/** How a pair fares after a pass. Pure. `generation`: digest of the spec that the pass was about. */
export function afterPass(before: PairStatus, outcome: Outcome, generation: string, now: string): PairStatus {
  const { conditions } = before;
  const [ready, retry] = readyCondition(outcome);
  const isReady = ready.status === 'True';
  const cause = changeCauseOf(before, generation);
  const change = toPairChange(outcome, cause, now, before.changes[0]);
  // What waited waits no more once it is done, by whomever; where not all could be read, nobody knows.
  const doneChanges = before.changes.filter(({ result }) => result !== 'pending');
  const convergedGeneration = isReady ? generation : before.convergedGeneration;
  const lastSuccess = isReady ? now : before.lastSuccess;
  return {
    ...before,
    conditions: {
      ...conditions,
      Ready: setCondition(conditions.Ready, ready, now),
      Proven: setCondition(conditions.Proven, provenCondition(outcome.proof), now),
      Drifted: setCondition(conditions.Drifted, driftedCondition(conditions.Drifted, change, isReady), now),
    },
    generation,
    ...(convergedGeneration === undefined ? {} : { convergedGeneration }),
    lastRun: now,
    ...(lastSuccess === undefined ? {} : { lastSuccess }),
    failures: isReady ? 0 : before.failures + 1,
    retry,
    changes: change ? [change, ...doneChanges].slice(0, MAX_CHANGES) : isReady ? doneChanges : before.changes,
    proof: outcome.proof.map(({ requests: _, ...rest }) => rest),
  };
}

/** How a pair fares after a pass that ended with an error. */
export function afterError(before: PairStatus, message: string, generation: string, now: string): PairStatus {
  const ready: ConditionState = { status: 'False', reason: 'Failed', message };
  return {
    ...before,
    conditions: { ...before.conditions, Ready: setCondition(before.conditions.Ready, ready, now) },
    generation,
    lastRun: now,
    failures: before.failures + 1,
    retry: 'recoverable',
  };
}

export function afterCanaries(before: PairStatus, results: readonly CanaryResult[], now: string): PairStatus {
  return {
    ...before,
    conditions: {
      ...before.conditions,
      Verified: setCondition(before.conditions.Verified, verifiedCondition(results), now),
    },
  };
}

/** What the changes of a pass come from: a spec that is the same as when AWS matched it has not changed by itself. */
const changeCauseOf = (before: PairStatus, generation: string): PairChange['cause'] =>
  before.convergedGeneration === undefined
    ? 'unknown'
    : before.convergedGeneration === generation
      ? 'drift'
      : 'spec';

function driftedCondition(
  before: Condition,
  change: PairChange | undefined,
  isReady: boolean,
): ConditionState {
  if (change?.cause === 'drift')
    return isReady
      ? { status: 'False', reason: 'Healed', message: formatDrift(change, true) }
      : { status: 'True', reason: 'ChangedElsewhere', message: formatDrift(change, false) };
  if (isReady && before.reason === 'Healed') return before;
  if (isReady) return { status: 'False', reason: 'AsDeclared', message: 'nothing was changed by others' };
  return before;
}

function formatDrift({ steps, at }: PairChange, isHealed: boolean): string {
  const ids = steps.map(({ id }) => id);
  const idText = ids.length > 3 ? `${ids.slice(0, 3).join(', ')} and ${ids.length - 3} more` : ids.join(', ');
  const changes = steps.flatMap(({ lastChange }) => lastChange ?? []);
  const [newest] = changes.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  return [
    `${idText}: changed by somebody else${isHealed ? `, and put back at ${at}` : ''}`,
    ...(newest ? [formatLastChange(newest)] : []),
  ].join('; ');
}

export const formatLastChange = ({ by, event, at }: LastChange): string =>
  `last changed by ${by} with ${event} at ${at}`;

/** How a pair fares once it is known who changed one of its documents. */
export function afterAttribution(before: PairStatus, id: Id, lastChange: LastChange): PairStatus {
  const isMatch = ({ cause, steps }: PairChange) => cause === 'drift' && steps.some((step) => step.id === id);
  const index = before.changes.findIndex(isMatch);
  const changes = before.changes.map((change, i) =>
    i === index
      ? { ...change, steps: change.steps.map((step) => (step.id === id ? { ...step, lastChange } : step)) }
      : change,
  );
  const { Drifted } = before.conditions;
  const newestDrift = changes.find(({ cause }) => cause === 'drift');
  const message =
    newestDrift && isDrift(Drifted) ? formatDrift(newestDrift, Drifted.reason === 'Healed') : Drifted.message;
  return { ...before, changes, conditions: { ...before.conditions, Drifted: { ...Drifted, message } } };
}

/** What was still not put back is what it was, and by whom. */
function toChangeSteps(plan: Outcome['plan'], previous: PairChange | undefined): ChangeStep[] {
  const previousSteps = previous?.cause === 'drift' && previous.result !== 'applied' ? previous.steps : [];
  return plan.waves.flat().map(({ id, action, patch, before, why }) => {
    const previousStep = previousSteps.find(
      (step) => step.id === id && canonicalJson(step.patch) === canonicalJson(patch),
    );
    return {
      id,
      action,
      patch,
      before,
      why,
      ...(previousStep?.lastChange && { lastChange: previousStep.lastChange }),
    };
  });
}

function toPairChange(
  { plan, refusals, results }: Outcome,
  cause: PairChange['cause'],
  at: string,
  previous: PairChange | undefined,
): PairChange | undefined {
  const steps = toChangeSteps(plan, previous);
  if (steps.length === 0) return undefined;
  const result =
    refusals.length > 0
      ? 'refused'
      : results.length === 0
        ? 'pending'
        : results.every((step) => step.result === 'applied')
          ? 'applied'
          : 'failed';
  return {
    at,
    cause,
    steps,
    result,
  };
}
