import { CreateRoleCommand } from '@aws-sdk/client-iam';
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

  const options = { prune: true, allowedRisks: ['remove-pair'], thresholds: { maxRemovals: 50 } };
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

const tagsOf = ({ sandbox }: TestEnv, role: string) =>
  [...(sandbox.store.account('111122223333').roles.get(role)?.tags.keys() ?? [])].join(' ');
const oldPolicyOf = ({ sandbox }: TestEnv) =>
  sandbox.store.account('111122223333').roles.get('old')?.inline.get('replikey') ?? '';
const retainedRole = (name: string) => `${TAX_SPEC}  role: { name: ${name} }\n`;

/** Runs passes until the statements of the former role are gone, and checks an object at each of them. */
async function expectNarrowed(env: TestEnv, time: { nowMs: number }): Promise<void> {
  for (let pass = 0; pass < 4; pass++) {
    time.nowMs += 20 * MINUTE;
    const { plan, results } = await env.reconcileWith(retainedRole('new'));
    expect([plan.waves, results]).toEqual([[], []]);
    expect(await statusOf(env, `Tax/narrow-${pass}`)).toBe('COMPLETED');
  }
  expect(oldPolicyOf(env)).toBe('');
  expect([...env.sandbox.store.account('111122223333').roles.keys()].sort()).toEqual(['new', 'old']);
  expect(tagsOf(env, 'new')).not.toContain('replikey:narrow');
  expect(JSON.stringify(stateOf(env.sandbox))).not.toContain('ReplikeyUntil');
}

const DENY_SWITCH = {
  match: 'PutBucketReplication',
  nth: 1,
  times: 1_000,
  what: { status: 403, code: 'AccessDenied', message: 'Access Denied' },
};

test('former role: without --prune, later runs remove its statements after the drain, and then the tag', async () => {
  const time = { nowMs: Date.UTC(2026, 10, 30, 10) };
  await using env = await testEnv(retainedRole('old'), { clock: () => time.nowMs });
  await env.reconcile();
  const before = oldPolicyOf(env);
  const changed = await env.reconcileWith(retainedRole('new'));
  expect(changed.remaining?.waves).toEqual([]);
  expect(tagsOf(env, 'new')).toContain('replikey:narrow:old');
  expect(changed.plan.notes.map(({ message }) => message).join('\n')).toMatch(/later run removes them/);

  time.nowMs += 5 * MINUTE;
  const { reads, writes } = env.client.calls;
  const second = await env.reconcileWith(retainedRole('new'));
  expect([second.plan.waves, second.plan.housekeeping, env.client.calls.writes]).toEqual([[], [], writes]);
  const callsDuringDrain = env.client.calls.reads - reads;
  expect(oldPolicyOf(env)).toBe(before);

  time.nowMs += 20 * MINUTE;
  const expired = await env.reconcileWith(retainedRole('new'));
  expect(expired.plan.digest).toBe(second.plan.digest);
  time.nowMs += MINUTE;
  const limited = await env.reconcileWith(retainedRole('new'));
  expect([...expired.plan.housekeeping, ...limited.plan.housekeeping]).toContainEqual(
    expect.objectContaining({ id: 'iam.role-policy/old', action: 'retain' }),
  );
  // The former role keeps every permission for one more drain.
  expect(oldPolicyOf(env).match(/"ReplikeyUntil/g)).toHaveLength(before.match(/"Replikey/g)?.length ?? 0);

  await expectNarrowed(env, time);
  const narrowed = { ...env.client.calls };
  const last = await env.reconcileWith(retainedRole('new'));
  expect([last.plan.waves, last.plan.housekeeping]).toEqual([[], []]);
  expect(env.client.calls.writes).toBe(narrowed.writes);
  expect(env.client.calls.reads - narrowed.reads).toBe(callsDuringDrain);
});

test('former role: keeps its statements as long as the switch is denied', async () => {
  const time = { nowMs: Date.UTC(2026, 10, 30, 10) };
  await using env = await testEnv(retainedRole('old'), { clock: () => time.nowMs });
  await env.reconcile();
  const before = oldPolicyOf(env);
  env.sandbox.faultSettings.faults = [DENY_SWITCH];
  for (let hour = 0; hour < 3; hour++) {
    const denied = await env.reconcileWith(retainedRole('new'));
    expect(denied.results.some(({ result }) => result === 'failed')).toBe(true);
    expect(await statusOf(env, `Tax/denied-${hour}`)).toBe('COMPLETED');
    time.nowMs += 60 * MINUTE;
    expect(await statusOf(env, `Tax/late-${hour}`)).toBe('COMPLETED');
  }
  expect(oldPolicyOf(env)).toBe(before);
  expect(tagsOf(env, 'new')).toContain('replikey:narrow:old');
  env.sandbox.faultSettings.faults = [];
  await env.reconcileWith(retainedRole('new'));
  expect(oldPolicyOf(env)).toBe(before);
  await expectNarrowed(env, time);
});

for (const [moment, kind] of [
  ['before', 'iam.role-policy'],
  ['after', 's3.replication'],
]) {
  test(`former role: a run that is interrupted ${moment} the switch leaves a state that later runs complete`, async () => {
    const time = { nowMs: Date.UTC(2026, 10, 30, 10) };
    await using env = await testEnv(retainedRole('old'), { clock: () => time.nowMs });
    await env.reconcile();
    const before = oldPolicyOf(env);
    const controller = new AbortController();
    await env.reconcileWith(retainedRole('new'), {
      signal: controller.signal,
      onEvent: ({ type, step }) => {
        if (type === 'applied' && step.kind === kind) controller.abort();
      },
    });
    expect(controller.signal.aborted).toBe(true);
    expect(await statusOf(env, 'Tax/interrupted')).toBe('COMPLETED');
    expect(oldPolicyOf(env)).toBe(before);
    expect(tagsOf(env, 'new')).toContain('replikey:narrow:old');
    await env.reconcileWith(retainedRole('new'));
    expect(oldPolicyOf(env)).toBe(before);
    await expectNarrowed(env, time);
  });
}

test('former role: a new role given by ARN gets no tag, and the plan names the command that removes the rest', async () => {
  await using env = await testEnv(retainedRole('old'));
  await env.reconcile();
  const role = env.sandbox.store.account('111122223333').roles.get('old');
  if (!role) throw new Error('there is no role old');
  const arn = 'arn:aws:iam::111122223333:role/given';
  await env.client.send(
    { region: 'us-east-1' },
    new CreateRoleCommand({
      RoleName: 'given',
      AssumeRolePolicyDocument: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' },
        ],
      }),
    }),
  );
  const { plan } = await env.reconcileWith(`${TAX_SPEC}  role: { arn: ${arn} }\n`, { dryRun: true });
  expect(plan.notes.map(({ message }) => message).join('\n')).toContain(
    'aws iam delete-role-policy --role-name old --policy-name replikey',
  );
  expect(tagsOf(env, 'given')).not.toContain('replikey:narrow');
});

test('former role: without a drain, the same run removes its statements', async () => {
  await using env = await testEnv(retainedRole('old'));
  await env.reconcile();
  const changed = await env.reconcileWith(retainedRole('new'), {
    drainMs: 0,
    allowedRisks: ['lose-in-flight'],
  });
  expect(changed.refusals).toEqual([]);
  expect(oldPolicyOf(env)).toBe('');
  expect(await statusOf(env, 'Tax/1')).toBe('COMPLETED');
  await env.reconcileWith(retainedRole('new'), { drainMs: 0 });
  expect(tagsOf(env, 'new')).not.toContain('replikey:narrow');
});
