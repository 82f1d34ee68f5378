import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { lockFolder } from './folder-lock.ts';
import {
  defaultFileSystem,
  type FileSystem,
  type Journal,
  type JournalChange,
  type JournalOptions,
  openJournal,
  syncFolder,
  writeNewFileDurably,
} from './journal.ts';
import type {
  AccountState,
  BucketState,
  JobState,
  MessageState,
  MetricState,
  MinuteStatistics,
  QueueState,
  UploadState,
  VersionState,
} from './state.ts';
import { createMemoryStore, jobKeyOf, parseMetricKey, type Store } from './store.ts';

/** Bytes up to which a blob is an entry of the journal. A larger blob is a file. */
const MAX_JOURNAL_BLOB_BYTES = 64 * 1024;

/**
 * Creates a store in a folder: a journal with the accounts, buckets, objects, uploads, metrics, jobs and small blobs, and a file
 * for each large blob.
 *
 * Changes that are made at the same time share a commit, and thus an fsync (group commit). A commit contains all changes
 * that requests and replication jobs had made when it began. They make their changes synchronously, so that a commit
 * contains all changes of one of them, or none: a replica and the status COMPLETED of its source are durable together.
 * The files of large blobs are durable before the commit that refers to them. The next start deletes blob files without
 * a reference.
 *
 * When a commit fails, for example on a full disk, the store returns to the last commit. All flushes that wait for
 * these changes, or for later ones, fail.
 *
 * @throws Error when another process uses the folder, or when another version wrote it.
 */
