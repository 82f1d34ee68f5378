import { expect, test } from 'vitest';
import { collectReplicationFacts } from '../../src/facts/collect.ts';
import { locationsOf } from '../../src/facts/locations.ts';
import { proveRules } from '../../src/proof/prove.ts';
import { testEnv } from '../support/env.ts';

test('proveRules: a reconciled pair is proven, and every request is allowed', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const locations = locationsOf({ pairs: [], accounts: [] }, 'us-east-1');
  const observed = await collectReplicationFacts(env.client, ['acme-tax'], locations);
  const [proof, ...more] = proveRules(observed, 'acme-tax');
  expect(more).toEqual([]);
  expect(proof?.findings).toEqual([]);
  expect(proof?.verdict).toBe('proven');
  expect(proof?.answers.length).toBeGreaterThan(10);
  expect(new Set(proof?.answers.map(({ result }) => result))).toEqual(new Set(['allowed']));
});
