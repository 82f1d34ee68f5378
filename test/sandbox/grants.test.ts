import { DeleteRoleCommand, DeleteRolePolicyCommand, GetRoleCommand } from '@aws-sdk/client-iam';
import {
  CreateGrantCommand,
  type CreateGrantCommandInput,
  ListGrantsCommand,
  RetireGrantCommand,
  RevokeGrantCommand,
} from '@aws-sdk/client-kms';
import { describe, expect, test } from 'vitest';
import { diagnose, diagnoseObject } from '../../src/doctor/diagnose.ts';
import { locationsOf } from '../../src/facts/locations.ts';
import type { Statement } from '../../src/iam/types.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { changeKeyPolicy, changeRolePolicy, clientOf, EAST, keyOf, put, ROLE, SOURCE } from './support.ts';

const roleArn = async ({ client }: TestEnv): Promise<string> =>
  (await client.send(EAST, new GetRoleCommand({ RoleName: ROLE }))).Role?.Arn ?? '';

async function createGrant(env: TestEnv, parts: Partial<CreateGrantCommandInput> = {}) {
  return env.client.send(
    EAST,
    new CreateGrantCommand({
      KeyId: await keyOf(env.client, EAST),
      GranteePrincipal: await roleArn(env),
      Operations: ['Decrypt'],
      ...parts,
    }),
  );
}

/** Returns an applied pair whose role may use the source key by no policy. */
async function pairWithoutKeyPolicy(): Promise<TestEnv> {
  const env = await testEnv();
  await env.reconcile();
  await withoutKeyPolicy(env);
  return env;
}

async function withoutKeyPolicy({ client }: TestEnv): Promise<void> {
  await changeKeyPolicy(client, EAST, (statements) => {
    delete statements.ReplikeySourceKeyTax;
  });
  await changeRolePolicy(client, (statements) => {
    delete statements.ReplikeySourceKeyTax;
  });
}

async function doctor({ client, specs }: TestEnv) {
  const options = { locations: locationsOf(specs, 'us-east-1'), now: () => client.now() };
  const { proofs } = await diagnose(client.withCache(), [SOURCE], { ...options, sampleSize: 10 });
  const { proof } = await diagnoseObject(client.withCache(), SOURCE, 'Tax/2026.pdf', options);
  return {
    rule: proofs[0]?.verdict,
    object: proof.taken[0]?.verdict,
    codes: proofs[0]?.findings.map(({ code }) => code),
  };
}

const statusOf = async (env: TestEnv) => (await put(env))?.replication?.status;

