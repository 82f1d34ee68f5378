/** Imported before a program (`--import`, `--expose-gc`). On a message, it sends the heap size after a collection. */
import { setImmediate } from 'node:timers/promises';

process.on('message', async () => {
  // The second collection frees what the first one finalised.
  globalThis.gc?.();
  await setImmediate();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  process.send?.(heapUsed + external);
});
// The channel must not keep the process alive.
process.channel?.unref();
