import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { findForeignChanges, findUnrecovered } from './assertions.ts';
import { createHarness, type FaultHarness } from './harness.ts';
import { SAMPLING, shuffle } from './matrix.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

/** Calls of each life after which the process is killed, where not after every one. */
const SAMPLE = 2;

describe.each(SCENARIOS.map((life): [string, Scenario] => [life.name, life]))('%s', (_, life) => {
  let harness: FaultHarness;
  beforeAll(async () => {
    harness = await createHarness(life);
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test('the next run goes on after kill -9 at any call, once AWS has done what was asked', {
    timeout: 1_200_000,
  }, async () => {
    const every = harness.calls.map((_, index) => index + 1);
    const some = SAMPLING.isAll ? every : shuffle(every, SAMPLING.seed).slice(0, SAMPLE);
    const wrong: string[] = [];
    for (const nth of some) {
      harness.reset();
      expect(await killed(harness, life, nth), `killed after call ${nth}`).toBe('SIGKILL');
      const ended = await harness.recover();
      for (const one of [...findForeignChanges(ended), ...findUnrecovered(ended)])
        wrong.push(`killed after call ${nth}: ${one}`);
    }
    expect(wrong, `FAULTS_SEED=${SAMPLING.seed}`).toEqual([]);
  });
});

/** Run the program that ships, until AWS has done what its nth call asked; the answer never arrives. */
async function killed(harness: FaultHarness, life: Scenario, nth: number): Promise<NodeJS.Signals | null> {
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
  const { signal } = await runCli(['--once', ...(life.prune ? ['--prune'] : []), '-'], {
    endpoint: harness.sandbox.endpoint,
    input: life.yaml,
    onStart: (started) => {
      child = started;
    },
  });
  // What was under way when it died is still carried out, as AWS would.
  while (open > 0) await new Promise((resolve) => setImmediate(resolve));
  harness.onCall = () => {};
  return signal;
}
