import { createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients, type SdkClients } from '../../src/aws/sdk-clients.ts';
import { startSandbox } from '../../src/sandbox/server.ts';
import type { Specs } from '../../src/spec/types.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { parseSpecs } from '../support/env.ts';
import type { DisturbedResults } from './assertions.ts';
import { startFaultProxy } from './fault-proxy.ts';
import { createObjectTraffic, isObjectCall, type ObjectTraffic } from './object-traffic.ts';
import { type Call, CREDENTIALS, type RunPassOptions, type RunResult, runPass } from './run-pass.ts';
import type { Scenario } from './scenarios.ts';
import {
  type InFlightCalls,
  passTime,
  runWithSimulatedTime,
  simulateTime,
  trackInFlightCalls,
} from './simulated-time.ts';
import { readState, type State } from './state.ts';

/** A sandbox at the start of a scenario. `reset` restores that state. */
export interface FaultHarness extends AsyncDisposable {
  sandbox: Awaited<ReturnType<typeof startSandbox>>;
  specs: Specs;
  /** The calls of an undisturbed run, in order. */
  calls: Call[];
  before: State;
  expected: State;
  /** Restores the state, and begins to count the objects that are written from now on. */
  reset(): void;
  /** Objects written since the reset. */
  readonly traffic: ObjectTraffic;
  /** Called for each call of a run that arrives at the sandbox, before it is executed and before the response. */
  onCall: (n: number, phase: 'before' | 'after') => void | Promise<void>;
  runOnce(options?: Disturbance): Promise<RunResult>;
  /** Resets, and makes a run with a disturbance, a run without one and a dry run. */
  runDisturbed(disturbance: Disturbance): Promise<DisturbedResults & { disturbedRun: RunResult }>;
  /** Makes the runs after a disturbed run: a run without a disturbance and a dry run. */
  recover(): Promise<DisturbedResults>;
}

export type Disturbance = Pick<RunPassOptions, 'injection' | 'pass' | 'onCall'>;

/**
 * Delay of the replication of objects that are in flight while the rules change: longer than the runs of a case, and
 * shorter than the drain.
 */
const IN_FLIGHT_MS = 10 * 60_000;

/** Runs the earlier scenarios, and then the scenario once to record its calls. */
export async function createHarness(scenario: Scenario): Promise<FaultHarness> {
  simulateTime();
  const sandbox = await startSandbox({
    clock: () => Date.now(),
    onCall: async (entry, phase) => {
      if (!harness || isObjectCall(entry)) return;
      await harness.traffic.onCall(entry, phase);
      await harness.onCall(entry.n, phase);
    },
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
  const restore = checkpoint(sandbox.store);
  const specs = await parseSpecs(scenario.yaml);
  const runOnce = runnerOf(scenario, specs);
  const { calls } = assertSucceeded(await runOnce());
  const expected = readState(sandbox);
  const writes = trackInFlightCalls();
  const client = createAwsClient({
    clients: withTracking(
      createSdkClients(specs.accounts, { endpoint: sandbox.endpoint, credentials: CREDENTIALS }),
      writes,
    ),
    accounts: specs.accounts,
    region: 'us-east-1',
  });
  const lastYaml = scenario.after.at(-1)?.yaml;
  const oldSpecs = lastYaml === undefined ? specs : await parseSpecs(lastYaml);
  const createTraffic = () =>
    createObjectTraffic({
      sandbox,
      client: () => ({
        // A retry waits for a timer, which no run advances while its call is in flight, or between the runs.
        send: (location, command) => runWithSimulatedTime(writes, () => client.send(location, command)),
      }),
      before: oldSpecs,
      after: specs,
      replicate: () => passTime(0),
      ...(scenario.pass.drainMs !== 0 && { inFlightMs: IN_FLIGHT_MS }),
    });
  let traffic = createTraffic();
  harness = {
    sandbox,
    specs,
    calls,
    before,
    expected,
    onCall: () => {},
    reset() {
      restore();
      traffic = createTraffic();
    },
    get traffic() {
      return traffic;
    },
    runOnce,
    async runDisturbed(disturbance) {
      this.reset();
      const result = await runOnce(disturbance);
      return { disturbedRun: result, ...(await this.recover()) };
    },
    async recover() {
      const afterDisturbed = readState(sandbox);
      await traffic.write();
      const recovery = await runOnce();
      const afterRecovery = readState(sandbox);
      const dryRun = await runOnce({ pass: { dryRun: true } });
      traffic.endOfChange();
      await traffic.write();
      await runWithSimulatedTime(trackInFlightCalls(), () => sandbox.waitForReplication());
      const lostObjects = traffic.losses();
      return { before, expected, afterDisturbed, recovery, afterRecovery, dryRun, lostObjects };
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

/** Returns clients whose calls stop the simulated time. */
const withTracking = (clients: SdkClients, calls: InFlightCalls): SdkClients => ({
  ...clients,
  get: (service, at) => ({
    async send(command, beforeSend) {
      const end = calls.begin();
      try {
        return await clients.get(service, at).send(command, beforeSend);
      } finally {
        end();
      }
    },
    destroy() {},
  }),
});
