import { CreateTopicCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand } from '@aws-sdk/client-sqs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { desiredResources } from '../../src/core/desired.ts';
import type { Step } from '../../src/core/resource.ts';
import { kinds } from '../../src/kinds/index.ts';
import { parseSpecs, type TestEnv, testEnv } from '../support/env.ts';
import { propertyBudget } from '../support/property-budget.ts';
import { completeSpecArbitrary, createReplacedKeys, type Target } from '../support/spec-arbitraries.ts';

// A thousand specs, or as many as the time limit allows.
const limits = propertyBudget(1_000, 10);

test('random specs: converge, and a second run plans and writes nothing', limits.test, async () => {
  await fc.assert(
    fc.asyncProperty(completeSpecArbitrary, async ({ yaml, queues, topics }) => {
      await using env = await testEnv(yaml);
      const at = ({ account, region }: Target) => ({ region, ...(account !== undefined && { account }) });
      for (const queue of queues)
        await env.client.send(at(queue), new CreateQueueCommand({ QueueName: queue.name }));
      for (const topic of topics)
        await env.client.send(at(topic), new CreateTopicCommand({ Name: topic.name }));
      await createReplacedKeys(env.client, env.specs);
      const first = await env.reconcile();
      // Every rule that replikey writes is proven.
      expect(first.proof.filter(({ verdict }) => verdict !== 'proven' && verdict !== 'off')).toEqual([]);
      expect(first.results.filter(({ result }) => result !== 'applied')).toEqual([]);
      expect(first.remaining?.waves ?? []).toEqual([]);
      // Every step changes at least one field.
      for (const { patch } of first.plan.waves.flat()) expect(patch.length).toBeGreaterThan(0);
      await finishJobs(env);
      env.sandbox.log.reset();
      const second = await env.reconcile();
      expect(second.plan.waves).toEqual([]);
      expect(second.plan.blocked).toEqual([]);
      expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
      // A run with a subset of the specs keeps the entries of the others.
      const [lastSpec] = yaml.split('\n---\n').slice(-1);
      const accounts = yaml.split('\n---\n').filter((document) => document.includes('"Account"'));
      const subsetRun = await env.reconcileWith([...accounts, lastSpec ?? ''].join('\n---\n'));
      expect(subsetRun.plan.waves).toEqual([]);
    }),
    limits.property,
  );
});

/** Makes passes until all jobs are recorded. New buckets have no objects, so each job ends by itself. */
async function finishJobs(env: TestEnv): Promise<void> {
  const isJob = ({ kind }: Step) => kinds.get(kind)?.scope.stage === 'jobs';
  for (let pass = 0; pass < 40; pass += 1) {
    await env.sandbox.waitForJobs();
    const steps = (await env.reconcile()).plan.waves.flat();
    if (steps.length === 0) return;
    expect(steps.filter((step) => !isJob(step))).toEqual([]);
  }
}

test('random specs: declare resources of every kind', async () => {
  const declaredKinds = new Set<string>();
  for (const { yaml } of fc.sample(completeSpecArbitrary, { numRuns: 100, seed: 1 }))
    for (const { kind } of desiredResources((await parseSpecs(yaml)).pairs, [...kinds.values()]))
      declaredKinds.add(kind);
  expect([...declaredKinds].sort()).toEqual([...kinds.keys()].sort());
});
