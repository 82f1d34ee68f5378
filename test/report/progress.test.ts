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
  format: 3,
  target: { accounts: {}, partitions: [], endpoint: 'aws' },
  waves: [steps],
  blocked: [],
  withheld: [],
  notes: [],
  handover: [],
  housekeeping: [],
  retained: [],
  unchanged: 0,
  digest: '',
});

const [firstStep, secondStep, thirdStep] = STEPS as [Step, Step, Step];
const waitingFor = (step: Step, waitsFor: string) =>
  ({ type: 'waiting', step, waitsFor, untilMs: 60_000 }) as const;

const SCENARIOS: [title: string, events: Parameters<typeof updateProgress>[1][], lines: string[]][] = [
  [
    'no event',
    [],
    ['tax    0 of 2 applied', 'books  0 of 1 applied', '0 of 3 applied: 41 reads, 2 writes, 12 s'],
  ],
  [
    'an applied step',
    [{ type: 'applied', step: firstStep }],
    ['tax    1 of 2 applied', 'books  0 of 1 applied', '1 of 3 applied: 41 reads, 2 writes, 12 s'],
  ],
  [
    'two waits of one step',
    [waitingFor(firstStep, 'the key'), waitingFor(firstStep, 'the role')],
    [
      'tax    0 of 2 applied, waiting up to 48 s for the role',
      'books  0 of 1 applied',
      '0 of 3 applied: 41 reads, 2 writes, 12 s',
    ],
  ],
  [
    'two waits, one of which ended',
    [
      waitingFor(firstStep, 'the key'),
      waitingFor(thirdStep, 'the role'),
      { type: 'applied', step: firstStep },
    ],
    [
      'tax    1 of 2 applied, waiting up to 48 s for the role',
      'books  0 of 1 applied',
      '1 of 3 applied: 41 reads, 2 writes, 12 s',
    ],
  ],
  [
    'two waits',
    [waitingFor(firstStep, 'the key'), waitingFor(thirdStep, 'the role')],
    [
      'tax    0 of 2 applied, waiting up to 48 s for the key and 1 more',
      'books  0 of 1 applied',
      '0 of 3 applied: 41 reads, 2 writes, 12 s',
    ],
  ],
  [
    'a finished pair',
    [{ type: 'failed', step: secondStep }],
    ['tax  0 of 2 applied', '0 of 3 applied, 1 not: 41 reads, 2 writes, 12 s'],
  ],
  [
    'all pairs finished',
    [
      { type: 'failed', step: firstStep, why: '' },
      { type: 'applied', step: secondStep },
      { type: 'skipped', step: thirdStep },
    ],
    ['1 of 3 applied, 2 not: 41 reads, 2 writes, 12 s'],
  ],
];

const info = { calls: { reads: 41, writes: 2 }, since: 1_000, now: 13_000 };
const size = { width: 79, maxLines: 10, paint: createColors(false) };
const after = (events: (typeof SCENARIOS)[number][1]): Progress =>
  events.reduce((state, event) => updateProgress(state, event, 1_000), initialProgress(plan(STEPS)));

test.each(SCENARIOS)(
  'progress lines after %s: a line for each active pair, and a total',
  (_, events, lines) => {
    expect(progressLines(after(events), info, size)).toEqual(lines);
  },
);

test('progress without a plan: shows only the calls', () => {
  expect(progressLines(undefined, info, size)).toEqual(['41 reads, 2 writes, 12 s']);
  expect(progressText(undefined, info)).toBe('41 reads, 2 writes, 12 s');
});

test('progress text: one sentence for a log', () => {
  expect(
    progressText(after([waitingFor(thirdStep, 'the role'), { type: 'applied', step: firstStep }]), info),
  ).toBe('1 of 3 applied, waiting up to 48 s for the role, 41 reads, 2 writes, 12 s');
});

test('progress lines: truncates lines to the width, and limits their number', () => {
  const many = initialProgress(
    plan(Array.from({ length: 40 }, (_, index) => step(`a/${index}`, `team-${index}`))),
  );
  const lines = progressLines(many, info, { ...size, maxLines: 3, width: 20 });
  expect(lines).toEqual([
    'team-0  0 of 1 appl…',
    'team-1  0 of 1 appl…',
    'team-2  0 of 1 appl…',
    '…and 37 more pairs',
    '0 of 40 applied: 41…',
  ]);
});
