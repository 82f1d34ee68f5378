import type { ReplicationRule, ReplicationRuleFilter } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import type { RuleContext } from '../../src/proof/rule-context.ts';
import { ruleFindings } from '../../src/proof/rule-match.ts';

const rule = (ID: string, Priority: number, Filter: ReplicationRuleFilter): ReplicationRule => ({
  ID,
  Priority,
  Status: 'Enabled',
  Filter,
  Destination: { Bucket: 'arn:aws:s3:::acme-tax-replica', Metrics: { Status: 'Enabled' } },
});

/** Codes of the findings about a rule beside a rule with a higher priority. */
const codesOf = (filter: ReplicationRuleFilter, higher?: ReplicationRuleFilter) => {
  const subject = rule('subject', 1, filter);
  const rules = [subject, ...(higher ? [rule('higher', 2, higher)] : [])];
  return ruleFindings({ rule: subject, rules } as unknown as RuleContext, []).map(({ code }) => code);
};

// "An object is excluded from the replication rule if it matches any of the specified filters" (SDK reference).
test.each<[string, ReplicationRuleFilter, ReplicationRuleFilter | undefined, string[]]>([
  ['an exclusion below the prefix', { And: { Prefix: 'Tax/', Not: { Prefix: 'Tax/Tmp/' } } }, undefined, []],
  [
    'an exclusion beside the prefix',
    { And: { Prefix: 'Tax/', Not: { Prefix: 'Tmp/' } } },
    undefined,
    ['RK1013'],
  ],
  ['an exclusion of the prefix', { And: { Prefix: 'Tax/', Not: { Prefix: 'Ta' } } }, undefined, ['RK1014']],
  [
    'an exclusion of a required tag',
    { And: { Tags: [{ Key: 'a', Value: 'b' }], Not: { Tag: { Key: 'a', Value: 'b' } } } },
    undefined,
    ['RK1014'],
  ],
  ['a higher rule for everything', { Prefix: 'Tax/' }, { Prefix: '' }, ['RK1004']],
  ['a higher rule that excludes the prefix', { Prefix: 'Tax/' }, { Not: { Prefix: 'Tax/' } }, []],
  [
    'a higher rule that excludes a part of the prefix',
    { Prefix: 'Tax/' },
    { Not: { Prefix: 'Tax/a' } },
    ['RK1005'],
  ],
  ['a higher rule that excludes another prefix', { Prefix: 'Tax/' }, { Not: { Prefix: 'Tmp/' } }, ['RK1004']],
  [
    'a higher rule that excludes a tag',
    { Prefix: 'Tax/' },
    { Not: { Tag: { Key: 'a', Value: 'b' } } },
    ['RK1005'],
  ],
  [
    'a higher rule with the same exclusion',
    { And: { Prefix: 'Tax/', Not: { Prefix: 'Tax/a' } } },
    { Not: { Prefix: 'Tax/a' } },
    ['RK1004'],
  ],
])('ruleFindings: %s', (_, filter, higher, codes) => {
  expect(codesOf(filter, higher)).toEqual(codes);
});
