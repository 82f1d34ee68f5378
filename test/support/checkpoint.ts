import type { Store } from '../../src/sandbox/store.ts';

/** Copies the state of a sandbox. Returns a function that restores it for the next test, in this or in another sandbox. */
export function checkpoint(original: Store): (store?: Store) => void {
  const accounts = structuredClone([...original.accounts()]);
  const buckets = structuredClone([...original.buckets()]);
  return (store = original) => {
    for (const account of accounts) Object.assign(store.account(account.id), structuredClone(account));
    for (const { name } of [...store.buckets()]) store.removeBucket(name);
    for (const bucket of buckets) store.addBucket(structuredClone(bucket));
  };
}
