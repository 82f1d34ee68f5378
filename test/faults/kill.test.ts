import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { findForeignChanges, findUnrecovered } from './assertions.ts';
import { createHarness, type FaultHarness } from './harness.ts';
import { SAMPLING, shuffle } from './matrix.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

/** Number of calls of each scenario after which the process is killed, unless FAULTS=all. */
const SAMPLE = 2;

describe.each(SCENARIOS.map((scenario): [string, Scenario] => [scenario.name, scenario]))(
  '%s',
  (_, scenario) => {
    let harness: FaultHarness;
    beforeAll(async () => {
      harness = await createHarness(scenario);
    });
    afterAll(() => harness[Symbol.asyncDispose]());

    test('kill -9 after a call that AWS has executed: the next run converges', {
      timeout: 1_200_000,
    }, async () => {
      const allCalls = harness.calls.map((_, index) => index + 1);
      const killAfter = SAMPLING.isAll ? allCalls : shuffle(allCalls, SAMPLING.seed).slice(0, SAMPLE);
      const violations: string[] = [];
      for (const nth of killAfter) {
        harness.reset();
        expect(await killAfterCall(harness, scenario, nth), `killed after call ${nth}`).toBe('SIGKILL');
        const results = await harness.recover();
        for (const violation of [...findForeignChanges(results), ...findUnrecovered(results)])
          violations.push(`killed after call ${nth}: ${violation}`);
      }
      expect(violations, `FAULTS_SEED=${SAMPLING.seed}`).toEqual([]);
    });
  },
);

/** Runs the built program, and kills it after AWS has executed its nth call and before the response. */
async function killAfterCall(
  harness: FaultHarness,
  scenario: Scenario,
  nth: number,
): Promise<NodeJS.Signals | null> {
  let child: ChildProcess | undefined;
  let arrived = 0;
  let open = 0;
  let last: number | undefined;
  harness.onCall = async (n, phase) => {
    open += phase === 'before' ? 1 : -1;
    if (phase === 'before' && ++arrived === nth) last = n;
    if (phase === 'before' || n !== last || !child) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  const { signal } = await runCli(['--once', ...scenario.args, '-'], {
    endpoint: harness.sandbox.endpoint,
    input: scenario.yaml,
    onStart: (started) => {
      child = started;
    },
  });
  // Like AWS, the sandbox completes the calls that were in flight.
  while (open > 0) await new Promise((resolve) => setImmediate(resolve));
  harness.onCall = () => {};
  return signal;
}
