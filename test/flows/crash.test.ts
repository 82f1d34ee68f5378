import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import pLimit from 'p-limit';
import { expect, it } from 'vitest';
import type { RequestEntry } from '../../src/sandbox/admin-api.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

/**
 * Kill the program with SIGKILL at every call of a first run, before AWS does what was asked and after it did but
 * before the answer arrives, and run it again.
 */
it('converges to the same state after a SIGKILL before or after any call of a first run', {
  timeout: 170_000,
}, async () => {
  const undisturbed = await crashed(undefined, 'before');
  expect(undisturbed.calls).toBeGreaterThan(30);

  const limit = pLimit(3);
  const cases = Array.from({ length: undisturbed.calls }, (_, index) => index + 1).flatMap((nth) =>
    (['before', 'after'] as const).map((phase) => ({ nth, phase })),
  );
  const outcomes = await Promise.all(
    cases.map(({ nth, phase }) => limit(async () => ({ nth, phase, ...(await crashed(nth, phase)) }))),
  );
  for (const { nth, phase, state, killed, again } of outcomes) {
    const name = `killed ${phase} call ${nth}`;
    expect(killed, name).toBe(true);
    expect(again, name).toEqual([]);
    expect(state, name).toEqual(undisturbed.state);
  }
});

/** One run that is killed at its nth call (or not at all), and then one that is not. */
async function crashed(nth: number | undefined, phase: 'before' | 'after') {
  let child: ChildProcess | undefined;
  let open = 0;
  let killed = false;
  const dead = new Set<number>();
  const onCall = async (entry: RequestEntry, now: 'before' | 'after') => {
    if (now === 'before') open += 1;
    if (entry.n === nth && now === phase && child) {
      killed = true;
      child.kill('SIGKILL');
      await once(child, 'exit');
      if (phase === 'before') {
        open -= 1;
        dead.add(entry.n);
        throw new Error('the call never arrived');
      }
    }
    if (now === 'after') open -= 1;
  };
  await using env = await testEnv(TAX_SPEC, { onCall });
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
  const calls = env.sandbox.log.entries.length;
  // What was in flight when it died is still carried out, as AWS would.
  while (open > 0) await new Promise((resolve) => setImmediate(resolve));

  const second = await env.reconcile();
  const again = second.remaining?.waves ?? second.plan.waves;
  return { state: stateOf(env.sandbox), calls, killed, again };
}
