import { expect, test } from 'vitest';
import { testEnv } from '../support/env.ts';

/** AWS shows a new role or key only after a delay. S3 never retries an object that failed for this reason. */
const DELAYS = [
  ['roles', { rolePropagationMs: 400 }],
  ['keys', { keyPropagationMs: 400 }],
  ['both', { rolePropagationMs: 400, keyPropagationMs: 400 }],
] as const;

test.each(DELAYS)(
  'delayed visibility of %s: a first run waits, and objects replicate immediately afterwards',
  async (_, faultSettings) => {
    await using env = await testEnv(undefined, { faultSettings });
    const waitReasons: string[] = [];
    const { results, remaining } = await env.reconcile({
      onEvent: (event) => event.type === 'waiting' && waitReasons.push(event.waitsFor),
    });
    expect(env.sandbox.log.counts()['kms:CreateKey']).toBe(2);
    expect(results.filter(({ result }) => result !== 'applied')).toEqual([]);
    expect(remaining?.waves).toEqual([]);
    expect(waitReasons.join()).toMatch(/new (role|key)|to show the written state/);
    expect((await env.canaries()).map(({ result }) => result)).toEqual(['replicated', 'replicated']);
  },
);

test('role that never appears: fails after the timeout, and replication is not enabled', async () => {
  await using env = await testEnv(undefined, { faultSettings: { rolePropagationMs: 3_600_000 } });
  const { results } = await env.reconcile({ propagationTimeoutMs: 400 });
  const outcome = Object.fromEntries(results.map(({ id, result, why }) => [id, why ?? result]));
  expect(outcome['iam.role/replikey-acme-tax']).toMatch(/still does not exist/);
  expect(outcome['s3.replication/acme-tax']).toMatch(/was not applied/);
  expect(env.sandbox.log.counts()).not.toHaveProperty('s3:PutBucketReplication');
});
