import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batchPairs } from '../../src/core/batches.ts';
import { sharedResourceKeysOf } from '../../src/core/desired.ts';
import type { BucketReplication } from '../../src/spec/types.ts';
import { testPair } from '../support/pair.ts';

/** Pairs with few distinct buckets, roles and keys, so that many pairs share resources. */
const pairs = fc
  .array(fc.record({ source: fc.nat(30), destination: fc.nat(30), key: fc.nat(30), role: fc.nat(30) }), {
    maxLength: 60,
  })
  .map((indices) =>
    indices.map(({ source, destination, key, role }, index): BucketReplication => {
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

test('batchPairs: puts every pair in one batch, and no resource in two batches', () => {
  fc.assert(
    fc.property(pairs, fc.integer({ min: 1, max: 20 }), (allPairs, minSize) => {
      const result = batchPairs(allPairs, minSize);
      expect(
        result
          .flat()
          .map(({ name }) => name)
          .sort(),
      ).toEqual(allPairs.map(({ name }) => name).sort());
      const batchByResource = new Map<string, number>();
      for (const [index, batch] of result.entries()) {
        for (const resource of batch.flatMap(sharedResourceKeysOf)) {
          expect(batchByResource.get(resource) ?? index).toBe(index);
          batchByResource.set(resource, index);
        }
      }
    }),
  );
});

test('batchPairs: keeps the order of the pairs, and fills every batch but the last', () => {
  fc.assert(
    fc.property(pairs, fc.integer({ min: 1, max: 20 }), (allPairs, minSize) => {
      const indexByName = new Map(allPairs.map(({ name }, index) => [name, index]));
      const result = batchPairs(allPairs, minSize);
      for (const batch of result) {
        const order = batch.map(({ name }) => indexByName.get(name) ?? -1);
        expect(order).toEqual([...order].sort((a, b) => a - b));
      }
      for (const batch of result.slice(0, -1)) expect(batch.length).toBeGreaterThanOrEqual(minSize);
    }),
  );
});

test('batchPairs: separates pairs that share only resources given by ARN', () => {
  const arn = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
  const pairsByArn = Array.from({ length: 6 }, (_, index): BucketReplication => {
    const pair = testPair();
    return {
      ...pair,
      name: `pair-${index}`,
      source: { ...pair.source, bucket: `source-${index}`, key: { arn } },
      destination: { ...pair.destination, bucket: `destination-${index}`, key: { arn } },
      role: { arn: 'arn:aws:iam::111122223333:role/replication' },
    };
  });
  expect(batchPairs(pairsByArn, 2).map((batch) => batch.length)).toEqual([2, 2, 2]);
});
