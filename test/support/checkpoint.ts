import type { Store } from '../../src/sandbox/store.ts';

/** Keep what a sandbox holds; the function that comes back puts it there again, for another test to start from. */
export function checkpoint(store: Store): () => void {
  const accounts = structuredClone([...store.accounts()]);
  const buckets = structuredClone([...store.buckets()]);
  return () => {
    for (const account of accounts) Object.assign(store.account(account.id), structuredClone(account));
    for (const { name } of [...store.buckets()]) store.removeBucket(name);
    for (const bucket of buckets) store.addBucket(structuredClone(bucket));
  };
}
