import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findUnrecovered, findViolations } from './assertions.ts';
import { FAULTS } from './faults.ts';
import { createHarness, type FaultHarness } from './harness.ts';
import { matrixOf, sampleOf } from './matrix.ts';
import { CREATION } from './scenarios.ts';
import type { State } from './state.ts';

let harness: FaultHarness;
let results: Parameters<typeof findViolations>[0];
beforeAll(async () => {
  harness = await createHarness(CREATION);
  results = await harness.runDisturbed({});
});
afterAll(() => harness[Symbol.asyncDispose]());

describe('sampleOf', () => {
  test('includes every fault and every operation for any seed', () => {
    const all = matrixOf(harness.calls);
    const operations = new Set(all.map(({ call }) => call.operation));
    for (let seed = 0; seed < 100; seed++) {
      const sample = sampleOf(all, 28, seed);
      expect(new Set(sample.map(({ fault }) => fault.name)).size).toBe(FAULTS.length);
      expect(new Set(sample.map(({ call }) => call.operation))).toEqual(operations);
    }
  });

  test('returns the same sample for the same seed', () => {
    const all = matrixOf(harness.calls);
    expect(sampleOf(all, 28, 7)).toEqual(sampleOf(all, 28, 7));
    expect(sampleOf(all, 28, 7)).not.toEqual(sampleOf(all, 28, 8));
  });
});

describe('objects of a run', () => {
  const bucketOf = (name: string) => harness.sandbox.store.bucket(name);
  test.each([
    [
      'fail until the next run',
      () =>
        harness.sandbox.store
          .account('111122223333')
          .roles.get('replikey-acme-tax')
          ?.inline.delete('replikey'),
      /^of \d+ objects of acme-tax: [1-9]\d* FAILED, 0 passed over, 0 PENDING; acme-tax\/Tax\//,
    ],
    [
      'S3 passes over until the next run',
      () => delete bucketOf('acme-tax')?.replication,
      /^of \d+ objects of acme-tax: 0 FAILED, [1-9]\d* passed over, 0 PENDING; acme-tax\/Tax\//,
    ],
  ])('reports objects that %s', async (_, damage, message) => {
    harness.reset();
    await harness.runOnce();
    damage();
    const next = await harness.recover();
    expect(findUnrecovered(next)).toEqual([expect.stringMatching(message)]);
  });

  test('writes before, during and after a run', () => {
    expect(results.lostObjects).toEqual([]);
    expect(harness.traffic.written()).toBeGreaterThan(8);
  });
});

describe('findViolations', () => {
  const stateWith = (change: (state: State) => void): State => {
    const state = structuredClone(results.expected);
    change(state);
    return state;
  };
  const bucket = (state: State, name: string) =>
    state.buckets.find((candidate) => candidate.name === name) ?? {};

  test('returns nothing for an undisturbed run', () => expect(findViolations(results)).toEqual([]));

  test.each([
    [
      'a false success',
      () => ({ afterDisturbed: results.before }),
      /reported success, but not all resources are as declared/,
    ],
    [
      'a change that was reported but not made',
      () => ({
        afterDisturbed: stateWith((state) =>
          Object.assign(bucket(state, 'acme-tax'), { versioning: undefined }),
        ),
      }),
      /reported s3\.versioning\/acme-tax as applied, but it is not/,
    ],
    [
      'a change of a foreign resource',
      () => ({ afterDisturbed: stateWith((state) => Object.assign(bucket(state, 'foreign'), { tags: [] })) }),
      /changed foreign state/,
    ],
    [
      'a resource that no spec declares',
      () => ({ afterDisturbed: stateWith((state) => state.roles.push({ name: 'stray' })) }),
      /created stray, which no spec declares/,
    ],
    [
      'a crash',
      () => ({ disturbedRun: { ...results.disturbedRun, error: new TypeError('x is not a function') } }),
      /crashed/,
    ],
    [
      'a stack trace',
      () => ({ disturbedRun: { ...results.disturbedRun, output: new Error('no').stack ?? '' } }),
      /stack trace/,
    ],
    [
      'a failure without a reason',
      () => ({ disturbedRun: { ...results.disturbedRun, exitCode: 1 } }),
      /named no failed call/,
    ],
    [
      'a next run that fails',
      () => ({ recovery: { ...results.recovery, exitCode: 1 } }),
      /the next run failed/,
    ],
    [
      'a next run that leaves another state',
      () => ({ afterRecovery: results.before }),
      /state after the next run differs/,
    ],
    ['lost objects', () => ({ lostObjects: ['of 9 objects of acme-tax: 1 FAILED'] }), /^of 9 objects/],
    [
      'a dry run that still plans changes',
      () => ({ dryRun: results.disturbedRun }),
      /dry run after the recovery plans changes/,
    ],
  ])('reports %s', (_, changes, message) => {
    expect(findViolations({ ...results, ...changes() }).join('\n')).toMatch(message);
  });
});
