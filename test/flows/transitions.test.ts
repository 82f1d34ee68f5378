import { expect, test } from 'vitest';
import type { Statement } from '../../src/iam/types.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const MOVED = TAX_SPEC.replace('bucket: acme-tax-replica', 'bucket: acme-tax-moved').replace(
  'key: alias/acme-tax-replica',
  'key: alias/acme-tax-moved',
);
const MINUTE = 60_000;

/** A sandbox whose clock a test moves. */
async function envWithClock(yaml?: string) {
  const time = { nowMs: Date.UTC(2026, 10, 30, 10, 0, 10) };
  const env = await testEnv(yaml, { clock: () => time.nowMs });
  return { env, time };
}

const rolePolicySids = ({ sandbox }: TestEnv): string[] => {
  const policy = sandbox.store.account('111122223333').roles.get('replikey-acme-tax')?.inline.get('replikey');
  const { Statement: statements } = JSON.parse(policy ?? '{"Statement":[]}') as { Statement: Statement[] };
  return statements.map(({ Sid = '' }) => Sid).filter((sid) => sid.startsWith('ReplikeyUntil'));
};

test('transitions: keep replaced permissions for the drain, then remove them and those of the old key', async () => {
  const { env, time } = await envWithClock();
  await using _ = env;
  await env.reconcile();
  const moved = await env.reconcileWith(MOVED);
  expect(moved.results.every(({ result }) => result === 'applied')).toBe(true);
  expect(moved.remaining?.waves).toEqual([]);
  expect(moved.remaining?.retained.map(({ sid }) => sid.replace(/x[0-9a-f]{6}/, '')).sort()).toEqual([
    'ReplikeyUntil202611301017DestinationKeyTax',
    'ReplikeyUntil202611301017DestinationObjectsTax',
  ]);

  const writes = env.door.calls.writes;
  time.nowMs += 5 * MINUTE;
  const second = await env.reconcileWith(MOVED);
  expect([second.plan.waves, second.plan.housekeeping]).toEqual([[], []]);
  expect(env.door.calls.writes).toBe(writes);

  time.nowMs += 13 * MINUTE;
  const third = await env.reconcileWith(MOVED);
  expect(third.plan.waves).toEqual([]);
  expect(third.plan.digest).toBe(second.plan.digest);
  expect(third.plan.housekeeping.map(({ id, action }) => [id.replace(/key\/.*$/, 'key/…'), action])).toEqual([
    ['iam.role-policy/replikey-acme-tax', 'expire'],
    ['kms.key-policy/arn:aws:kms:us-west-2:111122223333:key/…', 'expire'],
  ]);
  expect(third.results).toEqual([]);
  expect(rolePolicySids(env)).toEqual([]);
  const replicaKeyPolicies = JSON.stringify(
    [...env.sandbox.store.account('111122223333').keys.values()].map(({ policy }) => policy),
  );
  expect(replicaKeyPolicies.match(/ReplikeyDestinationKeyTax/g)).toHaveLength(1);

  const fourth = await env.reconcileWith(MOVED);
  expect([fourth.plan.waves, fourth.plan.housekeeping]).toEqual([[], []]);
});
