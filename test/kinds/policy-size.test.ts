import { PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { expect, test } from 'vitest';
import { TAX_SPEC, testEnv } from '../support/env.ts';

/** Pairs that share their keys; each has its own buckets and role. */
const pairsSharingKeys = (count: number): string =>
  Array.from({ length: count }, (_, index) =>
    TAX_SPEC.replace('name: tax', `name: tax-${index}`)
      .replace('bucket: acme-tax,', `bucket: acme-tax-${index},`)
      .replace('bucket: acme-tax-replica,', `bucket: acme-tax-${index}-replica,`),
  ).join('---\n');

test('kms.key-policy: blocks a policy above the size limit of KMS before any write', async () => {
  await using env = await testEnv(pairsSharingKeys(100));
  const { plan } = await env.reconcile({ dryRun: true });
  const reasons = plan.blocked.filter(({ id }) => id.startsWith('kms.key-policy/')).map(({ why }) => why);
  expect(reasons).toHaveLength(2);
  for (const why of reasons)
    expect(why).toMatch(/would have \d{5} bytes, but KMS allows 32768; use the key in fewer specs/);
  const smaller = await env.reconcileWith(pairsSharingKeys(20), { dryRun: true });
  expect(smaller.plan.blocked).toEqual([]);
});

test('kms.key-policy: above the size limit, blocks the newest pairs and keeps the entries of all others', async () => {
  await using env = await testEnv();
  const { remaining } = await env.reconcileWith(pairsSharingKeys(20));
  expect(remaining?.waves).toEqual([]);
  const before = env.client.calls.writes;
  const { plan } = await env.reconcileWith(pairsSharingKeys(90), { dryRun: true });
  const blocked = new Set(plan.blocked.flatMap(({ pairs }) => pairs));
  const indices = [...blocked].map((name) => Number(name.slice('tax-'.length))).sort((a, b) => a - b);
  expect(indices[0]).toBeGreaterThanOrEqual(20);
  // The newest are blocked, and no pair between them.
  expect(indices).toEqual(Array.from({ length: indices.length }, (_, index) => 90 - indices.length + index));
  const changed = new Set(plan.waves.flat().flatMap(({ pairs }) => pairs));
  expect([...blocked].filter((name) => changed.has(name))).toEqual([]);
  expect(changed.has('tax-20')).toBe(true);
  expect(env.client.calls.writes).toBe(before);
});

// IAM quotas: the inline policies of a role have at most 10,240 characters together, white space not counted.
test('iam.role-policy: counts the other inline policies of the role', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const resources = Array.from({ length: 250 }, (_, index) => `arn:aws:s3:::other-bucket-${index}/*`);
  const Statement = { Effect: 'Allow', Action: 's3:GetObject', Resource: resources };
  await env.client.send(
    { region: 'us-east-1' },
    new PutRolePolicyCommand({
      RoleName: 'replikey-acme-tax',
      PolicyName: 'other',
      PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement }, undefined, 2),
    }),
  );
  const wider = TAX_SPEC.replace(
    '  rules:\n    - prefix: Tax/',
    `  rules:\n${Array.from({ length: 20 }, (_, index) => `    - prefix: Archive/${index}/of/the/year/`).join('\n')}\n    - prefix: Tax/`,
  );
  const { plan } = await env.reconcileWith(wider, { dryRun: true });
  expect(plan.blocked.map(({ id }) => id)).toEqual(['iam.role-policy/replikey-acme-tax']);
  expect(plan.blocked[0]?.why).toMatch(
    /^the inline policies of the role replikey-acme-tax would have \d+ characters \(\d+ in replikey, \d+ in others\), but IAM allows 10240/,
  );
  // The other policy alone is far below the limit, and so is that of replikey.
  const [, own = 0, other = 0] =
    /\((\d+) in replikey, (\d+) in others/.exec(plan.blocked[0]?.why ?? '') ?? [];
  expect(Number(own)).toBeLessThan(10_240);
  expect(Number(other)).toBeLessThan(10_240);
});
