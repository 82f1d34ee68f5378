import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { PairChange, PairStatus } from '../../src/controller/status.ts';
import type { KubernetesApi } from '../../src/kubernetes/api.ts';
import { createEventRecorder, resourceEventsOf } from '../../src/kubernetes/events.ts';
import type { CustomResource } from '../../src/kubernetes/resources.ts';
import { fakeClock } from '../support/fake-clock.ts';

const AT = '2026-01-01T00:00:00.000Z';
const is = (status: 'True' | 'False' | 'Unknown', reason: string, message = 'so') => ({
  status,
  reason,
  message,
  since: AT,
});
const well = is('True', 'Converged');
const pair = (ready: PairStatus['conditions']['Ready'], more: Partial<PairStatus> = {}): PairStatus => ({
  name: 'tax',
  sides: [],
  conditions: {
    Ready: ready,
    Proven: is('True', 'X'),
    Verified: is('Unknown', 'X'),
    Drifted: is('False', 'AsDeclared'),
  },
  generation: 'g',
  declaredGeneration: 'g',
  failures: 0,
  retry: 'none',
  changes: [],
  proof: [],
  ...more,
});
const drifted = (reason: string, message = 'a bucket'): PairStatus => {
  const one = pair(well);
  return { ...one, conditions: { ...one.conditions, Drifted: is('True', reason, message) } };
};
const changed = (result: PairChange['result'], count = 1): PairStatus =>
  pair(well, {
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

test.each<[what: string, before: PairStatus, after: PairStatus, notices: string[]]>([
  ['nothing new', pair(well), pair(well), []],
  ['that all is well again', pair(is('False', 'Failed')), pair(well), []],
  ['what only waits', pair(well), pair(is('False', 'ChangesPending', '3 wait')), []],
  ['a failure', pair(well), pair(is('False', 'ApplyFailed', 'denied')), ['Failed ApplyFailed: denied']],
  ['the same failure again', pair(is('False', 'Failed', 'x')), pair(is('False', 'Failed', 'x')), []],
  ['what a person must mend', pair(well), pair(is('False', 'Blocked', 'x')), ['Blocked Blocked: x']],
  ['what the guard refused', pair(well), pair(is('False', 'Refused', 'x')), ['Blocked Refused: x']],
  ['drift that was put back', pair(well), drifted('Healed'), ['Drifted a bucket']],
  ['drift that waits', pair(well), drifted('ChangedElsewhere'), ['Drifted a bucket']],
  [
    'who made it drift, once that is known',
    drifted('Healed'),
    drifted('Healed', 'a bucket; last changed by jane'),
    ['Drifted a bucket; last changed by jane'],
  ],
  ['one change', pair(well), changed('applied'), ['Applied 1 change: s3.bucket/b0']],
  [
    'many changes',
    pair(well),
    changed('applied', 7),
    ['Applied 7 changes: s3.bucket/b0, s3.bucket/b1, s3.bucket/b2, s3.bucket/b3, s3.bucket/b4 and 2 more'],
  ],
  ['a change that waits', pair(well), changed('pending'), []],
  ['a change that was told', changed('applied'), changed('applied'), []],
])('events of a pair: %s', (_, before, after, notices) => {
  expect(resourceEventsOf(before, after).map(({ reason, note }) => `${reason} ${note}`)).toEqual(notices);
});

describe('events that are written', () => {
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

  function recording(status = 201) {
    const clock = fakeClock();
    const notes: string[] = [];
    const api: KubernetesApi = {
      namespace: 'replikey',
      async request(_, __, body) {
        notes.push((body as { note: string }).note);
        return { status, body: {} };
      },
      async *watch() {},
    };
    const log = pino({ level: 'silent' });
    return { clock, notes, recorder: createEventRecorder({ api, clock, log, instance: 'x'.repeat(300) }) };
  }

  test('are few in a storm, and more in time', async () => {
    const { recorder, notes, clock } = recording();
    const storm = async (from: number) => {
      for (let index = from; index < from + 10_000; index++)
        await recorder.record(resource(`pair-${index}`), failed());
    };
    await storm(0);
    expect(notes).toHaveLength(25);
    await clock.advance(60_000);
    await storm(10_000);
    expect(notes).toHaveLength(25 + 12);
  });

  test('are not the same twice in an hour', async () => {
    const { recorder, notes, clock } = recording();
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

  test('are no longer than Kubernetes takes, in whole characters', async () => {
    const { recorder, notes } = recording();
    await recorder.record(resource('tax'), failed('ü'.repeat(2_000)));
    expect(Buffer.byteLength(notes[0] ?? '')).toBeLessThanOrEqual(1_024);
    expect(notes[0]).toMatch(/^ü+…$/);
    await recorder.record(resource('tax'), failed(`x${'ü'.repeat(2_000)}`));
    expect(notes[1]).toMatch(/^xü+…$/);
  });

  test('do no harm where they cannot be written', async () => {
    const { recorder, notes } = recording(403);
    await recorder.record(resource('tax'), failed());
    expect(notes).toHaveLength(1);
  });
});
