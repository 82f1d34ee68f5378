import { open, rename, rm } from 'node:fs/promises';
import type { FileSystem } from '../../src/sandbox/journal.ts';

/** Returns functions that fail as on a full disk while `isFull` returns true. */
export function createFullDisk(isFull: () => boolean): FileSystem {
  const check = () => {
    if (isFull())
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { syscall: 'write' });
  };
  return {
    async open(...args) {
      const handle = await open(...args);
      const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<unknown>;
      return Object.assign(handle, {
        async write(...args: unknown[]) {
          check();
          return write(...args);
        },
      }) as typeof handle;
    },
    rename,
    rm,
  };
}
