import { startSandbox } from '../../src/sandbox/server.ts';
import type { Specs } from '../../src/spec/types.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { parseSpecs } from '../support/env.ts';
import type { DisturbedResults } from './assertions.ts';
import { startFaultProxy } from './fault-proxy.ts';
import { type Call, type RunPassOptions, type RunResult, runPass } from './run-pass.ts';
import type { Scenario } from './scenarios.ts';
import { simulateTime } from './simulated-time.ts';
import { readState, type State } from './state.ts';

/** A sandbox at the start of a scenario. `reset` restores that state. */
export interface FaultHarness extends AsyncDisposable {
  sandbox: Awaited<ReturnType<typeof startSandbox>>;
  specs: Specs;
  /** The calls of an undisturbed run, in order. */
  calls: Call[];
  before: State;
  expected: State;
  reset(): void;
  /** Called for each call that arrives at the sandbox, before it is executed and before the response. */
  onCall: (n: number, phase: 'before' | 'after') => void | Promise<void>;
  runOnce(options?: Disturbance): Promise<RunResult>;
  /** Resets, and makes a run with a disturbance, a run without one and a dry run. */
  runDisturbed(disturbance: Disturbance): Promise<DisturbedResults & { disturbedRun: RunResult }>;
  /** Makes the runs after a disturbed run: a run without a disturbance and a dry run. */
  recover(): Promise<DisturbedResults>;
}

export type Disturbance = Pick<RunPassOptions, 'injection' | 'pass' | 'onCall'>;

/** Runs the earlier scenarios, and then the scenario once to record its calls. */
export async function createHarness(scenario: Scenario): Promise<FaultHarness> {
  simulateTime();
  const sandbox = await startSandbox({
    clock: () => Date.now(),
    onCall: ({ n }, phase) => harness?.onCall(n, phase),
  });
  let harness: FaultHarness | undefined;
  const proxy = await startFaultProxy(sandbox.endpoint);
  const runnerOf =
    (scenario: Scenario, specs: Specs) =>
    async (overrides: Partial<RunPassOptions> = {}) => {
      const pass = { ...scenario.pass, ...overrides.pass };
      return runPass({ sandbox: sandbox.endpoint, proxy, specs, ...overrides, pass });
    };
  for (const earlier of scenario.after) {
    earlier.before(sandbox.store);
    assertSucceeded(await runnerOf(earlier, await parseSpecs(earlier.yaml))());
  }
  scenario.before(sandbox.store);
  const before = readState(sandbox);
  const reset = checkpoint(sandbox.store);
  const specs = await parseSpecs(scenario.yaml);
  const runOnce = runnerOf(scenario, specs);
  const { calls } = assertSucceeded(await runOnce());
  const expected = readState(sandbox);
  harness = {
    sandbox,
    specs,
    calls,
    before,
    expected,
    onCall: () => {},
    reset,
    runOnce,
    async runDisturbed(disturbance) {
      this.reset();
      const result = await runOnce(disturbance);
      return { disturbedRun: result, ...(await this.recover()) };
    },
    async recover() {
      const afterDisturbed = readState(sandbox);
      const recovery = await runOnce();
      const afterRecovery = readState(sandbox);
      const dryRun = await runOnce({ pass: { dryRun: true } });
      return { before, expected, afterDisturbed, recovery, afterRecovery, dryRun };
    },
    async [Symbol.asyncDispose]() {
      await proxy.close();
      await sandbox.close();
    },
  };
  return harness;
}

function assertSucceeded(result: RunResult): RunResult {
  if (result.exitCode !== 0) throw new Error(`an undisturbed run failed: ${result.output}`);
  return result;
}
