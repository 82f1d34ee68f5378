import { startSandbox } from '../../src/sandbox/server.ts';
import type { Specs } from '../../src/spec/types.ts';
import { checkpoint } from '../support/checkpoint.ts';
import { specsOf } from '../support/world.ts';
import { type Call, type DriveOptions, drive, type Ran } from './drive.ts';
import { openGate } from './gate.ts';
import { LIVES, type Life } from './lives.ts';
import { simulateTime } from './simulated-time.ts';
import { type State, stateNow } from './state.ts';
import type { Ended } from './verdict.ts';

/** A sandbox at the start of a life, to which it can be set back as often as wanted. */
export interface Theatre extends AsyncDisposable {
  sandbox: Awaited<ReturnType<typeof startSandbox>>;
  specs: Specs;
  /** The calls of an undisturbed run, in their order. */
  calls: Call[];
  before: State;
  goal: State;
  setBack(): void;
  /** Told of each call that arrives at the sandbox, before it is handled and before it is answered. */
  onCall: (n: number, phase: 'before' | 'after') => void | Promise<void>;
  run(options?: Disturbed): Promise<Ran>;
  /** From the start: a run that is disturbed, one that is not, and a dry one. */
  suffer(disturbed: Disturbed): Promise<Ended & { ran: Ran }>;
  /** What comes after something befell the first run: one that is not disturbed, and a dry one. */
  heal(): Promise<Ended>;
}

export type Disturbed = Pick<DriveOptions, 'strike' | 'pass' | 'onCall'>;

/** Live up to the start of a life, and once through it. */
export async function openTheatre(life: Life): Promise<Theatre> {
  simulateTime();
  const sandbox = await startSandbox({
    clock: () => Date.now(),
    onCall: ({ n }, phase) => theatre?.onCall(n, phase),
  });
  let theatre: Theatre | undefined;
  const gate = await openGate(sandbox.endpoint);
  const living =
    (one: Life, specs: Specs) =>
    async (more: Partial<DriveOptions> = {}) => {
      const pass = { prune: one.prune, ...more.pass };
      return drive({ sandbox: sandbox.endpoint, gate, specs, ...more, pass });
    };
  for (const one of LIVES.slice(0, LIVES.indexOf(life))) {
    one.before(sandbox.store);
    good(await living(one, await specsOf(one.yaml))());
  }
  life.before(sandbox.store);
  const before = stateNow(sandbox);
  const setBack = checkpoint(sandbox.store);
  const specs = await specsOf(life.yaml);
  const run = living(life, specs);
  const { calls } = good(await run());
  const goal = stateNow(sandbox);
  theatre = {
    sandbox,
    specs,
    calls,
    before,
    goal,
    onCall: () => {},
    setBack,
    run,
    async suffer(disturbed) {
      this.setBack();
      const ran = await run(disturbed);
      return { ran, ...(await this.heal()) };
    },
    async heal() {
      const after = stateNow(sandbox);
      const next = await run();
      const healed = stateNow(sandbox);
      const last = await run({ pass: { dryRun: true } });
      return { before, goal, after, next, healed, last };
    },
    async [Symbol.asyncDispose]() {
      await gate.close();
      await sandbox.close();
    },
  };
  return theatre;
}

function good(ran: Ran): Ran {
  if (ran.exitCode !== 0) throw new Error(`an undisturbed run failed: ${ran.said}`);
  return ran;
}
