import { type FileHandle, mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFolderStore } from '../../src/sandbox/folder-store.ts';
import type { FileSystem } from '../../src/sandbox/journal.ts';
import type { BucketState, VersionState } from '../../src/sandbox/state.ts';
import type { Store } from '../../src/sandbox/store.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-store-'));
});
afterEach(() => rm(folder, { recursive: true }));

const SOURCE = 'acme-tax';
const REPLICA = 'acme-tax-replica';
const JOURNAL = 'journal.jsonl';
/** Sizes below and above the limit from which a blob is a file. */
const BLOB_SIZES = [10, 100_000];

function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: injected, write`), { code, syscall: 'write' });
}

/**
 * Returns functions that fail from the `failFrom`th operation on the disk, counted from 1, until `recover` is called. The
 * first failing write still writes the first half of its bytes, as a full disk or a crash does.
 */
function createFailingFileSystem(failFrom: number) {
  const handles: FileHandle[] = [];
  let operations = 0;
  let hasRecovered = false;
  const check = () => {
    operations += 1;
    if (!hasRecovered && operations >= failFrom) throw systemError('ENOSPC');
  };
  const fileSystem: FileSystem = {
    async open(...args) {
      check();
      const handle = await open(...args);
      handles.push(handle);
      const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<{ bytesWritten: number }>;
      Object.assign(handle, {
        async write(bytes: Buffer, offset: number, length: number, position: number) {
          operations += 1;
          if (hasRecovered || operations < failFrom) return write(bytes, offset, length, position);
          if (operations === failFrom) await write(bytes, offset, Math.floor(length / 2), position);
          throw systemError('ENOSPC');
        },
      });
      for (const name of ['sync', 'datasync', 'truncate'] as const) {
        const original = handle[name].bind(handle) as (...args: unknown[]) => Promise<void>;
        Object.assign(handle, {
          [name]: async (...args: unknown[]) => {
            check();
            await original(...args);
          },
        });
      }
      return handle;
    },
    async rename(...args) {
      check();
      await rename(...args);
    },
    async rm(...args) {
      check();
      await rm(...args);
    },
  };
  return {
    fileSystem,
    recover: () => {
      hasRecovered = true;
    },
    countOperations: () => operations,
    /** Closes all files, as the end of a process does. */
    closeFiles: () => Promise.all(handles.map((handle) => handle.close())),
  };
}

const toBucket = (name: string): BucketState => ({
  name,
  owner: '111122223333',
  region: 'us-east-1',
  created: 0,
  objectLock: false,
  objects: new Map(),
  uploads: new Map(),
});

/** Puts an object, as a handler does. */
function putVersion(store: Store, name: string, key: string, bytes: Buffer): void {
  const bucket = store.bucket(name);
  if (!bucket) return;
  for (const { blob } of bucket.objects.get(key) ?? []) if (blob !== undefined) store.removeBlob(blob);
  const version: VersionState = {
    key,
    versionId: 'null',
    deleteMarker: false,
    modified: 0,
    size: bytes.length,
    etag: '',
    blob: store.putBlob(bytes),
    headers: {},
    metadata: { text: 'ä\n"\u2028' },
    tags: new Map([['n', key]]),
    encryption: { algorithm: 'AES256', bucketKey: false, wrapped: '', context: {}, iv: '', tag: '' },
  };
  bucket.objects.set(key, [version]);
  store.markObjectChanged(bucket, key);
}

/** Writes a replica and the status of its source in one synchronous step, as a replication job does. */
function replicate(store: Store, key: string): void {
  const source = store.bucket(SOURCE);
  const version = source?.objects.get(key)?.[0];
  if (!source || !version?.blob) return;
  putVersion(store, REPLICA, key, store.getBlob(version.blob));
  version.replication = { status: 'COMPLETED', attempts: [] };
  store.markObjectChanged(source, key);
}

/** Returns the whole state with the bytes of all objects, as text for comparisons. */
function contentOf(store: Store): string {
  const buckets = [...store.buckets()].map(({ objects, uploads, ...settings }) => ({
    settings,
    uploads: [...uploads.keys()].sort(),
    objects: [...objects.values()]
      .flat()
      .map((version) => ({
        ...version,
        blob: undefined,
        tags: [...version.tags],
        body:
          version.blob === undefined
            ? undefined
            : store.getBlob(version.blob).toString('base64').slice(0, 40),
      }))
      .sort((a, b) => (a.key < b.key ? -1 : 1)),
  }));
  const accounts = [...store.accounts()].filter(({ sessions }) => sessions.size > 0).map(({ id }) => id);
  return JSON.stringify([
    accounts.sort(),
    buckets.sort((a, b) => (a.settings.name < b.settings.name ? -1 : 1)),
  ]);
}

/** Changes of the state, each followed by a flush. Together they make the journal grow beyond its compaction. */
const STEPS: ((store: Store) => void)[] = [
  (store) => {
    store.addBucket(toBucket(SOURCE));
    store.addBucket(toBucket(REPLICA));
  },
  ...BLOB_SIZES.flatMap((size) => [
    (store: Store) => putVersion(store, SOURCE, `a/${size}`, Buffer.alloc(size, 1)),
    (store: Store) => replicate(store, `a/${size}`),
    (store: Store) => putVersion(store, SOURCE, `a/${size}`, Buffer.alloc(size, 2)),
  ]),
  (store) => {
    const account = store.account('111122223333');
    account.sessions.set('ASIA', {
      accessKeyId: 'ASIA',
      secretAccessKey: 'secret',
      token: 'token',
      roleName: 'r',
      roleId: 'AROA',
      sessionName: 's',
      expires: 1,
      tags: { team: 'tax' },
      transitiveTags: [],
    });
    store.markChanged(account);
  },
  (store) => {
    const bucket = store.bucket(SOURCE);
    if (!bucket) return;
    bucket.versioning = { Status: 'Enabled' };
    store.markChanged(bucket);
    bucket.objects.delete('a/10');
    store.markObjectChanged(bucket, 'a/10');
  },
  (store) => {
    const bucket = store.bucket(REPLICA);
    for (const key of bucket?.objects.keys() ?? []) if (bucket) store.markObjectChanged(bucket, key);
    bucket?.objects.clear();
    store.removeBucket(REPLICA);
  },
];

/** Small, so that the steps compact the journal several times. */
const OPTIONS = { minObsoleteBytes: 200 };

/** Number of disk operations of the steps. */
async function countOperationsOfSteps(): Promise<number> {
  const counted = createFailingFileSystem(Number.POSITIVE_INFINITY);
  const store = await createFolderStore(path.join(folder, 'count'), { ...OPTIONS, ...counted });
  for (const step of STEPS) {
    step(store);
    await store.flush();
  }
  await store.close();
  return counted.countOperations();
}

describe('folder store on a disk that fails at each operation', () => {
  test('a failed commit is undone, and the store continues when the disk has space', async () => {
    const total = await countOperationsOfSteps();
    expect(total).toBeGreaterThan(30);
    for (let failFrom = 1; failFrom <= total; failFrom++) {
      const state = path.join(folder, `recover-${failFrom}`);
      const failing = createFailingFileSystem(failFrom);
      const store = await createFolderStore(state, { ...OPTIONS, ...failing }).catch(() => undefined);
      if (!store) continue;
      let failures = 0;
      for (const step of STEPS) {
        const before = contentOf(store);
        step(store);
        const after = contentOf(store);
        const isSaved = await store.flush().then(
          () => true,
          () => false,
        );
        expect(contentOf(store), `operation ${failFrom}`).toBe(isSaved ? after : before);
        if (isSaved) continue;
        failures += 1;
        failing.recover();
        step(store);
        await store.flush();
        expect(contentOf(store), `operation ${failFrom}`).toBe(after);
      }
      expect(failures).toBeLessThanOrEqual(1);
      const expected = contentOf(store);
      await store.close();
      const reopened = await createFolderStore(state);
      expect(contentOf(reopened), `operation ${failFrom}`).toBe(expected);
      await reopened.close();
    }
  });

  test('after a crash, the state is that of the last acknowledged flush, or of the next one', async () => {
    const total = await countOperationsOfSteps();
    for (let failFrom = 1; failFrom <= total; failFrom++) {
      const state = path.join(folder, `crash-${failFrom}`);
      const failing = createFailingFileSystem(failFrom);
      let acknowledged = '[[],[]]';
      let attempted = acknowledged;
      const store = await createFolderStore(state, { ...OPTIONS, ...failing }).catch(() => undefined);
      for (const step of store ? STEPS : []) {
        if (!store) break;
        step(store);
        attempted = contentOf(store);
        const isSaved = await store.flush().then(
          () => true,
          () => false,
        );
        if (!isSaved) break;
        acknowledged = attempted;
      }
      // The process has died. Its lock is stale.
      await failing.closeFiles();
      await rm(path.join(state, 'lock'), { force: true });
      const reopened = await createFolderStore(state);
      expect([acknowledged, attempted], `operation ${failFrom}`).toContain(contentOf(reopened));
      const replicas = reopened.bucket(REPLICA)?.objects;
      for (const [version] of reopened.bucket(SOURCE)?.objects.values() ?? [])
        if (version?.replication?.status === 'COMPLETED' && replicas)
          expect(replicas.has(version.key)).toBe(true);
      await reopened.close();
    }
  });
});

describe('folder store: group commit', () => {
  test('flushes that wait for a commit share the next one', async () => {
    const counted = createFailingFileSystem(Number.POSITIVE_INFINITY);
    const store = await createFolderStore(folder, counted);
    store.addBucket(toBucket(SOURCE));
    await store.flush();
    const before = counted.countOperations();
    await Promise.all(
      Array.from({ length: 100 }, (_, n) => {
        putVersion(store, SOURCE, String(n), Buffer.from(String(n)));
        return store.flush();
      }),
    );
    // At most two commits, each with a write and an fsync: one with the first put, one with the others.
    expect(counted.countOperations() - before).toBeLessThanOrEqual(4);
    await store.close();
  });

  test('a failed commit also fails the flushes that wait for the next one, and undoes their changes', async () => {
    const store = await createFolderStore(folder);
    store.addBucket(toBucket(SOURCE));
    await store.flush();
    const before = contentOf(store);
    // Without its lock file, the store does not write.
    await rename(path.join(folder, 'lock'), path.join(folder, 'lock.away'));
    const flushes = Array.from({ length: 5 }, (_, n) => {
      putVersion(store, SOURCE, String(n), Buffer.from(String(n)));
      return store.flush();
    });
    const results = await Promise.allSettled(flushes);
    expect(results.map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
    expect(contentOf(store)).toBe(before);
    await rename(path.join(folder, 'lock.away'), path.join(folder, 'lock'));
    await store.close();
  });
});

describe('folder store: a journal', () => {
  /** Fills a folder with three commits, and returns the journal. */
  async function fill(): Promise<string> {
    const store = await createFolderStore(folder);
    store.addBucket(toBucket(SOURCE));
    await store.flush();
    for (const key of ['a', 'b']) {
      putVersion(store, SOURCE, key, Buffer.from(key));
      await store.flush();
    }
    await store.close();
    return readFile(path.join(folder, JOURNAL), 'latin1');
  }
  const keysAfter = async (content: string): Promise<string[]> => {
    await writeFile(path.join(folder, JOURNAL), content, 'latin1');
    const store = await createFolderStore(folder);
    const keys = [...(store.bucket(SOURCE)?.objects.keys() ?? [])];
    await store.close();
    return keys;
  };

  test('cut at any byte has the commits before the cut', async () => {
    const text = await fill();
    const endOfB = text.length;
    const startOfB = text.lastIndexOf('["', text.indexOf('objects/acme-tax/b'));
    const lengths = Array.from({ length: endOfB - startOfB }, (_, n) => startOfB + n).filter(
      (length) => length % 7 === 0 || length > endOfB - 4,
    );
    for (const length of lengths)
      expect(await keysAfter(text.slice(0, length)), String(length)).toEqual(['a']);
    expect(await keysAfter(text)).toEqual(['a', 'b']);
  });

  test('with a commit of which the disk has written pages out of order has the commits before it', async () => {
    const text = await fill();
    const startOfB = text.lastIndexOf('["', text.indexOf('objects/acme-tax/b'));
    const zeros = '\0'.repeat(40);
    expect(await keysAfter(text.slice(0, startOfB) + zeros + text.slice(startOfB + 40))).toEqual(['a']);
  });

  test('damaged before its last commit is refused, with the file and the place', async () => {
    const text = await fill();
    const offset = text.lastIndexOf('["', text.indexOf('objects/acme-tax/a'));
    const damaged = `${text.slice(0, offset + 30)}#${text.slice(offset + 31)}`;
    const file = path.join(folder, JOURNAL);
    await expect(keysAfter(damaged)).rejects.toThrow(
      `${file} is damaged at byte ${offset}: restore the folder from a backup, or use another folder`,
    );
    expect(await readdir(folder)).not.toContain('lock');
    expect(await readFile(file, 'latin1')).toBe(damaged);
    for (const content of ['', 'no journal', '\n'])
      await expect(keysAfter(content)).rejects.toThrow(`${file} is damaged at byte 0: `);
  });

  test('is valid JSON Lines', async () => {
    for (const line of (await fill()).trimEnd().split('\n')) expect(JSON.parse(line)).toHaveLength(5);
  });

  test('is compacted when most of it is obsolete, and keeps the last value of each entry', async () => {
    const store = await createFolderStore(folder, { minObsoleteBytes: 10_000 });
    store.addBucket(toBucket(SOURCE));
    for (let n = 0; n < 200; n++) {
      putVersion(store, SOURCE, `key ${n % 3}`, Buffer.alloc(500, n));
      await store.flush();
    }
    const expected = contentOf(store);
    await store.close();
    expect((await readFile(path.join(folder, JOURNAL))).length).toBeLessThan(25_000);
    expect((await readdir(folder)).sort()).toEqual(['blobs', JOURNAL]);
    const reopened = await createFolderStore(folder);
    expect(contentOf(reopened)).toBe(expected);
    await reopened.close();
  });

  test('of which another process has taken the lock accepts no more commits, and keeps those of the other', async () => {
    const store = await createFolderStore(folder);
    store.addBucket(toBucket(SOURCE));
    await store.flush();
    // A container does not see the processes of another one, so it takes the lock for a stale one.
    await writeFile(path.join(folder, 'lock'), '{"pid":4194304,"started":"1"}');
    const other = await createFolderStore(folder);
    putVersion(other, SOURCE, 'other', Buffer.from('other'));
    await other.flush();
    store.addBucket(toBucket(REPLICA));
    await expect(store.flush()).rejects.toThrow(
      `${path.join(folder, 'lock')} was replaced: another process uses the folder; stop one of them, and start again`,
    );
    expect(store.bucket(REPLICA)).toBeUndefined();
    await store.close();
    expect(await readdir(folder)).toContain('lock');
    putVersion(other, SOURCE, 'later', Buffer.from('later'));
    await other.flush();
    const expected = contentOf(other);
    await other.close();
    const reopened = await createFolderStore(folder);
    expect(contentOf(reopened)).toBe(expected);
    await reopened.close();
  });
});
