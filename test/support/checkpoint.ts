import type { Store } from '../../src/sandbox/store.ts';

/** Copies the state of a sandbox. Returns a function that restores it for the next test. */
export function checkpoint(store: Store): () => void {
  const accounts = structuredClone([...store.accounts()]);
  const buckets = structuredClone([...store.buckets()]);
  return () => {
    for (const account of accounts) Object.assign(store.account(account.id), structuredClone(account));
    for (const { name } of [...store.buckets()]) store.removeBucket(name);
    for (const bucket of buckets) store.addBucket(structuredClone(bucket));
  };
}
