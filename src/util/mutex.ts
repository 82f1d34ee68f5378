import { compareCodeUnits } from './canonical-json.ts';

/** A mutex for each name. */
export interface KeyedMutex {
  /**
   * Waits until it holds all names; the result releases them. It acquires names in sorted order, which prevents a
   * deadlock.
   */
  acquire(names: Iterable<string>): Promise<() => void>;
}

export function createKeyedMutex(): KeyedMutex {
  /** By name, a promise that resolves when the last holder in the queue releases it. */
  const tails = new Map<string, Promise<void>>();
  return {
    async acquire(names) {
      const releases: (() => void)[] = [];
      for (const name of [...new Set(names)].sort(compareCodeUnits)) {
        const previous = tails.get(name);
        const { promise, resolve } = createDeferred();
        const tail = Promise.all([previous, promise]).then(() => {
          if (tails.get(name) === tail) tails.delete(name);
        });
        tails.set(name, tail);
        await previous;
        releases.push(resolve);
      }
      return () => {
        for (const release of releases) release();
      };
    },
  };
}

function createDeferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
