import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { aWorld } from '../support/world.ts';

const REMOVE = '  policy: { deletion: Remove }\n';
const [claims = '', appeals = ''] = (await readFile('specs/examples/shared-source.yaml', 'utf8')).split(
  '---\n',
);
const both = `${claims}${REMOVE}---\n${appeals}${REMOVE}`;

test('what no spec declares any more is taken away only when asked for: the rule first, then its permissions', async () => {
  await using world = await aWorld(both);
  await world.reconcile();
  expect((await world.with(`${appeals}${REMOVE}`)).plan.waves).toEqual([]);

  world.sandbox.log.reset();
  const { plan, results, left } = await world.with(`${appeals}${REMOVE}`, { prune: true });
  expect(plan.waves.flat().map(({ id, patch }) => [id, patch.every(({ op }) => op === 'remove')])).toEqual([
    ['iam.role-policy/replikey-acme-cases', true],
    ['kms.key-policy/alias/acme-cases@us-east-1', true],
    ['s3.replication/acme-cases', true],
  ]);
  expect(results.every(({ result }) => result === 'applied')).toBe(true);
  expect(left?.waves).toEqual([]);
  const writes = world.sandbox.log.entries.filter(({ write }) => write).map(({ operation }) => operation);
  expect(writes[0]).toBe('PutBucketReplication');
  expect(writes.sort()).toEqual(['PutBucketReplication', 'PutKeyPolicy', 'PutRolePolicy']);

  // Buckets, keys and objects stay, always.
  expect([...world.sandbox.store.buckets()].map(({ name }) => name)).toContain('acme-claims-replica');
  const rules = world.sandbox.store.bucket('acme-cases')?.replication?.Rules?.map(({ ID }) => ID);
  expect(rules).toEqual(['replikey/appeals/appeals', 'replikey/appeals/urgent']);
  const again = await world.with(`${appeals}${REMOVE}`, { prune: true });
  expect(again.plan.waves).toEqual([]);
});

test('nothing is taken away from what a spec shares that says Retain', async () => {
  await using world = await aWorld(both);
  await world.reconcile();
  expect((await world.with(appeals, { prune: true })).plan.waves).toEqual([]);
});
