import { compareCodeUnits } from './canonical-json.ts';

/** Names that one at a time may hold. */
export interface KeyedMutex {
  /** Wait for all of some names; the result gives them back. Taken in one order, so that nobody waits in a circle. */
  acquire(names: Iterable<string>): Promise<() => void>;
}

export function createKeyedMutex(): KeyedMutex {
  /** By name, what ends when its last holder so far gives it back. */
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
