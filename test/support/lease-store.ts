import type { LeaseRecord, LeaseStore } from '../../src/controller/leader-election.ts';

/** A store in memory that compares as those of Kubernetes and S3 do. */
export function createMemoryLeaseStore() {
  let now: { record: LeaseRecord; version: string } | undefined;
  let count = 0;
  const put = (record: LeaseRecord) => {
    now = { record, version: String(++count) };
    return true;
  };
  const store: LeaseStore = {
    name: 'memory',
    read: async () => now && structuredClone(now),
    create: async (record) => !now && put(record),
    update: async (record, version) => now?.version === version && put(record),
  };
  return { store, current: () => now?.record };
}

/** Small, and the same for the same seed: from 0 up to 1. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