export async function createFolderStore(folder: string, options: FolderStoreOptions = {}): Promise<Store> {
  const { fileSystem = defaultFileSystem } = options;
  const blobFolder = path.join(folder, 'blobs');
  await createFolderDurably(blobFolder, fileSystem);
  const lock = lockFolder(folder);
  const accounts = new Map<string, AccountState>();
  const buckets = new Map<string, BucketState>();
  const metrics = new Map<string, MetricState>();
  const queues = new Map<string, QueueState>();
  const jobs = new Map<string, JobState>();
  const entries = createStateEntries(accounts, buckets, metrics, queues, jobs);
  const journalOptions = { ...options, fileSystem, assertLocked: lock.assertHeld };
  const journal = await openStateJournal(folder, journalOptions).catch((error: unknown) => {
    lock.release();
    throw error;
  });
  try {
    entries.restore(journal.keys(), journal.read);
    removeUnreferencedBlobFiles(blobFolder, buckets.values(), jobs.values());
  } catch (error) {
    await journal.close().finally(lock.release);
    throw error;
  }

  const changedKeys = new Set<string>();
  let committingKeys: string[] = [];
  /** Blobs that no commit contains yet, by id. */
  const pendingBlobs = new Map<string, Buffer>();
  const removedBlobs = new Set<string>();
  const blobFileOf = (id: string) => path.join(blobFolder, id);

  async function commitChanges(): Promise<void> {
    // The state must be read synchronously: a later read can contain a part of a later change.
    const changes = [...changedKeys].map((key): JournalChange => [key, entries.serialize(key)]);
    const newBlobs = [...pendingBlobs];
    const oldBlobs = [...removedBlobs];
    changedKeys.clear();
    removedBlobs.clear();
    if (changes.length + newBlobs.length + oldBlobs.length === 0) return;
    const newFiles = newBlobs.filter(([, bytes]) => bytes.length > MAX_JOURNAL_BLOB_BYTES);
    for (const [id, bytes] of newBlobs) {
      if (bytes.length <= MAX_JOURNAL_BLOB_BYTES)
        changes.push([`blobs/${id}`, JSON.stringify(bytes.toString('base64'))]);
    }
    const oldFiles = oldBlobs.filter((id) => !journal.has(`blobs/${id}`));
    for (const id of oldBlobs) if (journal.has(`blobs/${id}`)) changes.push([`blobs/${id}`, undefined]);
    try {
      await writeBlobFiles(newFiles);
      await journal.commit(changes);
    } catch (error) {
      await removeBlobFiles(newFiles.map(([id]) => id));
      throw error;
    }
    for (const [id] of newBlobs) pendingBlobs.delete(id);
    await removeBlobFiles(oldFiles);
  }

  async function writeBlobFiles(files: [id: string, bytes: Buffer][]): Promise<void> {
    if (files.length === 0) return;
    const results = await Promise.allSettled(
      files.map(([id, bytes]) => writeNewFileDurably(blobFileOf(id), bytes, fileSystem)),
    );
    const failure = results.find(({ status }) => status === 'rejected');
    if (failure?.status === 'rejected') throw failure.reason;
    await syncFolder(blobFolder, fileSystem);
  }

  /** Removes the files of blobs. The next start removes a file that stays after an error. */
  const removeBlobFiles = (ids: string[]) =>
    Promise.allSettled(ids.map((id) => fileSystem.rm(blobFileOf(id), { force: true })));

  const committer = createGroupCommitter({
    async commit() {
      committingKeys = [...changedKeys];
      await commitChanges();
    },
    undo() {
      const keys = new Set([...committingKeys, ...changedKeys]);
      changedKeys.clear();
      removedBlobs.clear();
      pendingBlobs.clear();
      entries.restore(keys, journal.read);
    },
    afterCommit: journal.compactIfNeeded,
  });

  const removeBlob = (id: string) => {
    pendingBlobs.delete(id);
    removedBlobs.add(id);
  };
  const flush = () => committer.flush(changedKeys.size + pendingBlobs.size + removedBlobs.size > 0);

  return {
    ...createMemoryStore(accounts, buckets, metrics, queues, jobs),
    addBucket(bucket) {
      buckets.set(bucket.name, bucket);
      changedKeys.add(bucketKeyOf(bucket.name));
    },
    removeBucket(name) {
      for (const [id, { parts }] of buckets.get(name)?.uploads ?? []) {
        for (const { blob } of parts.values()) removeBlob(blob);
        changedKeys.add(`uploads/${name}/${id}`);
      }
      buckets.delete(name);
      changedKeys.add(bucketKeyOf(name));
    },
    addQueue(queue) {
      queues.set(queue.arn, queue);
      changedKeys.add(queueKeyOf(queue.arn));
    },
    removeQueue(arn) {
      for (const id of queues.get(arn)?.messages.keys() ?? []) changedKeys.add(messageKeyOf(arn, id));
      queues.delete(arn);
      changedKeys.add(queueKeyOf(arn));
    },
    markChanged: (state) => void changedKeys.add(settingsKeyOf(state)),
    markObjectChanged: (bucket, key) => void changedKeys.add(`objects/${bucket.name}/${key}`),
    markUploadChanged: (bucket, id) => void changedKeys.add(`uploads/${bucket.name}/${id}`),
    markMetricChanged: (key, chunk) => void changedKeys.add(`metrics/${chunk}/${key}`),
    markMessageChanged: ({ arn }, id) => void changedKeys.add(messageKeyOf(arn, id)),
    markJobChanged: (job) => void changedKeys.add(`jobs/${jobKeyOf(job)}`),
    putBlob(bytes) {
      const id = randomUUID();
      pendingBlobs.set(id, bytes);
      return id;
    },
    getBlob(id) {
      const pendingBlob = pendingBlobs.get(id);
      if (pendingBlob) return pendingBlob;
      const text = journal.read(`blobs/${id}`);
      return text === undefined
        ? readFileSync(blobFileOf(id))
        : Buffer.from(JSON.parse(text) as string, 'base64');
    },
    removeBlob,
    flush,
    async close() {
      try {
        await flush();
      } finally {
        await journal.close().finally(lock.release);
      }
    },
  };
}

export type FolderStoreOptions = Partial<Pick<JournalOptions, 'fileSystem' | 'minObsoleteBytes'>>;

