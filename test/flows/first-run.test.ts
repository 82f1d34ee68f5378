import { describe, expect, it } from 'vitest';
import { testEnv } from '../support/env.ts';

describe('encrypted pair', () => {
  it('first run: converges, and replicates objects with and without a Bucket Key; a second run plans nothing', async () => {
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

  it('dry run: changes nothing, and a second one returns the same plan', async () => {
    await using env = await testEnv();
    const first = await env.reconcile({ dryRun: true });
    expect(first.plan.waves.flat().length).toBeGreaterThan(0);
    expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
    const second = await env.reconcile({ dryRun: true });
    expect(second.plan).toEqual(first.plan);
  });
});
