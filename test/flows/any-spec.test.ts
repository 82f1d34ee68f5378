import fc from 'fast-check';
import { expect, test } from 'vitest';
import { desiredResources } from '../../src/core/desired.ts';
import { kinds } from '../../src/kinds/index.ts';
import { parseSpecs, testEnv } from '../support/env.ts';
import { propertyBudget } from '../support/property-budget.ts';
import { specArbitrary } from '../support/spec-arbitraries.ts';

// A thousand, or as many as there is time for.
const limits = propertyBudget(1_000, 15);

test(
  'whatever is declared converges, and then nothing differs and nothing is written',
  limits.test,
  async () => {
    await fc.assert(
      fc.asyncProperty(specArbitrary, async (yaml) => {
        await using env = await testEnv(yaml);
        const first = await env.reconcile();
        // Whatever we declare ourselves we can prove.
        expect(first.proof.filter(({ verdict }) => verdict !== 'proven' && verdict !== 'off')).toEqual([]);
        expect(first.results.filter(({ result }) => result !== 'applied')).toEqual([]);
        expect(first.remaining?.waves ?? []).toEqual([]);
        // A change without a field that differs is none.
        for (const { patch } of first.plan.waves.flat()) expect(patch.length).toBeGreaterThan(0);
        env.sandbox.log.reset();
        const second = await env.reconcile();
        expect(second.plan.waves).toEqual([]);
        expect(second.plan.blocked).toEqual([]);
        expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
        // Given some of the specs only, it takes nothing from the others.
        const [some] = yaml.split('\n---\n').slice(-1);
        const accounts = yaml.split('\n---\n').filter((document) => document.includes('"Account"'));
        const part = await env.reconcileWith([...accounts, some ?? ''].join('\n---\n'));
        expect(part.plan.waves).toEqual([]);
      }),
      limits.property,
    );
  },
);

test('what is declared so has resources of every kind', async () => {
  const seen = new Set<string>();
  for (const yaml of fc.sample(specArbitrary, { numRuns: 100, seed: 1 }))
    for (const { kind } of desiredResources((await parseSpecs(yaml)).pairs, [...kinds.values()]))
      seen.add(kind);
  expect([...seen].sort()).toEqual([...kinds.keys()].sort());
});
