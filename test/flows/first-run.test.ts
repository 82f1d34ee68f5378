import { describe, expect, it } from 'vitest';
import { testEnv } from '../support/env.ts';

describe('one encrypted pair', () => {
  it('converges, replicates both sorts of objects under the declared key, and then finds nothing to do', async () => {
    await using env = await testEnv();

    const first = await env.reconcile();
    expect(first.results.map(({ result }) => result)).toEqual(first.plan.waves.flat().map(() => 'applied'));
    expect(first.remaining?.waves).toEqual([]);

    const canaries = await env.canaries();
    expect(canaries.map(({ result, bucketKey }) => [bucketKey, result])).toEqual([
      [true, 'replicated'],
      [false, 'replicated'],
    ]);

    env.sandbox.log.reset();
    const second = await env.reconcile();
    expect(second.plan.waves).toEqual([]);
    expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  });

  it('changes nothing in a dry run, and plans the same again', async () => {
    await using env = await testEnv();
    const first = await env.reconcile({ dryRun: true });
    expect(first.plan.waves.flat().length).toBeGreaterThan(0);
    expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
    const second = await env.reconcile({ dryRun: true });
    expect(second.plan).toEqual(first.plan);
  });
});
