import {
  GetBucketReplicationCommand,
  PutBucketPolicyCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { collectReplicationFacts } from '../../src/facts/collect.ts';
import { locationsOf } from '../../src/facts/locations.ts';
import { proveRules } from '../../src/proof/prove.ts';
import { mismatchReason } from '../../src/proof/rule-match.ts';
import { changeRules, EAST, put, SOURCE } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

/*
 * Filter.Not: "A container for specifying a filter that excludes matching objects from the replication rule. Specify
 * exactly one Prefix, Tag, or Or child element"; Or: "An object is excluded from the replication rule if it matches any
 * of the specified filters" (AWS SDK for JavaScript, client-s3 3.1175.0, ReplicationRuleNotOperator).
 */

const withFilter = (filter: string) => TAX_SPEC.replace('- prefix: Tax/', `- filter: ${filter}`);
const EXCLUDING = withFilter(
  '{ prefix: "", exclude: { prefixes: [Tmp/, Logs/], tags: { replicate: "no" } } }',
);

async function rulesOf(env: TestEnv): Promise<ReplicationRule[]> {
  const { ReplicationConfiguration } = await env.client.send(
    EAST,
    new GetBucketReplicationCommand({ Bucket: SOURCE }),
  );
  return ReplicationConfiguration?.Rules ?? [];
}

async function proofOf(env: TestEnv) {
  const facts = await collectReplicationFacts(
    env.client,
    [SOURCE],
    locationsOf({ pairs: [], accounts: [] }, 'us-east-1'),
  );
  return proveRules(facts, SOURCE);
}

describe('exclusions', () => {
  test('S3 replicates exactly the objects that no excluded prefix and no excluded tag matches', async () => {
    await using env = await testEnv(EXCLUDING);
    await env.reconcile();
    expect((await rulesOf(env))[0]?.Filter).toEqual({
      Not: { Or: { Prefixes: ['Logs/', 'Tmp/'], Tags: [{ Key: 'replicate', Value: 'no' }] } },
    });
    const statusOf = async (Key: string, Tagging = '') =>
      (await put(env, { Key, Tagging }))?.replication?.status;
    expect(await statusOf('Tax/a')).toBe('COMPLETED');
    expect(await statusOf('Tmp/a')).toBeUndefined();
    expect(await statusOf('Logs/a')).toBeUndefined();
    // Prefixes are compared from the beginning of the key.
    expect(await statusOf('Tax/Tmp/a')).toBe('COMPLETED');
    expect(await statusOf('Tax/b', 'replicate=no')).toBeUndefined();
    expect(await statusOf('Tax/c', 'replicate=yes')).toBe('COMPLETED');
    expect((await env.reconcile()).plan.waves).toEqual([]);
  });

  test('doctor and sandbox agree on each object', async () => {
    await using env = await testEnv(EXCLUDING);
    await env.reconcile();
    const rules = await rulesOf(env);
    for (const [key, tags] of [
      ['Tax/a', []],
      ['Tmp/a', []],
      ['Tmp', []],
      ['Tax/b', ['replicate=no']],
      ['Tax/c', ['replicate=yes']],
      ['Tax/d', ['a=b', 'replicate=no']],
    ] satisfies [string, string[]][]) {
      const version = await put(env, { Key: key, Tagging: tags.join('&') });
      const object = { key, tags, deleteMarker: false, encryption: { algorithm: 'AES256' as const } };
      const reason = mismatchReason(rules[0] as ReplicationRule, object, rules);
      expect([key, tags, reason]).toEqual([
        key,
        tags,
        version?.replication === undefined ? expect.stringContaining('excludes') : undefined,
      ]);
    }
  });

  test('a policy that denies only excluded keys does not stop the rule', async () => {
    await using env = await testEnv(withFilter('{ prefix: "", exclude: { prefixes: [Tmp/] } }'));
    await env.reconcile();
    const deny = (pattern: string) =>
      env.client.send(
        EAST,
        new PutBucketPolicyCommand({
          Bucket: SOURCE,
          Policy: JSON.stringify({
            Version: '2012-10-17',
            Statement: {
              Effect: 'Deny',
              Principal: '*',
              Action: 's3:GetObject*',
              Resource: `arn:aws:s3:::${SOURCE}/${pattern}`,
            },
          }),
        }),
      );
    await deny('Tmp/*');
    expect((await proofOf(env))[0]).toMatchObject({ verdict: 'proven', findings: [] });
    expect((await put(env, { Key: 'Tax/a' }))?.replication?.status).toBe('COMPLETED');
    await deny('Tax/*');
    expect((await proofOf(env))[0]?.verdict).toBe('broken');
  });

  test.each([
    ['one prefix', '{ prefix: "", exclude: { prefixes: [Tmp/] } }', { Not: { Prefix: 'Tmp/' } }],
    ['one tag', '{ prefix: "", exclude: { tags: { a: b } } }', { Not: { Tag: { Key: 'a', Value: 'b' } } }],
    [
      'one prefix below the prefix of the rule',
      '{ prefix: Tax/, exclude: { prefixes: [Tax/Tmp/] } }',
      { And: { Prefix: 'Tax/', Not: { Prefix: 'Tax/Tmp/' } } },
    ],
    [
      'tags beside the tags of the rule',
      '{ tags: { a: b }, exclude: { tags: { d: e, c: d } } }',
      {
        And: {
          Tags: [{ Key: 'a', Value: 'b' }],
          Not: {
            Or: {
              Tags: [
                { Key: 'c', Value: 'd' },
                { Key: 'd', Value: 'e' },
              ],
            },
          },
        },
      },
    ],
  ])('S3 accepts and keeps %s, and the next plan is empty', async (_, filter, expected) => {
    await using env = await testEnv(withFilter(filter));
    await env.reconcile();
    expect((await rulesOf(env))[0]?.Filter).toEqual(expected);
    expect((await env.reconcile()).plan.waves).toEqual([]);
  });

  test('a change from outside is drift, and the plan names the exclusion', async () => {
    await using env = await testEnv(EXCLUDING);
    await env.reconcile();
    await changeRules(env.client, ([rule]) => [
      { ...rule, Filter: { Not: { Prefix: 'Tmp/' } } } as ReplicationRule,
    ]);
    const { plan } = await env.reconcile({ dryRun: true });
    const [step] = plan.waves.flat();
    expect(step?.patch.map(({ path }) => path)).toEqual([
      expect.stringMatching(/^\/rules\/replikey~1tax~1all\/exclude\/prefixes/),
      '/rules/replikey~1tax~1all/exclude/tags/replicate',
    ]);
  });
});
