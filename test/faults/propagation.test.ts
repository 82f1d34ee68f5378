import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.ts';
import { findViolations } from './assertions.ts';
import { createHarness, type FaultHarness } from './harness.ts';
import { CHANGE, CREATION } from './scenarios.ts';
import { passTime } from './simulated-time.ts';

const OFF = { rolePropagationMs: 0, keyPropagationMs: 0 };
const ROLES = [
  ['a role for 2 s', { rolePropagationMs: 2_000 }],
  ['a role for 60 s', { rolePropagationMs: 60_000 }],
] as const;
const KEYS = [
  ['keys for 2 s', { keyPropagationMs: 2_000 }],
  ['keys for 60 s', { keyPropagationMs: 60_000 }],
  ['a role for 45 s and keys for 60 s', { rolePropagationMs: 45_000, keyPropagationMs: 60_000 }],
] as const;

/** The change creates a role, but no key. */
describe.each([
  [CREATION.name, CREATION, [...ROLES, ...KEYS]],
  [CHANGE.name, CHANGE, ROLES],
])('%s with propagation delay', (_, scenario, delays) => {
  let harness: FaultHarness;
  beforeAll(async () => {
    harness = await createHarness(scenario);
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test.each(delays)('%s: a run with a wait of two minutes converges', async (_, delay) => {
    harness.reset();
    Object.assign(harness.sandbox.faultSettings, OFF, delay);
    const disturbedRun = await harness.runOnce({ pass: { propagationTimeoutMs: 120_000 } });
    Object.assign(harness.sandbox.faultSettings, OFF);
    expect(findViolations({ disturbedRun, ...(await harness.recover()) })).toEqual([]);
    expect(disturbedRun.exitCode, disturbedRun.output).toBe(EXIT.ok);
  });

  test.each(delays)(
    '%s: a run with a wait of one second reports what is not visible, and the next run converges',
    async (_, delay) => {
      harness.reset();
      Object.assign(harness.sandbox.faultSettings, OFF, delay);
      const disturbedRun = await harness.runOnce({ pass: { propagationTimeoutMs: 1_000 } });
      Object.assign(harness.sandbox.faultSettings, OFF);
      passTime(60_000);
      expect(findViolations({ disturbedRun, ...(await harness.recover()) })).toEqual([]);
      expect(disturbedRun.exitCode, disturbedRun.output).toBe(EXIT.failed);
      expect(disturbedRun.output).toMatch(/after 1 s|waited for/);
    },
  );
});