// AWS KMS Developer Guide, "Grants in AWS KMS": a grant allows without a key policy or IAM policy.
describe('replication through a grant', () => {
  test('without a grant the object fails; with a grant alone it replicates, and the doctor says proven', async () => {
    await using env = await pairWithoutKeyPolicy();
    expect(await statusOf(env)).toBe('FAILED');
    expect(await doctor(env)).toMatchObject({ rule: 'broken', object: 'broken' });

    const { GrantId } = await createGrant(env);
    expect(await statusOf(env)).toBe('COMPLETED');
    expect(await doctor(env)).toMatchObject({ rule: 'proven', object: 'proven' });

    await env.client.send(EAST, new RevokeGrantCommand({ KeyId: await keyOf(env.client, EAST), GrantId }));
    expect(await statusOf(env)).toBe('FAILED');
    expect(await doctor(env)).toMatchObject({ rule: 'broken', object: 'broken', codes: ['RK1307'] });
  });

  test('a role that is deleted and created again has no grant any more', async () => {
    await using env = await pairWithoutKeyPolicy();
    await createGrant(env);
    const role = { RoleName: ROLE };
    await env.client.send(EAST, new DeleteRolePolicyCommand({ ...role, PolicyName: 'replikey' }));
    await env.client.send(EAST, new DeleteRoleCommand(role));
    await env.reconcile();
    await withoutKeyPolicy(env);
    expect(await statusOf(env)).toBe('FAILED');
    expect(await doctor(env)).toMatchObject({ rule: 'broken' });
    const { Grants = [] } = await env.client.send(
      EAST,
      new ListGrantsCommand({ KeyId: await keyOf(env.client, EAST) }),
    );
    expect(Grants[0]?.GranteePrincipal).toMatch(/^AROA/);
  });

  // The doctor and the sandbox must agree on each grant.
  const BUCKET = { 'aws:s3:arn': 'arn:aws:s3:::acme-tax' };
  const OBJECT = { 'aws:s3:arn': 'arn:aws:s3:::acme-tax/Tax/2026.pdf' };
  const DENY: Statement = {
    Sid: 'No',
    Effect: 'Deny',
    Principal: '*',
    Action: 'kms:Decrypt',
    Resource: '*',
    Condition: { StringLike: { 'aws:PrincipalArn': `*role/${ROLE}` } },
  };
  test.each<[string, Partial<CreateGrantCommandInput>, 'COMPLETED' | 'FAILED', Statement?]>([
    ['Decrypt', {}, 'COMPLETED'],
    ['other operations', { Operations: ['Encrypt', 'GenerateDataKey'] }, 'FAILED'],
    ['the context of the Bucket Key', { Constraints: { EncryptionContextEquals: BUCKET } }, 'COMPLETED'],
    ['a subset', { Constraints: { EncryptionContextSubset: BUCKET } }, 'COMPLETED'],
    [
      'a key of the context in upper case',
      { Constraints: { EncryptionContextSubset: { 'AWS:S3:ARN': 'arn:aws:s3:::acme-tax' } } },
      'COMPLETED',
    ],
    ['the context of the object', { Constraints: { EncryptionContextEquals: OBJECT } }, 'FAILED'],
    [
      'a value in upper case',
      { Constraints: { EncryptionContextSubset: { 'aws:s3:arn': 'ARN:AWS:S3:::ACME-TAX' } } },
      'FAILED',
    ],
    [
      'an additional pair',
      { Constraints: { EncryptionContextSubset: { ...BUCKET, team: 'tax' } } },
      'FAILED',
    ],
    [
      'the session',
      { GranteePrincipal: `arn:aws:sts::111122223333:assumed-role/${ROLE}/s3-replication` },
      'COMPLETED',
    ],
    [
      'another session',
      { GranteePrincipal: `arn:aws:sts::111122223333:assumed-role/${ROLE}/other` },
      'FAILED',
    ],
    ['the account', { GranteePrincipal: 'arn:aws:iam::111122223333:root' }, 'FAILED'],
    ['Decrypt, and a Deny of the key policy', {}, 'FAILED', DENY],
  ])('a grant for %s: the doctor and the sandbox agree', async (_, parts, status, deny) => {
    await using env = await pairWithoutKeyPolicy();
    await createGrant(env, parts);
    if (deny)
      await changeKeyPolicy(env.client, EAST, (statements) => {
        statements.No = deny;
      });
    expect(await statusOf(env)).toBe(status);
    expect((await doctor(env)).rule).toBe(status === 'COMPLETED' ? 'proven' : 'broken');
  });
});

