import { expect, test } from 'vitest';
import { TAX_SPEC, testEnv } from '../support/env.ts';

/** So many pairs that share the keys of the first, each with buckets and a role of its own. */
const sharing = (count: number): string =>
  Array.from({ length: count }, (_, index) =>
    TAX_SPEC.replace('name: tax', `name: tax-${index}`)
      .replace('bucket: acme-tax,', `bucket: acme-tax-${index},`)
      .replace('bucket: acme-tax-replica,', `bucket: acme-tax-${index}-replica,`),
  ).join('---\n');

test('a key that too many pairs share is told before anything is written, with what KMS allows', async () => {
  await using env = await testEnv(sharing(100));
  const { plan } = await env.reconcile({ dryRun: true });
  const whys = plan.blocked.filter(({ id }) => id.startsWith('kms.key-policy/')).map(({ why }) => why);
  expect(whys).toHaveLength(2);
  for (const why of whys)
    expect(why).toMatch(/would have \d{5} bytes, but KMS allows 32768; use the key in fewer specs/);
  const few = await env.reconcileWith(sharing(20), { dryRun: true });
  expect(few.plan.blocked).toEqual([]);
});
