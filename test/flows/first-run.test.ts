import { describe, expect, it } from 'vitest';
import { aWorld } from '../support/world.ts';

describe('one encrypted pair', () => {
  it('converges, replicates both sorts of objects under the declared key, and then finds nothing to do', async () => {
    await using world = await aWorld();

    const first = await world.reconcile();
    expect(first.results.map(({ result }) => result)).toEqual(first.plan.waves.flat().map(() => 'applied'));
    expect(first.left?.waves).toEqual([]);

    const canaries = await world.canaries();
    expect(canaries.map(({ result, bucketKey }) => [bucketKey, result])).toEqual([
      [true, 'replicated'],
      [false, 'replicated'],
    ]);

    world.sandbox.log.reset();
    const second = await world.reconcile();
    expect(second.plan.waves).toEqual([]);
    expect(world.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  });

  it('changes nothing in a dry run, and plans the same again', async () => {
    await using world = await aWorld();
    const first = await world.reconcile({ dryRun: true });
    expect(first.plan.waves.flat().length).toBeGreaterThan(0);
    expect(world.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
    const second = await world.reconcile({ dryRun: true });
    expect(second.plan).toEqual(first.plan);
  });
});
