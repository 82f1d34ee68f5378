import { describe, expect, test } from 'vitest';
import { afterReplication, replicatingCondition } from '../../src/controller/replicating.ts';
import { type FailureBurst, initialStatus } from '../../src/controller/status.ts';
import type { ReplicationMetrics } from '../../src/facts/replication-metrics.ts';

const NOW = '2026-11-30T10:00:00.000Z';

const metrics = (overrides: Partial<ReplicationMetrics> = {}): ReplicationMetrics => ({
  at: NOW,
  state: 'available',
  operations: 1_110,
  failed: 0,
  replicatedUntil: '2026-11-30T09:55:00.000Z',
  history: { failed: [], latencySeconds: [] },
  ...overrides,
});
const failing = (overrides: Partial<ReplicationMetrics> = {}): ReplicationMetrics =>
  metrics({
    failed: 100,
    failedSince: '2026-11-30T09:40:00.000Z',
    failedUntil: '2026-11-30T09:50:00.000Z',
    ...overrides,
  });
const burst = (overrides: Partial<FailureBurst> = {}): FailureBurst => ({
  id: '1',
  bucket: 'acme-tax',
  rule: 'replikey/tax/tax',
  reason: 'SrcGetObjectNotPermitted',
  operation: 'OBJECT_PUT',
  count: 214,
  since: '2026-11-30T09:40:00.000Z',
  until: '2026-11-30T09:50:00.000Z',
  keys: [],
  ...overrides,
});

describe('replicatingCondition', () => {
  test('an operation failed in the last 15 minutes: False, with count and start', () => {
    expect(replicatingCondition(failing(), [], NOW)).toEqual({
      status: 'False',
      reason: 'OperationsFailed',
      message:
        '100 of 1,110 operations of the last 24 hours failed, since 2026-11-30T09:40:00.000Z; S3 does not retry them',
    });
  });

  test('the failures began before the last 24 hours: says so', () => {
    const { message } = replicatingCondition(failing({ failedSince: '2026-11-29T10:05:00.000Z' }), [], NOW);
    expect(message).toContain('since 2026-11-29T10:05:00.000Z or earlier;');
  });

  test('operations succeeded since the last failure, 15 minutes ago: True, with the failures', () => {
    const condition = replicatingCondition(failing({ failedUntil: '2026-11-30T09:45:00.000Z' }), [], NOW);
    expect(condition).toMatchObject({ status: 'True', reason: 'Replicated' });
    expect(condition.message).toContain(
      '100 of 1,110 operations of the last 24 hours failed, since 2026-11-30T09:40:00.000Z',
    );
  });

  test('the last failure is hours ago, and no operation of its rule succeeded since: remains False', () => {
    const replication = failing({ failedUntil: '2026-11-30T03:00:00.000Z', unrecovered: true });
    expect(replicatingCondition(replication, [], NOW).status).toBe('False');
  });

  test('operations and no failure: True, with a message that the number of operations does not change', () => {
    const condition = replicatingCondition(metrics(), [], NOW);
    expect(condition).toMatchObject({ status: 'True', reason: 'Replicated' });
    expect(replicatingCondition(metrics({ operations: 2_000 }), [], NOW)).toEqual(condition);
  });

  test.each<[ReplicationMetrics | undefined, string]>([
    [undefined, 'Pending'],
    [{ at: NOW, state: 'noData', history: { failed: [], latencySeconds: [] } }, 'NoData'],
    [{ at: NOW, state: 'notEnabled', history: { failed: [], latencySeconds: [] } }, 'NotEnabled'],
    [metrics({ state: 'unreadable', reason: 'AccessDenied' }), 'Unreadable'],
  ])('no evidence (%#): Unknown with the reason %s', (replication, reason) => {
    expect(replicatingCondition(replication, [], NOW)).toMatchObject({ status: 'Unknown', reason });
  });

  test('a read was refused, but another one shows failures: False', () => {
    const replication = failing({ state: 'unreadable', reason: 'AccessDenied' });
    expect(replicatingCondition(replication, [], NOW).status).toBe('False');
  });

  test('an open burst: False with its reason and cause, with any metrics', () => {
    const bursts = [
      burst({ rule: 'replikey/tax/old', until: '2026-11-30T09:46:00.000Z' }),
      burst({ cause: 'no' }),
    ];
    for (const replication of [undefined, metrics()])
      expect(replicatingCondition(replication, bursts, NOW)).toEqual({
        status: 'False',
        reason: 'OperationsFailed',
        message:
          'tax/tax: 214 objects since 2026-11-30T09:40:00Z, SrcGetObjectNotPermitted: no (and 1 more burst of failures)',
      });
  });

  test('a burst that ended: does not count', () => {
    const closed = burst({ endedAt: NOW });
    expect(replicatingCondition(metrics(), [closed], NOW).status).toBe('True');
  });

  test('only delete markers failed: not a reason for False', () => {
    const deletions = burst({ operation: 'OBJECT_DELETE', count: 100 });
    expect(replicatingCondition(failing(), [deletions], NOW).status).toBe('True');
    expect(replicatingCondition(failing({ failed: 101 }), [deletions], NOW).status).toBe('False');
  });
});

test('afterReplication: sets the condition and keeps the other conditions', () => {
  const before = initialStatus({ key: 'tax', pairs: [], generation: 'g' }, NOW, {
    canaries: false,
    metrics: true,
    events: false,
  });
  const after = afterReplication(before, { replication: failing() }, NOW);
  expect(after.replication).toEqual(failing());
  expect(after.conditions).toEqual({
    ...before.conditions,
    Replicating: { ...replicatingCondition(failing(), [], NOW), since: NOW },
  });
});