describe('reads of grants', () => {
  const listed = (env: TestEnv) => env.sandbox.log.counts()['kms:ListGrants'] ?? 0;

  test('a pass, a plan and the doctor read no grants while the policies allow', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.reconcile();
    await env.reconcileWith(TAX_SPEC.replace('Tax/', 'Tax/2026/'));
    await put(env, { Key: 'Tax/2026/1.pdf' });
    await diagnose(env.client.withCache(), [SOURCE], {
      locations: locationsOf(env.specs, 'us-east-1'),
      sampleSize: 10,
      now: Date.now,
    });
    expect(listed(env)).toBe(0);
  });

  test('the doctor reads the grants of the denied key alone, every page once', async () => {
    await using env = await pairWithoutKeyPolicy();
    for (let page = 0; page < 101; page++) await createGrant(env, { Operations: ['Encrypt'] });
    await createGrant(env);
    env.sandbox.log.reset();
    const { proofs } = await diagnose(env.client.withCache(), [SOURCE], {
      locations: locationsOf(env.specs, 'us-east-1'),
      sampleSize: 0,
      now: Date.now,
    });
    expect(proofs[0]?.verdict).toBe('proven');
    expect(listed(env)).toBe(2);
  });

  const DENIED = {
    match: 'ListGrants',
    times: 99,
    what: { status: 400, code: 'AccessDeniedException', message: 'no' },
  };
  test('the doctor cannot read grants: the verdict is unknown', async () => {
    await using env = await pairWithoutKeyPolicy();
    await createGrant(env);
    env.sandbox.faultSettings.faults = [{ ...DENIED, nth: 1 }];
    const { proofs } = await diagnose(env.client.withCache(), [SOURCE], {
      locations: locationsOf(env.specs, 'us-east-1'),
      sampleSize: 0,
      now: Date.now,
    });
    expect(proofs[0]?.verdict).toBe('unknown');
    expect(proofs[0]?.findings[0]).toMatchObject({ code: 'RK1901' });
    expect(proofs[0]?.findings[0]?.message).toContain('the grants of arn:aws:kms:us-east-1:');
  });
});

