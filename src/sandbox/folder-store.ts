import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { lockFolder } from './folder-lock.ts';
import type { AccountState, BucketState } from './state.ts';
import { emptyAccount, type Store } from './store.ts';

const FORMAT = 1;

/**
 * A store in a folder: each account and each bucket is a document of its own, written to a temporary file, synced and
 * renamed. A crash leaves each document whole, as it was before the last answered write or after it. Blobs are
 * written before the document that names them; what a crash leaves unnamed is swept at the next start.
 *
 * @throws Error when another process uses the folder, or when a newer version wrote it.
 */
export function folderStore(folder: string): Store {
  for (const part of ['accounts', 'buckets', 'blobs'])
    mkdirSync(path.join(folder, part), { recursive: true });
  const unlock = lockFolder(folder);
  const { accounts, buckets } = readFolder(folder, unlock);

  const dirty = new Set<AccountState | BucketState>();
  const removed = new Set<string>();
  const blobs = new Map<string, Buffer>();
  const deadBlobs = new Set<string>();
  let flushing: Promise<void> = Promise.resolve();
  const fileOf = (state: AccountState | BucketState) =>
    'roles' in state
      ? path.join(folder, 'accounts', `${state.id}.json`)
      : path.join(folder, 'buckets', `${state.name}.json`);

  async function flushNow(): Promise<void> {
    const states = [...dirty];
    const gone = [...removed];
    const written = [...blobs];
    const dead = [...deadBlobs];
    dirty.clear();
    removed.clear();
    deadBlobs.clear();
    try {
      await Promise.all(written.map(([id, bytes]) => write(path.join(folder, 'blobs', id), bytes)));
      await Promise.all(
        states.map((state) => write(fileOf(state), JSON.stringify({ format: FORMAT, state }, replacer))),
      );
      await Promise.all(
        gone.map((name) => rm(path.join(folder, 'buckets', `${name}.json`), { force: true })),
      );
      await Promise.all(dead.map((id) => rm(path.join(folder, 'blobs', id), { force: true })));
    } catch (error) {
      // What a full disk refused is still to be written.
      for (const one of states) dirty.add(one);
      for (const name of gone) removed.add(name);
      for (const id of dead) deadBlobs.add(id);
      throw error;
    }
    for (const [id] of written) blobs.delete(id);
  }

  return {
    account(id) {
      const known = accounts.get(id) ?? emptyAccount(id);
      accounts.set(id, known);
      return known;
    },
    accounts: () => accounts.values(),
    bucket: (name) => buckets.get(name),
    buckets: () => buckets.values(),
    addBucket(bucket) {
      buckets.set(bucket.name, bucket);
      removed.delete(bucket.name);
      dirty.add(bucket);
    },
    removeBucket(name) {
      const bucket = buckets.get(name);
      if (bucket) dirty.delete(bucket);
      buckets.delete(name);
      removed.add(name);
    },
    changed: (state) => void dirty.add(state),
    putBlob(bytes) {
      const id = randomUUID();
      blobs.set(id, bytes);
      return id;
    },
    getBlob: (id) => blobs.get(id) ?? readFileSync(path.join(folder, 'blobs', id)),
    removeBlob(id) {
      blobs.delete(id);
      deadBlobs.add(id);
    },
    flush() {
      // One flush at a time: a later one waits, and then takes along everything that changed meanwhile.
      flushing = flushing.catch(() => {}).then(flushNow);
      return flushing;
    },
    async close() {
      await this.flush().finally(unlock);
    },
  };
}

/** Everything that is there; a folder that cannot be read is given back. */
function readFolder(folder: string, unlock: () => void) {
  try {
    const accounts = readAll<AccountState>(path.join(folder, 'accounts'));
    const buckets = readAll<BucketState>(path.join(folder, 'buckets'));
    sweep(folder, buckets.values());
    return { accounts, buckets };
  } catch (error) {
    unlock();
    throw error;
  }
}

async function write(file: string, content: string | Buffer): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const temporary = `${file}.${randomUUID()}.tmp`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'w', 0o600);
    await handle.writeFile(content);
    await handle.sync();
    await handle.close();
    await rename(temporary, file);
  } catch (error) {
    await handle?.close().catch(() => {});
    await rm(temporary, { force: true });
    throw error;
  }
}

function readAll<T extends { id: string } | { name: string }>(folder: string): Map<string, T> {
  const states = new Map<string, T>();
  for (const file of readdirSync(folder)) {
    if (file.endsWith('.tmp')) {
      rmSync(path.join(folder, file));
      continue;
    }
    const { format, state } = readDocument<T>(path.join(folder, file));
    if (format !== FORMAT) {
      throw new Error(
        `${path.join(folder, file)} was written by another version of the sandbox (format ${format}): use another folder`,
      );
    }
    const { id, name } = (state ?? {}) as { id?: unknown; name?: unknown };
    const key = id ?? name;
    if (typeof key !== 'string')
      throw new Error(`${path.join(folder, file)} cannot be read: it holds no state of the sandbox`);
    states.set(key, state);
  }
  return states;
}

function readDocument<T>(file: string): { format: number; state: T } {
  try {
    return JSON.parse(readFileSync(file, 'utf8'), reviver) as { format: number; state: T };
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** Remove blobs that no version names: a crash came between writing one and naming it. */
function sweep(folder: string, buckets: Iterable<BucketState>): void {
  const named = new Set<string | undefined>();
  for (const bucket of buckets) {
    for (const versions of bucket.objects.values()) for (const version of versions) named.add(version.blob);
    for (const upload of bucket.uploads.values())
      for (const part of upload.parts.values()) named.add(part.blob);
  }
  for (const file of readdirSync(path.join(folder, 'blobs'))) {
    if (!named.has(file)) rmSync(path.join(folder, 'blobs', file));
  }
}

const MAP = '$map';

const replacer = (_: string, value: unknown): unknown =>
  value instanceof Map ? { [MAP]: [...value] } : value;

function reviver(_: string, value: unknown): unknown {
  const entries = (value as Record<string, unknown> | null)?.[MAP];
  return Array.isArray(entries) ? new Map(entries as [unknown, unknown][]) : value;
}
