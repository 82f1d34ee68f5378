import { createAwsClient } from '../../src/aws/client.ts';
import { commandInfo, isReadOperation, type Service } from '../../src/aws/command.ts';
import { createSdkClients, type SdkClients } from '../../src/aws/sdk-clients.ts';
import { reconcileExitCode } from '../../src/cli/single-pass.ts';
import { EXIT, UserError } from '../../src/errors.ts';
import { kinds } from '../../src/kinds/index.ts';
import type { Outcome, PassOptions } from '../../src/reconcile/pass.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import { outcomeText } from '../../src/report/outcome-text.ts';
import { planText } from '../../src/report/plan-text.ts';
import { PLAIN_STYLE } from '../../src/report/style.ts';
import type { Specs } from '../../src/spec/types.ts';
import type { FaultProxy } from './fault-proxy.ts';
import type { CallFault } from './faults.ts';
import { type InFlightCalls, runWithSimulatedTime, trackInFlightCalls } from './simulated-time.ts';

/** One call of a run: the nth of its operation. */
export interface Call {
  service: Service;
  operation: string;
  nth: number;
  isRead: boolean;
  /** The bucket, key or role of the call. */
  resource: string;
}

/** A fault that is injected into one call. */
export interface Injection {
  call: Call;
  fault: CallFault;
}

/** The result of a run. */
export interface RunResult {
  exitCode: number;
  calls: Call[];
  outcome?: Outcome;
  /** The error of a run without an outcome. */
  error?: unknown;
  /** Ids of the resources that the run reported as applied. */
  applied: string[];
  /** The whole output. */
  output: string;
}

export interface RunPassOptions {
  sandbox: string;
  proxy: FaultProxy;
  specs: Specs;
  injection?: Injection;
  pass?: Partial<PassOptions>;
  /** Called before each call. */
  onCall?: (call: Call) => void;
}

export const CREDENTIALS = { accessKeyId: '111122223333', secretAccessKey: 'test' };

/** Runs one whole pass with new clients, like a new process. */
export async function runPass(options: RunPassOptions): Promise<RunResult> {
  const { sandbox, proxy, specs, injection, pass = {} } = options;
  const calls: Call[] = [];
  const inFlight = trackInFlightCalls();
  const directClients = createSdkClients(specs.accounts, { endpoint: sandbox, credentials: CREDENTIALS });
  const isRefused = injection?.fault.effect.kind === 'refuse the connection';
  const proxyClients = createSdkClients(specs.accounts, {
    endpoint: isRefused ? proxy.refusingEndpoint : proxy.endpoint,
    credentials: CREDENTIALS,
  });
  const isFaulted = (call: Call): boolean => {
    calls.push(call);
    options.onCall?.(call);
    if (!injection || !isSameCall(call, injection.call)) return false;
    proxy.injectNext(injection.fault, call.service);
    return true;
  };
  const clients = createNumberedClients({ directClients, proxyClients, isFaulted, proxy, inFlight });
  const client = createAwsClient({ clients, accounts: specs.accounts, region: 'us-east-1' });
  const applied: string[] = [];
  const events: string[] = [];
  const settings: PassOptions = {
    kinds,
    aws: client,
    allowedRisks: [],
    dryRun: false,
    propagationTimeoutMs: 120_000,
    ...pass,
    onEvent(event) {
      events.push(`${event.type} ${event.step.id} ${'why' in event ? event.why : ''}`);
      if (event.type === 'applied') applied.push(event.step.id);
    },
  };
  const runFields = { calls, applied };
  try {
    const outcome = await runWithSimulatedTime(inFlight, () => reconcile(specs, settings));
    const sections = [
      planText(outcome.plan, specs.pairs, outcome.proof),
      outcomeText(outcome, PLAIN_STYLE.paint),
    ];
    return {
      ...runFields,
      exitCode: exitCodeOf(outcome, settings),
      outcome,
      output: [...events, ...sections].join('\n'),
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const exitCode = error instanceof UserError ? error.exitCode : EXIT.failed;
    return { ...runFields, exitCode, error, output: [...events, message].join('\n') };
  } finally {
    directClients.destroy();
    proxyClients.destroy();
  }
}

type CodeOptions = Parameters<typeof reconcileExitCode>[1];

const exitCodeOf = (outcome: Outcome, { dryRun }: PassOptions): number =>
  reconcileExitCode(outcome, { dryRun } as CodeOptions);

const isSameCall = (a: Call, b: Call): boolean =>
  a.service === b.service && a.operation === b.operation && a.nth === b.nth;

interface NumberedClientsOptions {
  directClients: SdkClients;
  proxyClients: SdkClients;
  isFaulted(call: Call): boolean;
  proxy: FaultProxy;
  inFlight: InFlightCalls;
}

/** Returns clients that number their calls, and stop the simulated time while a call is in flight. */
function createNumberedClients({
  directClients,
  proxyClients,
  isFaulted,
  proxy,
  inFlight,
}: NumberedClientsOptions): SdkClients {
  const counts = new Map<string, number>();
  return {
    get: (service, at) => ({
      async send(command) {
        const { operation, input } = commandInfo(command);
        const { Bucket, KeyId, RoleName } = input as Record<string, string | undefined>;
        const resource = Bucket ?? KeyId ?? RoleName ?? '';
        const key = `${service}:${operation}`;
        const nth = (counts.get(key) ?? 0) + 1;
        counts.set(key, nth);
        const faulted = isFaulted({ service, operation, nth, isRead: isReadOperation(operation), resource });
        const end = inFlight.begin();
        // Only a timeout ends a call without a response.
        if (faulted) void proxy.untilStalled.then(end);
        try {
          return await (faulted ? proxyClients : directClients).get(service, at).send(command);
        } finally {
          end();
        }
      },
      destroy() {},
    }),
    endpoint: directClients.endpoint,
    now: directClients.now,
    destroy() {},
  };
}
