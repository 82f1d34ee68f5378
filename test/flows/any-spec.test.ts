import fc from 'fast-check';
import { expect, test } from 'vitest';
import { kinds } from '../../src/kinds/index.ts';
import { someSpecs } from '../support/specs.ts';
import { aWorld } from '../support/world.ts';

test('whatever is declared converges, and then nothing differs and nothing is written', {
  timeout: 60_000,
}, async () => {
  const seen = new Set<string>();
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(someSpecs, async (yaml) => {
      await using world = await aWorld(yaml);
      const first = await world.reconcile();
      expect(first.results.filter(({ result }) => result !== 'applied')).toEqual([]);
      expect(first.left?.waves ?? []).toEqual([]);
      for (const { kind } of first.plan.waves.flat()) seen.add(kind);
      // A change without a field that differs is none.
      for (const { patch } of first.plan.waves.flat()) expect(patch.length).toBeGreaterThan(0);
      world.sandbox.log.reset();
      const second = await world.reconcile();
      expect(second.plan.waves).toEqual([]);
      expect(second.plan.blocked).toEqual([]);
      expect(world.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
      // Given some of the specs only, it takes nothing from the others.
      const [some] = yaml.split('\n---\n').slice(-1);
      const accounts = yaml.split('\n---\n').filter((document) => document.includes('"Account"'));
      const part = await world.with([...accounts, some ?? ''].join('\n---\n'));
      expect(part.plan.waves).toEqual([]);
      runs += 1;
    }),
    // A thousand, or as many as there is time for.
    { numRuns: 1_000, interruptAfterTimeLimit: 15_000 },
  );
  expect(runs).toBeGreaterThan(20);
  expect([...seen].sort()).toEqual([...kinds.keys()].sort());
});
