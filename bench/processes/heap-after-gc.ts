/** Imported before a program (`--import`, `--expose-gc`), so that it says what it holds after a collection when it is asked. */
import { setImmediate } from 'node:timers/promises';

process.on('message', async () => {
  // What is finalised by the first is let go by the second.
  globalThis.gc?.();
  await setImmediate();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  process.send?.(heapUsed + external);
});
// To be asked is no reason to go on.
process.channel?.unref();
