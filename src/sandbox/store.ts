import type { AccountState, BucketState } from './state.ts';

/**
 * The sandbox's memory. Handlers read and change the states it hands out, and say so with `changed`; the server
 * saves what changed before it answers, so that an answered write survives a crash.
 */
export interface Store {
  /** The account of that id; every 12-digit id exists. */
  account(id: string): AccountState;
  accounts(): Iterable<AccountState>;
  bucket(name: string): BucketState | undefined;
  buckets(): Iterable<BucketState>;
  addBucket(bucket: BucketState): void;
  removeBucket(name: string): void;
  changed(state: AccountState | BucketState): void;
  putBlob(bytes: Buffer): string;
  getBlob(id: string): Buffer;
  removeBlob(id: string): void;
}
