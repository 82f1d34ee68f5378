import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.ts';
import { CHANGE, CREATION } from './lives.ts';
import { passTime } from './simulated-time.ts';
import { openTheatre, type Theatre } from './theatre.ts';
import { wrongWith } from './verdict.ts';

const OFF = { rolePropagationMs: 0, keyPropagationMs: 0 };
const ROLES = [
  ['a role for 2 s', { rolePropagationMs: 2_000 }],
  ['a role for 60 s', { rolePropagationMs: 60_000 }],
] as const;
const KEYS = [
  ['keys for 2 s', { keyPropagationMs: 2_000 }],
  ['keys for 60 s', { keyPropagationMs: 60_000 }],
  ['a role for 45 s and keys for 60 s', { rolePropagationMs: 45_000, keyPropagationMs: 60_000 }],
] as const;

/** A change makes another role, and no key. */
describe.each([
  [CREATION.name, CREATION, [...ROLES, ...KEYS]],
  [CHANGE.name, CHANGE, ROLES],
])('%s, where AWS does not show what is new:', (_, life, delays) => {
  let theatre: Theatre;
  beforeAll(async () => {
    theatre = await openTheatre(life);
  });
  afterAll(() => theatre[Symbol.asyncDispose]());

  test.each(delays)('%s, a run that waits for two minutes converges', async (_, delay) => {
    theatre.setBack();
    Object.assign(theatre.sandbox.knobs, OFF, delay);
    const ran = await theatre.run({ pass: { waitMs: 120_000 } });
    Object.assign(theatre.sandbox.knobs, OFF);
    expect(wrongWith({ ran, ...(await theatre.heal()) })).toEqual([]);
    expect(ran.exitCode, ran.said).toBe(EXIT.ok);
  });

  test.each(delays)(
    '%s, a run that waits for one says what is not seen, and the next goes on',
    async (_, delay) => {
      theatre.setBack();
      Object.assign(theatre.sandbox.knobs, OFF, delay);
      const ran = await theatre.run({ pass: { waitMs: 1_000 } });
      Object.assign(theatre.sandbox.knobs, OFF);
      passTime(60_000);
      expect(wrongWith({ ran, ...(await theatre.heal()) })).toEqual([]);
      expect(ran.exitCode, ran.said).toBe(EXIT.failed);
      expect(ran.said).toMatch(/after 1 s|waited for/);
    },
  );
});
