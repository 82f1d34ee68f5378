import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import pLimit from 'p-limit';
import { expect, it } from 'vitest';
import type { RequestEntry } from '../../src/sandbox/admin-api.ts';
import { createObjectTraffic, isObjectCall, type ObjectTraffic } from '../faults/object-traffic.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

/**
 * Kills the program with SIGKILL at every call of a first run, before AWS executes the call, or after it and before the
 * response arrives. Then runs it again. Objects are written as soon as the rules are enabled.
 */
it('first run: reaches the same state, and loses no object, after a SIGKILL before or after any call', {
  timeout: 600_000,
}, async () => {
  const reference = await runWithKill(undefined, 'before');
  expect(reference.calls).toBeGreaterThan(30);
  expect(reference.written).toBeGreaterThan(8);

  const limit = pLimit(3);
  const cases = Array.from({ length: reference.calls }, (_, index) => index + 1).flatMap((nth) =>
    (['before', 'after'] as const).map((phase) => ({ nth, phase })),
  );
  const outcomes = await Promise.all(
    cases.map(({ nth, phase }) => limit(async () => ({ nth, phase, ...(await runWithKill(nth, phase)) }))),
  );
  for (const { nth, phase, state, killed, remainingWaves, lostObjects } of outcomes) {
    const name = `killed ${phase} call ${nth}`;
    expect(killed, name).toBe(true);
    expect(remainingWaves, name).toEqual([]);
    expect(state, name).toEqual(reference.state);
    expect(lostObjects, name).toEqual([]);
  }
});

/** Runs the program, kills it at its nth call if given, and runs it again. */
async function runWithKill(nth: number | undefined, phase: 'before' | 'after') {
  let child: ChildProcess | undefined;
  let open = 0;
  let killed = false;
  let calls = 0;
  let traffic: ObjectTraffic | undefined;
  const numbers = new Map<RequestEntry, number>();
  const onCall = async (entry: RequestEntry, currentPhase: 'before' | 'after') => {
    if (isObjectCall(entry)) return;
    if (currentPhase === 'before') {
      open += 1;
      calls += 1;
      numbers.set(entry, calls);
    }
    await traffic?.onCall(entry, currentPhase);
    if (numbers.get(entry) === nth && currentPhase === phase && child) {
      killed = true;
      child.kill('SIGKILL');
      await once(child, 'exit');
      if (phase === 'before') {
        open -= 1;
        throw new Error('the call never arrived');
      }
    }
    if (currentPhase === 'after') open -= 1;
  };
  await using env = await testEnv(TAX_SPEC, { onCall });
  const { sandbox, specs, client } = env;
  traffic = createObjectTraffic({
    sandbox,
    client: () => client,
    before: specs,
    after: specs,
    replicate: () => sandbox.waitForReplication(),
  });
  const first = runCli(['--once', '-'], {
    endpoint: env.sandbox.endpoint,
    input: TAX_SPEC,
    onStart: (started) => {
      child = started;
    },
  });
  const { code } = await first;
  if (nth === undefined) expect(code).toBe(0);
  child = undefined;
  // The sandbox still executes the calls that were in flight, as AWS would.
  while (open > 0) await new Promise((resolve) => setImmediate(resolve));

  const callsOfFirst = calls;
  await traffic.write();
  const second = await env.reconcile();
  traffic.endOfChange();
  await traffic.write();
  const remainingWaves = second.remaining?.waves ?? second.plan.waves;
  return {
    state: stateOf(sandbox),
    calls: callsOfFirst,
    killed,
    remainingWaves,
    written: traffic.written(),
    lostObjects: traffic.losses(),
  };
}
