import { expect, test } from 'vitest';
import { type ChangeStep, limitHistory, type PairChange } from '../../src/controller/status.ts';

const stepOf = (name: string, length = 0): ChangeStep => ({
  id: `s3.versioning/${name}`,
  action: 'update',
  patch: [{ op: 'add', path: '/a', value: 'v'.repeat(length) }],
  before: {},
  why: ['a reason'],
});
const changeOf = (minute: number, steps: ChangeStep[]): PairChange => ({
  at: `2026-01-01T00:${String(minute).padStart(2, '0')}:00.000Z`,
  cause: 'drift',
  steps,
  result: 'applied',
});
const stepCountOf = (changes: PairChange[]) => changes.reduce((sum, { steps }) => sum + steps.length, 0);

test('history: keeps the ten newest changes', () => {
  const changes = Array.from({ length: 12 }, (_, minute) => changeOf(minute, [stepOf('a')]));
  expect(limitHistory(changes)).toEqual(changes.slice(0, 10));
});

test('history: a step beyond the size keeps its id, action and last change', () => {
  const lastChange = { by: 'jane', event: 'PutRolePolicy', at: '2026-01-01T00:00:00Z' };
  const [first, second] = limitHistory([
    changeOf(1, [stepOf('a', 5_000), { ...stepOf('b', 5_000), lastChange }, stepOf('c', 100)]),
    changeOf(0, [stepOf('d', 100)]),
  ]);
  expect(first?.steps).toEqual([
    stepOf('a', 5_000),
    {
      id: 's3.versioning/b',
      action: 'update',
      patch: [],
      before: {},
      why: [],
      lastChange,
      isShortened: true,
    },
    stepOf('c', 100),
  ]);
  expect(second?.steps).toEqual([stepOf('d', 100)]);
});

test('history: counts the steps that it omits', () => {
  const steps = Array.from({ length: 80 }, (_, index) => stepOf(`s${index}`));
  const changes = limitHistory([changeOf(1, steps), changeOf(0, steps)]);
  expect(changes.map((change) => [change.steps.length, change.omittedSteps])).toEqual([
    [80, undefined],
    [20, 60],
  ]);
});

test('history: passes that report large changes again and again do not let it grow', () => {
  const steps = Array.from({ length: 500 }, (_, index) => stepOf(`bucket-${index}`, 2_000));
  let changes: PairChange[] = [];
  for (let minute = 0; minute < 50; minute++) changes = limitHistory([changeOf(minute, steps), ...changes]);
  expect(JSON.stringify(changes).length).toBeLessThan(32 * 1024);
  expect(stepCountOf(changes)).toBe(100);
  // A limited history is not limited further.
  expect(limitHistory(changes)).toEqual(changes);
});
