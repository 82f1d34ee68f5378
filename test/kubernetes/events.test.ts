import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { PairChange, PairStatus } from '../../src/controller/status.ts';
import type { KubernetesApi } from '../../src/kubernetes/api.ts';
import { createEventRecorder, resourceEventsOf } from '../../src/kubernetes/events.ts';
import type { CustomResource } from '../../src/kubernetes/resources.ts';
import { fakeClock } from '../support/fake-clock.ts';

const AT = '2026-01-01T00:00:00.000Z';
const condition = (status: 'True' | 'False' | 'Unknown', reason: string, message = 'a message') => ({
  status,
  reason,
  message,
  since: AT,
});
const converged = condition('True', 'Converged');
const pair = (ready: PairStatus['conditions']['Ready'], overrides: Partial<PairStatus> = {}): PairStatus => ({
  name: 'tax',
  sides: [],
  labels: {},
  conditions: {
    Ready: ready,
    Proven: condition('True', 'X'),
    Verified: condition('Unknown', 'X'),
    Replicating: condition('Unknown', 'X'),
    Drifted: condition('False', 'AsDeclared'),
  },
  generation: 'g',
  declaredGeneration: 'g',
  failures: 0,
  retry: 'none',
  changes: [],
  proof: [],
  ...overrides,
});
const drifted = (reason: string, message = 'a bucket'): PairStatus => {
  const status = pair(converged);
  return { ...status, conditions: { ...status.conditions, Drifted: condition('True', reason, message) } };
};
const pairWithChange = (result: PairChange['result'], count = 1): PairStatus =>
  pair(converged, {
    changes: [
      {
        at: AT,
        cause: 'spec',
        result,
        steps: Array.from({ length: count }, (_, index) => ({
          id: `s3.bucket/b${index}`,
          action: 'create' as const,
          patch: [],
          before: {},
          why: [],
        })),
      },
    ],
  });

const withBackfill = (reason: string, message: string): PairStatus => {
  const status = pair(converged);
  const BackfillComplete = condition('False', reason, message);
  return { ...status, conditions: { ...status.conditions, BackfillComplete } };
};

test.each<[transition: string, before: PairStatus, after: PairStatus, notices: string[]]>([
  ['no change', pair(converged), pair(converged), []],
  [
    'a backfill that begins',
    pair(converged),
    withBackfill('InProgress', '1 of 3'),
    ['BackfillInProgress 1 of 3'],
  ],
  [
    'the progress of a backfill',
    withBackfill('InProgress', '1 of 3'),
    withBackfill('InProgress', '2 of 3'),
    [],
  ],
  ['a backfill that is no longer declared', withBackfill('Succeeded', '3'), pair(converged), []],
  ['ready again', pair(condition('False', 'Failed')), pair(converged), []],
  ['pending changes', pair(converged), pair(condition('False', 'ChangesPending', '3 pending')), []],
  [
    'a failure',
    pair(converged),
    pair(condition('False', 'ApplyFailed', 'denied')),
    ['Failed ApplyFailed: denied'],
  ],
  [
    'the same failure again',
    pair(condition('False', 'Failed', 'x')),
    pair(condition('False', 'Failed', 'x')),
    [],
  ],
  ['blocked', pair(converged), pair(condition('False', 'Blocked', 'x')), ['Blocked Blocked: x']],
  ['refused by the guard', pair(converged), pair(condition('False', 'Refused', 'x')), ['Blocked Refused: x']],
  ['reverted drift', pair(converged), drifted('Healed'), ['Drifted a bucket']],
  ['drift that is not reverted', pair(converged), drifted('ChangedElsewhere'), ['Drifted a bucket']],
  [
    'drift is attributed to a caller',
    drifted('Healed'),
    drifted('Healed', 'a bucket; last changed by jane'),
    ['Drifted a bucket; last changed by jane'],
  ],
  ['one change', pair(converged), pairWithChange('applied'), ['Applied 1 change: s3.bucket/b0']],
  [
    'many changes',
    pair(converged),
    pairWithChange('applied', 7),
    ['Applied 7 changes: s3.bucket/b0, s3.bucket/b1, s3.bucket/b2, s3.bucket/b3, s3.bucket/b4 and 2 more'],
  ],
  ['a pending change', pair(converged), pairWithChange('pending'), []],
  ['the same change again', pairWithChange('applied'), pairWithChange('applied'), []],
])('resourceEventsOf: %s', (_, before, after, notices) => {
  expect(resourceEventsOf(before, after).map(({ reason, note }) => `${reason} ${note}`)).toEqual(notices);
});

describe('event recorder', () => {
  const resource = (name: string): CustomResource => ({
    kind: 'BucketReplication',
    name,
    namespace: 'replikey',
    uid: `uid of ${name}`,
    generation: 1,
    resourceVersion: '1',
    labels: {},
    spec: {},
  });
  const failed = (note = 'no') => ({ type: 'Warning', reason: 'Failed', note }) as const;

  function testRecorder(status = 201) {
    const clock = fakeClock();
    const notes: string[] = [];
    const api: KubernetesApi = {
      namespace: 'replikey',
      async request(_, __, body) {
        notes.push((body as { note: string }).note);
        return { status, body: {}, bytes: 2 };
      },
      async *watch() {},
    };
    const log = pino({ level: 'silent' });
    return { clock, notes, recorder: createEventRecorder({ api, clock, log, instance: 'x'.repeat(300) }) };
  }

  test('20,000 events: records a burst of 25, and later 1 every 5 seconds', async () => {
    const { recorder, notes, clock } = testRecorder();
    const recordMany = async (from: number) => {
      for (let index = from; index < from + 10_000; index++)
        await recorder.record(resource(`pair-${index}`), failed());
    };
    await recordMany(0);
    expect(notes).toHaveLength(25);
    await clock.advance(60_000);
    await recordMany(10_000);
    expect(notes).toHaveLength(25 + 12);
  });

  test('the same event again: records it once an hour', async () => {
    const { recorder, notes, clock } = testRecorder();
    for (let minute = 0; minute < 59; minute++) {
      await recorder.record(resource('tax'), failed());
      await clock.advance(60_000);
    }
    expect(notes).toHaveLength(1);
    await clock.advance(60_000);
    await recorder.record(resource('tax'), failed());
    await recorder.record(resource('tax'), failed('another'));
    await recorder.record(resource('books'), failed());
    expect(notes).toHaveLength(4);
  });

  test('a long note: truncates it to the limit of Kubernetes without splitting a character', async () => {
    const { recorder, notes } = testRecorder();
    await recorder.record(resource('tax'), failed('ü'.repeat(2_000)));
    expect(Buffer.byteLength(notes[0] ?? '')).toBeLessThanOrEqual(1_024);
    expect(notes[0]).toMatch(/^ü+…$/);
    await recorder.record(resource('tax'), failed(`x${'ü'.repeat(2_000)}`));
    expect(notes[1]).toMatch(/^xü+…$/);
  });

  test('an event cannot be written: does not throw', async () => {
    const { recorder, notes } = testRecorder(403);
    await recorder.record(resource('tax'), failed());
    expect(notes).toHaveLength(1);
  });
});
