import { byCodeUnit } from '../canonical.ts';

/** Names that one at a time may hold. */
export interface Locks {
  /** Wait for all of some names; the result gives them back. Taken in one order, so that nobody waits in a circle. */
  acquire(names: Iterable<string>): Promise<() => void>;
}

export function createLocks(): Locks {
  /** By name, what ends when its last holder so far gives it back. */
  const tails = new Map<string, Promise<void>>();
  return {
    async acquire(names) {
      const given: (() => void)[] = [];
      for (const name of [...new Set(names)].sort(byCodeUnit)) {
        const before = tails.get(name);
        const { promise, resolve } = deferred();
        const tail = Promise.all([before, promise]).then(() => {
          if (tails.get(name) === tail) tails.delete(name);
        });
        tails.set(name, tail);
        await before;
        given.push(resolve);
      }
      return () => {
        for (const give of given) give();
      };
    },
  };
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
