import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shardOf } from '../../src/controller/leadership.ts';

const buckets = Array.from({ length: 3_000 }, (_, index) => `acme-bucket-${index}`);

test.each([2, 3, 8, 32])('shardOf: %i shards have nearly the same size', (of) => {
  const sizes = new Map<number, number>();
  for (const bucket of buckets) {
    const shard = shardOf(bucket, of);
    expect(shard).toBeGreaterThanOrEqual(1);
    expect(shard).toBeLessThanOrEqual(of);
    sizes.set(shard, (sizes.get(shard) ?? 0) + 1);
  }
  const mean = buckets.length / of;
  for (const size of sizes.values()) expect(Math.abs(size - mean)).toBeLessThan(5 * Math.sqrt(mean));
});

test('shardOf: one more shard: only pairs of the new shard move', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 3 }), fc.integer({ min: 1, max: 40 }), (bucket, of) => {
      const [before, after] = [shardOf(bucket, of), shardOf(bucket, of + 1)];
      expect(after === before || after === of + 1).toBe(true);
    }),
  );
});
