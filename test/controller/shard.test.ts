import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shardOf } from '../../src/controller/leadership.ts';

const buckets = Array.from({ length: 3_000 }, (_, index) => `acme-bucket-${index}`);

test.each([2, 3, 8, 32])('%i parts are of nearly the same size', (of) => {
  const sizes = new Map<number, number>();
  for (const bucket of buckets) {
    const shard = shardOf(bucket, of);
    expect(shard).toBeGreaterThanOrEqual(1);
    expect(shard).toBeLessThanOrEqual(of);
    sizes.set(shard, (sizes.get(shard) ?? 0) + 1);
  }
  const fair = buckets.length / of;
  for (const size of sizes.values()) expect(Math.abs(size - fair)).toBeLessThan(5 * Math.sqrt(fair));
});

test('with one more part only those pairs move that move into it', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 3 }), fc.integer({ min: 1, max: 40 }), (bucket, of) => {
      const [before, after] = [shardOf(bucket, of), shardOf(bucket, of + 1)];
      expect(after === before || after === of + 1).toBe(true);
    }),
  );
});
