import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli } from '../support/cli.ts';
import { LIVES, type Life } from './lives.ts';
import { EXTENT, shuffle } from './matrix.ts';
import { openTheatre, type Theatre } from './theatre.ts';
import { harm, unhealed } from './verdict.ts';

/** Calls of each life after which the process is killed, where not after every one. */
const SAMPLE = 2;

describe.each(LIVES.map((life): [string, Life] => [life.name, life]))('%s', (_, life) => {
  let theatre: Theatre;
  beforeAll(async () => {
    theatre = await openTheatre(life);
  });
  afterAll(() => theatre[Symbol.asyncDispose]());

  test('the next run goes on after kill -9 at any call, once AWS has done what was asked', {
    timeout: 1_200_000,
  }, async () => {
    const every = theatre.calls.map((_, index) => index + 1);
    const some = EXTENT.isAll ? every : shuffle(every, EXTENT.seed).slice(0, SAMPLE);
    const wrong: string[] = [];
    for (const nth of some) {
      theatre.setBack();
      expect(await killed(theatre, life, nth), `killed after call ${nth}`).toBe('SIGKILL');
      const ended = await theatre.heal();
      for (const one of [...harm(ended), ...unhealed(ended)]) wrong.push(`killed after call ${nth}: ${one}`);
    }
    expect(wrong, `FAULTS_SEED=${EXTENT.seed}`).toEqual([]);
  });
});

/** Run the program that ships, until AWS has done what its nth call asked; the answer never arrives. */
async function killed(theatre: Theatre, life: Life, nth: number): Promise<NodeJS.Signals | null> {
  let child: ChildProcess | undefined;
  let arrived = 0;
  let open = 0;
  let last: number | undefined;
  theatre.onCall = async (n, phase) => {
    open += phase === 'before' ? 1 : -1;
    if (phase === 'before' && ++arrived === nth) last = n;
    if (phase === 'before' || n !== last || !child) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  const { signal } = await cli(['--once', ...(life.prune ? ['--prune'] : []), '-'], {
    endpoint: theatre.sandbox.endpoint,
    input: life.yaml,
    onStart: (started) => {
      child = started;
    },
  });
  // What was under way when it died is still carried out, as AWS would.
  while (open > 0) await new Promise((resolve) => setImmediate(resolve));
  theatre.onCall = () => {};
  return signal;
}
