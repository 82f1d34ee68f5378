import { vi } from 'vitest';
import { type AwsClient, createAwsClient } from '../../src/aws/client.ts';
import { commandInfo, isReadOperation } from '../../src/aws/command.ts';
import { createSdkClients, type SdkClients } from '../../src/aws/sdk-clients.ts';
import { kinds } from '../../src/kinds/index.ts';
import type { Outcome, PassOptions } from '../../src/reconcile/pass.ts';
import { createPropagation } from '../../src/reconcile/propagation.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import type { RequestEntry } from '../../src/sandbox/admin-api.ts';
import type { FaultSettings } from '../../src/sandbox/faults.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import type { AccountState, BucketState } from '../../src/sandbox/state.ts';
import type { Store } from '../../src/sandbox/store.ts';
import type { Specs } from '../../src/spec/types.ts';
import { systemClock } from '../../src/util/clock.ts';
import {
  type InFlightCalls,
  passTime,
  runWithSimulatedTime,
  simulateTime,
} from '../faults/simulated-time.ts';

/** Delay of every response of the sandbox, in milliseconds. */
const LATENCY_MS = 50;

/** Time until the sandbox shows a new role or key, in milliseconds. */
export const PROPAGATION_MS = 2_000;

const START = Date.UTC(2026, 10, 30, 10, 0, 10);

/** The whole state of a sandbox. */
export interface SandboxState {
  accounts: AccountState[];
  buckets: BucketState[];
  /** The time of the copy, in milliseconds since 1970. */
  nowMs: number;
}

export const copyState = (store: Store): SandboxState =>
  structuredClone({ accounts: [...store.accounts()], buckets: [...store.buckets()], nowMs: Date.now() });

/**
 * A sandbox in simulated time. All calls go over HTTP. While each call waits for its latency, the time advances to the
 * next timer, so that a run of a minute takes less than a second.
 */
export interface Simulation extends AsyncDisposable {
  sandbox: Sandbox;
  /** Returns a client of the accounts of some specs. */
  client(specs: Specs, kill?: Kill): AwsClient;
  /** Makes a pass as a new process. The outcome is undefined if the process was killed. */
  pass(specs: Specs, options?: Partial<PassOptions>, kill?: Kill): Promise<ProcessResult>;
  /** Runs work while the time advances. */
  run<T>(work: () => Promise<T>): Promise<T>;
  sleep(ms: number): Promise<void>;
  /** Lets time pass in which no call is made. */
  skip(ms: number): void;
  onCall: (entry: RequestEntry) => void;
}

/** The end of a process: when it has sent its nth call or write. AWS executes the call; no response arrives. */
export interface Kill {
  after: 'call' | 'write';
  nth: number;
}

export interface ProcessResult {
  outcome: Outcome | undefined;
  /** Number of calls and of writes that the process sent. */
  calls: number;
  writes: number;
}

export async function startSimulation(
  state?: SandboxState,
  faultSettings: Partial<FaultSettings> = {},
): Promise<Simulation> {
  simulateTime();
  vi.setSystemTime(state ? state.nowMs + 60 * 60_000 : START);
  const calls = trackCalls();
  const sandbox = await startSandbox({
    clock: () => Date.now(),
    sleep: calls.sleep,
    onCall: (entry, phase) => (phase === 'after' ? simulation.onCall(entry) : undefined),
    faultSettings: {
      latencyMs: LATENCY_MS,
      rolePropagationMs: PROPAGATION_MS,
      keyPropagationMs: PROPAGATION_MS,
      policyPropagationMs: PROPAGATION_MS,
      ...faultSettings,
    },
  });
  for (const account of structuredClone(state?.accounts ?? []))
    Object.assign(sandbox.store.account(account.id), account);
  for (const bucket of structuredClone(state?.buckets ?? [])) sandbox.store.addBucket(bucket);

  const opened: SdkClients[] = [];
  const open = (specs: Specs, kill: Kill | undefined, onKill: () => void): AwsClient => {
    const clients = createSdkClients(specs.accounts, {
      endpoint: sandbox.endpoint,
      credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
    });
    opened.push(clients);
    return createAwsClient({
      clients: killableClients(clients, calls, kill, onKill),
      accounts: specs.accounts,
      region: 'us-east-1',
    });
  };
  const simulation: Simulation = {
    sandbox,
    client: (specs) => open(specs, undefined, () => {}),
    async pass(specs, options, kill) {
      let onKill = () => {};
      const killed = new Promise<undefined>((resolve) => {
        onKill = () => resolve(undefined);
      });
      const aws = open(specs, kill, onKill);
      const settings: PassOptions = {
        kinds,
        aws,
        allowedRisks: [],
        dryRun: false,
        propagationTimeoutMs: 60_000,
        propagation: createPropagation({ clock: systemClock, waitMs: PROPAGATION_MS }),
      };
      const outcome = await Promise.race([killed, reconcile(specs, { ...settings, ...options })]);
      return { outcome, calls: aws.calls.reads + aws.calls.writes, writes: aws.calls.writes };
    },
    run: (work) => runWithSimulatedTime(calls, work),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    skip: passTime,
    onCall: () => {},
    async [Symbol.asyncDispose]() {
      for (const clients of opened) clients.destroy();
      await sandbox.close();
    },
  };
  return simulation;
}

/** Counts calls that are on their way. A call that waits for its latency does not stop the time. */
function trackCalls(): InFlightCalls & { sleep(ms: number): Promise<void> } {
  let open = 0;
  let waiting = 0;
  return {
    begin() {
      open += 1;
      return () => {
        open -= 1;
      };
    },
    get any() {
      return open > waiting;
    },
    async sleep(ms) {
      waiting += 1;
      await new Promise((resolve) => setTimeout(resolve, ms));
      waiting -= 1;
    },
  };
}

/** Returns clients of one process, which can be killed. A killed process sends no call and receives no response. */
function killableClients(
  clients: SdkClients,
  inFlight: InFlightCalls,
  kill: Kill | undefined,
  onKill: () => void,
): SdkClients {
  const counts = { call: 0, write: 0 };
  let isDead = false;
  const never = new Promise<never>(() => {});
  return {
    ...clients,
    get: (service, at) => ({
      async send(command, beforeSend) {
        if (isDead) return never;
        counts.call += 1;
        const isWrite = !isReadOperation(commandInfo(command).operation);
        if (isWrite) counts.write += 1;
        isDead = kill !== undefined && counts[kill.after] === kill.nth && (kill.after === 'call' || isWrite);
        const end = inFlight.begin();
        const response = clients
          .get(service, at)
          .send(command, beforeSend)
          .finally(() => {
            end();
            if (isDead) onKill();
          });
        try {
          const output = await response;
          return isDead ? await never : output;
        } catch (error) {
          if (isDead) return never;
          throw error;
        }
      },
      destroy() {},
    }),
  };
}
