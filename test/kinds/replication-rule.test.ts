import type { ReplicationRule } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromS3Rule, type RuleSpec, toRuleSpec, toS3Rule } from '../../src/kinds/replication-rule.ts';
import { isV1Rule } from '../../src/spec/rule-fields.ts';
import { canonicalJson } from '../../src/util/canonical-json.ts';
import { testRule } from '../support/pair.ts';

const KEY = 'arn:aws:kms:us-west-2:111122223333:key/11111111-2222-3333-4444-555555555555';
const BUCKET = 'arn:aws:s3:::acme-tax-replica';

const { name: _, ...defaultSettings } = testRule();
const aRule = (more: Partial<RuleSpec> = {}): RuleSpec => ({
  ...toRuleSpec(defaultSettings, { destination: BUCKET, replicaKmsKeyId: KEY }),
  priority: 1,
  ...more,
});
const fromS3 = (more: Partial<ReplicationRule> = {}): ReplicationRule => ({
  Status: 'Enabled',
  Priority: 1,
  Filter: { Prefix: 'Tax/' },
  DeleteMarkerReplication: { Status: 'Disabled' },
  Destination: { Bucket: BUCKET },
  ...more,
});

describe('toS3Rule', () => {
  test('sends SseKmsEncryptedObjects together with the replica key, because S3 refuses either alone', () => {
    const rule = toS3Rule('r', aRule());
    expect(rule.SourceSelectionCriteria).toEqual({ SseKmsEncryptedObjects: { Status: 'Enabled' } });
    expect(rule.Destination?.EncryptionConfiguration).toEqual({ ReplicaKmsKeyID: KEY });
  });
  test('sends an event threshold only with replication time control, because S3 refuses it otherwise', () => {
    expect(toS3Rule('r', aRule()).Destination?.Metrics).toEqual({ Status: 'Enabled' });
    expect(toS3Rule('r', aRule()).Destination).not.toHaveProperty('ReplicationTime');
    const { Destination } = toS3Rule('r', aRule({ replicationTimeControl: true }));
    expect(Destination?.Metrics).toEqual({ Status: 'Enabled', EventThreshold: { Minutes: 15 } });
    expect(Destination?.ReplicationTime).toEqual({ Status: 'Enabled', Time: { Minutes: 15 } });
  });
  test('omits an empty SourceSelectionCriteria, because S3 refuses it', () => {
    expect(toS3Rule('r', aRule({ sseKmsEncryptedObjects: false }))).not.toHaveProperty(
      'SourceSelectionCriteria',
    );
  });
  test('always sends Filter, Priority and DeleteMarkerReplication, so the rule is a V2 rule', () => {
    const rule = toS3Rule('r', aRule({ prefix: '' }));
    expect(rule).toMatchObject({
      Filter: { Prefix: '' },
      Priority: 1,
      DeleteMarkerReplication: { Status: 'Disabled' },
    });
    expect(isV1Rule(rule)).toBe(false);
  });
  test('wraps two or more predicates in And, but not a single one', () => {
    const filterOf = (more: Partial<RuleSpec>) => toS3Rule('r', aRule(more)).Filter;
    expect(filterOf({ prefix: '', tags: { a: '1' } })).toEqual({ Tag: { Key: 'a', Value: '1' } });
    expect(filterOf({ tags: { a: '1' } })).toEqual({
      And: { Prefix: 'Tax/', Tags: [{ Key: 'a', Value: '1' }] },
    });
    expect(filterOf({ prefix: '', tags: { b: '2', a: '1' } })).toEqual({
      And: {
        Tags: [
          { Key: 'a', Value: '1' },
          { Key: 'b', Value: '2' },
        ],
      },
    });
  });
  test('never sends ExistingObjectReplication, because S3 refuses it with MalformedXML', () => {
    expect(toS3Rule('r', aRule())).not.toHaveProperty('ExistingObjectReplication');
  });
});

describe('fromS3Rule: equivalent forms are equal', () => {
  const equivalents: [string, Partial<ReplicationRule>, Partial<ReplicationRule>][] = [
    ['an empty filter and an empty prefix', { Filter: {} }, { Filter: { Prefix: '' } }],
    [
      'Disabled metrics and no metrics',
      { Destination: { Bucket: BUCKET, Metrics: { Status: 'Disabled' } } },
      { Destination: { Bucket: BUCKET } },
    ],
    [
      'Disabled replication time control and none',
      { Destination: { Bucket: BUCKET, ReplicationTime: { Status: 'Disabled', Time: { Minutes: 15 } } } },
      { Destination: { Bucket: BUCKET } },
    ],
    [
      'Disabled replica modifications and none',
      { SourceSelectionCriteria: { ReplicaModifications: { Status: 'Disabled' } } },
      {},
    ],
    [
      'tags in another order',
      {
        Filter: {
          And: {
            Tags: [
              { Key: 'b', Value: '2' },
              { Key: 'a', Value: '1' },
            ],
          },
        },
      },
      {
        Filter: {
          And: {
            Tags: [
              { Key: 'a', Value: '1' },
              { Key: 'b', Value: '2' },
            ],
          },
        },
      },
    ],
  ];
  test.each(equivalents)('%s', (_, left, right) => {
    expect(canonicalJson(fromS3Rule(fromS3(left)))).toBe(canonicalJson(fromS3Rule(fromS3(right))));
  });

  test('isV1Rule: distinguishes a V1 rule, which replicates delete markers, from a rule with Disabled delete markers', () => {
    const { Filter: _, DeleteMarkerReplication: __, ...old } = fromS3({ Prefix: 'Tax/' });
    expect(isV1Rule(old)).toBe(true);
    expect(fromS3Rule(old)).toMatchObject({ prefix: 'Tax/' });
  });
});

test('fromS3Rule: reverses toS3Rule for random rules', () => {
  const text = fc.string({ maxLength: 12 });
  const rule: fc.Arbitrary<RuleSpec> = fc
    .record({
      status: fc.constantFrom('Enabled' as const, 'Disabled' as const),
      priority: fc.nat(),
      prefix: text,
      tags: fc.dictionary(text, text, { maxKeys: 3 }),
      deleteMarkerReplication: fc.boolean(),
      sseKmsEncryptedObjects: fc.boolean(),
      replicaModifications: fc.boolean(),
      storageClass: fc.option(fc.constantFrom('GLACIER', 'STANDARD_IA'), { nil: undefined }),
      replicationTimeControl: fc.boolean(),
      metrics: fc.boolean(),
    })
    .map((fields) => {
      const { storageClass, ...otherFields } = fields;
      const metrics = fields.metrics || fields.replicationTimeControl;
      return aRule({ ...otherFields, metrics, ...(storageClass === undefined ? {} : { storageClass }) });
    });
  fc.assert(
    fc.property(rule, (spec) => {
      expect(canonicalJson(fromS3Rule(toS3Rule('r', spec)))).toBe(canonicalJson(spec));
    }),
  );
});
