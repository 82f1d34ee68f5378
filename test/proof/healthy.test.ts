import { expect, test } from 'vitest';
import { atlasOf } from '../../src/doctor/atlas.ts';
import { readReplications } from '../../src/doctor/read.ts';
import { prove } from '../../src/proof/prove.ts';
import { aWorld } from '../support/world.ts';

test('a pair that we made is proven, and every request is allowed by name', async () => {
  await using world = await aWorld();
  await world.reconcile();
  const atlas = atlasOf({ pairs: [], accounts: [] }, 'us-east-1');
  const observed = await readReplications(world.door, ['acme-tax'], atlas);
  const [proof, ...more] = prove(observed, 'acme-tax');
  expect(more).toEqual([]);
  expect(proof?.findings).toEqual([]);
  expect(proof?.verdict).toBe('proven');
  expect(proof?.answers.length).toBeGreaterThan(10);
  expect(new Set(proof?.answers.map(({ result }) => result))).toEqual(new Set(['allowed']));
});
