import { expect, test } from 'vitest';
import { testEnv } from '../support/env.ts';

const spec = (name: string) => `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: ${name} }
spec:
  source: { bucket: acme-${name}, region: us-east-1, key: alias/acme }
  destination: { bucket: acme-${name}-replica, region: us-west-2, key: alias/acme-replica }
  rules: [{ prefix: Data/ }]
`;
const threeSpecs = ['a', 'b', 'c'].map(spec).join('---\n');

test('role batcher: reads three roles in one listing, with the same result as GetRole', async () => {
  await using env = await testEnv(threeSpecs);
  await env.reconcile();
  env.sandbox.log.reset();
  const { plan, proof } = await env.reconcile();
  expect(plan.waves).toEqual([]);
  expect(proof.map(({ verdict }) => verdict)).toEqual(['proven', 'proven', 'proven']);
  const counts = env.sandbox.log.counts();
  expect(counts['iam:GetAccountAuthorizationDetails']).toBe(1);
  expect(Object.keys(counts).filter((name) => name.startsWith('iam:'))).toHaveLength(1);
});

test('role batcher: reads each role if the listing is denied, with the same result', async () => {
  await using env = await testEnv(threeSpecs);
  env.sandbox.faultSettings.faults = [
    {
      match: 'GetAccountAuthorizationDetails',
      nth: 1,
      times: 1_000,
      what: { status: 403, code: 'AccessDenied' },
    },
  ];
  const { results } = await env.reconcile();
  expect(results.every(({ result }) => result === 'applied')).toBe(true);
  env.sandbox.log.reset();
  expect((await env.reconcile()).plan.waves).toEqual([]);
  expect(env.sandbox.log.counts()['iam:GetRole']).toBe(3);
});
