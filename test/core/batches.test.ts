import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batchPairs } from '../../src/core/batches.ts';
import { sharedResourceKeysOf } from '../../src/core/desired.ts';
import type { BucketReplication } from '../../src/spec/types.ts';
import { testPair } from '../support/pair.ts';

/** Pairs whose buckets, roles and keys are few, so that many share some. */
const pairs = fc
  .array(fc.record({ source: fc.nat(30), destination: fc.nat(30), key: fc.nat(30), role: fc.nat(30) }), {
    maxLength: 60,
  })
  .map((some) =>
    some.map(({ source, destination, key, role }, index): BucketReplication => {
      const pair = testPair();
      return {
        ...pair,
        name: `pair-${index}`,
        source: { ...pair.source, bucket: `source-${source}`, key: { alias: `alias/${key}` } },
        destination: { ...pair.destination, bucket: `destination-${destination}` },
        role: { name: `role-${role}` },
      };
    }),
  );

test('every pair is in one batch, and no two batches have anything in common', () => {
  fc.assert(
    fc.property(pairs, fc.integer({ min: 1, max: 20 }), (some, least) => {
      const result = batchPairs(some, least);
      expect(
        result
          .flat()
          .map(({ name }) => name)
          .sort(),
      ).toEqual(some.map(({ name }) => name).sort());
      const seen = new Map<string, number>();
      for (const [index, batch] of result.entries()) {
        for (const thing of batch.flatMap(sharedResourceKeysOf)) {
          expect(seen.get(thing) ?? index).toBe(index);
          seen.set(thing, index);
        }
      }
    }),
  );
});

test('a batch keeps the order of the pairs, and has enough of them, but for the last', () => {
  fc.assert(
    fc.property(pairs, fc.integer({ min: 1, max: 20 }), (some, least) => {
      const at = new Map(some.map(({ name }, index) => [name, index]));
      const result = batchPairs(some, least);
      for (const batch of result) {
        const order = batch.map(({ name }) => at.get(name) ?? -1);
        expect(order).toEqual([...order].sort((a, b) => a - b));
      }
      for (const batch of result.slice(0, -1)) expect(batch.length).toBeGreaterThanOrEqual(least);
    }),
  );
});

test('what is given by ARN keeps nothing together', () => {
  const arn = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
  const some = Array.from({ length: 6 }, (_, index): BucketReplication => {
    const pair = testPair();
    return {
      ...pair,
      name: `pair-${index}`,
      source: { ...pair.source, bucket: `source-${index}`, key: { arn } },
      destination: { ...pair.destination, bucket: `destination-${index}`, key: { arn } },
      role: { arn: 'arn:aws:iam::111122223333:role/replication' },
    };
  });
  expect(batchPairs(some, 2).map((batch) => batch.length)).toEqual([2, 2, 2]);
});
