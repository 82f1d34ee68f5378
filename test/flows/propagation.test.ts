import { expect, test } from 'vitest';
import { testEnv } from '../support/env.ts';

/** AWS shows a new role, or a new key, only after a while; an object that is written too early FAILED for good. */
const slow = [
  ['roles', { rolePropagationMs: 400 }],
  ['keys', { keyPropagationMs: 400 }],
  ['both', { rolePropagationMs: 400, keyPropagationMs: 400 }],
] as const;

test.each(slow)(
  'where %s are seen late, a first run waits, and then objects replicate at once',
  async (_, knobs) => {
    await using env = await testEnv(undefined, { faultSettings: knobs });
    const waited: string[] = [];
    const { results, remaining: left } = await env.reconcile({
      onEvent: (event) => event.type === 'waiting' && waited.push(event.waitsFor),
    });
    expect(env.sandbox.log.counts()['kms:CreateKey']).toBe(2);
    expect(results.filter(({ result }) => result !== 'applied')).toEqual([]);
    expect(left?.waves).toEqual([]);
    expect(waited.join()).toMatch(/new (role|key)|to show the written state/);
    expect((await env.canaries()).map(({ result }) => result)).toEqual(['replicated', 'replicated']);
  },
);

test('what is never seen fails with what was waited for, and replication is not switched on', async () => {
  await using env = await testEnv(undefined, { faultSettings: { rolePropagationMs: 3_600_000 } });
  const { results } = await env.reconcile({ propagationTimeoutMs: 400 });
  const outcome = Object.fromEntries(results.map(({ id, result, why }) => [id, why ?? result]));
  expect(outcome['iam.role/replikey-acme-tax']).toMatch(/still does not exist/);
  expect(outcome['s3.replication/acme-tax']).toMatch(/was not applied/);
  expect(env.sandbox.log.counts()).not.toHaveProperty('s3:PutBucketReplication');
});
