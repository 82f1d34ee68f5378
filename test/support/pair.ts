import * as z from 'zod';
import { resolveRule, ruleShape } from '../../src/spec/rule-fields.ts';
import type { BucketReplication, Rule, Side } from '../../src/spec/types.ts';

type PairOverrides = Partial<Omit<BucketReplication, 'source' | 'destination' | 'rules'>> & {
  source?: Partial<Side>;
  destination?: Partial<BucketReplication['destination']>;
  rules?: Partial<Rule>[];
};

/** Returns a resolved pair. A test sets only the fields that it needs. */
export function testPair({ source, destination, rules, ...rest }: PairOverrides = {}): BucketReplication {
  const bucket = source?.bucket ?? 'acme-tax';
  return {
    name: 'tax',
    labels: {},
    source: {
      bucket,
      region: 'us-east-1',
      key: { alias: 'alias/acme-tax' },
      replacedKeys: [],
      managed: true,
      bucketKey: true,
      defaultEncryption: 'SSE-KMS',
      ...source,
    },
    destination: {
      bucket: 'acme-tax-replica',
      region: 'us-west-2',
      key: { alias: 'alias/acme-tax-replica' },
      replacedKeys: [],
      managed: true,
      bucketKey: true,
      defaultEncryption: 'SSE-KMS',
      objectOwner: source?.accountId === destination?.accountId ? 'source' : 'destination',
      ...destination,
    },
    sourceKeys: [],
    role: { name: `replikey-${bucket}` },
    rules: (rules ?? [{}]).map((rule, index) => testRule({ name: `rule-${index + 1}`, ...rule })),
    rollout: 'wait',
    policy: { deletion: 'Retain', foreignRules: 'Preserve', adopt: 'IfCompatible', drainMs: 900_000 },
    positions: { '': { file: 'specs/tax.yaml', line: 1, column: 1 } },
    ...rest,
  };
}

/** Returns a rule with the defaults of the schema. */
export const testRule = (rule: Partial<Rule> = {}): Rule => ({
  ...resolveRule(z.strictObject(ruleShape).parse({ name: 'tax', prefix: 'Tax/' }), 'tax'),
  ...rule,
});
