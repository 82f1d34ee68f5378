import { expect, test } from 'vitest';
import type { Plan, Step } from '../../src/core/resource.ts';
import {
  initialProgress,
  type Progress,
  progressLines,
  progressText,
  updateProgress,
} from '../../src/report/progress.ts';
import { createColors } from '../../src/report/style.ts';

const step = (id: Step['id'], ...pairs: string[]): Step => ({
  id,
  kind: 's3.versioning',
  action: 'create',
  at: { region: 'us-east-1' },
  patch: [],
  before: {},
  desired: {},
  why: [],
  calls: [],
  needs: [],
  risks: [],
  pairs,
  from: { file: 'spec.yaml', line: 1, column: 1 },
});

const STEPS = [step('a/1', 'tax', 'books'), step('a/2', 'books'), step('a/3', 'tax')];
const plan = (steps: Step[]): Plan => ({
  format: 2,
  accounts: {},
  waves: [steps],
  blocked: [],
  notes: [],
  handover: [],
  housekeeping: [],
  retained: [],
  unchanged: 0,
  digest: '',
});

const [one, two, three] = STEPS as [Step, Step, Step];
const waiting = (which: Step, waitsFor: string) =>
  ({ type: 'waiting', step: which, waitsFor, untilMs: 60_000 }) as const;

const STORY: [title: string, events: Parameters<typeof updateProgress>[1][], lines: string[]][] = [
  [
    'nothing',
    [],
    ['tax    0 of 2 applied', 'books  0 of 1 applied', '0 of 3 applied: 41 reads, 2 writes, 12 s'],
  ],
  [
    'a step that is applied',
    [{ type: 'applied', step: one }],
    ['tax    1 of 2 applied', 'books  0 of 1 applied', '1 of 3 applied: 41 reads, 2 writes, 12 s'],
  ],
  [
    'a step that waits, and for what it waits last',
    [waiting(one, 'the key'), waiting(one, 'the role')],
    [
      'tax    0 of 2 applied, waiting up to 48 s for the role',
      'books  0 of 1 applied',
      '0 of 3 applied: 41 reads, 2 writes, 12 s',
    ],
  ],
  [
    'two steps that wait, one of them no more',
    [waiting(one, 'the key'), waiting(three, 'the role'), { type: 'applied', step: one }],
    [
      'tax    1 of 2 applied, waiting up to 48 s for the role',
      'books  0 of 1 applied',
      '1 of 3 applied: 41 reads, 2 writes, 12 s',
    ],
  ],
  [
    'two steps that wait',
    [waiting(one, 'the key'), waiting(three, 'the role')],
    [
      'tax    0 of 2 applied, waiting up to 48 s for the key and 1 more',
      'books  0 of 1 applied',
      '0 of 3 applied: 41 reads, 2 writes, 12 s',
    ],
  ],
  [
    'a pair that is through',
    [{ type: 'failed', step: two }],
    ['tax  0 of 2 applied', '0 of 3 applied, 1 not: 41 reads, 2 writes, 12 s'],
  ],
  [
    'all that is through',
    [
      { type: 'failed', step: one, why: '' },
      { type: 'applied', step: two },
      { type: 'skipped', step: three },
    ],
    ['1 of 3 applied, 2 not: 41 reads, 2 writes, 12 s'],
  ],
];

const around = { calls: { reads: 41, writes: 2 }, since: 1_000, now: 13_000 };
const size = { width: 79, maxLines: 10, paint: createColors(false) };
const after = (events: (typeof STORY)[number][1]): Progress =>
  events.reduce((state, event) => updateProgress(state, event, 1_000), initialProgress(plan(STEPS)));

test.each(STORY)(
  'after %s a line for each pair that is under way, and one for the whole',
  (_, events, lines) => {
    expect(progressLines(after(events), around, size)).toEqual(lines);
  },
);

test('before there is a plan, how much was read', () => {
  expect(progressLines(undefined, around, size)).toEqual(['41 reads, 2 writes, 12 s']);
  expect(progressText(undefined, around)).toBe('41 reads, 2 writes, 12 s');
});

test('in one sentence for a log', () => {
  expect(progressText(after([waiting(three, 'the role'), { type: 'applied', step: one }]), around)).toBe(
    '1 of 3 applied, waiting up to 48 s for the role, 41 reads, 2 writes, 12 s',
  );
});

test('no line is longer than the terminal is wide, and no more are shown than there is room for', () => {
  const many = initialProgress(
    plan(Array.from({ length: 40 }, (_, index) => step(`a/${index}`, `team-${index}`))),
  );
  const lines = progressLines(many, around, { ...size, maxLines: 3, width: 20 });
  expect(lines).toEqual([
    'team-0  0 of 1 appl…',
    'team-1  0 of 1 appl…',
    'team-2  0 of 1 appl…',
    '…and 37 more pairs',
    '0 of 40 applied: 41…',
  ]);
});
