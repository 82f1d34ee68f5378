import { describe, expect, test } from 'vitest';
import {
  countPairStates,
  explainPairState,
  pairStateOf,
  rankConditions,
  sortBySeverity,
} from '../../src/controller/pair-state.ts';
import type { PairStatus } from '../../src/controller/status.ts';

const SINCE = '2026-01-01T00:00:00.000Z';
const condition = (status: 'True' | 'False' | 'Unknown', reason: string) => ({
  status,
  reason,
  message: '',
  since: SINCE,
});

/** The conditions of a pair whose canaries are not enabled, and which is otherwise well. */
const READY = {
  Ready: condition('True', 'Converged'),
  Proven: condition('True', 'AllRequestsAllowed'),
  Verified: condition('Unknown', 'NotEnabled'),
  Drifted: condition('False', 'AsDeclared'),
};

const pairOf = (conditions: Record<string, ReturnType<typeof condition>>, overrides = {}) =>
  ({ name: 'tax', conditions: { ...READY, ...conditions }, ...overrides }) as Pick<
    PairStatus,
    'name' | 'conditions' | 'replication'
  >;

const FAILED_CANARY = { Verified: condition('False', 'ReplicationFailed') };

describe('pairStateOf', () => {
  test.each([
    ['all conditions are good, canaries are not enabled', {}, 'ready'],
    ['a canary failed', FAILED_CANARY, 'failing'],
    ['a canary is late', { Verified: condition('False', 'ReplicationSlow') }, 'failing'],
    ['the first canary has not run yet', { Verified: condition('Unknown', 'Pending') }, 'ready'],
    ['the pair cannot have canaries', { Verified: condition('Unknown', 'Skipped') }, 'ready'],
    ['S3 is not allowed a request', { Proven: condition('False', 'RK1308') }, 'failing'],
    ['the proof could not read all documents', { Proven: condition('Unknown', 'Unreadable') }, 'pending'],
    ['a step failed', { Ready: condition('False', 'ApplyFailed') }, 'failing'],
    ['a standby must not apply changes', { Ready: condition('False', 'ChangesPending') }, 'pending'],
    ['no pass has run yet', { Ready: condition('Unknown', 'Pending') }, 'pending'],
    ['another caller changed it', { Drifted: condition('True', 'ChangedElsewhere') }, 'drifted'],
    ['replikey reverted the drift', { Drifted: condition('False', 'Healed') }, 'ready'],
    ['operations failed', { Replicating: condition('False', 'OperationsFailed') }, 'failing'],
    ['a backfill left objects', { BackfillComplete: condition('False', 'TasksFailed') }, 'failing'],
    ['a backfill waits', { BackfillComplete: condition('False', 'AwaitingApproval') }, 'pending'],
    ['a backfill runs', { BackfillComplete: condition('False', 'InProgress') }, 'ready'],
    ['a backfill is done', { BackfillComplete: condition('True', 'Succeeded') }, 'ready'],
    ['CloudWatch has no data', { Replicating: condition('Unknown', 'NoData') }, 'ready'],
    ['a condition of an unknown type is False', { Locked: condition('False', 'Other') }, 'failing'],
    [
      'a standby found drift',
      { Drifted: condition('True', 'ChangedElsewhere'), Ready: condition('False', 'ChangesPending') },
      'drifted',
    ],
  ])('%s: %o is %s', (_, conditions, state) => {
    expect(pairStateOf(pairOf(conditions))).toBe(state);
  });
});

test('explainPairState: failed operations explain a pair better than a failed canary or a different setting', () => {
  const pair = pairOf({
    Ready: condition('False', 'Refused'),
    ...FAILED_CANARY,
    Replicating: condition('False', 'OperationsFailed'),
  });
  expect(explainPairState(pair)).toMatchObject({ state: 'failing', condition: { type: 'Replicating' } });
});

test('rankConditions: separates what is not enabled from what has no data yet', () => {
  const pair = pairOf({ Replicating: condition('Unknown', 'NoData') });
  expect(rankConditions(pair).map(({ type, state }) => [type, state])).toEqual([
    ['Ready', 'ready'],
    ['Proven', 'ready'],
    ['Verified', 'notEnabled'],
    ['Drifted', 'ready'],
    ['Replicating', 'noData'],
  ]);
});

test('sortBySeverity: sorts by state, then by failed operations, then by name', () => {
  const failed = (count: number) => ({
    replication: {
      at: SINCE,
      state: 'available',
      failed: count,
      history: { failed: [], latencySeconds: [] },
    },
  });
  const pairs = [
    pairOf({}, { name: 'a' }),
    pairOf({ Drifted: condition('True', 'ChangedElsewhere') }, { name: 'b' }),
    pairOf(FAILED_CANARY, { name: 'd', ...failed(2) }),
    pairOf(FAILED_CANARY, { name: 'e', ...failed(10) }),
    pairOf(FAILED_CANARY, { name: 'c', ...failed(2) }),
    pairOf({ Ready: condition('Unknown', 'Pending') }, { name: 'f' }),
  ];
  expect(sortBySeverity(pairs).map(({ name }) => name)).toEqual(['e', 'c', 'd', 'b', 'f', 'a']);
  expect(countPairStates(pairs)).toEqual({ failing: 3, drifted: 1, pending: 1, ready: 1 });
});