/** Creates a folder with its parents, and syncs the folders that contain the new ones. */
async function createFolderDurably(folder: string, fileSystem: FileSystem): Promise<void> {
  const firstCreated = mkdirSync(folder, { recursive: true });
  if (firstCreated === undefined) return;
  const existingParent = path.dirname(path.resolve(firstCreated));
  for (let created = path.resolve(folder); created !== existingParent; created = path.dirname(created))
    await syncFolder(path.dirname(created), fileSystem);
}

async function openStateJournal(folder: string, options: JournalOptions): Promise<Journal> {
  // Format 1 had a file for each account and each bucket.
  if (readdirSync(folder).includes('buckets'))
    throw new Error(
      `${path.join(folder, 'buckets')} was written by another version of the sandbox (format 1): use another folder`,
    );
  return openJournal(folder, options);
}

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

/** Groups commits: all flushes of changes that are requested while a commit runs share the next commit. */
function createGroupCommitter(steps: {
  commit(): Promise<void>;
  /** Undoes all changes that no commit contains, after a failed commit. */
  undo(): void;
  /** Runs between two commits; never throws. */
  afterCommit(): Promise<void>;
}) {
  let isRunning = false;
  /** Waiters of the running commit; absent between two commits. */
  let committing: Waiter[] | undefined;
  let waiting: Waiter[] = [];

  async function runCommits(): Promise<void> {
    isRunning = true;
    while (waiting.length > 0) {
      committing = waiting;
      waiting = [];
      try {
        await steps.commit();
        for (const { resolve } of committing) resolve();
      } catch (error) {
        steps.undo();
        // The changes of the waiting flushes are undone as well, because they can depend on those that failed.
        for (const { reject } of [...committing, ...waiting]) reject(error);
        waiting = [];
      }
      committing = undefined;
      await steps.afterCommit();
    }
    isRunning = false;
  }

  return {
    /** Waits for the running commit, and if there are changes since it began, for the next one. */
    flush(hasChanges: boolean): Promise<void> {
      const group = hasChanges ? waiting : committing;
      if (!group) return Promise.resolve();
      return new Promise((resolve, reject) => {
        group.push({ resolve, reject });
        if (!isRunning) void runCommits();
      });
    },
  };
}

const bucketKeyOf = (name: string): string => `buckets/${name}`;
const queueKeyOf = (arn: string): string => `queues/${arn}`;
const messageKeyOf = (queueArn: string, id: string): string => `messages/${queueArn}/${id}`;

function settingsKeyOf(state: AccountState | BucketState | QueueState): string {
  if ('roles' in state) return `accounts/${state.id}`;
  return 'messages' in state ? queueKeyOf(state.arn) : bucketKeyOf(state.name);
}

/**
 * Maps the state to entries of a journal: `accounts/ID`, `buckets/NAME` (the settings), `objects/BUCKET/KEY` (all versions
 * of a key), `uploads/BUCKET/ID`, `metrics/CHUNK/KEY`, `queues/ARN` (the settings), `messages/QUEUE-ARN/ID` and
 * `jobs/ACCOUNT/ID`.
 */