describe('plan of a role given by ARN that uses the key through a grant', () => {
  test('without a grant the plan is unproven; with a grant it is proven, also in the check before the switch', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const arn = await roleArn(env);
    // The external role has no permission for the source key, and no spec adds it to the policies.
    const external = TAX_SPEC.replace('  rules:', `  role: { arn: "${arn}" }\n  rules:`).replace(
      'key: alias/acme-tax }',
      `key: "${await keyOf(env.client, EAST)}" }`,
    );
    await withoutKeyPolicy(env);
    const blockedPlan = await env.reconcileWith(external, { dryRun: true });
    expect(blockedPlan.proof[0]?.verdict).toBe('broken');
    const { GrantId } = await createGrant(env);
    const proven = await env.reconcileWith(external, { dryRun: true });
    expect(proven.proof[0]?.verdict).toBe('proven');

    const changed = external.replace('prefix: Tax/', 'prefix: Tax/2026/');
    const { results } = await env.reconcileWith(changed);
    expect(results.filter(({ result }) => result !== 'applied')).toEqual([]);
    expect((await put(env, { Key: 'Tax/2026/1.pdf' }))?.replication?.status).toBe('COMPLETED');
    expect(GrantId).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('check before the switch of rules', () => {
  /** The check reads again until this time has passed. */
  const BRIEF = { propagationTimeoutMs: 400 };
  const changed = TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/2026/');
  const withRole = async (env: TestEnv, yaml: string) =>
    yaml
      .replace('  rules:', `  role: { arn: "${await roleArn(env)}" }\n  rules:`)
      .replace('key: alias/acme-tax }', `key: "${await keyOf(env.client, EAST)}" }`);
  const failedWith = ({ results }: Awaited<ReturnType<TestEnv['reconcile']>>) =>
    results.filter(({ result }) => result === 'failed').map(({ id, why }) => `${id} ${why}`);

  test('a grant that was revoked since the plan fails the step', async () => {
    await using env = await pairWithoutKeyPolicy();
    await createGrant(env);
    const outcome = await env.reconcileWith(await withRole(env, changed), {
      ...BRIEF,
      onPlan: () => {
        for (const key of env.sandbox.store.account('111122223333').keys.values()) key.grants = [];
      },
    });
    expect(failedWith(outcome)).toEqual([
      expect.stringMatching(
        /^s3\.replication\/acme-tax the rule ".*" would not replicate: RK1307 .*old rules stay/,
      ),
    ]);
  });

  test('a permission that was removed since the plan fails the step, although grants cannot be read', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const yaml = await withRole(env, changed);
    const account = env.sandbox.store.account('111122223333');
    const outcome = await env.reconcileWith(yaml, {
      ...BRIEF,
      onPlan: () => {
        const what = { status: 400, code: 'AccessDeniedException', message: 'no' };
        env.sandbox.faultSettings.faults = [{ match: 'ListGrants', nth: 1, times: 99, what }];
        account.roles.get(ROLE)?.inline.set(
          'replikey',
          JSON.stringify({
            Version: '2012-10-17',
            Statement: { Effect: 'Allow', Action: 's3:*', Resource: '*' },
          }),
        );
        for (const key of [...account.keys.values()].filter(({ region }) => region === 'us-east-1'))
          key.policy = JSON.stringify({
            Version: '2012-10-17',
            Statement: {
              Effect: 'Allow',
              Principal: { AWS: 'arn:aws:iam::111122223333:root' },
              Action: 'kms:*',
              Resource: '*',
            },
          });
      },
    });
    expect(failedWith(outcome)).toEqual([expect.stringMatching(/would not replicate: RK13.*old rules stay/)]);
  });
});

// AWS KMS API Reference: CreateGrant, ListGrants, RevokeGrant, RetireGrant.
describe('operations on grants', () => {
  test('CreateGrant: the same name and parameters return the same grant; without a name each call creates one', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const first = await createGrant(env, { Name: 'replication' });
    expect((await createGrant(env, { Name: 'replication' })).GrantId).toBe(first.GrantId);
    expect((await createGrant(env, { Name: 'replication', Operations: ['Encrypt'] })).GrantId).not.toBe(
      first.GrantId,
    );
    expect((await createGrant(env)).GrantId).not.toBe((await createGrant(env)).GrantId);
  });

  test.each<[string, Partial<CreateGrantCommandInput>, string]>([
    [
      'a role that does not exist',
      { GranteePrincipal: 'arn:aws:iam::111122223333:role/none' },
      'InvalidArnException',
    ],
    ['an unknown operation', { Operations: ['DeleteKey' as never] }, 'ValidationException'],
    ['an alias', { KeyId: 'alias/acme-tax' }, 'NotFoundException'],
    ['a dry run', { DryRun: true }, 'DryRunOperationException'],
  ])('CreateGrant: %s is refused', async (_, parts, name) => {
    await using env = await testEnv();
    await env.reconcile();
    await expect(createGrant(env, parts)).rejects.toMatchObject({ name });
  });

  test('ListGrants: lists the fields of each grant, in pages, and by grantee', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const KeyId = await keyOf(env.client, EAST);
    const GranteePrincipal = await roleArn(env);
    const Constraints = { EncryptionContextSubset: { team: 'tax' } };
    const { GrantId } = await createGrant(env, { Name: 'replication', Constraints });
    await createGrant(env, { GranteePrincipal: 'arn:aws:iam::111122223333:root' });
    const list = (parts: object) => env.client.send(EAST, new ListGrantsCommand({ KeyId, ...parts }));
    expect((await list({ GranteePrincipal })).Grants).toEqual([
      {
        KeyId,
        GrantId,
        Name: 'replication',
        CreationDate: expect.any(Date),
        GranteePrincipal,
        IssuingAccount: 'arn:aws:iam::111122223333:root',
        Operations: ['Decrypt'],
        Constraints,
      },
    ]);
    const first = await list({ Limit: 1 });
    expect([first.Truncated, first.Grants?.length]).toEqual([true, 1]);
    const second = await list({ Limit: 1, Marker: first.NextMarker });
    expect([second.Truncated, second.Grants?.length]).toEqual([false, 1]);
  });

  test('RetireGrant: the retiring principal ends the grant without a policy, and no other caller does', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const KeyId = await keyOf(env.client, EAST);
    const { GrantId } = await createGrant(env, { RetiringPrincipal: 'arn:aws:iam::444455556666:root' });
    const retire = new RetireGrantCommand({ KeyId, GrantId });
    await expect(clientOf(env.sandbox, '777788889999').send(EAST, retire)).rejects.toMatchObject({
      name: 'AccessDeniedException',
    });
    await clientOf(env.sandbox, '444455556666').send(EAST, new RetireGrantCommand({ KeyId, GrantId }));
    await expect(env.client.send(EAST, new RevokeGrantCommand({ KeyId, GrantId }))).rejects.toMatchObject({
      name: 'NotFoundException',
    });
  });
});
