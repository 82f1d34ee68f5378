import { setImmediate } from 'node:timers/promises';
import pLimit from 'p-limit';

/** A rendered response. Requests that arrive in the same second share it, and the memory of its bytes. */
export interface ResponseBody {
  status: number;
  type: string;
  csp?: string;
  etag?: string;
  bytes: Buffer;
}

/** Response bodies in memory: the cached ones, and those that clients are reading. */
export interface ResponseBodies {
  /**
   * Returns the body that was rendered under this key less than `MAX_AGE_MS` ago, or renders it. Renders one body at a
   * time, and lets the process do other work in between. `isWanted`: whether the client is still connected.
   *
   * @throws Error if all clients have disconnected before the body was rendered.
   */
  get(key: string, render: () => Promise<ResponseBody>, isWanted: () => boolean): Promise<ResponseBody>;
  /**
   * Counts a body as being read until the returned function is called. Calls `abort` if newer bodies need its memory.
   */
  hold(body: ResponseBody, abort: () => void): () => void;
  /** Number of bytes of all bodies. Several readers of one body share its bytes. */
  readonly size: number;
}

/** How long a body is reused, in milliseconds. Clients poll, and a pass takes longer than this. */
const MAX_AGE_MS = 1_000;

/**
 * Creates a store of response bodies that exceeds `maxBytes` only for a single larger body. To stay below it, the store
 * first drops cached bodies that no client reads. Then it aborts the readers of the oldest body, because a client that
 * is not slow has read it by now.
 */
export function createResponseBodies({ maxBytes }: { maxBytes: number }): ResponseBodies {
  const renderOneByOne = pLimit(1);
  const cached = new Map<string, Promise<ResponseBody>>();
  const waitingClients = new Map<string, (() => boolean)[]>();
  const cachedBodies = new Map<string, ResponseBody>();
  const readers = new Map<ResponseBody, Set<() => void>>();

  const size = (): number => {
    const bodies = new Set([...cachedBodies.values(), ...readers.keys()]);
    return [...bodies].reduce((sum, { bytes }) => sum + bytes.length, 0);
  };

  function forget(key: string, promise: Promise<ResponseBody>): void {
    if (cached.get(key) !== promise) return;
    cached.delete(key);
    cachedBodies.delete(key);
  }

  function makeRoom(newest: ResponseBody): void {
    for (const [key, body] of cachedBodies) {
      if (size() <= maxBytes) return;
      if (body === newest) continue;
      cached.delete(key);
      cachedBodies.delete(key);
    }
    for (const [body, aborts] of readers) {
      if (size() <= maxBytes) return;
      if (body === newest) continue;
      readers.delete(body);
      for (const abort of aborts) abort();
    }
  }

  return {
    get(key, render, isWanted) {
      waitingClients.get(key)?.push(isWanted);
      const existing = cached.get(key);
      if (existing) return existing;
      const clients = [isWanted];
      waitingClients.set(key, clients);
      const promise = new Promise<ResponseBody>((resolve, reject) => {
        void renderOneByOne(async () => {
          waitingClients.delete(key);
          if (!clients.some((isConnected) => isConnected()))
            return reject(new Error('all clients have disconnected'));
          await render().then(resolve, reject);
          // Its readers hold the body before the next one needs memory.
          await setImmediate();
        });
      });
      cached.set(key, promise);
      promise.then(
        (body) => {
          if (cached.get(key) !== promise) return;
          cachedBodies.set(key, body);
          makeRoom(body);
          setTimeout(() => forget(key, promise), MAX_AGE_MS).unref();
        },
        () => forget(key, promise),
      );
      return promise;
    },
    hold(body, abort) {
      const aborts = readers.get(body) ?? new Set();
      readers.set(body, aborts.add(abort));
      makeRoom(body);
      return () => {
        aborts.delete(abort);
        if (aborts.size === 0 && readers.get(body) === aborts) readers.delete(body);
      };
    },
    get size() {
      return size();
    },
  };
}
