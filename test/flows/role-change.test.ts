import { PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { versionOf } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

const MINUTE = 60_000;
const withRole = (name: string) => `${TAX_SPEC}  role: { name: ${name} }\n  policy: { deletion: Remove }\n`;

async function statusOf({ sandbox, client }: TestEnv, Key: string): Promise<string | undefined> {
  const command = new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'x' });
  await client.send({ region: 'us-east-1' }, command);
  await sandbox.waitForReplication();
  return versionOf(sandbox, 'acme-tax', Key)?.replication?.status;
}

test('role change: the old role keeps its permissions for the drain, and --prune removes it afterwards', async () => {
  const time = { nowMs: Date.UTC(2026, 10, 30, 10) };
  await using env = await testEnv(withRole('old'), { clock: () => time.nowMs });
  await env.reconcile();
  expect(await statusOf(env, 'Tax/1')).toBe('COMPLETED');

  const changed = await env.reconcileWith(withRole('new'));
  expect(changed.remaining?.waves).toEqual([]);
  expect(await statusOf(env, 'Tax/2')).toBe('COMPLETED');
  // Both roles may use both keys for the objects in flight.
  for (const { policy } of env.sandbox.store.account('111122223333').keys.values())
    expect(policy).toMatch(/ReplikeyUntil\d{12}.*role\/old/);
  const notes = changed.plan.notes.map(({ message }) => message).join('\n');
  expect(notes).toMatch(/the role arn:aws:iam::111122223333:role\/old keeps the statements of tax/);

  const second = await env.reconcileWith(withRole('new'));
  expect([second.plan.waves, second.plan.housekeeping]).toEqual([[], []]);

  const options = { prune: true, thresholds: { maxRemovals: 50 } };
  for (let pass = 0; pass < 3; pass++) {
    time.nowMs += 20 * MINUTE;
    await env.reconcileWith(withRole('new'), options);
    expect(await statusOf(env, `Tax/pass-${pass}`)).toBe('COMPLETED');
  }
  expect([...env.sandbox.store.account('111122223333').roles.keys()]).toEqual(['new']);
  expect(JSON.stringify(stateOf(env.sandbox))).not.toContain('ReplikeyUntil');
  const last = await env.reconcileWith(withRole('new'), options);
  expect([last.plan.waves, last.plan.housekeeping]).toEqual([[], []]);
});
