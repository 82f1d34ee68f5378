import { expect, test } from 'vitest';
import { aWorld, TAX } from '../support/world.ts';

/** So many pairs that share the keys of the first, each with buckets and a role of its own. */
const sharing = (count: number): string =>
  Array.from({ length: count }, (_, index) =>
    TAX.replace('name: tax', `name: tax-${index}`)
      .replace('bucket: acme-tax,', `bucket: acme-tax-${index},`)
      .replace('bucket: acme-tax-replica,', `bucket: acme-tax-${index}-replica,`),
  ).join('---\n');

test('a key that too many pairs share is told before anything is written, with what KMS allows', async () => {
  await using world = await aWorld(sharing(100));
  const { plan } = await world.reconcile({ dryRun: true });
  const whys = plan.blocked.filter(({ id }) => id.startsWith('kms.key-policy/')).map(({ why }) => why);
  expect(whys).toHaveLength(2);
  for (const why of whys)
    expect(why).toMatch(/would have \d{5} bytes, and KMS allows 32768: let fewer specs use it/);
  const few = await world.with(sharing(20), { dryRun: true });
  expect(few.plan.blocked).toEqual([]);
});
