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
