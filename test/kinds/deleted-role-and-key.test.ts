import {
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  GetRoleCommand,
} from '@aws-sdk/client-iam';
import { DescribeKeyCommand, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms';
import { CreateBucketCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { fieldChangesOf } from '../../src/core/diff.ts';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, type TestEnv, testEnv } from '../support/env.ts';

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

test('a foreign statement for a deleted role blocks the policy, which AWS would refuse, and names the statement', async () => {
  await using env = await testEnv(`${ACCOUNT_SPECS}${CROSS_ACCOUNT_SPEC}`);
  const west = { region: 'us-west-2', account: 'backup' };
  const trust = { Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' };
  const AssumeRolePolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: trust });
  await env.client.send(west, new CreateRoleCommand({ RoleName: 'auditor', AssumeRolePolicyDocument }));
  await env.client.send(
    west,
    new CreateBucketCommand({
      Bucket: 'acme-tax-replica',
      CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
    }),
  );
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Id: 'audit',
    Statement: {
      Sid: 'Audit',
      Effect: 'Allow',
      Principal: { AWS: 'arn:aws:iam::444455556666:role/auditor' },
      Action: 's3:GetObject',
      Resource: 'arn:aws:s3:::acme-tax-replica/*',
    },
  });
  const putPolicy = new PutBucketPolicyCommand({ Bucket: 'acme-tax-replica', Policy });
  await env.client.send(west, putPolicy);
  await env.client.send(west, new DeleteRoleCommand({ RoleName: 'auditor' }));
  const { plan, results } = await env.reconcile();
  expect(plan.blocked.map(({ id, why }) => [id, why])).toEqual([
    [
      's3.bucket-policy/acme-tax-replica',
      expect.stringMatching(
        /the statement Audit in the policy of acme-tax-replica names .* AROA\w+, and AWS refuses/,
      ),
    ],
  ]);
  expect(results).toEqual([]);

  // Without that statement the policy keeps its Id.
  await env.client.send(
    west,
    new PutBucketPolicyCommand({
      Bucket: 'acme-tax-replica',
      Policy: Policy.replace('role/auditor', 'root'),
    }),
  );
  const applied = await env.reconcile({ allowedRisks: ['change-default-encryption'] });
  expect(applied.refusals).toEqual([]);
  expect(applied.remaining?.waves).toEqual([]);
  expect(JSON.parse(env.sandbox.store.bucket('acme-tax-replica')?.policy ?? '')).toMatchObject({
    Id: 'audit',
  });
});