function createStateEntries(
  accounts: Map<string, AccountState>,
  buckets: Map<string, BucketState>,
  metrics: Map<string, MetricState>,
  queues: Map<string, QueueState>,
  jobs: Map<string, JobState>,
) {
  const findValue = (key: string): unknown => {
    const { collection, name, rest } = parseEntryKey(key);
    const bucket = buckets.get(name);
    switch (collection) {
      case 'metrics':
        return metrics.get(rest)?.chunks.get(Number(name));
      case 'accounts':
        return accounts.get(name);
      case 'buckets':
        return bucket && { ...bucket, objects: undefined, uploads: undefined };
      case 'objects':
        return bucket?.objects.get(rest);
      case 'queues': {
        const queue = queues.get(name);
        return queue && { ...queue, messages: undefined };
      }
      case 'jobs':
        return jobs.get(`${name}/${rest}`);
      case 'messages':
        return queues.get(name)?.messages.get(rest);
      default:
        return bucket?.uploads.get(rest);
    }
  };

  const setValue = (key: string, value: unknown): void => {
    const { collection, name, rest } = parseEntryKey(key);
    const bucket = buckets.get(name);
    switch (collection) {
      case 'metrics': {
        const metric = metrics.get(rest) ?? parseMetricKey(rest);
        setOrDelete(metric.chunks, Number(name), value as MinuteStatistics[] | undefined);
        setOrDelete(metrics, rest, metric.chunks.size > 0 ? metric : undefined);
        return;
      }
      case 'accounts':
        setOrDelete(accounts, name, value as AccountState | undefined);
        return;
      case 'buckets': {
        const { objects, uploads } = bucket ?? { objects: new Map(), uploads: new Map() };
        setOrDelete(buckets, name, value && ({ ...value, objects, uploads } as BucketState));
        return;
      }
      case 'objects':
        if (bucket) setOrDelete(bucket.objects, rest, value as VersionState[] | undefined);
        return;
      case 'jobs':
        setOrDelete(jobs, `${name}/${rest}`, value as JobState | undefined);
        return;
      case 'queues': {
        const messages = queues.get(name)?.messages ?? new Map();
        setOrDelete(queues, name, value && ({ ...value, messages } as QueueState));
        return;
      }
      case 'messages': {
        const messages = queues.get(name)?.messages;
        if (messages) setOrDelete(messages, rest, value as MessageState | undefined);
        return;
      }
      case 'uploads':
        if (bucket) setOrDelete(bucket.uploads, rest, value as UploadState | undefined);
    }
  };

  return {
    /** Returns the JSON text of an entry; undefined if it does not exist (any more). */
    serialize(key: string): string | undefined {
      const value = findValue(key);
      return value === undefined ? undefined : JSON.stringify(value, mapReplacer);
    },
    /** Replaces entries by those that `read` returns. Buckets and queues come before their contents. */
    restore(keys: Iterable<string>, read: (key: string) => string | undefined): void {
      const stateKeys = [...keys].filter((key) => !key.startsWith('blobs/'));
      const isContainer = (key: string) => /^(buckets|queues)\//.test(key);
      for (const key of [...stateKeys.filter(isContainer), ...stateKeys.filter((key) => !isContainer(key))]) {
        const text = read(key);
        setValue(key, text === undefined ? undefined : (JSON.parse(text, mapReviver) as unknown));
      }
    },
  };
}

/** Splits `collection/name/rest`. Names of accounts and buckets and ARNs of queues contain no slash; keys of objects can. */
function parseEntryKey(key: string): { collection: string; name: string; rest: string } {
  const [, collection = '', name = '', rest = ''] = /^([^/]+)\/([^/]+)(?:\/(.*))?$/s.exec(key) ?? [];
  return { collection, name, rest };
}

function setOrDelete<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

/**
 * Deletes files of blobs that no version, upload or job refers to. A crash between the write of a blob and the commit
 * leaves such files.
 */
function removeUnreferencedBlobFiles(
  blobFolder: string,
  buckets: Iterable<BucketState>,
  jobs: Iterable<JobState>,
): void {
  const referencedBlobs = new Set<string | undefined>();
  for (const bucket of buckets) {
    for (const versions of bucket.objects.values())
      for (const version of versions) referencedBlobs.add(version.blob);
    for (const upload of bucket.uploads.values())
      for (const part of upload.parts.values()) referencedBlobs.add(part.blob);
  }
  for (const { manifest, rows } of jobs)
    for (const blob of [...(manifest?.blobs ?? []), ...rows.succeeded, ...rows.failed])
      referencedBlobs.add(blob);
  for (const file of readdirSync(blobFolder))
    if (!referencedBlobs.has(file)) rmSync(path.join(blobFolder, file));
}

const MAP_MARKER = '$map';

const mapReplacer = (_: string, value: unknown): unknown =>
  value instanceof Map ? { [MAP_MARKER]: [...value] } : value;

function mapReviver(_: string, value: unknown): unknown {
  const entries = (value as Record<string, unknown> | null)?.[MAP_MARKER];
  return Array.isArray(entries) ? new Map(entries as [unknown, unknown][]) : value;
}
