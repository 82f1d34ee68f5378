import { DeleteRoleCommand, DeleteRolePolicyCommand, GetRoleCommand } from '@aws-sdk/client-iam';
import { DescribeKeyCommand, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms';
import { describe, expect, test } from 'vitest';
import { fieldChangesOf } from '../../src/core/diff.ts';
import { type TestEnv, testEnv } from '../support/env.ts';

const east = { region: 'us-east-1' };
const RoleName = 'replikey-acme-tax';

async function withoutRole(): Promise<TestEnv> {
  const env = await testEnv();
  await env.reconcile();
  await env.client.send(east, new DeleteRolePolicyCommand({ RoleName, PolicyName: 'replikey' }));
  await env.client.send(east, new DeleteRoleCommand({ RoleName }));
  return env;
}

describe('a deleted role', () => {
  test('leaves bare ids as principals, so the plan updates the key policies too', async () => {
    await using env = await withoutRole();
    const { plan } = await env.reconcile({ dryRun: true });
    const keyPolicies = plan.waves.flat().filter(({ kind }) => kind === 'kms.key-policy');
    expect(keyPolicies.map((step) => fieldChangesOf(step).map(({ path }) => path))).toEqual([
      ['/statements/ReplikeyDestinationKeyTax/Principal/AWS'],
      ['/statements/ReplikeySourceKeyTax/Principal/AWS'],
    ]);
    expect(keyPolicies.flatMap(({ before }) => Object.values(before)).join()).toMatch(/^AROA\w+,AROA\w+$/);
    expect(plan.notes.map(({ message }) => message)).toContain(
      'a principal is a bare AROA id, because its role was deleted or recreated',
    );
  });

  test('is created again, and objects replicate again', async () => {
    await using env = await withoutRole();
    const { remaining } = await env.reconcile();
    expect(remaining?.waves).toEqual([]);
    expect(remaining?.notes).toEqual([]);
    expect((await env.client.send(east, new GetRoleCommand({ RoleName }))).Role?.RoleName).toBe(RoleName);
    expect((await env.canaries()).map(({ result }) => result)).toEqual(['replicated', 'replicated']);
  });
});

test('a key in PendingDeletion blocks the resources that need it, and replikey creates no other key', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const { KeyMetadata } = await env.client.send(east, new DescribeKeyCommand({ KeyId: 'alias/acme-tax' }));
  await env.client.send(east, new ScheduleKeyDeletionCommand({ KeyId: KeyMetadata?.KeyId }));
  env.sandbox.log.reset();
  const { plan } = await env.reconcile();
  expect(plan.blocked).toMatchObject([
    { id: 'kms.key/alias/acme-tax@us-east-1', why: expect.stringMatching(/is PendingDeletion; enable it/) },
  ]);
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
});
