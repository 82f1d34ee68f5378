import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { AccountState, BucketState } from './state.ts';
import { createMemoryStore, type Store } from './store.ts';

const STATE_FORMAT = 1;

/**
 * Creates a store in a folder, with one file per account and one per bucket. Each file is written to a temporary file,
 * synced and renamed. After a crash each file is complete, and is the version before or after the write in progress.
 * Blobs are written before the file that refers to them. The next start deletes blobs without a reference.
 *
 * @throws Error when another process uses the folder, or when a newer version wrote it.
 */
export function createFolderStore(folder: string): Store {
  for (const subfolder of ['accounts', 'buckets', 'blobs'])
    mkdirSync(path.join(folder, subfolder), { recursive: true });
  const unlock = lockFolder(folder);
  const { accounts, buckets } = readStateFolder(folder, unlock);

  const dirty = new Set<AccountState | BucketState>();
  const deletedBuckets = new Set<string>();
  const blobs = new Map<string, Buffer>();
  const deletedBlobs = new Set<string>();
  let lastFlush: Promise<void> = Promise.resolve();
  const fileOf = (state: AccountState | BucketState) =>
    'roles' in state
      ? path.join(folder, 'accounts', `${state.id}.json`)
      : path.join(folder, 'buckets', `${state.name}.json`);

  async function flushNow(): Promise<void> {
    const states = [...dirty];
    const bucketNames = [...deletedBuckets];
    const newBlobs = [...blobs];
    const blobIds = [...deletedBlobs];
    dirty.clear();
    deletedBuckets.clear();
    deletedBlobs.clear();
    try {
      await Promise.all(
        newBlobs.map(([id, bytes]) => writeFileDurably(path.join(folder, 'blobs', id), bytes)),
      );
      await Promise.all(
        states.map((state) =>
          writeFileDurably(fileOf(state), JSON.stringify({ format: STATE_FORMAT, state }, mapReplacer)),
        ),
      );
      await Promise.all(
        bucketNames.map((name) => rm(path.join(folder, 'buckets', `${name}.json`), { force: true })),
      );
      await Promise.all(blobIds.map((id) => rm(path.join(folder, 'blobs', id), { force: true })));
    } catch (error) {
      // A failed write, for example on a full disk, stays pending.
      for (const state of states) dirty.add(state);
      for (const name of bucketNames) deletedBuckets.add(name);
      for (const id of blobIds) deletedBlobs.add(id);
      throw error;
    }
    for (const [id] of newBlobs) blobs.delete(id);
  }

  return {
    ...createMemoryStore(accounts, buckets),
    addBucket(bucket) {
      buckets.set(bucket.name, bucket);
      deletedBuckets.delete(bucket.name);
      dirty.add(bucket);
    },
    removeBucket(name) {
      const bucket = buckets.get(name);
      if (bucket) dirty.delete(bucket);
      buckets.delete(name);
      deletedBuckets.add(name);
    },
    markChanged: (state) => void dirty.add(state),
    putBlob(bytes) {
      const id = randomUUID();
      blobs.set(id, bytes);
      return id;
    },
    getBlob: (id) => blobs.get(id) ?? readFileSync(path.join(folder, 'blobs', id)),
    removeBlob(id) {
      blobs.delete(id);
      deletedBlobs.add(id);
    },
    flush() {
      // Flushes run one after the other. A waiting flush also writes all changes that were made meanwhile.
      lastFlush = lastFlush.catch(() => {}).then(flushNow);
      return lastFlush;
    },
    async close() {
      await this.flush().finally(unlock);
    },
  };
}

/** Reads all accounts and buckets of a folder. Unlocks the folder if a file is unreadable. */
function readStateFolder(folder: string, unlock: () => void) {
  try {
    const accounts = readStates<AccountState>(path.join(folder, 'accounts'));
    const buckets = readStates<BucketState>(path.join(folder, 'buckets'));
    removeUnreferencedBlobs(folder, buckets.values());
    return { accounts, buckets };
  } catch (error) {
    unlock();
    throw error;
  }
}

async function writeFileDurably(file: string, content: string | Buffer): Promise<void> {
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

function readStates<T extends { id: string } | { name: string }>(folder: string): Map<string, T> {
  const states = new Map<string, T>();
  for (const file of readdirSync(folder)) {
    if (file.endsWith('.tmp')) {
      rmSync(path.join(folder, file));
      continue;
    }
    const { format, state } = readStateFile<T>(path.join(folder, file));
    if (format !== STATE_FORMAT) {
      throw new Error(
        `${path.join(folder, file)} was written by another version of the sandbox (format ${format}): use another folder`,
      );
    }
    const { id, name } = (state ?? {}) as { id?: unknown; name?: unknown };
    const key = id ?? name;
    if (typeof key !== 'string')
      throw new Error(`${path.join(folder, file)} cannot be read: it is not a state file of the sandbox`);
    states.set(key, state);
  }
  return states;
}

function readStateFile<T>(file: string): { format: number; state: T } {
  try {
    return JSON.parse(readFileSync(file, 'utf8'), mapReviver) as { format: number; state: T };
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Deletes blobs that no version and no upload refers to. A crash between the write of a blob and the write of its
 * reference leaves such blobs.
 */
function removeUnreferencedBlobs(folder: string, buckets: Iterable<BucketState>): void {
  const referencedBlobs = new Set<string | undefined>();
  for (const bucket of buckets) {
    for (const versions of bucket.objects.values())
      for (const version of versions) referencedBlobs.add(version.blob);
    for (const upload of bucket.uploads.values())
      for (const part of upload.parts.values()) referencedBlobs.add(part.blob);
  }
  for (const file of readdirSync(path.join(folder, 'blobs'))) {
    if (!referencedBlobs.has(file)) rmSync(path.join(folder, 'blobs', file));
  }
}

const MAP_MARKER = '$map';

const mapReplacer = (_: string, value: unknown): unknown =>
  value instanceof Map ? { [MAP_MARKER]: [...value] } : value;

function mapReviver(_: string, value: unknown): unknown {
  const entries = (value as Record<string, unknown> | null)?.[MAP_MARKER];
  return Array.isArray(entries) ? new Map(entries as [unknown, unknown][]) : value;
}

/**
 * Locks a folder for this process, and returns a function that unlocks it. Takes over the lock of a dead process, even
 * if another process has the same id now.
 *
 * @throws Error when a running process holds the lock.
 */
function lockFolder(folder: string): () => void {
  const file = path.join(folder, 'lock');
  const holder = lockHolderOf(file);
  if (holder && processStartOf(holder.pid) === holder.started)
    throw folderInUseError(folder, `process ${holder.pid}`);
  rmSync(file, { force: true });
  try {
    const content = JSON.stringify({ pid: process.pid, started: processStartOf(process.pid) });
    writeFileSync(file, content, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw folderInUseError(folder, 'another process');
  }
  return () => rmSync(file, { force: true });
}

const folderInUseError = (folder: string, holder: string): Error =>
  new Error(`${folder} is in use by ${holder}: stop it, or use another folder`);

/** Returns the process that holds the lock; undefined without a lock, or if a crash left the file incomplete. */
function lockHolderOf(file: string): { pid: number; started: string } | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(file, 'utf8')) as { pid: unknown; started: unknown };
    return typeof pid === 'number' && pid > 0 && typeof started === 'string' ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns the start time of a process, in Linux's unit; `running` on systems without `/proc`. Undefined if the process
 * does not run.
 */
function processStartOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name in parentheses can contain spaces. The start time is the 20th field after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return isProcessRunning(pid) ? 'running' : undefined;
  }
}

function isProcessRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
