import type { LeaseRecord, LeaseStore } from '../../src/controller/leader-election.ts';

/** Returns a lease store in memory, with the compare-and-swap semantics of Kubernetes and S3. */
export function createMemoryLeaseStore() {
  let stored: { record: LeaseRecord; version: string } | undefined;
  let count = 0;
  const put = (record: LeaseRecord) => {
    stored = { record, version: String(++count) };
    return true;
  };
  const store: LeaseStore = {
    name: 'memory',
    read: async () => stored && structuredClone(stored),
    create: async (record) => !stored && put(record),
    update: async (record, version) => stored?.version === version && put(record),
  };
  return { store, current: () => stored?.record };
}

/** Returns a deterministic random generator, with values from 0 up to 1. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
