import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type TestEnv, testEnv } from '../support/env.ts';

const ACCOUNTS = await readFile('specs/examples/accounts.yaml', 'utf8');
const SPECS = await Promise.all(
  ['cross-account.yaml', 'shared-source.yaml', 'fan-in.yaml'].map((file) =>
    readFile(`specs/examples/${file}`, 'utf8'),
  ),
);
const TAGGED = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tagged }
spec:
  source: { bucket: acme-tagged, region: us-east-1, key: alias/acme-tagged }
  destination: { bucket: acme-tagged-replica, region: us-west-2, key: alias/acme-tagged-replica }
  role: { tags: { a: "1", b: "2", c: "3" } }
  rules:
    - name: gold
      filter: { prefix: Gold/, tags: { tier: gold, stage: live, team: tax } }
    - { prefix: A/ }
    - { prefix: B/ }
`;

/** Returns a list in another order. */
type Reorder = <T>(list: readonly T[]) => T[];

/** Reorders the lists of a policy, and unwraps lists of one element: AWS preserves neither. */
function reorderPolicy(text: string, reorder: Reorder): string {
  const reorderValue = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      const list = reorder(value.map(reorderValue));
      return list.length === 1 ? list[0] : list;
    }
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(reorder(Object.entries(value)).map(([key, item]) => [key, reorderValue(item)]));
  };
  const policy = JSON.parse(text) as { Statement: unknown[] };
  return JSON.stringify({ ...policy, Statement: reorder(policy.Statement.map(reorderValue)) });
}

const reorderMap = <K, V>(map: Map<K, V>, reorder: Reorder): Map<K, V> => new Map(reorder([...map]));

/** Reorders every list that the sandbox stores. */
function reorderStore({ sandbox }: TestEnv, reorder: Reorder): void {
  for (const bucket of sandbox.store.buckets()) {
    if (bucket.policy !== undefined) bucket.policy = reorderPolicy(bucket.policy, reorder);
    if (bucket.replication?.Rules) {
      bucket.replication.Rules = reorder(bucket.replication.Rules).map((rule) => {
        const tags = rule.Filter?.And?.Tags;
        return tags ? { ...rule, Filter: { And: { ...rule.Filter?.And, Tags: reorder(tags) } } } : rule;
      });
    }
  }
  for (const account of sandbox.store.accounts()) {
    for (const role of account.roles.values()) {
      role.trust = reorderPolicy(role.trust, reorder);
      role.inline = new Map([...role.inline].map(([name, text]) => [name, reorderPolicy(text, reorder)]));
      role.tags = reorderMap(role.tags, reorder);
    }
    for (const key of account.keys.values()) key.policy = reorderPolicy(key.policy, reorder);
  }
}

test('plan: is empty for any order of rules, tags, statements, actions and principals', async () => {
  await using env = await testEnv([ACCOUNTS, ...SPECS, TAGGED].join('---\n'));
  await env.reconcile();
  await fc.assert(
    fc.asyncProperty(fc.nat(5), fc.boolean(), async (offset, isReversed) => {
      const reorder: Reorder = (list) => {
        const rotated = [
          ...list.slice(offset % (list.length || 1)),
          ...list.slice(0, offset % (list.length || 1)),
        ];
        return isReversed ? rotated.reverse() : rotated;
      };
      reorderStore(env, reorder);
      expect((await env.reconcile()).plan.waves).toEqual([]);
    }),
    { numRuns: 25 },
  );
});
