import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findViolations } from './assertions.ts';
import { FAULTS } from './faults.ts';
import { createHarness, type FaultHarness } from './harness.ts';
import { matrixOf, sampleOf } from './matrix.ts';
import { CREATION } from './scenarios.ts';
import type { State } from './state.ts';

let harness: FaultHarness;
let ended: Parameters<typeof findViolations>[0];
beforeAll(async () => {
  harness = await createHarness(CREATION);
  ended = await harness.runDisturbed({});
});
afterAll(() => harness[Symbol.asyncDispose]());

describe('a sample', () => {
  test('has every fault and every operation, whatever the seed', () => {
    const all = matrixOf(harness.calls);
    const operations = new Set(all.map(({ call }) => call.operation));
    for (let seed = 0; seed < 100; seed++) {
      const sample = sampleOf(all, 28, seed);
      expect(new Set(sample.map(({ fault }) => fault.name)).size).toBe(FAULTS.length);
      expect(new Set(sample.map(({ call }) => call.operation))).toEqual(operations);
    }
  });

  test('is the same again for the same seed', () => {
    const all = matrixOf(harness.calls);
    expect(sampleOf(all, 28, 7)).toEqual(sampleOf(all, 28, 7));
    expect(sampleOf(all, 28, 7)).not.toEqual(sampleOf(all, 28, 8));
  });
});

describe('the verdict', () => {
  const having = (change: (state: State) => void): State => {
    const state = structuredClone(ended.expected);
    change(state);
    return state;
  };
  const bucket = (state: State, name: string) => state.buckets.find((one) => one.name === name) ?? {};

  test('has nothing against an undisturbed run', () => expect(findViolations(ended)).toEqual([]));

  test.each([
    [
      'a success that is none',
      () => ({ afterDisturbed: ended.before }),
      /said that it succeeded, but not all is there/,
    ],
    [
      'a change that was told and not made',
      () => ({
        afterDisturbed: having((state) =>
          Object.assign(bucket(state, 'acme-tax'), { versioning: undefined }),
        ),
      }),
      /said that it applied s3\.versioning\/acme-tax, which is not/,
    ],
    [
      'a change of what is not ours',
      () => ({ afterDisturbed: having((state) => Object.assign(bucket(state, 'theirs'), { tags: [] })) }),
      /touched what others have/,
    ],
    [
      'what nobody declared',
      () => ({ afterDisturbed: having((state) => state.roles.push({ name: 'stray' })) }),
      /made stray, which nobody declared/,
    ],
    ['a crash', () => ({ ran: { ...ended.ran, error: new TypeError('x is not a function') } }), /crashed/],
    ['a stack trace', () => ({ ran: { ...ended.ran, output: new Error('no').stack ?? '' } }), /stack trace/],
    [
      'a failure without a reason',
      () => ({ ran: { ...ended.ran, exitCode: 1 } }),
      /named no call that failed/,
    ],
    [
      'a next run that fails',
      () => ({ recovery: { ...ended.recovery, exitCode: 1 } }),
      /the next run failed/,
    ],
    ['a next run that leaves something else', () => ({ afterRecovery: ended.before }), /left another state/],
    ['a run that never ends planning', () => ({ dryRun: ended.ran }), /a run after that plans something/],
  ])('tells %s', (_, other, words) => {
    expect(findViolations({ ...ended, ...other() }).join('\n')).toMatch(words);
  });
});
