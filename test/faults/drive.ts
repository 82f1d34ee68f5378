import { type Clients, createClients, type Service } from '../../src/aws/clients.ts';
import { createDoor } from '../../src/aws/door.ts';
import { isRead, nameOf } from '../../src/aws/operation.ts';
import { exitCode } from '../../src/cli/reconcile.ts';
import { EXIT, UserError } from '../../src/errors.ts';
import { kinds } from '../../src/kinds/index.ts';
import { type Outcome, type PassOptions, reconcile } from '../../src/reconcile.ts';
import { outcomeText } from '../../src/report/outcome-text.ts';
import { PLAIN } from '../../src/report/style.ts';
import { planText } from '../../src/report/text.ts';
import type { Specs } from '../../src/spec/types.ts';
import type { Fault } from './faults.ts';
import type { Gate } from './gate.ts';
import { inNoTime, type UnderWay, underWay } from './simulated-time.ts';

/** One call of a run: the nth of its operation. */
export interface Call {
  service: Service;
  operation: string;
  nth: number;
  isRead: boolean;
  /** The bucket, key or role that it is about. */
  of: string;
}

/** What befalls one call. */
export interface Strike {
  call: Call;
  fault: Fault;
}

/** What a run did, and what it said. */
export interface Ran {
  exitCode: number;
  calls: Call[];
  outcome?: Outcome;
  /** What ended it before it had an outcome. */
  error?: unknown;
  /** Ids of what it said it applied. */
  applied: string[];
  /** Everything that it said. */
  said: string;
}

export interface DriveOptions {
  sandbox: string;
  gate: Gate;
  specs: Specs;
  strike?: Strike;
  pass?: Partial<PassOptions>;
  /** Told before each call. */
  onCall?: (call: Call) => void;
}

const CREDENTIALS = { accessKeyId: '111122223333', secretAccessKey: 'test' };

/** One whole run of the pass, with clients of its own, as a process of its own would have. */
export async function drive(options: DriveOptions): Promise<Ran> {
  const { sandbox, gate, specs, strike, pass = {} } = options;
  const calls: Call[] = [];
  const time = underWay();
  const good = createClients(specs.accounts, { endpoint: sandbox, credentials: CREDENTIALS });
  const isRefused = strike?.fault.instead.how === 'refuse the connection';
  const bad = createClients(specs.accounts, {
    endpoint: isRefused ? gate.closed : gate.endpoint,
    credentials: CREDENTIALS,
  });
  const isStruck = (call: Call): boolean => {
    calls.push(call);
    options.onCall?.(call);
    if (!strike || !isSame(call, strike.call)) return false;
    gate.set(strike.fault, call.service);
    return true;
  };
  const clients = numbered({ good, bad, isStruck, gate, time });
  const door = createDoor({ clients, accounts: specs.accounts, region: 'us-east-1' });
  const applied: string[] = [];
  const told: string[] = [];
  const settings: PassOptions = {
    kinds,
    door,
    allow: [],
    dryRun: false,
    waitMs: 120_000,
    ...pass,
    onEvent(event) {
      told.push(`${event.type} ${event.step.id} ${'why' in event ? event.why : ''}`);
      if (event.type === 'applied') applied.push(event.step.id);
    },
  };
  const common = { calls, applied };
  try {
    const outcome = await inNoTime(time, () => reconcile(specs, settings));
    const said = [planText(outcome.plan, specs.pairs, outcome.proof), outcomeText(outcome, PLAIN.paint)];
    return { ...common, exitCode: codeOf(outcome, settings), outcome, said: [...told, ...said].join('\n') };
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const exitCode = error instanceof UserError ? error.exitCode : EXIT.failed;
    return { ...common, exitCode, error, said: [...told, said].join('\n') };
  } finally {
    good.destroy();
    bad.destroy();
  }
}

type CodeOptions = Parameters<typeof exitCode>[1];

const codeOf = (outcome: Outcome, { dryRun }: PassOptions): number =>
  exitCode(outcome, { dryRun } as CodeOptions);

const isSame = (one: Call, other: Call): boolean =>
  one.service === other.service && one.operation === other.operation && one.nth === other.nth;

interface Lines {
  good: Clients;
  bad: Clients;
  isStruck(call: Call): boolean;
  gate: Gate;
  time: UnderWay;
}

/** Clients that number what is sent, and let time stand still meanwhile. */
function numbered({ good, bad, isStruck, gate, time }: Lines): Clients {
  const counts = new Map<string, number>();
  return {
    get: (service, at) => ({
      async send(command) {
        const { operation, input } = nameOf(command);
        const { Bucket, KeyId, RoleName } = input as Record<string, string | undefined>;
        const of = Bucket ?? KeyId ?? RoleName ?? '';
        const key = `${service}:${operation}`;
        const nth = (counts.get(key) ?? 0) + 1;
        counts.set(key, nth);
        const struck = isStruck({ service, operation, nth, isRead: isRead(operation), of });
        const end = time.begin();
        // What will never be answered ends by time alone.
        if (struck) void gate.held.then(end);
        try {
          return await (struck ? bad : good).get(service, at).send(command);
        } finally {
          end();
        }
      },
      destroy() {},
    }),
    destroy() {},
  };
}
