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

/** A list in another order: turned by some places, and perhaps round. */
type Turn = <T>(list: readonly T[]) => T[];

/** The lists of a policy, and whether a list of one is a list at all, are nothing that AWS keeps. */
function turnedPolicy(text: string, turn: Turn): string {
  const anew = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      const list = turn(value.map(anew));
      return list.length === 1 ? list[0] : list;
    }
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(turn(Object.entries(value)).map(([key, one]) => [key, anew(one)]));
  };
  const policy = JSON.parse(text) as { Statement: unknown[] };
  return JSON.stringify({ ...policy, Statement: turn(policy.Statement.map(anew)) });
}

const turnedMap = <K, V>(map: Map<K, V>, turn: Turn): Map<K, V> => new Map(turn([...map]));

/** Give everything back in another order. */
function turnEverything({ sandbox }: TestEnv, turn: Turn): void {
  for (const bucket of sandbox.store.buckets()) {
    if (bucket.policy !== undefined) bucket.policy = turnedPolicy(bucket.policy, turn);
    if (bucket.replication?.Rules) {
      bucket.replication.Rules = turn(bucket.replication.Rules).map((rule) => {
        const tags = rule.Filter?.And?.Tags;
        return tags ? { ...rule, Filter: { And: { ...rule.Filter?.And, Tags: turn(tags) } } } : rule;
      });
    }
  }
  for (const account of sandbox.store.accounts()) {
    for (const role of account.roles.values()) {
      role.trust = turnedPolicy(role.trust, turn);
      role.inline = new Map([...role.inline].map(([name, text]) => [name, turnedPolicy(text, turn)]));
      role.tags = turnedMap(role.tags, turn);
    }
    for (const key of account.keys.values()) key.policy = turnedPolicy(key.policy, turn);
  }
}

test('in whatever order rules, tags, statements, actions and principals come back, no difference is shown', async () => {
  await using env = await testEnv([ACCOUNTS, ...SPECS, TAGGED].join('---\n'));
  await env.reconcile();
  await fc.assert(
    fc.asyncProperty(fc.nat(5), fc.boolean(), async (places, round) => {
      const turn: Turn = (list) => {
        const turned = [
          ...list.slice(places % (list.length || 1)),
          ...list.slice(0, places % (list.length || 1)),
        ];
        return round ? turned.reverse() : turned;
      };
      turnEverything(env, turn);
      expect((await env.reconcile()).plan.waves).toEqual([]);
    }),
    { numRuns: 25 },
  );
});
