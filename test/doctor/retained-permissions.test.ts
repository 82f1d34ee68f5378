import { expect, test } from 'vitest';
import { diagnose } from '../../src/doctor/diagnose.ts';
import { locationsOf } from '../../src/facts/locations.ts';
import type { Statement } from '../../src/iam/types.ts';
import { changeKeyPolicy, changeRules, keyOf, WEST } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const MOVED = TAX_SPEC.replace('key: alias/acme-tax-replica', 'key: alias/acme-tax-moved');
const START = Date.UTC(2026, 10, 30, 10, 0, 10);

/** A pair whose replica key changed, so that the policies of the role and of the old key retain permissions. */
async function changedPair(): Promise<TestEnv> {
  const env = await testEnv(TAX_SPEC, { clock: () => START });
  await env.reconcile();
  await env.reconcileWith(MOVED);
  return env;
}

async function findingsAt(env: TestEnv, minutes: number) {
  const { proofs } = await diagnose(env.client, ['acme-tax'], {
    locations: locationsOf(env.specs, 'us-east-1'),
    sampleSize: 0,
    now: () => START + minutes * 60_000,
  });
  return proofs.flatMap(({ findings }) => findings).filter(({ code }) => code.startsWith('RK131'));
}

/** Changes the retained statements of the role. */
function changeRetained({ sandbox }: TestEnv, change: (statement: Statement) => void): void {
  const role = sandbox.store.account('111122223333').roles.get('replikey-acme-tax');
  const policy = JSON.parse(role?.inline.get('replikey') ?? '') as { Statement: Statement[] };
  for (const statement of policy.Statement) if (statement.Sid?.startsWith('ReplikeyUntil')) change(statement);
  role?.inline.set('replikey', JSON.stringify(policy));
}

test('doctor: replaced permissions are no finding before they expire', async () => {
  await using env = await changedPair();
  expect(await findingsAt(env, 10)).toEqual([]);
});

test('doctor: reports replaced permissions that have expired, with their removal', async () => {
  await using env = await changedPair();
  const [finding, ...others] = await findingsAt(env, 20);
  expect([finding?.code, finding?.severity, others]).toEqual(['RK1315', 'info', []]);
  expect(finding?.message).toMatch(
    /^the policy replikey of the role arn:aws:iam::111122223333:role\/replikey-acme-tax contains ReplikeyUntil202611301017x[0-9a-f]{6}DestinationKeyTax: it expired at 2026-11-30T10:17:00.000Z; the next run of replikey removes it$/,
  );
  expect(finding?.fixes).toMatchObject([
    { remove: { Sid: expect.stringMatching(/^ReplikeyUntil/) }, policy: { kind: 'role' } },
  ]);
});

test('doctor: counts a replaced permission until AWS cuts it off, 24 hours after its expiry', async () => {
  await using env = await changedPair();
  // The replica key is the old one again, which only the retained statement of the role grants.
  await changeKeyPolicy(env.client, WEST, (statements) => {
    for (const sid of Object.keys(statements)) if (sid.startsWith('Replikey')) delete statements[sid];
  });
  const ReplicaKmsKeyID = await keyOf(env.client, WEST);
  await changeRules(env.client, (rules) =>
    rules.map((rule) => ({
      ...rule,
      Destination: { Bucket: '', ...rule.Destination, EncryptionConfiguration: { ReplicaKmsKeyID } },
    })),
  );
  const verdictAt = async (minutes: number) => {
    const { proofs } = await diagnose(env.client, ['acme-tax'], {
      locations: locationsOf(env.specs, 'us-east-1'),
      sampleSize: 0,
      now: () => START + minutes * 60_000,
    });
    return proofs[0];
  };
  expect((await verdictAt(20))?.verdict).toBe('proven');
  expect((await verdictAt(17 + 24 * 60 - 1))?.verdict).toBe('proven');
  const ended = await verdictAt(17 + 24 * 60);
  expect(ended?.verdict).toBe('broken');
  expect(ended?.findings.filter(({ severity }) => severity === 'error').map(({ code }) => code)).toEqual([
    'RK1313',
    'RK1313',
    'RK1312',
  ]);
});

test('doctor: reports a replaced permission that another caller changed', async () => {
  await using env = await changedPair();
  changeRetained(env, (statement) => {
    statement.Resource = '*';
  });
  const [finding] = await findingsAt(env, 10);
  expect([finding?.code, finding?.severity]).toEqual(['RK1316', 'warning']);
  expect(finding?.message).toContain(
    'it differs from the statement that replikey wrote, so no run removes it',
  );
});

test('doctor: reports a replaced permission that expires later than replikey sets', async () => {
  await using env = await changedPair();
  changeRetained(env, (statement) => {
    statement.Sid = statement.Sid?.replace('20261130', '20271130') ?? '';
  });
  const [finding] = await findingsAt(env, 10);
  expect(finding?.code).toBe('RK1316');
  expect(finding?.message).toContain('it expires at 2027-11-30T10:17:00.000Z, later than any statement');
});
